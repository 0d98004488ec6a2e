"""dbt's snapshots on DuckDB, run by dbt itself; only its clock is set, to the start of our run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from unittest.mock import patch

import duckdb

from tests.oracles.histories import State
from tests.oracles.version import OPEN_END, Version

PROJECT = Path(__file__).with_name("dbt_project")


class DbtSnapshots:
    """The snapshots of dbt_project, all taken at each step."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, folder / "dbt.duckdb"

    def step(self, now: datetime, rows: Iterable[State]) -> None:
        from dbt.cli.main import dbtRunner

        with duckdb.connect(str(self.database)) as database:
            database.execute(
                "CREATE OR REPLACE TABLE main.source "
                "(history BIGINT, id BIGINT, a VARCHAR, b BIGINT, c VARCHAR, updated_at TIMESTAMP)"
            )
            plain = [(row.history, row.id, *row.values, row.updated_at.replace(tzinfo=None)) for row in rows]
            _insert(database, plain)
        arguments = ["--quiet", "snapshot", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT)]
        arguments += ["--target-path", str(self.folder / "target"), "--log-path", str(self.folder / "logs")]
        arguments += ["--vars", json.dumps({"now": f"{now:%Y-%m-%d %H:%M:%S.%f}"})]
        with patch.dict(os.environ, {"ORACLE_DATABASE": str(self.database)}):
            done = dbtRunner().invoke(arguments)
        assert done.success, done.exception or done.result

    def versions(self, snapshot: str, *, deleted: str = "false") -> list[Version]:
        with duckdb.connect(str(self.database)) as database:
            columns = f"history, id, dbt_valid_from, dbt_valid_to, a, b, c, {deleted}"
            rows = database.execute(f"SELECT {columns} FROM main.{snapshot}").fetchall()
        return sorted(
            (Version(*row[:2], _aware(row[2]), _aware(row[3]), *row[4:]) for row in rows), key=lambda v: v[:3]
        )


def _insert(database: duckdb.DuckDBPyConnection, rows: list[tuple[object, ...]]) -> None:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=["history", "id", "a", "b", "c", "updated_at"]).astype({"b": "Int64"})
    database.register("frame", frame)
    database.execute("INSERT INTO main.source SELECT history, id, a, b, c, updated_at FROM frame")
    database.unregister("frame")


def _aware(moment: datetime | None) -> datetime:
    return OPEN_END if moment is None else moment.replace(tzinfo=timezone.utc)
