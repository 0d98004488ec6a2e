"""What goes wrong at night, through the whole way: rows, generator, job file, localjobs, loaders, summary."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.journeys.project import Project, row

IDS = pa.table({"id": [1, 2, 3], "a": ["x", "y", "z"]})
HANGS = "SELECT max(a.id * b.id) AS id, 'x' AS a FROM range(100000000) a CROSS JOIN range(100000000) b"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for table in ("good_1", "good_2", "good_3"):
        made.bronze(table, IDS)
    return made


def rows() -> list[dict[str, Any]]:
    keys = {"business_key_columns": ["id"]}
    return [
        row("good_1", 1, "scd1", **keys),
        row("broken_column", 1, "scd1", sql_file_path="sql/broken_column.sql", **keys),
        row("broken_table", 1, "scd2", sql_file_path="sql/broken_table.sql", **keys),
        row("good_2", 2, "fact_overwrite"),
        row("good_3", 3, "fact_incremental_merge", primary_key_columns=["id"]),
        row("odd", 2, "scd9", **keys),
    ]


SQL = {
    "broken_column.sql": "SELECT id, no_such_column FROM {bronze_catalog}.b.good_1",
    "broken_table.sql": "SELECT id FROM {bronze_catalog}.b.no_such_table",
}


def test_a_broken_table_stays_local_and_is_loud(project: Project) -> None:
    project.write(rows(), sql=SQL, on_unknown_pipeline="skip")
    generated = project.generate()
    assert generated.code == 0, generated.err
    assert "odd" in generated.err
    assert "scd9" in generated.err
    done = project.run()
    assert done.code == 1
    assert project.states() == {
        "good_1": "SUCCESS",
        "broken_column": "FAILED",
        "broken_table": "FAILED",
        "good_2": "SUCCESS",
        "good_3": "SUCCESS",
        "run_summary": "FAILED",
    }
    assert project.record()["state"]["result_state"] == "FAILED"
    assert "2 of 5 tables FAILED: broken_column, broken_table" in done.out
    assert "no_such_column" in done.out
    assert "no_such_table" in done.out
    assert "unknown execution_pipeline 'scd9'" in done.out
    assert [project.silver(table).num_rows for table in ("good_1", "good_2", "good_3")] == [3, 3, 3]


def test_skip_holds_back_what_follows(project: Project) -> None:
    layers = {"main": {"on_upstream_failure": "skip"}}
    project.write(rows()[:-1], sql=SQL, layers=layers)
    assert project.generate().code == 0
    done = project.run()
    assert done.code == 1
    states = project.states()
    assert (states["good_1"], states["broken_table"]) == ("SUCCESS", "FAILED")
    assert (states["good_2"], states["good_3"]) == ("UPSTREAM_FAILED", "UPSTREAM_FAILED")
    assert "good_3: UPSTREAM_FAILED" in done.out
    assert not (project.workspace / "dev_silver" / "s" / "good_2" / "_delta_log").exists()


def test_a_hanging_table_is_stopped_at_its_timeout(project: Project) -> None:
    hanging = row("hangs", 1, "fact_overwrite", sql_file_path="sql/hangs.sql")
    layers = {"main": {"tables": {"hangs": {"task": {"timeout_seconds": 4}}}}}
    project.write(
        [row("good_1", 1, "scd1", business_key_columns=["id"]), hanging], sql={"hangs.sql": HANGS}, layers=layers
    )
    assert project.generate().code == 0
    done = project.run()
    assert done.code == 1
    assert project.states() == {"good_1": "SUCCESS", "hangs": "TIMEDOUT", "run_summary": "FAILED"}
    assert "TIMEDOUT  hangs" in done.out
    assert "4 s" in done.out.split("TIMEDOUT  hangs", 1)[1]


def test_an_unknown_pipeline_is_refused_by_default(project: Project) -> None:
    project.write(rows(), sql=SQL)
    done = project.generate()
    assert done.code == 1
    assert "scd9" in done.err
    assert "did you mean" in done.err
    assert not (project.folder / "resources").exists() or not list((project.folder / "resources").iterdir())


def test_all_four_loaders_from_rows_to_tables_and_again_to_nothing(project: Project) -> None:
    for table in ("one", "two", "three", "four"):
        project.bronze(table, IDS)
    loads = [
        row("one", 1, "scd1", business_key_columns=["id"]),
        row("two", 1, "scd2", business_key_columns=["id"]),
        row("three", 2, "fact_overwrite"),
        row("four", 2, "fact_incremental_merge", primary_key_columns=["id"]),
    ]
    project.write(loads)
    assert project.generate().code == 0
    assert project.run().code == 0
    commits = project.commits()
    assert set(commits) == {"one", "two", "three", "four"}
    assert project.run().code == 0
    assert project.commits() == commits
