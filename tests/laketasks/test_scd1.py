"""SCD1 by the cases: rows in, rows out, every load twice. The numbers are those of the list of cases."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from laketasks.error import GuardError
from tests.laketasks.warehouse import R, T, Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

AB = "id bigint, a string"
SEQ = "id bigint, a string, seq timestamp"
DEL = "id bigint, a string, gone boolean, seq timestamp"


def counts(row: dict[str, int], *names: str) -> tuple[int, ...]:
    return tuple(row[name] for name in names)


def test_1_first_load(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"))
    row = warehouse.load("scd1")
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "b")]
    assert counts(row, "new", "changed", "deleted", "rows_inserted", "rows_updated") == (2, 0, 0, 2, 0)


def test_2_a_change_keeps_loaded_at(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (2, "c"))
    warehouse.load("scd1")
    before = {row[0]: row[1:] for row in warehouse.rows("id", "_loaded_at", "_updated_at", "_job_run_id")}
    warehouse.source(AB, (1, "b"), (2, "c"))
    row = warehouse.load("scd1")
    after = {row[0]: row[1:] for row in warehouse.rows("id", "_loaded_at", "_updated_at", "_job_run_id")}
    assert warehouse.rows("id", "a") == [(1, "b"), (2, "c")]
    assert counts(row, "changed", "unchanged", "rows_updated") == (1, 1, 1)
    assert after[1][0] == before[1][0]
    assert after[1][1] > before[1][1]
    assert after[1][2] == row["job_run_id"]
    assert after[2] == before[2]


def test_3_no_change_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1")
    commits, files = warehouse.commits(), warehouse.files()
    row = warehouse.load("scd1", twice=False)
    assert counts(row, "new", "changed", "deleted", "unchanged") == (0, 0, 0, 1)
    assert (warehouse.commits(), warehouse.files()) == (commits, files)


@pytest.mark.parametrize(("before", "after"), [(None, "x"), ("x", None), (None, "")], ids=["4", "5", "6"])
def test_4_5_6_null_is_a_value(warehouse: Warehouse, before: str | None, after: str | None) -> None:
    warehouse.source(AB, (1, before))
    warehouse.load("scd1")
    warehouse.source(AB, (1, after))
    assert warehouse.load("scd1")["changed"] == 1
    assert warehouse.rows("id", "a") == [(1, after)]


def test_7_nulls_that_shift_between_columns(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, b string"
    warehouse.source(columns, (1, "x", None))
    warehouse.load("scd1")
    warehouse.source(columns, (1, None, "x"))
    assert warehouse.load("scd1")["changed"] == 1
    assert warehouse.rows("id", "a", "b") == [(1, None, "x")]


def test_10_microseconds(warehouse: Warehouse) -> None:
    columns = "id bigint, at timestamp"
    moment = T(1) + timedelta(microseconds=123456)
    warehouse.source(columns, (1, moment))
    warehouse.load("scd1")
    warehouse.source(columns, (1, moment + timedelta(microseconds=1)))
    assert warehouse.load("scd1")["changed"] == 1


def test_12_decimal_scale(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, d string", (1, "1.50"))
    spark: SparkSession = warehouse.spark
    source = warehouse.bronze_table("source")
    for kind in ("decimal(10,2)", "decimal(10,1)"):
        frame = spark.sql(f"SELECT 1L AS id, cast('1.5' AS {kind}) AS d")
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(source)
        row = warehouse.load("scd1")
    assert counts(row, "changed", "unchanged") == (0, 1)


def test_14_15_duplicates_in_a_batch(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (1, "b", T(2)), (2, "c", T(1)), (2, "c", T(1)))
    row = warehouse.load("scd1", sequence_by="seq")
    assert warehouse.rows("id", "a") == [(1, "b"), (2, "c")]
    assert counts(row, "read", "new", "duplicates") == (4, 2, 2)


def test_16_conflict_fails_before_writing(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (1, "b", T(1)), (2, "c", T(1)))
    warehouse.refuses(
        "scd1", GuardError, r"1 keys come more than once .*\(id\) = \(1,\).*on_conflict", sequence_by="seq"
    )
    assert not warehouse.spark.catalog.tableExists(warehouse.target)


def test_16_latest_has_one_winner_however_it_is_partitioned(warehouse: Warehouse) -> None:
    rows = [(1, f"v{i:02}", T(1)) for i in range(40)]
    winners = set()
    for order in (rows, rows[::-1], rows[20:] + rows[:20]):
        warehouse.source(SEQ, *order)
        warehouse.load("scd1", sequence_by="seq", on_conflict="latest")
        winners.update(warehouse.rows("id", "a"))
    assert len(winners) == 1


@pytest.mark.parametrize(("arrives", "gone"), [("b", False), ("b", True)], ids=["18", "19"])
def test_18_19_older_is_stale(warehouse: Warehouse, arrives: str, gone: bool) -> None:
    warehouse.source(DEL, (1, "c", False, T(4)))
    warehouse.load("scd1", sequence_by="seq", apply_as_deletes="gone", except_column_list=["gone"])
    warehouse.source(DEL, (1, arrives, gone, T(2)))
    row = warehouse.load("scd1", sequence_by="seq", apply_as_deletes="gone", except_column_list=["gone"])
    assert warehouse.rows("id", "a") == [(1, "c")]
    assert row["stale"] == 1


@pytest.mark.parametrize(
    ("mode", "after"),
    [("hard", []), ("soft", [(1, "d", True, "T5")]), ("ignore", [(1, "d", None, None)])],
)
def test_20_delete_modes(warehouse: Warehouse, mode: str, after: list[tuple[object, ...]]) -> None:
    config = {"sequence_by": "seq", "apply_as_deletes": "gone", "except_column_list": ["gone"], "delete_mode": mode}
    warehouse.source(DEL, (1, "d", False, T(4)))
    warehouse.load("scd1", **config)
    warehouse.source(DEL, (1, None, True, T(5)))  # 21: the delete's row has lost its attributes
    row = warehouse.load("scd1", **config)
    flags = ("is_deleted", "deleted_at") if mode == "soft" else ()
    assert warehouse.rows("id", "a", *flags) == [row[: 2 + len(flags)] for row in after]
    assert counts(row, "deleted", "ignored") == ((0, 1) if mode == "ignore" else (1, 0))


def test_20_a_delete_that_touched_nothing_takes_its_time_from_the_watermark(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, updated_at timestamp, _fivetran_synced timestamp, _fivetran_deleted boolean"
    warehouse.source(columns, (1, "d", T(4), T(4), False))
    warehouse.load("scd1", sequence_by="updated_at")
    warehouse.source(columns, (1, "d", T(4), T(6), True))
    assert warehouse.load("scd1", sequence_by="updated_at")["deleted"] == 1
    assert warehouse.rows("id", "is_deleted", "deleted_at") == [(1, True, "T6")]


def test_25_a_null_delete_flag_is_no_delete(warehouse: Warehouse) -> None:
    warehouse.source(DEL, (1, "a", None, T(1)))
    row = warehouse.load("scd1", sequence_by="seq", apply_as_deletes="gone")
    assert counts(row, "new", "ignored") == (1, 0)


def test_26_a_deleted_key_returns(warehouse: Warehouse) -> None:
    config = {"sequence_by": "seq", "apply_as_deletes": "gone", "except_column_list": ["gone"]}
    warehouse.source(DEL, (1, "a", False, T(1)))
    warehouse.load("scd1", **config)
    warehouse.source(DEL, (1, "a", True, T(2)))
    warehouse.load("scd1", **config)
    warehouse.source(DEL, (1, "b", False, T(6)))
    assert warehouse.load("scd1", **config)["changed"] == 1
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [(1, "b", False, None)]


def test_27_28_null_keys_are_told_by_column(warehouse: Warehouse) -> None:
    warehouse.source("country string, city string", (None, "B"), ("US", None), (None, None), ("US", "C"))
    warehouse.refuses("scd1", GuardError, "country: 2 null, city: 2 null", keys=["country", "city"])


def test_null_safe_keys_are_one_key(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (None, "x"), (2, "y"))
    warehouse.load("scd1", on_null_key="null_safe")
    warehouse.source("id bigint, a string", (None, "z"), (2, "y"))
    assert warehouse.load("scd1", on_null_key="null_safe")["changed"] == 1
    assert warehouse.rows("id", "a") == [(None, "z"), (2, "y")]


def test_30_compound_keys_do_not_run_together(warehouse: Warehouse) -> None:
    columns = "k string, l string, v bigint"
    warehouse.source(columns, ("a", "bc", 1))
    warehouse.load("scd1", keys=["k", "l"])
    warehouse.source(columns, ("ab", "c", 2))
    warehouse.load("scd1", keys=["k", "l"])
    assert warehouse.rows("k", "l", "v") == [("a", "bc", 1), ("ab", "c", 2)]


@pytest.mark.parametrize("policy", ["ignore", "soft", "hard"])
def test_32_a_vanished_key(warehouse: Warehouse, policy: str) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"))
    warehouse.load("scd1", source_mode="snapshot", on_missing=policy)
    warehouse.source(AB, (1, "a"))
    row = warehouse.load("scd1", source_mode="snapshot", on_missing=policy)
    assert row["keys_missing"] == 1
    if policy == "soft":
        assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [(1, "a", False, None), (2, "b", True, "R3")]
    else:
        assert warehouse.rows("id", "a") == ([(1, "a")] if policy == "hard" else [(1, "a"), (2, "b")])


def test_33_an_empty_source_is_refused(warehouse: Warehouse) -> None:
    config = {"source_mode": "snapshot", "on_missing": "soft"}
    warehouse.source(AB, (1, "a"), (2, "b"), (3, "c"))
    warehouse.load("scd1", **config)
    warehouse.source(AB)
    warehouse.refuses("scd1", GuardError, "source is empty and the table has 3 rows.*on_empty_source", **config)
    row = warehouse.load("scd1", on_empty_source="allow", **config)
    assert row["keys_missing"] == 3
    assert [flag for _, flag in warehouse.rows("id", "is_deleted")] == [True, True, True]


def test_34_too_many_deletes(warehouse: Warehouse) -> None:
    config = {"source_mode": "snapshot", "on_missing": "hard"}
    warehouse.source(AB, *[(i, "a") for i in range(100)])
    warehouse.load("scd1", **config)
    warehouse.source(AB, *[(i, "a") for i in range(30)])
    warehouse.refuses("scd1", GuardError, r"70 of 100 current rows .*\(70%\).*max_delete_ratio 50%", **config)
    assert warehouse.load("scd1", **config, context={"override_guards": "target"})["rows_deleted"] == 70
    assert len(warehouse.rows("id")) == 30


def test_35_36_columns_come_and_go(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, city string", (1, "a", "x"), (2, "b", "y"))
    warehouse.load("scd1")
    warehouse.source("id bigint, a string, z string", (1, "a", None), (2, "b", "n"), (3, "c", "m"))
    row = warehouse.load("scd1")
    assert counts(row, "new", "changed", "unchanged") == (1, 1, 1)
    assert warehouse.rows("id", "a", "city", "z") == [(1, "a", "x", None), (2, "b", "y", "n"), (3, "c", None, "m")]


def test_37_a_narrowing_type_is_refused(warehouse: Warehouse) -> None:
    from laketasks.error import SchemaError

    warehouse.source("id bigint, a int", (1, 1))
    warehouse.load("scd1")
    warehouse.source("id bigint, a bigint", (1, 3_000_000_000))
    warehouse.refuses("scd1", SchemaError, "a arrives as bigint but is stored as int")


def test_39_awkward_names(warehouse: Warehouse) -> None:
    columns = ("id bigint", "`a.b` string", "`order` string", "`naïve` string")
    warehouse.source(", ".join(columns), (1, "x", "y", "z"))
    warehouse.load("scd1")
    warehouse.source(", ".join(["Id bigint", *columns[1:]]), (1, "x", "y", "w"))
    assert warehouse.load("scd1", keys=["Id"])["changed"] == 1
    assert warehouse.rows("id", "a.b", "order", "naïve") == [(1, "x", "y", "w")]


def test_40_keys_are_exact(warehouse: Warehouse) -> None:
    warehouse.source("k string, v bigint", ("A", 1), ("a", 2), ("a ", 3))
    assert warehouse.load("scd1", keys=["k"])["new"] == 3


def test_a_null_sequence_fails_or_is_left_out(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (2, "b", None))
    warehouse.refuses("scd1", GuardError, "1 rows without a sequence", sequence_by="seq")
    row = warehouse.load("scd1", sequence_by="seq", on_null_sequence="exclude")
    assert counts(row, "new", "dropped") == (1, 1)


def test_a_foreign_table_is_left_alone(warehouse: Warehouse) -> None:
    from laketasks.error import TargetError

    warehouse.source(AB, (1, "a"))
    warehouse.spark.sql("SELECT 1L AS id, 'x' AS a").write.format("delta").saveAsTable(warehouse.target)
    warehouse.refuses("scd1", TargetError, "was filled by something else")


def test_ignore_null_updates_keeps_what_is_stored(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, b string", (1, "x", "y"))
    warehouse.load("scd1", ignore_null_updates=True)
    warehouse.source("id bigint, a string, b string", (1, None, "z"))
    warehouse.load("scd1", ignore_null_updates=True)
    assert warehouse.rows("id", "a", "b") == [(1, "x", "z")]


def test_full_refresh_writes_the_table_anew(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(3)), (2, "b", T(3)))
    warehouse.load("scd1", sequence_by="seq")
    warehouse.source(SEQ, (1, "older", T(1)))
    row = warehouse.load("scd1", sequence_by="seq", context={"full_refresh": "all"})
    assert warehouse.rows("id", "a") == [(1, "older")]
    assert row["new"] == 1
    warehouse.source(SEQ)
    with pytest.raises(GuardError, match="the source is empty"):
        warehouse.load("scd1", sequence_by="seq", context={"full_refresh": "all"})


def test_the_run_time_marks_a_delete_without_any_order(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, gone boolean", (1, "a", False))
    warehouse.load("scd1", apply_as_deletes="gone")
    warehouse.source("id bigint, a string, gone boolean", (1, "a", True))
    warehouse.load("scd1", apply_as_deletes="gone")
    assert warehouse.rows("id", "is_deleted", "deleted_at") == [(1, True, f"R{R(3).day - R(0).day}")]
