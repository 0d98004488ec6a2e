"""settings.yml: how rows become jobs. Read here, checked against the Jobs API's own field names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from generator.columns import BY_NAME
from generator.job_rules import job_problems
from generator.jobs_api import Types, task_types, unknown_fields
from generator.problem import Problem, shown
from generator.reference_rules import reference_problems
from generator.runner_rules import COMPUTE_FIELDS, runner_problems
from generator.strict_yaml import Parsed, parse
from laketasks.spec import JOB_PARAMETERS, PIPELINES, LoadSpec, RunContext, SummarySpec, did_you_mean, parse_duration

SERVERLESS = "serverless"
ENVIRONMENT = "laketasks"
TASK_DEFAULTS: Mapping[str, object] = {"timeout_seconds": 7200}
OWN_PARAMETERS = tuple(dict.fromkeys(f.name for spec in (LoadSpec, RunContext, SummarySpec) for f in fields(spec)))
PLACEHOLDER = re.compile(r"(?<![{$])\{(\w+)\}(?!\})")
VARIABLE = re.compile(r"\$\{var\.([\w-]+)\}")
_WRITTEN = {
    "task_key": "the generator writes it; settings `task_key` says how",
    "depends_on": "the generator writes it from execution_order; settings `edges` says how",
    "run_if": "the generator writes it; say on_upstream_failure: continue or skip",
    "disabled": "set is_active_flag to false in the row",
}


def _printable(path: str) -> str:
    """The path, in which a control character is a mistake and NUL cannot be looked up."""
    if not path.isprintable():
        raise PydanticCustomError("path", "expected a path without control characters")
    return path


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_is_not_given(cls, value: Any) -> Any:
        """A key whose lines are all commented out is null."""
        return {key: below for key, below in value.items() if below is not None} if isinstance(value, dict) else value


class TableSettings(_Model):
    """An exception: `task` goes over the layer's."""

    task: dict[str, Any] = Field(default_factory=dict)


class LayerSettings(_Model):
    """How the rows of one layer become one job; what is not given is the default."""

    edges: Literal["barrier", "gate", "lineage"] = "barrier"
    on_upstream_failure: Literal["continue", "skip", "skip_readers"] = "continue"
    compute: str = SERVERLESS
    max_parallel_tasks: int | None = None
    task_key: str = "{dst_table_name}"
    job: dict[str, Any] = Field(default_factory=dict)
    task: dict[str, Any] = Field(default_factory=dict)
    tables: dict[str, TableSettings] = Field(default_factory=dict)


class Settings(_Model):
    """`catalogs` maps a catalog's name in the metadata to the bundle variable that names the target's."""

    execution_table: Annotated[str, AfterValidator(_printable)]
    run_log: str
    run_log_retention: str = ""
    catalogs: dict[str, str] = Field(default_factory=dict)
    runners: dict[str, dict[str, Any]] = Field(default_factory=dict)
    on_unknown_pipeline: Literal["error", "skip"] = "error"
    layers: dict[str, LayerSettings | None] = Field(default_factory=dict)

    def layer(self, name: str) -> LayerSettings:
        """The layer's settings, or the defaults for a layer without an entry."""
        return self.layers.get(name) or LayerSettings()

    def mapped(self, catalog: str) -> str:
        """The catalog as a reference to its bundle variable; one that is not listed is written as it is.

        Unity Catalog does not tell upper from lower case, so the settings' `dev_silver` is the row's `DEV_SILVER`.
        """
        if catalog in self.catalogs:
            return f"${{var.{self.catalogs[catalog]}}}"
        alike = [variable for name, variable in self.catalogs.items() if name.lower() == catalog.lower()]
        return f"${{var.{alike[0]}}}" if len(alike) == 1 else catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """Settings and where each of them stands."""

    settings: Settings
    file: str
    parsed: Parsed

    def problem(self, path: tuple[object, ...], what: str, remedy: str = "", severity: str = "error") -> Problem:
        where = ".".join(str(step) for step in path)
        line = self.parsed.line(*path)
        return Problem(file=self.file, line=line, column=where, what=what, remedy=remedy, severity=severity)


def read_settings(path: Path, file: str) -> tuple[SettingsFile | None, tuple[Problem, ...]]:
    """Read the file; `file` is its name in messages."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        return None, (Problem(file=file, what=f"cannot be read: {error.strerror}", remedy="name it with --settings"),)
    except UnicodeDecodeError:
        return None, (Problem(file=file, what="not UTF-8", remedy="save the file as UTF-8"),)
    parsed, problems = parse(text, file)
    if problems:
        return None, problems
    try:
        settings = Settings.model_validate({} if parsed.value is None else parsed.value)
    except ValidationError as error:
        return None, tuple(_unreadable(found, file, parsed) for found in error.errors(include_url=False))
    return SettingsFile(settings=settings, file=file, parsed=parsed), ()


def named_source(path: Path) -> str:
    """The execution_table of settings that may be wrong otherwise; "" where they do not say it."""
    try:
        value = parse(path.read_text(encoding="utf-8-sig"), "")[0].value
    except (OSError, UnicodeDecodeError):
        return ""
    named = value.get("execution_table") if isinstance(value, dict) else None
    return named if isinstance(named, str) and named.isprintable() else ""


def read_variables(path: Path, file: str) -> tuple[frozenset[str] | None, tuple[Problem, ...]]:
    """The variables that databricks.yml declares, or None where there is no such file."""
    if not path.is_file():
        return None, ()
    try:
        parsed, problems = parse(path.read_text(encoding="utf-8-sig"), file)
    except (OSError, UnicodeDecodeError):
        return None, (Problem(file=file, what="cannot be read as UTF-8 text"),)
    if problems:
        return None, problems
    declared = parsed.value.get("variables") if isinstance(parsed.value, dict) else None
    return frozenset(str(name) for name in declared) if isinstance(declared, dict) else frozenset(), ()


def check_settings(found: SettingsFile, types: Types, variables: frozenset[str] | None) -> Iterator[Problem]:
    """Yield what is wrong with the settings themselves, whatever the rows are."""
    yield from _names(found)
    for name, body in found.settings.runners.items():
        yield from _runner(found, name, body, types)
    for name in found.settings.layers:
        yield from _layer(found, name, found.settings.layer(name), types)
    yield from (found.problem(*words) for words in reference_problems(found.settings))
    if variables is not None:
        yield from _variables(found, variables)


def _unreadable(found: Any, file: str, parsed: Parsed) -> Problem:
    path = found["loc"]
    kind, context = found["type"], found.get("ctx", {})
    known: Mapping[str, object] = _known(path)
    what, remedy = f"{found['msg'][:1].lower()}{found['msg'][1:]}, found {shown(found['input'])}", ""
    if kind == "extra_forbidden":
        what = f"unknown setting{did_you_mean(path[-1], known)}"
        remedy = "" if "did you mean" in what else f"the settings here are {', '.join(known)}"
    elif kind == "missing":
        what, remedy = "missing", f"write `{path[-1]}: ...`"
    elif kind == "literal_error":
        words = re.findall(r"'(\w+)'", str(context["expected"]))
        what = f"expected {context['expected']}, found {shown(found['input'])}{did_you_mean(found['input'], words)}"
    column = ".".join(str(step) for step in path)
    return Problem(file=file, line=parsed.line(*path), column=column, what=what, remedy=remedy)


def _known(path: tuple[object, ...]) -> Mapping[str, object]:
    if path[:1] == ("layers",) and len(path) >= 3:
        return TableSettings.model_fields if path[2] == "tables" else LayerSettings.model_fields
    return Settings.model_fields


def _names(found: SettingsFile) -> Iterator[Problem]:
    parts = found.settings.run_log.split(".")
    if len(parts) != 3 or any(identifier_problem(part) for part in parts):
        remedy = "write catalog.schema.table"
        yield found.problem(("run_log",), f"{shown(found.settings.run_log)} is not a table's name", remedy)
    kept = found.settings.run_log_retention
    if kept and (parse_duration(kept) or timedelta(0)) < timedelta(days=1):
        remedy = "write a number and a unit of at least a day, such as '400 days'"
        yield found.problem(("run_log_retention",), f"{shown(kept)} is not a time to keep rows for", remedy)
    for catalog, variable in found.settings.catalogs.items():
        problem = identifier_problem(catalog)
        if problem:
            yield found.problem(("catalogs", catalog), problem)
        if not re.fullmatch(r"[A-Za-z]\w*", variable, re.ASCII):
            remedy = "name the variable alone, without ${var.}"
            yield found.problem(
                ("catalogs", catalog), f"{shown(variable)} is not the name of a bundle variable", remedy
            )


@lru_cache(maxsize=1 << 14)
def identifier_problem(name: str) -> str:
    """What keeps the text from being a Unity Catalog name of a catalog, schema or table; "" when nothing does."""
    bad = sorted({c for c in name if c in " ./" or not c.isprintable()})
    if bad:
        return f"{shown(name)} is not a legal name: it holds {', '.join(shown(c) for c in bad)}"
    if not name or len(name) > 255:
        return f"a name of {len(name)} characters; Unity Catalog takes 1 to 255"
    return ""


def _runner(found: SettingsFile, name: str, body: Mapping[str, Any], types: Types) -> Iterator[Problem]:
    path = ("runners", name)
    if name in PIPELINES:
        yield found.problem(path, "is a loader of the wheel", "give the runner another name")
    yield from (found.problem((*path, *below), *words) for below, *words in runner_problems(body, types))
    yield from _fields(found, path, body, "Task", types)
    yield from _written(found, path, body)
    for word in sorted({word for text in texts(body) for word in PLACEHOLDER.findall(text)}):
        if word not in BY_NAME:
            what = f"{{{word}}} is not a column of execution_table{did_you_mean(word, BY_NAME)}"
            yield found.problem(path, what)


def _layer(found: SettingsFile, name: str, layer: LayerSettings, types: Types) -> Iterator[Problem]:
    path = ("layers", name)
    if layer.max_parallel_tasks is not None:
        yield from _lanes(found, (*path, "max_parallel_tasks"), layer)
    yield from _task_key_template(found, (*path, "task_key"), layer.task_key)
    yield from _job(found, (*path, "job"), layer.job, types)
    yield from _task(found, (*path, "task"), layer.task, types)
    for key, table in layer.tables.items():
        yield from _task(found, (*path, "tables", key, "task"), table.task, types, compute=True)
    if layer.compute == SERVERLESS and "libraries" in layer.task:
        remedy = f"name them as dependencies of environment {ENVIRONMENT} in job.environments"
        yield found.problem((*path, "task", "libraries"), "serverless tasks take no libraries", remedy)
    clusters = [cluster.get("job_cluster_key") for cluster in _dicts(layer.job.get("job_clusters"))]
    if layer.compute != SERVERLESS and layer.compute not in clusters:
        near = did_you_mean(layer.compute, [SERVERLESS, *(str(cluster) for cluster in clusters)])
        what = f"{shown(layer.compute)} is neither serverless nor a key of this layer's job.job_clusters{near}"
        yield found.problem((*path, "compute"), what)


def _lanes(found: SettingsFile, path: tuple[object, ...], layer: LayerSettings) -> Iterator[Problem]:
    if layer.max_parallel_tasks is not None and layer.max_parallel_tasks < 1:
        what = f"expected a number of tasks, 1 or larger, found {layer.max_parallel_tasks}"
        yield found.problem(path, what, "remove it to let the Jobs service start all that can start")
    if layer.on_upstream_failure == "skip":
        what = "makes tables of one order wait for each other, and skip would skip one for the other's failure"
        yield found.problem(path, what, "set on_upstream_failure: continue, or remove it")
    if layer.edges == "lineage":
        what = "divides the tasks of an order, and with edges: lineage no task waits for an order"
        yield found.problem(path, what, "set edges: gate, or barrier")


def _task_key_template(found: SettingsFile, path: tuple[object, ...], template: str) -> Iterator[Problem]:
    for word in PLACEHOLDER.findall(template):
        if word not in BY_NAME:
            yield found.problem(path, f"{{{word}}} is not a column of execution_table{did_you_mean(word, BY_NAME)}")
    if "{dst_table_name}" not in template:
        yield found.problem(path, "gives every table the same key", "put {dst_table_name} into it")


def _job(found: SettingsFile, path: tuple[object, ...], job: Mapping[str, Any], types: Types) -> Iterator[Problem]:
    yield from _fields(found, path, job, "Job", types)
    yield from _lists(found, path, job, ("parameters", "environments", "job_clusters"))
    yield from (found.problem((*path, *below), *words) for below, *words in job_problems(job))
    if "tasks" in job:
        remedy = "write them in a resource file of their own, or give rows a runner"
        yield found.problem((*path, "tasks"), "the generator writes the tasks", remedy)
    names = [str(parameter.get("name")) for parameter in _dicts(job.get("parameters"))]
    for name in names:
        if name in OWN_PARAMETERS:
            what = f"job parameter {name!r} would replace the parameter of that name in every task"
            own = name in JOB_PARAMETERS
            remedy = "the job has it already; remove it here" if own else "give it another name"
            yield found.problem((*path, "parameters"), what, remedy)


def _task(
    found: SettingsFile, path: tuple[object, ...], task: Mapping[str, Any], types: Types, *, compute: bool = False
) -> Iterator[Problem]:
    yield from _fields(found, path, task, "Task", types)
    yield from _lists(found, path, task, ("libraries",))
    yield from _written(found, path, task)
    for field in task:
        if field in task_types(types):
            yield found.problem((*path, field), "what a task runs is its row's", "define a runner")
        elif field in COMPUTE_FIELDS and not compute:
            remedy = "name it in the layer's `compute`; `tables` may name another for one table"
            yield found.problem((*path, field), "the layer's compute decides", remedy)


def _lists(
    found: SettingsFile, path: tuple[object, ...], body: Mapping[str, Any], fields: tuple[str, ...]
) -> Iterator[Problem]:
    """The lists that the generator adds to cannot be a reference to a variable."""
    for field in fields:
        if isinstance(body.get(field), str):
            yield found.problem((*path, field), f"expected a list, found {body[field]!r}", "write the list out here")


def _written(found: SettingsFile, path: tuple[object, ...], task: Mapping[str, Any]) -> Iterator[Problem]:
    for field, remedy in _WRITTEN.items():
        if field in task:
            yield found.problem((*path, field), "cannot be set here", remedy)


def _fields(
    found: SettingsFile, path: tuple[object, ...], body: Mapping[str, Any], type_name: str, types: Types
) -> Iterator[Problem]:
    for below, what in unknown_fields(body, type_name, types, partial=True):
        steps = tuple(int(step) if step.isdigit() else step for step in re.findall(r"[^.\[\]]+", below))
        yield found.problem((*path, *steps), what)


def _variables(found: SettingsFile, variables: frozenset[str]) -> Iterator[Problem]:
    for catalog, variable in found.settings.catalogs.items():
        if variable not in variables and re.fullmatch(r"[A-Za-z]\w*", variable, re.ASCII):
            what = f"databricks.yml has no variable {variable!r}{did_you_mean(variable, variables)}"
            yield found.problem(("catalogs", catalog), what, "declare it there under `variables`")
    parts = [(("runners", name), body) for name, body in found.settings.runners.items()]
    parts += [(("layers", name), found.settings.layer(name).model_dump()) for name in found.settings.layers]
    for path, body in parts:
        for variable in sorted({name for text in texts(body) for name in VARIABLE.findall(text)} - variables):
            what = f"databricks.yml has no variable {variable!r}{did_you_mean(variable, variables)}"
            yield found.problem(path, what, "declare it there under `variables`")


def texts(value: object) -> Iterator[str]:
    """Every string value inside lists and mappings."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for below in value.values():
            yield from texts(below)
    elif isinstance(value, (list, tuple)):
        for below in value:
            yield from texts(below)


def _dicts(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
