"""A source's columns that have the names of a loader's: carried where the loader makes none, refused where it does."""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import LoadError
from tests.laketasks.warehouse import T, Warehouse

COLUMNS = (
    "id int, v string, u timestamp, valid_from string, valid_to timestamp, is_current string, is_deleted string, "
    "deleted_at int"
)
OWN = ("valid_from", "valid_to", "is_current", "is_deleted", "deleted_at")
ONE = (1, "a", T(1), "f", T(3), "c", "Y", 7)
TWO = (2, "b", T(1), "g", T(4), "d", "N", None)


MODES = [
    (pipeline, mode) for pipeline in ("scd1", "fact_incremental_merge") for mode in ("state", "snapshot", "events")
]
MODES += [("fact_overwrite", "state"), ("fact_overwrite", "snapshot")]  # which reads no events


@pytest.mark.parametrize(("pipeline", "mode"), MODES)
def test_they_are_carried_by_a_loader_that_makes_none(warehouse: Warehouse, pipeline: str, mode: str) -> None:
    row: dict[str, Any] = {"source_mode": mode, "sequence_by": "u"}
    row |= {"unknown_member": True} if pipeline == "scd1" else {}
    warehouse.source(COLUMNS, ONE, TWO)
    warehouse.load(pipeline, **row)
    unknown = [(-1, *[None] * 6)] if pipeline == "scd1" else []
    one, two = (1, "a", "f", "T3", "c", "Y", 7), (2, "b", "g", "T4", "d", "N", None)
    assert warehouse.rows("id", "v", *OWN) == [*unknown, one, two]
    warehouse.source(COLUMNS, ONE, (2, "b2", T(2), "g", T(4), "d", "Y", 8))
    counted = warehouse.load(pipeline, **row)
    assert warehouse.rows("id", "v", *OWN) == [*unknown, one, (2, "b2", "g", "T4", "d", "Y", 8)]
    assert counted["unchanged"] == 1


@pytest.mark.parametrize("name", OWN)
def test_scd2_makes_them_all(warehouse: Warehouse, name: str) -> None:
    warehouse.source(f"id int, v string, {name} string", (1, "a", "x"))
    message = f"the loader makes {name} itself.*Rename it in the SQL file or leave it out with except_column_list"
    with pytest.raises(LoadError, match=message):
        warehouse._once("scd2", {}, {})
    warehouse.load("scd2", except_column_list=[name])


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge"])
@pytest.mark.parametrize("name", ["is_deleted", "deleted_at"])
@pytest.mark.parametrize("mode", ["state", "events"])
def test_a_loader_that_marks_deleted_rows_makes_two(warehouse: Warehouse, pipeline: str, name: str, mode: str) -> None:
    row = {"apply_as_deletes": f"{name} = 'Y'", "source_mode": mode, "sequence_by": "u"}
    warehouse.source(f"id int, v string, u timestamp, {name} string", (1, "a", T(1), "N"))
    with pytest.raises(LoadError, match=f"the loader makes {name} itself"):
        warehouse._once(pipeline, row, {})
    warehouse.load(pipeline, except_column_list=[name], **row)
    assert warehouse.rows("is_deleted") == [(False,)]
    warehouse.source(f"id int, v string, u timestamp, {name} string", (1, "a", T(2), "Y"))
    warehouse.load(pipeline, except_column_list=[name], **row)
    assert warehouse.rows("is_deleted") == [(True,)]


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge"])
def test_hard_deletes_leave_them_to_the_source(warehouse: Warehouse, pipeline: str) -> None:
    row = {"apply_as_deletes": "v = 'gone'", "delete_mode": "hard", "reconcile": True, "sequence_by": "u"}
    row |= {"load_type": "incremental", "max_delete_ratio": 1}
    warehouse.source(COLUMNS, ONE, TWO)
    warehouse.load(pipeline, **row)
    warehouse.source(COLUMNS, (2, "gone", T(2), "g", T(4), "d", "Y", None))
    assert warehouse.load(pipeline, **row)["rows_deleted"] == 2
    assert warehouse.rows("id") == []


def test_a_loader_that_begins_to_mark_does_not_take_over_the_columns_of_the_source(warehouse: Warehouse) -> None:
    columns = "id int, v string, is_deleted boolean"
    warehouse.source(columns, (1, "a", False), (2, "b", True))
    warehouse.load("scd1")
    row = {"apply_as_deletes": "v = 'gone'", "except_column_list": ["is_deleted"]}
    warehouse.refuses("scd1", LoadError, "is_deleted in the table came from the source until now", **row)
    warehouse.load("scd1", context={"full_refresh": "target"}, **row)
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, False)]


def test_a_source_does_not_take_over_the_marks_of_the_loader(warehouse: Warehouse) -> None:
    warehouse.source("id int, v string", (1, "a"), (2, "gone"))
    warehouse.load("scd1", apply_as_deletes="v = 'gone'")
    warehouse.source("id int, v string, is_deleted boolean, deleted_at timestamp", (1, "a", True, T(1)))
    warehouse.refuses("scd1", LoadError, "the loader has marked deleted rows in is_deleted, deleted_at, and the source")


@pytest.mark.parametrize("pipeline", ["scd1", "fact_overwrite"])
def test_a_table_of_ours_is_a_source_like_any_other(warehouse: Warehouse, pipeline: str) -> None:
    """What a load recorded about itself is left out, what says something of the row is carried."""
    warehouse.source("id int, v string", (1, "a"))
    warehouse.table_name = "dim"
    warehouse.load("scd2", twice=False)
    frame = warehouse.spark.table(warehouse.target)
    frame.write.format("delta").saveAsTable(warehouse.bronze_table("dim"))
    warehouse.table_name, warehouse._read = "target", (0, [])
    warehouse.load(pipeline, source_name="dim")
    assert warehouse.rows("id", "v", "is_current", "is_deleted", "deleted_at") == [(1, "a", True, False, None)]


def test_a_new_column_of_such_a_name_stops_a_table_whose_columns_are_fixed(warehouse: Warehouse) -> None:
    warehouse.source("id int", (1,))
    warehouse.load("scd1", schema_evolution="fail")
    warehouse.source("id int, valid_from string", (1, "x"))
    warehouse.refuses("scd1", LoadError, "valid_from is new in the source", schema_evolution="fail")
