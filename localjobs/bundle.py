"""Reads a job file and the bundle it belongs to, and puts the target's values where `${...}` stands."""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from laketasks.spec import did_you_mean
from localjobs.job import job_id
from localjobs.problem import ProblemsError

BUNDLE_FILE = "databricks.yml"
JOB_FILE = ".job.yml"
_REFERENCE = re.compile(r"\$\{([^{}]*)\}")
# What decides how a job runs here. References elsewhere (tags, notifications, clusters) need no value.
_JOB_FIELDS = ("name", "parameters", "timeout_seconds", "queue")
_TASK_FIELDS = (
    "task_key",
    "depends_on",
    "run_if",
    "timeout_seconds",
    "max_retries",
    "min_retry_interval_millis",
    "retry_on_timeout",
    "disabled",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """The bundle's values for one target: `values` maps a reference such as `var.x` to what stands for it.

    `jobs` are the job files beside the one that was asked for, by the number that stands for the job's id.
    """

    file: Path | None
    values: Mapping[str, Any] = field(default_factory=dict)
    jobs: Mapping[int, Path] = field(default_factory=dict)

    def resolve(self, document: object, place: str = "") -> tuple[Any, list[str]]:
        """The document with every reference replaced, and the references that have no value."""
        if isinstance(document, str):
            return self._text(document, place, ())
        if isinstance(document, dict):
            parts = {key: self.resolve(value, f"{place}.{key}") for key, value in document.items()}
            return {key: part[0] for key, part in parts.items()}, [p for part in parts.values() for p in part[1]]
        if isinstance(document, list):
            items = [self.resolve(value, f"{place}[{_label(value, n)}]") for n, value in enumerate(document)]
            return [item[0] for item in items], [p for item in items for p in item[1]]
        return document, []

    def apart(self, value: str) -> Bundle:
        """The bundle with its own name as the value of each variable that has this one."""
        names = {name: name.removeprefix("var.") for name, own in self.values.items() if own == value}
        return replace(self, values={**self.values, **names})

    def _text(self, text: str, place: str, within: tuple[str, ...]) -> tuple[Any, list[str]]:
        problems: list[str] = []

        def value(match: re.Match[str]) -> Any:
            name = match[1]
            if name in within or name not in self.values or self.values[name] is None:
                problems.append(f"{place.lstrip('.')}: ${{{name}}} {self._reason(name, within)}")
                return match[0]
            found = self.values[name]
            if not isinstance(found, str):
                return found
            inner, more = self._text(found, place, (*within, name))
            problems.extend(more)
            return inner

        whole = _REFERENCE.fullmatch(text)
        if whole:
            return value(whole), problems
        return _REFERENCE.sub(lambda match: str(value(match)), text), problems

    def _reason(self, name: str, within: tuple[str, ...]) -> str:
        if name in within:
            return "refers to itself"
        if name.startswith("resources.jobs."):
            return f"is not known here: beside the job file is no {name.split('.')[2]}{JOB_FILE}"
        if self.file is None:
            return f"has no value: there is no {BUNDLE_FILE} in the job file's folder or above it"
        if name in self.values:
            return f"has no value: give its variable a default in {BUNDLE_FILE}, or --{name.replace('.', ' ')}=..."
        return f"is not known here{did_you_mean(name, self.values)}"


def _label(value: object, number: int) -> object:
    return value["task_key"] if isinstance(value, dict) and "task_key" in value else number


def read_bundle(job_file: Path, target: str, given: Mapping[str, str]) -> Bundle:
    """The bundle around a job file: its variables' defaults, then the target's, then the given ones."""
    jobs = {file.name.removesuffix(JOB_FILE): file for file in sorted(job_file.parent.glob(f"*{JOB_FILE}"))}
    ids = {f"resources.jobs.{key}.id": job_id(key) for key in jobs}
    files = {job_id(key): file for key, file in jobs.items()}
    folders = job_file.absolute().parents
    file = next((folder / BUNDLE_FILE for folder in folders if (folder / BUNDLE_FILE).is_file()), None)
    if file is None:
        return Bundle(file=None, values={f"var.{name}": value for name, value in given.items()} | ids, jobs=files)
    document = read_yaml(file)
    targets = _mapping(document, "targets", file)
    if target not in targets:
        known = ", ".join(targets) or "none"
        raise ProblemsError(
            [f"{file}: has no target {target}{did_you_mean(target, targets)} (--target; it has {known})"]
        )
    variables = {name: _default(value) for name, value in _mapping(document, "variables", file).items()}
    own = {name: _default(value) for name, value in _mapping(targets[target] or {}, "variables", file).items()}
    unknown = [name for name in (*own, *given) if name not in variables]
    if unknown:
        raise ProblemsError(f"{file}: has no variable {n}{did_you_mean(n, variables)}" for n in unknown)
    fixed = {
        "workspace.file_path": str(file.parent),
        "workspace.root_path": str(file.parent),
        "bundle.target": target,
        "bundle.name": _mapping(document, "bundle", file).get("name"),
    }
    named = {f"var.{name}": value for name, value in (variables | own | dict(given)).items()}
    return Bundle(file=file, values=named | ids | fixed, jobs=files)


def _mapping(document: Mapping[str, Any], name: str, file: Path) -> dict[str, Any]:
    value = document.get(name) or {}
    if not isinstance(value, dict):
        raise ProblemsError([f"{file}: {name} is not a mapping"])
    return value


def _default(value: object) -> object:
    """A variable's value, which stands by itself or as the `default` of its declaration."""
    return value.get("default") if isinstance(value, dict) else value


def read_job_document(file: Path) -> tuple[str, dict[str, Any]]:
    """The key and the document of the one job in a job file."""
    document = read_yaml(file)
    jobs = _mapping(_mapping(document, "resources", file), "jobs", file)
    if len(jobs) != 1:
        found = ", ".join(jobs) or "none"
        raise ProblemsError([f"{file}: expected one job under resources.jobs, found {found}"])
    key, job = next(iter(jobs.items()))
    if not isinstance(job, dict):
        raise ProblemsError([f"{file}: job {key} is not a mapping"])
    return str(key), job


def runnable_part(job: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job's document decides how it runs here; tasks keep their bodies, whatever type they have."""
    part = {name: job[name] for name in _JOB_FIELDS if name in job}
    tasks = job.get("tasks")
    return part | {"tasks": [_task_part(task) for task in tasks] if isinstance(tasks, list) else tasks}


def _task_part(task: object) -> object:
    if not isinstance(task, dict):
        return task
    return {name: value for name, value in task.items() if name in _TASK_FIELDS or name.endswith("_task")}


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; a key that stands twice is refused, where YAML would keep the last."""
    try:
        document = yaml.load(file.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a safe loader
    except OSError as error:
        raise ProblemsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ProblemsError([f"{file}: not valid YAML: {_one_line(error)}"]) from None
    if not isinstance(document, dict):
        raise ProblemsError([f"{file}: expected a mapping, found {type(document).__name__}"])
    return document


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        for number, (key, _) in enumerate(node.value):
            if key.value in keys[:number]:
                raise yaml.constructor.ConstructorError(None, None, f"key {key.value} stands twice", key.start_mark)
        return dict(super().construct_mapping(node, deep))
