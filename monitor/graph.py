"""What waits for what in a run: levels, who depends on whom, the path that the run's length comes from. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from monitor.run import Run, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A task of the critical path; `waited` is the time (ms) between what it waited for and its start."""

    task_key: str
    start: int
    end: int
    waited: int

    @property
    def took(self) -> int:
        return self.end - self.start


def cycle(run: Run) -> str:
    """The tasks that wait for one another, if any do."""
    try:
        TopologicalSorter({task.key: task.depends_on for task in run.tasks}).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def levels(run: Run) -> dict[str, int]:
    """For each task how many tables, itself included, its longest chain has.

    A gate stands on the level that it closes. With barriers and gates a level is an order; the first is 1.
    """
    tasks = {task.key: task for task in run.tasks}
    found: dict[str, int] = {}
    for key in TopologicalSorter({task.key: task.depends_on for task in run.tasks}).static_order():
        before = max((found[other] for other in tasks[key].depends_on), default=0)
        found[key] = before + (tasks[key].kind != "gate")
    return found


class Dependents:
    """Who waits for a task, through others too.

    Sets of tasks are bits of a number: 1,000 tasks that all wait for all of the previous order are 300,000 edges.
    """

    def __init__(self, run: Run) -> None:
        self._keys = [task.key for task in run.tasks]
        self._place = {key: n for n, key in enumerate(self._keys)}
        self._after = dict.fromkeys(self._keys, 0)
        upstream = {task.key: task.depends_on for task in run.tasks}
        for key in reversed([*TopologicalSorter(upstream).static_order()]):
            reached = self._after[key] | 1 << self._place[key]
            for other in upstream[key]:
                self._after[other] |= reached

    def of(self, task_key: str) -> list[str]:
        """In the record's order."""
        bits = self._after[task_key]
        return [key for key, place in self._place.items() if bits >> place & 1]


def critical_path(run: Run, now: int) -> tuple[Step, ...]:
    """From the task that ended last back to the first: before each, the one that it waited for longest.

    What would have to get faster for the run to end earlier. Tasks that run end `now`.
    """
    tasks = {task.key: task for task in run.tasks}
    started = [task for task in run.tasks if task.last.start]
    at = max(started, key=lambda task: _end(task, now), default=None)
    path: list[Step] = []
    while at is not None:
        before = max(_started(at, tasks), key=lambda task: _end(task, now), default=None)
        free = _end(before, now) if before else run.start
        # Attempts before what it waited for had ended are from before a repair.
        start = next((attempt.start for attempt in at.attempts if attempt.start >= free), at.last.start)
        path.append(Step(task_key=at.key, start=start, end=_end(at, now), waited=max(0, start - free)))
        at = before
    return tuple(reversed(path))


def _started(task: Task, tasks: Mapping[str, Task]) -> Iterator[Task]:
    """What a task waited for; through one that was skipped, what that waited for."""
    seen: set[str] = set()
    ahead: list[str] = [*task.depends_on]
    while ahead:
        key = ahead.pop()
        if key in seen:
            continue
        seen.add(key)
        if tasks[key].last.start:
            yield tasks[key]
        else:
            ahead.extend(tasks[key].depends_on)


def _end(task: Task, now: int) -> int:
    return task.last.end or now
