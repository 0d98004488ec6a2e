"""A night in which every text is an attack: rows, a source's columns and values, through generator, localjobs and Sail.

What an attack would do is seen by its canary: a file, a table without its row, a variable of a page.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import yaml

from example.delta import read_table
from tests.journeys.project import Finished, Project, row

FILE = "canary_was_here"  # in the folder that the commands run in
SHELL = f"$(touch {FILE});`touch {FILE}`|touch {FILE}&&touch {FILE}"
SCRIPT = "</script><script>window.stolen=1</script><img src=x onerror=window.stolen=1>"
DELETE = "DELETE FROM dev_silver.s.canary"
SQL = f"'); {DELETE}; --"
NAME = f"`; {DELETE}; --"
TERMINAL = "\x1b[2J\x1b]0;stolen\x07\u202e"
WORKFLOW = "\n::error::stolen\n"
TEXT = f"{SQL} {SHELL} {SCRIPT} =HYPERLINK(1) [red]x[/red] & *a: &b !!c {{d}} %0A::error::stolen\\"
SCHEMA = "s'--"  # Sail takes no other signs in a folder
NESTED = "a`:INT>) USING parquet LOCATION '/tmp/x' --"
COLUMNS = (NAME, "{stage}", 'it\'s "so"', SCRIPT.replace("=", ""), "a\\", "-- x")
KEY = f"key {NAME}"
CONDITION = "`it's \"so\"` <> ') OR (' AND `-- x` IS NOT NULL"
READS = f"{CONDITION} AND id IN (SELECT id FROM dev_bronze.b.attack)"  # what a condition may do
RAISES = "SELECT cast(raise_error(id) AS STRING) AS id FROM {bronze_catalog}.b.attack"


def source(key: int = 1) -> pa.Table:
    """A table whose columns somebody else has named, and whose values somebody else has written."""
    named = {name: [TEXT, f"{TEXT}{TERMINAL}{WORKFLOW}"] for name in COLUMNS}
    nested = pa.array([{NESTED: 1, "b": "x"}, {NESTED: 2, "b": "y"}])
    return pa.table({"id": [f"{TERMINAL}{SCRIPT}{n}" for n in (key, key + 1)], "nested": nested, **named})


def rows() -> list[dict[str, Any]]:
    """One for each loader, with attacks wherever a row takes text; the last three fail and say what the data says."""
    config = {
        "where": CONDITION,
        "except_column_list": [COLUMNS[-2]],
        "expectations": {"expect": {f"{TEXT}": CONDITION}, "expect_or_quarantine": {TEXT: "`{stage}` <> '\\''"}},
    }
    texts = {"src_system": TEXT, "comment": f"{TEXT}\n{TEXT}", "dst_schema": SCHEMA, "src_table_name": "attack"}
    keys = {"business_key_columns": ["id"], "cdc_source_config": {**config, "apply_as_deletes": "`a\\` = ')'"}}
    return [
        row("dim_one", 1, "scd1", **texts, **keys, primary_key_columns=[KEY]),
        row("dim_two", 1, "scd2", **texts, **keys),
        row(
            "fact_merge",
            1,
            "fact_incremental_merge",
            **texts,
            primary_key_columns=["id", "{stage}"],
            cdc_source_config=config,
        ),
        row(
            "fact_over",
            2,
            "fact_overwrite",
            **texts,
            cdc_source_config={**config, "where": READS, "replace_where": "`it's \"so\"` <> '' OR true"},
        ),
        row("doubled", 2, "scd1", **{**texts, "src_table_name": "doubled"}, business_key_columns=["id"]),
        row("foreign", 2, "scd1", **texts, business_key_columns=["id"], primary_key_columns=[KEY]),
        row("raises", 2, "fact_overwrite", **{**texts, "sql_file_path": "sql/raises.sql"}),
    ]


class Night:
    """The project after one night, and what each command said."""

    def __init__(self, folder: Path) -> None:
        self.project = Project(folder)
        self.project.bronze("attack", source())
        self.project.bronze("doubled", pa.concat_tables([source(), source(key=2).slice(0, 1)]))
        deltalake.write_deltalake(str(self.project.silver_folder / "canary"), pa.table({"id": [1]}))
        deltalake.write_deltalake(str(self.project.workspace / "dev_silver" / SCHEMA / "foreign"), source())
        self.project.write(rows(), sql={"raises.sql": RAISES})
        self.generated = self.project.generate()
        self.first = self.project.run() if self.generated.code == 0 else Finished(1, "", "")
        self.second = self.project.run() if self.generated.code == 0 else Finished(1, "", "")

    @property
    def run_folder(self) -> Path:
        return max((self.project.workspace / "runs").iterdir())

    def table(self, name: str) -> pa.Table:
        return read_table(self.project.workspace / "dev_silver" / SCHEMA / name)

    def job(self) -> dict[str, Any]:
        text = (self.project.folder / "resources" / "main.job.yml").read_text(encoding="utf-8")
        found: dict[str, Any] = yaml.safe_load(text)["resources"]["jobs"]["main"]
        return found

    def record(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.run_folder / "run.json").read_text(encoding="utf-8"))
        return found
