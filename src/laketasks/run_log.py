"""The run log: one row per attempt of a load, append only. Watermarks are kept here and nowhere else."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

from laketasks.commits import TableVersion
from laketasks.counts import RELEASED, SUCCESS, Counts
from laketasks.error import LoadError
from laketasks.identity import decode
from laketasks.sql import micros, quote_table, text

_APPENDS = 8
PROPERTIES = {  # a look-up lists the commits; Delta keeps them for 30 days otherwise
    "delta.logRetentionDuration": "interval 7 days",
    "delta.autoOptimize.autoCompact": "true",
}
_TIMES = ("started_at", "ended_at")
_MICROS = "_laketasks_micros_"
_SECONDS = "_laketasks_seconds_"
_COUNTS = tuple(f.name for f in fields(Counts))
COLUMNS: dict[str, str] = {
    "job_run_id": "STRING",
    "task_key": "STRING",
    "target": "STRING",
    "execution_pipeline": "STRING",
    "src_system": "STRING",
    "status": "STRING",
    "attempt": "INT",
    "started_at": "TIMESTAMP",
    "ended_at": "TIMESTAMP",
    **dict.fromkeys(_COUNTS, "BIGINT"),
    "watermark_from": "STRING",
    "watermark_to": "STRING",
    "source_version": "BIGINT",
    "target_version": "BIGINT",
    "row_hash": "STRING",
    "keys": "STRING",
    "history": "STRING",
    "identity": "STRING",
    "source_versions": "STRING",
    "target_state": "STRING",
    "decision": "STRING",
    "stale_inputs": "STRING",
    "error_class": "STRING",
    "error": "STRING",
    "wheel_version": "STRING",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One attempt. `counts` None: it failed before it counted. Watermarks are text that `mark` reads."""

    job_run_id: str
    task_key: str
    target: str
    execution_pipeline: str
    src_system: str
    status: str
    attempt: int
    started_at: datetime
    ended_at: datetime
    wheel_version: str
    counts: Counts | None = None
    watermark_from: str | None = None
    watermark_to: str | None = None
    source_version: int | None = None
    target_version: int | None = None
    row_hash: str | None = None
    keys: str | None = None
    history: str | None = None
    identity: str | None = None
    source_versions: str | None = None
    target_state: str | None = None
    decision: str | None = None
    stale_inputs: str | None = None
    error_class: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLoad:
    """How far the last successful load of a target came, and what it was made of.

    `identity.py` has the form of identity and row_hash; NULL is unknown, as everything is that an older release did not
    log. `source_versions` are by table name. `started_at` and `ended_at` are in microseconds since the epoch.
    """

    started_at: int
    ended_at: int
    execution_pipeline: str | None = None
    watermark_to: str | None = None
    keys: str | None = None
    history: str | None = None
    source_version: int | None = None
    target_version: int | None = None
    row_hash: str | None = None
    identity: str | None = None
    source_versions: str | None = None
    target_state: str | None = None
    stale_inputs: str | None = None

    @property
    def parts(self) -> dict[str, object]:
        """The identity of the load; of an older release the parts that it logged in columns of their own."""
        logged = {"pipeline": self.execution_pipeline, "keys": self.keys, "history": self.history}
        return {**{name: value for name, value in logged.items() if value}, **decode(self.identity)}

    @property
    def sources(self) -> dict[str, TableVersion]:
        """The versions of the tables that were read, by name."""
        return {name: TableVersion.of(value) for name, value in decode(self.source_versions).items()}

    @property
    def target(self) -> TableVersion:
        """The version of the target that the load left; nothing is known of it if somebody else wrote meanwhile."""
        return TableVersion.of(decode(self.target_state))


def create_run_log(spark: SparkSession, name: str) -> None:
    """Make the table, and its schema, where they are not there yet; never touches what is."""
    catalog_schema = name.rpartition(".")[0]
    body = ", ".join(f"`{column}` {kind}" for column, kind in COLUMNS.items())
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quote_table(catalog_schema)}").collect()
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {quote_table(name)} ({body}) USING delta "
        f"COMMENT 'One row per attempt of a load, written by laketasks; append only' TBLPROPERTIES ({_properties()})"
    ).collect()


def adjust_run_log(spark: SparkSession, name: str) -> bool:
    """Give a table that an older release made the properties that a new one has; return whether it lacked them.

    An engine that does not tell a table's properties (Sail) leaves them as they are.
    """
    try:
        known = spark.sql(f"DESCRIBE DETAIL {quote_table(name)}").collect()[0]["properties"]
    except PySparkException:
        return False
    if PROPERTIES.items() <= known.items():
        return False
    spark.sql(f"ALTER TABLE {quote_table(name)} SET TBLPROPERTIES ({_properties()})").collect()
    return True


def _properties() -> str:
    return ", ".join(f"{text(key)} = {text(value)}" for key, value in PROPERTIES.items())


def last_success(spark: SparkSession, name: str, target: str) -> LastLoad | None:
    """The last successful load of a target; None before its first. Raises LoadError without a run log.

    A release logs what the last success was made of, with the version of the target that it left.
    """
    times = ", ".join(f"unix_micros({name}) AS {_MICROS}{name}" for name in _TIMES)
    rows = _ask(
        spark,
        name,
        f"SELECT *, {times} FROM {quote_table(name)} "  # an older log lacks columns
        f"WHERE target = {text(target)} AND status IN ('{SUCCESS}', '{RELEASED}') ORDER BY ended_at DESC LIMIT 1",
    )
    if not rows:
        return None
    logged = rows[0].asDict()
    moments = {name: logged[_MICROS + name] for name in _TIMES}
    others: dict[str, Any] = {f.name: logged.get(f.name) for f in fields(LastLoad) if f.name not in _TIMES}
    return LastLoad(**others, **moments)


def stale_inputs(
    spark: SparkSession, name: str, job_run_id: str, tables: Iterable[str], attempt_of: str
) -> dict[str, str | None]:
    """Return those of the tables that this run has not loaded, each with the time of its last success in UTC.

    `attempt_of` is the target that asks. None where a table was never loaded.
    """
    asked = sorted({table for table in tables if table != attempt_of})
    if not asked:
        return {}
    rows = _ask(
        spark,
        name,
        f"SELECT target, max(IF(job_run_id = {text(job_run_id)}, 1, 0)) AS here, max(unix_micros(ended_at)) AS at "
        f"FROM {quote_table(name)} WHERE status = '{SUCCESS}' AND target IN ({', '.join(map(text, asked))}) "
        "GROUP BY target",
    )
    found = {str(row["target"]): (bool(row["here"]), int(row["at"])) for row in rows}
    return {
        table: _utc(found[table][1]) if table in found else None
        for table in asked
        if table not in found or not found[table][0]
    }


def _utc(at: int) -> str:
    return (datetime(1970, 1, 1) + timedelta(microseconds=at)).isoformat(timespec="seconds") + "Z"  # noqa: DTZ001


def _ask(spark: SparkSession, name: str, statement: str) -> list[Row]:
    try:
        return list(spark.sql(statement).collect())
    except PySparkException as error:
        raise LoadError(
            f"cannot read the run log {name}: {error}. `python -m laketasks bootstrap` creates it"
        ) from error


def wheel_version() -> str:
    """The version of the installed wheel; `unknown` where the sources run as they are."""
    try:
        return version("laketasks")
    except PackageNotFoundError:
        return "unknown"


def append(spark: SparkSession, name: str, row: LogRow) -> None:
    """Add one row, again on a conflict with another task's append; raises LoadError when it cannot be written."""
    for tried in range(1, _APPENDS + 1):
        try:
            _append(spark, name, row)
        except PySparkException as error:
            if tried == _APPENDS:
                raise LoadError(f"cannot write to the run log {name} ({tried} tries): {error}") from error
            time.sleep(random.uniform(0.05, 0.25) * tried)  # noqa: S311
        else:
            return


def rows_of_run(spark: SparkSession, name: str, job_run_id: str) -> list[dict[str, object]]:
    """Every attempt that the run logged, oldest first; times are seconds since the epoch."""
    times = ", ".join(f"unix_micros({column}) / 1000000D AS {_SECONDS}{column}" for column in _TIMES)
    rows = spark.sql(
        f"SELECT *, {times} FROM {quote_table(name)} WHERE job_run_id = {text(job_run_id)} ORDER BY ended_at"
    ).collect()
    logged = [row.asDict() for row in rows]
    missing = dict.fromkeys(COLUMNS)  # of a log that an older release made
    return [{**missing, **row, **{column: row[_SECONDS + column] for column in _TIMES}} for row in logged]


def _append(spark: SparkSession, name: str, row: LogRow) -> None:
    counts = row.counts.to_dict() if row.counts else dict.fromkeys(_COUNTS)
    values = {column: getattr(row, column) for column in COLUMNS if column not in _COUNTS} | dict(counts)
    schema = ", ".join(f"`{column}` {'BIGINT' if kind == 'TIMESTAMP' else kind}" for column, kind in COLUMNS.items())
    data = tuple(_plain(values[column]) for column in COLUMNS)
    select = [
        f"timestamp_micros(`{column}`) AS `{column}`" if kind == "TIMESTAMP" else f"`{column}`"
        for column, kind in COLUMNS.items()
    ]
    rows = spark.createDataFrame([data], schema).selectExpr(*select)
    # By name: a log that an older release made gets the columns that it lacks, one of a newer release keeps its own.
    rows.write.format("delta").mode("append").option("mergeSchema", "true").saveAsTable(quote_table(name))


def _plain(value: object) -> object:
    return micros(value) if isinstance(value, datetime) else value
