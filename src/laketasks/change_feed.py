"""The Delta change feed of the source: its changes since the last load, one row each, in the order of the commits.

A first load has the table as it stands. So has one whose feed does not reach back to the last load (it was switched on
later, or vacuumed), or whose target is not as the last load left it; the keys that the target has and the source has
not are deletes then. Whatever else it reads, a load ends at the version that was the latest when it began.
Source for the columns: the Delta protocol's change data files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from laketasks.column import (
    CHANGE_TYPE,
    COMMIT_TIMESTAMP,
    COMMIT_VERSION,
    INTERNAL_PREFIX,
    type_text,
)
from laketasks.commits import Commit
from laketasks.error import SourceError
from laketasks.run_log import LastLoad
from laketasks.soft_delete import live_rows
from laketasks.spec import LoadSpec
from laketasks.sql import quote, quote_table, same, text
from laketasks.target import Target

_RANK = f"{INTERNAL_PREFIX}change_rank"  # a commit that replaces a row deletes the old one before it inserts
SEQUENCE_BY = (COMMIT_TIMESTAMP, COMMIT_VERSION, _RANK)
DELETES = f"{CHANGE_TYPE} = 'delete'"
_TORN = re.compile(
    r"DELTA_MISSING_CHANGE_DATA|DELTA_CHANGE_TABLE_FEED_DISABLED|DELTA_CHANGE_DATA_FILE_NOT_FOUND|FILE_NOT_EXIST"
    r"|DELTA_CHANGE_DATA_FEED_INCOMPATIBLE|DELTA_VERSION_INVALID|DELTA_VERSIONS_NOT_CONTIGUOUS|DELTA_LOG_FILE_NOT_FOUND"
    r"|DELTA_TRUNCATED_TRANSACTION_LOG|change data was not recorded"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed:
    """The changes to load; `whole`: they are the table as it stands, with what to say of that."""

    frame: DataFrame
    whole: bool
    note: str = ""


def read_feed(
    spark: SparkSession,
    spec: LoadSpec,
    commits: tuple[Commit, ...],
    target: Target,
    keys: tuple[str, ...],
    last: LastLoad | None,
    *,
    torn: str,
) -> Feed:
    """The changes of the source table since the last load of the target.

    `last` is None where that load tells nothing of the target as it stands, `torn` why the feed cannot be read. Raises
    SourceError on an engine without change feeds.
    """
    table = spec.source_table
    latest = commits[0] if commits else None
    if latest is None or latest.at is None:
        raise SourceError(
            f"{table}: source_mode cdf needs a Delta table and an engine that has its change feed (Databricks, or "
            "Spark with Delta). Use source_mode state, with reconcile for deletes"
        )
    since = last.source_version if last else None
    if since is None or torn or since > latest.version:
        return _whole(spark, spec, latest, target, keys, torn)
    if since == latest.version:
        return Feed(frame=_standing(spark, table, latest).where("false"), whole=False)
    changes = spark.sql(
        f"SELECT *, IF({DELETES}, 0, 1) AS {_RANK} FROM table_changes({text(quote_table(table))}, {since + 1}, "
        f"{latest.version}) WHERE {CHANGE_TYPE} <> 'update_preimage'"
    )
    return Feed(frame=changes, whole=False)


def is_torn(error: PySparkException) -> bool:
    """Whether a feed was asked for changes that it does not have, or no longer."""
    return bool(_TORN.search(f"{type(error).__name__} {error}"))


def _standing(spark: SparkSession, table: str, latest: Commit) -> DataFrame:
    """The rows of the table, as if the latest commit had inserted them."""
    return spark.sql(
        f"SELECT *, 'insert' AS {CHANGE_TYPE}, {latest.version}L AS {COMMIT_VERSION}, "
        f"timestamp_micros({latest.at}) AS {COMMIT_TIMESTAMP}, 1 AS {_RANK} "
        f"FROM {quote_table(table)} VERSION AS OF {latest.version}"
    )


def _whole(
    spark: SparkSession, spec: LoadSpec, latest: Commit, target: Target, keys: tuple[str, ...], torn: str
) -> Feed:
    table = spec.source_table
    rows = _standing(spark, table, latest)
    if not target.exists or target.frame().isEmpty():
        return Feed(frame=rows, whole=True)
    spelled = {name.lower(): name for name in rows.columns}
    own = {spelled[key.lower()]: target.column(key) for key in keys if key.lower() in spelled}
    stored = (
        target.frame()
        .where(live_rows(target, spec, rows.columns))
        .selectExpr(*(f"{quote(o or k)} AS {quote(k)}" for k, o in own.items()))
    )
    gone = stored.alias("s").join(rows.alias("t"), F.expr(same(tuple(own))), "left_anti")
    made = {
        **{key: quote(key) for key in own},
        CHANGE_TYPE: "'delete'",
        COMMIT_VERSION: f"{latest.version}L",
        COMMIT_TIMESTAMP: f"timestamp_micros({latest.at})",
        _RANK: "1",
    }
    deletes = gone.selectExpr(
        *(
            f"cast({made.get(field.name, 'NULL')} AS {type_text(field.dataType)}) AS {quote(field.name)}"
            for field in rows.schema.fields
        )
    )
    why = torn or "the table is not as the last load left it"
    return Feed(frame=rows.unionAll(deletes), whole=True, note=f"{table}: {why}; compared with the whole table instead")
