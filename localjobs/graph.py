"""The order of a job's tasks: what is wrong with it, a selection from it, and what may start next. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

from laketasks.spec import did_you_mean
from localjobs.job import ConditionTask, Dependency, Job, Task
from localjobs.problem import UsageError
from localjobs.runif import verdict


def order_problems(job: Job) -> list[str]:
    """Dependencies on tasks that do not exist, outcomes of tasks that have none, cycles."""
    tasks = {task.task_key: task for task in job.tasks}
    problems = [problem for task in job.tasks for problem in _dependency_problems(task, tasks)]
    try:
        TopologicalSorter({key: {d.task_key for d in task.depends_on} for key, task in tasks.items()}).prepare()
    except CycleError as error:
        problems.append(f"tasks wait for one another: {' <- '.join(error.args[1])}; take one depends_on away")
    return problems


def _dependency_problems(task: Task, tasks: Mapping[str, Task]) -> Iterator[str]:
    for dependency in task.depends_on:
        key = dependency.task_key
        if key not in tasks:
            yield f"task {task.task_key} depends_on: there is no task {key}{did_you_mean(key, tasks)}"
        elif dependency.outcome and not isinstance(tasks[key].body, ConditionTask):
            yield f"task {task.task_key} depends_on: {key} is no condition_task, so it has no outcome"


def select(job: Job, only: Sequence[str]) -> Job:
    """The job with the named tasks only: `a`, `+a` with all that it waits for, `a+` with all that waits for it.

    In place of a task that is not selected, what it waited for is waited for: the order stays.
    """
    before = {task.task_key: [d.task_key for d in task.depends_on] for task in job.tasks}
    keys = {word.strip("+") for word in only}
    unknown = sorted(key for key in keys if key not in before)
    if unknown:
        raise UsageError(f"--only: there is no task {key}{did_you_mean(key, before)}" for key in unknown)
    chosen = set(keys)
    chosen |= _reach(before, (word.strip("+") for word in only if word.startswith("+")))
    chosen |= _reach(_turned(before), (word.strip("+") for word in only if word.endswith("+")))
    nearest = _nearest(before, chosen)
    return replace(job, tasks=tuple(_joined(t, chosen, nearest) for t in job.tasks if t.task_key in chosen))


def followers(job: Job, keys: Iterable[str]) -> set[str]:
    """These tasks and all that wait for one of them."""
    return _reach(_turned({task.task_key: [d.task_key for d in task.depends_on] for task in job.tasks}), keys)


def _nearest(before: Mapping[str, Iterable[str]], chosen: set[str]) -> dict[str, set[str]]:
    """For each task the chosen ones that it waits for, directly or through others."""
    nearest: dict[str, set[str]] = {}
    for key in TopologicalSorter(before).static_order():
        nearest[key] = set().union(*({other} if other in chosen else nearest[other] for other in before[key]))
    return nearest


def _joined(task: Task, chosen: set[str], nearest: Mapping[str, set[str]]) -> Task:
    kept = [d for d in task.depends_on if d.task_key in chosen]
    others = sorted(nearest[task.task_key] - {d.task_key for d in kept})
    return replace(task, depends_on=(*kept, *(Dependency(task_key=key) for key in others)))


def _turned(before: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    after: dict[str, list[str]] = {key: [] for key in before}
    for key, others in before.items():
        for other in others:
            after[other].append(key)
    return after


def _reach(edges: Mapping[str, Iterable[str]], starts: Iterable[str]) -> set[str]:
    found: set[str] = set()
    ahead = list(starts)
    while ahead:
        key = ahead.pop()
        if key not in found:
            found.add(key)
            ahead.extend(edges[key])
    return found


class Order:
    """Follows a run: told how each task ended, it says which tasks are next and what becomes of them."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.results: dict[str, str] = {}
        self.outcomes: dict[str, str] = {}
        self._tasks = {task.task_key: task for task in tasks}
        self._after = _turned({task.task_key: {d.task_key for d in task.depends_on} for task in tasks})
        self._open = {task.task_key: len({d.task_key for d in task.depends_on}) for task in tasks}

    @property
    def leaves(self) -> set[str]:
        return {key for key, after in self._after.items() if not after}

    def first(self, ended: Mapping[str, tuple[str, str]] | None = None) -> list[tuple[str, str]]:
        """The tasks that wait for none, each with its verdict (see `runif.verdict`).

        `ended` are tasks that ended before, with their results and outcomes; nothing waits for them any more.
        """
        for key, (result, outcome) in (ended or {}).items():
            self.finish(key, result, outcome, judge=False)
        return [(key, self._verdict(key)) for key, n in self._open.items() if n == 0 and key not in self.results]

    def finish(self, task_key: str, result: str, outcome: str = "", *, judge: bool = True) -> list[tuple[str, str]]:
        """Note how a task ended; the tasks that waited for this one alone, each with its verdict."""
        self.results[task_key] = result
        self.outcomes[task_key] = outcome
        for key in self._after[task_key]:
            self._open[key] -= 1
        return [(key, self._verdict(key)) for key in self._after[task_key] if judge and self._open[key] == 0]

    def _verdict(self, key: str) -> str:
        task = self._tasks[key]
        if task.disabled:
            return "DISABLED"
        upstream = [self._seen(d.task_key, d.outcome) for d in task.depends_on]
        return verdict(task.run_if, upstream)

    def _seen(self, key: str, outcome: str) -> str:
        result = self.results[key]
        return "EXCLUDED" if result == "SUCCESS" and outcome and outcome != self.outcomes[key] else result
