"""`python -m monitor trends`: how long tables take and what they bring, over time."""

from __future__ import annotations

import argparse
from collections.abc import Container, Iterator, Sequence
from pathlib import Path

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from monitor import local, workspace
from monitor.durations import write
from monitor.lines import clean, heading, line, paged, print_parts
from monitor.problem import ProblemsError, UsageError
from monitor.run_log import Load, levels_of
from monitor.text import day, duration, plural
from monitor.trends import KEPT, Point, TableTrend, Trends, trends_of
from monitor.trends_page import trends_page

_BARS = "▁▂▃▄▅▆▇█"
_FAILED = "✕"
_LINES = ("seconds", "rows read", "rows changed")
_EXPENDABLE = ("read", "usual", "failed", "changed")
_ABOUT = f"the newest {KEPT} loads of each, or what there is room for, the oldest first; {_FAILED} failed"
_FEWEST = 12  # loads that a line has before a column goes
_DESCRIPTION = f"""\
Show the run log over time: the newest {KEPT} loads of every table, how long they
took, what they read and changed; tables that got slower, and those that stopped
changing.
"""
_EPILOG = """\
LOG is one of
  DIR                    a workspace of localjobs           python -m monitor trends .demo
  catalog.schema.table   a run log of the workspace         python -m monitor trends silver.metadata.run_log

A table got slower when the median of its last 3 loads is at least 1.5 times that of the loads before, and 5 s more.
It stopped changing when its last 5 loads or more changed no row, twice as many as ever before between two changes.

exit code: 0 shown, 1 the run log cannot be read, 2 the command line is wrong
"""


def command(console: Console, options: argparse.Namespace) -> int:
    """Print the trends, or write the page; raises ProblemsError with all that stands against it."""
    name, loads = _loads(options.log)
    if not loads:
        raise ProblemsError([f"{name}: has no rows yet; the first run of a job writes them"])
    found = trends_of(name, loads)
    if options.html is None:
        paged(console, [*first_parts(found), heading("tables", _ABOUT), _Tables(found.tables)])
        return 0
    text = trends_page(found)
    write(options.html, text)
    print_parts(console, first_parts(found))
    said = f"\npage: {options.html} ({len(text.encode()) / 1000:,.0f} kB)"
    console.print(said, highlight=False, soft_wrap=True, markup=False)
    return 0


def _loads(log: str) -> tuple[str, Sequence[Load]]:
    if Path(log).exists():
        return local.history(Path(log), KEPT)
    if levels_of(log) is not None:
        return log, workspace.history(log, KEPT)
    raise UsageError([f"{log}: no such folder, and no name of a table (catalog.schema.table)"])


def first_parts(found: Trends) -> Iterator[RenderableType]:
    """The figures, the runs, what got slower and what stopped changing."""
    about = f"{plural(len(found.tables), 'table')}, {plural(found.loads, 'load')} in {plural(len(found.runs), 'run')}"
    yield line((f"{found.log}: ", "bold"), f"{about}, {day(found.runs[0].start)} to {day(found.runs[-1].end)}")
    runs = found.runs[-KEPT:]
    longest = max(run.seconds for run in runs)
    bars = "".join(_bar(run.seconds, longest) for run in runs)
    yield line(f"runs    {bars}  the last {duration(runs[-1].seconds)}, the longest {duration(longest)}")
    yield heading("got slower", "" if found.slower else "none")
    if found.slower:
        yield _slower(found.slower)
    yield heading("stopped changing", "" if found.stopped else "none")
    if found.stopped:
        yield _stopped(found.stopped)


def _slower(tables: Sequence[TableTrend]) -> Table:
    grid = _table("  table", "seconds", "now>", "before>", "times>")
    for table in tables:
        now, usual = table.now or 0, table.usual or 0
        times = f"{now / usual:.1f}" if usual else ""
        _row(grid, f"  {table.key}", seconds_line(table.points), duration(now), duration(usual), times)
    return grid


def _stopped(tables: Sequence[TableTrend]) -> Table:
    grid = _table("  table", "rows changed", "loads without a change>", "last change", "before")
    for table in tables:
        last = table.last_change
        before = [point for point in table.good if last and point.end <= last.end]
        of = f"changed in {sum(bool(point.changed) for point in before)} of {plural(len(before), 'load')}"
        moment = day(last.end) if last else ""
        _row(grid, f"  {table.key}", changed_line(table.points), str(table.quiet), moment, of)
    return grid


class _Tables:
    """Every table with its lines: as many loads, and as many columns, as there is room for."""

    def __init__(self, tables: Sequence[TableTrend]) -> None:
        self._tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        most = max(len(table.points) for table in self._tables)
        dropped: set[str] = set()
        for name in ("", *_EXPENDABLE):
            dropped.add(name)
            columns = _columns(self._tables, most, dropped)
            spare = options.max_width - _width(columns)
            lines = sum(name in _LINES for name, _ in columns)
            fitting = most + min(0, spare // lines)
            if fitting >= min(most, _FEWEST):
                columns = _columns(self._tables, fitting, dropped)
                break
        grid = _table(*(name if name in ("table", *_LINES) else f"{name}>" for name, _ in columns))
        for cells in zip(*(cells for _, cells in columns), strict=True):
            _row(grid, *cells)
        yield grid


Columns = list[tuple[str, list[str]]]


def _columns(tables: Sequence[TableTrend], loads: int, dropped: Container[str]) -> Columns:
    """Headings with their cells; the lines show the newest of so many loads."""
    last = [table.good[-1] if table.good else None for table in tables]
    return [
        (name, cells)
        for group, name, cells in (
            ("", "table", [clean(table.key) for table in tables]),
            ("", "seconds", [seconds_line(table.points[-loads:]) for table in tables]),
            ("", "last", [f"{point.seconds:.1f}" if point else "" for point in last]),
            ("usual", "usual", ["" if table.usual is None else f"{table.usual:.1f}" for table in tables]),
            ("read", "rows read", [read_line(table.points[-loads:]) for table in tables]),
            ("read", "last", [f"{point.read:,}" if point else "" for point in last]),
            ("changed", "rows changed", [changed_line(table.points[-loads:]) for table in tables]),
            ("changed", "last", [f"{point.changed:,}" if point else "" for point in last]),
            ("failed", "failed", [str(table.failed or "") for table in tables]),
        )
        if group not in dropped or not group
    ]


def _width(columns: Columns) -> int:
    return sum(2 + max(len(text) for text in (name, *cells)) for name, cells in columns)


def seconds_line(points: Sequence[Point]) -> str:
    """
    >>> made = dict(run_id="", end=0, read=0, changed=0)
    >>> seconds_line([Point(seconds=s, succeeded=s != 3, **made) for s in (0, 1, 2, 3, 4)])
    '▁▃▅✕█'
    """
    return _line(points, [point.seconds for point in points])


def read_line(points: Sequence[Point]) -> str:
    return _line(points, [point.read for point in points])


def changed_line(points: Sequence[Point]) -> str:
    return _line(points, [point.changed for point in points])


def _line(points: Sequence[Point], values: Sequence[float]) -> str:
    """A bar for each load, from nothing to the most that a success had."""
    most = max((value for point, value in zip(points, values, strict=True) if point.succeeded), default=0)
    pairs = zip(points, values, strict=True)
    return "".join(_bar(value, most) if point.succeeded else _FAILED for point, value in pairs)


def _bar(value: float, most: float) -> str:
    return _BARS[min(len(_BARS) - 1, int(value / most * len(_BARS)))] if most else _BARS[0]


def _table(*names: str) -> Table:
    """Columns by their headings; `>` at the end of one sets it to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left", no_wrap=True)
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(clean(cell)) for cell in cells))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitor trends",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("log", metavar="LOG", help="the run log: a workspace of localjobs, or the name of the table")
    made.add_argument("--html", type=Path, metavar="FILE", help="write the page: one file, for a browser, a mail")
    return made
