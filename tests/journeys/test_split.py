"""A layer of more tasks than a job holds, the whole way: its sizes are small here, all else is as it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from generator.build import Options, build
from generator.render import publish
from generator.split import JobSize
from tests.journeys.project import Project, row

IDS = pa.table({"id": [1, 2, 3], "a": ["x", "y", "z"]})
SQL = {"broken.sql": "SELECT id, no_such_column FROM {bronze_catalog}.b.one"}


def split(folder: Path, **settings: Any) -> Project:
    """Six tables in two orders, of which one in the second child of order 1 fails."""
    project = Project(folder)
    for table in ("one", "two", "three", "four", "five"):
        project.bronze(table, IDS)
    keys = {"business_key_columns": ["id"]}
    rows = [row(table, 1, "scd1", **keys) for table in ("one", "two", "three")]
    rows += [row("zzz", 1, "scd1", sql_file_path="sql/broken.sql", **keys)]
    rows += [row("four", 2, "scd2", **keys), row("five", 2, "fact_overwrite")]
    project.write(rows, sql=SQL, **settings)
    options = Options(settings=folder / "bundle" / "settings.yml", source=None, out=folder / "resources")
    built, problems = build(options, JobSize(job=6, child=2))
    assert built is not None, problems
    assert len(built.texts) == 4
    publish(options.out, built.texts, built.stale)
    return project


def parent(project: Project) -> dict[str, Any]:
    read = [json.loads(file.read_text()) for file in project.workspace.glob("runs/*/run.json")]
    return next(record for record in read if record["trigger"] != "RUN_JOB_TASK")


def states(record: dict[str, Any]) -> dict[str, str]:
    return {task["task_key"]: task["state"]["result_state"] for task in record["tasks"]}


def test_a_failure_in_a_child_stops_no_other_and_stands_in_the_summary(tmp_path: Path) -> None:
    project = split(tmp_path)
    refused = project.run("--params", "full_refresh=one,fourr")
    assert refused.code == 1
    assert "--params full_refresh names fourr: no such task in this job; did you mean four?" in refused.err
    assert "Traceback" not in refused.err
    assert not [*project.workspace.glob("runs/*/run.json")]  # nothing has started
    done = project.run("--params", "full_refresh=one")
    assert done.code == 1
    record = parent(project)
    assert states(record) == {
        "order_1_1": "SUCCESS",
        "order_1_2": "FAILED",
        "gate_2": "SUCCESS",
        "order_2_1": "SUCCESS",
        "run_summary": "FAILED",
    }
    assert "1 of 6 tables FAILED: zzz\n" in done.out
    assert f"run {record['run_id']}: processed 6, successful 5, failed 1, skipped 0" in done.out
    assert "no_such_column" in done.out
    assert {
        table: project.silver(table).num_rows for table in ("one", "two", "three", "four", "five")
    } == dict.fromkeys(("one", "two", "three", "four", "five"), 3)
    # One run: whatever a child loads is kept under the parent's id, from the parent's start.
    assert set(project.silver("four")["_job_run_id"].to_pylist()) == {str(record["run_id"])}


def test_with_skip_the_next_order_does_not_run(tmp_path: Path) -> None:
    project = split(tmp_path, layers={"main": {"on_upstream_failure": "skip"}})
    done = project.run()
    assert done.code == 1
    assert states(parent(project)) == {
        "order_1_1": "SUCCESS",
        "order_1_2": "FAILED",
        "gate_2": "UPSTREAM_FAILED",
        "order_2_1": "UPSTREAM_FAILED",
        "run_summary": "FAILED",
    }
    assert "1 of 6 tables FAILED: zzz\n" in done.out
    assert "  order_2_1: UPSTREAM_FAILED (2 tables)" in done.out
    assert not (project.silver_folder / "four" / "_delta_log").exists()


def test_a_child_run_by_itself_is_a_run_of_its_own(tmp_path: Path) -> None:
    project = split(tmp_path)
    done = project.run(job="main__order_1_1")
    assert done.code == 0, done.out
    record = project.record()
    assert states(record) == {"one": "SUCCESS", "three": "SUCCESS"}
    assert set(project.silver("one")["_job_run_id"].to_pylist()) == {str(record["run_id"])}
