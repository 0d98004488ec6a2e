"""What there is to say of a run: what failed, what that holds up, what to do, what is slow, what is new. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from monitor.changes import changes_of
from monitor.evidence import Evidence
from monitor.failure import Failure, counts_as_failed, failures_of
from monitor.graph import Step, critical_path
from monitor.run import Run
from monitor.run_log import History
from monitor.table import TableReport, tables_of
from monitor.text import duration, first_line, instant, listed, plural

_SLOWEST = 5
_UNLOGGED = "NotLoggedError"


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

    @property
    def tables(self) -> tuple[TableReport, ...]:
        return tuple(task for task in self.tasks if task.kind == "table")


def report_of(evidence: Evidence) -> Report:
    """Everything at once; nothing is read or asked for here."""
    run, now = evidence.run, evidence.now
    history = History(run_id=str(run.run_id), loads=evidence.loads or ())
    path = critical_path(run, now)
    tasks = tables_of(evidence, history, {step.task_key for step in path})
    tables = [task for task in tasks if task.kind == "table"]
    failed = [task for task in tasks if counts_as_failed(task, tables)]
    failures = failures_of(run, tasks, failed)
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
        changes=tuple(changes_of(evidence, history, tables)),
        compared=_compared(evidence),
        path=path,
        slowest=tuple(sorted((t for t in tables if t.start), key=lambda t: -t.seconds)[:_SLOWEST]),
        tasks=tasks,
        notes=(*evidence.notes, *_left_out(run), *_tried_again(tasks), *_without_log(evidence)),
    )


def _verdict(evidence: Evidence, tables: Sequence[TableReport], failed: Sequence[TableReport]) -> str:
    run = evidence.run
    about = f"{run.layer}, {'dry run' if run.is_dry else 'run'} {run.run_id}"
    done = "looked at, nothing written" if run.is_dry else "loaded"
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
        return f"{about}: {plural(len(skipped), 'table')} not {done}"
    if run.state.fate == "failed":
        return f"{about} {run.state.word}{': ' if run.state.message else ''}{first_line(run.state.message)}"
    loaded = sum(table.fate == "succeeded" for table in tables)
    share = f"{loaded} of " if loaded < len(tables) else "all " if loaded > 1 else ""
    return f"{about}: {share}{plural(len(tables), 'table')} {done}"


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


def _to_do(evidence: Evidence, failures: Sequence[Failure], tables: Sequence[TableReport]) -> tuple[str, ...]:
    skipped = any(table.fate == "skipped" and table.word.startswith("UPSTREAM") for table in tables)
    if evidence.run.going_on and failures and not evidence.killed:
        return ("mend what the errors say; the run is still going on, run again what failed when it has ended",)
    if not failures and not skipped and not evidence.killed and evidence.run.state.fate != "failed":
        return ()
    ours = all(table.target for failure in failures for table in failure.tables)  # of a notebook one cannot know
    mend = f"mend what the errors say (in full below){_written(failures) if ours else ''}"
    return (*([mend] if failures else []), *evidence.again)


def _written(failures: Sequence[Failure]) -> str:
    """What the tables of failed loads hold: a load that could not be logged was written before."""
    tables = [table for failure in failures for table in failure.tables]
    unlogged = [table.key for table in tables if _UNLOGGED in table.error]
    if not unlogged:
        return "; nothing of a failed load was written"
    rest = "; nothing of the others was written" if len(unlogged) < len(tables) else ""
    return f"; loaded, but not logged: {listed(unlogged)}, whose next load finds its rows unchanged and logs{rest}"


def _compared(evidence: Evidence) -> str:
    good = evidence.good
    if good is None:
        return "no earlier run of this job that succeeded is known here"
    took = duration((good.end - good.start) / 1000)
    return f"run {good.run_id} of {instant(good.start)}, which took {took}"


def _left_out(run: Run) -> list[str]:
    """The rows of an unknown execution_pipeline, which `on_unknown_pipeline: skip` leaves out of the job."""
    told = next((t.parameters.get("skipped", "") for t in run.tasks if t.kind == "summary"), "")
    try:
        skipped = json.loads(told) if told else {}
    except ValueError:
        return []
    if not isinstance(skipped, dict) or not skipped:
        return []
    names = listed([f"{key} ({pipeline})" for key, pipeline in sorted(skipped.items())], 6)
    return [f"left out of the job, their execution_pipeline is unknown: {names}"]


def _tried_again(tasks: Iterable[TableReport]) -> list[str]:
    """What has failed, though it may yet go well."""
    return [
        f"{task.key} has failed and is tried again (attempt {task.attempt}): {task.cause}"
        for task in tasks
        if task.error and task.fate in ("running", "waiting")
    ]


def _without_log(evidence: Evidence) -> list[str]:
    return [f"no counts: {evidence.without_log}"] if evidence.loads is None and evidence.without_log else []
