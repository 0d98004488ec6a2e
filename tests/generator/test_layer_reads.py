"""Reads from one layer to another: said by `check` and `generate` unless something starts the reader's job later."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.build import build
from generator.explain import explain
from generator.problem import Problem, sentence
from tests.generator.rows import project, row

SILVER = [row(dst_table_name="dim_a"), row(dst_table_name="dim_b", execution_order=2)]
SQL = "SELECT *\nFROM {silver_catalog}.core.dim_a\nJOIN {silver_catalog}.core.dim_b USING (id)"


def gold(name: str = "fact", **columns: Any) -> dict[str, object]:
    given = {
        "layer": "gold",
        "dst_schema": "gold",
        "execution_pipeline": "fact_overwrite",
        "business_key_columns": None,
    }
    return row(dst_table_name=name, **{**given, "sql_file_path": f"{name}.sql", **columns})


def problems(folder: Path, rows: list[dict[str, object]], sql: str = SQL, **settings: Any) -> list[Problem]:
    options = project(folder, rows, **settings)
    for values in rows:
        if values["sql_file_path"]:
            (folder / "bundle" / str(values["sql_file_path"])).write_text(sql)
    return [found for found in build(options)[1] if found.severity != "hint" and "no settings" not in found.what]


def lost(folder: Path, rows: list[dict[str, object]], sql: str = SQL, **settings: Any) -> list[str]:
    layers = {"bronze_to_silver": {}, "gold": {}, **settings.pop("layers", {})}
    found = problems(folder, rows, sql, layers=layers, **settings)
    assert all(problem.severity == "warning" for problem in found), found
    return [sentence(problem) for problem in found if "does not wait" in problem.what]


def test_a_table_that_another_layer_loads_is_read_without_a_wait(tmp_path: Path) -> None:
    (said,) = lost(tmp_path, [*SILVER, gold(), gold("other")])
    assert said == (
        "layers.gold: the job of gold does not wait for the job of bronze_to_silver, and reads 2 tables that it "
        f"loads, such as dim_a, which fact reads ({tmp_path}/bundle/fact.sql:2); give these rows one layer, or start "
        "gold by job.trigger: {table_update: {}} (docs/job.md)"
    )
    plain = gold("copy", sql_file_path=None, src_catalog="dev_silver", src_schema="CORE", src_table_name="DIM_A")
    (said,) = lost(tmp_path, [*SILVER, plain])
    assert "reads 1 table that it loads: dim_a, which copy reads (" in said


def test_what_is_read_in_both_directions_belongs_into_one_layer(tmp_path: Path) -> None:
    back = row(
        dst_table_name="dim_c", src_catalog="dev_silver", src_schema="gold", src_table_name="fact", execution_order=2
    )
    said = lost(tmp_path, [*SILVER, back, gold()])
    assert [text.split("; ")[-1] for text in said] == [
        "each reads what the other loads: give these rows one layer (docs/job.md)"
    ] * 2


@pytest.mark.parametrize("active", [True, False])
def test_only_what_is_loaded_counts(tmp_path: Path, active: bool) -> None:
    rows = [row(dst_table_name="dim_a", is_active_flag=active), row(dst_table_name="dim_x"), gold()]
    assert len(lost(tmp_path, rows)) == int(active)
    assert lost(tmp_path, [*SILVER, gold()], "SELECT * FROM {bronze_catalog}.core.dim_a") == []


@pytest.mark.parametrize(
    ("update", "waits"),
    [
        ({}, True),
        (None, True),
        ({"condition": "ANY_UPDATED"}, True),
        ({"table_names": ["${var.silver_catalog}.core.dim_a", "dev_silver.CORE.dim_b"]}, True),
        ({"table_names": ["${var.silver_catalog}.core.dim_a"]}, False),
        ({"table_names": ["${var.bronze_catalog}.core.dim_a", "dev_bronze.core.dim_b"]}, False),
    ],
)
def test_a_trigger_on_the_tables_waits(tmp_path: Path, update: Any, waits: bool) -> None:
    layers = {"gold": {"job": {"trigger": {"table_update": update}}}}
    assert (lost(tmp_path, [*SILVER, gold()], layers=layers) == []) is waits


def test_a_schedule_is_no_wait(tmp_path: Path) -> None:
    schedule = {"schedule": {"quartz_cron_expression": "0 0 5 * * ?", "timezone_id": "UTC"}}
    assert len(lost(tmp_path, [*SILVER, gold()], layers={"gold": {"job": schedule}})) == 1


@pytest.mark.parametrize(("order", "waits"), [(1, False), (2, False), (3, True)])
def test_a_row_that_runs_the_other_job_waits_for_what_has_a_smaller_order(
    tmp_path: Path, order: int, waits: bool
) -> None:
    runner = {"job": {"run_job_task": {"job_id": "${resources.jobs.{src_table_name}.id}"}}}
    runs = row(dst_table_name="run_gold", src_table_name="gold", execution_pipeline="job", execution_order=order)
    assert (lost(tmp_path, [*SILVER, runs, gold()], runners=runner) == []) is waits


def by_hand(folder: Path, **depends: list[str]) -> None:
    """A job written by hand that runs both jobs."""
    tasks = [
        {
            "task_key": key,
            "depends_on": [{"task_key": other} for other in depends.get(key, [])],
            "run_job_task": {"job_id": f"${{resources.jobs.{job}.id}}"},
        }
        for key, job in (("one", "bronze_to_silver"), ("two", "gold"))
    ]
    (folder / "resources").mkdir(exist_ok=True)
    text = yaml.safe_dump({"resources": {"jobs": {"all": {"tasks": tasks}}}})
    (folder / "resources" / "all.yml").write_text(text)


@pytest.mark.parametrize(("depends", "waits"), [({"two": ["one"]}, True), ({}, False), ({"one": ["two"]}, False)])
def test_a_job_that_runs_both_in_order_waits(tmp_path: Path, depends: dict[str, list[str]], waits: bool) -> None:
    by_hand(tmp_path, **depends)
    assert (lost(tmp_path, [*SILVER, gold()]) == []) is waits


def test_explain_says_what_a_read_of_another_layer_waits_for(tmp_path: Path) -> None:
    def read(**settings: Any) -> str:
        problems(tmp_path, [*SILVER, gold()], **settings)
        built, _ = build(project(tmp_path, [*SILVER, gold()], **settings))
        assert built is not None
        return next(line for line in explain(built, "fact")[0].splitlines() if "dim_a" in line)

    assert read().endswith(", loaded by job bronze_to_silver, for which this one does not wait")
    trigger = {"gold": {"job": {"trigger": {"table_update": {}}}}}
    assert read(layers=trigger).endswith(", loaded by job bronze_to_silver, whose updates start this job")
    by_hand(tmp_path, two=["one"])
    assert read().endswith(", loaded by job bronze_to_silver, after which task two of job all runs this one")
