"""Type 1 by key, the shared sense of scd1 and fact_incremental_merge: the target holds the latest state of each key.

New keys are inserted, rows that differ and are not older are updated, deletes and vanished keys do as configured.
Unchanged rows are left out before the MERGE, so that their files are not rewritten.
"""

from __future__ import annotations

from types import MappingProxyType

from pyspark.sql.types import BooleanType, DataType, TimestampType

from laketasks import latest, missing
from laketasks.canonical import differs
from laketasks.change import Change, Load, Merge
from laketasks.column import (
    ACT,
    AT,
    AUDIT,
    DELETE,
    DELETED_AT,
    FATE,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    SEQUENCE,
    UPDATED_AT,
    WATERMARK,
)
from laketasks.missing import HERE, THERE, new_order, order_forgotten
from laketasks.soft_delete import has_marks
from laketasks.source import Source, instant_expression
from laketasks.spec import CHANGE_SOURCES, LoadSpec
from laketasks.sql import instant, on, quote, text
from laketasks.surrogate import surrogate_columns, surrogates
from laketasks.target import Target
from laketasks.unknown_member import is_unknown

_MARKED = "_laketasks_marked"  # the stored row is marked as deleted


def system_columns(spec: LoadSpec, source: Source, target: Target) -> dict[str, DataType]:
    """The audit columns, the order that a row was loaded with, and the soft-delete flag where one can be set."""
    config = spec.cdc_source_config
    deletes = source.may_delete or (source.keys is not None and config.source_mode != "snapshot")
    soft = (deletes and config.delete_mode == "soft") or config.on_missing == "soft"
    soft = soft or has_marks(target, source.carried)
    return {
        **surrogate_columns(spec),
        **AUDIT,
        **source.order_columns,
        **({IS_DELETED: BooleanType(), DELETED_AT: TimestampType()} if soft else {}),
    }


def change(load: Load, source: Source, target: Target) -> Change:
    """What the source's rows change, by what kind of rows they are."""
    return BY_SOURCE_MODE[load.config.source_mode](load, source, target)


def compare(load: Load, source: Source, target: Target) -> Change:
    """Compare each key's source row with its stored row."""
    system = system_columns(load.spec, source, target)
    stored_columns = {
        **source.carried,
        SEQUENCE: system[SEQUENCE],
        WATERMARK: system[WATERMARK],
        **{name: kind for name, kind in system.items() if name == IS_DELETED},
    }
    marked = f"coalesce({IS_DELETED}, false)" if IS_DELETED in system else "false"
    stored = target.with_columns(stored_columns).selectExpr("*", f"{marked} AS {_MARKED}")
    stored = order_forgotten(load, stored, system[SEQUENCE])
    joined = missing.join_stored(load, source, stored)
    columns = (*source.carried, *system)
    made = surrogates(load, source)
    rows = joined.selectExpr(
        f"{_fate(load, source)} AS {FATE}",
        f"{_deleted_at(load, source)} AS {AT}",
        *(_value(load, source, name) for name in columns if name not in made),
    ).selectExpr(f"{_act(load, source)} AS {ACT}", "*", *(f"{value} AS {quote(name)}" for name, value in made.items()))
    return Change(rows=rows, write=_merge(load, source, columns), columns=columns, grain=load.keys)


def _fate(load: Load, source: Source) -> str:
    config = load.config
    removed = {"soft": f"IF(t.{_MARKED}, 'unchanged', 'deleted')", "hard": "'deleted'", "ignore": "'ignored'"}
    changed = "'ignored'" if config.insert_only else "'changed'"
    different = differs(source.compared, ignore_null=config.ignore_null_updates) + new_order(load)
    gone = is_unknown(load, "t")
    if missing.policy(load, source) != "hard":  # which removes a row that is marked as deleted, too
        gone = f"t.{_MARKED} OR {gone}"
    older = f"WHEN s.{SEQUENCE} < t.{SEQUENCE} THEN 'stale' " if source.sequence_type is not None else ""
    return (
        f"CASE WHEN s.{HERE} IS NULL THEN IF({gone}, 'gone', 'missing') "
        f"WHEN t.{THERE} IS NULL THEN IF(s.{DELETE}, 'ignored', 'new') {older}"
        f"WHEN s.{DELETE} THEN {removed[config.delete_mode]} "
        f"WHEN t.{_MARKED} OR {different} THEN {changed} ELSE 'unchanged' END"
    )


def _act(load: Load, source: Source) -> str:
    deleted = "delete" if load.config.delete_mode == "hard" else "mark"
    gone = {"soft": "'mark'", "hard": "'delete'"}.get(missing.policy(load, source), "NULL")
    return (
        f"CASE {FATE} WHEN 'new' THEN 'insert' WHEN 'changed' THEN 'update' "
        f"WHEN 'deleted' THEN '{deleted}' WHEN 'missing' THEN {gone} END"
    )


def _deleted_at(load: Load, source: Source) -> str:
    """When a delete happened: at its sequence if later than what is stored, else at its watermark, else at the run."""
    watermark = instant_expression(f"s.{WATERMARK}", source.order_columns[WATERMARK])
    at_sequence = f"IF(t.{SEQUENCE} IS NULL OR s.{SEQUENCE} > t.{SEQUENCE}, s.{AT}, NULL)"
    return f"coalesce({at_sequence}, {watermark}, {instant(load.run_start)})"


def _value(load: Load, source: Source, name: str) -> str:
    if name in load.keys:
        return f"coalesce({on('s', name)}, {on('t', name)}) AS {quote(name)}"
    if name in source.carried:
        kept = f"coalesce({on('s', name)}, {on('t', name)})" if load.config.ignore_null_updates else on("s", name)
        return f"{kept} AS {quote(name)}"
    if name in (SEQUENCE, WATERMARK):
        return f"coalesce(s.{name}, t.{name}) AS {name}"
    fixed = {
        LOADED_AT: instant(load.now),
        UPDATED_AT: instant(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
        IS_DELETED: "false",
        DELETED_AT: "cast(NULL AS TIMESTAMP)",
    }
    return f"{fixed[name]} AS {name}"


def _merge(load: Load, source: Source, columns: tuple[str, ...]) -> Merge:
    kept = {*load.keys, *surrogate_columns(load.spec), LOADED_AT}
    touched = [SEQUENCE, WATERMARK, UPDATED_AT, JOB_RUN_ID]
    update = ", ".join(f"{quote(n)} = s.{quote(n)}" for n in columns if n not in kept)
    mark = ", ".join(f"{n} = s.{n}" for n in touched) + f", {IS_DELETED} = true, {DELETED_AT} = s.{AT}"
    names, values = ", ".join(map(quote, columns)), ", ".join(on("s", n) for n in columns)
    # Another load may have written since this one compared.
    newer = "true" if load.forget_order else f"coalesce(s.{SEQUENCE} >= t.{SEQUENCE}, true)"
    clauses = [f"WHEN MATCHED AND s.{ACT} = 'update' AND {newer} THEN UPDATE SET {update}"]
    if IS_DELETED in columns and IS_DELETED not in source.carried:
        clauses.append(f"WHEN MATCHED AND s.{ACT} = 'mark' AND {newer} THEN UPDATE SET {mark}")
    if "hard" in (load.config.delete_mode, missing.policy(load, source)):
        clauses.append(f"WHEN MATCHED AND s.{ACT} = 'delete' AND {newer} THEN DELETE")
    clauses.append(f"WHEN NOT MATCHED AND s.{ACT} = 'insert' THEN INSERT ({names}) VALUES ({values})")
    return Merge(match=load.keys, clauses=tuple(clauses))


def _replay(load: Load, source: Source, target: Target) -> Change:
    return latest.change(load, source, target, (*source.carried, *system_columns(load.spec, source, target)))


BY_SOURCE_MODE = MappingProxyType({"state": compare, "snapshot": compare, **dict.fromkeys(CHANGE_SOURCES, _replay)})
