"""Case 73: the unknown member stands once, whatever happens around it."""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import SourceError
from tests.laketasks.warehouse import OPEN, T, Warehouse

SNAPSHOT = {"source_mode": "snapshot", "unknown_member": True}
SEQ = "id bigint, a string, seq timestamp"


def test_73_it_stands_once_in_a_history(warehouse: Warehouse) -> None:
    config: dict[str, Any] = {**SNAPSHOT, "on_missing": "close", "sequence_by": "seq", "surrogate": ["sk"]}
    member = (-1, None, "1900-01-01T00:00:00+00:00", OPEN, "Y")
    warehouse.source(SEQ, (1, "a", T(1)), (2, "b", T(1)))
    row = warehouse.load("scd2", **config)
    assert (row["read"], row["new"], row["rows_inserted"]) == (2, 2, 3)
    assert warehouse.history("a")[0] == member
    assert warehouse.rows("id", "sk")[0] == (-1, "-1")
    for night in (2, 3, 4):
        warehouse.source(SEQ, (1, f"a{night}", T(night)))
        warehouse.load("scd2", **config)
    assert [version for version in warehouse.history("a") if version[0] == -1] == [member]


@pytest.mark.parametrize("missing", ["soft", "hard"])
def test_73_it_stands_once_in_a_type_1_dimension(warehouse: Warehouse, missing: str) -> None:
    for rows in ([("x", "a"), ("y", "b")], [("x", "c")]):
        warehouse.source("k string, a string", *rows)
        warehouse.load("scd1", keys=["k"], on_missing=missing, **SNAPSHOT)
        assert [row for row in warehouse.rows("k", "a") if row[0] == "-1"] == [("-1", None)]
    warehouse.load("scd1", keys=["k"], on_missing=missing, context={"full_refresh": "all"}, **SNAPSHOT)
    assert warehouse.rows("k", "a") == [("-1", None), ("x", "c")]


def test_a_key_that_cannot_be_minus_one_is_refused(warehouse: Warehouse) -> None:
    warehouse.source("at timestamp, a string", (T(1), "a"))
    warehouse.refuses(
        "scd1",
        SourceError,
        "unknown_member needs keys that can be -1; at is timestamp",
        keys=["at"],
        unknown_member=True,
    )
