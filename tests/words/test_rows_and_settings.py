"""No column of a row and no key of the settings does nothing: it changes the job's bytes, or it is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.build import build
from generator.columns import BY_NAME
from generator.settings import LayerSettings, Settings
from tests.generator.rows import project as made_project
from tests.generator.rows import row, tables

SQL = "SELECT id, a FROM {bronze_catalog}.erp.customer"
COLUMNS: dict[str, Any] = {
    "src_system": "crm",
    "src_catalog": "dev_silver",
    "src_schema": "crm",
    "src_table_name": "client",
    "load_type": "incremental",
    "dst_catalog": "dev_bronze",
    "dst_schema": "mart",
    "dst_table_name": "dim_client",
    "layer": "silver_to_gold",
    "is_active_flag": False,
    "execution_order": 2,
    "execution_pipeline": "scd2",
    "business_key_columns": ["id", "part"],
    "primary_key_columns": ["sk"],
    "sql_file_path": "sql/customer.sql",
    "cdc_source_config": {"sequence_by": "a"},
    "comment": "Clients",
}
# Beside SQL these columns are labels for the reader of the rows: docs/columns.md says so.
LABELS = {"src_catalog", "src_schema", "src_table_name"}
SETTINGS: dict[str, Any] = {
    "execution_table": "rows.yml",
    "run_log": "dev_silver.metadata.log",
    "run_log_retention": "400 days",
    "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "other_catalog"},
    "runners": {"nb": {"notebook_task": {"notebook_path": "nb.py", "source": "WORKSPACE"}}},
    "on_unknown_pipeline": "skip",
    "layers": {"bronze_to_silver": {"edges": "gate"}},
}
LAYER: dict[str, Any] = {
    "edges": "lineage",
    "on_upstream_failure": "skip",
    "compute": "main",
    "max_parallel_tasks": 2,
    "task_key": "{dst_schema}_{dst_table_name}",
    "job": {"tags": {"team": "a"}, "job_clusters": [{"job_cluster_key": "main", "new_cluster": {"num_workers": 1}}]},
    "task": {"timeout_seconds": 60},
    "tables": {"dim_customer": {"task": {"timeout_seconds": 30}}},
}


def test_every_word_has_a_value_here() -> None:
    assert COLUMNS.keys() == BY_NAME.keys()
    assert SETTINGS.keys() == Settings.model_fields.keys()
    assert LAYER.keys() == LayerSettings.model_fields.keys()


def result(folder: Path, rows: list[dict[str, Any]], layer: dict[str, Any], **settings: Any) -> Any:
    """The texts of the job files, or what is wrong: errors, and warnings, which say that a word does nothing."""
    layers = {each["layer"]: layer if each["layer"] == "bronze_to_silver" else {} for each in rows}
    options = made_project(folder, rows, layers=layers, **settings)
    (folder / "bundle" / "sql").mkdir(exist_ok=True)
    (folder / "bundle" / "sql" / "customer.sql").write_text(SQL, encoding="utf-8")
    (folder / "bundle" / "rows.yml").write_text(yaml.safe_dump(rows[1:]), encoding="utf-8")
    built, problems = build(options)
    return dict(built.texts) if built else {}, sorted({(p.what, p.severity) for p in problems if p.severity != "hint"})


def two(**columns: Any) -> list[dict[str, Any]]:
    """The row, and three others before and after it."""
    return [row(**columns), *tables(1, 2, 3)]


PAIRS = [pair for pair in itertools.permutations(COLUMNS, 2) if not (pair[0] in LABELS and pair[1] == "sql_file_path")]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_column_makes_a_difference_beside_another(tmp_path: Path, pair: tuple[str, str]) -> None:
    one, other = pair
    with_other = {other: COLUMNS[other]}
    changed = result(tmp_path, two(**with_other, **{one: COLUMNS[one]}), {})
    same = result(tmp_path, two(**with_other), {})
    assert changed != same or other == "is_active_flag", f"{one} does nothing beside {other}"


@pytest.mark.parametrize("pair", itertools.permutations(LAYER, 2), ids="-".join)
def test_a_key_of_a_layer_makes_a_difference_beside_another(tmp_path: Path, pair: tuple[str, str]) -> None:
    one, other = pair
    with_other = {other: LAYER[other]}
    if "compute" in pair:
        with_other = {"job": LAYER["job"], **with_other}
    changed = result(tmp_path, two(), {**with_other, one: LAYER[one]})
    without = {key: value for key, value in with_other.items() if key != one}
    assert changed != result(tmp_path, two(), without), f"{one} does nothing beside {other}"


@pytest.mark.parametrize("pair", itertools.permutations(SETTINGS, 2), ids="-".join)
def test_a_key_of_the_settings_makes_a_difference_beside_another(tmp_path: Path, pair: tuple[str, str]) -> None:
    one, other = pair
    pipeline = (
        "nb"
        if one == "runners" or pair == ("execution_table", "runners")
        else "other"
        if "on_unknown_pipeline" in pair
        else "scd1"
    )
    rows = [*two(), row(dst_table_name="more", execution_pipeline=pipeline)]
    layers = SETTINGS["layers"]["bronze_to_silver"] if other == "layers" else {}
    without = {} if other == "layers" else {other: SETTINGS[other]}
    changed = {**without, one: SETTINGS[one]} if one != "layers" else without
    now = SETTINGS["layers"]["bronze_to_silver"] if one == "layers" else layers
    assert result(tmp_path, rows, now, **changed) != result(tmp_path, rows, layers, **without), f"{one} beside {other}"
