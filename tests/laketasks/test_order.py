"""The order of a key's rows changes between two loads, or the run log that tells it is lost."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from laketasks.entry import load_table
from laketasks.error import TargetError
from tests.laketasks.between import forget_the_log, restore, values
from tests.laketasks.warehouse import T, Warehouse

U = "id bigint, v string, u timestamp"
BY_U: dict[str, Any] = {"sequence_by": "u"}
MERGING = ["scd1", "fact_incremental_merge"]


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
@pytest.mark.parametrize("logged", [True, False])
def test_another_order_is_refused_until_the_stored_one_is_forgotten(
    warehouse: Warehouse, pipeline: str, logged: bool
) -> None:
    columns = "id bigint, v string, u timestamp, w timestamp"
    warehouse.source(columns, (1, "a", T(300), T(1)), (2, "b", T(300), T(1)), (3, "z", T(299), T(1)))
    warehouse.load(pipeline, **BY_U)
    if not logged:
        forget_the_log(warehouse)
    warehouse.source(columns, (1, "a2", T(301), T(2)), (2, "b", T(300), T(1)))
    by_w = {"sequence_by": "w"}
    warehouse.refuses(pipeline, TargetError, "sequence_by was .* and is now w .*override_guards to forget it", **by_w)
    load_table({**warehouse.parameters(pipeline, **by_w), "override_guards": "target"})
    current = "is_current" if pipeline == "scd2" else "true"
    assert values(warehouse, current) == {1: "a2", 2: "b", 3: "z"}
    warehouse.source(columns, (1, "a3", T(301), T(3)), (2, "b0", T(300), T(0)), (3, "y", T(2), T(2)))
    row = warehouse.load(pipeline, **by_w)
    assert (row["changed"], row["stale"]) == (2, 1)  # 1 is newer by w, 2 older, 3 came back
    assert values(warehouse, current) == {1: "a3", 2: "b", 3: "y"}


def test_an_order_that_is_taken_away_is_refused_too(warehouse: Warehouse) -> None:
    warehouse.source(U, (1, "a", T(2)))
    warehouse.load("scd1", **BY_U)
    warehouse.refuses("scd1", TargetError, r"sequence_by was u \(time\) and is now none")
    load_table({**warehouse.parameters("scd1"), "override_guards": "all"})
    assert warehouse.last_row()["rows_updated"] == 1
    warehouse.load("scd1", twice=False)
    warehouse.source(U, (1, "b", T(1)))
    assert warehouse.load("scd1", **BY_U)["changed"] == 1  # no stored order stands against it


ORDERS: dict[str, str | list[str]] = {"timestamp": "u", "number": "n", "text": "s", "date": "d", "two": ["n", "s"]}


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("timestamp", "number"),
        ("number", "two"),
        ("two", "timestamp"),
        ("date", "timestamp"),
        ("number", ""),
        ("", "two"),
    ],
)
def test_an_order_of_another_type_takes_the_place_of_the_forgotten_one(
    warehouse: Warehouse, pipeline: str, before: str, now: str
) -> None:
    columns = "id bigint, v string, n bigint, u timestamp, s string, d date"

    def source(*rows: tuple[int, str, int]) -> None:
        days = ((i, v, at, T(at), f"{at:03}", date(2024, 1, 1) + timedelta(days=at)) for i, v, at in rows)
        warehouse.source(columns, *days)

    def by(order: str) -> dict[str, Any]:
        return {"sequence_by": ORDERS[order]} if order else {}

    current = "is_current" if pipeline == "scd2" else "true"
    source((1, "a", 1), (2, "b", 2), (3, "c", 3))
    warehouse.load(pipeline, twice=False, **by(before))
    source((1, "a2", 4), (2, "b", 2), (4, "d", 1))
    if before:
        warehouse.refuses(pipeline, TargetError, "sequence_by was .* override_guards to forget it", **by(now))
    load_table({**warehouse.parameters(pipeline, **by(now)), "override_guards": "target"})
    assert values(warehouse, current) == {1: "a2", 2: "b", 3: "c", 4: "d"}
    stored = {row["id"]: row["_sequence"] for row in warehouse.table() if current == "true" or row["is_current"]}
    assert stored[3] is None  # of the forgotten order
    assert (stored[1] is not None, stored[4] is not None) == (bool(now), bool(now))
    source((1, "a1", 3), (2, "b", 2), (4, "d2", 2))
    row = warehouse.load(pipeline, **by(now))
    assert (row["changed"], row["stale"]) == ((1, 1) if now else (2, 0))  # the row of 1 is older than what is stored
    assert values(warehouse, current) == {1: "a2" if now else "a1", 2: "b", 3: "c", 4: "d2"}


@pytest.mark.parametrize("pipeline", ["fact_incremental_merge", "scd2"])
def test_a_watermark_of_another_type_reads_all_once(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, v string, n bigint, u timestamp"
    row: dict[str, Any] = {"load_type": "incremental", "sequence_by": "u"}
    warehouse.source(columns, (1, "a", 1, T(1)), (2, "b", 2, T(2)))
    warehouse.load(pipeline, watermark="n", **row)
    warehouse.source(columns, (1, "a", 1, T(1)), (2, "b", 2, T(2)), (3, "c", 1, T(1)))
    load_table(warehouse.parameters(pipeline, watermark="u", **row))
    loaded = warehouse.last_row()
    assert (loaded["read"], loaded["new"], loaded["watermark_to"]) == (3, 1, "2024-01-03T00:00:00.000000Z")
    assert (loaded["rows_inserted"], loaded["rows_updated"]) == (1, 2)  # the stored watermarks are gone
    warehouse.source(columns, (1, "a4", 1, T(4)), (2, "b", 2, T(2)), (3, "c", 1, T(1)))
    loaded = warehouse.load(pipeline, watermark="u", **row)
    assert (loaded["read"], loaded["changed"]) == (2, 1)
    current = "is_current" if pipeline == "scd2" else "true"
    assert values(warehouse, current) == {1: "a4", 2: "b", 3: "c"}


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_the_order_of_events_is_not_forgotten(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, v string, u timestamp, w timestamp"
    row: dict[str, Any] = {"source_mode": "events", "on_conflict": "latest"}
    warehouse.source(columns, (1, "a", T(300), T(1)))
    warehouse.load(pipeline, sequence_by="u", **row)
    remedy = "load into a new table" if pipeline == "scd2" else "full_refresh, or load into a new table"
    for context in ({}, {"override_guards": "all"}):
        with pytest.raises(TargetError, match=f"sequence_by was u .*cannot be compared.*{remedy}"):
            load_table({**warehouse.parameters(pipeline, sequence_by="w", **row), **context})


ORDERED = "id bigint, v string, u timestamp, w timestamp"


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
def test_a_restored_target_has_the_order_of_then(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source(ORDERED, (1, "a", T(300), T(1)))
    warehouse.load(pipeline, twice=False, sequence_by="u")
    first = warehouse.commits() - 1
    load_table({**warehouse.parameters(pipeline, sequence_by="w"), "override_guards": "target"})
    restore(warehouse, first)
    warehouse.source(ORDERED, (1, "b", T(301), T(2)))
    warehouse.refuses(pipeline, TargetError, "sequence_by was another column and is now w", sequence_by="w")
    load_table({**warehouse.parameters(pipeline, sequence_by="w"), "override_guards": "target"})
    assert values(warehouse, "is_current" if pipeline == "scd2" else "true") == {1: "b"}


@pytest.mark.parametrize("between", [{}, {"sequence_by": "w"}], ids=["no order", "the new order"])
def test_an_overwrite_that_wrote_nothing_leaves_the_order(warehouse: Warehouse, between: dict[str, Any]) -> None:
    warehouse.source(ORDERED, (1, "a", T(300), T(1)))
    warehouse.load("scd1", twice=False, sequence_by="u")
    warehouse.load("fact_overwrite", twice=False, **between)
    warehouse.source(ORDERED, (1, "b", T(301), T(2)))
    warehouse.refuses("scd1", TargetError, "sequence_by was another column and is now w", sequence_by="w")
    warehouse.load("scd1", twice=False, sequence_by="w", context={"full_refresh": "target"})
    assert warehouse.rows("v") == [("b",)]


@pytest.mark.parametrize("kind", ["bigint", "date", "string"])
def test_an_order_of_another_type_is_asked_of_the_rows(warehouse: Warehouse, kind: str) -> None:
    columns, value = f"id bigint, v string, u timestamp, w {kind}", {"bigint": 7, "date": T(1).date(), "string": "s"}
    warehouse.source(columns, (1, "a", T(1.5), value[kind]))
    warehouse.load("scd1", twice=False, sequence_by="u")
    forget_the_log(warehouse)
    warehouse.refuses("scd1", TargetError, "sequence_by was another column and is now w", sequence_by="w")


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
def test_the_order_of_updated_rows_is_known_without_a_log(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, v string, u timestamp, w timestamp"
    warehouse.source(columns, (1, "a", T(300), T(1)))
    warehouse.load(pipeline, **BY_U)
    warehouse.source(columns, (1, "b", T(301), T(2)))
    warehouse.load(pipeline, **BY_U)  # no row is as its first load left it
    forget_the_log(warehouse)
    warehouse.source(columns, (1, "c", T(302), T(3)))
    warehouse.refuses(pipeline, TargetError, "sequence_by was another column and is now w", sequence_by="w")
    load_table({**warehouse.parameters(pipeline, sequence_by="w"), "override_guards": "target"})
    warehouse.source(columns, (1, "d", T(303), T(4)))
    assert warehouse.load(pipeline, sequence_by="w")["changed"] == 1
    assert values(warehouse, "is_current" if pipeline == "scd2" else "true") == {1: "d"}


def test_a_version_that_is_closed_while_the_order_is_forgotten_forgets_it_too(warehouse: Warehouse) -> None:
    columns = "id bigint, v string, u timestamp, w timestamp"
    row: dict[str, Any] = {"source_mode": "snapshot", "on_missing": "close"}
    by_w = {"sequence_by": "w", **row}
    warehouse.source(columns, (1, "a", T(300), T(1)), (2, "b", T(300), T(1)))
    warehouse.load("scd2", twice=False, sequence_by="u", **row)
    warehouse.source(columns, (2, "b", T(300), T(1)))  # 1 is gone, and is closed by the load that forgets
    load_table({**warehouse.parameters("scd2", **by_w), "override_guards": "target"})
    assert [(found["id"], found["_sequence"]) for found in warehouse.table() if not found["is_current"]] == [(1, None)]
    warehouse.source(columns, (1, "a2", T(301), T(2)), (2, "b", T(300), T(1)))
    assert warehouse.load("scd2", **by_w)["changed"] == 1
    assert values(warehouse, "is_current") == {1: "a2", 2: "b"}


@pytest.mark.parametrize("pipeline", ["fact_incremental_merge", "scd2"])
def test_reconcile_reads_a_late_row_of_a_key_without_a_stored_watermark(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, v string, n bigint, u timestamp, arr timestamp"
    row: dict[str, Any] = {"load_type": "incremental", "sequence_by": "u"}
    warehouse.source(columns, (1, "a", 1, T(1), T(1)), (2, "b", 2, T(2), T(5)))
    warehouse.load(pipeline, twice=False, watermark="n", **row)
    load_table(warehouse.parameters(pipeline, watermark="arr", **row))  # the watermarks of both rows are gone
    warehouse.source(columns, (1, "a2", 1, T(3), T(4)), (2, "b", 2, T(2), T(5)))  # behind the watermark T5
    warehouse.load(pipeline, watermark="arr", reconcile=True, **row)
    assert values(warehouse, "is_current" if pipeline == "scd2" else "true") == {1: "a2", 2: "b"}


@pytest.mark.parametrize("name", ["is_deleted", "is_current"])
def test_a_flag_of_the_source_is_none_of_the_loader(warehouse: Warehouse, name: str) -> None:
    columns = f"id bigint, v string, u timestamp, {name} string"
    warehouse.source(columns, (1, "a", T(1), "no"))
    warehouse.load("fact_incremental_merge", twice=False, **BY_U)
    forget_the_log(warehouse)
    warehouse.source(columns, (1, "b", T(2), "no"))
    assert warehouse.load("fact_incremental_merge", **BY_U)["changed"] == 1
