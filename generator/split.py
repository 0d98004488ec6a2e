"""A layer of more tasks than a job holds: a parent job that runs child jobs, order by order.

A child holds tables of one order, so that all order between tables stands in the parent: a gate before each order, and
the only `run_summary`. With lanes the children of an order run one after the other, so that no more tasks run at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from generator.context import Context
from generator.plan import MAX_TASKS, Child, Dependency, Gate, Plan, Summary, Task, Waits, ending, on_all
from generator.problem import Problem

MAX_CHILD_TASKS = 900  # less than a job holds: each order of a layer may still grow a little within its children
MAX_CHILDREN = 750  # what a workspace runs of Run-Job tasks at once


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSize:
    """How many tasks a job holds, how many of them a child gets, and how many children may run at once."""

    job: int = MAX_TASKS
    child: int = MAX_CHILD_TASKS
    children: int = MAX_CHILDREN


SIZE = JobSize()


def split_plans(
    plans: Sequence[Plan], context: Context, size: JobSize = SIZE
) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    """The plans, those that one job does not hold with children, and what keeps a plan from being split."""
    divided = tuple(split(plan, size) for plan in plans)
    return divided, tuple(problem for plan in divided for problem in _problems(plan, divided, context, size))


def split(plan: Plan, size: JobSize) -> Plan:
    """The parent's plan with those of its children; the plan as it is where it fits, or has waits of single tables."""
    if len(plan.tasks) <= size.job or plan.kind == "lineage":
        return plan
    tasks: list[Task] = []
    children: list[Plan] = []
    start, before, running = Waits(), 0, list[Task]()
    for order, loads in groupby(plan.loads, key=lambda task: task.order):
        if before:
            gate = Task(
                task_key=f"gate_{order}",
                order=order,
                waits=on_all(task.task_key for task in running),
                run_if=plan.run_if,
                action=Gate(order=order, before=before),
            )
            tasks.append(gate)
            start = Waits(on=(Dependency(task_key=gate.task_key, outcome="true"),))
        parts = [_child(plan, f"order_{order}_{number}", held) for number, held in enumerate(_parts(loads, size), 1)]
        running = list(_runs(parts, order, start, plan))
        tasks += running
        children += parts
        before = order
    sizes = tuple((child.part, len(child.tasks)) for child in children)
    tasks.append(ending(tasks, replace(_summary(plan), children=sizes)))
    return replace(plan, kind="gate", tasks=tuple(tasks), children=tuple(children))


def _parts(loads: Iterator[Task], size: JobSize) -> Iterator[tuple[Task, ...]]:
    held = tuple(loads)
    return (held[start : start + size.child] for start in range(0, len(held), size.child))


def _child(plan: Plan, part: str, held: Sequence[Task]) -> Plan:
    """The plan of these loads; of what they wait for, what is in a lane with them here."""
    own = {task.task_key for task in held}
    tasks = (task if all(d.task_key in own for d in task.waits.on) else replace(task, waits=Waits()) for task in held)
    return replace(plan, part=part, tasks=tuple(tasks))


def _runs(parts: Sequence[Plan], order: int, start: Waits, plan: Plan) -> Iterator[Task]:
    """The tasks that run the children of one order: all at once, with lanes one after the other."""
    waits = start
    for child in parts:
        action = Child(key=child.key, tables=len(child.tasks))
        yield Task(task_key=child.part, order=order, waits=waits, run_if=plan.run_if, action=action)
        if plan.at_once:
            waits = on_all([child.part])


def _summary(plan: Plan) -> Summary:
    action = plan.tasks[-1].action
    if not isinstance(action, Summary):
        raise AssertionError("a plan ends with its summary")
    return action


def _problems(plan: Plan, plans: Sequence[Plan], context: Context, size: JobSize) -> Iterator[Problem]:
    path = ("layers", plan.layer)
    if len(plan.tasks) > size.job and plan.kind == "lineage":
        what = f"layer {plan.layer} makes {len(plan.tasks):,} tasks, and a job holds {size.job:,}"
        reason = f"{what}; the waits of edges: lineage cannot be divided over several jobs"
        yield context.settings.problem(path, reason, "set edges: gate, or divide the rows over several layers")
    elif len(plan.tasks) > size.job:
        what = f"layer {plan.layer} takes {len(plan.children):,} child jobs, and its parent holds {size.job:,} tasks"
        yield context.settings.problem(path, what, "divide the rows over several layers")
    for order, children in groupby(plan.children, key=lambda child: child.tasks[0].order):
        if not plan.at_once and (number := len(list(children))) > size.children:
            what = f"order {order} of layer {plan.layer} runs {number:,} jobs at once, a workspace {size.children:,}"
            yield context.settings.problem(path, what, "divide the order, or set max_parallel_tasks")
    own = {child.key.lower() for child in plan.children}
    for other in plans:
        if other.key.lower() in own:
            what = f"layer {other.layer} is named like a child job of layer {plan.layer}"
            yield context.settings.problem(("layers", other.layer), what, "rename the layer")
