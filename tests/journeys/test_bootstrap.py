"""The bootstrap job of this repository, run here as it runs in a workspace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import deltalake

ROOT = Path(__file__).parents[2]


def run(workspace: Path) -> list[str]:
    """What the task printed."""
    command = [sys.executable, "-m", "localjobs", "run", "resources/bootstrap.job.yml", "--workspace", str(workspace)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    log = max((workspace / "runs").iterdir()) / "bootstrap.log"
    return [line for line in log.read_text(encoding="utf-8").splitlines() if not line.startswith("===")]


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    tables = ["dev_silver.metadata.run_log", "dev_silver.metadata.execution_table"]
    schemas = ["dev_silver.retail: is there", "dev_silver.metadata: is there"]  # localjobs has to make them, in folders
    assert run(tmp_path) == [*schemas, *(f"{table}: made" for table in tables)]
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "dev_silver").rglob("*") if path.is_file()}
    assert run(tmp_path) == [*schemas, *(f"{table}: is there" for table in tables)]
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "dev_silver").rglob("*") if path.is_file()} == files
    for table in tables:
        assert deltalake.DeltaTable(str(tmp_path.joinpath(*table.split(".")))).version() == 0
