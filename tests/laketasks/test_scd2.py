"""SCD2 from a state source by the cases; the numbers are those of the list of cases.

Rows are (id, attributes, from, to, current); T is the source's sequence, R a run's start, ∞ the open end.
"""

from __future__ import annotations

from typing import Any

import pytest

from laketasks.error import GuardError, TargetError
from tests.laketasks.warehouse import OPEN, T, Warehouse

SEQ = "id bigint, a string, seq timestamp"
DEL = "id bigint, a string, gone boolean, seq timestamp"
DELETES = {"sequence_by": "seq", "apply_as_deletes": "gone", "except_column_list": ["gone"]}
SNAPSHOT = {"source_mode": "snapshot", "on_missing": "close", "sequence_by": "seq"}


def load(warehouse: Warehouse, columns: str, *rows: tuple[Any, ...], **config: Any) -> dict[str, Any]:
    warehouse.source(columns, *rows)
    return warehouse.load("scd2", **({"sequence_by": "seq"} | config))


@pytest.mark.parametrize(("start", "shown"), [("", "T1"), ("2024-01-01", "T0")])
def test_41_first_load(warehouse: Warehouse, start: str, shown: str) -> None:
    row = load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(1)), **({"first_version_from": start} if start else {}))
    assert warehouse.history("a") == [(1, "a", shown, OPEN, "Y"), (2, "b", shown, OPEN, "Y")]
    assert (row["new"], row["rows_inserted"], row["rows_updated"]) == (2, 2, 0)


def test_41_only_the_first_load_starts_early(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)), first_version_from="2024-01-01")
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(2)), first_version_from="2024-01-01")
    assert warehouse.history("a") == [(1, "a", "T0", OPEN, "Y"), (2, "b", "T2", OPEN, "Y")]


def test_42_rerun_writes_nothing(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    files = warehouse.files()
    assert load(warehouse, SEQ, (1, "a", T(1)))["unchanged"] == 1
    assert warehouse.files() == files


def test_43_45_each_change_is_a_version(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "A", T(1)))
    row = load(warehouse, SEQ, (1, "B", T(2)))
    assert (row["changed"], row["rows_inserted"], row["rows_updated"]) == (1, 1, 1)
    assert warehouse.history("a") == [(1, "A", "T1", "T2", "N"), (1, "B", "T2", OPEN, "Y")]
    load(warehouse, SEQ, (1, "A", T(3)))
    assert warehouse.history("a") == [
        (1, "A", "T1", "T2", "N"),
        (1, "B", "T2", "T3", "N"),
        (1, "A", "T3", OPEN, "Y"),
    ]


def test_46_47_a_key_that_vanishes_and_returns_leaves_a_gap(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(1)), **SNAPSHOT)
    row = load(warehouse, SEQ, (2, "b", T(1)), **SNAPSHOT)
    assert row["keys_missing"] == 1
    assert warehouse.history("a", "is_deleted")[0] == (1, "a", False, "T1", "R3", "N")
    assert load(warehouse, SEQ, (2, "b", T(1)), **SNAPSHOT)["rows_updated"] == 0
    load(warehouse, SEQ, (1, "a", T(400)), (2, "b", T(1)), **SNAPSHOT)
    assert warehouse.history("a")[:2] == [(1, "a", "T1", "R3", "N"), (1, "a", "R248", OPEN, "Y")]


def test_47_a_key_that_returns_with_its_old_sequence_starts_at_the_run(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(1)), **SNAPSHOT)
    load(warehouse, SEQ, (2, "b", T(1)), **SNAPSHOT)
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(1)), **SNAPSHOT)
    assert warehouse.history("a")[:2] == [(1, "a", "T1", "R3", "N"), (1, "a", "R5", OPEN, "Y")]


def test_49_equal_attributes_of_two_keys(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)), (2, "a", T(1)))
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(2)))
    assert warehouse.history("a")[0] == (1, "a", "T1", OPEN, "Y")


@pytest.mark.parametrize(
    "tracked", [{"track_history_column_list": ["name"]}, {"track_history_except_column_list": ["score"]}]
)
def test_50_a_type_1_column_updates_in_place(warehouse: Warehouse, tracked: dict[str, list[str]]) -> None:
    columns = "id bigint, name string, score int, seq timestamp"
    load(warehouse, columns, (1, "n", 100, T(1)), **tracked)
    row = load(warehouse, columns, (1, "n", 200, T(2)), **tracked)
    assert warehouse.history("name", "score") == [(1, "n", 200, "T1", OPEN, "Y")]
    assert (row["changed"], row["rows_inserted"], row["rows_updated"]) == (1, 0, 1)


@pytest.mark.parametrize(("before", "after"), [(None, "x"), ("x", None)], ids=["53", "54"])
def test_53_54_null_is_a_value_and_is_not_filled_in(
    warehouse: Warehouse, before: str | None, after: str | None
) -> None:
    load(warehouse, SEQ, (1, before, T(1)))
    load(warehouse, SEQ, (1, after, T(2)))
    by_start = {row[2]: row for row in warehouse.history("a")}
    assert by_start == {"T1": (1, before, "T1", "T2", "N"), "T2": (1, after, "T2", OPEN, "Y")}


@pytest.mark.parametrize("value", ["a", "changed too"], ids=["57", "58"])
def test_57_58_59_a_delete_closes_and_a_return_opens(warehouse: Warehouse, value: str) -> None:
    load(warehouse, DEL, (1, "a", False, T(1)), **DELETES)
    row = load(warehouse, DEL, (1, value, True, T(2)), **DELETES)
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T2", "N")]
    assert (row["deleted"], row["rows_inserted"], row["rows_updated"]) == (1, 0, 1)
    load(warehouse, DEL, (1, "a", False, T(5)), **DELETES)
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T2", "N"), (1, "a", False, "T5", OPEN, "Y")]


def test_59_an_older_row_does_not_bring_a_deleted_key_back(warehouse: Warehouse) -> None:
    load(warehouse, DEL, (1, "a", False, T(1)), **DELETES)
    load(warehouse, DEL, (1, "a", True, T(3)), **DELETES)
    assert load(warehouse, DEL, (1, "b", False, T(2)), **DELETES)["stale"] == 1
    assert warehouse.history("a") == [(1, "a", "T1", "T3", "N")]


def test_new_record_keeps_a_deleted_version_open(warehouse: Warehouse) -> None:
    config = {**DELETES, "delete_mode": "new_record"}
    load(warehouse, DEL, (1, "a", False, T(1)), **config)
    load(warehouse, DEL, (1, None, True, T(2)), **config)
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T2", "N"), (1, "a", True, "T2", OPEN, "Y")]
    load(warehouse, DEL, (1, "b", False, T(4)), **config)
    assert warehouse.history("a", "is_deleted") == [
        (1, "a", True, "T1", "T2", "N"),
        (1, "a", True, "T2", "T4", "N"),
        (1, "b", False, "T4", OPEN, "Y"),
    ]


def test_62_a_bumped_sequence_alone_is_no_change(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    assert load(warehouse, SEQ, (1, "a", T(9)))["unchanged"] == 1
    assert warehouse.history("a") == [(1, "a", "T1", OPEN, "Y")]


def test_63_64_bad_order_is_refused(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", None))
    warehouse.refuses("scd2", GuardError, "1 rows without a sequence", sequence_by="seq")
    warehouse.source(SEQ, (1, "a", T(1)), (1, "b", T(1)))
    warehouse.refuses("scd2", GuardError, "same sequence and different values", sequence_by="seq")


def test_65_two_open_versions_are_refused(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    table = warehouse.spark.table(warehouse.target)
    table.selectExpr(*[c if c != "valid_from" else "timestamp_micros(0) AS valid_from" for c in table.columns]).writeTo(
        warehouse.target
    ).append()
    warehouse.source(SEQ, (1, "b", T(2)))
    warehouse.refuses("scd2", TargetError, r"more than one open version, such as \(id\) = \(1,\)", sequence_by="seq")


def test_the_same_sequence_with_other_values_starts_at_the_run(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    load(warehouse, SEQ, (1, "b", T(1)))
    assert warehouse.history("a") == [(1, "a", "T1", "R3", "N"), (1, "b", "R3", OPEN, "Y")]


def test_a_source_without_order_counts_from_the_run(warehouse: Warehouse) -> None:
    load(warehouse, "id bigint, a string", (1, "a"), sequence_by=())
    load(warehouse, "id bigint, a string", (1, "b"), sequence_by=())
    assert warehouse.history("a") == [(1, "a", "R1", "R3", "N"), (1, "b", "R3", OPEN, "Y")]


def test_57_an_untouched_sequence_dates_a_delete_by_its_watermark(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, updated_at timestamp, _fivetran_synced timestamp, _fivetran_deleted boolean"
    load(warehouse, columns, (1, "a", T(1), T(1), False), sequence_by="updated_at")
    load(warehouse, columns, (1, "a", T(1), T(4), True), sequence_by="updated_at")
    assert warehouse.history("a", "is_deleted") == [(1, "a", True, "T1", "T4", "N")]


def test_69_a_new_column_makes_versions_only_where_it_has_a_value(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)), (2, "b", T(1)))
    load(warehouse, "id bigint, a string, z string, seq timestamp", (1, "a", None, T(2)), (2, "b", "v", T(2)))
    assert {row[1:] for row in warehouse.history("a", "z")} == {
        ("a", None, "T1", OPEN, "Y"),
        ("b", None, "T1", "T2", "N"),
        ("b", "v", "T2", OPEN, "Y"),
    }


def test_70_other_keys_are_refused(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    warehouse.source("id bigint, region string, a string, seq timestamp", (1, "eu", "a", T(2)))
    warehouse.refuses(
        "scd2", TargetError, "region, which the row names as a key", sequence_by="seq", keys=["id", "region"]
    )


def test_the_surrogate_key_is_the_same_on_every_rebuild(warehouse: Warehouse) -> None:
    seen = []
    for _ in range(2):
        load(warehouse, SEQ, (1, "a", T(1)), surrogate=["sk"])
        load(warehouse, SEQ, (1, "b", T(2)), surrogate=["sk"])
        seen.append(warehouse.rows("sk", "a"))
        warehouse.spark.sql(f"DELETE FROM {warehouse.target}").collect()
    assert seen[0] == seen[1]
    assert len({sk for sk, _ in seen[0]}) == 2
    assert all(len(sk) == 32 for sk, _ in seen[0])


def test_93_each_key_for_itself(warehouse: Warehouse) -> None:
    load(warehouse, DEL, (1, "a", False, T(1)), (2, "b", False, T(1)), **DELETES)
    row = load(warehouse, DEL, (1, "c", False, T(2)), (2, "b", True, T(2)), (3, "d", False, T(2)), **DELETES)
    assert warehouse.history("a") == [
        (1, "a", "T1", "T2", "N"),
        (1, "c", "T2", OPEN, "Y"),
        (2, "b", "T1", "T2", "N"),
        (3, "d", "T2", OPEN, "Y"),
    ]
    assert (row["new"], row["changed"], row["deleted"]) == (1, 1, 1)


def test_full_refresh_is_refused_by_name_and_passed_over_under_all(warehouse: Warehouse, capsys: Any) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    load(warehouse, SEQ, (1, "b", T(2)))
    with pytest.raises(GuardError, match="would lose the history"):
        warehouse.load("scd2", sequence_by="seq", context={"full_refresh": "target"})
    warehouse.load("scd2", sequence_by="seq", context={"full_refresh": "all"})
    assert len(warehouse.history("a")) == 2
    assert "leaves scd2 history alone" in capsys.readouterr().out
