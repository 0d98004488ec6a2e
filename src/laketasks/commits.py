"""What a Delta table's log tells of its latest commits, on the engines that tell it.

Spark tells each commit (DESCRIBE HISTORY). Sail 0.7 has no such statement, but names the latest version in its refusal
of one that is not there: then every commit counts as one that changed rows, and when it was made is asked for apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.sql import quote, quote_table

_LISTED = 20
_LAYOUT = {  # these leave every row as it is; source for the names: Delta's DeltaOperations
    "ADD CONSTRAINT",
    "ANALYZE",
    "CHANGE COLUMN",
    "CLUSTER BY",
    "COMPUTE STATS",
    "DOMAIN METADATA CLEANUP",
    "DROP CONSTRAINT",
    "DROP FEATURE",
    "Empty Commit",
    "OPTIMIZE",
    "OPTIMIZE CHECKPOINT",
    "REORG",
    "ROW TRACKING BACKFILL",
    "ROW TRACKING UNBACKFILL",
    "UPGRADE PROTOCOL",
    "VACUUM END",
    "VACUUM START",
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class TableVersion:
    """A version of a table as the run log keeps it, so that a later load can tell the table from one of its name.

    `id` is the Delta table's, `at` the time of the commit in microseconds since the epoch; None: not known.
    """

    id: str | None = None
    version: int | None = None
    at: int | None = None

    @classmethod
    def of(cls, value: object) -> TableVersion:
        """Read what the run log keeps; nothing is known of a value that is no object."""
        given = value if isinstance(value, dict) else {}
        return cls(**{f.name: given.get(f.name) for f in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableState:
    """A table as it is now: its id and its latest commits, newest first; None and () where no engine tells them."""

    id: str | None = None
    commits: tuple[Commit, ...] = ()

    @property
    def version(self) -> TableVersion:
        latest = self.commits[0] if self.commits else None
        return TableVersion(id=self.id, version=latest.version if latest else None, at=latest.at if latest else None)

    def is_table(self, known: TableVersion) -> bool:
        """Return whether this is the table that was known; an id that is not known on either side tells nothing."""
        return known.id is None or self.id is None or known.id == self.id

    def has_rows_of(self, known: TableVersion) -> bool:
        """Return whether the table is the known one and every commit since then left its rows as they were."""
        if known.version is None or known.id is None or known.id != self.id:
            return False
        return changes_since(self.commits, known.version) == 0


def inspect_table(spark: SparkSession, table: str, known: TableVersion | None = None) -> TableState:
    """Look at the latest commits of a table and find out its id.

    A table whose log has the known commit, made at the same microsecond, is the known table: then nobody is asked.
    """
    commits = latest_commits(spark, table)
    if not commits:
        return TableState()
    if known is not None and known.id is not None and known.at is not None:
        made = next((commit.at for commit in commits if commit.version == known.version), None)
        if made == known.at:
            return TableState(id=known.id, commits=commits)
    return TableState(id=table_id(spark, table), commits=commits)


def table_id(spark: SparkSession, table: str) -> str | None:
    """Return the id of a Delta table, which survives every write but no drop; None where no engine tells it."""
    try:
        return str(spark.sql(f"DESCRIBE DETAIL {quote_table(table)}").select("id").collect()[0]["id"])
    except PySparkException:
        return _id_in_log(spark, table)


def _id_in_log(spark: SparkSession, table: str) -> str | None:
    """Sail 0.7 has no DESCRIBE DETAIL: the first commit of the table's log has the id."""
    try:
        described = spark.sql(f"DESCRIBE EXTENDED {quote_table(table)}").collect()
        folder = next((row["data_type"] for row in described if row["col_name"] == "Location"), None)
        if folder is None:
            return None
        log = quote(f"{folder}/_delta_log/{0:020}.json")
        rows = spark.sql(f"SELECT metaData.id AS id FROM json.{log} WHERE metaData IS NOT NULL").collect()
    except PySparkException:
        return None
    return str(rows[0]["id"]) if rows else None


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
