"""What stands at the end of a run: the failed tasks with the end of their output, the summary, one last line."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from localjobs.call import HEADER
from localjobs.job import WheelTask
from localjobs.progress import duration
from localjobs.record import RunRecord, TaskRun
from localjobs.runif import SUCCEEDED

_TAIL_LINES = 12
_SHOWN = 10
_SUMMARY_FAILED = "RunFailed: "


def report(record: RunRecord, workspace: Path) -> str:
    """The text for a person who did not watch.

    Where the job's summary ran, its output stands here in full and tells of the failures; else the end of each
    failed task's output does.
    """
    every = list(_records(record))
    failed = [(of, run) for of in every for run in of.runs.values() if _failed(of, run)]
    summary = [line for of in every for line in _summary(of)]
    tails = [] if summary else [line for of, run in failed[:_SHOWN] for line in _tail(of, run)]
    logs = [f"{run.result_state} {run.task.task_key}: {_log(of, run)}" for of, run in failed]
    not_run = [line for of in every for line in _not_run(of)]
    return "\n".join([*tails, *summary, *logs, *not_run, *_remedy(record, workspace), _last_line(record, workspace)])


def _records(record: RunRecord) -> Iterator[RunRecord]:
    """The run's and those of the child jobs that its tasks ran."""
    yield record
    for child in record.children.values():
        yield from _records(child)


def _failed(record: RunRecord, run: TaskRun) -> bool:
    """Whether the task has output that tells of a failure; where it ran a child, that has it."""
    own = run.task.task_key not in record.children and not _summarizes(run)
    return own and run.result_state in ("FAILED", "TIMEDOUT")


def _tail(record: RunRecord, run: TaskRun) -> list[str]:
    lines = _output(record, run)[-_TAIL_LINES:] or [run.state_message]
    return [f"{run.task.task_key} {run.result_state}", *(f"    {line}" for line in lines), ""]


def _not_run(record: RunRecord) -> Iterator[str]:
    for result in ("UPSTREAM_FAILED", "UPSTREAM_CANCELED", "CANCELED", "DISABLED"):
        keys = [key for key, run in record.runs.items() if run.result_state == result and not run.start_time]
        if keys:
            more = f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else ""
            yield f"not run, {result}: {', '.join(keys[:_SHOWN])}{more}"


def _summary(record: RunRecord) -> Iterator[str]:
    for run in record.runs.values():
        if _summarizes(run) and run.start_time:
            yield from _without_traceback(_output(record, run))
            yield ""


def _summarizes(run: TaskRun) -> bool:
    body = run.task.body
    return isinstance(body, WheelTask) and body.entry_point == "summarize"


def _without_traceback(lines: list[str]) -> list[str]:
    """The summary raises when a task failed; where it did so is no news."""
    begins = next((n for n, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")), None)
    if begins is None:
        return lines
    raised = next((n for n in range(begins + 1, len(lines)) if lines[n] and not lines[n].startswith(" ")), len(lines))
    if raised < len(lines) and _SUMMARY_FAILED in lines[raised]:
        return lines[:begins] + lines[raised : raised + 1]  # its message repeats the causes
    return lines[:begins] + lines[raised:]


def _output(record: RunRecord, run: TaskRun) -> list[str]:
    """The lines of the latest attempt."""
    log = _log(record, run)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    begins = max((n for n, line in enumerate(lines) if line.startswith(HEADER)), default=-1)
    return lines[begins + 1 :]


def _log(record: RunRecord, run: TaskRun) -> Path:
    return record.file.parent / f"{run.task.task_key}.log"


def _last_line(record: RunRecord, workspace: Path) -> str:
    took = duration(record.end_time / 1000 - record.began.timestamp())
    why = f" ({record.state_message})" if record.state_message else ""
    which = f"run {record.run_id}{f', repair {record.past.repair_id},' if record.past else ''}"
    return f"{which} {record.result_state}{why} in {took}; record: {workspace}/runs/{record.run_id}/run.json"


def _remedy(record: RunRecord, workspace: Path) -> Iterator[str]:
    """What to type once the cause is mended."""
    if any(run.result_state not in SUCCEEDED for run in record.runs.values()):
        yield f"once mended: python -m localjobs repair {record.run_id} --workspace {shlex.quote(str(workspace))}"
