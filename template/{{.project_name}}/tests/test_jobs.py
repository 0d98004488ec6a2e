"""The jobs on this machine, over a few rows of each source table: they load, and a second run changes nothing.

tests/tables/<catalog>/<schema>/<table>.csv is a source table, its catalog that of target `local` in databricks.yml.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deltalake
import pyarrow as pa
import pytest
from pyarrow import csv

ROOT = Path(__file__).parents[1]
TABLES = Path(__file__).parent / "tables"
JOBS = [ROOT / "resources" / f"{layer}.job.yml" for layer in ("bootstrap", "bronze_to_silver")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with the source tables, in which the jobs have run once."""
    folder = tmp_path_factory.mktemp("workspace")
    for file in TABLES.glob("*/*/*.csv"):
        deltalake.write_deltalake(str(folder / file.relative_to(TABLES).with_suffix("")), csv.read_csv(file))
    run(folder)
    return folder


def run(workspace: Path) -> None:
    for job in JOBS:
        command = [sys.executable, "-m", "localjobs", "run", str(job), "--workspace", str(workspace)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def rows(workspace: Path, table: str) -> list[dict[str, object]]:
    """The rows of `schema.table`, whichever catalog it is in."""
    (folder,) = workspace.glob(f"*/{table.replace('.', '/')}")
    query = deltalake.QueryBuilder().register("t", deltalake.DeltaTable(str(folder))).execute("SELECT * FROM t")
    return list(pa.table(query.read_all()).to_pylist())


def versions(workspace: Path) -> dict[str, int]:
    logs = [log for log in workspace.glob("*/*/*/_delta_log") if log.parent.name != "run_log"]
    return {str(log.parent): deltalake.DeltaTable(str(log.parent)).version() for log in logs}


def test_what_comes_out(workspace: Path) -> None:
    found = {(row["nation"], row["customers"], row["balance"]) for row in rows(workspace, "tpch.customers_by_nation")}
    assert found == {("FRANCE", 1, 121.5), ("GERMANY", 2, 7618.25)}
    assert all(row["is_current"] for row in rows(workspace, "tpch.dim_customer"))


def test_a_second_run_changes_nothing(workspace: Path) -> None:
    before = versions(workspace)
    run(workspace)
    assert versions(workspace) == before
