"""The metadata that is mutated: eight right rows of every kind, their settings and SQL, as YAML or as CSV."""

from __future__ import annotations

import copy
import csv
import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from generator.columns import COLUMNS

BUNDLE = {"bundle": {"name": "m"}, "variables": {"bronze_catalog": {}, "silver_catalog": {}, "warehouse": {}}}
SETTINGS: dict[str, Any] = {
    "execution_table": "execution_table.yml",
    "run_log": "dev_silver.metadata.run_log",
    "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"},
    "runners": {
        "notebook": {"notebook_task": {"notebook_path": "../nb.py", "base_parameters": {"t": "{dst_table_name}"}}},
        "file": {"sql_task": {"warehouse_id": "${var.warehouse}", "file": {"path": "../sql/{dst_table_name}.sql"}}},
    },
    "layers": {
        "bronze_to_silver": {"edges": "gate", "task": {"timeout_seconds": 7200}, "tables": {"t1": {"task": {}}}},
        "silver_to_gold": {"edges": "lineage", "job": {"tags": {"team": "core"}}},
    },
}
SQL = {"sql/t5.sql": "SELECT a.*\nFROM {silver_catalog}.core.t1 a JOIN {bronze_catalog}.erp.b USING (id)\n"}


@dataclass(slots=True)
class Draft:
    """One set of metadata. `doubled` are the numbers of rows that say a key twice, `wide` of those with a cell more."""

    form: Literal["yaml", "csv"]
    rows: list[dict[str, Any]] = field(default_factory=lambda: copy.deepcopy(_ROWS))
    settings: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(SETTINGS))
    sql: dict[str, str] = field(default_factory=lambda: dict(SQL))
    bundle: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(BUNDLE))
    doubled: set[int] = field(default_factory=set)
    wide: set[int] = field(default_factory=set)

    @property
    def source(self) -> str:
        return "execution_table.yml" if self.form == "yaml" else "execution_table.csv"

    def files(self) -> dict[str, bytes]:
        """The content of each file by its path."""
        rows = self._yaml() if self.form == "yaml" else self._csv()
        return {
            f"bundle/{self.source}": rows.encode(errors="surrogatepass"),
            "bundle/settings.yml": yaml.dump(self.settings, Dumper=_Plain).encode(),
            "nb.py": b"# Databricks notebook source\n",
            "databricks.yml": yaml.dump(self.bundle, Dumper=_Plain).encode(),
            **{f"bundle/{path}": text.encode() for path, text in self.sql.items()},
        }

    def _yaml(self) -> str:
        texts = []
        for number, row in enumerate(self.rows, 1):
            text = yaml.dump([row], Dumper=_Plain, sort_keys=False)
            texts.append(f"{text}  comment: twice\n" if number in self.doubled else text)
        return "".join(texts)

    def _csv(self) -> str:
        written = io.StringIO()
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([column.name for column in COLUMNS])
        for number, row in enumerate(self.rows, 1):
            cells = [_cell(row.get(column.name)) for column in COLUMNS]
            writer.writerow([*cells, "one more"] if number in self.wide else cells)
        return written.getvalue()


class _Plain(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else json.dumps(value)


def write(folder: Path, files: dict[str, bytes]) -> None:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)


def _row(number: int, order: int, pipeline: str, **columns: Any) -> dict[str, Any]:
    return {
        "src_system": "erp",
        "src_catalog": "dev_bronze",
        "src_schema": "erp",
        "src_table_name": f"source_{number}",
        "load_type": "full",
        "dst_catalog": "dev_silver",
        "dst_schema": "core",
        "dst_table_name": f"t{number}",
        "layer": "bronze_to_silver",
        "is_active_flag": True,
        "execution_order": order,
        "execution_pipeline": pipeline,
        "business_key_columns": ["id"],
        "primary_key_columns": None,
        "sql_file_path": None,
        "cdc_source_config": None,
        "comment": f"Table {number}",
        **columns,
    }


_ROWS = [
    _row(1, 1, "scd1"),
    _row(2, 1, "scd2", primary_key_columns=["sk"], cdc_source_config={"sequence_by": ["updated_at"]}),
    _row(3, 2, "fact_incremental_merge", primary_key_columns=["id", "line"], load_type="incremental"),
    _row(4, 2, "fact_overwrite", cdc_source_config={"where": "a > 1"}),
    _row(5, 2, "fact_overwrite", sql_file_path="sql/t5.sql"),
    _row(6, 3, "notebook"),
    _row(7, 1, "scd1", layer="silver_to_gold", src_catalog="dev_silver", src_schema="core", src_table_name="t2"),
    _row(8, 2, "scd2", layer="silver_to_gold", src_catalog="dev_silver", src_schema="core", src_table_name="t7"),
]
