"""Delta's change feed as a source: what its commits did is what happens here, whatever `_fivetran_synced` says.

Sail has no change feed (0.7), which the first test holds to; the others need Spark.
"""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import GuardError, LoadError, SourceError
from tests.laketasks.warehouse import OPEN, Warehouse

CDF: dict[str, Any] = {"source_mode": "cdf", "load_type": "incremental"}
PIPELINES = ["scd1", "scd2", "fact_incremental_merge"]
needs_feed = pytest.mark.spark


def bronze(warehouse: Warehouse, *rows: str) -> None:
    """The source, with its change feed on."""
    table = warehouse.bronze_table("source")
    warehouse.spark.sql(
        f"CREATE TABLE {table} (id BIGINT, a STRING, b INT) USING delta "
        "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
    ).collect()
    insert(warehouse, *rows)


def insert(warehouse: Warehouse, *rows: str) -> None:
    warehouse.spark.sql(f"INSERT INTO {warehouse.bronze_table('source')} VALUES {', '.join(rows)}").collect()


def change(warehouse: Warehouse, statement: str) -> None:
    warehouse.spark.sql(statement.format(t=warehouse.bronze_table("source"))).collect()


def states(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    """Keys and values that are in force."""
    current = [row for row in warehouse.table() if row.get("is_current", True) and not (row.get("is_deleted") or False)]
    return sorted((row["id"], row["a"]) for row in current)


def test_sail_has_no_change_feed(warehouse: Warehouse, engine: str) -> None:
    if engine != "sail":
        return
    warehouse.source("id bigint, a string", (1, "a"))
    warehouse.refuses("scd1", SourceError, "an engine that has its change feed", **CDF)


def test_a_row_that_cannot_mean_a_feed_is_refused(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "a"))
    warehouse.refuses("scd1", LoadError, "set load_type incremental", source_mode="cdf")
    warehouse.refuses("scd1", LoadError, "in the order of its commits", sequence_by="a", **CDF)
    warehouse.refuses("scd1", LoadError, "which SQL has not", sql_file_path="x.sql", **CDF)


@needs_feed
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_kind_of_commit_arrives(warehouse: Warehouse, pipeline: str) -> None:
    bronze(warehouse, "(1, 'a', 1)", "(2, 'b', 1)", "(3, 'c', 1)")
    first = warehouse.load(pipeline, **CDF)
    assert (first["read"], first["new"]) == (3, 3)
    change(warehouse, "UPDATE {t} SET a = 'x' WHERE id = 1")
    change(warehouse, "DELETE FROM {t} WHERE id = 2")
    insert(warehouse, "(4, 'd', 1)")
    second = warehouse.load(pipeline, **CDF)
    assert (second["read"], second["new"], second["changed"], second["deleted"]) == (3, 1, 1, 1)
    assert states(warehouse) == [(1, "x"), (3, "c"), (4, "d")]
    change(warehouse, "DELETE FROM {t}")
    third = warehouse.load(pipeline, **CDF)
    assert third["deleted"] == 3
    assert states(warehouse) == []
    insert(warehouse, "(2, 'again', 1)")
    warehouse.load(pipeline, **CDF)
    assert states(warehouse) == [(2, "again")]


@needs_feed
def test_scd2_keeps_each_state_that_a_commit_made(warehouse: Warehouse) -> None:
    bronze(warehouse, "(1, 'a', 1)")
    warehouse.load("scd2", **CDF)
    change(warehouse, "UPDATE {t} SET a = 'b'")
    change(warehouse, "UPDATE {t} SET a = 'c'")
    change(warehouse, "DELETE FROM {t}")
    insert(warehouse, "(1, 'd', 1)")
    row = warehouse.load("scd2", **CDF)
    assert row["read"] == 4
    history = warehouse.history("a", "is_deleted")
    assert [(version[1], version[2]) for version in history] == [("a", False), ("b", False), ("c", True), ("d", False)]
    assert [version[-1] for version in history] == ["N", "N", "N", "Y"]
    assert history[-1][-2] == OPEN


@needs_feed
def test_an_overwrite_of_bronze_is_its_difference(warehouse: Warehouse) -> None:
    """Its feed deletes every row and inserts every row, in one commit."""
    bronze(warehouse, "(1, 'a', 1)", "(2, 'b', 1)", "(3, 'c', 1)")
    warehouse.load("scd2", **CDF)
    change(warehouse, "INSERT OVERWRITE {t} VALUES (1, 'a', 1), (2, 'x', 1)")
    row = warehouse.load("scd2", **CDF)
    assert (row["rows_inserted"], row["rows_updated"]) == (1, 2)
    assert states(warehouse) == [(1, "a"), (2, "x")]
    assert len(warehouse.table()) == 4


@needs_feed
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_a_feed_that_was_off_is_made_up_for(
    warehouse: Warehouse, pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bronze(warehouse, "(1, 'a', 1)", "(2, 'b', 1)", "(3, 'c', 1)")
    warehouse.load(pipeline, **CDF)
    change(warehouse, "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'false')")
    change(warehouse, "DELETE FROM {t} WHERE id = 2")
    change(warehouse, "UPDATE {t} SET a = 'x' WHERE id = 3")
    change(warehouse, "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    insert(warehouse, "(4, 'd', 1)")
    capsys.readouterr()
    warehouse.load(pipeline, twice=False, **CDF)
    assert "its change feed does not reach back to the last load; compared with the whole table" in (
        capsys.readouterr().out
    )
    assert states(warehouse) == [(1, "a"), (3, "x"), (4, "d")]
    change(warehouse, "DELETE FROM {t} WHERE id = 1")
    warehouse.load(pipeline, **CDF)
    assert states(warehouse) == [(3, "x"), (4, "d")]


@needs_feed
def test_a_target_that_somebody_changed_is_compared_with_the_whole_table(warehouse: Warehouse) -> None:
    bronze(warehouse, "(1, 'a', 1)", "(2, 'b', 1)")
    warehouse.load("scd1", **CDF)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id = 2").collect()
    warehouse.load("scd1", **CDF)
    assert states(warehouse) == [(1, "a"), (2, "b")]


@needs_feed
def test_too_many_deletes_stop_the_load(warehouse: Warehouse) -> None:
    bronze(warehouse, *(f"({n}, 'a', 1)" for n in range(100)))
    warehouse.load("scd2", **CDF)
    change(warehouse, "DELETE FROM {t} WHERE id < 70")
    warehouse.refuses("scd2", GuardError, "70 of 100 current rows would be deleted", **CDF)


@needs_feed
def test_full_refresh_reads_the_table_as_it_stands(warehouse: Warehouse) -> None:
    bronze(warehouse, "(1, 'a', 1)", "(2, 'b', 1)")
    warehouse.load("scd1", **CDF)
    change(warehouse, "DELETE FROM {t} WHERE id = 2")
    warehouse.load("scd1", context={"full_refresh": "target"}, **CDF)
    assert warehouse.rows("id", "a") == [(1, "a")]
