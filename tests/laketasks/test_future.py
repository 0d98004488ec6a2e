"""A sequence or watermark more than a day in the future: one guard, whose remedies do what they say."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from laketasks.error import GuardError
from tests.laketasks.warehouse import T, Warehouse

FAR = datetime(2099, 1, 1, tzinfo=timezone.utc)
MERGING = ("scd1", "scd2", "fact_incremental_merge")
CURRENT = {"scd1": "true", "scd2": "is_current", "fact_incremental_merge": "true"}
BOTH = {"sequence_by": "u", "load_type": "incremental"}
APART = {"sequence_by": "u", "watermark": "arr", "load_type": "incremental"}
COLUMNS = "id int, v string, u timestamp, arr timestamp"


def current(warehouse: Warehouse, pipeline: str) -> list[tuple[Any, ...]]:
    """The id and value of the rows that are current."""
    flags = {"scd2": "is_current"}
    return [row[:2] for row in warehouse.rows("id", "v", flags.get(pipeline, "id")) if row[2]]


@pytest.mark.parametrize("pipeline", MERGING)
@pytest.mark.parametrize("remedy", ["exclude", "include"])
def test_the_watermark_stays_before_a_row_of_the_future(warehouse: Warehouse, pipeline: str, remedy: str) -> None:
    row = {**BOTH, "on_null_sequence": remedy}
    warehouse.source(COLUMNS, (1, "a", T(1), T(1)), (2, "far", FAR, FAR))
    first = warehouse.load(pipeline, **row)
    assert first["watermark_to"] == "2024-01-02T00:00:00.000000Z"
    assert first["dropped"] == (remedy == "exclude")
    far = [(2, "far")] if remedy == "include" else []
    assert current(warehouse, pipeline) == [(1, "a"), *far]
    warehouse.source(COLUMNS, (1, "a2", T(2), T(2)), (2, "far", FAR, FAR), (3, "c", T(2), T(2)))
    second = warehouse.load(pipeline, **row)
    assert current(warehouse, pipeline) == [(1, "a2"), *far, (3, "c")]
    assert second["watermark_to"] == "2024-01-03T00:00:00.000000Z"
    warehouse.source(COLUMNS, (1, "a2", T(2), T(2)), (2, "mended", T(3), T(3)), (3, "c", T(2), T(2)))
    warehouse.load(pipeline, **row)
    assert current(warehouse, pipeline) == [(1, "a2"), (2, "mended"), (3, "c")]


@pytest.mark.parametrize(("pipeline", "load_type"), [*((name, "incremental") for name in MERGING), ("scd1", "full")])
@pytest.mark.parametrize("remedy", ["exclude", "include"])
def test_a_key_with_a_sequence_of_the_future_is_not_stale_for_ever(
    warehouse: Warehouse, pipeline: str, load_type: str, remedy: str
) -> None:
    row = {**APART, "load_type": load_type, "on_null_sequence": remedy}
    warehouse.source(COLUMNS, (1, "good", T(1), T(1)))
    warehouse.load(pipeline, twice=False, **row)
    warehouse.source(COLUMNS, (1, "typo", FAR, T(2)), (2, "typo", FAR, T(2)))
    second = warehouse.load(pipeline, **row)
    assert second["dropped"] == (2 if remedy == "exclude" else 0)
    assert current(warehouse, pipeline) == ([(1, "good")] if remedy == "exclude" else [(1, "typo"), (2, "typo")])
    warehouse.source(COLUMNS, (1, "mended", T(3), T(4)), (2, "mended", T(3), T(4)))
    warehouse.load(pipeline, **row)
    assert current(warehouse, pipeline) == [(1, "mended"), (2, "mended")]
    if pipeline == "scd2":
        assert max(start for row in warehouse.table() for start in [row["valid_from"]]) < FAR.timestamp() * 1e6


SOON = datetime.now(timezone.utc) + timedelta(hours=20)
LATE = datetime.now(timezone.utc) + timedelta(hours=76)
KINDS: dict[str, tuple[str, Any, Any, str]] = {
    "timestamp": ("timestamp", SOON, LATE, "u"),
    "date": ("date", SOON.date(), LATE.date(), "u"),
    "ntz": ("string", f"{SOON:%Y-%m-%d %H:%M:%S}", f"{LATE:%Y-%m-%d %H:%M:%S}", "cast(u AS TIMESTAMP_NTZ)"),
    "infinity": ("double", 1e308, float("inf"), "u"),
    "nan": ("string", "1e30", "NaN", "cast(u AS FLOAT)"),
}


@pytest.mark.twin
@pytest.mark.parametrize("case", KINDS)
@pytest.mark.parametrize("key", ["sequence_by", "watermark"])
@pytest.mark.parametrize("pipeline", ["scd1"])
def test_each_type_that_holds_time_is_judged(
    warehouse: Warehouse, case: str, key: str, pipeline: str, tmp_path: Any
) -> None:
    kind, soon, late, expression = KINDS[case]
    sql = tmp_path / "source.sql"
    sql.write_text(f"SELECT id, {expression} AS u, i FROM {warehouse.bronze_table('source')}")
    row = {"sequence_by": "i", "watermark": "i", "sql_file_path": str(sql), key: "u"}
    warehouse.source(f"id int, u {kind}, i int", (1, soon, 1))
    assert warehouse.load(pipeline, twice=False, **row)["new"] == 1
    warehouse.source(f"id int, u {kind}, i int", (1, soon, 2), (7, late, 2))
    message = r"1 rows have a sequence or watermark .* more than a day in the future.* such as \(id\) = \(7,\)"
    warehouse.refuses(pipeline, GuardError, message, **row)
    assert warehouse.load(pipeline, twice=False, on_null_sequence="exclude", **row)["dropped"] == 1
    assert warehouse.load(pipeline, twice=False, on_null_sequence="include", **row)["new"] == 1


@pytest.mark.parametrize(
    ("kind", "value"), [("bigint", 2**62), ("decimal(20,2)", Decimal(10**17)), ("string", "2099-01-01")]
)
def test_what_holds_no_time_cannot_be_judged(warehouse: Warehouse, kind: str, value: Any) -> None:
    warehouse.source(f"id int, u {kind}", (1, value))
    assert warehouse.load("scd1", twice=False, sequence_by="u")["new"] == 1


@pytest.mark.parametrize("remedy", ["fail", "exclude", "include"])
def test_a_sequence_of_several_columns_is_judged_by_those_that_hold_time(warehouse: Warehouse, remedy: str) -> None:
    row = {"sequence_by": ["n", "d"], "watermark": "arr", "on_null_sequence": remedy}
    columns = "id int, v string, n bigint, d date, arr int"
    warehouse.source(columns, (1, "a", 1, date(2024, 1, 1), 1), (2, "typo", 1, date(2099, 1, 1), 1))
    if remedy == "fail":
        warehouse.refuses("scd1", GuardError, "more than a day in the future", **row)
        return
    warehouse.load("scd1", **row)
    warehouse.source(columns, (1, "a", 1, date(2024, 1, 1), 1), (2, "mended", 1, date(2024, 1, 2), 1))
    warehouse.load("scd1", **row)
    assert warehouse.rows("id", "v") == [(1, "a"), (2, "mended")]


@pytest.mark.parametrize("pipeline", MERGING)
@pytest.mark.parametrize("load_type", ["full", "incremental"])
def test_an_event_of_the_future_is_refused_or_left_out(warehouse: Warehouse, pipeline: str, load_type: str) -> None:
    row = {**APART, "source_mode": "events", "load_type": load_type}
    events = [(1, "a", T(1), T(1)), (1, "typo", FAR, T(2))]
    warehouse.source(COLUMNS, *events)
    warehouse.refuses(pipeline, GuardError, "exclude leaves such rows out$", **row)
    first = warehouse.load(pipeline, on_null_sequence="exclude", **row)
    assert first["dropped"] == 1
    warehouse.source(COLUMNS, *events, (1, "mended", T(3), T(5)))  # the typo is not read again, but is in the history
    warehouse.load(pipeline, on_null_sequence="exclude", **row)
    assert current(warehouse, pipeline) == [(1, "mended")]


HISTORY = "id int, v string, _fivetran_start timestamp, _fivetran_end timestamp, _fivetran_active boolean, {}"


@pytest.mark.parametrize("pipeline", MERGING)
def test_a_history_of_the_future_is_refused_or_left_out(warehouse: Warehouse, pipeline: str) -> None:
    columns = HISTORY.format("_fivetran_synced timestamp")
    row = {"source_mode": "fivetran_history"}
    warehouse.source(columns, (1, "a", T(1), FAR, True, T(1)), (2, "far", FAR, FAR, True, T(1)))
    warehouse.refuses(pipeline, GuardError, "more than a day in the future", **row)
    assert warehouse.load(pipeline, on_null_sequence="exclude", **row)["dropped"] == 1
    assert current(warehouse, pipeline) == [(1, "a")]


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
@pytest.mark.parametrize("remedy", ["exclude", "include"])
def test_a_snapshot_keeps_the_key_of_a_row_of_the_future(warehouse: Warehouse, pipeline: str, remedy: str) -> None:
    row = {"sequence_by": "u", "source_mode": "snapshot", "on_missing": "soft", "on_null_sequence": remedy}
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)), (2, "b", T(1)))
    warehouse.load(pipeline, twice=False, **row)
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)), (2, "far", FAR))
    row = warehouse.load(pipeline, **row)
    assert row["keys_missing"] == 0
    assert current(warehouse, pipeline) == [(1, "a"), (2, "b" if remedy == "exclude" else "far")]


def test_an_overwrite_is_judged_as_well(warehouse: Warehouse) -> None:
    warehouse.source("id int, u timestamp", (1, T(1)), (2, FAR))
    warehouse.refuses("fact_overwrite", GuardError, "more than a day in the future", watermark="u")
    assert warehouse.load("fact_overwrite", watermark="u", on_null_sequence="exclude")["dropped"] == 1
    assert warehouse.rows("id") == [(1,)]


def test_a_watermark_of_the_future_in_the_run_log_is_not_waited_for(warehouse: Warehouse) -> None:
    """A former release kept such watermarks."""
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)))
    warehouse.load("fact_incremental_merge", twice=False, **BOTH)
    log = (
        warehouse.spark.table(warehouse.run_log)
        .where("status = 'SUCCESS'")
        .selectExpr(
            *(
                f"'2099-01-01T00:00:00.000000Z' AS {c}"
                if c == "watermark_to"
                else f"ended_at + INTERVAL 1 SECOND AS {c}"
                if c == "ended_at"
                else c
                for c in warehouse.spark.table(warehouse.run_log).columns
            )
        )
    )
    log.write.format("delta").mode("append").saveAsTable(warehouse.run_log)
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)), (2, "b", T(2)))
    row = warehouse.load("fact_incremental_merge", twice=False, **BOTH)
    assert (row["watermark_from"], row["new"]) == (None, 1)
