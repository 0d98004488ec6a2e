"""Change sources of many rows per key by the cases; the numbers are those of the list of cases.

Integers are sequences, that many seconds after the epoch. Events of earlier batches stay in the source. A version is
(id, value, from, to), ∞ the open end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from laketasks.error import GuardError, LoadError, SourceError
from tests.laketasks.cases import GONE, Case, Group, Played, check_counts, every_case, every_count, step
from tests.laketasks.feed import COLUMNS, EVENTS, Feed, at
from tests.laketasks.warehouse import OPEN, T, Warehouse

Play = Callable[[Group], Played]
A, B, C, D, X = "a", "b", "c", GONE, "x"
Batch = list[tuple[str | None, int]]
VERSION = ("valid_from", "valid_to")
BOTH = ("full", "incremental")


def events(batch: Batch, arrived: int, key: int = 1) -> list[tuple[Any, ...]]:
    """Rows of the source for a batch of (value, sequence) of one key."""
    return [(key, None if v == GONE else v, v == GONE, at(sequence), T(arrived)) for v, sequence in batch]


def feed(name: str, pipeline: str, load_type: str, *shows: str, **config: Any) -> Group:
    return Group(name, pipeline, COLUMNS, ("id", "a", *shows), {**EVENTS, **config}, load_type=load_type, grows=True)


VERSIONS: dict[str, tuple[list[Batch], list[tuple[Any, ...]]]] = {
    "76 two states": ([[(A, 10), (B, 20)]], [(A, 10, 20), (B, 20, OPEN)]),
    "77 a delete": ([[(A, 10), (D, 20)]], [(A, 10, 20)]),
    "78 a return": ([[(A, 10), (B, 20), (D, 30), (C, 40)]], [(A, 10, 20), (B, 20, 30), (C, 40, OPEN)]),
    "79 equal values are one version": ([[(A, 10), (A, 20)]], [(A, 10, OPEN)]),
    "80 equal values of two batches": ([[(A, 10)], [(A, 20)], [(B, 30)]], [(A, 10, 30), (B, 30, OPEN)]),
    "81 late before all": ([[(A, 10)], [(B, 5)]], [(B, 5, 10), (A, 10, OPEN)]),
    "82 late in between": ([[(A, 10), (C, 20)], [(B, 15)]], [(A, 10, 15), (B, 15, 20), (C, 20, OPEN)]),
    "83 a late delete in between": ([[(A, 10), (B, 30)], [(D, 20)]], [(A, 10, 20), (B, 30, OPEN)]),
    "84 a late delete before a delete": ([[(A, 10), (D, 20)], [(D, 15)]], [(A, 10, 15)]),
    "87 a delete before its key": ([[(D, 20)], [(X, 10)]], [(X, 10, 20)]),
    "88 a key after its delete": ([[(D, 20)], [(X, 30)]], [(X, 30, OPEN)]),
    "89 a delete at the same sequence": ([[(A, 10), (D, 10)]], []),
    "a delete at the same sequence, later": ([[(A, 10)], [(D, 10)]], []),
    "a delete at the same sequence, before": ([[(D, 10)], [(A, 10)]], []),
    "a delete at the same sequence of a second state": ([[(X, 5), (A, 10)], [(D, 10)]], [(X, 5, 10)]),
    "90 an event comes again": ([[(A, 10)], [(A, 10)]], [(A, 10, OPEN)]),
    "95 a delete of an unknown key": ([[(D, 20)]], []),
    "an equal late value moves the start": ([[(A, 10), (B, 20)], [(A, 5)]], [(A, 5, 20), (B, 20, OPEN)]),
    "a late delete before all": ([[(A, 10)], [(D, 5)]], [(A, 10, OPEN)]),
    "null is a value": ([[(A, 10)], [(None, 20)], [(A, 30)]], [(A, 10, 20), (None, 20, 30), (A, 30, OPEN)]),
}
HISTORIES = [feed(f"events {load_type}", "scd2", load_type, *VERSION) for load_type in BOTH]
HISTORIES[0].twin = True
for group in HISTORIES:
    for name, (batches, expected) in VERSIONS.items():
        brought = [step(events(batch, arrived)) for arrived, batch in enumerate(batches, start=1)]
        stands = [(1, *version) for version in expected]
        group.case(name, *brought[:-1], step(brought[-1].arrives, stands))

# (value, whether it is deleted) of the one row, where a delete is soft
STATES: dict[str, tuple[list[Batch], list[tuple[Any, ...]]]] = {
    "14 the latest of a batch": ([[(A, 10), (B, 20)]], [(B, False)]),
    "18 an older event": ([[(C, 30)], [(B, 20)]], [(C, False)]),
    "19 an older delete": ([[(C, 40)], [(D, 20)]], [(C, False)]),
    "20 a delete": ([[(A, 40)], [(D, 50)]], [(A, True)]),
    "23 a delete between two states": ([[(A, 10), (D, 20), (B, 30)]], [(B, False)]),
    "24 the last is the delete": ([[(A, 10), (B, 20), (D, 30)]], [(B, True)]),
    "26 a deleted key returns": ([[(A, 10), (D, 20)], [(B, 30)]], [(B, False)]),
    "87 a delete before its key": ([[(D, 20)], [(X, 10)]], [(X, True)]),
    "89 a delete at the same sequence": ([[(A, 10), (D, 10)]], [(A, True)]),
    "a delete at the same sequence, later": ([[(A, 10)], [(D, 10)]], [(A, True)]),
    "a delete at the same sequence, before": ([[(D, 10)], [(A, 10)]], [(A, True)]),
    "a delete at the same sequence of a second state": ([[(X, 5), (A, 10)], [(D, 10)]], [(A, True)]),
    "a return after a delete at the same sequence": ([[(A, 10)], [(D, 10)], [(B, 20)]], [(B, False)]),
    "a late value under a delete": ([[(A, 10), (D, 20)], [(B, 15)]], [(B, True)]),
}
LATEST = {
    "soft": feed("latest soft", "scd1", "incremental", "is_deleted", delete_mode="soft"),
    "hard": feed("latest hard", "scd1", "incremental", delete_mode="hard"),
}
for mode, group in LATEST.items():
    for name, (batches, states) in STATES.items():
        brought = [step(events(batch, arrived)) for arrived, batch in enumerate(batches, start=1)]
        stands = [(1, *state) for state in states] if mode == "soft" else [(1, v) for v, gone in states if not gone]
        group.case(name, *brought[:-1], step(brought[-1].arrives, stands))

# --- groups that count: what is read anew counts as well, so each has its batches to itself ---
COUNTED = [feed(f"counted {load_type}", "scd2", load_type, *VERSION, "is_deleted") for load_type in BOTH]
COUNTED[0].twin = True
for group in COUNTED:
    group.case(
        "90 an event comes again, twice",
        step(events([(A, 10)], 1), new=1),
        step(events([(A, 10), (A, 10)], 2), [(1, A, 10, OPEN, False)], unchanged=1, duplicates=2),
    )
    group.case(
        "93 each key for itself",
        step([*events([(A, 10)], 1, key=1), *events([(B, 10)], 1, key=2)], new=2),
        step(
            [*events([(C, 20)], 2, key=1), *events([(D, 20)], 2, key=2), *events([(X, 20)], 2, key=3)],
            [(1, A, 10, 20, False), (1, C, 20, OPEN, False), (2, B, 10, 20, True), (3, X, 20, OPEN, False)],
            new=1,
            changed=1,
            deleted=1,
            unchanged=2,
        ),
    )
    group.case(
        "all fates of a first load",
        step(
            events([(A, 10), (A, 20), (B, 30), (B, 30), (D, 40)], 1) + events([(D, 10)], 1, key=2),
            [(1, A, 10, 30, False), (1, B, 30, 40, True)],
            new=1,
            changed=1,
            deleted=1,
            unchanged=1,
            duplicates=1,
            ignored=1,
        ),
        step([], [(1, A, 10, 30, False), (1, B, 30, 40, True)], unchanged=4, duplicates=1, ignored=1),
    )
    group.case(
        "a late row that moves a start is a change",
        step(events([(A, 10), (B, 20)], 1), new=1, changed=1),
        step(events([(A, 5)], 2), [(1, A, 5, 20, False), (1, B, 20, OPEN, False)], changed=1, unchanged=2),
    )

# --- other configurations, two batches each ---
TYPE_1 = Group(
    "type 1 columns",
    "scd2",
    "id bigint, a string, b bigint, seq timestamp",
    ("id", "a", "b", *VERSION),
    {"source_mode": "events", "sequence_by": "seq", "track_history_column_list": ["a"]},
    grows=True,
)
TYPE_1.case(
    "50 type 1 columns take the latest value of their run",
    step(
        [(1, "a", 1, at(10)), (1, "a", 2, at(20)), (1, "b", 3, at(30))],
        [(1, "a", 2, 10, 30), (1, "b", 3, 30, OPEN)],
        new=1,
        unchanged=1,
        changed=1,
    ),
    step(
        [(1, "a", 9, at(25)), (1, "b", 4, at(40))],
        [(1, "a", 9, 10, 30), (1, "b", 4, 30, OPEN)],
        changed=2,
        unchanged=3,
    ),
)
MODES = {
    mode: feed(f"delete_mode {mode}", "scd2", "full", *VERSION, "is_deleted", delete_mode=mode)
    for mode in ("ignore", "new_record")
}
MODES["ignore"].case(
    "20 a delete is ignored",
    step(
        events([(A, 10), (D, 20), (B, 30)], 1),
        [(1, A, 10, 30, False), (1, B, 30, OPEN, False)],
        new=1,
        changed=1,
        ignored=1,
    ),
)
MODES["new_record"].case(
    "a delete is recorded",
    step(
        events([(A, 10), (D, 20), (B, 30)], 1),
        [(1, A, 10, 20, True), (1, A, 20, 30, True), (1, B, 30, OPEN, False)],
        new=1,
        changed=1,
        deleted=1,
    ),
)
EARLY = feed("early", "scd2", "incremental", *VERSION, first_version_from="1970-01-01T00:00:01")
EARLY.case(
    "41 only the first load starts early",
    step(events([(A, 10), (B, 20)], 1), [(1, A, 1, 20), (1, B, 20, OPEN)]),
    step(
        [*events([(C, 30)], 2), *events([(X, 30)], 2, key=2)],
        [(1, A, 1, 20), (1, B, 20, 30), (1, C, 30, OPEN), (2, X, 30, OPEN)],
    ),
)
TWO_COLUMNS = Group(
    "a sequence of two columns",
    "scd2",
    "id bigint, a string, seq timestamp, n bigint",
    ("id", "a", "n", *VERSION),
    {"source_mode": "events", "sequence_by": ["seq", "n"]},
    grows=True,
)
TWO_COLUMNS.case(
    "the second column decides within an instant",
    step(
        [(1, "b", at(10), 2), (1, "a", at(10), 1), (1, "c", at(20), 1)],
        [(1, "b", 2, 10, 20), (1, "c", 1, 20, OPEN)],
        new=1,
        changed=1,
        duplicates=1,
    ),
)
FACTS = feed("facts", "fact_incremental_merge", "incremental")
FACTS.case(
    "14 18 facts are the latest of their events",
    step([*events([(A, 10)], 1), *events([(B, 10)], 1, key=2)], [(1, A), (2, B)], new=2),
    step(
        [*events([(C, 20)], 2), *events([(X, 5)], 2, key=2), *events([(A, 5), (B, 6)], 2, key=3)],
        [(1, C), (2, B), (3, B)],
        new=1,
        changed=1,
        unchanged=1,
        duplicates=3,
    ),
)
LOST = replace(feed("lost", "scd2", "incremental", *VERSION, "is_deleted"), grows=False)
LOST.case(
    "what the source lost stays",
    step(events([(A, 10), (B, 20), (C, 30)], 1)),
    step(
        events([(X, 25), (C, 30)], 2),
        [(1, A, 10, 20, False), (1, B, 20, 25, False), (1, X, 25, 30, False), (1, C, 30, OPEN, False)],
    ),
)
LOST.case(
    "what the source lost stays deleted",
    step(events([(A, 10), (D, 20)], 1)),
    step(events([(X, 15)], 2), [(1, A, 10, 15, False), (1, X, 15, 20, True)]),
)
CONFLICTS = {p: feed(f"conflicts {p}", p, "full", on_conflict="latest") for p in ("scd1", "scd2")}
for group in CONFLICTS.values():
    for name, batch in (("one order", [(A, 20), (B, 20)]), ("the other order", [(B, 20), (A, 20)])):
        group.case(f"16 {name}", step(events(batch, 1), new=1, duplicates=1))

Y, Z = "y", "z"
Pair = tuple[str | None, str | None, int]  # a, b, sequence


def pairs(batch: list[Pair], arrived: int) -> list[tuple[Any, ...]]:
    """Rows of the source for a batch of changes of one key; of a delete it has the key alone."""
    return [
        (1, *((None, None) if a == GONE else (a, b)), a == GONE, at(sequence), T(arrived)) for a, b, sequence in batch
    ]


PAIRS = "id bigint, a string, b string, gone boolean, seq timestamp, arrived timestamp"
KEPT_VALUES = replace(feed("kept values", "scd2", "full", ignore_null_updates=True), columns=PAIRS)
KEEPING = [
    replace(
        KEPT_VALUES, name=f"kept values {load_type}", load_type=load_type, shows=("id", "a", "b", *VERSION), cases=[]
    )
    for load_type in BOTH
]
for group in KEEPING:
    group.case(
        "a null keeps the value before it",
        step(pairs([(A, X, 10)], 1), [(1, A, X, 10, OPEN)]),
        step(pairs([(None, Y, 20), (None, None, 30)], 2), [(1, A, X, 10, 20), (1, A, Y, 20, OPEN)]),
    )
    group.case(
        "a late value is kept by the nulls after it",
        step(pairs([(A, X, 10), (None, Y, 30)], 1)),
        step(pairs([(B, None, 20)], 2), [(1, A, X, 10, 20), (1, B, X, 20, 30), (1, B, Y, 30, OPEN)]),
    )
    group.case(
        "a key that returns starts anew",
        step(pairs([(A, X, 10), (D, None, 20)], 1), [(1, A, X, 10, 20)]),
        step(pairs([(None, Y, 30)], 2), [(1, A, X, 10, 20), (1, None, Y, 30, OPEN)]),
    )
KEEPING_LOST = replace(KEEPING[1], name="kept values lost", grows=False, cases=[])
KEEPING_LOST.case(
    "the stored value is kept when the source has lost its row",
    step(pairs([(A, X, 10)], 1)),
    step(pairs([(None, Y, 20)], 2), [(1, A, X, 10, 20), (1, A, Y, 20, OPEN)]),
)
KEEPING_ONE = {
    mode: replace(
        feed(f"kept values {mode}", "scd1", "incremental", "b", ignore_null_updates=True, delete_mode=mode),
        columns=PAIRS,
    )
    for mode in ("soft", "hard")
}
for mode, comes_back in (("soft", A), ("hard", None)):
    KEEPING_ONE[mode].config["surrogate"] = ["sk"]
    KEEPING_ONE[mode].case(
        f"a {mode} delete and a return",
        step(pairs([(A, X, 10), (None, Y, 20)], 1), [(1, A, Y)]),
        step(pairs([(D, None, 30)], 2)),
        step(pairs([(None, Z, 40)], 3), [(1, comes_back, Z)]),
    )

GROUPS = (
    *HISTORIES,
    *KEEPING,
    KEEPING_LOST,
    *KEEPING_ONE.values(),
    *LATEST.values(),
    *COUNTED,
    TYPE_1,
    *MODES.values(),
    EARLY,
    TWO_COLUMNS,
    FACTS,
    LOST,
    *CONFLICTS.values(),
)


@every_case(*GROUPS)
def test_events(played: Play, group: Group, case: Case) -> None:
    played(group).check(case)


@every_count(*GROUPS)
def test_126_the_counts_of_a_group_are_those_of_its_cases(played: Play, group: Group) -> None:
    check_counts(played(group))


def test_the_surrogate_key_of_type_1_is_the_md5_of_the_natural_one(played: Play) -> None:
    rows = played(KEEPING_ONE["soft"]).tables[-1]
    texts = [f'{{"case_no":{row["case_no"]},"id":{row["id"]}}}' for row in rows]
    assert [row["sk"] for row in rows] == [hashlib.md5(text.encode()).hexdigest() for text in texts]


@pytest.mark.parametrize("pipeline", CONFLICTS)
def test_16_latest_has_one_winner_whatever_the_order(played: Play, pipeline: str) -> None:
    group = CONFLICTS[pipeline]
    winners = [played(group).rows(case, 0) for case in group.cases]
    assert winners[0] == winners[1]
    assert len(winners[0]) == 1


def test_94_an_empty_batch_changes_nothing(warehouse: Warehouse) -> None:
    feed = Feed(warehouse=warehouse)
    first = feed.load((1, A, 10))
    row = feed.load()
    assert (row["rows_inserted"], row["watermark_to"]) == (0, first["watermark_to"])


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_16_conflicts_are_refused(warehouse: Warehouse, pipeline: str) -> None:
    feed = Feed(warehouse=warehouse, pipeline=pipeline)
    feed.bring((1, A, 10), (1, B, 10))
    warehouse.refuses(pipeline, GuardError, "same sequence and different values", **EVENTS)


def test_a_sequence_of_numbers_is_for_type_1(warehouse: Warehouse) -> None:
    config: dict[str, Any] = {"source_mode": "events", "sequence_by": "seq", "apply_as_deletes": "gone"}
    warehouse.source("id bigint, a string, gone boolean, seq bigint", (1, "b", False, 2), (1, "a", False, 1))
    warehouse.refuses("scd2", SourceError, "needs a timestamp or date first", **config)
    warehouse.load("scd1", **config)
    warehouse.source("id bigint, a string, gone boolean, seq bigint", (1, "b", False, 2), (1, None, True, 3))
    assert warehouse.load("scd1", **config)["deleted"] == 1
    assert warehouse.rows("id", "a", "is_deleted", "deleted_at") == [(1, "b", True, "R4")]


def test_what_events_cannot_be(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "a"))
    warehouse.refuses("scd2", SourceError, "needs an order of its rows", source_mode="events")
    warehouse.refuses("scd2", LoadError, "no place", source_mode="events", on_null_sequence="include")
    warehouse.refuses("fact_incremental_merge", LoadError, "batched", source_mode="events", insert_only=True)
    warehouse.source(COLUMNS, (1, "a", False, None, T(1)))
    warehouse.refuses("scd2", GuardError, "1 rows without a sequence", **EVENTS)
    warehouse.source(COLUMNS, (None, "a", False, at(1), T(1)))
    warehouse.refuses("scd2", GuardError, "id: 1 null", **EVENTS)
