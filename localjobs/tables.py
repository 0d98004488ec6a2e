"""Which tables the wheel's tasks of a job name, so that the engine knows their catalogs and schemas beforehand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from laketasks.spec import BootstrapSpec, LoadSpec, RunContext, SpecError, SummarySpec, job_parameter_problems
from localjobs.job import Task, WheelTask

PACKAGE = "laketasks"
_ENTRY_POINTS = ("load", "summarize", "bootstrap")
_IN_SQL = re.compile(r"\{(\w+)\}`?\.`?(\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Catalogs, (catalog, schema) and run logs, each once and in order."""

    catalogs: tuple[str, ...]
    schemas: tuple[tuple[str, str], ...]
    run_logs: tuple[str, ...]


def names_of(tasks: Iterable[Task]) -> tuple[Names, list[str]]:
    """The names in tasks whose references are filled in, and what cannot be read of them."""
    reads = [_read(key, entry_point, parameters) for key, entry_point, parameters in _calls(tasks)]
    run_logs = {read.run_log for read, _ in reads if read and read.run_log}
    tables = [*(table for read, _ in reads if read for table in read.tables), *run_logs]
    schemas = sorted({*_schemas(tables), *(schema for read, _ in reads if read for schema in read.schemas)})
    catalogs = {catalog for read, _ in reads if read for catalog in read.catalogs} | {c for c, _ in schemas}
    names = Names(catalogs=tuple(sorted(catalogs)), schemas=tuple(schemas), run_logs=tuple(sorted(run_logs)))
    return names, [problem for _, problems in reads for problem in problems]


def wrong_parameters(tasks: Iterable[Task], parameters: Mapping[str, str]) -> list[str]:
    """Return what is wrong with the job parameters that every load of the job reads."""
    loads = any(map(loads_table, tasks))
    return [f"--params {problem}" for problem in job_parameter_problems(parameters)] if loads else []


def loads_table(task: Task) -> bool:
    """Return true for a task of the wheel that loads a table."""
    return any(entry_point == "load" for _, entry_point, _ in _calls([task]))


def summarizes(task: Task) -> bool:
    """Return true for the task that prints the run's summary."""
    return any(entry_point == "summarize" for _, entry_point, _ in _calls([task]))


def shared_schemas(tasks: Iterable[Task]) -> list[str]:
    """Schema names that the tasks use in more than one of their catalogs."""
    catalogs: dict[str, set[str]] = {}
    for key, entry_point, parameters in _calls(tasks):
        read, _ = _read(key, entry_point, parameters)
        tables = [*read.tables, read.run_log] if read else []
        for catalog, schema in [*_schemas(tables), *_schemas_of_sql(parameters.get("sql_file_path"))]:
            catalogs.setdefault(schema, set()).add(catalog)
    return [
        f"schema {schema} is in {' and '.join(sorted(own))}, which are one catalog here: its tables would mix. "
        "Give the schemas different names, or use an engine that has both catalogs"
        for schema, own in sorted(catalogs.items())
        if len(own) > 1
    ]


def _schemas_of_sql(path: str | None) -> list[tuple[str, str]]:
    """The (catalog variable, schema) that a row's SQL file names; a file that cannot be read is the task's error."""
    try:
        statement = Path(path).read_text(encoding="utf-8") if path else ""
    except (OSError, UnicodeDecodeError):
        return []
    return _IN_SQL.findall(statement)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """`run_log` is empty for the task that makes it."""

    run_log: str = ""
    schemas: tuple[tuple[str, str], ...] = ()
    tables: tuple[str, ...] = ()
    catalogs: tuple[str, ...] = ()


def _read(key: str, entry_point: str, parameters: Mapping[str, str]) -> tuple[_Read | None, list[str]]:
    try:
        if entry_point == "summarize":
            return _Read(run_log=SummarySpec.from_parameters(parameters).run_log), []
        if entry_point == "bootstrap":
            return _bootstrap(BootstrapSpec.from_parameters(parameters)), []
        spec, context = LoadSpec.from_parameters(parameters), RunContext.from_parameters(parameters)
    except SpecError as error:
        return None, [f"task {key}: {problem}" for problem in error.problems]
    tables = (spec.target_table, spec.source_table)
    return _Read(run_log=context.run_log, tables=tables, catalogs=tuple(context.catalogs.values())), []


def _bootstrap(spec: BootstrapSpec) -> _Read:
    pairs = (schema.split(".") for schema in spec.schemas)
    schemas = tuple((catalog, schema) for catalog, schema in pairs)
    return _Read(schemas=schemas, tables=(spec.run_log,), catalogs=tuple(spec.catalogs.values()))


def _calls(tasks: Iterable[Task]) -> Iterator[tuple[str, str, Mapping[str, str]]]:
    for task in tasks:
        body = task.body
        if isinstance(body, WheelTask) and body.package_name == PACKAGE and body.entry_point in _ENTRY_POINTS:
            yield task.task_key, body.entry_point, body.named_parameters


def _schemas(tables: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Of names of three levels; beside a SQL file, a source's name is a label and may be anything."""
    for table in tables:
        levels = table.split(".")
        if len(levels) == 3 and all(levels):
            yield levels[0], levels[1]
