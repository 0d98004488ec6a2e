"""How a change is counted and written: the rows that need work are held once, then one statement brings them in.

What is counted is what is held, so that the counts are those of the write. Rows that are as they should be are not
held: they are what remains of the rows read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks.change import Change, Merge, Replace
from laketasks.column import ACT, FATE, type_text
from laketasks.counts import FATES, Counts
from laketasks.error import TargetError
from laketasks.event import ENDED
from laketasks.reshape import partitioned_by, reshape
from laketasks.sql import listed, one_expression, quote, quote_table, same
from laketasks.stage import staged, viewed
from laketasks.stored import WRITTEN_SINCE
from laketasks.target import Target

_RANK = "_laketasks_rank"
_PARTITION_MODE = "spark.sql.sources.partitionOverwriteMode"
_SAMPLE = 5
_SETTLED = ("unchanged", "gone")  # fates of rows that need no work and are not held

_CONFLICT = re.compile(
    r"concurrent\w*exception|DELTA_CONCURRENT|DELTA_METADATA_CHANGED|commit conflict|conflicting commit"
    r"|DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION"  # another load is making the same table
    rf"|missing commit file|failed to commit transaction|already exists|not active in Delta snapshot|{WRITTEN_SINCE}",
    re.IGNORECASE,
)
_EFFECT = {
    "insert": ("rows_inserted",),
    "open": ("rows_inserted",),
    "update": ("rows_updated",),
    "mark": ("rows_updated",),
    "close": ("rows_updated",),
    "reopen": ("rows_inserted", "rows_updated"),
    "restore": ("rows_updated",),
    "delete": ("rows_deleted",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Counts, how many keys that are current in the table a delete ends, and what else is to be said."""

    counts: Counts
    ended: int = 0
    remarks: tuple[str, ...] = ()


@contextmanager
def held(spark: SparkSession, change: Change, target: str, *, pinned: bool) -> Iterator[str]:
    """Hold the rows that are to be counted and written; the name of the table that has them.

    The name is '' where the rows are written as they are computed: those of an overwrite, unless they must be one per
    key and come from a source that moves (not `pinned`).
    """
    if isinstance(change.write, Replace) and (pinned or not change.grain):
        yield ""
        return
    with staged(spark, change.rows.where(_needs_work(change)), target) as name:
        yield name


def _needs_work(change: Change) -> str:
    """The condition of the rows to hold. It names one column, once: an act is made from a fate, a fate from all values.

    Spark puts the making of a column in the place of its name; with several, the code of the condition is soon longer
    than the 8,000 bytes that Java compiles, and the join that it follows takes four times as long.
    """
    if change.tally is not None:
        return f"{ACT} IS NOT NULL"
    settled = ", ".join(f"'{fate}'" for fate in _SETTLED)
    return f"{FATE} NOT IN ({settled})"


def count(spark: SparkSession, change: Change, name: str, settled: Counts) -> Counted | None:
    """The counts of a load from its rows; None when they do not fit what was read, because the source moved.

    `settled` has what became of rows before they were compared.
    """
    tally = change.tally.collect() if change.tally is not None else None
    rows = spark.table(quote_table(name)) if name else change.rows
    with_acts = tally is not None and change.tally is not None and ACT in change.tally.columns
    by_act = tally if tally is not None and with_acts else _tally(rows, change.grain if name else ()).collect()
    if not with_acts and any(row["most"] > 1 for row in by_act):
        return None
    counts = _with_fates(settled, by_act if tally is None else tally)
    for row in by_act:
        for effect in _EFFECT.get(row[ACT], ()):
            counts = replace(counts, **{effect: getattr(counts, effect) + int(row["rows"])})
    if tally is None:
        counts = replace(counts, unchanged=counts.unchanged + counts.unaccounted)
    if counts.unaccounted or counts.unchanged < 0:
        return None
    rows_by_fate = {row[FATE]: int(row["rows"]) for row in (by_act if tally is None else tally)}
    found = ((rows_by_fate.get(fate, 0), remark) for fate, remark in change.remarks.items())
    return Counted(
        counts=counts,
        ended=rows_by_fate.get(ENDED, 0) if tally is not None else counts.deleted,
        remarks=tuple(f"{rows} {remark}" for rows, remark in found if rows),
    )


def sample_keys(spark: SparkSession, change: Change, name: str, keys: tuple[str, ...]) -> tuple[str, ...]:
    """A line for each fate that leads to a write, with its first few keys in order."""
    if not keys:
        return ()
    fate = f"coalesce({FATE}, {ACT})"
    rows = spark.table(quote_table(name)) if name else change.rows
    acted = (rows if change.examples is None else change.examples).where(f"{ACT} IS NOT NULL")
    rank = f"row_number() OVER (PARTITION BY {fate} ORDER BY {listed(keys)}) AS {_RANK}"
    ranked = acted.selectExpr(f"{fate} AS {FATE}", *map(quote, keys), rank)
    by_fate: dict[str, list[str]] = {}
    for row in ranked.where(f"{_RANK} <= {_SAMPLE}").orderBy(FATE, _RANK).collect():
        by_fate.setdefault(row[FATE], []).append(str(tuple(row[key] for key in keys)))
    return tuple(f"{fate} ({', '.join(keys)}): {', '.join(found)}" for fate, found in by_fate.items())


def write(
    spark: SparkSession,
    change: Change,
    name: str,
    target: Target,
    as_found: str,
    counts: Counts,
    types: Mapping[str, DataType] | None = None,
) -> int:
    """The one statement that changes the target; it fails unless the table is `as_found`.

    With `types` it gives the table these columns as well: it must replace all rows then. The number of commits.
    """
    if isinstance(change.write, Merge):
        _merge(spark, change.write, name, target, as_found, inserts=bool(counts.rows_inserted))
        return 1
    rows = spark.table(quote_table(name)) if name else change.rows
    return _replace(rows, change, change.write, target, as_found, types)


def replaced_alone(change: Change, target: Target, counts: Counts) -> bool:
    """Whether an overwrite left its own rows and no others; no if the engine let two of them through at once."""
    if not isinstance(change.write, Replace) or change.write.where:
        return True
    written = counts.rows_inserted + (0 if change.grain else counts.unchanged)
    return bool(target.spark.table(target.quoted).count() == written)


def refuse_doubled(
    spark: SparkSession, change: Change, name: str, target: Target, keys: tuple[str, ...], current: str
) -> None:
    """Raise TargetError when keys that this load inserted stand twice: another load inserted them at the same moment.

    Where an engine takes inserts of two writers for no conflict, nothing else would say so.
    """
    if isinstance(change.write, Replace):
        return
    inserted = ", ".join(f"'{act}'" for act, effects in _EFFECT.items() if "rows_inserted" in effects)
    arrived = spark.table(quote_table(name)).where(f"{ACT} IN ({inserted})").select(*map(quote, keys)).distinct()
    rows = target.frame().where(current or "true").alias("t").join(arrived.alias("s"), F.expr(same(keys)), "left_semi")
    doubled = rows.groupBy(*map(quote, keys)).agg(F.expr("count(*) AS n")).where("n > 1").limit(_SAMPLE).collect()
    if doubled:
        shown = ", ".join(str(tuple(row)[:-1]) for row in sorted(doubled, key=str))
        raise TargetError(
            f"{target.name}: keys that were just inserted stand twice, such as ({', '.join(keys)}) = {shown}. Another "
            "load of this table ran at the same moment: restore the version before both, and run one of them"
        )


def is_conflict(error: BaseException) -> bool:
    """Whether another writer came first, so that the load may be planned again."""
    return isinstance(error, PySparkException) and bool(_CONFLICT.search(f"{type(error).__name__} {error}"))


def _tally(rows: DataFrame, grain: tuple[str, ...]) -> DataFrame:
    """Rows by fate and act, and the most rows that any one place of the target would get."""
    if not grain:
        return rows.groupBy(FATE, ACT).agg(F.expr("count(*) AS rows"), F.expr("1 AS most"))
    each = rows.groupBy(*map(quote, grain)).agg(
        F.expr(f"min({FATE}) AS {FATE}"), F.expr(f"min({ACT}) AS {ACT}"), F.expr("count(*) AS n")
    )
    return each.groupBy(FATE, ACT).agg(F.expr("sum(n) AS rows"), F.expr("max(n) AS most"))


def _with_fates(settled: Counts, by_fate: list[Row]) -> Counts:
    sums = {fate: getattr(settled, fate) for fate in (*FATES, "keys_missing")}
    for row in by_fate:
        fate = "keys_missing" if row[FATE] == "missing" else row[FATE]
        if fate in sums:
            sums[fate] += int(row["rows"])
    return replace(settled, **sums)


def _merge(spark: SparkSession, merge: Merge, name: str, target: Target, as_found: str, *, inserts: bool) -> None:
    """Without a row to insert there is no clause for one: else the whole table is in an outer join."""
    steps = f"SELECT r.* FROM ({quote_table(name).join(merge.steps)}) {as_found}"
    clauses = " ".join(clause for clause in merge.clauses if inserts or not clause.startswith("WHEN NOT MATCHED"))
    spark.sql(f"MERGE INTO {target.quoted} t USING ({steps}) s ON {same(merge.match)} {clauses}").collect()


def _replace(
    rows: DataFrame,
    change: Change,
    replace: Replace,
    target: Target,
    as_found: str,
    types: Mapping[str, DataType] | None,
) -> int:
    """Overwrite in one commit, static even in a session of dynamic partition mode; name, grants and history stay.

    Every column of the table stands in the SELECT in the table's own order, so that the position is the name.
    """
    own = {name.lower(): name for name in change.columns}
    columns = {**target.columns, **(types or {})}
    values = [
        f"{quote(own[name.lower()])} AS {quote(name)}"
        if name.lower() in own
        else f"cast(NULL AS {type_text(kind)}) AS {quote(name)}"
        for name, kind in columns.items()
    ]
    with viewed(target.spark, rows.where(f"{ACT} IS NOT NULL").selectExpr(*values)) as view:
        select = f"SELECT r.* FROM (SELECT * FROM {view}) {as_found}"
        if types is not None:
            return reshape(target, columns, select) + 1
        if not replace.where and _is_dynamic(target.spark):
            writer = target.spark.sql(select).write.format("delta").mode("overwrite")
            partitions = partitioned_by(target)
            writer = writer.partitionBy(*partitions) if partitions else writer
            writer.option("partitionOverwriteMode", "static").saveAsTable(target.quoted)
        else:
            where = one_expression(replace.where or "true")
            target.spark.sql(f"INSERT INTO {target.quoted} REPLACE WHERE {where} {select}").collect()
    return 1


def _is_dynamic(spark: SparkSession) -> bool:
    """Return whether the session is in dynamic partition mode, which Delta applies to a REPLACE WHERE true.

    Serverless compute refuses to read the setting, even with a default (CONFIG_NOT_AVAILABLE), and to change it.
    """
    try:
        return str(spark.conf.get(_PARTITION_MODE, "static")).lower() == "dynamic"
    except PySparkException:
        return False
