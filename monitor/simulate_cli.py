"""`python -m monitor simulate`: what a job file would take in each way to run it, and what its orders cost."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from monitor.collect import collect
from monitor.durations import durations_of, read
from monitor.evidence import Evidence
from monitor.job_file import JobFile, read_job_file
from monitor.lines import clean, heading, line, paged
from monitor.problem import ProblemsError, UsageError
from monitor.run_log import History
from monitor.simulate import Durations, OrderCost, Simulation, simulate, unknown
from monitor.text import duration, listed, plural

_DURATIONS = Path("bundle/durations.csv")
_STEPS = 10  # of the critical path
_AT_ONCE = 5  # threads: what a driver notebook usually has
_DESCRIPTION = """\
Say how long a job would take run in one way or another, from how long its tables
take: one after another, by a pool of threads, in lanes, order by order, as the
file stands. Then what each order costs, and which rows would gain in another one.
"""
_EPILOG = """\
What a table reads is not in a job file whose orders wait for one another. Give the same job made with
`edges: lineage` beside it (docs/simulate.md says how), or any other job files to compare with:

  python -m monitor simulate resources/bronze_to_silver.job.yml
  python -m monitor simulate resources/bronze_to_silver.job.yml what-if/bronze_to_silver.job.yml
  python -m monitor simulate resources/bronze_to_silver.job.yml --durations .demo --at-once 4,16

exit code: 0 fine, 1 a file or a run cannot be read, 2 the command line is wrong
"""


def command(console: Console, options: argparse.Namespace) -> int:
    """Print the simulation; raises ProblemsError with all that stands against it."""
    jobs = [*_job_files(options.job_files)]
    durations = _durations(options.durations, jobs[0])
    if options.start_seconds is not None:
        durations = replace(durations, start=options.start_seconds)
    if unknown(jobs[0], durations.seconds):
        hint = f"`python -m monitor RUN --durations {_DURATIONS}` puts those of a run's layer there"
        raise ProblemsError([f"{durations.source} has no durations of {jobs[0].layer}; {hint}"])
    paged(console, [*parts(simulate(jobs, durations, options.at_once))])
    return 0


def _job_files(paths: Iterable[Path]) -> Iterator[JobFile]:
    problems: list[str] = []
    for path in paths:
        try:
            job = read_job_file(path)
        except ProblemsError as error:
            problems += error.problems
            continue
        if not job.tables:
            problems.append(f"{path}: job {job.layer} has no tables")
        yield job
    if problems:
        raise ProblemsError(problems)


def _durations(source: Path, job: JobFile) -> Durations:
    """From a file of durations, or from a run and its run log."""
    if source.suffix != ".csv":
        return _of_run(str(source), collect(str(source)), job)
    if not source.is_file():
        hint = f"`python -m monitor RUN --durations {source}` writes it; a run itself will do as well: --durations RUN"
        raise UsageError([f"{source}: no such file; {hint}"])
    seconds = {key: taken for (layer, key), taken in read(source).items() if layer == job.layer}
    return Durations(seconds=seconds, source=str(source))


def _of_run(name: str, evidence: Evidence, job: JobFile) -> Durations:
    run = evidence.run
    if run.layer != job.layer:
        raise ProblemsError([f"{name} is a run of {run.layer}, the job file is of {job.layer}"])
    others = {t.key: (t.last.end - t.last.start) / 1000 for t in run.tasks if t.kind != "table" and t.last.end}
    return Durations(
        seconds=others | durations_of(evidence),
        source=f"run {run.run_id}" + (" and its run log" if evidence.loads else ""),
        start=_start_seconds(evidence),
    )


def _start_seconds(evidence: Evidence) -> float:
    """What a task of the run took beyond the load that it logged: the median."""
    run = evidence.run
    history = History(run_id=str(run.run_id), loads=evidence.loads or ())
    beyond = [
        max(0.0, (task.last.end - task.last.start) / 1000 - load.seconds)
        for task in run.tasks
        if task.fate == "succeeded" and task.last.end and (load := history.of_run(task.key)) and load.succeeded
    ]
    return median(beyond) if beyond else 0.0


def parts(found: Simulation) -> Iterator[RenderableType]:
    """What is printed: the ways, the orders, the rows that would gain, the critical path."""
    yield line((f"{found.layer}: ", "bold"), f"{plural(found.tables, 'table')}, {duration(found.work)} of work")
    yield line(_about_durations(found))
    yield from (line((note, "yellow")) for note in found.notes)
    yield heading("how long it takes", "against one after another")
    yield _ways(found)
    yield heading("what the orders cost", "with barriers, as many tables at once as an order has")
    yield _orders(found)
    yield from _moves(found)
    some = f", the {_STEPS} longest" if len(found.path) > _STEPS else ""
    yield heading("critical path", f"{plural(len(found.path), 'task')} of {found.path_of}{some}; it takes no less")
    longest = sorted(found.path, key=lambda step: -step[1])[:_STEPS]
    yield from (line(f"  {duration(seconds):>11}  {key}") for key, seconds in found.path if (key, seconds) in longest)


def _about_durations(found: Simulation) -> str:
    known = found.tables - len(found.guessed)
    said = f"durations of {plural(known, 'table')} from {found.durations.source}"
    if found.guessed:
        said += f"; {len(found.guessed)} not known, taken as the median of {duration(found.usual)}"
        said += f": {listed(found.guessed, 4)}"
    if found.durations.start:
        said += f"; the start of a task adds {duration(found.durations.start)}"
    return said


def _ways(found: Simulation) -> Table:
    table = _table("  how it is run", *(f"{number} at once>" for number in found.at_once), "no limit>")
    _row(table, f"  one after another: {duration(found.work)}")
    for way in found.ways:
        _row(table, f"  {way.name}", *(_takes(seconds, found.work) for seconds in (*way.limited, way.unlimited)))
    return table


def _takes(seconds: float | None, alone: float) -> str:
    """`34 min 20 s  -77%`: against one after another."""
    if seconds is None:
        return ""
    return f"{duration(seconds)} {seconds / alone - 1:>+5.0%}" if alone else duration(seconds)


def _orders(found: Simulation) -> Table:
    costs = "boundary after it costs>" if found.reads else "boundary after it costs at most>"
    table = _table("  order", "tables>", "work>", "takes>", "slowest", "next slowest>", costs)
    for order in found.orders:
        _row(table, f"  {order.order}", *_order(order))
    return table


def _order(order: OrderCost) -> tuple[str, ...]:
    costs = "" if order.costs is None else duration(order.costs)
    rest = duration(order.rest) if order.tables > 1 else ""
    return str(order.tables), duration(order.work), duration(order.takes), order.slowest, rest, costs


def _moves(found: Simulation) -> Iterator[RenderableType]:
    if len(found.orders) < 2:
        return
    if not found.reads:
        yield heading("rows that would gain in another order", "what they read is not known here")
        yield line("  give the same job made with `edges: lineage` as well (docs/simulate.md)")
        return
    yield heading("rows that would gain in another order", f"by the reads of {found.reads}")
    if not found.moves:
        yield line("  none: no row alone makes the job end earlier")
    for number, move in enumerate(found.moves, 1):
        then = "then " if number > 1 else ""
        yield line(f"  {number}. {then}{move.key}: order {move.old} -> {move.new}, {duration(move.gain)} less")


def _table(*names: str) -> Table:
    """Columns by their headings; `>` at the end of one sets it to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for name in names:
        table.add_column(name.rstrip(">"), justify="right" if name.endswith(">") else "left")
    return table


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(clean(cell)) for cell in cells))


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m monitor simulate",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = made.add_argument
    files = "the job, and others to compare it with: resources/<layer>.job.yml"
    add("job_files", nargs="+", type=Path, metavar="JOB_FILE", help=files)
    source = f"how long the tables take: a .csv as monitor writes it, or a run, as monitor takes it ({_DURATIONS})"
    add("--durations", type=Path, default=_DURATIONS, metavar="FILE|RUN", help=source)
    number = f"so many at once: threads, lanes, slots of a cluster; more than one, separated by commas ({_AT_ONCE})"
    add("--at-once", type=_numbers, default=(_AT_ONCE,), metavar="N,...", help=number)
    start = "what the start of a task adds in a native job (as in the run; 0 with a file)"
    add("--start-seconds", type=_seconds, metavar="S", help=start)
    return made


def _numbers(text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",")]
    if not all(word.isdigit() and int(word) > 0 for word in words):
        raise argparse.ArgumentTypeError(f"expected whole numbers from 1, separated by commas, found {text!r}")
    return tuple(dict.fromkeys(int(word) for word in words))


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, found {text!r}")
    return value
