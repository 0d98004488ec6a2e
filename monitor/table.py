"""One task of a run with all that is known of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from monitor.evidence import Evidence
from monitor.graph import levels
from monitor.run import Attempt, Fate, Kind, Task
from monitor.run_log import History, Load
from monitor.text import ago

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_RULE = re.compile(r"\s*[-=─]{5,}\s*")  # what IPython draws above a trace
_LINE = 200  # characters of a cause
_RAISED = re.compile(r"((?:\w+\.)*)\w*(?:Error|Exception|Interrupt|Failed|Exit)\b")  # a name; [1]: its module


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


def tables_of(evidence: Evidence, history: History, on_path: set[str]) -> tuple[TableReport, ...]:
    """Every task of the run, gates and the summary too, in the record's order."""
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
    """The run log's, else what the task put out; with the state's message where the load did not end by itself."""
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
    >>> cause_of("-----\n\x1b[31mKeyError\x1b[0m   Traceback (most recent call last)\n\x1b[31mKeyError\x1b[0m: x")
    'KeyError: x'
    """
    lines = [line for line in _ANSI.sub("", error).splitlines() if not _RULE.fullmatch(line)]
    raised = [line for line in lines if _RAISED.match(line)]
    begins = next((line.strip() for line in lines if line.strip()), "")
    trace = begins.startswith("Traceback") or "Traceback (most recent call last)" in begins
    line = raised[-1].strip() if trace and raised else begins
    line = line.removeprefix(found[1]) if (found := _RAISED.match(line)) else line
    return line if len(line) <= _LINE else f"{line[: _LINE - 4]} ..."
