"""What a watermark cannot see, found by comparing keys; the numbers are those of the list of cases.

A source row is (id, value, sequence and watermark, deleted).
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from laketasks.error import GuardError, LoadError
from tests.laketasks.feed import EVENTS, Feed, at
from tests.laketasks.warehouse import OPEN, T, Warehouse

COLUMNS = "id bigint, a string, seq timestamp, gone boolean"
BEHIND = {
    "load_type": "incremental",
    "sequence_by": "seq",
    "apply_as_deletes": "gone",
    "except_column_list": ["gone"],
}
TYPE_1 = ("scd1", "fact_incremental_merge")


def load(warehouse: Warehouse, pipeline: str, *rows: tuple[Any, ...], **config: Any) -> dict[str, Any]:
    warehouse.source(COLUMNS, *((*row, False) if len(row) == 3 else row for row in rows))
    return warehouse.load(pipeline, **(BEHIND | config))


@pytest.mark.parametrize("pipeline", TYPE_1)
def test_113_a_row_behind_the_watermark_is_found_by_the_run_that_reconciles(
    warehouse: Warehouse, pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    hour = 1 / 24
    load(warehouse, pipeline, (1, "a", T(5)), lookback="1 hour")
    rows = [(1, "a", T(5)), (2, "within", T(5 - hour / 2)), (3, "behind", T(5 - 2 * hour))]
    load(warehouse, pipeline, *rows, lookback="1 hour")
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "within")]
    capsys.readouterr()
    row = load(warehouse, pipeline, *rows, lookback="1 hour", reconcile=True)
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "within"), (3, "behind")]
    assert (row["read"], row["new"], row["unchanged"], row["keys_missing"]) == (3, 1, 2, 0)
    assert "1 keys had rows that the watermark has passed by" in capsys.readouterr().out


@pytest.mark.parametrize("pipeline", TYPE_1)
def test_123_keys_that_vanished_without_moving_the_watermark(warehouse: Warehouse, pipeline: str) -> None:
    load(warehouse, pipeline, (1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3)))
    load(warehouse, pipeline, (3, "c", T(3)))
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, False), (3, False)]
    row = load(warehouse, pipeline, (3, "c", T(3)), reconcile=True)
    run = f"R{warehouse.runs - 1}"
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [
        (1, "a", True, run),
        (2, "b", True, run),
        (3, "c", False, None),
    ]
    assert (row["read"], row["unchanged"], row["keys_missing"], row["rows_updated"]) == (1, 1, 2, 2)


@pytest.mark.parametrize("pipeline", TYPE_1)
def test_123_a_truncated_source(warehouse: Warehouse, pipeline: str) -> None:
    load(warehouse, pipeline, (1, "a", T(1)), (2, "b", T(2)))
    row = load(warehouse, pipeline, reconcile=True, delete_mode="hard")
    assert warehouse.rows("id") == []
    assert (row["read"], row["keys_missing"], row["rows_deleted"]) == (0, 2, 2)


@pytest.mark.parametrize("pipeline", TYPE_1)
def test_keys_are_counted_and_stay_where_deletes_are_ignored(warehouse: Warehouse, pipeline: str) -> None:
    load(warehouse, pipeline, (1, "a", T(1)), (2, "b", T(2)))
    row = load(warehouse, pipeline, (2, "b", T(2)), reconcile=True, delete_mode="ignore")
    assert warehouse.rows("id") == [(1,), (2,)]
    assert (row["keys_missing"], row["rows_deleted"], row["rows_updated"]) == (1, 0, 0)


def test_a_delete_flag_that_left_the_watermark_alone(warehouse: Warehouse) -> None:
    load(warehouse, "scd1", (1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3)))
    flagged = [(1, "a", T(1), True), (2, "b", T(2)), (3, "c", T(3))]
    load(warehouse, "scd1", *flagged)
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, False), (3, False)]
    row = load(warehouse, "scd1", *flagged, reconcile=True)
    assert warehouse.rows("id", "is_deleted") == [(1, True), (2, False), (3, False)]
    assert (row["read"], row["deleted"], row["unchanged"]) == (2, 1, 1)


def test_a_key_that_was_only_away_comes_back(warehouse: Warehouse) -> None:
    rows = [(1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3))]
    load(warehouse, "scd1", *rows)
    load(warehouse, "scd1", *rows[1:], reconcile=True)
    assert warehouse.rows("id", "is_deleted") == [(1, True), (2, False), (3, False)]
    load(warehouse, "scd1", *rows, reconcile=True)
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [
        (1, "a", False, None),
        (2, "b", False, None),
        (3, "c", False, None),
    ]


@pytest.mark.parametrize(("mode", "flag"), [("soft", [(1, True)]), ("new_record", [(1, True), (1, True)])])
def test_vanished_keys_end_their_history(warehouse: Warehouse, mode: str, flag: list[tuple[int, bool]]) -> None:
    load(warehouse, "scd2", (1, "a", T(1)), (2, "b", T(2)), delete_mode=mode)
    row = load(warehouse, "scd2", (2, "b", T(2)), delete_mode=mode, reconcile=True)
    run = f"R{warehouse.runs - 1}"
    ended = [(1, "a", "T1", run, "N")]
    again = [(1, "a", run, OPEN, "Y")] if mode == "new_record" else []
    assert sorted(warehouse.history("a")) == sorted([*ended, *again, (2, "b", "T2", OPEN, "Y")])
    assert warehouse.rows("id", "is_deleted")[:-1] == flag
    assert (row["read"], row["keys_missing"]) == (1, 1)


def test_a_late_row_of_a_known_version_is_stale(warehouse: Warehouse) -> None:
    load(warehouse, "scd2", (1, "a", T(5)), (2, "b", T(6)))
    row = load(warehouse, "scd2", (1, "old", T(2)), (2, "b", T(6)), (3, "c", T(3)), reconcile=True)
    assert warehouse.history("a") == [
        (1, "a", "T5", OPEN, "Y"),
        (2, "b", "T6", OPEN, "Y"),
        (3, "c", "T3", OPEN, "Y"),
    ]
    assert (row["new"], row["stale"], row["keys_missing"]) == (1, 0, 0)


def test_the_guard_counts_vanished_keys(warehouse: Warehouse) -> None:
    everything = [(i, "a", T(1)) for i in range(200)]
    load(warehouse, "scd1", *everything)
    warehouse.source(COLUMNS, *((*row, False) for row in everything[:80]))
    warehouse.refuses("scd1", GuardError, r"120 of 200 current rows .* \(60%\)", **BEHIND, reconcile=True)


def test_the_job_parameter_asks_for_one_run(warehouse: Warehouse) -> None:
    load(warehouse, "scd1", (1, "a", T(1)), (2, "b", T(2)))
    warehouse.source(COLUMNS, (2, "b", T(2), False))
    row = warehouse.load("scd1", context={"reconcile": "target"}, **BEHIND)
    assert warehouse.rows("id", "is_deleted") == [(1, True), (2, False)]
    assert row["keys_missing"] == 1


def test_a_filtered_source_is_not_reconciled(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [(1, "a", T(1)), (2, "b", T(2))]
    load(warehouse, "scd1", *rows, where="id > 0")
    with pytest.raises(GuardError, match="would count as deleted"):
        warehouse.load("scd1", context={"reconcile": "target"}, where="id > 1", **BEHIND)
    warehouse.load("scd1", context={"reconcile": "all"}, where="id > 1", **BEHIND)
    assert "not reconciled: with `where`" in capsys.readouterr().out
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, False)]
    with pytest.raises(LoadError, match="would count as deleted"):
        warehouse.load("scd1", where="id > 1", reconcile=True, **BEHIND)


def test_events_are_read_again_from_the_start(warehouse: Warehouse) -> None:
    feed = Feed(warehouse)
    feed.load((1, "a", 10))
    feed.load((2, "b", 20))
    feed.rows.append((3, "behind", False, at(10), T(0)))
    feed.bring()
    feed.warehouse.load("scd2", load_type="incremental", **EVENTS)
    assert [version[0] for version in feed.versions()] == [1, 2]
    counts = feed.warehouse.load("scd2", load_type="incremental", reconcile=True, **EVENTS)
    assert feed.versions() == [(1, "a", 10, OPEN), (2, "b", 20, OPEN), (3, "behind", 10, OPEN)]
    assert (counts["read"], counts["new"], counts["unchanged"]) == (3, 1, 2)


HISTORY = (
    "id bigint, a string, _fivetran_start timestamp, _fivetran_end timestamp, _fivetran_active boolean, "
    "_fivetran_synced timestamp"
)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)


def state(key: int, value: str, start: float, end: float | None, synced: float) -> tuple[Any, ...]:
    until = FOREVER if end is None else T(end) - timedelta(milliseconds=1)
    return (key, value, T(start), until, end is None, T(synced))


@pytest.mark.parametrize("pipeline", ["scd2", "scd1"])
def test_an_ended_row_of_a_history_whose_synced_stayed(warehouse: Warehouse, pipeline: str) -> None:
    incremental = {"source_mode": "fivetran_history", "load_type": "incremental", "reconcile": True}
    warehouse.source(HISTORY, state(1, "a", 1, None, 1), state(2, "b", 1, None, 3))
    warehouse.load(pipeline, **incremental)
    warehouse.source(HISTORY, state(1, "a", 1, 4, 1), state(2, "b", 1, None, 3))
    row = warehouse.load(pipeline, **incremental)
    assert (row["read"], row["deleted"], row["unchanged"]) == (2, 1, 1)
    if pipeline == "scd2":
        assert warehouse.history("a", "is_deleted") == [
            (1, "a", True, "T1", "T4", "N"),
            (2, "b", False, "T1", OPEN, "Y"),
        ]
    else:
        assert warehouse.rows("id", "is_deleted", "deleted_at") == [(1, True, "T4"), (2, False, None)]


def test_103_no_history_where_fivetran_makes_the_key(warehouse: Warehouse) -> None:
    columns = "_fivetran_id string, a string, _fivetran_deleted boolean, _fivetran_synced timestamp"
    warehouse.source(columns, ("h1", "a", False, T(1)))
    warehouse.refuses("scd2", LoadError, "no row would have a history", keys=["_fivetran_id"])
    hard = {"keys": ["_fivetran_id"], "delete_mode": "hard"}
    warehouse.load("scd1", **hard)
    warehouse.source(columns, ("h1", "a", True, T(2)), ("h2", "b", False, T(2)))
    row = warehouse.load("scd1", **hard)
    assert warehouse.rows("_fivetran_id", "a") == [("h2", "b")]
    assert (row["new"], row["deleted"]) == (1, 1)
