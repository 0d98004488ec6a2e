"""What there is to say of a run: what failed, what that holds up, what to do, what is slow, what is new. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from monitor.evidence import Evidence
from monitor.graph import Dependents, Step, critical_path, levels
from monitor.run import Attempt, Fate, Kind, Run, Task
from monitor.run_log import History, Load
from monitor.text import ago, duration, first_line, instant, listed, plural

_SLOWER, _SLOWER_BY = 1.5, 5.0  # a table is slower from this ratio on, if that is at least so many seconds
_MORE_ROWS, _FEW_ROWS = 5, 100  # rows read differ from this ratio on, unless both are few
_SLOWEST = 5
_LINE = 200  # characters of a cause
_RAISED = re.compile(
    r"((?:\w+\.)*)\w*(?:Error|Exception|Interrupt|Failed|Exit)\b"
)  # the name of an exception, [1]: its module


@dataclass(frozen=True, slots=True, kw_only=True)
class TableReport:
    """A task of the run. Times are milliseconds since the epoch, 0 where there is none; seconds until now if it runs.

    `usual` is how many seconds it took in the last good run, or else usually by the run log. `error` is all that is
    known of the failure, `cause` one line of it.
    """

    key: str
    kind: Kind
    level: int
    word: str
    fate: Fate
    start: int
    end: int
    seconds: float
    attempt: int
    earlier: tuple[Attempt, ...]
    depends_on: tuple[str, ...]
    pipeline: str = ""
    target: str = ""
    counts: Mapping[str, int] | None = None
    watermark_from: str = ""
    watermark_to: str = ""
    usual: float | None = None
    error: str = ""
    cause: str = ""
    url: str = ""
    log: str = ""
    last_loaded: str = ""
    last_loaded_at: int = 0
    row_changed: bool = False
    on_path: bool = False


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that the pictures show, in the order in which a person needs it. `tasks` include gates and the summary."""

    run: Run
    now: int
    verdict: str
    bad: bool
    figures: str
    failures: tuple[Failure, ...]
    to_do: tuple[str, ...]
    running: tuple[TableReport, ...]
    changes: tuple[str, ...]
    compared: str
    path: tuple[Step, ...]
    slowest: tuple[TableReport, ...]
    tasks: tuple[TableReport, ...]
    notes: tuple[str, ...]
    tables: tuple[TableReport, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tables", tuple(task for task in self.tasks if task.kind == "table"))


def report_of(evidence: Evidence) -> Report:
    """Everything at once; nothing is read or asked for here."""
    run, now = evidence.run, evidence.now
    history = History(run_id=str(run.run_id), loads=evidence.loads or ())
    path = critical_path(run, now)
    tasks = _tasks(evidence, history, {step.task_key for step in path})
    tables = [task for task in tasks if task.kind == "table"]
    failed = [task for task in tasks if _counts_as_failed(task, tables)]
    failures = _failures(run, tasks, failed)
    upstream = any(table.word.startswith("UPSTREAM") for table in tables)
    return Report(
        run=run,
        now=now,
        verdict=_verdict(evidence, tables, failed),
        bad=bool(failed) or upstream or evidence.killed or run.state.fate == "failed",
        figures=_figures(run, tables, now),
        failures=failures,
        to_do=_to_do(evidence, failures, tables),
        running=tuple(sorted((t for t in tasks if t.fate == "running"), key=lambda t: -t.seconds)),
        changes=tuple(_changes(evidence, history, tables)),
        compared=_compared(evidence),
        path=path,
        slowest=tuple(sorted((t for t in tables if t.start), key=lambda t: -t.seconds)[:_SLOWEST]),
        tasks=tasks,
        notes=(*evidence.notes, *_tried_again(tasks), *_without_log(evidence)),
    )


def _tasks(evidence: Evidence, history: History, on_path: set[str]) -> tuple[TableReport, ...]:
    run, places = evidence.run, levels(evidence.run)
    last = max(places.values())
    usual = {task.key: _seconds(task, 0) for task in (evidence.good.tasks if evidence.good else ())}
    return tuple(
        _task(
            task,
            evidence,
            history,
            level=last if task.kind == "summary" else places[task.key],
            usual=usual.get(task.key) or history.usual_seconds(task.key, run.start),
            on_path=task.key in on_path,
        )
        for task in run.tasks
    )


def _task(
    task: Task, evidence: Evidence, history: History, *, level: int, usual: float | None, on_path: bool
) -> TableReport:
    attempt, load = task.last, history.of_run(task.key)
    before = history.last_success(task.key, evidence.run.start)
    again = attempt.number > 1 and task.fate in ("running", "waiting")
    error = _error(task, load, evidence) if task.fate == "failed" or again else ""
    return TableReport(
        key=task.key,
        kind=task.kind,
        level=level,
        word=attempt.state.word,
        fate=task.fate,
        start=attempt.start,
        end=attempt.end,
        seconds=_seconds(task, evidence.now),
        attempt=attempt.number,
        earlier=tuple(a for a in task.attempts[:-1] if a.start),
        depends_on=task.depends_on,
        pipeline=(load.pipeline if load else "") or task.parameters.get("execution_pipeline", ""),
        target=(load.target if load else "") or task.parameters.get("target_table", ""),
        counts=load.counts if load and load.succeeded else None,
        watermark_from=load.watermark_from if load else "",
        watermark_to=load.watermark_to if load else "",
        usual=usual,
        error=error,
        cause=cause_of(error),
        url=attempt.url,
        log=evidence.logs.get(task.key, ""),
        last_loaded=f"{ago((evidence.now - before.end) / 1000)} ago by run {before.run_id}" if before else "",
        last_loaded_at=before.end if before else 0,
        row_changed=bool(load and before and load.wheel == before.wheel and load.row_hash != before.row_hash),
        on_path=on_path,
    )


def _seconds(task: Task, now: int) -> float:
    start, end = task.last.start, task.last.end or (now if task.fate in ("running", "waiting") else 0)
    return (end - start) / 1000 if start and end > start else 0.0


def _error(task: Task, load: Load | None, evidence: Evidence) -> str:
    """The run log's, else what the task put out; with the state's message where it was not the load that ended itself."""
    logged = load.error if load and not load.succeeded else ""
    told = (logged or evidence.outputs.get(task.key, "")).strip()
    message = task.last.state.message or (task.attempts[-2].state.message if len(task.attempts) > 1 else "")
    if told and task.last.state.word not in ("TIMEDOUT", "CANCELED"):
        return told
    return "\n".join(text for text in (message, told) if text) or "no message, and no row in the run log"


def cause_of(error: str) -> str:
    r"""The one line that says what went wrong: of a traceback the last that is not indented, else the first.

    >>> cause_of("Traceback (most recent call last):\n  File ...\nspark.errors.ParseException: no such column\n\n")
    'ParseException: no such column'
    """
    raised = [line for line in error.splitlines() if _RAISED.match(line)]
    line = raised[-1].strip() if error.lstrip().startswith("Traceback") and raised else first_line(error)
    line = line.removeprefix(found[1]) if (found := _RAISED.match(line)) else line
    return line if len(line) <= _LINE else f"{line[: _LINE - 4]} ..."


def _counts_as_failed(task: TableReport, tables: Sequence[TableReport]) -> bool:
    """The summary fails when a table does: then it is no news."""
    told = any(t.fate in ("failed", "skipped") for t in tables)
    return task.fate == "failed" and not (task.kind == "summary" and told)


def _verdict(evidence: Evidence, tables: Sequence[TableReport], failed: Sequence[TableReport]) -> str:
    run = evidence.run
    about = f"{run.layer}, run {run.run_id}"
    bad = [task for task in failed if task.kind == "table"]
    skipped = [table for table in tables if table.word.startswith("UPSTREAM")]
    if bad:
        so_far = " before it was killed" if evidence.killed else " so far" if run.going_on else ""
        return (
            f"{about}: {len(bad)} of {plural(len(tables), 'table')} failed{so_far}: {listed([t.key for t in bad], 6)}"
        )
    if failed:
        return f"{about}: {listed([task.key for task in failed], 6)} failed"
    if evidence.killed:
        return f"{about} was killed before it ended"
    if run.going_on:
        return f"{about}: no table has failed so far"
    if skipped:
        return f"{about}: {plural(len(skipped), 'table')} not loaded"
    if run.state.fate == "failed":
        return f"{about} {run.state.word}{': ' if run.state.message else ''}{first_line(run.state.message)}"
    loaded = sum(table.fate == "succeeded" for table in tables)
    all_of_them = "all " if loaded == len(tables) else f"{loaded} of "
    return f"{about}: {all_of_them}{plural(len(tables), 'table')} loaded"


def _figures(run: Run, tables: Sequence[TableReport], now: int) -> str:
    fates = [table.fate for table in tables]
    many = {fate: fates.count(fate) for fate in ("succeeded", "failed", "skipped", "running", "waiting")}
    processed = len(tables) - many["running"] - many["waiting"]
    ahead = f", running {many['running']}, waiting {many['waiting']}" if processed < len(tables) else ""
    took = duration(((run.end or now) - run.start) / 1000)
    when = f"started {instant(run.start)}, {took} {'so far' if run.going_on else 'in all'}"
    again = f", repaired {plural(run.repairs, 'time')}" if run.repairs else ""
    return (
        f"processed {processed}, successful {many['succeeded']}, failed {many['failed']}, skipped {many['skipped']}"
        f"{ahead}; {when}{again}"
    )


def _failures(run: Run, tasks: Sequence[TableReport], failed: Sequence[TableReport]) -> tuple[Failure, ...]:
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


def _to_do(evidence: Evidence, failures: Sequence[Failure], tables: Sequence[TableReport]) -> tuple[str, ...]:
    skipped = any(table.fate == "skipped" and table.word.startswith("UPSTREAM") for table in tables)
    if evidence.run.going_on and failures and not evidence.killed:
        return ("mend what the errors say; the run is still going on, run again what failed when it has ended",)
    if not failures and not skipped and not evidence.killed and evidence.run.state.fate != "failed":
        return ()
    mend = "mend what the errors say (in full below); nothing of a failed load was written"
    return (*([mend] if failures else []), *evidence.again)


def _compared(evidence: Evidence) -> str:
    good = evidence.good
    if good is None:
        return "no earlier run of this job that succeeded is known here"
    took = duration((good.end - good.start) / 1000)
    return f"run {good.run_id} of {instant(good.start)}, which took {took}"


def _changes(evidence: Evidence, history: History, tables: Sequence[TableReport]) -> Iterator[str]:
    """What is different from the last good run; what a night brings anyway is left out."""
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
        if table.usual and table.seconds >= _SLOWER * table.usual and table.seconds - table.usual >= _SLOWER_BY
    ]
    for ratio, table in sorted(ratios, key=lambda pair: (pair[1].usual or 0) - pair[1].seconds)[:5]:
        yield f"slower: {table.key} {duration(table.seconds)}, then {duration(table.usual or 0)} ({ratio:.1f} times)"
    if len(ratios) > 5:
        yield f"slower: {len(ratios) - 5} more"


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
    yield from found[:5]
    if len(found) > 5:
        yield f"rows read: {len(found) - 5} more"


def _tried_again(tasks: Iterable[TableReport]) -> list[str]:
    """What has failed, though it may yet go well."""
    return [
        f"{task.key} has failed and is tried again (attempt {task.attempt}): {task.cause}"
        for task in tasks
        if task.error and task.fate in ("running", "waiting")
    ]


def _without_log(evidence: Evidence) -> list[str]:
    return [f"no counts: {evidence.without_log}"] if evidence.loads is None and evidence.without_log else []
