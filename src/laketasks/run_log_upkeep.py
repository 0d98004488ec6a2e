"""Upkeep of the run log by the summary: delete old rows, and compact the files of many small commits.

Each load appends one small file, and a look-up lists and reads them all. Both steps wait until enough has come
together, and neither ever fails a run: what another writer prevents is done after the next run.
"""

from __future__ import annotations

from datetime import datetime, timezone

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.counts import RELEASED, SUCCESS
from laketasks.spec import parse_duration
from laketasks.sql import instant, quote_table

MANY_FILES = 500
MANY_ROWS = 1000


def keep_small(spark: SparkSession, name: str, retention: str) -> list[str]:
    """Delete the rows that are older than `retention` (empty: none), compact the files; what was done, or why not."""
    done = []
    for step in (_delete_old, _compact):
        try:
            done += step(spark, name, retention)
        except PySparkException as error:
            done.append(f"{name}: {str(error).splitlines()[0]}; tried again after the next run")
    return done


def _delete_old(spark: SparkSession, name: str, retention: str) -> list[str]:
    """Delete rows behind the retention in batches; the last success of a target stays, however old it is."""
    kept = parse_duration(retention) if retention else None
    if kept is None:
        return []
    table, before = quote_table(name), instant(datetime.now(timezone.utc) - kept)
    last = (
        f"SELECT target, max(ended_at) AS last FROM {table} WHERE status IN ('{SUCCESS}', '{RELEASED}') GROUP BY target"
    )
    old = f"t.target = s.target AND t.ended_at < {before} AND t.ended_at < s.last"
    rows = int(spark.sql(f"SELECT count(*) AS n FROM {table} t JOIN ({last}) s ON {old}").collect()[0]["n"])
    if rows < MANY_ROWS:
        return []
    spark.sql(f"MERGE INTO {table} t USING ({last}) s ON {old} WHEN MATCHED THEN DELETE").collect()
    return [f"{name}: {rows} rows older than {retention} deleted"]


def _compact(spark: SparkSession, name: str, _retention: str) -> list[str]:
    """Compact the files where the engine has OPTIMIZE; localjobs does it for Sail, which has not."""
    try:
        files = int(spark.sql(f"DESCRIBE DETAIL {quote_table(name)}").collect()[0]["numFiles"])
    except PySparkException:
        return []
    if files < MANY_FILES:
        return []
    spark.sql(f"OPTIMIZE {quote_table(name)}").collect()
    return [f"{name}: {files} files compacted"]
