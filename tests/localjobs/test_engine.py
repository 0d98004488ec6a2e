from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localjobs.engine import found_schemas, is_staging, prepare

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_table_lands_in_the_folder_of_its_schema(spark: SparkSession, workspace: Path, schema: str) -> None:
    spark.sql(f"CREATE TABLE dev_silver.{schema}.t (id INT) USING delta")
    assert (workspace / "dev_silver" / schema / "t" / "_delta_log").is_dir()


def test_a_folder_is_registered_unless_it_was_a_staging_table(
    spark: SparkSession, workspace: Path, schema: str
) -> None:
    names = ["kept", "_laketasks_stage_1", "t__laketasks_stage_9f"]
    for name in names:
        spark.sql(f"CREATE TABLE dev_bronze.{schema}.{name} USING delta AS SELECT 1 AS id")
        spark.sql(f"DROP TABLE dev_bronze.{schema}.{name}")

    assert found_schemas(workspace) == [("dev_bronze", schema)]
    assert prepare(spark, workspace, [("dev_bronze", schema)]) == 1
    assert [row[0] for row in spark.sql(f"SELECT id FROM dev_bronze.{schema}.kept").collect()] == [1]
    assert [p.name for p in (workspace / "dev_bronze" / schema).iterdir()] == ["kept"]


@pytest.mark.parametrize(("name", "staging"), [("dim", False), ("_laketasks_x", True), ("a__laketasks_stage_b", True)])
def test_names_of_staging_tables(name: str, staging: bool) -> None:
    assert is_staging(name) is staging
