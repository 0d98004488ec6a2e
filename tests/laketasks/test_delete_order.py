"""At one sequence a delete wins, in whatever batches the rows come, and whether or not the source still has them."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest

from tests.laketasks.warehouse import T, Warehouse
from tests.oracles.histories import event_histories

SEQUENCES: dict[str, tuple[str, Any, Any]] = {
    "date": ("date", date(2024, 1, 2), date(2024, 1, 3)),
    "timestamp": ("timestamp", T(1), T(2)),
    "decimal": ("decimal(10,2)", Decimal("1.50"), Decimal("2.50")),
}
MODES = [
    ("scd1", "soft"),
    ("scd1", "hard"),
    ("fact_incremental_merge", "soft"),
    ("fact_incremental_merge", "hard"),
    ("scd2", "soft"),
    ("scd2", "new_record"),
]
# Nothing of the key stays, or its row with the values before the delete.
EXPECTED = {"hard": [], "soft": [(1, "a", True)], "new_record": [(1, "a", True)]}


def shown(warehouse: Warehouse, pipeline: str, mode: str) -> list[tuple[Any, ...]]:
    """The rows of key 1: all, but of scd2 those that are current."""
    flags = ("is_deleted",) if mode != "hard" else ()
    if pipeline != "scd2":
        return warehouse.rows("id", "v", *flags)
    return [row[:3] for row in warehouse.rows("id", "v", "is_deleted", "is_current") if row[3]]


@pytest.mark.parametrize("grows", [True, False], ids=["kept", "pruned"])
@pytest.mark.parametrize(
    ("pipeline", "mode", "kind"),
    [*((*each, "date") for each in MODES), *(("scd1", "soft", kind) for kind in ("timestamp", "decimal"))],
)
def test_a_delete_at_the_sequence_of_the_only_row_before_it(
    warehouse: Warehouse, pipeline: str, mode: str, kind: str, grows: bool
) -> None:
    column, one, two = SEQUENCES[kind]
    row = {"source_mode": "events", "sequence_by": "u", "watermark": "arr", "apply_as_deletes": "gone"}
    row |= {"delete_mode": mode, "load_type": "incremental", "except_column_list": ["gone"]}
    columns = f"id int, v string, gone boolean, u {column}, arr timestamp"
    row["max_delete_ratio"] = 1
    events = [(1, "a", False, one, T(1)), (1, None, True, one, T(2)), (1, "b", False, two, T(3))]
    expected = [] if pipeline == "scd2" and mode == "soft" else EXPECTED[mode]
    for night, event in enumerate(events):
        warehouse.source(columns, *(events[: night + 1] if grows else [event]))
        counted = warehouse.load(pipeline, **row)
        if night == 1:
            assert shown(warehouse, pipeline, mode) == expected
            assert counted["stale"] == 0
    assert shown(warehouse, pipeline, mode) == [(1, "b", False) if mode != "hard" else (1, "b")]


@pytest.mark.parametrize(("pipeline", "mode"), MODES)
def test_any_batching_of_rows_at_one_sequence_gives_the_same_table(
    warehouse: Warehouse, pipeline: str, mode: str
) -> None:
    """Each key has the same three rows, in another order of arrival, in one, two or three batches."""
    rows = [("x", False, T(1)), ("a", False, T(2)), (None, True, T(2))]
    orders = list(permutations(range(3)))
    batches = [(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 2)]
    keys = [(order, split) for order in orders for split in batches]
    config = {"source_mode": "events", "sequence_by": "u", "watermark": "arr", "apply_as_deletes": "gone"}
    config |= {"delete_mode": mode, "load_type": "incremental", "except_column_list": ["gone", "arr"]}
    for night in range(3):
        arrived = [
            (key, *rows[at], T(split[place]))
            for key, (order, split) in enumerate(keys)
            for place, at in enumerate(order)
            if split[place] <= night
        ]
        warehouse.source("id int, v string, gone boolean, u timestamp, arr timestamp", *arrived)
        warehouse.load(pipeline, twice=night == 2, context={"override_guards": "all"}, **config)
    versions = ("valid_from", "valid_to", "is_current") if pipeline == "scd2" else ()
    flags = ("is_deleted", "deleted_at") if mode != "hard" else ()
    by_key: dict[int, list[Any]] = {key: [] for key in range(len(keys))}
    for found in warehouse.rows("id", "v", *versions, *flags, "_sequence"):
        by_key[found[0]].append(found[1:])
    assert {str(found) for found in by_key.values()} == {str(by_key[0])}, by_key
    if pipeline != "scd2":
        assert by_key[0] == ([] if mode == "hard" else [("a", True, "T2", "T2")])


def test_a_stored_delete_wins_over_a_late_row_of_its_sequence(warehouse: Warehouse) -> None:
    """The source keeps less than the table."""
    row = {"source_mode": "events", "sequence_by": "u", "apply_as_deletes": "gone", "load_type": "incremental"}
    columns = "id int, v string, gone boolean, u timestamp"
    warehouse.source(columns, (1, "a", False, T(1)), (1, None, True, T(2)))
    warehouse.load("scd1", **row)
    warehouse.source(columns, (1, "late", False, T(2)))
    assert warehouse.load("scd1", **row)["stale"] == 1
    assert warehouse.rows("id", "v", "is_deleted") == [(1, "a", True)]
    warehouse.source(columns, (1, "b", False, T(3)))
    warehouse.load("scd1", **row)
    assert warehouse.rows("id", "v", "is_deleted") == [(1, "b", False)]


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_incremental_merge"])
@pytest.mark.parametrize("conflict", ["fail", "latest"])
def test_of_two_state_rows_at_one_sequence_the_delete_wins(warehouse: Warehouse, pipeline: str, conflict: str) -> None:
    row = {"sequence_by": "u", "apply_as_deletes": "gone", "on_conflict": conflict}
    columns = "id int, v string, gone boolean, u timestamp"
    warehouse.source(columns, (1, "a", False, T(1)), (2, "b", False, T(1)))
    warehouse.load(pipeline, **row)
    warehouse.source(columns, (1, "a", False, T(2)), (1, "a", True, T(2)), (2, "b", False, T(2)))
    assert warehouse.load(pipeline, **row)["deleted"] == 1


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge"])
def test_a_second_delete_does_not_change_what_the_first_one_left(warehouse: Warehouse, pipeline: str) -> None:
    """The row at the first delete's sequence gives the values. A tie shows in 2 of 2,000 keys of these histories."""
    columns = "history bigint, id bigint, a string, b bigint, c string, gone boolean, seq timestamp, arrived timestamp"
    row: dict[str, Any] = {"source_mode": "events", "sequence_by": "seq", "watermark": "arrived"}
    row |= {"apply_as_deletes": "gone", "delete_mode": "soft", "max_delete_ratio": 1, "load_type": "incremental"}
    row |= {"keys": ("history", "id"), "except_column_list": ["gone", "seq", "arrived"]}
    rows: list[tuple[Any, ...]] = []
    for number, events in enumerate(event_histories(1).batches[:2], start=1):
        rows += [(*event.row, T(number)) for event in events]
        warehouse.source(columns, *rows)
        warehouse.load(pipeline, **row)  # twice, and the second changes nothing
