"""A team's tables as a driver notebook leaves them: 135 rows, nights of changes in bronze, textbook statements.

`Night` is the same in plain Python: which rows bronze has on a day, and what the driver and our loads make of them.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import SparkSession

from localjobs.engine import prepare
from localjobs.engines import ENGINES
from tests.journeys.project import Project, row

BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("region", pa.string()),
        ("name", pa.string()),
        ("amount", pa.float64()),
        ("updated_at", pa.timestamp("us", "UTC")),
        ("_fivetran_synced", pa.timestamp("us", "UTC")),
        ("_fivetran_deleted", pa.bool_()),
    ]
)
_TWO_KEYS = ("fact_004", "fact_006", "fact_007")


def synced(day: int) -> datetime:
    """When the changes of a day reached bronze; the driver runs an hour later."""
    return BEGIN + timedelta(days=day, hours=2)


def loaded(day: int) -> datetime:
    return synced(day) + timedelta(hours=1)


def rows_of_the_driver(tables: int = 135) -> list[dict[str, Any]]:
    """The active rows whose pipeline has a loader, as many as asked for, of each pipeline alike."""
    dims = [(f"dim_{i:03d}", 1, ("scd2", "scd1")[i % 2]) for i in range(60) if i not in (20, 21)]
    merges = ("fact_incremental_merge", "fact_incremental_merge", "fact_overwrite")
    facts = [(f"fact_{i:03d}", 2, merges[i % 3]) for i in range(56) if i != 9]
    sums = [(f"fact_agg_{i:03d}", 3, "fact_overwrite") for i in range(22)]
    everything = [*dims, *facts, *sums]
    step = len(everything) / tables
    return [_row(*everything[int(number * step)]) for number in range(tables)]


def _row(name: str, order: int, pipeline: str) -> dict[str, Any]:
    keys = ["id", "region"] if name in _TWO_KEYS else ["id"]
    column = "business_key_columns" if pipeline.startswith("scd") else "primary_key_columns"
    load_type = "full" if pipeline == "fact_overwrite" else "incremental"
    return row(name, order, pipeline, load_type=load_type, **{column: keys})


@dataclass
class Night:
    """The rows of one table by key. A day changes 2 % of them, adds 1 % and deletes 0.2 %, at least one each."""

    name: str
    size: int
    bronze: dict[int, dict[str, Any]] = field(default_factory=dict)

    def pass_day(self, day: int) -> None:
        draw = random.Random(f"{self.name} {day}")
        if day == 0:
            self.bronze = {i: self._new(i, draw.random() * 1000, day) for i in range(self.size)}
            return
        for i in draw.sample(range(self.size), max(1, self.size // 50)):
            old = self.bronze[i]
            self.bronze[i] = old | _times(day) | {"amount": round(old["amount"] + 1, 2), "_fivetran_deleted": False}
        for i in range(len(self.bronze), len(self.bronze) + max(1, self.size // 100)):
            self.bronze[i] = self._new(i, 5.0, day)
        for i in draw.sample(range(self.size), max(1, self.size // 500)):
            self.bronze[i] = self.bronze[i] | {"_fivetran_synced": synced(day), "_fivetran_deleted": True}

    def table(self) -> pa.Table:
        return pa.Table.from_pylist(list(self.bronze.values()), schema=SCHEMA)

    def _new(self, i: int, amount: float, day: int) -> dict[str, Any]:
        plain = {"id": i, "region": f"r{i % 7}", "name": f"{self.name}_{i}", "amount": round(amount, 2)}
        return {**plain, **_times(day), "_fivetran_deleted": False}


def _times(day: int) -> dict[str, Any]:
    return {"updated_at": synced(day), "_fivetran_synced": synced(day)}


@dataclass
class Version:
    id: int
    amount: float
    start: datetime
    end: datetime | None = None
    deleted: bool = False


class History:
    """An scd2 table in plain Python: a version of each state of a key."""

    def __init__(self) -> None:
        self.versions: list[Version] = []

    def take(self, night: Night, *, at: datetime | None = None) -> None:
        """Take the state of bronze; `at`: when the driver ran, which dates changes so and only ends what is deleted."""
        current = {version.id: version for version in self.versions if version.end is None}
        for i, new in night.bronze.items():
            moment = at or new["_fivetran_synced"]
            old = current.get(i)
            if old and new["_fivetran_deleted"]:
                old.end, old.deleted = moment, at is None
            elif not new["_fivetran_deleted"] and (old is None or old.amount != new["amount"]):
                if old:
                    old.end = moment
                self.versions.append(Version(i, new["amount"], moment))


@contextmanager
def session(project: Project, rows: Iterable[dict[str, Any]]) -> Iterator[SparkSession]:
    """A session on the workspace that ends with the context, as the driver has one."""
    schemas = {(row[f"{side}_catalog"], row[f"{side}_schema"]) for row in rows for side in ("src", "dst")}
    workspace: Path = project.workspace.resolve()
    with ENGINES["sail"](sorted({catalog for catalog, _ in schemas}), workspace, project.folder / "sail.log") as server:
        spark = SparkSession.builder.remote(server.remote).create()
        prepare(spark, workspace, sorted(schemas))
        try:
            yield spark
        finally:
            spark.stop()


def drive(spark: SparkSession, row: dict[str, Any], at: datetime) -> None:
    """Load the table of a row by the statements of a textbook."""
    source = f"(SELECT * FROM dev_bronze.b.{row['src_table_name']})"
    target = f"dev_silver.s.{row['dst_table_name']}"
    now = f"TIMESTAMP '{at.isoformat(sep=' ')}'"
    for statement in _statements(row, source, target, now, made=spark.catalog.tableExists(target)):
        spark.sql(statement).collect()


def _statements(row: dict[str, Any], source: str, target: str, now: str, *, made: bool) -> Iterator[str]:
    pipeline, key = row["execution_pipeline"], (row.get("business_key_columns") or row["primary_key_columns"])
    on = " AND ".join(f"t.{name} = s.{name}" for name in key)
    more = f", {now} AS start_date, CAST(NULL AS TIMESTAMP) AS end_date, true AS is_current" * (pipeline == "scd2")
    if not made:
        yield f"CREATE TABLE {target} USING delta AS SELECT *{more} FROM {source} WHERE NOT _fivetran_deleted"
    elif pipeline == "scd2":
        differs = "(t.region <> s.region OR t.name <> s.name OR t.amount <> s.amount OR s._fivetran_deleted)"
        yield (
            f"MERGE INTO {target} t USING {source} s ON {on} AND t.is_current "
            f"WHEN MATCHED AND {differs} THEN UPDATE SET end_date = {now}, is_current = false"
        )
        current = f"(SELECT * FROM {target} WHERE is_current)"
        yield (
            f"INSERT INTO {target} SELECT s.*{more} FROM {source} s LEFT ANTI JOIN {current} t ON {on} "
            "WHERE NOT s._fivetran_deleted"
        )
    elif pipeline == "scd1":
        yield (
            f"MERGE INTO {target} t USING (SELECT * FROM {source} WHERE NOT _fivetran_deleted) s ON {on} "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
        )
    elif pipeline == "fact_overwrite":
        yield f"INSERT OVERWRITE {target} SELECT * FROM {source} WHERE NOT _fivetran_deleted"
    else:
        yield (
            f"MERGE INTO {target} t USING {source} s ON {on} WHEN MATCHED AND s._fivetran_deleted THEN DELETE "
            "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED AND NOT s._fivetran_deleted THEN INSERT *"
        )
