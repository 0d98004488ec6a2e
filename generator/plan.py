"""What runs after what: a Plan for each layer, from checked rows. Knows no Jobs API and no text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from generator.context import Context, task_key
from generator.model import Entry
from generator.problem import Problem

SUMMARY_KEY = "run_summary"
MAX_TASKS = 1000
MANY_EDGES = 5000
RUN_IF = {"continue": "ALL_DONE", "skip": "ALL_SUCCESS"}


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
class Summary:
    """Say how the run went; `skipped` are (task key, execution_pipeline) of the rows that are left out."""

    tables: int
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One task of the job. `order` is that of its row, or of the order that a gate opens."""

    task_key: str
    order: int
    waits: Waits
    run_if: str
    action: Load | Gate | Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The tasks of one layer's job, in the order in which they stand in its file."""

    layer: str
    tasks: tuple[Task, ...]

    @property
    def loads(self) -> tuple[Task, ...]:
        return tuple(task for task in self.tasks if isinstance(task.action, Load))

    @property
    def orders(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(task.order for task in self.loads))

    @property
    def edges(self) -> int:
        return sum(len(task.waits.on) for task in self.tasks)

    def task(self, key: str) -> Task:
        return next(task for task in self.tasks if task.task_key == key)


def make_plans(entries: Iterable[Entry], context: Context) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    """A plan for every layer that has active rows; the rows are checked."""
    active = sorted((e for e in entries if e.row.is_active_flag), key=lambda entry: entry.row.layer)
    plans = tuple(_plan(layer, list(rows), context) for layer, rows in groupby(active, key=lambda e: e.row.layer))
    return plans, tuple(problem for plan in plans for problem in _limits(plan, context))


def _plan(layer: str, active: Sequence[Entry], context: Context) -> Plan:
    settings = context.settings.settings.layer(layer)
    run_if = RUN_IF[settings.on_upstream_failure]
    loads = {task_key(entry, context): entry for entry in active if context.runs(entry.row.execution_pipeline)}
    skipped = {task_key(e, context): e.row.execution_pipeline for e in active if task_key(e, context) not in loads}
    in_order = sorted(loads, key=lambda key: (loads[key].row.execution_order, key))
    tasks: list[Task] = []
    waits, before = Waits(), 0
    for order, keys in groupby(in_order, key=lambda key: loads[key].row.execution_order):
        if before and settings.edges == "gate":
            gate = Task(
                task_key=f"gate_{order}",
                order=order,
                waits=waits,
                run_if=run_if,
                action=Gate(order=order, before=before),
            )
            tasks.append(gate)
            waits = Waits(on=(Dependency(task_key=gate.task_key, outcome="true"),))
        these = [
            Task(task_key=key, order=order, waits=waits, run_if=run_if, action=Load(entry=loads[key])) for key in keys
        ]
        tasks.extend(these)
        waits, before = _all_of(these, order), order
    summary = Summary(tables=len(loads), skipped=tuple(sorted(skipped.items())))
    tasks.append(Task(task_key=SUMMARY_KEY, order=before, waits=waits, run_if="ALL_DONE", action=summary))
    return Plan(layer=layer, tasks=tuple(tasks))


def _all_of(tasks: Sequence[Task], order: int) -> Waits:
    return Waits(on=tuple(Dependency(task_key=task.task_key) for task in tasks), name=f"after_order_{order}")


def _limits(plan: Plan, context: Context) -> list[Problem]:
    path = ("layers", plan.layer)
    if len(plan.tasks) > MAX_TASKS:
        what = f"layer {plan.layer} makes {len(plan.tasks):,} tasks and a job holds {MAX_TASKS:,}"
        remedy = "this version does not split a job: divide the rows over several layers"
        return [context.settings.problem(path, what, remedy)]
    if plan.edges > MANY_EDGES:
        what = f"layer {plan.layer} has {plan.edges:,} edges, which the bundle's CLI takes long to read"
        return [context.settings.problem(path, what, "set edges: gate for it", "warning")]
    return []
