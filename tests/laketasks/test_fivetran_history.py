"""Fivetran's history tables by the cases; the numbers are those of the list of cases.

A row is (id, value, start, end, active); its end is inclusive, a millisecond before the next start, ∞ where it is open.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from laketasks.error import GuardError, LoadError, SourceError
from tests.laketasks.warehouse import OPEN, T, Warehouse

COLUMNS = (
    "id bigint, a string, _fivetran_start timestamp, _fivetran_end timestamp, _fivetran_active boolean, "
    "_fivetran_synced timestamp"
)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)
HISTORY = {"source_mode": "fivetran_history"}


def row(key: int, value: str, start: float, end: float | None, synced: float = 1) -> tuple[Any, ...]:
    until = FOREVER if end is None else T(end) - timedelta(milliseconds=1)
    return (key, value, T(start), until, end is None, T(synced))


def load(warehouse: Warehouse, *rows: tuple[Any, ...], pipeline: str = "scd2", **config: Any) -> dict[str, Any]:
    warehouse.source(COLUMNS, *rows)
    return warehouse.load(pipeline, **(HISTORY | config))


def test_97_ends_become_exclusive(warehouse: Warehouse) -> None:
    counts = load(warehouse, row(1, "a", 1, 2), row(1, "b", 2, None))
    assert warehouse.history("a", "is_deleted") == [(1, "a", False, "T1", "T2", "N"), (1, "b", False, "T2", OPEN, "Y")]
    assert (counts["new"], counts["changed"], counts["rows_inserted"]) == (1, 1, 2)


def test_99_gaps_stay(warehouse: Warehouse) -> None:
    load(warehouse, row(1, "a", 1, 2), row(1, "b", 3, None))
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T2", "N"), (1, "b", False, "T3", OPEN, "Y")]


def test_an_end_without_a_successor_is_a_delete(warehouse: Warehouse) -> None:
    load(warehouse, row(1, "a", 1, None))
    counts = load(warehouse, row(1, "a", 1, 4))
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T4", "N")]
    assert (counts["deleted"], counts["rows_updated"]) == (1, 1)
    load(warehouse, row(1, "a", 1, 4), row(1, "c", 6, None))
    assert [version[-3:] for version in warehouse.history("a")] == [("T1", "T4", "N"), ("T6", OPEN, "Y")]


def test_101_a_rewritten_past_leaves_no_orphan(warehouse: Warehouse) -> None:
    load(warehouse, row(1, "a", 1, 4), row(1, "b", 4, 6), row(1, "c", 6, None))
    counts = load(warehouse, row(1, "a", 1, 2), row(1, "x", 2, 5), row(1, "c", 5, None))
    assert [version[1:] for version in warehouse.history("a")] == [
        ("a", "T1", "T2", "N"),
        ("x", "T2", "T5", "N"),
        ("c", "T5", OPEN, "Y"),
    ]
    assert (counts["rows_inserted"], counts["rows_updated"], counts["rows_deleted"]) == (2, 1, 2)


def test_102_a_resync_under_way_is_stopped(warehouse: Warehouse) -> None:
    before = [row(key, "a", 1, None) for key in range(100)]
    load(warehouse, *before)
    warehouse.source(COLUMNS, *(row(key, "a", 1, 3 if key < 60 else None) for key in range(100)))
    warehouse.refuses("scd2", GuardError, "60 of 100 current rows would be deleted or closed", **HISTORY)
    assert load(warehouse, *before)["unchanged"] == 100


def test_103_a_table_without_a_key_of_its_own_works_as_scd1(warehouse: Warehouse) -> None:
    columns = "_fivetran_id string, a string, _fivetran_deleted boolean, _fivetran_synced timestamp"
    config: dict[str, Any] = {"keys": ["_fivetran_id"], "delete_mode": "hard"}
    warehouse.source(columns, ("h1", "a", False, T(1)))
    warehouse.load("scd1", **config)
    warehouse.source(columns, ("h1", "a", True, T(2)), ("h2", "b", False, T(2)))
    warehouse.load("scd1", **config)
    assert warehouse.rows("_fivetran_id", "a") == [("h2", "b")]


def test_the_latest_of_a_history_as_scd1(warehouse: Warehouse) -> None:
    load(warehouse, row(1, "a", 1, 2), row(1, "b", 2, None), row(2, "c", 1, None), pipeline="scd1")
    counts = load(warehouse, row(1, "a", 1, 2), row(1, "b", 2, None), row(2, "c", 1, 3), pipeline="scd1")
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [(1, "b", False, None), (2, "c", True, "T3")]
    assert (counts["deleted"], counts["unchanged"], counts["duplicates"]) == (1, 1, 1)


def test_what_a_history_cannot_be(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, row(1, "a", 1, None))
    warehouse.refuses("scd2", LoadError, "misses rows that ended", load_type="incremental", **HISTORY)
    warehouse.refuses("scd2", SourceError, "ordered by _fivetran_start", sequence_by="_fivetran_synced", **HISTORY)
    warehouse.source("id bigint, a string, _fivetran_start timestamp", (1, "a", T(1)))
    warehouse.refuses("scd2", SourceError, "needs _fivetran_end, _fivetran_active", **HISTORY)


@pytest.mark.parametrize("mode", ["ignore", "new_record"])
def test_other_delete_modes(warehouse: Warehouse, mode: str) -> None:
    load(warehouse, row(1, "a", 1, 2), delete_mode=mode)
    expected = {
        "ignore": [(1, "a", False, "T1", OPEN, "Y")],
        "new_record": [(1, "a", True, "T1", "T2", "N"), (1, "a", True, "T2", OPEN, "Y")],
    }
    assert warehouse.history("a", "is_deleted") == expected[mode]
