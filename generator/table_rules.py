"""The rules about rows together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches

from generator.context import Context, task_key
from generator.model import Entry
from generator.problem import Problem, shown
from generator.row_rules import LAYER
from laketasks.spec import QUARANTINE_SUFFIX, did_you_mean


def one_row_per_destination(active: Sequence[Entry]) -> Iterator[Problem]:
    """A second row of the same source is a slip; one of another source would be lost if it were only switched off."""
    for same in _groups(active, _destination):
        first = same[0]
        for entry in same[1:]:
            what = f"{'.'.join(_written_destination(entry))} is loaded by row {first.source.number} already"
            remedy = "keep one row active for each table"
            source, other = _source(entry), _source(first)
            if source and other and source.lower() != other.lower():
                what += f", from another source: row {first.source.number} reads {other}, this row {source}"
                remedy = (
                    "make one row of them with a SQL file (sql_file_path) that joins the sources by UNION ALL, "
                    "or give one of them a table of its own"
                )
            yield entry.problem("dst_table_name", what, remedy)


def no_table_is_a_quarantine(active: Sequence[Entry]) -> Iterator[Problem]:
    """The rows that one table sets aside would be mixed with those that another row loads."""
    setting_aside = {
        (*_destination(entry)[:2], (entry.row.dst_table_name + QUARANTINE_SUFFIX).lower()): entry
        for entry in active
        if entry.built_in and entry.row.dst_table_name and entry.config.quarantines
    }
    for entry in active:
        if other := setting_aside.get(_destination(entry)):
            what = (
                f"{'.'.join(_written_destination(entry))} is the quarantine of row {other.source.number} "
                f"({other.row.dst_table_name}), which sets rows aside there"
            )
            yield entry.problem("dst_table_name", what, "give this table another name")


def _source(entry: Entry) -> str:
    """The SQL file or the table that the row reads; nothing where it does not name one in full."""
    table = (entry.row.src_catalog, entry.row.src_schema, entry.row.src_table_name)
    return entry.row.sql_file_path or (".".join(table) if all(table) else "")


def layers_have_settings(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A layer without an entry in the settings gets the defaults, which start it at no time and tell nobody."""
    known = tuple(context.settings.settings.layers)
    first: dict[str, Entry] = {}
    for entry in active:
        first.setdefault(entry.row.layer, entry)
    for name, entry in first.items():
        if name not in known and LAYER.fullmatch(name):
            near = next(iter(get_close_matches(name, known, n=1, cutoff=0.85)), "")
            hint = f"; did you mean {near}?" if near else ""
            what = f"layer {name!r} has no settings: its job has no schedule, retries or notifications{hint}"
            remedy = f"write `{name}:` under layers in {context.settings.file}"
            yield entry.problem("layer", what, remedy, "warning")


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


def one_spelling_of_a_system(active: Sequence[Entry]) -> Iterator[Problem]:
    """`src_system` is a label that the loaded rows carry, so `erp` and `ERP` would be two systems."""
    spellings: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
    for entry in active:
        spellings[entry.row.src_system.lower()][entry.row.src_system].append(entry)
    for found in spellings.values():
        if len(found) > 1:
            frequent = sorted(found, key=lambda name: -len(found[name]))
            counts = " and ".join(f"{shown(name)} in {len(found[name]):,}" for name in frequent)
            what = f"one name in several spellings, which the tables keep apart: {counts} rows"
            yield found[frequent[1]][0].problem("src_system", what, f"write {frequent[0]} in all", "warning")


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
    no_table_is_a_quarantine,
    layers_differ_by_more_than_case,
    one_spelling_of_a_system,
)
CONTEXT_RULES: tuple[Callable[[Sequence[Entry], Context], Iterator[Problem]], ...] = (
    one_row_per_task_key,
    layers_have_settings,
)
