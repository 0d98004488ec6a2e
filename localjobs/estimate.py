"""How long a run still takes, by how long its tasks took in earlier runs of the job in the same workspace.

It ends no sooner than the longest chain of tasks that wait for one another, nor than all work shared by as many
tasks as may run at once. The larger of the two is told; a task that never succeeded counts as the median of the others.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from statistics import median

from localjobs.job import Task
from localjobs.record import RunRecord, TaskRun

_LOOKED_AT = 10  # earlier records


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Seconds that each task takes, and the longest chain behind it; by the task's identity. None is known: empty."""

    takes: Mapping[int, float]
    behind: Mapping[int, float]
    at_once: int

    def left(self, runs: Iterable[TaskRun], now: float) -> float | None:
        """Seconds from `now` (since the epoch) to the end; None where nothing is known."""
        chain = work = 0.0
        for run in runs:
            whole = self.takes.get(id(run.task))
            if whole is None or run.ended:
                continue
            going_on = run.life_cycle_state == "RUNNING"
            rest = max(0.0, whole - (now - run.start_time / 1000)) if going_on else whole
            chain, work = max(chain, rest + self.behind[id(run.task)]), work + rest
        return max(chain, work / self.at_once) if self.takes else None


def estimate(tasks: Sequence[Task], took: Mapping[str, float], at_once: int) -> Estimate:
    """What is to be expected of tasks; `took` are seconds by task key."""
    if not took:
        return Estimate(takes={}, behind={}, at_once=at_once)
    usual = median(took.values())
    takes = {task.task_key: took.get(task.task_key, usual) for task in tasks}
    waits = {task.task_key: {dependency.task_key for dependency in task.depends_on} for task in tasks}
    behind = dict.fromkeys(takes, 0.0)
    for key in reversed([*TopologicalSorter(waits).static_order()]):
        for before in waits[key]:
            behind[before] = max(behind[before], takes[key] + behind[key])
    ids = {task.task_key: id(task) for task in tasks}
    return Estimate(
        takes={ids[key]: seconds for key, seconds in takes.items()},
        behind={ids[key]: seconds for key, seconds in behind.items()},
        at_once=at_once,
    )


def earlier(record: RunRecord) -> dict[str, float]:
    """Seconds that each task took when it last succeeded, of the newest runs of the job before this one."""
    runs = record.file.parent.parent
    found = [folder for folder in runs.iterdir() if folder.name.isdigit() and int(folder.name) < record.run_id]
    took: dict[str, float] = {}
    for folder in sorted(found, key=lambda folder: int(folder.name))[-_LOOKED_AT:]:
        took |= _seconds(folder / record.file.name, record.job_id)
    return took


def _seconds(file: Path, job_id: int) -> dict[str, float]:
    """Of a record that cannot be read, is another job's or of a dry run, nothing."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        dry = {"name": "dry_run", "value": "true"}.items()
        if document["job_id"] != job_id or any(dry <= told.items() for told in document["job_parameters"]):
            return {}
        ended = [task for task in document["tasks"] if task["state"].get("result_state") == "SUCCESS"]
        return {task["task_key"]: (task["end_time"] - task["start_time"]) / 1000 for task in ended}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
