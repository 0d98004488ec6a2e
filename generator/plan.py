"""What runs after what: a Plan for each layer, from checked rows. Knows no Jobs API and no text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from generator.context import Context, task_key
from generator.lanes import in_lanes
from generator.lineage import Lineage, knows_reads, read_lineage
from generator.model import Entry
from generator.problem import Problem

SUMMARY_KEY = "run_summary"
MAX_TASKS = 1000
MANY_EDGES = 5000
Kind = Literal["barrier", "gate", "lineage"]
RUN_IF = {"continue": "ALL_DONE", "skip": "ALL_SUCCESS", "skip_readers": "ALL_DONE"}  # readers skip themselves


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """An edge's far end; `outcome` is that of a gate."""

    task_key: str
    outcome: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """What a task waits for. Tasks that share one list share its `name`; a list of one task has none."""

    on: tuple[Dependency, ...] = ()
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Load the row's table."""

    entry: Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Open the way to an order when all of the one before is done."""

    order: int
    before: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """Run the job `key`, which loads a part of an order's tables."""

    key: str
    tables: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Say how the run went; `skipped` are (task key, execution_pipeline) of the rows that are left out.

    `children` are (task key, number of tables) of the tasks that run child jobs.
    """

    tables: int
    skipped: tuple[tuple[str, str], ...]
    children: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of the job. `order` is that of its row, or of the order that a gate opens."""

    task_key: str
    order: int
    waits: Waits
    run_if: str
    action: Load | Gate | Child | Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tasks of one layer's job, in the order in which they stand in its file, which is one to run them in.

    With lanes no more than `at_once` of them run at the same time. A layer that one job does not hold has `children`,
    which are jobs of a `part` of it each (`split.py`).
    """

    layer: str
    kind: Kind
    tasks: tuple[Task, ...]
    run_if: str
    at_once: int | None = None
    part: str = ""
    children: tuple[Plan, ...] = ()

    @property
    def key(self) -> str:
        """The job's name in the bundle, and its file's."""
        return f"{self.layer}__{self.part}" if self.part else self.layer

    @property
    def jobs(self) -> tuple[Plan, ...]:
        return (self, *self.children)

    @property
    def loads(self) -> tuple[Task, ...]:
        return tuple(task for job in self.jobs for task in job.tasks if isinstance(task.action, Load))

    @property
    def orders(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(task.order for task in self.loads))

    @property
    def edges(self) -> int:
        return sum(len(task.waits.on) for job in self.jobs for task in job.tasks)

    def task(self, key: str) -> Task:
        return next(task for task in self.tasks if task.task_key == key)

    def holding(self, key: str) -> Plan:
        """The job of the layer that has this task."""
        return next(job for job in self.jobs if any(task.task_key == key for task in job.tasks))


def make_plans(entries: Iterable[Entry], context: Context) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    """A plan for every layer that has active rows, as large as it comes; the rows are checked."""
    active = sorted((e for e in entries if e.row.is_active_flag), key=lambda entry: entry.row.layer)
    plans = tuple(_plan(layer, list(rows), context) for layer, rows in groupby(active, key=lambda e: e.row.layer))
    return plans, tuple(problem for plan in plans for problem in _limits(plan, context))


def _plan(layer: str, active: Sequence[Entry], context: Context) -> Plan:
    settings = context.settings.settings.layer(layer)
    run_if = RUN_IF[settings.on_upstream_failure]
    loads = {task_key(entry, context): entry for entry in active if context.runs(entry.row.execution_pipeline)}
    skipped = {task_key(e, context): e.row.execution_pipeline for e in active if task_key(e, context) not in loads}
    in_order = sorted(loads, key=lambda key: (loads[key].row.execution_order, key))
    ordered = {key: loads[key] for key in in_order}
    if settings.edges == "lineage":
        tasks = _by_reads(ordered, run_if, read_lineage(active, context))
    else:
        seconds = {key: taken for (of, key), taken in context.durations.items() if of == layer}
        lanes = _Lanes(number=settings.max_parallel_tasks, seconds=seconds)
        tasks = _by_order(ordered, run_if, lanes, gates=settings.edges == "gate")
    tasks.append(ending(tasks, Summary(tables=len(loads), skipped=tuple(sorted(skipped.items())))))
    return Plan(
        layer=layer, kind=settings.edges, tasks=tuple(tasks), run_if=run_if, at_once=settings.max_parallel_tasks
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lanes:
    """How many tasks of an order may run at once (None: all), and how long each takes where that is known."""

    number: int | None
    seconds: Mapping[str, float]

    def of(self, keys: Sequence[str]) -> list[list[str]]:
        return in_lanes(keys, self.number, self.seconds) if self.number else [[key] for key in keys]


def _by_order(loads: Mapping[str, Entry], run_if: str, lanes: _Lanes, *, gates: bool) -> list[Task]:
    """Every task waits for all of the previous order, or for the gate that does; in a lane, for the one before it.

    When the last of a lane is done, all of it is.
    """
    tasks: list[Task] = []
    waits, before = Waits(), 0
    for order, keys in groupby(loads, key=lambda key: loads[key].row.execution_order):
        if before and gates:
            gate = Task(
                task_key=f"gate_{order}",
                order=order,
                waits=waits,
                run_if=run_if,
                action=Gate(order=order, before=before),
            )
            tasks.append(gate)
            waits = Waits(on=(Dependency(task_key=gate.task_key, outcome="true"),))
        divided = lanes.of(list(keys))
        for key, previous in lane_order(divided):
            own = on_all([previous]) if previous else waits
            tasks.append(Task(task_key=key, order=order, waits=own, run_if=run_if, action=Load(entry=loads[key])))
        waits, before = Waits(on=_on(sorted(lane[-1] for lane in divided)), name=f"after_order_{order}"), order
    return tasks


def _by_reads(loads: Mapping[str, Entry], run_if: str, lineage: Lineage) -> list[Task]:
    """Every task waits for the tables that it reads, all of them: a run of some tasks only keeps their order so.

    A task whose reads are not known waits for every smaller order, which is what its row asks for.
    """
    keys = {entry.source.number: key for key, entry in loads.items()}
    place = {key: index for index, key in enumerate(loads)}
    smaller: dict[int, Waits] = {}
    for order in {entry.row.execution_order for entry in loads.values() if not knows_reads(entry)}:
        before = [key for key, entry in loads.items() if entry.row.execution_order < order]
        smaller[order] = Waits(on=_on(before), name=f"before_order_{order}" if before else "")
    tasks: list[Task] = []
    for key, entry in loads.items():
        order = entry.row.execution_order
        if knows_reads(entry):
            makers = {maker.source.number for _, maker in lineage.waits(entry)} & keys.keys()
            waits = Waits(on=_on(sorted((keys[number] for number in makers), key=lambda key: place[key])))
        else:
            waits = smaller[order]
        tasks.append(Task(task_key=key, order=order, waits=waits, run_if=run_if, action=Load(entry=entry)))
    return tasks


def lane_order(lanes: Sequence[Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yield each key with the one before it in its lane, or "": of all lanes the first, then the second."""
    for place in range(max(map(len, lanes))):
        for key, lane in sorted((lane[place], lane) for lane in lanes if place < len(lane)):
            yield key, lane[place - 1] if place else ""


def ending(tasks: Sequence[Task], summary: Summary) -> Task:
    """The last task: it waits for all that no other waits for, so that everything is done when they are."""
    awaited = {dependency.task_key for waits in {task.waits for task in tasks} for dependency in waits.on}
    leaves = on_all(task.task_key for task in tasks if task.task_key not in awaited)
    last = max((task.order for task in tasks), default=0)
    return Task(task_key=SUMMARY_KEY, order=last, waits=leaves, run_if="ALL_DONE", action=summary)


def on_all(keys: Iterable[str]) -> Waits:
    return Waits(on=_on(keys))


def _on(keys: Iterable[str]) -> tuple[Dependency, ...]:
    return tuple(Dependency(task_key=key) for key in keys)


def _limits(plan: Plan, context: Context) -> list[Problem]:
    if plan.edges > MANY_EDGES and len(plan.tasks) <= MAX_TASKS:
        what = f"layer {plan.layer} has {plan.edges:,} edges, which the bundle's CLI takes long to read"
        return [context.settings.problem(("layers", plan.layer), what, "set edges: gate for it", "warning")]
    return []
