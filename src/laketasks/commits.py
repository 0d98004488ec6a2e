"""What a Delta table's log tells of its latest commits, on the engines that tell it.

Spark tells each commit (DESCRIBE HISTORY). Sail 0.7 has no such statement, but names the latest version in its refusal
of one that is not there: then every commit counts as one that changed rows, and when it was made is asked for apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.sql import quote_table

_LISTED = 20
_LAYOUT = {"OPTIMIZE", "VACUUM START", "VACUUM END", "CLUSTER BY", "ANALYZE"}  # these leave every row as it is
_NO_VERSION = (1 << 53) - 1  # more commits than a table can have
_REACHED = re.compile(r"expected final version \d+, replay reached (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One version of a table. `at` is when it was committed, in microseconds since the epoch; None: not told."""

    version: int
    operation: str = ""
    at: int | None = None

    @property
    def changes_rows(self) -> bool:
        return self.operation not in _LAYOUT


def latest_commits(spark: SparkSession, table: str) -> tuple[Commit, ...]:
    """The latest commits, newest first; none for what is no Delta table, or where the engine does not tell them."""
    try:
        history = spark.sql(f"DESCRIBE HISTORY {quote_table(table)} LIMIT {_LISTED}")
        rows = history.selectExpr("version", "operation", "unix_micros(timestamp) AS at").collect()
    except PySparkException:
        return _numbered(spark, table)
    found = (Commit(version=row["version"], operation=row["operation"], at=row["at"]) for row in rows)
    return tuple(sorted(found, key=lambda commit: -commit.version))


def existed(spark: SparkSession, table: str, at: int) -> bool:
    """Whether the table had a version at this moment (microseconds since the epoch): it was not made anew since."""
    try:
        spark.sql(f"SELECT 1 FROM {quote_table(table)} TIMESTAMP AS OF timestamp_micros({at})").schema  # noqa: B018
    except PySparkException:
        return False
    return True


def changes_since(commits: tuple[Commit, ...], version: int) -> int | None:
    """How many commits after a version changed rows; None when the log as listed does not reach back to it."""
    newer = [commit for commit in commits if commit.version > version]
    if not commits or commits[0].version - version != len(newer):
        return None
    return sum(commit.changes_rows for commit in newer)


def _numbered(spark: SparkSession, table: str) -> tuple[Commit, ...]:
    try:
        spark.sql(f"SELECT 1 FROM {quote_table(table)} VERSION AS OF {_NO_VERSION}").schema  # noqa: B018
    except PySparkException as refusal:
        told = _REACHED.search(str(refusal))
        latest = int(told[1]) if told else -1
        return tuple(Commit(version=number) for number in range(latest, max(-1, latest - _LISTED), -1))
    return ()
