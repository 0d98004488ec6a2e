"""Whether the bootstrap job makes every schema that the rows load into. It is written by hand; this keeps it whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from generator.context import Context
from generator.model import Entry
from generator.problem import Problem
from generator.render import is_generated
from generator.strict_yaml import parse


def bootstrap_problems(files: Iterable[tuple[Path, str]], entries: Iterable[Entry], context: Context) -> list[Problem]:
    """A warning for each schema of active rows that no task of a hand-written job file makes; none without such a task.

    `files` are (path, its name in messages).
    """
    made: set[str] = set()
    where: tuple[str, int] | None = None
    for file, line, schemas in _tasks(files):
        where = where or (file, line)
        made |= {schema.lower() for schema in schemas}
    if where is None:
        return []
    settings = context.settings.settings
    active = [entry.row for entry in entries if entry.row.is_active_flag and entry.built_in]
    loaded = {f"{settings.mapped(row.dst_catalog)}.{row.dst_schema}" for row in active}
    what, remedy = "{} is loaded by the rows and not made by this job", "add it to schemas"
    missing = sorted(schema for schema in loaded if schema.lower() not in made)
    return [
        Problem(file=where[0], line=where[1], what=what.format(schema), remedy=remedy, severity="warning")
        for schema in missing
    ]


def _tasks(files: Iterable[tuple[Path, str]]) -> Iterator[tuple[str, int, list[str]]]:
    """File, line and schemas of each task that calls the wheel's `bootstrap`; what is no job file is let be."""
    for path, name in files:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        if is_generated(text) or "bootstrap" not in text:
            continue
        parsed, problems = parse(text, name)
        if problems:
            continue
        for steps, task in _all_tasks(parsed.value):
            body = _mapping(_mapping(task).get("python_wheel_task"))
            if (body.get("package_name"), body.get("entry_point")) == ("laketasks", "bootstrap"):
                line = parsed.line(*steps, "python_wheel_task", "named_parameters", "schemas")
                yield name, line, _names(_mapping(body.get("named_parameters")).get("schemas"))


def _all_tasks(document: Any) -> Iterator[tuple[tuple[object, ...], Any]]:
    for key, job in _mapping(_mapping(_mapping(document).get("resources")).get("jobs")).items():
        tasks = _mapping(job).get("tasks")
        for number, task in enumerate(tasks if isinstance(tasks, list) else ()):
            yield ("resources", "jobs", key, "tasks", number), task


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _names(text: object) -> list[str]:
    try:
        listed = json.loads(text) if isinstance(text, str) else []
    except ValueError:
        return []
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
