"""The whole way on OSS Spark + Delta: rows, generator, job file, localjobs, the four loaders, and again to nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from localjobs.problem import ProblemsError
from localjobs.spark_home import find_spark
from tests.journeys.project import Project, row

pytestmark = [pytest.mark.spark, pytest.mark.timeout(900)]  # a busy machine takes minutes for a run
KEYS = {"business_key_columns": ["id"]}
LOADS = [
    row("one", 1, "scd1", **KEYS),
    row("two", 1, "scd2", **KEYS, cdc_source_config={"sequence_by": ["at"]}),
    row("three", 2, "fact_overwrite"),
    row("four", 2, "fact_incremental_merge", primary_key_columns=["id"]),
]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    try:
        find_spark()
    except ProblemsError as error:
        pytest.skip(str(error))
    return Project(tmp_path, on_spark=True)


def test_all_four_loaders_from_rows_to_tables_and_again_to_nothing(project: Project) -> None:
    at = pa.array([0, 1, 2], pa.timestamp("us", "UTC"))
    for table in ("one", "two", "three", "four"):
        project.bronze(table, pa.table({"id": [1, 2, 3], "a": ["x", "y", None], "at": at}))
    project.write(LOADS)
    assert project.generate().code == 0
    first = project.run()
    assert first.code == 0, first.out + first.err
    commits = project.commits()
    assert set(commits) == {"one", "two", "three", "four"}
    for table in commits:
        assert sorted(project.silver(table)["id"].to_pylist()) == [1, 2, 3]

    again = project.run()
    assert again.code == 0, again.out + again.err
    assert project.commits() == commits


def test_a_schema_that_both_layers_use_is_refused(project: Project) -> None:
    project.write([row("one", 1, "scd1", **KEYS) | {"dst_schema": "b"}])
    assert project.generate().code == 0
    done = project.run()
    assert done.code == 1
    assert "schema b is in bronze_catalog and silver_catalog, which are one catalog here" in done.err


def test_another_target_is_refused(project: Project) -> None:
    project.write(LOADS[:1])
    assert project.generate().code == 0
    done = project.run("--target", "local")
    assert done.code == 1
    assert "run with --target local_spark" in done.err
