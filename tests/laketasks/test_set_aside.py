"""Rows that are left out or set aside, keys that vanish, and tables that are not for rows that are set aside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from laketasks.error import TargetError
from tests.laketasks.warehouse import OPEN, T, Warehouse

COLUMNS = "id int, v string, u timestamp"
GOOD = {"good": "v <> 'bad'"}
LEFT_OUT: dict[str, tuple[dict[str, Any], tuple[Any, ...]]] = {
    "dropped": ({"expectations": {"expect_or_drop": GOOD}}, (2, "bad", T(2))),
    "quarantined": ({"expectations": {"expect_or_quarantine": GOOD}}, (2, "bad", T(2))),
    "without a sequence": ({"on_null_sequence": "exclude"}, (2, "x", None)),
}


@pytest.mark.parametrize("left_out", LEFT_OUT)
@pytest.mark.parametrize(
    ("pipeline", "on_missing"), [("scd1", "soft"), ("scd1", "hard"), ("scd2", "close"), ("scd2", "soft")]
)
def test_the_key_of_a_row_that_is_left_out_has_not_vanished(
    warehouse: Warehouse, pipeline: str, on_missing: str, left_out: str
) -> None:
    config, bad = LEFT_OUT[left_out]
    row = {"source_mode": "snapshot", "on_missing": on_missing, "sequence_by": "u", **config}
    state = ("valid_to", "is_current", "is_deleted") if pipeline == "scd2" else ()
    state = ("is_deleted",) if on_missing == "soft" and not state else state
    warehouse.source(COLUMNS, (1, "a", T(1)), (2, "b", T(1)), (3, "c", T(1)))
    warehouse.load(pipeline, twice=False, **row)
    before = [found for found in warehouse.rows("id", "v", *state) if found[0] != 3]
    warehouse.source(COLUMNS, (1, "a", T(1)), bad)  # 3 has vanished
    counted = warehouse.load(pipeline, **row)
    assert [found for found in warehouse.rows("id", "v", *state) if found[0] != 3] == before
    assert counted["keys_missing"] == 1
    live = {"close": "valid_to", "soft": "is_deleted", "hard": "id"}[on_missing]
    assert all(found[1] not in (OPEN, False) for found in warehouse.rows("id", live) if found[0] == 3 and live != "id")


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
@pytest.mark.parametrize("load_type", ["full", "incremental"])
def test_a_row_of_a_history_that_is_left_out_is_no_gap(warehouse: Warehouse, pipeline: str, load_type: str) -> None:
    columns = "id int, v string, _fivetran_start timestamp, _fivetran_end timestamp, _fivetran_active boolean"
    columns += ", _fivetran_synced timestamp"
    row = {"source_mode": "fivetran_history", "expectations": {"expect_or_drop": GOOD}, "load_type": load_type}
    row |= {"reconcile": True} if load_type == "incremental" else {}
    end = T(2) - timedelta(milliseconds=1)
    warehouse.source(columns, (1, "a", T(1), T(9000), True, T(1)))
    warehouse.load(pipeline, twice=False, **row)
    warehouse.source(columns, (1, "a", T(1), end, False, T(2)), (1, "bad", T(2), T(9000), True, T(2)))
    warehouse.load(pipeline, **row)
    flags = ("is_deleted", "is_current") if pipeline == "scd2" else ("is_deleted",)
    assert warehouse.rows("id", "v", *flags) == [(1, "a", False, True)[: 2 + len(flags)]]


@pytest.mark.parametrize("marked_by", ["a delete", "on_missing soft"])
def test_hard_removes_a_key_that_was_marked_before_it_vanished(warehouse: Warehouse, marked_by: str) -> None:
    columns = "id int, v string, gone boolean"
    row = {"source_mode": "snapshot", "apply_as_deletes": "gone", "except_column_list": ["gone"], "on_missing": "hard"}
    warehouse.source(columns, (1, "a", False), (2, "b", False))
    warehouse.load("scd1", twice=False, **row)
    if marked_by == "a delete":
        warehouse.source(columns, (1, "a", False), (2, "b", True))
        warehouse.load("scd1", **row)
    else:
        warehouse.source(columns, (1, "a", False))
        warehouse.load("scd1", **{**row, "on_missing": "soft"})
    assert warehouse.rows("id", "is_deleted") == [(1, False), (2, True)]
    warehouse.source(columns, (1, "a", False))
    counted = warehouse.load("scd1", **row)
    assert (counted["rows_deleted"], counted["keys_missing"]) == (1, 1)
    assert warehouse.rows("id", "is_deleted") == [(1, False)]


def test_rows_are_not_set_aside_in_a_table_that_is_no_quarantine(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, (1, "a", T(1)))
    warehouse.table_name = "target_quarantine"
    warehouse.load("scd1", twice=False)
    stands = warehouse.everything()
    warehouse.table_name, warehouse._read = "target", (0, [])
    row = {"expectations": {"expect_or_quarantine": GOOD}}
    warehouse.load("scd1", twice=False, **row)
    warehouse.source(COLUMNS, (1, "a", T(1)), (2, "bad", T(1)))
    warehouse.refuses("scd1", TargetError, "target_quarantine is not a quarantine table: it has no", **row)
    warehouse.table_name = "target_quarantine"
    warehouse._read = (0, [])
    assert warehouse.everything() == stands


def test_a_dry_run_of_an_overwrite_shows_what_is_new(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.source("id int, v string", (1, "a"), (2, None))
    row = {"keys": ("id",)}
    warehouse.load("fact_overwrite", **row)
    warehouse.touch()
    capsys.readouterr()
    warehouse._once("fact_overwrite", row, {"dry_run": "true"})
    said = capsys.readouterr().out
    assert "unchanged 2" in said
    assert "new (id)" not in said
    warehouse.source("id int, v string", (1, "a"), (2, "b"), (3, "c"))
    warehouse._once("fact_overwrite", row, {"dry_run": "true"})
    assert "new (id): (2,), (3,)" in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["state", "snapshot", "events"])
@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_the_unknown_member_is_restored(warehouse: Warehouse, pipeline: str, mode: str) -> None:
    row: dict[str, Any] = {"source_mode": mode, "sequence_by": "u", "surrogate": ["sk"]}
    row |= {"on_missing": "soft"} if mode == "snapshot" else {}
    warehouse.source(COLUMNS, (1, "a", T(1)))
    warehouse.load(pipeline, **row, unknown_member=True)
    one = warehouse.rows("id", "sk", "v")
    assert one[0] == (-1, "-1", None)
    warehouse.source(COLUMNS, (1, "a", T(1)), (2, "b", T(1)))
    warehouse.load(pipeline, **row)
    warehouse.source(COLUMNS, (1, "a", T(1)), (2, "b", T(1)), (3, "c", T(1)))
    warehouse.load(pipeline, **row, unknown_member=True)
    state = ("is_current", "valid_to", "is_deleted", "deleted_at") if pipeline == "scd2" else ()
    state = ("is_deleted", "deleted_at") if mode == "snapshot" and not state else state
    (unknown,) = [found for found in warehouse.rows("id", "sk", "v", *state) if found[0] == -1]
    live = {"is_current": True, "valid_to": OPEN, "is_deleted": False, "deleted_at": None}
    assert unknown == (-1, "-1", None, *(live[name] for name in state))
    assert [found[0] for found in warehouse.rows("id")] == [-1, 1, 2, 3]
