"""Fivetran's history tables by the cases; the numbers are those of the list of cases.

A row is (id, value, start, end, active); its end is inclusive, a millisecond before the next start, ∞ where it is open.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

from laketasks.error import GuardError, LoadError, SourceError
from tests.laketasks.cases import Case, Group, Played, check_counts, every_case, every_count, step
from tests.laketasks.warehouse import OPEN, T, Warehouse

Play = Callable[[Group], Played]

COLUMNS = (
    "id bigint, a string, _fivetran_start timestamp, _fivetran_end timestamp, _fivetran_active boolean, "
    "_fivetran_synced timestamp"
)
FOREVER = datetime(9999, 12, 31, 23, 59, 59, 999000, tzinfo=timezone.utc)
HISTORY = {"source_mode": "fivetran_history"}


def row(key: int, value: str, start: float, end: float | None, synced: float = 1) -> tuple[Any, ...]:
    until = FOREVER if end is None else T(end) - timedelta(milliseconds=1)
    return (key, value, T(start), until, end is None, T(synced))


VERSION = ("id", "a", "is_deleted", "valid_from", "valid_to", "is_current")
HISTORIES = {
    mode: Group(f"history {mode}", "scd2", COLUMNS, VERSION, HISTORY | {"delete_mode": mode})
    for mode in ("soft", "ignore", "new_record")
}
HISTORIES["soft"].case(
    "97 ends become exclusive",
    step(
        [row(1, "a", 1, 2), row(1, "b", 2, None)],
        [(1, "a", False, "T1", "T2", "N"), (1, "b", False, "T2", OPEN, "Y")],
        new=1,
        changed=1,
    ),
)
HISTORIES["soft"].case(
    "99 gaps stay",
    step(
        [row(1, "a", 1, 2), row(1, "b", 3, None)],
        [(1, "a", True, "T1", "T2", "N"), (1, "b", False, "T3", OPEN, "Y")],
        new=1,
        changed=1,
    ),
)
HISTORIES["soft"].case(
    "an end without a successor is a delete",
    step([row(1, "a", 1, None)], [(1, "a", False, "T1", OPEN, "Y")], new=1),
    step([row(1, "a", 1, 4)], [(1, "a", True, "T1", "T4", "N")], deleted=1),
    step(
        [row(1, "a", 1, 4), row(1, "c", 6, None)],
        [(1, "a", True, "T1", "T4", "N"), (1, "c", False, "T6", OPEN, "Y")],
        unchanged=1,
        changed=1,
    ),
)
HISTORIES["soft"].case(
    "101 a rewritten past leaves no orphan",
    step(
        [row(1, "a", 1, 4), row(1, "b", 4, 6), row(1, "c", 6, None)],
        [(1, "a", False, "T1", "T4", "N"), (1, "b", False, "T4", "T6", "N"), (1, "c", False, "T6", OPEN, "Y")],
        new=1,
        changed=2,
    ),
    step(
        [row(1, "a", 1, 2), row(1, "x", 2, 5), row(1, "c", 5, None)],
        [(1, "a", False, "T1", "T2", "N"), (1, "x", False, "T2", "T5", "N"), (1, "c", False, "T5", OPEN, "Y")],
        unchanged=1,
        changed=2,
    ),
)
HISTORIES["ignore"].case(
    "an end without a successor is ignored", step([row(1, "a", 1, 2)], [(1, "a", False, "T1", OPEN, "Y")], new=1)
)
HISTORIES["new_record"].case(
    "an end without a successor is recorded",
    step([row(1, "a", 1, 2)], [(1, "a", True, "T1", "T2", "N"), (1, "a", True, "T2", OPEN, "Y")], new=1),
)

LATEST = Group("latest", "scd1", COLUMNS, ("id", "a", "is_deleted", "deleted_at"), HISTORY)
LATEST.case(
    "the latest of a history",
    step(
        [row(1, "a", 1, 2), row(1, "b", 2, None), row(2, "c", 1, None)],
        [(1, "b", False, None), (2, "c", False, None)],
        new=2,
        duplicates=1,
    ),
    step(
        [row(1, "a", 1, 2), row(1, "b", 2, None), row(2, "c", 1, 3)],
        [(1, "b", False, None), (2, "c", True, "T3")],
        deleted=1,
        unchanged=1,
        duplicates=1,
    ),
)

NO_KEY = Group(
    "a table without a key of its own",
    "scd1",
    "_fivetran_id string, a string, _fivetran_deleted boolean, _fivetran_synced timestamp",
    ("_fivetran_id", "a"),
    {"delete_mode": "hard"},
    keys=("_fivetran_id",),
)
NO_KEY.case(
    "103 an update is an insert and a delete",
    step([("h1", "a", False, T(1))], [("h1", "a")], new=1),
    step([("h1", "a", True, T(2)), ("h2", "b", False, T(2))], [("h2", "b")], new=1, deleted=1),
)

GROUPS = (*HISTORIES.values(), LATEST, NO_KEY)


@every_case(*GROUPS)
def test_fivetran_history(played: Play, group: Group, case: Case) -> None:
    played(group).check(case)


@every_count(*GROUPS)
def test_126_the_counts_of_a_group_are_those_of_its_cases(played: Play, group: Group) -> None:
    check_counts(played(group))


def load(warehouse: Warehouse, *rows: tuple[Any, ...], pipeline: str = "scd2", **config: Any) -> dict[str, Any]:
    warehouse.source(COLUMNS, *rows)
    return warehouse.load(pipeline, **(HISTORY | config))


def test_102_a_resync_under_way_is_stopped(warehouse: Warehouse) -> None:
    before = [row(key, "a", 1, None) for key in range(100)]
    load(warehouse, *before)
    warehouse.source(COLUMNS, *(row(key, "a", 1, 3 if key < 60 else None) for key in range(100)))
    warehouse.refuses("scd2", GuardError, "60 of 100 current rows would be deleted or closed", **HISTORY)
    assert load(warehouse, *before)["unchanged"] == 100


def test_what_a_history_cannot_be(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, row(1, "a", 1, None))
    warehouse.refuses("scd2", LoadError, "misses rows that ended", load_type="incremental", **HISTORY)
    warehouse.refuses("scd2", SourceError, "ordered by _fivetran_start", sequence_by="_fivetran_synced", **HISTORY)
    warehouse.source("id bigint, a string, _fivetran_start timestamp", (1, "a", T(1)))
    warehouse.refuses("scd2", SourceError, "needs _fivetran_end, _fivetran_active", **HISTORY)
