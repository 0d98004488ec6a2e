"""A repair of a night whose notebook failed: what read its table is loaded again, what did not is let be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa

from tests.journeys.project import Finished, Project, row

IDS = pa.table({"id": [1, 2], "a": ["x", "y"]})
NOTEBOOK = """# Databricks notebook source
import pathlib
if not pathlib.Path(dbutils.widgets.get("switch")).exists():
    raise ValueError("not yet")
# COMMAND ----------
# MAGIC %sql INSERT INTO dev_silver.s.made VALUES (3, 'z')
"""
READS = "SELECT id, a FROM {silver_catalog}.s.%s"


def made(folder: Path) -> Project:
    project = Project(folder)
    for table in ("one", "two", "three"):
        project.bronze(table, IDS)
    deltalake.write_deltalake(str(project.silver_folder / "made"), IDS)
    (folder / "nb.py").write_text(NOTEBOOK)
    keys = {"business_key_columns": ["id"]}
    rows = [
        row("nb", 1, "notebook", **keys),
        row("one", 1, "scd1", **keys),
        row("late", 1, "scd1", **keys),  # whose source is not there yet
        row("two", 2, "scd1", **keys),
        row("of_one", 2, "scd1", sql_file_path="sql/of_one.sql", **keys),
        row("of_made", 2, "scd2", sql_file_path="sql/of_made.sql", **keys),
        row("of_late", 2, "scd1", **{**keys, "src_catalog": "dev_silver", "src_schema": "s", "src_table_name": "late"}),
        row("three", 3, "fact_overwrite"),
    ]
    runner = {"notebook_task": {"notebook_path": "../nb.py", "base_parameters": {"switch": str(folder / "on")}}}
    sql = {"of_one.sql": READS % "one", "of_made.sql": READS % "made"}
    project.write(rows, sql=sql, runners={"notebook": runner})
    assert project.generate().code == 0
    return project


def repair(project: Project) -> Finished:
    return project._python(
        "localjobs", "repair", str(project.record()["run_id"]), "--workspace", str(project.workspace)
    )


def attempts(project: Project) -> dict[str, int]:
    found: dict[str, int] = {}
    for task in project.record()["tasks"]:
        found[task["task_key"]] = found.get(task["task_key"], 0) + 1
    return found


def test_a_repair_loads_again_what_read_a_table_that_has_changed(tmp_path: Path) -> None:
    project = made(tmp_path)
    assert project.run().code == 1
    results = project.states()
    assert {key for key, result in results.items() if result != "SUCCESS"} == {"nb", "late", "of_late", "run_summary"}

    again = repair(project)  # the notebook fails as before: nothing has changed
    assert again.code == 1
    assert "[3/8] kept" in again.err
    once = dict.fromkeys(("one", "two", "of_one", "of_made", "three"), 1)
    assert attempts(project) == {**once, "nb": 2, "late": 2, "of_late": 2, "run_summary": 2}
    kept: dict[str, Any] = next(task for task in project.record()["tasks"] if task["task_key"] == "two")
    assert kept["state"]["result_state"] == "SUCCESS"
    assert kept["run_id"] not in project.record()["repair_history"][1]["task_run_ids"]

    (tmp_path / "on").touch()
    project.bronze("late", IDS)
    last = repair(project)
    assert last.code == 0, last.out
    assert attempts(project) == {**once, "of_made": 2, "nb": 3, "late": 3, "of_late": 3, "run_summary": 3}
    assert sorted(project.silver("of_made")["id"].to_pylist()) == [1, 2, 3]
    assert project.silver("of_late").num_rows == 2
    assert project.record()["state"]["result_state"] == "SUCCESS"
    assert "processed 8, successful 8, failed 0" in last.out
