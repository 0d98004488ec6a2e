"""A team's repository: the bundle of this one, three tables of its own, and the data that they load."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
import yaml

from example.delta import read_table
from tests.journeys.project import row

ROOT = Path(__file__).parents[2]
LAYER = "bronze_to_silver"
_COPIED = (
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "databricks.yml",
    ".gitignore",
    "bundle/settings.yml",
    "bundle/execution_table.sql",
)
needs_cli = pytest.mark.skipif(
    shutil.which("databricks") is None,
    reason="no `databricks` on the PATH: install the Databricks CLI (brew, winget, or its release page)",
)
_SQL = "SELECT s.id, s.item, i.name FROM {bronze_catalog}.b.sale s JOIN {silver_catalog}.s.item i ON i.id = s.item"
ROWS: Mapping[str, dict[str, Any]] = {
    "item": row("item", 1, "scd1", layer=LAYER, business_key_columns=["id"]),
    "store": row("store", 1, "scd2", layer=LAYER, business_key_columns=["id"], comment="Stores"),
    "sold": row("sold", 2, "fact_overwrite", layer=LAYER, sql_file_path="sql/sold.sql"),
}
BRONZE = {
    "item": pa.table({"id": [1, 2], "name": ["Tea", "Jam"]}),
    "store": pa.table({"id": [7], "town": ["Ulm"]}),
    "sale": pa.table({"id": [10, 11, 12], "item": [1, 2, 2]}),
}


@dataclass(frozen=True)
class Project:
    """The repository's folder; the tables that its target `dev` reads are in `lake`."""

    folder: Path
    lake: Path

    def write_rows(self, rows: Mapping[str, Mapping[str, Any]]) -> None:
        """The rows of execution_table, and the job that they make."""
        (self.folder / "bundle" / "execution_table.yml").write_text(yaml.safe_dump([dict(r) for r in rows.values()]))
        settings, out = str(self.folder / "bundle" / "settings.yml"), str(self.folder / "resources")
        command = [sys.executable, "-m", "generator", "generate", "--settings", settings, "--out", out]
        command += ["--override-guards"]  # a test takes its rows away again
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def change(self, file: str, old: str, new: str) -> None:
        """One place in one file, as an editor would."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, (file, old)
        path.write_text(text.replace(old, new), encoding="utf-8")

    def rows(self, table: str, catalog: str = "dev_silver", schema: str = "s") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read_table(self.lake / catalog / schema / table).to_pylist()
        return found


def new_project(folder: Path, lake: Path) -> Project:
    """A repository with its job generated, and bronze tables in the lake."""
    (folder / "bundle" / "sql").mkdir(parents=True)
    for name in _COPIED:
        shutil.copy(ROOT / name, folder / name)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for pattern in yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))["sync"]["exclude"]:
        if (ROOT / pattern.partition("/")[0]).is_dir() and not pattern.startswith((".", "dist")):
            (folder / pattern.partition("/")[0]).mkdir(exist_ok=True)
            (folder / pattern.partition("/")[0] / "note.txt").write_text("stays at home", encoding="utf-8")
    (folder / "bundle" / "sql" / "sold.sql").write_text(_SQL, encoding="utf-8")
    for table, rows in BRONZE.items():
        deltalake.write_deltalake(str(lake / "dev_bronze" / "b" / table), rows)
    project = Project(folder, lake)
    project.change("bundle/settings.yml", "min_retry_interval_millis: 10000", "min_retry_interval_millis: 0")
    project.write_rows(ROWS)
    return project
