"""How a change is written: the rows that need work are staged once, then one statement brings them into the target.

Staging makes the write independent of a source that moves, and of expressions that give another value each time they
are evaluated. The staging table belongs to one attempt; it is dropped at the end and swept by age if that fails.
"""

from __future__ import annotations

import re
import time
from uuid import uuid4

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from laketasks.change import Change, Merge, Replace
from laketasks.column import ACT, FATE
from laketasks.counts import FATES, Counts
from laketasks.sql import listed, quote, quote_table, same
from laketasks.target import Target, drop

_RANK = "_laketasks_rank"
_SAMPLE = 5
STAGE_MARK = "__laketasks_stage_"

_CONFLICT = re.compile(
    r"concurrent\w*exception|DELTA_CONCURRENT|DELTA_METADATA_CHANGED|commit conflict|conflicting commit"
    r"|missing commit file|failed to commit transaction|already exists",
    re.IGNORECASE,
)
_EFFECT = {
    "insert": ("rows_inserted",),
    "open": ("rows_inserted",),
    "update": ("rows_updated",),
    "mark": ("rows_updated",),
    "close": ("rows_updated",),
    "reopen": ("rows_inserted", "rows_updated"),
    "delete": ("rows_deleted",),
}


def count(change: Change, *, read: int, duplicates: int, dropped: int, quarantined: int = 0) -> Counts:
    """Evaluate the change without writing it."""
    tally = change.tally if change.tally is not None else _tally(change.rows)
    sums: dict[str, int] = dict.fromkeys((*FATES, "rows_inserted", "rows_updated", "rows_deleted", "keys_missing"), 0)
    for row in tally.collect():
        fate, act, rows = row[FATE], row[ACT], int(row["rows"])
        if fate in FATES:
            sums[fate] += rows
        elif fate == "missing":
            sums["keys_missing"] += rows
        for effect in _EFFECT.get(act, ()):
            sums[effect] += rows
    sums["duplicates"] += duplicates
    sums["dropped"] += dropped
    sums["quarantined"] += quarantined
    return Counts(read=read, **sums)


def sample_keys(change: Change, keys: tuple[str, ...]) -> tuple[str, ...]:
    """A line for each fate that leads to a write, with its first few keys in order."""
    if not keys:
        return ()
    ranked = change.rows.where(f"{ACT} IS NOT NULL").selectExpr(
        FATE, *map(quote, keys), f"row_number() OVER (PARTITION BY {FATE} ORDER BY {listed(keys)}) AS {_RANK}"
    )
    rows = ranked.where(f"{_RANK} <= {_SAMPLE}").orderBy(FATE, _RANK).collect()
    by_fate: dict[str, list[str]] = {}
    for row in rows:
        by_fate.setdefault(row[FATE], []).append(str(tuple(row[key] for key in keys)))
    return tuple(f"{fate} ({', '.join(keys)}): {', '.join(found)}" for fate, found in by_fate.items())


def stage(change: Change, target: str) -> str:
    """Write the rows that need work to a staging table beside the target; its name."""
    return stage_rows(change.rows.where(f"{ACT} IS NOT NULL"), target)


def stage_rows(rows: DataFrame, target: str) -> str:
    """Write rows to a staging table beside the target; its name."""
    name = f"{target}{STAGE_MARK}{int(time.time())}_{uuid4().hex[:8]}"
    rows.write.format("delta").saveAsTable(quote_table(name))
    return name


def staged_as_counted(spark: SparkSession, change: Change, staged: str, counts: Counts) -> bool:
    """Whether what was staged is what was counted; no if the source moved between the two."""
    acts = spark.table(quote_table(staged)).groupBy(ACT).agg(F.expr("count(*) AS rows")).collect()
    if isinstance(change.write, Replace):
        return sum(int(row["rows"]) for row in acts) == counts.rows_inserted + counts.unchanged
    sums = dict.fromkeys(("rows_inserted", "rows_updated", "rows_deleted"), 0)
    for row in acts:
        for effect in _EFFECT[row[ACT]]:
            sums[effect] += row["rows"]
    return sums == {effect: getattr(counts, effect) for effect in sums}


def write(spark: SparkSession, change: Change, staged: str, target: Target) -> None:
    """The one statement that changes the target."""
    if isinstance(change.write, Merge):
        _merge(spark, change.write, staged, target)
    else:
        _replace(spark, change, change.write, staged, target)


def replaced_alone(change: Change, target: Target, counts: Counts) -> bool:
    """Whether an overwrite left its own rows and no others; no if the engine let two of them through at once."""
    if not isinstance(change.write, Replace) or change.write.where:
        return True
    return bool(target.spark.table(target.quoted).count() == counts.rows_inserted + counts.unchanged)


def is_conflict(error: BaseException) -> bool:
    """Whether another writer came first, so that the load may be planned again."""
    return isinstance(error, PySparkException) and bool(_CONFLICT.search(f"{type(error).__name__} {error}"))


def sweep(spark: SparkSession, schema: str, *, older_than_seconds: int = 86_400) -> list[str]:
    """Drop staging tables of a schema that a killed load left behind; their names."""
    left = []
    for row in spark.sql(f"SHOW TABLES IN {quote_table(schema)}").collect():
        match = re.search(rf"{STAGE_MARK}(\d+)_", row["tableName"])
        if match and time.time() - int(match[1]) > older_than_seconds:
            left.append(f"{schema}.{row['tableName']}")
            drop(spark, left[-1])
    return left


def _tally(rows: DataFrame) -> DataFrame:
    return rows.groupBy(FATE, ACT).agg(F.expr("count(*) AS rows"))


def _merge(spark: SparkSession, merge: Merge, staged: str, target: Target) -> None:
    steps = merge.steps.replace("{stage}", quote_table(staged))
    clauses = " ".join(merge.clauses)
    spark.sql(f"MERGE INTO {target.quoted} t USING ({steps}) s ON {same(merge.match)} {clauses}").collect()


def _replace(spark: SparkSession, change: Change, replace: Replace, staged: str, target: Target) -> None:
    """Overwrite by name with a condition: one commit, and static even in a session of dynamic partition mode."""
    if replace.reshape:
        _reshape(spark.table(quote_table(staged)), change, target)
        return
    kept = [name for name in target.columns if name.lower() not in {own.lower() for own in change.columns}]
    missing = [f"cast(NULL AS {target.columns[name].simpleString()}) AS {quote(name)}" for name in kept]
    rows = spark.table(quote_table(staged)).selectExpr(*[quote(name) for name in change.columns], *missing)
    condition = F.expr(replace.where) if replace.where else F.lit(True)
    rows.writeTo(target.quoted).overwrite(condition)


def _reshape(rows: DataFrame, change: Change, target: Target) -> None:
    """Replace rows and columns in one commit; name, grants, comment and history stay."""
    writer = rows.selectExpr(*[quote(name) for name in change.columns]).write.format("delta").mode("overwrite")
    writer.option("overwriteSchema", "true").option("partitionOverwriteMode", "static").saveAsTable(target.quoted)
