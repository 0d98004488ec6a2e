"""When two rows are the same: every kind of value that others have been seen to get wrong, case 11 among them.

Each pair is loaded as the state before and after by all loaders that compare; equal ones write nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

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
    "binary": ("unhex('00ff')", "unhex('00fe')"),
    "null_becomes_nan": ("cast(NULL AS DOUBLE)", "cast('NaN' AS DOUBLE)"),
    "trailing_space": ("'a'", "'a '"),
}
LOADERS = ("scd1", "scd2", "fact_overwrite")


def states(warehouse: Warehouse, pairs: dict[str, tuple[str, str]], pipeline: str) -> dict[str, int]:
    """Load one row with a column per pair, first all left values, then all right ones; the counts of the second."""
    for side in (0, 1):
        columns = ", ".join(f"{pair[side]} AS {name}" for name, pair in pairs.items())
        frame = warehouse.spark.sql(f"SELECT 1L AS id, {columns}")
        table = warehouse.bronze_table("source")
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(table)
        counts = warehouse.load(pipeline)
    return counts


@pytest.mark.parametrize("pipeline", LOADERS)
def test_equal_values_are_no_change(warehouse: Warehouse, pipeline: str) -> None:
    counts = states(warehouse, EQUAL, pipeline)
    assert (counts["unchanged"], counts["rows_inserted"], counts["rows_updated"]) == (1, 0, 0)


@pytest.mark.parametrize("pipeline", LOADERS)
@pytest.mark.parametrize("name", DIFFERENT)
def test_different_values_are_a_change(warehouse: Warehouse, pipeline: str, name: str) -> None:
    counts = states(warehouse, {name: DIFFERENT[name]}, pipeline)
    assert counts["unchanged"] == 0
    assert counts["changed"] + counts["new"] == 1


@pytest.fixture
def time_zones(warehouse: Warehouse) -> Iterator[Warehouse]:
    own = warehouse.spark.conf.get("spark.sql.session.timeZone")
    yield warehouse
    warehouse.spark.conf.set("spark.sql.session.timeZone", own)


@pytest.mark.parametrize("pipeline", LOADERS)
def test_11_the_sessions_time_zone_changes_nothing(time_zones: Warehouse, pipeline: str) -> None:
    table = time_zones.bronze_table("source")
    stamps = "timestamp_micros(1700000000123456) AS at, array(timestamp_micros(1)) AS many"
    columns = f"1L AS id, {stamps}, DATE'2024-02-29' AS day"
    time_zones.spark.conf.set("spark.sql.session.timeZone", "UTC")
    time_zones.spark.sql(f"SELECT {columns}").write.format("delta").saveAsTable(table)
    time_zones.load(pipeline, sequence_by=["day"] if pipeline == "scd2" else ["at"])
    time_zones.spark.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    counts = time_zones.load(pipeline, sequence_by=["day"] if pipeline == "scd2" else ["at"])
    assert (counts["unchanged"], counts["rows_inserted"], counts["rows_updated"]) == (1, 0, 0)
