"""The plans as a Mermaid flowchart: GitHub, GitLab and most wikis draw it from a block of code.

A box is an order. Where a whole order waits for another, one thick arrow between the boxes says so in place of n x m.
Thin arrows are true reads: waits under `edges: lineage`, dotted where the job does not wait for them by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from generator.build import Build
from generator.lineage import Lineage, knows_reads, read_lineage
from generator.plan import SUMMARY_KEY, Load, Plan, Task
from generator.problem import Problem
from laketasks.spec import did_you_mean

MOST_ARROWS = 500  # what Mermaid draws unless its site is configured otherwise
_PLAIN = re.compile(r"[\w .,()+-]", re.ASCII)


def graph(built: Build, layer: str | None) -> tuple[str, tuple[Problem, ...]]:
    """The flowchart of one layer, or of all with the reads between them."""
    plans = [plan for plan in built.plans if layer in (None, plan.layer)]
    if not plans:
        known = [plan.layer for plan in built.plans]
        near = did_you_mean(str(layer), known)
        remedy = "" if near else f"the layers are {', '.join(known)}"
        return "", (Problem(what=f"no job has the layer {layer!r}{near}", remedy=remedy),)
    active = [entry for entry in built.entries if entry.row.is_active_flag]
    return "\n".join(_lines(plans, read_lineage(active, built.context))) + "\n", ()


def _lines(plans: Sequence[Plan], lineage: Lineage) -> Iterator[str]:
    ids = {_number(task): f"t{_number(task)}" for plan in plans for task in plan.loads}
    boxes = [line for index, plan in enumerate(plans) for line in _plan(plan, f"j{index}", ids)]
    arrows = [line for plan in plans for line in _reads(plan, lineage, ids)]
    drawn = sum(" ==> " in line for line in boxes)
    if drawn + len(arrows) > MOST_ARROWS and all(plan.kind != "lineage" for plan in plans):
        yield f"%% The {len(arrows):,} reads are left out: Mermaid draws {MOST_ARROWS} arrows. `--layer` draws one job."
        arrows = []
    elif drawn + len(arrows) > MOST_ARROWS:
        yield f"%% {drawn + len(arrows):,} arrows: Mermaid draws {MOST_ARROWS} unless its maxEdges says more."
    yield "flowchart LR"
    yield from boxes
    yield from arrows


def _plan(plan: Plan, job: str, ids: dict[int, str]) -> Iterator[str]:
    yield f"  subgraph {job}[{_label(plan.layer)}]"
    for order, tasks in groupby(plan.loads, key=lambda task: task.order):
        yield f"    subgraph {job}o{order}[{_label(f'order {order}')}]"
        yield from (f"      {ids[_number(task)]}[{_label(_named(task))}]" for task in tasks)
        yield "    end"
    yield f"    {job}s([{_label(SUMMARY_KEY)}])"
    yield "  end"
    boxes = [f"{job}o{order}" for order in plan.orders]
    if plan.kind == "lineage":
        for task in plan.loads:
            if isinstance(task.action, Load) and not knows_reads(task.action.entry):
                smaller = (order for order in plan.orders if order < task.order)
                yield from (f"  {job}o{order} ==> {ids[_number(task)]}" for order in smaller)
        yield from (f"  {box} ==> {job}s" for box in boxes)
        return
    for before, after, order in zip(boxes, boxes[1:], plan.orders[1:], strict=False):
        if plan.kind == "gate":
            yield f"  {before} ==> {job}g{order}{{{{{_label(f'gate_{order}')}}}}} ==> {after}"
        else:
            yield f"  {before} ==> {after}"
    yield from (f"  {box} ==> {job}s" for box in boxes[-1:])


def _reads(plan: Plan, lineage: Lineage, ids: dict[int, str]) -> Iterator[str]:
    for task in plan.loads:
        if not isinstance(task.action, Load):
            continue
        waits = {maker.source.number for _, maker in lineage.waits(task.action.entry)}
        for read in lineage.of(task.action.entry):
            number = read.maker.source.number if read.maker else 0
            if number in ids and number != _number(task):
                arrow = "-->" if plan.kind == "lineage" and number in waits else "-.->"
                yield f"  {ids[number]} {arrow} {ids[_number(task)]}"


def _named(task: Task) -> str:
    pipeline = task.action.entry.row.execution_pipeline if isinstance(task.action, Load) else ""
    return f"{task.task_key} ({pipeline})"


def _number(task: Task) -> int:
    return task.action.entry.source.number if isinstance(task.action, Load) else 0


def _label(text: str) -> str:
    """The text in quotation marks; what Mermaid could take for markup is a character's number."""
    return '"' + "".join(c if _PLAIN.match(c) else f"#{ord(c)};" for c in text) + '"'
