"""Type 1 from a change source: the state after the latest row of each key that a read touches, among all its rows.

A key whose latest row is a delete keeps the values before it (soft) or has no row (hard); a delete that came before the
row that it deletes is not forgotten. Neighbouring rows with equal values count from the first of them, so that the same
events give the same row however they are batched.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, TimestampType

from laketasks import event
from laketasks.canonical import differs
from laketasks.change import Change, Load, Merge
from laketasks.column import (
    ACT,
    AT,
    AUDIT,
    DELETE,
    DELETED_AT,
    ENDS_AT,
    FATE,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    READ,
    SEQUENCE,
    UPDATED_AT,
    WATERMARK,
)
from laketasks.event import LAST_SEQUENCE, READS, RUN_AT, SEED, VALUED
from laketasks.missing import of_read
from laketasks.source import Source, instant_expression
from laketasks.sql import instant, listed, on, quote, same, text
from laketasks.surrogate import surrogate_columns, surrogates
from laketasks.target import Target

_LEADS = "_laketasks_leads"  # the row that decides is one of this read
_NEWEST = "_laketasks_newest"
_WAS_DELETED = "_laketasks_was_deleted"
_MARKED = "_laketasks_marked"  # the stored row is marked as deleted, and since when
_MARKED_AT = "_laketasks_marked_at"
_KNOWN = "_laketasks_known"  # the table has a row of the key
# A delete of a stored row that the source no longer has: the row keeps its values.
_UNVALUED = f"(s.{VALUED} = 0 AND t._laketasks_there IS NOT NULL)"


def change(load: Load, source: Source, target: Target, columns: tuple[str, ...]) -> Change:
    """Compare the state that each touched key should have with its stored row."""
    rows = event.touched(load, source)
    kinds: dict[str, DataType] = {IS_DELETED: BooleanType(), DELETED_AT: TimestampType()}
    marks = {name: kind for name, kind in kinds.items() if name in columns and name not in source.carried}
    stored = target.with_columns({**source.carried, **source.order_columns, **AUDIT, **marks}).selectExpr(
        "*",
        f"{f'coalesce({IS_DELETED}, false)' if IS_DELETED in marks else 'false'} AS {_MARKED}",
        f"{DELETED_AT if DELETED_AT in marks else 'cast(NULL AS TIMESTAMP)'} AS {_MARKED_AT}",
    )
    stored = of_read(load, source, stored)
    seeds = _seeds(load, rows, stored)
    order = AT if ENDS_AT in source.frame.columns else SEQUENCE
    points = event.runs(load, source, rows.unionByName(seeds), order, source.compared)
    joined = (
        _latest(load, source, points, order)
        .alias("s")
        .join(stored.selectExpr("*", "true AS _laketasks_there").alias("t"), F.expr(same(load.keys)), "left_outer")
    )
    made = surrogates(load, source)
    judged = joined.selectExpr(
        f"{_act(load, source)} AS {ACT}",
        f"{_stale(load)} AS _laketasks_stale",
        f"coalesce(t.{_MARKED}, false) AS {_WAS_DELETED}",
        f"coalesce(t._laketasks_there, false) AS {_KNOWN}",
        *(f"s.{name} AS {name}" for name in (DELETE, VALUED, READS, _LEADS)),
        *(f"{_value(load, source, name)} AS {quote(name)}" for name in columns if name not in made),
    )
    leads = f"NOT _laketasks_stale AND ({_LEADS} OR {ACT} IS NOT NULL) AS {_LEADS}"
    values = (f"{made.get(name, quote(name))} AS {quote(name)}" for name in columns)
    rows = judged.selectExpr(f"{_fate(load)} AS {FATE}", ACT, READS, leads, *values)
    return Change(
        rows=rows.selectExpr(f"cast(NULL AS STRING) AS {FATE}", ACT, *map(quote, columns)),
        write=_merge(load, columns),
        columns=columns,
        grain=load.keys,
        tally=event.tally(load, source, _fates(rows), seeds, rows.where(f"{FATE} = 'deleted'")),
        remarks=event.REMARKS,
    )


def _seeds(load: Load, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The stored rows from before the earliest row of their key, as points."""
    earliest = rows.groupBy(*[quote(key) for key in load.keys]).agg(F.expr(f"min({SEQUENCE}) AS _laketasks_earliest"))
    older = stored.alias("t").join(earliest.alias("s"), F.expr(same(load.keys)), "inner")
    made = {
        READ: "false",
        READS: "0",
        SEED: "true",
        AT: f"coalesce({_MARKED_AT}, {UPDATED_AT})",
        DELETE: _MARKED,
        ENDS_AT: "cast(NULL AS TIMESTAMP)",
    }
    seeds = older.where(f"t.{SEQUENCE} < s._laketasks_earliest").selectExpr("t.*")
    return seeds.selectExpr(*(f"{made.get(name, quote(name))} AS {quote(name)}" for name in rows.columns))


def _latest(load: Load, source: Source, points: DataFrame, order: str) -> DataFrame:
    """One row per key: its last point, with how many rows of this read the key has."""
    by_key = f"PARTITION BY {listed(load.keys)}"
    own = LAST_SEQUENCE if order == SEQUENCE else order  # the points of a run share the sequence of its first
    terms = ", ".join(event.terms(source, own))
    counted = points.selectExpr(
        *(f"sum({READS}) OVER ({by_key}) AS {READS}" if name == READS else quote(name) for name in points.columns),
        f"({READ} OR {READS} > 0) AS {_LEADS}",
        f"lead({DELETE}) OVER ({by_key} ORDER BY {terms}) IS NULL AS {_NEWEST}",
    )
    return counted.where(_NEWEST)


def _act(load: Load, source: Source) -> str:
    deleted_at = _deleted_at(source)
    other_values = f"NOT {_UNVALUED} AND ({differs(source.compared)} OR {event.moved(load, source)})"
    other_sequence = f"s.{SEQUENCE} IS NOT NULL AND NOT (s.{SEQUENCE} <=> t.{SEQUENCE})"
    differ = (
        f"({other_values}) OR ({other_sequence}) OR s.{DELETE} <> coalesce(t.{_MARKED}, false) "
        f"OR coalesce({deleted_at} <> t.{_MARKED_AT}, false)"
    )
    gone = f"WHEN s.{DELETE} THEN IF(t._laketasks_there, 'delete', NULL) " if load.config.delete_mode == "hard" else ""
    return (
        f"CASE WHEN {_stale(load)} THEN NULL {gone}WHEN s.{VALUED} = 0 AND NOT {_UNVALUED} THEN NULL "
        f"WHEN t._laketasks_there IS NULL THEN 'insert' WHEN {differ} THEN 'update' END"
    )


def _stale(load: Load) -> str:
    """Whether the stored row is newer than every row of its key in the source; a history may rewrite itself.

    A row that events have deleted counts as newer than another row of the delete's sequence.
    """
    if load.config.source_mode == "fivetran_history":
        return "false"
    older = f"coalesce(t.{SEQUENCE} > s.{LAST_SEQUENCE}, false)"
    if load.config.source_mode != "events" or not event.shows_deleted(load):
        return older
    return f"({older} OR coalesce(t.{_MARKED} AND NOT s.{DELETE} AND t.{SEQUENCE} = s.{LAST_SEQUENCE}, false))"


def _fate(load: Load) -> str:
    """What became of the row that decides a key."""
    nothing = DELETE if load.config.delete_mode == "hard" else f"{VALUED} = 0 AND NOT {_KNOWN}"
    return (
        f"CASE {ACT} WHEN 'insert' THEN 'new' WHEN 'delete' THEN 'deleted' "
        f"WHEN 'update' THEN IF({DELETE} AND NOT {_WAS_DELETED}, 'deleted', 'changed') "
        f"ELSE IF({nothing}, 'ignored', 'unchanged') END"
    )


def _fates(rows: DataFrame) -> DataFrame:
    """The fates of the rows of this read: one decides its key and the others are duplicates, or all are stale."""
    leading = f"IF({_LEADS}, {FATE}, 'stale'), IF({_LEADS}, 1L, {READS})"
    others = f"'duplicates', IF({_LEADS}, {READS} - 1L, 0L)"
    return rows.where(f"{READS} > 0").selectExpr(f"stack(2, {leading}, {others}) AS ({FATE}, rows)")


def _deleted_at(source: Source) -> str:
    """When the key was deleted: at the sequence of the delete, or at its watermark where a sequence holds no time."""
    watermark = instant_expression(f"s.{WATERMARK}", source.order_columns[WATERMARK])
    return f"IF(s.{DELETE}, coalesce(s.{RUN_AT}, {watermark}), NULL)"


def _value(load: Load, source: Source, name: str) -> str:
    made = {
        LOADED_AT: instant(load.now),
        UPDATED_AT: instant(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
        IS_DELETED: f"s.{DELETE}",
        DELETED_AT: f"IF(s.{DELETE}, coalesce({_deleted_at(source)}, {instant(load.run_start)}), NULL)",
    }
    if name in source.carried and name not in load.keys:
        return f"IF({_UNVALUED}, {on('t', name)}, {on('s', name)})"
    return made.get(name, on("s", name))


def _merge(load: Load, columns: tuple[str, ...]) -> Merge:
    kept = {*load.keys, *surrogate_columns(load.spec), LOADED_AT}
    update = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in columns if name not in kept)
    names, values = ", ".join(map(quote, columns)), ", ".join(on("s", name) for name in columns)
    delete = (f"WHEN MATCHED AND s.{ACT} = 'delete' THEN DELETE",) if load.config.delete_mode == "hard" else ()
    return Merge(
        match=load.keys,
        clauses=(
            f"WHEN MATCHED AND s.{ACT} = 'update' THEN UPDATE SET {update}",
            *delete,
            f"WHEN NOT MATCHED AND s.{ACT} = 'insert' THEN INSERT ({names}) VALUES ({values})",
        ),
    )
