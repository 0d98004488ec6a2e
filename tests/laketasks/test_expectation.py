"""Expectations: counted, dropped, failed, set aside; cases 27 and 28 with quarantine."""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import GuardError
from tests.laketasks.warehouse import Warehouse

AB = "id bigint, a string"
POSITIVE = {"positive": "id > 0"}


def quarantined(warehouse: Warehouse, *columns: str) -> list[tuple[Any, ...]]:
    rows = warehouse.spark.table(f"{warehouse.target}_quarantine").select(*columns).collect()
    return sorted((tuple(row) for row in rows), key=str)


def test_expect_counts_and_keeps(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, (1, "a"), (-2, "b"), (3, None))
    row = warehouse.load("scd1", expectations={"expect": {"named": "a <> ''", **POSITIVE}})
    assert row["new"] == 3
    said = capsys.readouterr().out
    assert "expect positive: 1 rows do not meet it" in said
    assert "expect named: 1 rows do not meet it" in said


def test_expect_or_drop_leaves_rows_out(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (-2, "b"), (None, "c"))
    row = warehouse.load("scd1", expectations={"expect_or_drop": POSITIVE})
    assert (row["read"], row["new"], row["dropped"]) == (3, 1, 2)
    assert warehouse.rows("id") == [(1,)]


def test_expect_or_fail_stops_before_writing(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1", expectations={"expect_or_fail": POSITIVE})
    warehouse.source(AB, (1, "b"), (-2, "b"))
    with pytest.raises(GuardError, match="expect_or_fail positive: 1 rows do not meet it"):
        warehouse.load("scd1", expectations={"expect_or_fail": POSITIVE})
    assert warehouse.rows("id", "a") == [(1, "a")]


def test_expect_or_quarantine_sets_aside_once(warehouse: Warehouse) -> None:
    config = {"expectations": {"expect_or_quarantine": {**POSITIVE, "named": "a IS NOT NULL"}}}
    warehouse.source(AB, (1, "a"), (-2, "b"), (-3, None))
    row = warehouse.load("scd1", **config)
    assert (row["read"], row["new"], row["quarantined"]) == (3, 1, 2)
    assert quarantined(warehouse, "id", "a", "_expectations") == [(-2, "b", "positive"), (-3, None, "named, positive")]
    warehouse.source(AB, (1, "a"), (-2, "b"), (-4, "d"), (-4, "d"))
    assert warehouse.load("scd1", **config)["quarantined"] == 3
    assert [row[0] for row in quarantined(warehouse, "id")] == [-2, -3, -4]


def test_what_is_dropped_and_what_is_set_aside_add_up(warehouse: Warehouse) -> None:
    rules = {"expect_or_quarantine": POSITIVE, "expect_or_drop": {"named": "a IS NOT NULL"}}
    warehouse.source(AB, (1, "a"), (2, None), (-3, None), (4, "a"), (4, "a"))
    row = warehouse.load("scd1", expectations=rules)
    fates = {name: row[name] for name in ("read", "new", "duplicates", "dropped", "quarantined")}
    assert fates == {"read": 5, "new": 2, "duplicates": 1, "dropped": 1, "quarantined": 1}


def test_27_null_keys_are_set_aside(warehouse: Warehouse) -> None:
    warehouse.source(AB, (None, "x"), (2, "ok"))
    row = warehouse.load("scd1", on_null_key="quarantine")
    assert warehouse.rows("id", "a") == [(2, "ok")]
    assert row["quarantined"] == 1
    assert quarantined(warehouse, "id", "a", "_expectations") == [(None, "x", "key is not null")]


def test_a_fact_is_judged_before_its_overwrite(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (-2, "b"))
    row = warehouse.load("fact_overwrite", expectations={"expect_or_drop": POSITIVE})
    assert (row["new"], row["dropped"]) == (1, 1)
    assert warehouse.rows("id") == [(1,)]
