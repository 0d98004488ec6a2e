"""Loads that a repair need not run again: they succeeded in this run, and nothing that they read has changed since.

A task that waits for one that failed may have read rows of before, so a repair looks at it again. What it reads is
known for the wheel's loads alone: a source table, or a SQL file. When a table last changed, its Delta log tells. Where
anything is not known, the task runs; a load that has nothing to do then finds that out itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localjobs.job import Task, WheelTask
from localjobs.tables import PACKAGE

_COMMIT = re.compile(r"\d{20}\.json")
# A table that is read by its path, or by a name that is made when the SQL runs.
_UNNAMED = re.compile(r"\b\w+\s*\.\s*`[^`]*[/\\]|\b(read_files|identifier)\s*\(", re.IGNORECASE)
# What a load gets anew in each attempt, and says nothing of its rows.
_OF_THE_ATTEMPT = frozenset({"attempt"})
_READ = ("cdc_source_config", "reads")  # where a table may be named beside the source and the SQL

Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """When each Delta table of a workspace last changed, in milliseconds, by its name in lower case."""

    changed: Mapping[Name, int]

    def since(self, moment: int) -> set[Name]:
        return {name for name, at in self.changed.items() if at >= moment}


def read_tables(workspace: Path) -> Tables:
    """Look at the last commit of every table."""
    logs = {log.parent: log for log in workspace.glob("*/*/*/_delta_log")}
    return Tables(
        changed={
            (f.parent.parent.name.lower(), f.parent.name.lower(), f.name.lower()): _last(log) for f, log in logs.items()
        }
    )


def _last(log: Path) -> int:
    commits = [entry.name for entry in os.scandir(log) if _COMMIT.fullmatch(entry.name)]
    return (log / max(commits)).stat().st_mtime_ns // 1_000_000 if commits else 0


def target_of(task: Task) -> Name | None:
    """Return the table that a load of the wheel writes; None for any other task."""
    body = task.body
    if not isinstance(body, WheelTask) or (body.package_name, body.entry_point) != (PACKAGE, "load"):
        return None
    return _name(body.named_parameters.get("target_table", ""))


def is_unchanged(task: Task, before: Mapping[str, Any], tables: Tables, failed: Collection[Name]) -> bool:
    """Return whether a load that succeeded before would find all as it was then.

    `task` is filled in, `before` is the record's element of its last attempt, `failed` are the tables whose loads had
    not succeeded: what read one of them read too little.
    """
    body, target = task.body, target_of(task)
    if not isinstance(body, WheelTask) or target is None or not _is_as_it_was(body, before):
        return False
    start, end = int(before["start_time"]), int(before["end_time"])
    source, path = body.named_parameters.get("source_table", ""), body.named_parameters.get("sql_file_path", "")
    if not 0 < tables.changed.get(target, 0) <= end:
        return False
    changed = (tables.since(start) | set(failed)) - {target}
    if not path:
        name = _name(source)
        return name in tables.changed and name not in changed and not _names_any(_text(body), changed)
    try:
        sql, saved = Path(path).read_text(encoding="utf-8"), Path(path).stat().st_mtime_ns // 1_000_000
    except (OSError, ValueError):
        return False
    return saved < start and not _UNNAMED.search(sql) and not _names_any(sql + _text(body), changed)


def _is_as_it_was(body: WheelTask, before: Mapping[str, Any]) -> bool:
    had = before.get("python_wheel_task", {}).get("named_parameters", {})
    return {**had, **dict.fromkeys(_OF_THE_ATTEMPT, "")} == {
        **body.named_parameters,
        **dict.fromkeys(_OF_THE_ATTEMPT, ""),
    }


def _text(body: WheelTask) -> str:
    return "\n".join(body.named_parameters.get(name, "") for name in _READ)


def _names_any(text: str, tables: Collection[Name]) -> bool:
    """Return whether the text may name one of the tables: a catalog or schema may be a variable, the table is not."""
    lower = text.lower()
    words = set(re.findall(r"\w+", lower))
    return any(table in words if re.fullmatch(r"\w+", table) else table in lower for _, _, table in tables)


def _name(text: str) -> Name | None:
    parts = text.replace("`", "").lower().split(".")
    return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None
