"""SCD type 2 from a change source: the versions of each key that a read touches, computed again from all its rows.

A run of points with equal tracked values is one version, valid until the next run begins; a run of deletes ends the
version before it and is none itself (with new_record it is a current, deleted one). The versions computed are compared
with those stored, and only rows that differ are written, by key and valid_from.

What the source no longer holds stays: stored versions that begin before the key's earliest row are kept, and the one
that reaches it is where the rebuild starts.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks import event
from laketasks.canonical import differs
from laketasks.change import Change, Load, Merge
from laketasks.column import (
    ACT,
    AT,
    DELETE,
    DELETED_AT,
    ENDS_AT,
    FATE,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    READ,
    SEQUENCE,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    WATERMARK,
    type_text,
)
from laketasks.event import LAST, READS, RUN_AT, SEED, STARTS, VALUED
from laketasks.missing import of_read
from laketasks.source import Source
from laketasks.spec import parse_instant
from laketasks.sql import OPEN_END, instant, listed, on, quote, same, text
from laketasks.surrogate import surrogates
from laketasks.target import Target
from laketasks.version import system_columns, tracked_columns

_ENDS = "_laketasks_ends"  # the version is current in the table and ends by a delete
_EARLIEST = "_laketasks_earliest"
_STATE = (VALID_TO, IS_CURRENT, IS_DELETED, DELETED_AT)


def change(load: Load, source: Source, target: Target) -> Change:
    """Compare the versions that the touched keys should have with those that they have."""
    tracked, _ = tracked_columns(load, source)
    system = system_columns(load.spec, source, target)
    columns = (*source.carried, *system)
    rows = event.touched(load, source)
    everything = of_read(load, source, target.with_columns({**source.carried, **system}))
    stored = _reached(load, rows, everything)
    seeds = _seeds(load, source, rows, stored)
    level = _seeds_of_deletes(load, rows, stored)
    points = event.runs(load, source, rows.unionByName(seeds).unionByName(level), AT, tracked)
    points = _from_the_start(load, points)
    versions = _versions(load, points)
    compared = _compared(load, source, versions, stored)
    changes = compared.selectExpr(FATE, ACT, *(f"{_written(load, source, name)} AS {quote(name)}" for name in columns))
    return Change(
        rows=changes,
        write=_merge(load, columns),
        columns=columns,
        grain=(*load.keys, VALID_FROM),
        tally=event.tally(load, source, _fates(load, points, compared, everything), seeds, compared.where(_ENDS)),
        remarks=event.REMARKS,
    )


def _reached(load: Load, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The stored versions of touched keys that reach the earliest row of their key, with its instant."""
    earliest = rows.groupBy(*[quote(key) for key in load.keys]).agg(F.expr(f"min({AT}) AS {_EARLIEST}"))
    joined = stored.alias("t").join(earliest.alias("s"), F.expr(same(load.keys)), "inner")
    return joined.where(f"t.{VALID_TO} >= s.{_EARLIEST}").selectExpr("t.*", f"s.{_EARLIEST}")


def _seeds(load: Load, source: Source, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The versions that began before the earliest row, as points, and of events the deletes that are known already.

    A history is not held to its deletes: Fivetran may write it anew.
    """
    begun = {AT: VALID_FROM, DELETE: f"coalesce({IS_DELETED} AND {DELETED_AT} = {VALID_FROM}, false)", SEED: "true"}
    seeds = _as_points(rows, stored.where(f"{VALID_FROM} < {_EARLIEST}"), begun)
    if load.config.source_mode != "events" or load.config.delete_mode == "ignore":
        return seeds
    no_sequence = f"cast(NULL AS {type_text(source.order_columns[SEQUENCE])})"
    ended = {AT: DELETED_AT, DELETE: "true", SEED: "false", SEQUENCE: no_sequence}
    return seeds.unionAll(_as_points(rows, stored.where(f"{IS_DELETED} AND {DELETED_AT} >= {_EARLIEST}"), ended))


def _seeds_of_deletes(load: Load, rows: DataFrame, stored: DataFrame) -> DataFrame:
    """The versions that begin with the earliest row: points that give a delete its values, and lose to other rows."""
    shown = event.shows_deleted(load) and load.config.source_mode == "events"
    begun = f"{VALID_FROM} = {_EARLIEST}"
    return _as_points(rows, stored.where(begun if shown else "false"), {AT: VALID_FROM, DELETE: "false", SEED: "true"})


def _as_points(rows: DataFrame, stored: DataFrame, values: dict[str, str]) -> DataFrame:
    made = {READ: "false", READS: "0", ENDS_AT: "cast(NULL AS TIMESTAMP)", **values}
    return stored.selectExpr(*(f"{made.get(name, quote(name))} AS {quote(name)}" for name in rows.columns))


def _from_the_start(load: Load, points: DataFrame) -> DataFrame:
    """On the first load the first version of a key begins at first_version_from, if that is earlier."""
    first = parse_instant(load.config.first_version_from) if load.config.first_version_from and load.first else None
    if first is None:
        return points
    run = f"PARTITION BY {listed(load.keys)}, {event.RUN}"
    begin = f"IF(NOT {DELETE} AND min({VALUED}) OVER ({run}) = 1, least({RUN_AT}, {instant(first)}), {RUN_AT})"
    return points.selectExpr(*(f"{begin} AS {name}" if name == RUN_AT else quote(name) for name in points.columns))


def _versions(load: Load, points: DataFrame) -> DataFrame:
    """One row per version that should be stored."""
    window = f"(PARTITION BY {listed(load.keys)} ORDER BY {AT})"
    ended = points.where(LAST).selectExpr(
        "*", f"lead({RUN_AT}) OVER {window} AS _laketasks_next", f"lead({DELETE}) OVER {window} AS _laketasks_cut"
    )
    visible = f"{VALUED} > 0" if load.config.delete_mode == "new_record" else f"NOT {DELETE} OR {SEED}"
    return ended.where(visible).selectExpr(
        "*",
        f"{RUN_AT} AS {VALID_FROM}",
        f"coalesce(_laketasks_next, {OPEN_END}) AS {VALID_TO}",
        f"_laketasks_next IS NULL AS {IS_CURRENT}",
        f"{DELETE} OR coalesce(_laketasks_cut, false) AS {IS_DELETED}",
        f"CASE WHEN {DELETE} THEN {RUN_AT} WHEN _laketasks_cut THEN _laketasks_next END AS {DELETED_AT}",
    )


def _compared(load: Load, source: Source, versions: DataFrame, stored: DataFrame) -> DataFrame:
    """One row per version that is computed or stored: its act, and whether its values differ."""
    joined = (
        versions.selectExpr("*", "true AS _laketasks_here")
        .alias("s")
        .join(
            stored.selectExpr("*", "true AS _laketasks_there").alias("t"),
            F.expr(same((*load.keys, VALID_FROM))),
            "full_outer",
        )
    )
    values = differs(source.compared)
    state = " AND ".join(f"s.{name} <=> t.{name}" for name in _STATE)
    kept = f"(s._laketasks_here IS NULL AND t.{VALID_FROM} < t.{_EARLIEST})"
    act = (
        f"CASE WHEN t._laketasks_there IS NULL THEN 'open' WHEN {kept} THEN NULL "
        f"WHEN s._laketasks_here IS NULL THEN 'delete' "
        f"WHEN {values} OR {event.moved(load, source)} OR NOT ({state}) THEN 'update' END"
    )
    names = (*load.keys, VALID_FROM)
    others = [n for n in (*source.carried, *_STATE, SEQUENCE, WATERMARK) if n not in names]
    return joined.selectExpr(
        f"cast(NULL AS STRING) AS {FATE}",
        f"{act} AS {ACT}",
        f"coalesce(t._laketasks_there, false) AND {values} AS _laketasks_differs",
        f"coalesce(t.{IS_CURRENT} AND NOT t.{IS_DELETED} AND s.{IS_DELETED}, false) AS {_ENDS}",
        *(f"coalesce({on('s', name)}, {on('t', name)}) AS {quote(name)}" for name in names),
        *(f"{on('s', name)} AS {quote(name)}" for name in others),
    )


def _fates(load: Load, points: DataFrame, compared: DataFrame, stored: DataFrame) -> DataFrame:
    """Fates of the rows of this read, with how many rows have each.

    A row is new or changed if the version that it begins was not stored, or if the stored one has other values than it
    gives; deleted if it ends a version that was not stored as ended then; ignored if it deletes nothing; a duplicate if
    another row of its key and instant counts; else unchanged.
    """
    keys = [quote(key) for key in load.keys]
    known = stored.selectExpr(*keys).distinct().selectExpr("*", "true AS _laketasks_known")
    ends = stored.where(f"{DELETED_AT} IS NOT NULL").selectExpr(*keys, f"{DELETED_AT} AS {AT}").distinct()
    cut = f"IF(s.{DELETE}, s.{AT}, s.{ENDS_AT})" if ENDS_AT in points.columns else f"IF(s.{DELETE}, s.{AT}, NULL)"
    begins = F.expr(f"{same(load.keys, 'd', 's')} AND d.{VALID_FROM} = s.{RUN_AT}")
    cuts = F.expr(f"{same(load.keys, 'e', 's')} AND e.{AT} = {cut}")
    joined = (
        points.where(f"{READS} > 0")
        .alias("s")
        .join(compared.alias("d"), begins, "left_outer")
        .join(ends.selectExpr("*", "true AS _laketasks_ended").alias("e"), cuts, "left_outer")
        .join(known.alias("k"), F.expr(same(load.keys, "k", "s")), "left_outer")
    )
    ended = "e._laketasks_ended IS NULL"
    gap = f"WHEN s.{ENDS_AT} IS NOT NULL AND {ended} THEN 'deleted' " if ENDS_AT in points.columns else ""
    fate = (
        f"CASE WHEN s.{DELETE} THEN CASE WHEN s.{VALUED} = 0 THEN 'ignored' WHEN NOT s.{STARTS} THEN 'unchanged' "
        f"WHEN {ended} THEN 'deleted' ELSE 'unchanged' END "
        f"WHEN s.{STARTS} AND d.{ACT} = 'open' THEN IF(k._laketasks_known OR s.{VALUED} > 1, 'changed', 'new') "
        f"WHEN s.{LAST} AND d._laketasks_differs THEN 'changed' {gap}ELSE 'unchanged' END"
    )
    judged = joined.selectExpr(f"{fate} AS {FATE}", f"s.{READS} AS {READS}")
    return judged.selectExpr(f"stack(2, {FATE}, 1L, 'duplicates', {READS} - 1L) AS ({FATE}, rows)")


def _written(load: Load, source: Source, name: str) -> str:
    made = {
        LOADED_AT: instant(load.now),
        UPDATED_AT: instant(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
        **surrogates(load, source, VALID_FROM),
    }
    return made.get(name, quote(name))


def _merge(load: Load, columns: tuple[str, ...]) -> Merge:
    kept = {*load.keys, *load.spec.primary_key_columns, VALID_FROM, LOADED_AT}
    update = ", ".join(f"{quote(name)} = s.{quote(name)}" for name in columns if name not in kept)
    names, values = ", ".join(map(quote, columns)), ", ".join(on("s", name) for name in columns)
    return Merge(
        match=(*load.keys, VALID_FROM),
        clauses=(
            f"WHEN MATCHED AND s.{ACT} = 'update' THEN UPDATE SET {update}",
            f"WHEN MATCHED AND s.{ACT} = 'delete' THEN DELETE",
            f"WHEN NOT MATCHED AND s.{ACT} = 'open' THEN INSERT ({names}) VALUES ({values})",
        ),
    )
