"""The measured project: 140 tables (60, 60 and 20 in orders 1 to 3), small sources, all four loaders in turn."""

from __future__ import annotations

from pathlib import Path

import deltalake
import pyarrow as pa
import yaml

ORDERS = (60, 60, 20)
ROWS = 1_000
_PIPELINES = {
    "scd1": {"business_key_columns": ["id"]},
    "scd2": {"business_key_columns": ["id"]},
    "fact_overwrite": {},
    "fact_incremental_merge": {"primary_key_columns": ["id"], "load_type": "incremental"},
}
_BUNDLE = """\
bundle: {name: benchmark}
include: [resources/*.yml]
variables:
  bronze_catalog: {default: dev_bronze}
  silver_catalog: {default: dev_silver}
targets:
  local: {}
"""
_SETTINGS = {
    "execution_table": "execution_table.yml",
    "run_log": "dev_silver.metadata.run_log",
    "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"},
}


def write_project(folder: Path) -> None:
    """Rows, settings and bundle of the project."""
    write_bundle(folder)
    (folder / "bundle/execution_table.yml").write_text(yaml.safe_dump(_rows()), encoding="utf-8")


def write_bundle(folder: Path) -> None:
    """Settings and bundle; the rows are to come."""
    (folder / "bundle").mkdir(parents=True, exist_ok=True)
    (folder / "databricks.yml").write_text(_BUNDLE, encoding="utf-8")
    (folder / "bundle/settings.yml").write_text(yaml.safe_dump(_SETTINGS), encoding="utf-8")


def write_bronze(workspace: Path) -> None:
    """One source of ROWS rows for each table."""
    source = pa.table(
        {
            "id": range(ROWS),
            "name": [f"name {i}" for i in range(ROWS)],
            "amount": [i / 7 for i in range(ROWS)],
            "updated_at": pa.array([1_700_000_000_000_000 + i for i in range(ROWS)], pa.timestamp("us", "UTC")),
        }
    )
    for row in _rows():
        deltalake.write_deltalake(str(workspace / "dev_bronze/b" / str(row["src_table_name"])), source)


def _rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for order, tables in enumerate(ORDERS, start=1):
        for number in range(tables):
            pipeline = list(_PIPELINES)[number % len(_PIPELINES)]
            name = f"t{order}_{number:02}_{pipeline}"
            rows.append(_row(name, order, pipeline))
    return rows


def _row(name: str, order: int, pipeline: str) -> dict[str, object]:
    config = {} if pipeline == "fact_overwrite" else {"sequence_by": ["updated_at"]}
    return {
        "src_system": "benchmark",
        "src_catalog": "dev_bronze",
        "src_schema": "b",
        "src_table_name": name,
        "load_type": "full",
        "dst_catalog": "dev_silver",
        "dst_schema": "s",
        "dst_table_name": name,
        "layer": "main",
        "is_active_flag": True,
        "execution_order": order,
        "execution_pipeline": pipeline,
        "cdc_source_config": config,
        **_PIPELINES[pipeline],
    }
