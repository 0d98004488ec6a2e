"""Keys that the table has and the source does not: who they are, and what becomes of them.

They mean something where the source has every key each time (`snapshot`), and where a load reconciles. Elsewhere only
the stored rows of the keys that were read matter. A key whose row is set aside or dropped is in the source: it is not
missing, and its stored row stays as it is.
"""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks.change import Load
from laketasks.column import SEQUENCE, type_text
from laketasks.source import Source
from laketasks.sql import quote, same

HERE = "_laketasks_here"  # the key is among the rows that were read
THERE = "_laketasks_there"  # the key is in the table
_HELD = "_laketasks_held"  # the key is in the source, read or not


def join_stored(load: Load, source: Source, stored: DataFrame) -> DataFrame:
    """Each row of the source (`s`) with the stored row of its key (`t`), and the stored rows of missing keys."""
    arrived = source.frame.selectExpr("*", f"true AS {HERE}")
    kept = stored.selectExpr("*", f"true AS {THERE}")
    if load.config.source_mode == "snapshot" and source.keys is None:
        return arrived.alias("s").join(kept.alias("t"), F.expr(same(load.keys)), "full_outer")
    if source.keys is None:
        return arrived.alias("s").join(of_read(load, source, kept).alias("t"), F.expr(same(load.keys)), "left_outer")
    held = source.keys.selectExpr("*", f"true AS {_HELD}").alias("h")
    kept = kept.alias("k").join(held, F.expr(same(load.keys, "k", "h")), "left_outer").selectExpr("k.*", f"h.{_HELD}")
    joined = arrived.alias("s").join(kept.alias("t"), F.expr(same(load.keys)), "full_outer")
    return joined.where(f"s.{HERE} OR t.{_HELD} IS NULL")


def of_read(load: Load, source: Source, stored: DataFrame) -> DataFrame:
    """The stored rows that have a key which was read; all rows, where that is no gain.

    An outer join cannot send its left side to all workers: Spark would sort the whole table by its keys. For this join
    it sends them the few keys, and the table's rows stay where they are.
    """
    if not load.few:
        return stored
    keys = F.broadcast(source.frame.select(*[quote(key) for key in load.keys]))
    return stored.alias("t").join(keys.alias("s"), F.expr(same(load.keys)), "left_semi")


def order_forgotten(load: Load, stored: DataFrame, kind: DataType) -> DataFrame:
    """Return the stored rows; their sequences are NULL where they are of a column that no longer orders the source."""
    return stored.withColumn(SEQUENCE, F.expr(f"cast(NULL AS {type_text(kind)})")) if load.forget_order else stored


def new_order(load: Load) -> str:
    """Return what makes a row differ whose stored sequence is forgotten: it gets the sequence of the source's row."""
    return f" OR s.{SEQUENCE} IS NOT NULL" if load.forget_order else ""


def policy(load: Load, source: Source) -> str:
    """What becomes of a missing key, in the words of on_missing and delete_mode."""
    if load.config.source_mode == "snapshot":
        return load.config.on_missing
    return load.config.delete_mode if source.keys is not None else "ignore"
