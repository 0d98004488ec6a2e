"""The rules about rows together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from generator.context import Context, task_key
from generator.model import Entry
from generator.problem import Problem
from laketasks.spec import did_you_mean


def one_row_per_destination(active: Sequence[Entry]) -> Iterator[Problem]:
    for same in _groups(active, _destination):
        for entry in same[1:]:
            what = f"{'.'.join(_written_destination(entry))} is loaded by row {same[0].source.number} already"
            yield entry.problem("dst_table_name", what, "keep one row active for each table")


def one_row_per_task_key(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    told_apart = [entry for entry in active if _keys_differ(entry.row.layer, context)]
    for same in _groups(told_apart, lambda entry: (entry.row.layer, task_key(entry, context))):
        for entry in same[1:]:
            if _destination(entry) == _destination(same[0]):
                continue  # one_row_per_destination says it
            what = f"task key {task_key(entry, context)!r} is that of row {same[0].source.number} too"
            remedy = (
                f'set task_key: "{{dst_schema}}__{{dst_table_name}}" for layer {entry.row.layer} '
                f"in {context.settings.file}"
            )
            yield entry.problem("dst_table_name", what, remedy)


def layers_differ_by_more_than_case(active: Sequence[Entry]) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for entry in active:
        other = first.setdefault(entry.row.layer.lower(), entry)
        if other.row.layer != entry.row.layer:
            what = f"{entry.row.layer!r} and {other.row.layer!r} of row {other.source.number} differ by case only"
            yield entry.problem("layer", what, "write both alike")


def settings_match_rows(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A layer or table that the settings name and no row has is a slip of the pen that would go unnoticed."""
    keys_of: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        keys_of[entry.row.layer].add(task_key(entry, context))
    for name in context.settings.settings.layers:
        if name not in keys_of:
            what = f"no row has this layer{did_you_mean(name, keys_of)}"
            yield context.settings.problem(("layers", name), what, "rename or remove it")
            continue
        for key in context.settings.settings.layer(name).tables:
            if key not in keys_of[name] and _keys_differ(name, context):
                what = f"no row of the layer has this task key{did_you_mean(key, keys_of[name])}"
                yield context.settings.problem(("layers", name, "tables", key), what, "rename or remove it")


def _keys_differ(layer: str, context: Context) -> bool:
    """Whether the layer's `task_key` can tell tables apart; where it cannot, the settings say so."""
    return "{dst_table_name}" in context.settings.settings.layer(layer).task_key


def _groups(entries: Sequence[Entry], key: Callable[[Entry], tuple[str, ...]]) -> list[list[Entry]]:
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.row.dst_table_name:
            groups[key(entry)].append(entry)
    return [group for group in groups.values() if len(group) > 1]


def _written_destination(entry: Entry) -> tuple[str, str, str]:
    return entry.row.dst_catalog, entry.row.dst_schema, entry.row.dst_table_name


def _destination(entry: Entry) -> tuple[str, ...]:
    """Unity Catalog does not tell upper from lower case."""
    return tuple(part.lower() for part in _written_destination(entry))


ACTIVE_RULES: tuple[Callable[[Sequence[Entry]], Iterator[Problem]], ...] = (
    one_row_per_destination,
    layers_differ_by_more_than_case,
)
CONTEXT_RULES: tuple[Callable[[Sequence[Entry], Context], Iterator[Problem]], ...] = (one_row_per_task_key,)
