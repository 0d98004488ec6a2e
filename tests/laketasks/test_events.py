"""Change sources of many rows per key by the cases; the numbers are those of the list of cases.

Integers are sequences, that many seconds after the epoch. Events of earlier batches stay in the source. A version is
(id, value, from, to), ∞ the open end.
"""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import GuardError, LoadError, SourceError
from tests.laketasks.feed import COLUMNS, EVENTS, GONE, Feed, at
from tests.laketasks.warehouse import OPEN, T, Warehouse


@pytest.fixture(params=["full", "incremental"])
def feed(warehouse: Warehouse, request: pytest.FixtureRequest) -> Feed:
    return Feed(warehouse=warehouse, load_type=request.param)


A, B, C, D, X = "a", "b", "c", GONE, "x"
Batches = list[list[tuple[str | None, int]]]
CASES: dict[str, tuple[Batches, list[tuple[Any, ...]]]] = {
    "76": ([[(A, 10), (B, 20)]], [(A, 10, 20), (B, 20, OPEN)]),
    "77": ([[(A, 10), (D, 20)]], [(A, 10, 20)]),
    "78": ([[(A, 10), (B, 20), (D, 30), (C, 40)]], [(A, 10, 20), (B, 20, 30), (C, 40, OPEN)]),
    "79": ([[(A, 10), (A, 20)]], [(A, 10, OPEN)]),
    "80": ([[(A, 10)], [(A, 20)], [(B, 30)]], [(A, 10, 30), (B, 30, OPEN)]),
    "81": ([[(A, 10)], [(B, 5)]], [(B, 5, 10), (A, 10, OPEN)]),
    "82": ([[(A, 10), (C, 20)], [(B, 15)]], [(A, 10, 15), (B, 15, 20), (C, 20, OPEN)]),
    "83": ([[(A, 10), (B, 30)], [(D, 20)]], [(A, 10, 20), (B, 30, OPEN)]),
    "84": ([[(A, 10), (D, 20)], [(D, 15)]], [(A, 10, 15)]),
    "87": ([[(D, 20)], [(X, 10)]], [(X, 10, 20)]),
    "88": ([[(D, 20)], [(X, 30)]], [(X, 30, OPEN)]),
    "89": ([[(A, 10), (D, 10)]], []),
    "90": ([[(A, 10)], [(A, 10)]], [(A, 10, OPEN)]),
    "95": ([[(D, 20)]], []),
    "an equal late value moves the start": ([[(A, 10), (B, 20)], [(A, 5)]], [(A, 5, 20), (B, 20, OPEN)]),
    "a late delete before all": ([[(A, 10)], [(D, 5)]], [(A, 10, OPEN)]),
    "null is a value": ([[(A, 10)], [(None, 20)], [(A, 30)]], [(A, 10, 20), (None, 20, 30), (A, 30, OPEN)]),
}


@pytest.mark.parametrize("name", CASES)
def test_76_to_95_versions(feed: Feed, name: str) -> None:
    batches, expected = CASES[name]
    for batch in batches:
        feed.load(*((1, value, sequence) for value, sequence in batch))
    assert feed.versions() == [(1, *version) for version in expected]


TYPE_1: dict[str, tuple[Batches, list[tuple[Any, ...]]]] = {
    "14": ([[(A, 10), (B, 20)]], [(B, False)]),
    "18": ([[(C, 30)], [(B, 20)]], [(C, False)]),
    "19": ([[(C, 40)], [(D, 20)]], [(C, False)]),
    "20": ([[(A, 40)], [(D, 50)]], [(A, True)]),
    "23": ([[(A, 10), (D, 20), (B, 30)]], [(B, False)]),
    "24": ([[(A, 10), (B, 20), (D, 30)]], [(B, True)]),
    "26": ([[(A, 10), (D, 20)], [(B, 30)]], [(B, False)]),
    "87": ([[(D, 20)], [(X, 10)]], [(X, True)]),
    "89": ([[(A, 10), (D, 10)]], []),
    "a late value under a delete": ([[(A, 10), (D, 20)], [(B, 15)]], [(B, True)]),
}


@pytest.mark.parametrize("mode", ["soft", "hard"])
@pytest.mark.parametrize("name", TYPE_1)
def test_type_1_is_the_latest_event(warehouse: Warehouse, name: str, mode: str) -> None:
    feed = Feed(warehouse=warehouse, pipeline="scd1")
    batches, expected = TYPE_1[name]
    for batch in batches:
        feed.load(*((1, value, sequence) for value, sequence in batch), delete_mode=mode)
    if mode == "soft":
        assert feed.states("is_deleted") == [(1, *state) for state in expected]
    else:
        assert feed.states() == [(1, value) for value, gone in expected if not gone]


def test_90_counts_of_what_comes_again(feed: Feed) -> None:
    feed.load((1, A, 10))
    row = feed.load((1, A, 10), (1, A, 10))
    assert (row["read"], row["unchanged"], row["duplicates"], row["rows_updated"]) == (3, 1, 2, 0)


def test_93_each_key_for_itself(feed: Feed) -> None:
    feed.load((1, A, 10), (2, B, 10))
    row = feed.load((1, C, 20), (2, GONE, 20), (3, X, 20))
    assert feed.versions("is_deleted") == [
        (1, A, 10, 20, False),
        (1, C, 20, OPEN, False),
        (2, B, 10, 20, True),
        (3, X, 20, OPEN, False),
    ]
    assert (row["new"], row["changed"], row["deleted"]) == (1, 1, 1)
    assert (row["rows_inserted"], row["rows_updated"], row["rows_deleted"]) == (2, 2, 0)


def test_94_an_empty_batch_changes_nothing(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    first = feed.load((1, A, 10))
    row = feed.load()
    assert (row["rows_inserted"], row["watermark_to"]) == (0, first["watermark_to"])


def test_counts_of_a_first_load(feed: Feed) -> None:
    row = feed.load((1, A, 10), (1, A, 20), (1, B, 30), (1, B, 30), (1, GONE, 40), (2, GONE, 10))
    fates = ("read", "new", "changed", "deleted", "unchanged", "duplicates", "ignored")
    assert [row[fate] for fate in fates] == [6, 1, 1, 1, 1, 1, 1]


def test_a_late_row_that_moves_a_start_is_a_change(feed: Feed) -> None:
    feed.load((1, A, 10), (1, B, 20))
    row = feed.load((1, A, 5))
    assert (row["changed"], row["rows_inserted"], row["rows_deleted"]) == (1, 1, 1)


def test_type_1_columns_take_the_latest_value_of_their_run(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, b bigint, seq timestamp"
    config: dict[str, Any] = {"source_mode": "events", "sequence_by": "seq", "track_history_column_list": ["a"]}
    rows = [(1, "a", 1, at(10)), (1, "a", 2, at(20)), (1, "b", 3, at(30))]
    warehouse.source(columns, *rows)
    warehouse.load("scd2", **config)
    assert warehouse.rows("a", "b") == [("a", 2), ("b", 3)]
    warehouse.source(columns, *rows, (1, "a", 9, at(25)), (1, "b", 4, at(40)))
    row = warehouse.load("scd2", **config)
    assert warehouse.rows("a", "b") == [("a", 9), ("b", 4)]
    assert (row["changed"], row["rows_updated"], row["rows_inserted"]) == (2, 2, 0)


def test_ignored_and_recorded_deletes(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    assert feed.load((1, A, 10), (1, GONE, 20), (1, B, 30), delete_mode="ignore")["ignored"] == 1
    assert feed.versions() == [(1, A, 10, 30), (1, B, 30, OPEN)]
    warehouse.spark.sql(f"DELETE FROM {warehouse.target}").collect()
    feed.load(delete_mode="new_record")
    assert feed.versions("is_deleted") == [(1, A, 10, 20, True), (1, A, 20, 30, True), (1, B, 30, OPEN, False)]


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_16_conflicts(warehouse: Warehouse, pipeline: str) -> None:
    feed = Feed(warehouse=warehouse, pipeline=pipeline)
    feed.bring((1, A, 10), (1, B, 10))
    warehouse.refuses(pipeline, GuardError, "same sequence and different values", **EVENTS)
    winners = set()
    for events in ([(1, A, 20), (1, B, 20)], [(1, B, 20), (1, A, 20)]):
        again = Feed(warehouse=warehouse, pipeline=pipeline, load_type="full")
        again.load(*events, on_conflict="latest")
        winners.update(warehouse.rows("a"))
    assert len(winners) == 1


def test_what_the_source_lost_stays(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    feed.load((1, A, 10), (1, B, 20), (1, C, 30))
    feed.rows.clear()
    feed.load((1, X, 25), (1, C, 30))
    assert feed.versions() == [(1, A, 10, 20), (1, B, 20, 25), (1, X, 25, 30), (1, C, 30, OPEN)]


def test_what_the_source_lost_stays_deleted(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    feed.load((1, A, 10), (1, GONE, 20))
    feed.rows.clear()
    feed.load((1, X, 15))
    assert feed.versions("is_deleted") == [(1, A, 10, 15, False), (1, X, 15, 20, True)]


def test_first_version_from(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    config = {"first_version_from": "1970-01-01T00:00:01"}
    feed.load((1, A, 10), (1, B, 20), **config)
    assert feed.versions() == [(1, A, 1, 20), (1, B, 20, OPEN)]
    feed.load((1, C, 30), (2, X, 30), **config)
    assert feed.versions() == [(1, A, 1, 20), (1, B, 20, 30), (1, C, 30, OPEN), (2, X, 30, OPEN)]


def test_a_sequence_of_two_columns(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, seq timestamp, n bigint"
    config: dict[str, Any] = {"source_mode": "events", "sequence_by": ["seq", "n"]}
    warehouse.source(columns, (1, "b", at(10), 2), (1, "a", at(10), 1), (1, "c", at(20), 1))
    row = warehouse.load("scd2", **config)
    assert warehouse.rows("a", "n") == [("b", 2), ("c", 1)]
    assert (row["new"], row["changed"], row["duplicates"]) == (1, 1, 1)


def test_a_sequence_of_numbers_is_for_type_1(warehouse: Warehouse) -> None:
    config: dict[str, Any] = {"source_mode": "events", "sequence_by": "seq", "apply_as_deletes": "gone"}
    warehouse.source("id bigint, a string, gone boolean, seq bigint", (1, "b", False, 2), (1, "a", False, 1))
    warehouse.refuses("scd2", SourceError, "needs a timestamp or date first", **config)
    warehouse.load("scd1", **config)
    warehouse.source("id bigint, a string, gone boolean, seq bigint", (1, "b", False, 2), (1, None, True, 3))
    assert warehouse.load("scd1", **config)["deleted"] == 1
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [(1, "b", True, "R4")]


def test_what_events_cannot_be(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "a"))
    warehouse.refuses("scd2", SourceError, "needs an order of its rows", source_mode="events")
    warehouse.refuses("scd2", LoadError, "source_mode cdf is not supported", source_mode="cdf")
    warehouse.refuses("scd2", LoadError, "ignore_null_updates", source_mode="events", ignore_null_updates=True)
    warehouse.source(COLUMNS, (1, "a", False, None, T(1)))
    warehouse.refuses("scd2", GuardError, "1 rows without a sequence", **EVENTS)
    warehouse.source(COLUMNS, (None, "a", False, at(1), T(1)))
    warehouse.refuses("scd2", GuardError, "id: 1 null", **EVENTS)


def test_facts_merge_events(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse, pipeline="fact_incremental_merge")
    feed.load((1, A, 10), (2, B, 10))
    row = feed.load((1, C, 20), (2, X, 5), (3, A, 5), (3, B, 6))
    assert feed.states() == [(1, C), (2, B), (3, B)]
    assert (row["new"], row["changed"]) == (1, 1)
