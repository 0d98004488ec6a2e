"""What a Delta table's log tells of its latest commits, on the engines that tell it."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.sql import quote_table

_LISTED = 20
_LAYOUT = {"OPTIMIZE", "VACUUM START", "VACUUM END", "CLUSTER BY", "ANALYZE"}  # these leave every row as it is


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One version of a table. `at` is when it was committed, in microseconds since the epoch."""

    version: int
    operation: str
    at: int

    @property
    def changes_rows(self) -> bool:
        return self.operation not in _LAYOUT


def latest_commits(spark: SparkSession, table: str) -> tuple[Commit, ...]:
    """The latest commits, newest first; none for what is no Delta table, or where the engine does not tell them."""
    try:
        history = spark.sql(f"DESCRIBE HISTORY {quote_table(table)} LIMIT {_LISTED}")
        rows = history.selectExpr("version", "operation", "unix_micros(timestamp) AS at").collect()
    except PySparkException:
        return ()
    found = (Commit(version=row["version"], operation=row["operation"], at=row["at"]) for row in rows)
    return tuple(sorted(found, key=lambda commit: -commit.version))


def changes_since(commits: tuple[Commit, ...], version: int) -> int | None:
    """How many commits after a version changed rows; None when the log as listed does not reach back to it."""
    newer = [commit for commit in commits if commit.version > version]
    if not commits or commits[0].version - version != len(newer):
        return None
    return sum(commit.changes_rows for commit in newer)
