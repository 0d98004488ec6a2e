"""A layer of more tasks than a job holds: a parent job that runs child jobs, order by order.

A child holds tables of one order, so that all order between tables stands in the parent: a gate before each order, and
the only `run_summary`. With lanes the children of an order run one after the other, so that no more tasks run at once.

A table that moves to another child leaves its run history behind. So a table stays in the child that has it in the
present job files; a new one goes to the child that has the fewest, and a child is opened when all are full.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, groupby

from generator.context import Context
from generator.lanes import in_lanes
from generator.plan import MAX_TASKS, Child, Dependency, Gate, Plan, Summary, Task, Waits, ending, lane_order, on_all
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
# Of each child of a layer, by its part, the task keys that the present job files have in it.
Children = Mapping[str, frozenset[str]]
_FILE = re.compile(r"(?P<layer>.+)__(?P<part>order_\d+_\d+)\.job\.yml")
_KEY = re.compile(r"^ *- task_key: '?(?P<key>[A-Za-z0-9_-]+)'?\r?$", re.MULTILINE)


def present_children(texts: Mapping[str, str]) -> dict[str, Children]:
    """Return the children of each layer as the present job files have them; `texts` are these, by file name."""
    found: dict[str, dict[str, frozenset[str]]] = {}
    for name, text in texts.items():
        if match := _FILE.fullmatch(name):
            keys = frozenset(key["key"] for key in _KEY.finditer(text))
            found.setdefault(match["layer"], {})[match["part"]] = keys
    return {layer: children for layer, children in found.items() if f"{layer}.job.yml" in texts}


def split_plans(
    plans: Sequence[Plan], context: Context, size: JobSize = SIZE, present: Mapping[str, Children] | None = None
) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    """The plans, those that one job does not hold with children, and what keeps a plan from being split."""
    seconds: dict[str, dict[str, float]] = {}
    for (layer, key), taken in context.durations.items():
        seconds.setdefault(layer, {})[key] = taken
    divided = tuple(
        split(plan, size, (present or {}).get(plan.layer, {}), seconds.get(plan.layer, {})) for plan in plans
    )
    return divided, tuple(problem for plan in divided for problem in _problems(plan, divided, context, size))


def split(
    plan: Plan, size: JobSize, present: Children | None = None, seconds: Mapping[str, float] | None = None
) -> Plan:
    """The parent's plan with those of its children; the plan as it is where it fits, or has waits of single tables.

    A layer that is split becomes one job again once a child could hold all of it, so that it does not go to and fro.
    """
    fits = size.child if present else size.job
    if len(plan.tasks) <= fits or plan.kind == "lineage":
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
        own = {
            int(part.split("_")[2]): keys for part, keys in (present or {}).items() if part.split("_")[1] == str(order)
        }
        divided = _divided(list(loads), own, size.child)
        parts = [_child(plan, f"order_{order}_{number}", held, seconds or {}) for number, held in divided]
        running = list(_runs(parts, order, start, plan))
        tasks += running
        children += parts
        before = order
    sizes = tuple((child.part, len(child.tasks)) for child in children)
    tasks.append(ending(tasks, replace(_summary(plan), children=sizes)))
    return replace(plan, kind="gate", tasks=tuple(tasks), children=tuple(children))


def _divided(loads: Sequence[Task], present: Mapping[int, frozenset[str]], most: int) -> list[tuple[int, list[Task]]]:
    """The loads of one order by the number of their child, in the order that they have in the plan."""
    if not present:
        return [(n, list(loads[start : start + most])) for n, start in enumerate(range(0, len(loads), most), 1)]
    numbers = divide((task.task_key for task in loads), present, most)
    held: dict[int, list[Task]] = {}
    for task in loads:
        held.setdefault(numbers[task.task_key], []).append(task)
    return sorted(held.items())


def divide(keys: Iterable[str], present: Mapping[int, frozenset[str]], most: int) -> dict[str, int]:
    """Return the number of the child of each key.

    `present` are the keys that each child has now, `most` is how many it may have. A key stays where it is. Only where
    there are more than twice as many children as are needed, as after many keys have gone, the smallest is given up,
    and its keys go to others.

    >>> divide("abcdef", {1: frozenset("abx"), 3: frozenset("c")}, 3)
    {'a': 1, 'b': 1, 'c': 3, 'd': 3, 'e': 1, 'f': 3}
    """
    new = dict.fromkeys(sorted(keys))
    needed = -(-len(new) // most)
    children: dict[int, list[str]] = {}
    for number, has in sorted(present.items()):
        children[number] = sorted(has & new.keys())[:most]
        for key in children[number]:
            del new[key]
    children = {number: held for number, held in children.items() if held}
    while len(children) > 2 * needed:
        smallest = min(children, key=lambda number: (len(children[number]), -number))
        new.update(dict.fromkeys(children.pop(smallest)))
    for key in sorted(new):
        number = min(children, key=lambda number: (len(children[number]), number), default=0)
        if not number or len(children[number]) >= most:
            number = next(free for free in count(1) if free not in children)
        children.setdefault(number, []).append(key)
    return dict(sorted((key, number) for number, held in children.items() for key in held))


def _child(plan: Plan, part: str, held: Sequence[Task], seconds: Mapping[str, float]) -> Plan:
    """The plan of these loads, in lanes of their own where the layer has lanes."""
    if not plan.at_once:
        return replace(plan, part=part, tasks=tuple(replace(task, waits=Waits()) for task in held))
    loads = {task.task_key: task for task in held}
    divided = in_lanes(list(loads), plan.at_once, seconds)
    tasks = (replace(loads[key], waits=on_all([before] if before else [])) for key, before in lane_order(divided))
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
