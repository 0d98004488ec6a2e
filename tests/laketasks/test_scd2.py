"""SCD2 from a state source by the cases; the numbers are those of the list of cases.

Rows are (id, attributes, from, to, current); T is the source's sequence, R a run's start, ∞ the open end. A group's
n-th step is loaded by run 2n - 1, and once more by run 2n.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from laketasks.error import GuardError, TargetError
from tests.laketasks.cases import Case, Group, Played, check_counts, every_case, every_count, step
from tests.laketasks.warehouse import OPEN, T, Warehouse

Play = Callable[[Group], Played]
SEQ = "id bigint, a string, seq timestamp"
DEL = "id bigint, a string, gone boolean, seq timestamp"
ORDER = {"sequence_by": "seq"}
DELETES = {**ORDER, "apply_as_deletes": "gone", "except_column_list": ["gone"]}
VERSION = ("valid_from", "valid_to", "is_current")

STATE = Group("state", "scd2", SEQ, ("id", "a", *VERSION), ORDER)
STATE.case(
    "41 a first load",
    step([(1, "a", T(1)), (2, "b", T(1))], [(1, "a", "T1", OPEN, "Y"), (2, "b", "T1", OPEN, "Y")], new=2),
)
STATE.case(
    "43 45 each change is a version",
    step([(1, "A", T(1))], [(1, "A", "T1", OPEN, "Y")], new=1),
    step([(1, "B", T(2))], [(1, "A", "T1", "T2", "N"), (1, "B", "T2", OPEN, "Y")], changed=1),
    step(
        [(1, "A", T(3))],
        [(1, "A", "T1", "T2", "N"), (1, "B", "T2", "T3", "N"), (1, "A", "T3", OPEN, "Y")],
        changed=1,
    ),
)
STATE.case(
    "49 equal attributes of two keys",
    step([(1, "a", T(1)), (2, "a", T(1))], [(1, "a", "T1", OPEN, "Y"), (2, "a", "T1", OPEN, "Y")], new=2),
    step(
        [(1, "a", T(1)), (2, "b", T(2))],
        [(1, "a", "T1", OPEN, "Y"), (2, "a", "T1", "T2", "N"), (2, "b", "T2", OPEN, "Y")],
        unchanged=1,
        changed=1,
    ),
)
STATE.case(
    "53 null becomes a value and is not filled in",
    step([(1, None, T(1))], [(1, None, "T1", OPEN, "Y")], new=1),
    step([(1, "x", T(2))], [(1, None, "T1", "T2", "N"), (1, "x", "T2", OPEN, "Y")], changed=1),
)
STATE.case(
    "54 a value becomes null",
    step([(1, "x", T(1))], [(1, "x", "T1", OPEN, "Y")], new=1),
    step([(1, None, T(2))], [(1, "x", "T1", "T2", "N"), (1, None, "T2", OPEN, "Y")], changed=1),
)
STATE.case(
    "62 a bumped sequence alone is no change",
    step([(1, "a", T(1))], [(1, "a", "T1", OPEN, "Y")], new=1),
    step([(1, "a", T(9))], [(1, "a", "T1", OPEN, "Y")], unchanged=1),
)
STATE.case(
    "an older sequence is stale",
    step([(1, "b", T(2))], [(1, "b", "T2", OPEN, "Y")], new=1),
    step([(1, "a", T(1))], [(1, "b", "T2", OPEN, "Y")], stale=1),
)
STATE.case(
    "the same sequence with other values starts at the run",
    step([(1, "a", T(1))], [(1, "a", "T1", OPEN, "Y")], new=1),
    step([(1, "b", T(1))], [(1, "a", "T1", "R3", "N"), (1, "b", "R3", OPEN, "Y")], changed=1),
)

EARLY = Group("early", "scd2", SEQ, ("id", "a", *VERSION), {**ORDER, "first_version_from": "2024-01-01"})
EARLY.case(
    "41 only the first load starts early",
    step([(1, "a", T(1)), (2, "b", T(1))], [(1, "a", "T0", OPEN, "Y"), (2, "b", "T0", OPEN, "Y")], new=2),
    step(
        [(1, "a", T(1)), (2, "b", T(1)), (3, "c", T(2))],
        [(1, "a", "T0", OPEN, "Y"), (2, "b", "T0", OPEN, "Y"), (3, "c", "T2", OPEN, "Y")],
        unchanged=2,
        new=1,
    ),
)

NO_ORDER = Group("no order", "scd2", "id bigint, a string", ("id", "a", *VERSION))
NO_ORDER.case(
    "a change counts from the run",
    step([(1, "a")], [(1, "a", "R1", OPEN, "Y")], new=1),
    step([(1, "b")], [(1, "a", "R1", "R3", "N"), (1, "b", "R3", OPEN, "Y")], changed=1),
)

DELETED = Group("deletes", "scd2", DEL, ("id", "a", "is_deleted", *VERSION), DELETES)
for name, value in (("57 59 a delete closes and a return opens", "a"), ("58 59 a delete with changed values", "b")):
    DELETED.case(
        name,
        step([(1, "a", False, T(1))], [(1, "a", False, "T1", OPEN, "Y")], new=1),
        step([(1, value, True, T(2))], [(1, "a", True, "T1", "T2", "N")], deleted=1),
        step(
            [(1, "a", False, T(5))],
            [(1, "a", True, "T1", "T2", "N"), (1, "a", False, "T5", OPEN, "Y")],
            changed=1,
        ),
    )
DELETED.case(
    "59 an older row does not bring a deleted key back",
    step([(1, "a", False, T(1))], [(1, "a", False, "T1", OPEN, "Y")], new=1),
    step([(1, "a", True, T(3))], [(1, "a", True, "T1", "T3", "N")], deleted=1),
    step([(1, "b", False, T(2))], [(1, "a", True, "T1", "T3", "N")], stale=1),
)
DELETED.case("a key first seen as deleted is ignored", step([(1, "a", True, T(1))], [], ignored=1))
DELETED.case(
    "93 each key for itself",
    step(
        [(1, "a", False, T(1)), (2, "b", False, T(1))],
        [(1, "a", False, "T1", OPEN, "Y"), (2, "b", False, "T1", OPEN, "Y")],
        new=2,
    ),
    step(
        [(1, "c", False, T(2)), (2, "b", True, T(2)), (3, "d", False, T(2))],
        [
            (1, "a", False, "T1", "T2", "N"),
            (1, "c", False, "T2", OPEN, "Y"),
            (2, "b", True, "T1", "T2", "N"),
            (3, "d", False, "T2", OPEN, "Y"),
        ],
        new=1,
        changed=1,
        deleted=1,
    ),
)

RECORDED = Group("recorded", "scd2", DEL, ("id", "a", "is_deleted", *VERSION), {**DELETES, "delete_mode": "new_record"})
RECORDED.case(
    "new_record keeps a deleted version open",
    step([(1, "a", False, T(1))], [(1, "a", False, "T1", OPEN, "Y")], new=1),
    step([(1, None, True, T(2))], [(1, "a", True, "T1", "T2", "N"), (1, "a", True, "T2", OPEN, "Y")], deleted=1),
    step(
        [(1, "b", False, T(4))],
        [(1, "a", True, "T1", "T2", "N"), (1, "a", True, "T2", "T4", "N"), (1, "b", False, "T4", OPEN, "Y")],
        changed=1,
    ),
)

FIVETRAN = Group(
    "fivetran",
    "scd2",
    "id bigint, a string, updated_at timestamp, _fivetran_synced timestamp, _fivetran_deleted boolean",
    ("id", "a", "is_deleted", *VERSION),
    {"sequence_by": "updated_at"},
)
FIVETRAN.case(
    "57 an untouched sequence dates a delete by its watermark",
    step([(1, "a", T(1), T(1), False)], [(1, "a", False, "T1", OPEN, "Y")], new=1),
    step([(1, "a", T(1), T(4), True)], [(1, "a", True, "T1", "T4", "N")], deleted=1),
)

# --- snapshots, with the unknown member and a surrogate key ---
SNAPSHOTS = {
    policy: Group(
        f"missing {policy}",
        "scd2",
        SEQ,
        ("id", "a", "is_deleted", *VERSION),
        {
            **ORDER,
            "source_mode": "snapshot",
            "on_missing": policy,
            "unknown_member": True,
            "surrogate": ["sk"],
        },
        contexts={4: {"full_refresh": "all"}} if policy == "close" else {},
        twin=policy == "soft",
    )
    for policy in ("close", "soft")
}
for policy, snapshot in SNAPSHOTS.items():
    first = step(
        [(1, "a", T(1)), (2, "b", T(1))], [(1, "a", False, "T1", OPEN, "Y"), (2, "b", False, "T1", OPEN, "Y")], new=2
    )
    ended = (1, "a", policy == "soft", "T1", "R3", "N")
    absent = step([(2, "b", T(1))], [ended, (2, "b", False, "T1", OPEN, "Y")], unchanged=1, keys_missing=1)
    still = step([(2, "b", T(1))], [ended, (2, "b", False, "T1", OPEN, "Y")], unchanged=1)
    snapshot.case(
        "46 47 a key that vanishes and returns leaves a gap",
        first,
        absent,
        still,
        step(
            [(1, "a", T(400)), (2, "b", T(1))],
            [ended, (1, "a", False, "R248", OPEN, "Y"), (2, "b", False, "T1", OPEN, "Y")],
            unchanged=1,
            changed=1,
        ),
    )
    snapshot.case(
        "47 a key that returns with its old sequence starts at the run",
        first,
        absent,
        step(
            [(1, "a", T(1)), (2, "b", T(1))],
            [ended, (1, "a", False, "R5", OPEN, "Y"), (2, "b", False, "T1", OPEN, "Y")],
            unchanged=1,
            changed=1,
        ),
    )
SNAPSHOTS["close"].case(
    "73 five loads, of which the last is a full_refresh of all",
    *(step([(1, f"a{n}", T(n))], None, **({"new": 1} if n == 1 else {"changed": 1})) for n in range(1, 6)),
)

NAMES = "id bigint, name string, score int, seq timestamp"
TYPE_1 = [
    Group(
        f"type 1 by {key}",
        "scd2",
        NAMES,
        ("id", "name", "score", *VERSION),
        {**ORDER, key: [column]},
        twin=column == "score",
    )
    for key, column in (("track_history_column_list", "name"), ("track_history_except_column_list", "score"))
]
for group in TYPE_1:
    group.case(
        "50 an untracked column updates in place",
        step([(1, "n", 100, T(1))], [(1, "n", 100, "T1", OPEN, "Y")], new=1),
        step([(1, "n", 200, T(2))], [(1, "n", 200, "T1", OPEN, "Y")], changed=1),
    )
    group.case(
        "50 a tracked column makes a version, which takes the others along",
        step([(1, "n", 100, T(1))], [(1, "n", 100, "T1", OPEN, "Y")], new=1),
        step([(1, "m", 200, T(2))], [(1, "n", 100, "T1", "T2", "N"), (1, "m", 200, "T2", OPEN, "Y")], changed=1),
    )

GROUPS = (STATE, EARLY, NO_ORDER, DELETED, RECORDED, FIVETRAN, *SNAPSHOTS.values(), *TYPE_1)


@every_case(*GROUPS)
def test_scd2(played: Play, group: Group, case: Case) -> None:
    played(group).check(case)


@every_count(*GROUPS)
def test_126_the_counts_of_a_group_are_those_of_its_cases(played: Play, group: Group) -> None:
    check_counts(played(group))


def test_43_50_57_effects(played: Play) -> None:
    """A version is an insert and an update, a change in place and a delete are an update."""
    effects = ("rows_inserted", "rows_updated", "rows_deleted")
    assert [played(NO_ORDER).counts[1][effect] for effect in effects] == [1, 1, 0]
    assert [played(FIVETRAN).counts[1][effect] for effect in effects] == [0, 1, 0]
    for group in TYPE_1[:1]:
        assert [played(group).counts[1][effect] for effect in effects] == [1, 2, 0]


@pytest.mark.parametrize("policy", ["close", pytest.param("soft", marks=pytest.mark.twin)])
def test_73_the_unknown_member_stands_once(played: Play, policy: str) -> None:
    result = played(SNAPSHOTS[policy])
    for table in result.tables:
        member = [row for row in table if row["case_no"] == -1]
        assert [(row["id"], row["sk"], row["a"], row["is_current"]) for row in member] == [(-1, "-1", None, True)]
        assert (member[0]["valid_from"], member[0]["valid_to"]) == (-2208988800000000, 253402214400000000)


def test_the_surrogate_key_is_that_of_its_version(played: Play) -> None:
    """The md5 of key and start, whatever load writes it: the same on every rebuild."""
    for row in played(SNAPSHOTS["close"]).tables[-1]:
        if row["case_no"] >= 0:
            text = f'{{"case_no":{row["case_no"]},"id":{row["id"]},"valid_from":{row["valid_from"]}}}'
            assert row["sk"] == hashlib.md5(text.encode()).hexdigest()


# --- what is refused, and what is about a whole table ---


def load(warehouse: Warehouse, columns: str, *rows: tuple[Any, ...], **config: Any) -> dict[str, Any]:
    warehouse.source(columns, *rows)
    return warehouse.load("scd2", **({"sequence_by": "seq"} | config))


def test_42_rerun_writes_nothing(warehouse: Warehouse) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    files = warehouse.files()
    assert load(warehouse, SEQ, (1, "a", T(1)))["unchanged"] == 1
    assert warehouse.files() == files


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
    said = "the keys were id and are now id, region"
    warehouse.refuses("scd2", TargetError, said, sequence_by="seq", keys=["id", "region"])
    warehouse.spark.sql(f"UPDATE {warehouse.target} SET a = 'b'").collect()  # not as the last load left it
    said = "region, which the row names as a key"
    warehouse.refuses("scd2", TargetError, said, sequence_by="seq", keys=["id", "region"])


def test_full_refresh_is_refused_by_name_and_passed_over_under_all(warehouse: Warehouse, capsys: Any) -> None:
    load(warehouse, SEQ, (1, "a", T(1)))
    load(warehouse, SEQ, (1, "b", T(2)))
    with pytest.raises(GuardError, match="would lose the history"):
        warehouse.load("scd2", sequence_by="seq", context={"full_refresh": "target"})
    warehouse.load("scd2", sequence_by="seq", context={"full_refresh": "all"})
    assert len(warehouse.history("a")) == 2
    assert "leaves scd2 history alone" in capsys.readouterr().out


def test_a_delete_brings_no_values_of_its_own_beside_ignore_null_updates(warehouse: Warehouse) -> None:
    columns = "id bigint, v string, gone boolean, u timestamp"
    row = {
        "sequence_by": "u",
        "apply_as_deletes": "gone",
        "except_column_list": ["gone"],
        "delete_mode": "new_record",
        "ignore_null_updates": True,
    }
    warehouse.source(columns, (1, "a", False, T(1)))
    warehouse.load("scd2", **row)
    warehouse.source(columns, (1, "of the delete", True, T(2)))
    warehouse.load("scd2", **row)
    assert warehouse.rows("v", "is_deleted", "is_current") == [("a", True, False), ("a", True, True)]
