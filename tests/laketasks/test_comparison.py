"""When two rows are the same: every kind of value that others have been seen to get wrong, case 11 among them.

One table holds them all: a column for each pair, a row for each pair that differs, and a row in which only equal ones
change from the first value to the second. Each loader that compares loads the first state and then the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tests.laketasks.warehouse import Warehouse

EQUAL = {
    "nan": ("cast('NaN' AS DOUBLE)", "cast('NaN' AS DOUBLE)"),
    "negative_zero": ("-0.0D", "0.0D"),
    "null_in_array": ("array('x', NULL, 'y')", "array('x', NULL, 'y')"),
    "map_in_another_order": ("map('a', 1, 'b', 2)", "map('b', 2, 'a', 1)"),
    "null_in_struct": (
        "named_struct('p', 1, 'q', cast(NULL AS STRING))",
        "named_struct('p', 1, 'q', cast(NULL AS STRING))",
    ),
    "date": ("DATE'2024-02-29'", "DATE'2024-02-29'"),
    "binary": ("cast('a' AS BINARY)", "cast('a' AS BINARY)"),
    "decimal": ("cast(1.50 AS DECIMAL(10,2))", "cast('1.5' AS DECIMAL(10,2))"),
}
DIFFERENT = {
    "null_moves_in_array": ("array('x', NULL)", "array(NULL, 'x')"),
    "empty_string_in_array": ("array('x', NULL)", "array('x', '')"),
    "text_that_runs_together": ("array('a', 'bc')", "array('ab', 'c')"),
    "map_value": ("map('a', 1, 'b', 2)", "map('a', 1, 'b', 3)"),
    "null_map_value": ("map('a', 1, 'b', cast(NULL AS INT))", "map('a', 1)"),
    "struct_field": ("named_struct('p', 1, 'q', 'x')", "named_struct('p', 1, 'q', cast(NULL AS STRING))"),
    "microsecond_in_array": (
        "array(timestamp_micros(1700000000123456))",
        "array(timestamp_micros(1700000000123457))",
    ),
    "other_binary": ("unhex('00ff')", "unhex('00fe')"),
    "null_becomes_nan": ("cast(NULL AS DOUBLE)", "cast('NaN' AS DOUBLE)"),
    "trailing_space": ("'a'", "'a '"),
}
LOADERS = ("scd1", "scd2", "fact_overwrite")
Shared = Callable[[str, Callable[[Warehouse], Any]], Any]


def compared(warehouse: Warehouse, pipeline: str) -> tuple[dict[str, Any], set[str]]:
    """Load both states; the counts of the second load, and the rows that it changed."""
    table = warehouse.bronze_table("source")
    for side in (0, 1):
        rows = [
            ", ".join(
                [f"'{name}' AS id"]
                + [f"{pair[side]} AS {column}" for column, pair in EQUAL.items()]
                + [f"{pair[side if column == name else 0]} AS {column}" for column, pair in DIFFERENT.items()]
            )
            for name in ("equal", *DIFFERENT)
        ]
        frame = warehouse.spark.sql(" UNION ALL ".join(f"SELECT {row}" for row in rows))
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(table)
        counts = warehouse.load(pipeline)
    return counts, {row["id"] for row in warehouse.table() if row["_job_run_id"] == counts["job_run_id"]}


@pytest.mark.parametrize("pipeline", LOADERS)
def test_equal_values_are_no_change(shared: Shared, pipeline: str) -> None:
    counts, changed = shared(pipeline, partial(compared, pipeline=pipeline))
    assert counts["unchanged"] == 1
    if pipeline != "fact_overwrite":  # which writes every row once one differs
        assert "equal" not in changed


@pytest.mark.parametrize("pipeline", LOADERS)
def test_different_values_are_changes(shared: Shared, pipeline: str) -> None:
    counts, _ = shared(pipeline, partial(compared, pipeline=pipeline))
    assert counts["changed"] + counts["new"] == len(DIFFERENT)


@pytest.mark.parametrize("pipeline", LOADERS[:2])
@pytest.mark.parametrize("name", DIFFERENT)
def test_different_values_are_a_change(shared: Shared, pipeline: str, name: str) -> None:
    _, changed = shared(pipeline, partial(compared, pipeline=pipeline))
    assert name in changed


@pytest.fixture
def time_zones(warehouse: Warehouse) -> Iterator[Warehouse]:
    own = warehouse.spark.conf.get("spark.sql.session.timeZone")
    yield warehouse
    warehouse.spark.conf.set("spark.sql.session.timeZone", own)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York"])
def test_a_sequence_without_a_zone_counts_as_utc_in_every_session(time_zones: Warehouse, zone: str) -> None:
    table = time_zones.bronze_table("source")
    time_zones.spark.conf.set("spark.sql.session.timeZone", zone)
    at = "TIMESTAMP_NTZ'2024-03-31 02:30:00.123456'"  # in Berlin no clock showed this
    time_zones.spark.sql(f"SELECT 1L AS id, {at} AS at").write.format("delta").saveAsTable(table)
    time_zones.load("scd2", sequence_by="at")
    assert [row["valid_from"] for row in time_zones.table()] == [1711852200123456]


@pytest.mark.parametrize("pipeline", LOADERS)
def test_11_the_sessions_time_zone_changes_nothing(time_zones: Warehouse, pipeline: str) -> None:
    table = time_zones.bronze_table("source")
    stamps = "timestamp_micros(1700000000123456) AS at, array(timestamp_micros(1)) AS many"
    columns = f"1L AS id, {stamps}, DATE'2024-02-29' AS day"
    time_zones.spark.conf.set("spark.sql.session.timeZone", "UTC")
    time_zones.spark.sql(f"SELECT {columns}").write.format("delta").saveAsTable(table)
    time_zones.load(pipeline, sequence_by=["day"] if pipeline == "scd2" else ["at"], twice=False)
    time_zones.spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    time_zones.touch()
    counts = time_zones.load(pipeline, sequence_by=["day"] if pipeline == "scd2" else ["at"])
    assert (counts["unchanged"], counts["rows_inserted"], counts["rows_updated"]) == (1, 0, 0)
