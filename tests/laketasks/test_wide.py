"""Tables of many columns: no loader makes an expression that grows deeper with each of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.laketasks.warehouse import Warehouse

WIDTH = 420
LOADS: dict[str, dict[str, Any]] = {"scd1": {}, "fact_overwrite": {}}  # the others take the same conditions


def wide(warehouse: Warehouse, width: int, *rows: tuple[int, int, str]) -> None:
    """Replace the source by rows of (id, seconds, last value) with so many columns."""
    others = ", ".join(f"cast({n} AS STRING) AS c{n}" for n in range(width - 3))
    values = ", ".join(f"({id_}L, timestamp_micros({at * 1_000_000}), '{last}')" for id_, at, last in rows)
    frame = warehouse.spark.sql(f"SELECT id, at, {others}, last FROM VALUES {values} AS v(id, at, last)")
    frame.write.format("delta").mode("overwrite").saveAsTable(warehouse.bronze_table("source"))


@pytest.mark.parametrize("name", LOADS)
def test_a_table_of_420_columns_is_loaded(warehouse: Warehouse, name: str) -> None:
    pipeline = next(p for p in ("scd1", "scd2", "fact_overwrite", "fact_incremental_merge") if name.startswith(p))
    wide(warehouse, WIDTH, (1, 1, "a"), (2, 1, "a"))
    warehouse.load(pipeline, twice=False, **LOADS[name])
    rows = [(1, 1, "a"), (2, 1, "a")] if "events" in name else [(1, 1, "a")]
    wide(warehouse, WIDTH, *rows, (2, 2, "b"))
    warehouse.load(pipeline, twice=False, **LOADS[name])
    found = warehouse.spark.table(warehouse.target)
    found = found.where("is_current") if pipeline == "scd2" else found
    other = WIDTH - 4
    rows = sorted(found.select("id", f"c{other}", "last").collect())
    assert rows == [(1, str(other), "a"), (2, str(other), "b")]
