"""A job file as it says what waits for what: its tasks, their orders, and those of the child jobs that it runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from monitor.problem import ProblemsError
from monitor.run import Kind, kind_of, layer_of

_HEADING = re.compile(r"^ *# order (\d+):")  # what the generator writes above the tasks of an order
_KEY = re.compile(r"""^ *- task_key: (['"]?)(?P<key>[\w-]+)\1 *$""")
_CHILD = re.compile(r"\$\{resources\.jobs\.([\w-]+)\.id\}")
_MOST_DEEP = 3  # run_job_tasks below one another, as the Jobs service has it
_NAMED = 10  # problems of one kind


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTask:
    """A task of a job; `order` is that of its table, or of the tables before which it stands.

    A gate takes no time: a condition task, or the end of a child job.
    """

    key: str
    kind: Kind
    order: int
    after: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFile:
    """The job of a file, the tasks of its child jobs in place of those that run them; in the order of the file."""

    path: str
    layer: str
    tasks: tuple[JobTask, ...]

    @property
    def tables(self) -> tuple[JobTask, ...]:
        return tuple(task for task in self.tasks if task.kind == "table")

    @property
    def edges(self) -> int:
        return sum(len(task.after) for task in self.tasks)

    def waits(self) -> dict[str, frozenset[str]]:
        """The tables that each task waits for: itself, or through what is no table."""
        kinds = {task.key: task.kind for task in self.tasks}
        found: dict[str, frozenset[str]] = {}
        shared: dict[tuple[str, ...], frozenset[str]] = {}
        for task in in_order(self.tasks):
            if task.after not in shared:
                through = (found[key] for key in task.after if kinds[key] != "table")
                shared[task.after] = frozenset(k for k in task.after if kinds[k] == "table").union(*through)
            found[task.key] = shared[task.after]
        return found

    @property
    def keeps_orders(self) -> bool:
        """Whether every table waits for all tables of smaller orders, as with barriers, gates and lanes."""
        orders = {task.key: task.order for task in self.tables}
        waits = self.waits()
        before: dict[frozenset[str], frozenset[str]] = {}
        reached: dict[str, frozenset[str]] = {}
        for task in in_order(self.tables, waits):
            own = waits[task.key]
            if own not in before:
                before[own] = own.union(*{reached[key] for key in own})
            reached[task.key] = before[own]
        smaller = {order: {key for key, of in orders.items() if of < order} for order in set(orders.values())}
        return all(smaller[task.order] <= reached[task.key] for task in self.tables)


def in_order(tasks: Sequence[JobTask], waits: Mapping[str, frozenset[str]] | None = None) -> Iterator[JobTask]:
    """The tasks, each after what it waits for."""
    by_key = {task.key: task for task in tasks}
    graph = {task.key: waits[task.key] if waits else task.after for task in tasks}
    return (by_key[key] for key in TopologicalSorter(graph).static_order())


def read_job_file(path: Path) -> JobFile:
    """The job of a file; raises ProblemsError with all that is wrong with it."""
    document, text = _read(path)
    name, job = _job(path, document)
    tasks, orders = _tasks(path, job, text, ())
    problems = [f"{path}: task {key} stands twice" for key in _doubled(tasks)[:_NAMED]] or _order_problems(path, tasks)
    if problems:
        raise ProblemsError(problems)
    levels = _levels(tasks) if not all(orders.get(task.key) for task in tasks if task.kind == "table") else orders
    return JobFile(path=str(path), layer=name, tasks=tuple(_with_orders(tasks, levels)))


def _read(path: Path) -> tuple[object, str]:
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)), text  # noqa: S506 - a safe loader
    except OSError as error:
        raise ProblemsError([f"{path}: cannot be read: {error.strerror}"]) from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ProblemsError([f"{path}: not valid YAML: {' '.join(str(error).split())}"]) from None


def _job(path: Path, document: object) -> tuple[str, Mapping[str, Any]]:
    """The name of the one job of the file, and the job."""
    resources = document.get("resources") if isinstance(document, Mapping) else None
    jobs = resources.get("jobs") if isinstance(resources, Mapping) else None
    if not isinstance(jobs, Mapping) or len(jobs) != 1:
        raise ProblemsError([f"{path}: is no job file: expected one job under resources.jobs"])
    ((key, job),) = jobs.items()
    listed = job.get("tasks") if isinstance(job, Mapping) else None
    if not isinstance(listed, list) or not listed:
        raise ProblemsError([f"{path}: job {key} has no tasks"])
    wrong = [number for number, task in enumerate(listed, 1) if not _is_task(task)]
    if wrong:
        said = "has no task_key, or its depends_on is no list of {task_key}"
        raise ProblemsError(f"{path}: task number {number} {said}" for number in wrong[:_NAMED])
    return layer_of(str(job.get("name") or key)), job


def _is_task(task: object) -> bool:
    if not isinstance(task, Mapping) or not isinstance(task.get("task_key"), str):
        return False
    listed = task.get("depends_on") or []
    if not isinstance(listed, list):
        return False
    return all(isinstance(d, Mapping) and isinstance(d.get("task_key"), str) for d in listed)


def _tasks(
    path: Path, job: Mapping[str, Any], text: str, above: tuple[Path, ...]
) -> tuple[list[JobTask], dict[str, int]]:
    """The tasks with those of child jobs among them, and what the headings say of their orders (0: nothing)."""
    headed = _headings(text)
    tasks: list[JobTask] = []
    orders = dict(headed)
    shared: dict[int, tuple[str, ...]] = {}
    for entry in job["tasks"]:
        key, listed = str(entry["task_key"]), entry.get("depends_on")
        if listed and id(listed) not in shared:  # an order's list stands once, however many refer to it
            shared[id(listed)] = tuple(dict.fromkeys(str(d["task_key"]) for d in listed))
        after = shared[id(listed)] if listed else ()
        body = next((name for name in entry if str(name).endswith("_task")), "")
        told = entry[body] if body and isinstance(entry[body], Mapping) else {}
        own = JobTask(key=key, kind=kind_of(key, body, told), order=0, after=after)
        below = _below(path, body, told, above)
        if below is None:
            tasks.append(own)
            continue
        child = _child_tasks(below, after, (*above, path))
        tasks += child
        tasks.append(JobTask(key=key, kind="gate", order=0, after=tuple(task.key for task in child)))
        orders |= {task.key: headed.get(key, 0) for task in child}
    return tasks, orders


def _below(path: Path, body: str, told: Mapping[str, Any], above: tuple[Path, ...]) -> Path | None:
    """The file of the job that a task runs, where it stands beside this one."""
    found = _CHILD.fullmatch(str(told.get("job_id"))) if body == "run_job_task" else None
    file = path.parent / f"{found[1]}.job.yml" if found else None
    if file is None or not file.is_file():
        return None  # a job of somebody else's: a task like any other
    if file in (*above, path) or len(above) >= _MOST_DEEP:
        raise ProblemsError([f"{path}: runs {file.name}, which is itself or more than {_MOST_DEEP} deep"])
    return file


def _child_tasks(path: Path, after: tuple[str, ...], above: tuple[Path, ...]) -> list[JobTask]:
    document, text = _read(path)
    tasks, _ = _tasks(path, _job(path, document)[1], text, above)
    return [JobTask(key=t.key, kind=t.kind, order=0, after=t.after or after) for t in tasks]


def _headings(text: str) -> dict[str, int]:
    """The order of each task, by the heading that it stands under."""
    orders: dict[str, int] = {}
    order = 0
    for line in text.splitlines():
        if found := _HEADING.match(line):
            order = int(found[1])
        elif found := _KEY.match(line):
            orders.setdefault(found["key"], order)  # it stands again where others wait for it
    return orders


def _doubled(tasks: Sequence[JobTask]) -> list[str]:
    return [key for key, times in Counter(task.key for task in tasks).items() if times > 1]


def _order_problems(path: Path, tasks: Sequence[JobTask]) -> list[str]:
    known = {task.key for task in tasks}
    unknown = ((task.key, key) for task in tasks for key in task.after if key not in known)
    if problems := [f"{path}: {key} waits for {other}, which is no task" for key, other in unknown]:
        return problems[:_NAMED]
    try:
        TopologicalSorter({task.key: task.after for task in tasks}).prepare()
    except CycleError as error:
        return [f"{path}: tasks wait for one another: {' <- '.join(error.args[1])}"]
    return []


def _levels(tasks: Sequence[JobTask]) -> dict[str, int]:
    """Where no heading says an order: how many tables, itself included, the longest chain of a task has."""
    found: dict[str, int] = {}
    for task in in_order(tasks):
        found[task.key] = max((found[key] for key in task.after), default=0) + (task.kind == "table")
    return found


def _with_orders(tasks: Sequence[JobTask], orders: Mapping[str, int]) -> Iterator[JobTask]:
    for task in tasks:
        yield JobTask(key=task.key, kind=task.kind, order=orders.get(task.key, 0), after=task.after)
