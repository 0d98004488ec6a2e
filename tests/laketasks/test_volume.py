"""Cases 74 and 126: many rows are not one task's work, and what a load counts is what the engine says that it wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from pyspark.errors import PySparkException

from laketasks.sql import instant
from tests.laketasks.warehouse import EFFECTS, T, Warehouse

ROWS = 100_000


@pytest.fixture
def uncoalesced(warehouse: Warehouse) -> Iterator[Warehouse]:
    """A warehouse in whose session small partitions stay apart, so that each task writes a file of its own."""
    name = "spark.sql.adaptive.coalescePartitions.enabled"
    warehouse.spark.conf.set(name, "false")
    yield warehouse
    warehouse.spark.conf.unset(name)


def bring(warehouse: Warehouse, changed: int) -> None:
    """A source of many keys, of which the first few have changed."""
    rows = warehouse.spark.range(ROWS).selectExpr(
        "id",
        f"IF(id < {changed}, 'changed', concat('v', id % 100)) AS a",
        f"IF(id < {changed}, {instant(T(2))}, {instant(T(1))}) AS seq",
    )
    rows.write.format("delta").mode("overwrite").saveAsTable(warehouse.bronze_table("source"))


def written(warehouse: Warehouse) -> list[int]:
    """How many rows each file of the last commit holds."""
    log = max((warehouse.target_folder / "_delta_log").glob("*.json"))
    added = [json.loads(line)["add"] for line in log.read_text().splitlines() if '"add"' in line]
    return [json.loads(add["stats"])["numRecords"] for add in added]


def test_74_an_initial_load_is_not_one_tasks_work(uncoalesced: Warehouse, engine: str) -> None:
    bring(uncoalesced, changed=0)
    row = uncoalesced.load("scd2", sequence_by="seq")
    assert (row["new"], row["rows_inserted"]) == (ROWS, ROWS)
    files = written(uncoalesced)
    assert sum(files) == ROWS
    if engine != "sail":  # whose MERGE brings the rows of all its tasks into one file
        assert max(files) < 0.6 * ROWS, files
    bring(uncoalesced, changed=10)
    row = uncoalesced.load("scd2", sequence_by="seq")
    assert (row["changed"], row["unchanged"], row["rows_inserted"], row["rows_updated"]) == (10, ROWS - 10, 10, 10)


def test_126_the_effects_are_those_of_the_tables_history(warehouse: Warehouse, engine: str) -> None:
    columns, config = "id bigint, a string, gone boolean, seq timestamp", {"sequence_by": "seq", "delete_mode": "hard"}
    warehouse.source(columns, *[(i, "a", False, T(1)) for i in range(5)])
    warehouse.load("scd1", **config, apply_as_deletes="gone")
    warehouse.source(columns, (0, "b", False, T(2)), (1, "a", True, T(2)), (2, "a", True, T(2)), (7, "c", False, T(2)))
    row = warehouse.load("scd1", **config, apply_as_deletes="gone")
    assert [row[effect] for effect in EFFECTS] == [1, 1, 2]
    assert warehouse.merges()[-1] == {effect: row[effect] for effect in EFFECTS}
    if engine == "sail":
        with pytest.raises(PySparkException):
            warehouse.spark.sql(f"DESCRIBE HISTORY {warehouse.target} LIMIT 1").collect()
        return
    told = warehouse.spark.sql(f"DESCRIBE HISTORY {warehouse.target} LIMIT 1").collect()[0]["operationMetrics"]
    assert [int(told[f"numTargetRows{word}"]) for word in ("Inserted", "Updated", "Deleted")] == [1, 1, 2]
