"""Where the rows of a change are kept between counting and writing, so that both see the same.

A staging table belongs to one attempt and stands beside the target. It is dropped at the end, and swept by age where
that failed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from pyspark.sql import DataFrame, SparkSession

from laketasks.sql import quote_table
from laketasks.target import drop

MARK = "__laketasks_stage_"


@contextmanager
def staged(spark: SparkSession, rows: DataFrame, target: str) -> Iterator[str]:
    """Write rows to a staging table beside the target; its name, for as long as the context lasts."""
    name = f"{target}{MARK}{int(time.time())}_{uuid4().hex[:8]}"
    try:
        rows.write.format("delta").saveAsTable(quote_table(name))
        yield name
    finally:
        drop(spark, name)


@contextmanager
def viewed(spark: SparkSession, rows: DataFrame) -> Iterator[str]:
    """Give rows a name that nobody else has, for as long as the context lasts, so that a statement can name them."""
    name = f"laketasks_view_{uuid4().hex}"
    rows.createTempView(name)
    try:
        yield name
    finally:
        spark.catalog.dropTempView(name)


def sweep(spark: SparkSession, schema: str, *, older_than_seconds: int = 86_400) -> list[str]:
    """Drop staging tables of a schema that a killed load left behind; their names."""
    left = []
    for row in spark.sql(f"SHOW TABLES IN {quote_table(schema)}").collect():
        match = re.search(rf"{MARK}(\d+)_", row["tableName"])
        if match and time.time() - int(match[1]) > older_than_seconds:
            left.append(f"{schema}.{row['tableName']}")
            drop(spark, left[-1])
    return left
