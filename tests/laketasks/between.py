"""What happens to tables and to the run log between two runs."""

from __future__ import annotations

import shutil
from typing import Any

from tests.laketasks.warehouse import Warehouse


def values(warehouse: Warehouse, condition: str, column: str = "v") -> dict[int, Any]:
    rows = warehouse.spark.table(warehouse.target).where(condition).select("id", column).collect()
    assert len({row["id"] for row in rows}) == len(rows)
    return {row["id"]: row[column] for row in rows}


def insert_by_hand(warehouse: Warehouse) -> None:
    row = warehouse.spark.createDataFrame([(9, "by hand")], "id bigint, v string")
    row.write.format("delta").mode("append").option("mergeSchema", "true").saveAsTable(warehouse.target)


def forget_the_log(warehouse: Warehouse) -> None:
    warehouse.spark.sql(f"DELETE FROM {warehouse.run_log}").collect()


def swap(
    warehouse: Warehouse,
    name: str,
    other: str,
    columns: str = "",
    rows: list[tuple[Any, ...]] | None = None,
    commits: int = 1,
) -> None:
    """Put another table in the place of one, both made before: the name and the version are those of the first."""
    for _ in range(commits if columns else 0):
        warehouse.source(columns, *(rows or []), name=other)
    one, two = (warehouse.bronze_table(each) for each in (name, other))
    if warehouse.bronze[0] == "spark_catalog":
        schema = warehouse.bronze[1]  # a new name has no catalog there
        warehouse.spark.sql(f"ALTER TABLE {one} RENAME TO {schema}.{name}_old").collect()
        warehouse.spark.sql(f"ALTER TABLE {two} RENAME TO {schema}.{name}").collect()
        return
    folder = warehouse.workspace.joinpath(*warehouse.bronze)
    for each in (one, two):
        warehouse.spark.sql(f"DROP TABLE {each}").collect()
    if (folder / other).exists():
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / other).rename(folder / name)
    warehouse.spark.sql(f"CREATE TABLE {one} USING delta LOCATION '{folder / name}'").collect()


def restore(warehouse: Warehouse, version: int) -> None:
    from deltalake import DeltaTable

    if warehouse.bronze[0] == "spark_catalog":
        warehouse.spark.sql(f"RESTORE TABLE {warehouse.target} TO VERSION AS OF {version}").collect()
    else:
        DeltaTable(warehouse.target_folder).restore(version)
