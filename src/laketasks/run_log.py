"""The run log: one row per attempt of a load, append only. Watermarks are kept here and nowhere else."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, fields
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.counts import SUCCESS, Counts
from laketasks.error import LoadError
from laketasks.sql import micros, quote_table, text

_APPENDS = 8
_TIMES = ("started_at", "ended_at")
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
    "target_watermark": "STRING",
    "source_version": "BIGINT",
    "target_version": "BIGINT",
    "row_hash": "STRING",
    "keys": "STRING",
    "history": "STRING",
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
    target_watermark: str | None = None
    source_version: int | None = None
    target_version: int | None = None
    row_hash: str | None = None
    keys: str | None = None
    history: str | None = None
    error_class: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLoad:
    """How far the last successful load of a target came, and what it was made of.

    `drift` has the form of keys and history, `standstill` that of the row; NULL versions are unknown. `started_at` and
    `ended_at` are in microseconds since the epoch.
    """

    started_at: int
    ended_at: int
    watermark_to: str | None
    target_watermark: str | None
    keys: str | None
    history: str | None
    source_version: int | None
    target_version: int | None
    row_hash: str | None


def create_run_log(spark: SparkSession, name: str) -> None:
    """Make the table, and its schema, where they are not there yet; never touches what is."""
    catalog_schema = name.rpartition(".")[0]
    body = ", ".join(f"`{column}` {kind}" for column, kind in COLUMNS.items())
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quote_table(catalog_schema)}").collect()
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS {quote_table(name)} ({body}) USING delta "
        "COMMENT 'One row per attempt of a load, written by laketasks; append only'"
    ).collect()


def last_success(spark: SparkSession, name: str, target: str) -> LastLoad | None:
    """The last successful load of a target; None before its first. Raises LoadError without a run log."""
    times = ", ".join(f"unix_micros({name}) AS {name}" for name in _TIMES)
    columns = ", ".join(f"`{column.name}`" for column in fields(LastLoad) if column.name not in _TIMES)
    try:
        rows = spark.sql(
            f"SELECT {columns}, {times} FROM {quote_table(name)} "
            f"WHERE target = {text(target)} AND status = '{SUCCESS}' ORDER BY ended_at DESC LIMIT 1"
        ).collect()
    except PySparkException as error:
        raise LoadError(
            f"cannot read the run log {name}: {error}. `python -m laketasks bootstrap` creates it"
        ) from error
    return LastLoad(**rows[0].asDict()) if rows else None


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
    times = "unix_micros(started_at) / 1000000D AS started_at, unix_micros(ended_at) / 1000000D AS ended_at"
    others = ", ".join(f"`{column}`" for column in COLUMNS if column not in ("started_at", "ended_at"))
    rows = spark.sql(
        f"SELECT {others}, {times} FROM {quote_table(name)} WHERE job_run_id = {text(job_run_id)} ORDER BY ended_at"
    ).collect()
    return [row.asDict() for row in rows]


def _append(spark: SparkSession, name: str, row: LogRow) -> None:
    counts = row.counts.to_dict() if row.counts else dict.fromkeys(_COUNTS)
    values = {column: getattr(row, column) for column in COLUMNS if column not in _COUNTS} | dict(counts)
    schema = ", ".join(f"`{column}` {'BIGINT' if kind == 'TIMESTAMP' else kind}" for column, kind in COLUMNS.items())
    data = tuple(_plain(values[column]) for column in COLUMNS)
    select = [
        f"timestamp_micros(`{column}`) AS `{column}`" if kind == "TIMESTAMP" else f"`{column}`"
        for column, kind in COLUMNS.items()
    ]
    spark.createDataFrame([data], schema).selectExpr(*select).writeTo(quote_table(name)).append()


def _plain(value: object) -> object:
    return micros(value) if isinstance(value, datetime) else value
