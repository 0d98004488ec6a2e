"""The guard of `generate` against rows that are not whole: a job does not lose most of its tables in silence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.context import task_key
from generator.plan import SUMMARY_KEY
from generator.problem import Problem
from generator.render import SUFFIX
from generator.row_rules import RESERVED_PREFIX
from generator.strict_yaml import parse

if TYPE_CHECKING:
    from generator.build import Build

FEW = 3  # so many tables may go from any job
_NAMED = 6
_SHARE = 2  # of two tables one may not go


@dataclass(frozen=True, slots=True)
class _Layer:
    """The tables of a layer's job files: task key -> the table that it loads, "" where a runner loads it."""

    file: str
    tables: Mapping[str, str]


def removal_problems(made: Build, out: Path, *, allowed: bool = False) -> tuple[Problem, ...]:
    """Return a problem for each layer that would lose half of its tables, or all since no row is active any more.

    With `allowed` they are warnings, which say what goes.
    """
    return tuple(_problems(made, out, "warning" if allowed else "error"))


def _problems(made: Build, out: Path, severity: str) -> Iterator[Problem]:
    keys = {plan.layer: {task.task_key for task in plan.loads} for plan in made.plans}
    targets = {table for document in made.documents for table in _tables(document.job).values()} - {""}
    drafts: dict[str, set[str]] = {}
    for entry in made.entries:
        if not entry.row.is_active_flag:
            drafts.setdefault(entry.row.layer, set()).add(task_key(entry, made.context))
    for name, layer in _layers(made).items():
        own = keys.get(name, set())
        gone = [key for key, table in layer.tables.items() if key not in own and table not in targets]
        inactive = [key for key in gone if key in drafts.get(name, ())]
        all_inactive = not own and bool(inactive)
        if not all_inactive and (len(gone) < FEW or len(gone) * _SHARE < len(layer.tables)):
            continue
        named = ", ".join(gone[:_NAMED]) + (" ..." if len(gone) > _NAMED else "")
        why = f"{len(inactive):,} of their rows are not active, {len(gone) - len(inactive):,} have no row"
        what = f"{len(gone):,} of its {len(layer.tables):,} tables would go ({named}): {why}"
        remedy = "check that the rows are whole; if these tables are to go, run `generate --override-guards`"
        if severity == "warning":
            what, remedy = what.replace("would go", "go"), ""
        yield Problem(file=(out / layer.file).as_posix(), line=1, what=what, remedy=remedy, severity=severity)


def _layers(made: Build) -> dict[str, _Layer]:
    """The layers that have job files; the tables of child jobs are their parent's."""
    jobs = {name: _job(made, name, text) for name, text in made.present.items()}
    parents = {child: name for name, job in jobs.items() for child in _children(name.removesuffix(SUFFIX), job)}
    found: dict[str, dict[str, str]] = {}
    for name, job in jobs.items():
        found.setdefault(parents.get(name, name), {}).update(_tables(job))
    return {name.removesuffix(SUFFIX): _Layer(name, tables) for name, tables in found.items() if tables}


def _job(made: Build, name: str, text: str) -> Mapping[str, Any]:
    """The job of a file that is there; where the file is as generated, it need not be read."""
    if made.texts.get(name) == text:
        return next(document.job for document in made.documents if f"{document.plan.key}{SUFFIX}" == name)
    content = _mapping(parse(text, name)[0].value)
    return _mapping(next(iter(_mapping(_mapping(content.get("resources")).get("jobs")).values()), {}))


def _children(layer: str, job: Mapping[str, Any]) -> Iterator[str]:
    """The files of the child jobs that the job runs."""
    for key, task in _tasks(job):
        if _mapping(task.get("run_job_task")).get("job_id") == f"${{resources.jobs.{layer}__{key}.id}}":
            yield f"{layer}__{key}{SUFFIX}"


def _tables(job: Mapping[str, Any]) -> dict[str, str]:
    found = {}
    for key, task in _tasks(job):
        parameters = _mapping(_mapping(task.get("python_wheel_task")).get("named_parameters"))
        runs_a_part = str(_mapping(task.get("run_job_task")).get("job_id", "")).endswith(f"__{key}.id}}")
        if key != SUMMARY_KEY and not key.startswith(RESERVED_PREFIX) and not runs_a_part:
            found[key] = str(parameters.get("target_table", ""))
    return found


def _tasks(job: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    tasks = job.get("tasks")
    for task in tasks if isinstance(tasks, list) else ():
        if isinstance(task, dict) and isinstance(task.get("task_key"), str):
            yield task["task_key"], task


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
