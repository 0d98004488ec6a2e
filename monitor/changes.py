"""What is different from the last good run; what a night brings anyway is left out. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from monitor.evidence import Evidence
from monitor.run import Run
from monitor.run_log import History
from monitor.table import TableReport
from monitor.text import duration, listed

SLOWER, SLOWER_BY = 1.5, 5.0  # a table is slower from this ratio on, if that is at least so many seconds
_MORE_ROWS, _FEW_ROWS = 5, 100  # rows read differ from this ratio on, unless both are few
_NAMED = 5


def changes_of(evidence: Evidence, history: History, tables: Sequence[TableReport]) -> Iterator[str]:
    """One line each; none where no good run is known."""
    run, good = evidence.run, evidence.good
    if good is None:
        return
    were = {task.key for task in good.tasks if task.kind == "table"}
    are = [table.key for table in tables]
    yield from _said("new in the job", [key for key in are if key not in were])
    yield from _said("no longer in this run", [key for key in sorted(were) if key not in are])
    if run.parameters != good.parameters:
        yield f"job parameters: {_parameters(run)}; then: {_parameters(good)}"
    yield from _wheels(history, str(good.run_id))
    yield from _said("row changed in execution_table", [table.key for table in tables if table.row_changed])
    yield from _slower(tables)
    yield from _rows(history, str(good.run_id), tables)


def _said(what: str, keys: Sequence[str]) -> Iterator[str]:
    if keys:
        yield f"{what}: {listed(keys, 6)}"


def _parameters(run: Run) -> str:
    return ", ".join(f"{name}={value}" for name, value in run.parameters.items()) or "none"


def _wheels(history: History, good: str) -> Iterator[str]:
    then, now = ({load.wheel for load in history.loads if load.run_id == run} for run in (good, history.run_id))
    if then and now and then != now:
        yield f"wheel {', '.join(sorted(now))}; then {', '.join(sorted(then))}"


def _slower(tables: Iterable[TableReport]) -> Iterator[str]:
    ratios = [
        (table.seconds / table.usual, table)
        for table in tables
        if table.usual and table.seconds >= SLOWER * table.usual and table.seconds - table.usual >= SLOWER_BY
    ]
    for ratio, table in sorted(ratios, key=lambda pair: (pair[1].usual or 0) - pair[1].seconds)[:_NAMED]:
        yield f"slower: {table.key} {duration(table.seconds)}, then {duration(table.usual or 0)} ({ratio:.1f} times)"
    if len(ratios) > _NAMED:
        yield f"slower: {len(ratios) - _NAMED} more"


def _rows(history: History, good: str, tables: Iterable[TableReport]) -> Iterator[str]:
    found = []
    for table in tables:
        load = history.of_run(table.key, good)
        if table.counts is None or load is None or not load.succeeded:
            continue
        if table.watermark_from or load.watermark_from:
            continue  # what has arrived since the last time may be any number
        now, then = table.counts.get("read", 0), load.counts.get("read", 0)
        if max(now, then) >= _FEW_ROWS and (max(now, then) >= _MORE_ROWS * max(1, min(now, then))):
            found.append(f"rows read: {table.key} {now:,}, then {then:,}")
    yield from found[:_NAMED]
    if len(found) > _NAMED:
        yield f"rows read: {len(found) - _NAMED} more"
