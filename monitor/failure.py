"""What failed: tables with one and the same cause together, what waits for them, how old what is there is. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from monitor.graph import Dependents
from monitor.run import Run
from monitor.table import TableReport
from monitor.text import duration, listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Tables that failed for one and the same cause, and what waits for them.

    `not_run` were skipped, `ran` ended in spite of it, `ahead` are still to run. The facts are one line each.
    """

    tables: tuple[TableReport, ...]
    cause: str
    not_run: tuple[str, ...]
    ran: tuple[str, ...]
    ahead: tuple[str, ...]
    facts: tuple[str, ...]

    @property
    def keys(self) -> list[str]:
        return [table.key for table in self.tables]

    @property
    def held(self) -> tuple[str, ...]:
        return (*self.not_run, *self.ran, *self.ahead)


def counts_as_failed(task: TableReport, tables: Sequence[TableReport]) -> bool:
    """Whether a task failed; the summary fails when a table does: then it is no news."""
    told = any(t.fate in ("failed", "skipped") for t in tables)
    return task.fate == "failed" and not (task.kind == "summary" and told)


def failures_of(run: Run, tasks: Sequence[TableReport], failed: Sequence[TableReport]) -> tuple[Failure, ...]:
    """Those that failed alike stand together; what most wait for is first."""
    dependents = Dependents(run)
    by_key = {task.key: task for task in tasks}
    alike: dict[tuple[str, str], list[TableReport]] = {}
    for table in failed:
        alike.setdefault((table.word, _normal(table)), []).append(table)
    found = [_failure(tables, dependents, by_key) for tables in alike.values()]
    return tuple(sorted(found, key=lambda f: (-len(f.not_run), -len(f.ran) - len(f.ahead), -len(f.tables))))


def _normal(table: TableReport) -> str:
    """A cause without what is the table's own in it."""
    own = {name for name in (table.key, table.target, table.target.rpartition(".")[2]) if name}
    names = "|".join(re.escape(name) for name in sorted(own, key=len, reverse=True))
    return re.sub(rf"(?<!\w)(?:{names})(?!\w)", "*", table.cause)


def _failure(tables: Sequence[TableReport], dependents: Dependents, by_key: Mapping[str, TableReport]) -> Failure:
    after = {key for table in tables for key in dependents.of(table.key)}
    held = [task for key, task in by_key.items() if key in after and task.kind == "table"]
    return Failure(
        tables=tuple(tables),
        cause=tables[0].cause,
        not_run=tuple(task.key for task in held if task.fate == "skipped"),
        ran=tuple(task.key for task in held if task.start and task.fate != "waiting"),
        ahead=tuple(task.key for task in held if not task.start and task.fate == "waiting"),
        facts=tuple(_facts(tables)),
    )


def _facts(tables: Sequence[TableReport]) -> Iterator[str]:
    """How they ended, how old what is there is; what the row has to do with it."""
    first = tables[0]
    took = _range([table.seconds for table in tables if table.start])
    again = f" (attempt {first.attempt})" if len(tables) == 1 and first.attempt > 1 else ""
    usual = _range([t.usual for t in tables if t.usual is not None]) if first.word == "TIMEDOUT" else ""
    loaded = _loaded(tables)
    yield (
        f"{first.word}{f' after {took}' if took else ''}{again}{f', usually {usual}' if usual else ''}"
        f"{f'; last loaded {loaded}' if loaded else ''}"
    )
    changed = [table.key for table in tables if table.row_changed]
    if changed:
        whose = "its row has" if len(tables) == 1 else f"the rows of {listed(changed)} have"
        yield f"{whose} changed in execution_table since then"


def _range(seconds: Sequence[float]) -> str:
    ends = dict.fromkeys(duration(value) for value in (min(seconds), max(seconds))) if seconds else {}
    return " to ".join(ends)


def _loaded(tables: Sequence[TableReport]) -> str:
    """By which run; where several, when the oldest was."""
    known = sorted((table for table in tables if table.last_loaded), key=lambda table: table.last_loaded_at)
    if not known:
        return ""
    oldest = known[0]
    since = " or later" if len({table.last_loaded for table in known}) > 1 else ""
    return f"{oldest.last_loaded}{since}"
