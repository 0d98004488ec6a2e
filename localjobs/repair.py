"""What a repair takes over from the run that it repairs: read from the run's record, which may be cut short."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from localjobs.graph import followers
from localjobs.job import Job
from localjobs.problem import ProblemsError, UsageError
from localjobs.runif import SUCCEEDED

_KILLED = "localjobs was killed"
Element = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A run before its repair.

    `attempts` are what the record's `tasks` say of each task's attempts so far, `kept` the tasks that are not run
    again, `next_number` where the attempts of the others go on. `history` is the record's `repair_history` so far.
    """

    attempts: Mapping[str, tuple[Element, ...]]
    kept: frozenset[str]
    next_number: Mapping[str, int]
    history: tuple[Element, ...]
    began: datetime

    def succeeded(self, task_key: str) -> bool:
        """Return whether a task had succeeded before."""
        return _succeeded(self.attempts[task_key])

    @property
    def repair_id(self) -> int:
        """The number of the repair that follows."""
        return len(self.history)

    @property
    def last_id(self) -> int:
        """The highest of the attempts' own numbers in their run's id."""
        ids = (element["run_id"] % 10_000 for elements in self.attempts.values() for element in elements)
        return max(ids, default=0)


def read_record(file: Path) -> dict[str, Any]:
    """The record of a run; raises ProblemsError where there is none that can be repaired."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(int(folder.name) for folder in file.parent.parent.glob("*") if folder.name.isdigit())
        has = f"its latest is {known[-1]}" if known else "it has none"
        raise UsageError([f"{file.parent.parent}: has no run {file.parent.name} ({has})"]) from None
    except OSError as error:
        raise ProblemsError([f"{file}: cannot be read: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:
        raise ProblemsError([f"{file}: is no run record: not valid JSON: {error}"]) from None
    if not isinstance(document, dict) or not isinstance(document.get("tasks"), list):
        raise ProblemsError([f"{file}: is no run record: expected an object with the run's tasks"])
    if document.get("trigger") == "RUN_JOB_TASK":
        parent = int(document["trigger_info"]["run_id"]) // 10_000
        raise UsageError([f"run {document['run_id']} was started by a task of run {parent}: repair that one"])
    return document


def past_of(document: Mapping[str, Any], job: Job, last_written: int, began: datetime) -> Past:
    """What of a run's record a repair of it keeps: the tasks that succeeded, unless they wait for one that did not.

    Of those a load is kept, too, if nothing that it reads has changed, which is known when its turn comes.

    `last_written` is when the record was, in milliseconds: for an attempt without an end nobody knows more.
    """
    listed: dict[str, list[Element]] = {task.task_key: [] for task in job.tasks}
    for element in document["tasks"]:
        if element["task_key"] in listed:
            listed[element["task_key"]].append(element)
    open_ones = [key for key, elements in listed.items() if not _succeeded(elements)]
    again = followers(job, open_ones)
    if not again:
        raise UsageError([f"run {document['run_id']} has nothing to repair: every task succeeded"])
    attempts = {key: _attempts(elements, last_written) for key, elements in listed.items()}
    return Past(
        attempts=attempts,
        kept=frozenset(listed.keys() - again),
        next_number={key: 1 + max((a["attempt_number"] for a in attempts[key]), default=-1) for key in again},
        history=tuple(_history(document, last_written)),
        began=began,
    )


def _succeeded(elements: Sequence[Element]) -> bool:
    return bool(elements) and elements[-1]["state"].get("result_state") in SUCCEEDED


def _attempts(elements: Iterable[Element], last_written: int) -> tuple[Element, ...]:
    """The attempts that were made or decided; one that was going on when the run was killed has ended with it."""
    ended = {"end_time": last_written, "state": _state("CANCELED")}
    return tuple(
        element if element["state"].get("result_state") else {**element, **ended}
        for element in elements
        if element["state"].get("result_state") or element["start_time"]
    )


def _history(document: Mapping[str, Any], last_written: int) -> list[Element]:
    """The run and its repairs so far; whatever was going on last has ended."""
    original = {
        "type": "ORIGINAL",
        "start_time": document["start_time"],
        "task_run_ids": [element["run_id"] for element in document["tasks"]],
    }
    *earlier, last = document.get("repair_history") or [original]
    ended = document["state"].get("result_state")
    how = {"state": document["state"] if ended else _state("FAILED")}
    return [*earlier, {**last, "end_time": document["end_time"] or last_written, **how}]


def _state(result: str) -> dict[str, str]:
    return {"life_cycle_state": "TERMINATED", "result_state": result, "state_message": _KILLED}
