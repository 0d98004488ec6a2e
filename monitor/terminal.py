"""The report as text: on one screen what failed, what it holds up and what to do; below it everything else."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from laketasks.counts import LABELS
from monitor.failure import Failure
from monitor.graph import Step
from monitor.lines import Whole, clean, heading, line, paged, print_parts
from monitor.report import Report
from monitor.table import TableReport
from monitor.text import duration, listed, plural

_BAD = "bold red"
_COLOURS = {"failed": _BAD, "skipped": "yellow", "running": "cyan", "waiting": "bright_black", "succeeded": "green"}
_EXPENDABLE = (
    *("pipeline", "ignored", "stale", "dupl.", "dropped", "missing", "same", "usual", "new", "changed", "deleted"),
    *("quar.", "~rows", "-rows", "+rows", "read"),
)
_ON_A_SCREEN = 6  # causes; the rest is in the part with the errors
_BAR = 20


def show(console: Console, report: Report) -> None:
    """Print the report: the first lines are what counts."""
    paged(console, [*first_screen(report), *details(report)])


def show_first(console: Console, report: Report) -> None:
    """Print what belongs on the first screen and no more."""
    print_parts(console, first_screen(report))


def first_screen(report: Report) -> Iterator[RenderableType]:
    """The verdict, the figures, each cause with what it holds up, what to do."""
    word, style = report.run.state.word, _COLOURS[report.run.state.fate]
    yield line(("FAILED  ", _BAD) if report.bad else (f"{word}  ", style), (report.verdict, "bold"))
    yield line(report.figures)
    yield from (line((note, "yellow")) for note in report.notes)
    told: set[str] = set()
    for failure in report.failures[:_ON_A_SCREEN]:
        yield from _failure(failure, told)
        told.update(failure.held)
    if len(report.failures) > _ON_A_SCREEN:
        rest = [key for failure in report.failures[_ON_A_SCREEN:] for key in failure.keys]
        yield line("")
        yield line((f"and {plural(len(rest), 'table')} for other causes: ", _BAD), listed(rest, 8))
    if report.to_do:
        yield heading("what to do")
        yield from (Whole(f"  {n}. {step}") for n, step in enumerate(report.to_do, 1))


def details(report: Report) -> Iterator[RenderableType]:
    """What runs, what is different, what takes the time, every error in full, every table."""
    if report.run.going_on and report.running:
        yield heading("running now")
        yield _durations(report.running[:10])
    yield heading("against the last good run", report.compared)
    yield from (line(f"  {change}") for change in report.changes or ["nothing of note"])
    yield heading("critical path", path_about(report))
    yield from (line(f"  {_step(step)}") for step in report.path if step.took >= 1 or len(report.path) < 10)
    if report.slowest:
        yield heading("slowest")
        yield _durations(report.slowest)
    if report.failures:
        yield heading("every error in full")
        yield from _errors(report.failures)
    yield heading("tables")
    yield _Tables(report.tables)


def _failure(failure: Failure, told: set[str]) -> Iterator[RenderableType]:
    yield line("")
    yield line((listed(failure.keys, 4), _BAD), f"  {failure.cause}")
    yield from (line(fact, indent=4) for fact in failure.facts)
    if failure.held and told.issuperset(failure.held):
        yield line(f"holds up {len(failure.held)} of the same tables", indent=4)
    elif failure.held:
        yield line(held_up(failure), indent=4)


def held_up(failure: Failure) -> str:
    """`holds up 13 tables: 3 did not run (a, b and 1 more); 10 ran in spite of it ...`, or nothing."""
    parts = (
        (failure.not_run, "did not run"),
        (failure.ran, "ran in spite of it, perhaps on old rows"),
        (failure.ahead, "still to run"),
    )
    told = "; ".join(f"{len(keys)} {what} ({listed(keys, 2)})" for keys, what in parts if keys)
    return f"holds up {plural(len(failure.held), 'table')}: {told}" if told else ""


def _errors(failures: Iterable[Failure]) -> Iterator[RenderableType]:
    """Each text once, under the tables that it is of."""
    texts: dict[str, list[TableReport]] = {}
    for failure in failures:
        for table in failure.tables:
            texts.setdefault(table.error, []).append(table)
    for error, tables in texts.items():
        yield line("")
        for table in tables:
            about = ", ".join(part for part in (table.pipeline, table.target, f"attempt {table.attempt}") if part)
            yield line((table.key, _BAD), f"  {table.word} ({about}) {table.url or table.log}".rstrip())
        yield line(error, indent=4)


def _durations(tables: Sequence[TableReport]) -> RenderableType:
    longest = max(table.seconds for table in tables) or 1
    grid = Table.grid(padding=(0, 2))
    grid.add_column(justify="right")
    for table in tables:
        usual = f"usually {duration(table.usual)}" if table.usual is not None else ""
        bar = "━" * max(1, round(_BAR * table.seconds / longest))
        grid.add_row(f"  {duration(table.seconds)}", Text(bar, _COLOURS[table.fate]), clean(table.key), usual)
    return grid


def path_about(report: Report) -> str:
    """`5.6 s of work and 9.1 s of waiting in 15 s`."""
    if not report.path:
        return "nothing has started yet"
    worked, waited = (sum(times) / 1000 for times in zip(*((s.took, s.waited) for s in report.path), strict=True))
    took = duration(((report.run.end or report.now) - report.run.start) / 1000)
    return f"{duration(worked)} of work and {duration(waited)} of waiting in {took}"


def _step(step: Step) -> str:
    waited = f"  (began {duration(step.waited / 1000)} after what it waited for)" if step.waited >= 1000 else ""
    return f"{duration(step.took / 1000):>10}  {step.task_key}{waited}"


class _Tables:
    """Every table with its counts, in as many columns as fit."""

    def __init__(self, tables: Sequence[TableReport]) -> None:
        self._tables = tables

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = _columns(self._tables)
        expendable = [name for name in _EXPENDABLE if name in columns]
        while expendable and _width(columns) > options.max_width:
            columns.pop(expendable.pop(0))
        yield _table(self._tables, columns)


Columns = dict[str, list[str]]


def _columns(tables: Sequence[TableReport]) -> Columns:
    """The cells by heading; a count that is nowhere is left out."""
    counts = {
        LABELS[name]: [_cell(t.counts, name) for t in tables]
        for name in LABELS
        if name == "read" or any(t.counts and t.counts.get(name) for t in tables)
    }
    usual = {"usual": ["" if t.usual is None else f"{t.usual:.1f}" for t in tables]}
    return {
        "table": [clean(t.key) for t in tables],
        "pipeline": [t.pipeline for t in tables],
        "state": [t.word for t in tables],
        **(counts if any(t.counts for t in tables) else {}),
        "seconds": [f"{t.seconds:.1f}" if t.start else "" for t in tables],
        **(usual if any(usual["usual"]) else {}),
    }


def _cell(counts: object, name: str) -> str:
    return str(counts.get(name, 0)) if isinstance(counts, dict) else ""


def _width(columns: Columns) -> int:
    return sum(2 + max(len(text) for text in (name, *cells)) for name, cells in columns.items())


def _table(tables: Sequence[TableReport], columns: Columns) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in columns:
        text = name in ("table", "pipeline", "state")
        table.add_column(
            name, justify="left" if text else "right", no_wrap=True, overflow="ellipsis" if text else "crop"
        )
    for number, report in enumerate(tables):
        cells = [Text(cells[number]) for cells in columns.values()]
        if "state" in columns:
            cells[[*columns].index("state")].stylize(_COLOURS[report.fate])
        table.add_row(*cells)
    return table
