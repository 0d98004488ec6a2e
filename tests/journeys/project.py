"""A small project of a user's own: rows, settings, bundle, bronze tables, and the two commands run for real."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import yaml

from example.delta import read_table

ROOT = Path(__file__).parents[2]
_BUNDLE = """\
bundle: {name: journey}
include: [resources/*.yml]
variables:
  bronze_catalog: {default: dev_bronze}
  silver_catalog: {default: dev_silver}
targets:
  local: {}
  local_spark: {variables: {bronze_catalog: spark_catalog, silver_catalog: spark_catalog}}
"""
_SETTINGS: dict[str, Any] = {
    "execution_table": "execution_table.yml",
    "run_log": "dev_silver.metadata.run_log",
    "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"},
}


@dataclass(frozen=True)
class Finished:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Project:
    folder: Path
    on_spark: bool = False

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def silver_folder(self) -> Path:
        return self.workspace / ("spark_catalog" if self.on_spark else "dev_silver") / "s"

    def write(self, rows: list[dict[str, Any]], *, sql: dict[str, str] | None = None, **settings: Any) -> None:
        bundle = self.folder / "bundle"
        (bundle / "sql").mkdir(parents=True, exist_ok=True)
        (self.folder / "databricks.yml").write_text(_BUNDLE)
        (bundle / "settings.yml").write_text(yaml.safe_dump(_SETTINGS | settings))
        (bundle / "execution_table.yml").write_text(yaml.safe_dump(rows))
        for name, statement in (sql or {}).items():
            (bundle / "sql" / name).write_text(statement)

    def bronze(self, table: str, rows: pa.Table) -> None:
        folder = self.workspace / ("spark_catalog" if self.on_spark else "dev_bronze") / "b" / table
        deltalake.write_deltalake(str(folder), rows, mode="overwrite")

    def generate(self, *more: str) -> Finished:
        out = str(self.folder / "resources")
        return self._python(
            "generator", "generate", "--settings", str(self.folder / "bundle/settings.yml"), "--out", out, *more
        )

    def run(self, *more: str, job: str = "main") -> Finished:
        file = str(self.folder / "resources" / f"{job}.job.yml")
        engine = ("--engine", "spark", "--target", "local_spark") if self.on_spark else ()
        return self._python("localjobs", "run", file, "--workspace", str(self.workspace), *engine, *more)

    def adopt(self, *more: str, job: str = "main") -> Finished:
        file = str(self.folder / "resources" / f"{job}.job.yml")
        return self._python("localjobs", "adopt", file, "--workspace", str(self.workspace), *more)

    def record(self) -> dict[str, Any]:
        """The record of the last run."""
        last = max(
            (self.workspace / "runs").iterdir(), key=lambda folder: int(folder.name) if folder.name.isdigit() else 0
        )
        record: dict[str, Any] = json.loads((last / "run.json").read_text())
        return record

    def states(self) -> dict[str, str]:
        return {task["task_key"]: task["state"].get("result_state", "") for task in self.record()["tasks"]}

    def silver(self, table: str) -> pa.Table:
        return read_table(self.silver_folder / table)

    def commits(self) -> dict[str, int]:
        """Commits of each silver table's Delta log."""
        return {
            folder.name: len(list((folder / "_delta_log").glob("*.json"))) for folder in self.silver_folder.iterdir()
        }

    def _python(self, module: str, *arguments: str) -> Finished:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=600 if self.on_spark else 240,
        )
        return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


def row(table: str, order: int, pipeline: str, **more: Any) -> dict[str, Any]:
    """A row that loads dev_bronze.b.<table> into dev_silver.s.<table>."""
    return {
        "src_system": "test",
        "src_catalog": "dev_bronze",
        "src_schema": "b",
        "src_table_name": table,
        "load_type": "full",
        "dst_catalog": "dev_silver",
        "dst_schema": "s",
        "dst_table_name": table,
        "layer": "main",
        "is_active_flag": True,
        "execution_order": order,
        "execution_pipeline": pipeline,
        **more,
    }
