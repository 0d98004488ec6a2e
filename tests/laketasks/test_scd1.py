"""SCD1 by the cases: rows in, rows out, every load twice. The numbers are those of the list of cases."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from laketasks.error import GuardError, SchemaError, SourceError, TargetError
from tests.laketasks.cases import Case, Group, Played, check_counts, every_case, every_count, step
from tests.laketasks.warehouse import T, Warehouse

Play = Callable[[Group], Played]
AB = "id bigint, a string"
SEQ = "id bigint, a string, seq timestamp"
DEL = "id bigint, a string, gone boolean, seq timestamp"
DELETES = {"sequence_by": "seq", "apply_as_deletes": "gone", "except_column_list": ["gone"]}
MOMENT = T(1) + timedelta(microseconds=123456)
NEXT = MOMENT + timedelta(microseconds=1)

PLAIN = Group("plain", "scd1", "id bigint, a string, b string, at timestamp", ("id", "a", "b", "at"))
PLAIN.case(
    "1 2 a first load and a change",
    step([(1, "a", "x"), (2, "b", "x")], [(1, "a", "x"), (2, "b", "x")], new=2),
    step([(1, "c", "x"), (2, "b", "x")], [(1, "c", "x"), (2, "b", "x")], changed=1, unchanged=1),
)
PLAIN.case(
    "4 null becomes a value",
    step([(1, None, "x")], [(1, None, "x")], new=1),
    step([(1, "x", "x")], [(1, "x", "x")], changed=1),
)
PLAIN.case(
    "5 a value becomes null",
    step([(1, "x", "x")], [(1, "x", "x")], new=1),
    step([(1, None, "x")], [(1, None, "x")], changed=1),
)
PLAIN.case(
    "6 null is not the empty string",
    step([(1, None, "x")], [(1, None, "x")], new=1),
    step([(1, "", "x")], [(1, "", "x")], changed=1),
)
PLAIN.case(
    "7 nulls that shift between columns",
    step([(1, "x", None)], [(1, "x", None)], new=1),
    step([(1, None, "x")], [(1, None, "x")], changed=1),
)
PLAIN.case(
    "15 identical rows in a batch",
    step([(1, "a", "x"), (1, "a", "x")], [(1, "a", "x")], new=1, duplicates=1),
)

PLAIN.case(
    "10 a microsecond is a change",
    step([(1, None, None, MOMENT)], new=1),
    step([(1, None, None, NEXT)], [(1, None, None, NEXT.isoformat())], changed=1),
)

KEYS = Group("keys", "scd1", "k string, l string, v bigint", ("k", "l", "v"), keys=("k", "l"))
KEYS.case(
    "30 texts that run together",
    step([("a", "bc", 1)], [("a", "bc", 1)], new=1),
    step([("ab", "c", 2)], [("a", "bc", 1), ("ab", "c", 2)], new=1),
)
KEYS.case(
    "30 digits that run together",
    step([("12", "3", 1)], [("12", "3", 1)], new=1),
    step([("1", "23", 2)], [("1", "23", 2), ("12", "3", 1)], new=1),
)
KEYS.case(
    "40 keys are exact",
    step([("A", "x", 1), ("a", "x", 2), ("a ", "x", 3)], [("A", "x", 1), ("a", "x", 2), ("a ", "x", 3)], new=3),
)

NULL_SAFE = Group("null-safe keys", "scd1", AB, ("id", "a"), {"on_null_key": "null_safe"})
NULL_SAFE.case(
    "null keys are one key",
    step([(None, "x"), (2, "y")], [(None, "x"), (2, "y")], new=2),
    step([(None, "z"), (2, "y")], [(None, "z"), (2, "y")], changed=1, unchanged=1),
)

KEEPING = Group("keeping", "scd1", "id bigint, a string, b string", ("id", "a", "b"), {"ignore_null_updates": True})
KEEPING.case(
    "ignore_null_updates keeps what is stored",
    step([(1, "x", "y")], [(1, "x", "y")], new=1),
    step([(1, None, "z")], [(1, "x", "z")], changed=1),
)

NO_ORDER = Group(
    "no order",
    "scd1",
    "id bigint, a string, gone boolean",
    ("id", "a", "is_deleted", "deleted_at"),
    {"apply_as_deletes": "gone", "except_column_list": ["gone"]},
)
NO_ORDER.case(
    "20 the run's time marks a delete without any order",
    step([(1, "a", False)], [(1, "a", False, None)], new=1),
    step([(1, "a", True)], [(1, "a", True, "R3")], deleted=1),
)
NO_ORDER.case("25 a null flag is no delete", step([(1, "a", None)], [(1, "a", False, None)], new=1))

FIVETRAN = Group(
    "fivetran",
    "scd1",
    "id bigint, a string, updated_at timestamp, _fivetran_synced timestamp, _fivetran_deleted boolean",
    ("id", "a", "is_deleted", "deleted_at"),
    {"sequence_by": "updated_at"},
)
FIVETRAN.case(
    "20 a delete that touched nothing takes its time from the watermark",
    step([(1, "d", T(4), T(4), False)], [(1, "d", False, None)], new=1),
    step([(1, "d", T(4), T(6), True)], [(1, "d", True, "T6")], deleted=1),
)

SOFT = Group("soft", "scd1", DEL, ("id", "a", "is_deleted", "deleted_at"), DELETES)
HARD = Group("hard", "scd1", DEL, ("id", "a"), {**DELETES, "delete_mode": "hard"})
IGNORED = Group("ignored", "scd1", DEL, ("id", "a"), {**DELETES, "delete_mode": "ignore"})
for group in (SOFT, HARD, IGNORED):

    def row(*values: Any, group: Group = group) -> tuple[Any, ...]:
        """A row as the group shows it, where it keeps a flag."""
        return values if group is SOFT else values[:2]

    group.case(
        "14 the latest of a batch counts",
        step([(1, "a", False, T(1)), (1, "b", False, T(2))], [row(1, "b", False, None)], new=1, duplicates=1),
    )
    group.case(
        "15 identical rows of one sequence",
        step([(2, "c", False, T(1)), (2, "c", False, T(1))], [row(2, "c", False, None)], new=1, duplicates=1),
    )
    group.case(
        "18 an older row is stale",
        step([(1, "c", False, T(3))], [row(1, "c", False, None)], new=1),
        step([(1, "b", False, T(2))], [row(1, "c", False, None)], stale=1),
    )
    group.case(
        "19 an older delete is stale",
        step([(1, "d", False, T(4))], [row(1, "d", False, None)], new=1),
        step([(1, None, True, T(2))], [row(1, "d", False, None)], stale=1),
    )
    group.case(
        "23 a delete between two states of a batch",
        step(
            [(1, "alice", False, T(1)), (1, None, True, T(2)), (1, "alice2", False, T(3))],
            [row(1, "alice2", False, None)],
            new=1,
            duplicates=2,
        ),
    )
    group.case(
        "24 the last of a batch is no delete",
        step(
            [(1, "foo", None, T(1)), (1, "bar", True, T(2)), (1, "baz", False, T(3))],
            [row(1, "baz", False, None)],
            new=1,
            duplicates=2,
        ),
    )
    group.case(
        "24 the last of a batch is the delete",
        step([(1, "foo", None, T(1)), (1, "bar", False, T(2)), (1, "baz", True, T(3))], [], ignored=1, duplicates=2),
    )
    group.case("25 a null flag is no delete", step([(1, "a", None, T(1))], [row(1, "a", False, None)], new=1))

SOFT.case(
    "20 21 a delete keeps the last values",
    step([(1, "d", False, T(4))], [(1, "d", False, None)], new=1),
    step([(1, None, True, T(5))], [(1, "d", True, "T5")], deleted=1),
)
HARD.case(
    "20 a delete takes the row",
    step([(1, "d", False, T(4))], [(1, "d")], new=1),
    step([(1, None, True, T(5))], [], deleted=1),
)
IGNORED.case(
    "20 a delete does nothing",
    step([(1, "d", False, T(4))], [(1, "d")], new=1),
    step([(1, None, True, T(5))], [(1, "d")], ignored=1),
)
SOFT.case(
    "26 a deleted key returns",
    step([(1, "a", False, T(1))], [(1, "a", False, None)], new=1),
    step([(1, "a", True, T(2))], [(1, "a", True, "T2")], deleted=1),
    step([(1, "b", False, T(6))], [(1, "b", False, None)], changed=1),
)
HARD.case(
    "26 a deleted key returns",
    step([(1, "a", False, T(1))], [(1, "a")], new=1),
    step([(1, "a", True, T(2))], [], deleted=1),
    step([(1, "b", False, T(6))], [(1, "b")], new=1),
)

ROWS = [(1, f"v{i:02}", T(1)) for i in range(40)]
LATEST = Group("latest", "scd1", SEQ, ("id", "a"), {"sequence_by": "seq", "on_conflict": "latest"})
LATEST.case("16 one winner", *(step(order) for order in (ROWS, ROWS[::-1], ROWS[20:] + ROWS[:20])))

# --- snapshots, each with the unknown member ---
MISSING = {"source_mode": "snapshot", "unknown_member": True, "surrogate": ["sk"]}
SNAPSHOTS = {
    policy: Group(
        f"missing {policy}", "scd1", AB, ("id", "a", *flags), {**MISSING, "on_missing": policy}, contexts=contexts
    )
    for policy, flags, contexts in (
        ("ignore", (), {}),
        ("soft", ("is_deleted", "deleted_at"), {2: {"full_refresh": "all"}}),
        ("hard", (), {2: {"full_refresh": "target"}}),
    )
}
KEPT = step([(1, "a"), (2, "b")], None, new=2)
SNAPSHOTS["ignore"].case(
    "32 a vanished key stays",
    KEPT,
    step([(1, "a")], [(1, "a"), (2, "b")], unchanged=1, keys_missing=1),
)
SNAPSHOTS["soft"].case(
    "32 a vanished key is flagged once",
    KEPT,
    step([(1, "a")], [(1, "a", False, None), (2, "b", True, "R3")], unchanged=1, keys_missing=1),
    step([(1, "c")], [(1, "c", False, None)], new=1),
)
SNAPSHOTS["hard"].case(
    "32 a vanished key goes",
    KEPT,
    step([(1, "a")], [(1, "a")], unchanged=1, keys_missing=1),
    step([(1, "c")], [(1, "c")], new=1),
)

GROUPS = (
    *(PLAIN, KEYS, NULL_SAFE, KEEPING, NO_ORDER, FIVETRAN, SOFT, HARD, IGNORED, LATEST),
    *SNAPSHOTS.values(),
)


@every_case(*GROUPS)
def test_scd1(played: Play, group: Group, case: Case) -> None:
    played(group).check(case)


@every_count(*GROUPS)
def test_126_the_counts_of_a_group_are_those_of_its_cases(played: Play, group: Group) -> None:
    check_counts(played(group))


def test_2_a_change_keeps_loaded_at(played: Play) -> None:
    result = played(PLAIN)
    audit = ("id", "_loaded_at", "_updated_at", "_job_run_id")
    before, after = ({row[0]: row[1:] for row in result.rows(PLAIN.cases[0], i, *audit)} for i in range(2))
    assert after[1][0] == before[1][0]
    assert after[1][1] > before[1][1]
    assert after[1][2] == result.counts[1]["job_run_id"]
    assert after[2] == before[2]


def test_16_latest_has_one_winner_however_it_is_partitioned(played: Play) -> None:
    winners = {row for index in range(3) for row in played(LATEST).rows("16 one winner", index)}
    assert len(winners) == 1


@pytest.mark.parametrize("policy", ["ignore", "soft", "hard"])
def test_73_the_unknown_member_stands_once(played: Play, policy: str) -> None:
    for table in played(SNAPSHOTS[policy]).tables:
        member = [(row["case_no"], row["id"], row["a"], row["sk"]) for row in table if row["id"] == -1]
        assert member == [(-1, -1, None, "-1")]


@pytest.mark.parametrize("policy", ["soft"])
def test_the_surrogate_key_is_the_md5_of_the_natural_one(played: Play, policy: str) -> None:
    for table in played(SNAPSHOTS[policy]).tables:
        known = [row for row in table if row["id"] != -1]
        texts = [f'{{"case_no":{row["case_no"]},"id":{row["id"]}}}' for row in known]
        assert [row["sk"] for row in known] == [hashlib.md5(text.encode()).hexdigest() for text in texts]


# --- what is refused, and what is about a whole table ---


def test_3_no_change_writes_nothing(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1", twice=False)
    commits, files = warehouse.commits(), warehouse.files()
    warehouse.touch()
    row = warehouse.load("scd1", twice=False)
    assert [row[fate] for fate in ("new", "changed", "deleted", "unchanged")] == [0, 0, 0, 1]
    assert (warehouse.commits(), warehouse.files()) == (commits, files)


def test_12_35_36_39_columns_come_and_go(warehouse: Warehouse) -> None:
    source, names = warehouse.bronze_table("source"), "'p' AS `a.b`, 'q' AS `order`, 'r' AS `naïve`"
    first = (
        f"SELECT id, a, city, cast('1.50' AS decimal(10,2)) AS d, {names} FROM VALUES (1L, 'a', 'x'), (2L, 'b', 'y')"
    )
    later = f"SELECT id AS Id, a, z, cast('1.5' AS decimal(10,1)) AS d, {names} FROM VALUES (1L, 'a', NULL), "
    for state in (f"{first} AS t(id, a, city)", f"{later}(2L, 'b', 'n'), (3L, 'c', 'm') AS t(id, a, z)"):
        frame = warehouse.spark.sql(state)
        frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(source)
        row = warehouse.load("scd1", keys=["Id"])
    assert [row[fate] for fate in ("new", "changed", "unchanged")] == [1, 1, 1]
    assert warehouse.rows("id", "a", "city", "z") == [(1, "a", "x", None), (2, "b", "y", "n"), (3, "c", None, "m")]
    assert {tuple(map(str, row)) for row in warehouse.rows("d", "a.b", "order", "naïve")} == {("1.50", "p", "q", "r")}


def test_39_columns_that_differ_in_case_only(warehouse: Warehouse) -> None:
    sql = warehouse.workspace / "double.sql"
    sql.write_text("SELECT 1L AS id, 'x' AS name, 'y' AS Name")
    warehouse.refuses("scd1", SourceError, "more than one column of the name name and Name", sql_file_path=str(sql))


def test_16_27_28_what_is_refused_before_the_first_write(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (1, "b", T(1)), (2, "c", T(1)))
    conflict = r"1 keys come more than once .*\(id\) = \(1,\).*on_conflict"
    warehouse.refuses("scd1", GuardError, conflict, sequence_by="seq")
    warehouse.source("country string, city string", (None, "B"), ("US", None), (None, None), ("US", "C"))
    warehouse.refuses("scd1", GuardError, "country: 2 null, city: 2 null", keys=["country", "city"])
    assert not warehouse.spark.catalog.tableExists(warehouse.target)


def test_a_null_sequence_fails_or_is_left_out(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(1)), (2, "b", None))
    warehouse.refuses("scd1", GuardError, "1 rows without a sequence", sequence_by="seq")
    row = warehouse.load("scd1", sequence_by="seq", on_null_sequence="exclude")
    assert (row["new"], row["dropped"]) == (1, 1)


def test_33_34_too_many_deletes_and_an_empty_source(warehouse: Warehouse) -> None:
    config = {"source_mode": "snapshot", "on_missing": "soft"}
    warehouse.source(AB, *[(i, "a") for i in range(100)])
    warehouse.load("scd1", **config)
    warehouse.source(AB)
    warehouse.refuses("scd1", GuardError, "source is empty and the table has 100 rows.*on_empty_source", **config)
    warehouse.source(AB, *[(i, "a") for i in range(30)])
    warehouse.refuses("scd1", GuardError, r"70 of 100 current rows .*\(70%\).*max_delete_ratio 50%", **config)
    applied = warehouse.load("scd1", **config, max_delete_ratio=1)
    assert (applied["keys_missing"], applied["rows_updated"]) == (70, 70)
    warehouse.source(AB)
    row = warehouse.load("scd1", on_empty_source="allow", **config)
    assert row["keys_missing"] == 30
    assert {flag for _, flag in warehouse.rows("id", "is_deleted")} == {True}


def test_34_a_run_may_override_the_guard(warehouse: Warehouse) -> None:
    config = {"source_mode": "snapshot", "on_missing": "hard"}
    warehouse.source(AB, *[(i, "a") for i in range(100)])
    warehouse.load("scd1", **config)
    warehouse.source(AB, *[(i, "a") for i in range(30)])
    warehouse.refuses("scd1", GuardError, r"70 of 100 current rows .*\(70%\).*max_delete_ratio 50%", **config)
    assert warehouse.load("scd1", **config, context={"override_guards": "target"})["rows_deleted"] == 70
    assert len(warehouse.rows("id")) == 30


def test_37_another_kind_is_refused_and_a_wider_type_where_the_row_says_fail(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a int, b bigint", (1, 1, 1))
    warehouse.load("scd1", twice=False)
    warehouse.source("id bigint, a bigint, b int", (1, 3_000_000_000, 1))
    message = "a arrives as bigint but is stored as int and schema_evolution is fail"
    warehouse.refuses("scd1", SchemaError, message, schema_evolution="fail")
    warehouse.source("id bigint, a string, b bigint", (1, "1", 1))
    warehouse.refuses("scd1", SchemaError, "a arrives as string but is stored as int")


def test_a_foreign_table_is_left_alone(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.spark.sql("SELECT 1L AS id, 'x' AS a").write.format("delta").saveAsTable(warehouse.target)
    warehouse.refuses("scd1", TargetError, "was filled by something else")


def test_full_refresh_writes_the_table_anew(warehouse: Warehouse) -> None:
    warehouse.source(SEQ, (1, "a", T(3)), (2, "b", T(3)))
    warehouse.load("scd1", sequence_by="seq", twice=False)
    warehouse.source(SEQ, (1, "older", T(1)))
    row = warehouse.load("scd1", sequence_by="seq", context={"full_refresh": "all"})
    assert warehouse.rows("id", "a") == [(1, "older")]
    assert row["new"] == 1
    warehouse.source(SEQ)
    with pytest.raises(GuardError, match="the source is empty"):
        warehouse.load("scd1", sequence_by="seq", context={"full_refresh": "all"})


def test_73_a_key_that_cannot_be_minus_one_is_refused(warehouse: Warehouse) -> None:
    warehouse.source("at timestamp, a string", (T(1), "a"))
    message = "unknown_member needs keys that can be -1; at is timestamp"
    warehouse.refuses("scd1", SourceError, message, keys=["at"], unknown_member=True)


def test_73_the_unknown_member_of_a_text_key(warehouse: Warehouse) -> None:
    warehouse.source("k string, a string", ("x", "a"))
    row = warehouse.load("scd1", keys=["k"], unknown_member=True)
    assert warehouse.rows("k", "a") == [("-1", None), ("x", "a")]
    assert (row["read"], row["new"], row["rows_inserted"]) == (1, 1, 2)
