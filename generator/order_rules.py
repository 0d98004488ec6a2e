"""The rules about execution_order: what a row reads is loaded before it, and not longer before than need be."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from generator.context import Context
from generator.lineage import Lineage, Read, knows_reads, read_lineage
from generator.model import Entry
from generator.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """The rows of one layer that have an order, by number; `waits` leaves out the reads that go in circles."""

    rows: Mapping[int, Entry]
    waits: Mapping[int, Sequence[tuple[Read, Entry]]]
    orders: Sequence[int]

    def after(self, order: int) -> int:
        """The next larger order in use, or one that is new."""
        place = bisect_right(self.orders, order)
        return self.orders[place] if place < len(self.orders) else order + 1


def orders_follow_reads(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A row waits for a table of its own layer only where that has a smaller order. In every mode of edges."""
    lineage = read_lineage(active, context)
    layers: dict[str, list[Entry]] = defaultdict(list)
    for entry in active:
        if entry.row.execution_order > 0:
            layers[entry.row.layer].append(entry)
        yield from _own_source(entry, lineage)
    for name, entries in layers.items():
        layer, circles = _layer(entries, lineage)
        yield from (_circle(circle, layer) for circle in circles)
        wrong = list(_wrong(layer))
        yield from wrong
        if context.settings.settings.layer(name).edges == "lineage":
            yield from _unknown_reads(layer)
        elif not wrong and not circles:
            yield from _later_than_needed(layer)


def _own_source(entry: Entry, lineage: Lineage) -> Iterator[Problem]:
    """A SELECT may make more of the table that it loads; a plain copy of a table to itself is a mistake."""
    if not entry.row.sql_file_path and any(read.maker is entry for read in lineage.of(entry)):
        yield entry.problem("src_table_name", "reads the table that it loads", "name another source")


def _layer(entries: Sequence[Entry], lineage: Lineage) -> tuple[_Layer, list[list[int]]]:
    rows = {entry.source.number: entry for entry in entries}
    waits = {number: [w for w in lineage.waits(entry) if w[1].source.number in rows] for number, entry in rows.items()}
    circles: list[list[int]] = []
    while circle := _find_circle(waits):
        circles.append(circle)
        for reader, maker in zip(circle[1:], circle, strict=False):
            waits[reader] = [wait for wait in waits[reader] if wait[1].source.number != maker]
    orders = sorted({entry.row.execution_order for entry in entries})
    return _Layer(rows=rows, waits=waits, orders=orders), circles


def _find_circle(waits: Mapping[int, Sequence[tuple[Read, Entry]]]) -> list[int]:
    """The numbers of rows of which each is read by the next and the last is the first; [] where there are none."""
    try:
        TopologicalSorter({reader: [m.source.number for _, m in found] for reader, found in waits.items()}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _circle(circle: Sequence[int], layer: _Layer) -> Problem:
    last = layer.rows[circle[-1]]
    names = " -> ".join(layer.rows[number].row.dst_table_name for number in circle)
    what = f"reads go in a circle, so that no order is right: {names} (each is read by the next)"
    return last.problem("execution_order", what, "take one of these reads out")


def _wrong(layer: _Layer) -> Iterator[Problem]:
    right = _right_orders(layer)
    readers: dict[int, list[int]] = defaultdict(list)
    for reader, waits in layer.waits.items():
        for _, maker in waits:
            readers[maker.source.number].append(reader)
    wrong = {number: found for number in layer.rows if (found := _not_before(number, layer))}
    for number, found in wrong.items():
        entry, (read, maker) = layer.rows[number], max(found, key=lambda wait: wait[1].row.execution_order)
        more = f", and {len(found) - 1} more of order {entry.row.execution_order} or later" if len(found) > 1 else ""
        place = f" ({read.file}:{read.line})" if entry.row.sql_file_path else ""
        loaded = f"which row {maker.source.number} loads in order {maker.row.execution_order}"
        what = f"reads {maker.row.dst_table_name}{place}, {loaded}{more}"
        moved = sorted(_moved(number, readers, layer, right) - wrong.keys())
        then = ", ".join(f"{layer.rows[other].row.dst_table_name} in order {right[other]}" for other in moved[:5])
        then += f" and {len(moved) - 5} more" if len(moved) > 5 else ""
        remedy = f"order {right[number]} would be right{f', and then {then}' if then else ''}"
        yield entry.problem("execution_order", what, remedy)


def _not_before(number: int, layer: _Layer) -> list[tuple[Read, Entry]]:
    order = layer.rows[number].row.execution_order
    return [(read, maker) for read, maker in layer.waits[number] if maker.row.execution_order >= order]


def _right_orders(layer: _Layer) -> dict[int, int]:
    """The smallest change of orders that lets every row follow what it reads: a row only ever moves back."""
    right: dict[int, int] = {}
    before = {reader: [maker.source.number for _, maker in found] for reader, found in layer.waits.items()}
    for number in TopologicalSorter(before).static_order():
        latest = max((right[maker] for maker in before[number]), default=0)
        own = layer.rows[number].row.execution_order
        right[number] = own if own > latest else layer.after(latest)
    return right


def _moved(number: int, readers: Mapping[int, list[int]], layer: _Layer, right: Mapping[int, int]) -> set[int]:
    """The rows that have to move when this one does, since they read it directly or through each other."""
    found: set[int] = set()
    waiting = list(readers.get(number, ()))
    while waiting:
        reader = waiting.pop()
        if reader not in found and right[reader] > layer.rows[reader].row.execution_order:
            found.add(reader)
            waiting.extend(readers.get(reader, ()))
    return found


def _later_than_needed(layer: _Layer) -> Iterator[Problem]:
    for number, entry in layer.rows.items():
        if not knows_reads(entry):
            continue
        last = max((maker for _, maker in layer.waits[number]), key=lambda m: m.row.execution_order, default=None)
        needed = layer.after(last.row.execution_order) if last else layer.orders[0]
        if needed < entry.row.execution_order:
            why = "it reads no table that this job loads"
            if last:
                reason = f"the last of the tables that it reads here, {last.row.dst_table_name}, is loaded in order"
                why = f"{reason} {last.row.execution_order}"
            yield entry.problem("execution_order", f"could run in order {needed}: {why}", "", "hint")


def _unknown_reads(layer: _Layer) -> Iterator[Problem]:
    for entry in layer.rows.values():
        if not knows_reads(entry) and entry.row.execution_order > layer.orders[0]:
            what = f"what {entry.row.execution_pipeline} reads is not known"
            remedy = "it waits for every table of a smaller order"
            yield entry.problem("execution_pipeline", what, remedy, "hint")


CONTEXT_RULES: tuple[Callable[[Sequence[Entry], Context], Iterator[Problem]], ...] = (orders_follow_reads,)
