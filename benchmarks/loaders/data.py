"""The measured source: two days of one table, every value a function of the row's id and of how often it changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FILES = 10
KEY = "id"
ATTRIBUTES = (  # what every side compares; of the rest `_fivetran_synced` is the order
    *("code", "name", "city", "email", "amount", "score", "quantity", "born", "is_active", "modified_at"),
)
SYNCED = "_fivetran_synced"
DELETED = "_fivetran_deleted"
SPREADS = ("spread", "range")
_DAY_1 = 1_704_067_200_000_000  # 2024-01-01
_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Both days' tables, their rows, and how many of them differ."""

    first: str
    second: str
    rows: int
    changed: int


def write_days(spark: SparkSession, schema: str, prefix: str, rows: int, spread: str) -> Days:
    """Write day one and day two, each as FILES ranges of ids; one id in a hundred has other values on day two."""
    changed = "id % 100 = 37" if spread == "spread" else f"id >= {rows * 40 // 100} AND id < {rows * 41 // 100}"
    days = Days(first=f"{schema}.{prefix}day1", second=f"{schema}.{prefix}day2", rows=rows, changed=rows // 100)
    for table, version in ((days.first, "0"), (days.second, f"IF({changed}, 1, 0)")):
        ids = spark.range(0, rows, 1, FILES).selectExpr("id", f"{version} AS v")
        _rows(ids).write.format("delta").saveAsTable(table)
    return days


def _rows(ids: DataFrame) -> DataFrame:
    """13 columns of the usual types; nothing in them is constant, a third of the texts repeats."""
    return ids.selectExpr(
        "id",
        "concat('C-', lpad(cast(id AS STRING), 12, '0')) AS code",
        "concat('customer ', md5(cast(id * 2 + v AS STRING))) AS name",
        "concat('city ', cast(id % 5000 AS STRING)) AS city",
        "IF(id % 11 = 0, NULL, concat('c', cast(id AS STRING), '@example.com')) AS email",
        "cast((id * 7919 + v) % 10000000 / 100 AS DECIMAL(12, 2)) AS amount",
        "cast(id AS DOUBLE) / 7 AS score",
        "cast(id % 1000 + v AS INT) AS quantity",
        "date_add(DATE '1950-01-01', cast(id % 20000 AS INT)) AS born",
        "id % 3 = 0 AS is_active",
        f"timestamp_micros({_DAY_1} - (id % 1000003) * 60000000 + v * {2 * _DAY}) AS modified_at",
        f"timestamp_micros({_DAY_1} + id * 100 + v * {_DAY}) AS {SYNCED}",
        f"false AS {DELETED}",
    )
