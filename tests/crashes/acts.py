"""What a test lets a forked process do on the engine, so that its own holds no channel to a server that is killed."""

from __future__ import annotations

import json
from pathlib import Path

from localjobs.engine import prepare


def open_workspace(remote: str, workspace: str, schemas: list[tuple[str, str]]) -> None:
    """Register a workspace's tables as localjobs does, in place of those of another workspace."""
    from pyspark.sql import SparkSession

    session = SparkSession.builder.remote(remote).getOrCreate()
    for catalog, schema in schemas:
        session.sql(f"DROP SCHEMA IF EXISTS {catalog}.{schema} CASCADE").collect()
    prepare(session, Path(workspace), schemas)


def sweep(remote: str, schema: str, answer: str) -> None:
    """Drop all staging tables; leaves which tables there were, which were dropped, and which are there now."""
    from pyspark.sql import SparkSession

    from laketasks import stage

    session = SparkSession.builder.remote(remote).getOrCreate()

    def tables() -> list[str]:
        rows = session.sql(f"SHOW TABLES IN {schema}").collect()
        return sorted(row["tableName"] for row in rows if not row["isTemporary"])  # a view of the session is none

    before = tables()
    swept = stage.sweep(session, schema, older_than_seconds=0)
    Path(answer).write_text(json.dumps({"before": before, "swept": swept, "after": tables()}))
