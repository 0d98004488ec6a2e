"""Targets that a team made beforehand, with partitions: every loader goes on from them, run after run."""

from __future__ import annotations

import pytest

from tests.laketasks.warehouse import T, Warehouse

ROWS = "id bigint, part string, a string, ts timestamp"
ORDER = {"sequence_by": ["ts"], "watermark": "ts"}
LOADS = {
    "scd1": {"pipeline": "scd1"},
    "scd1_incremental": {"pipeline": "scd1", "load_type": "incremental", **ORDER},
    "scd1_events": {"pipeline": "scd1", "source_mode": "events", **ORDER},
    "scd2": {"pipeline": "scd2", **ORDER},
    "scd2_events": {"pipeline": "scd2", "source_mode": "events", "load_type": "incremental", **ORDER},
    "fact_incremental_merge": {"pipeline": "fact_incremental_merge", "load_type": "incremental", **ORDER},
    "fact_overwrite": {"pipeline": "fact_overwrite"},
    "fact_overwrite_where": {"pipeline": "fact_overwrite", "replace_where": "part >= 'p'"},
}


def partitioned(warehouse: Warehouse, *columns: str) -> None:
    """Make the target beforehand, partitioned by its column `part`."""
    body = ", ".join(("id BIGINT", "part STRING", "a STRING", "ts TIMESTAMP", *columns))
    warehouse.spark.sql(f"CREATE TABLE {warehouse.target} ({body}) USING delta PARTITIONED BY (part)").collect()


@pytest.mark.parametrize("name", LOADS)
def test_a_target_with_partitions_is_loaded_run_after_run(warehouse: Warehouse, name: str) -> None:
    row = dict(LOADS[name])
    pipeline = str(row.pop("pipeline"))
    partitioned(warehouse)
    warehouse.source(ROWS, (1, "p", "a", T(0)), (2, "q", "b", T(0)))
    warehouse.load(pipeline, **row)
    warehouse.source(ROWS, (1, "p", "a", T(0)), (2, "q", "c", T(1)), (3, "r", "d", T(1)))
    counts = warehouse.load(pipeline, **row)
    assert counts["rows_inserted"] + counts["rows_updated"] > 0
    warehouse.source(ROWS, (1, "p", "e", T(2)), (2, "q", "c", T(1)), (3, "r", "d", T(1)))
    warehouse.load(pipeline, **row)
    rows = [r for r in warehouse.table() if r.get("is_current", True)]
    assert sorted((r["id"], r["part"], r["a"]) for r in rows) == [(1, "p", "e"), (2, "q", "c"), (3, "r", "d")]
