"""Cases 70 and 71: keys and history columns do not change under a table that has rows."""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import TargetError
from tests.laketasks.warehouse import OPEN, T, Warehouse

COLUMNS = "id bigint, region string, a string, b string, seq timestamp"
ROW = (1, "eu", "x", "y", T(1))


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_incremental_merge"])
def test_70_other_keys_are_refused_and_another_order_is_not(warehouse: Warehouse, pipeline: str) -> None:
    config: dict[str, Any] = {"sequence_by": "seq"}
    warehouse.source(COLUMNS, ROW)
    warehouse.load(pipeline, keys=["id", "region"], **config)
    warehouse.load(pipeline, keys=["REGION", "id"], **config)
    message = "the keys were id, region and are now id, so that rows would be doubled"
    warehouse.refuses(pipeline, TargetError, message, keys=["id"], **config)
    if pipeline != "scd2":
        warehouse.load(pipeline, keys=["id"], context={"full_refresh": "target"}, twice=False, **config)
        warehouse.load(pipeline, keys=["id"], **config)


def test_71_other_history_columns_are_refused_until_they_are_meant(warehouse: Warehouse) -> None:
    config: dict[str, Any] = {"sequence_by": "seq", "keys": ["id"]}
    warehouse.source(COLUMNS, ROW)
    warehouse.load("scd2", track_history_column_list=["a", "b"], **config)
    warehouse.load("scd2", track_history_column_list=["B", "a"], **config)
    message = "columns that make a version were only a, b and are now only a: .*override_guards"
    warehouse.refuses("scd2", TargetError, message, track_history_column_list=["a"], **config)
    warehouse.source(COLUMNS, (1, "eu", "x", "z", T(2)))
    warehouse.load("scd2", track_history_column_list=["a"], context={"override_guards": "target"}, **config)
    assert warehouse.history("a", "b") == [(1, "x", "z", "T1", OPEN, "Y")]


def test_a_failed_load_changes_nothing_of_what_is_compared(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, ROW)
    warehouse.load("scd1", keys=["id"])
    warehouse.refuses("scd1", TargetError, "the keys were id", keys=["region"])
    warehouse.load("scd1", keys=["id"])
