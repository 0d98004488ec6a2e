"""scd2 beside SQLMesh's SCD type 2."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.laketasks.warehouse import Warehouse
from tests.oracles.histories import State, StateHistories, run_start
from tests.oracles.loading import load_snapshots
from tests.oracles.version import Version, assert_equal, merged, ours, returns_of_old_rows

if TYPE_CHECKING:
    from tests.oracles.sqlmesh_scd2 import SqlMeshTables

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sqlmesh(histories: StateHistories) -> SqlMeshTables:
    from tests.oracles.sqlmesh_scd2 import SqlMeshTables

    made = SqlMeshTables()
    for step, rows in enumerate(histories.steps):
        made.step(run_start(step), rows)
    return made


def test_by_column(
    warehouse: Warehouse, histories: StateHistories, sqlmesh: SqlMeshTables, say: Callable[[str], None]
) -> None:
    load_snapshots(warehouse, histories, except_column_list=["updated_at"])
    stored = ours(warehouse)
    filled = filled_by_the_next(stored)
    compared = assert_equal(filled, sqlmesh.by_column(), histories.story)
    say(f"{compared} versions; {len({*filled} - {*stored})} with NULLs that theirs fills")


def test_by_time(
    warehouse: Warehouse, histories: StateHistories, sqlmesh: SqlMeshTables, say: Callable[[str], None]
) -> None:
    load_snapshots(warehouse, histories, sequence_by="updated_at")
    stored, stamped = ours(warehouse), sqlmesh.by_time()
    returns = returns_of_old_rows(stored)
    found = [version._replace(start=returns.get(version, version.start)) for version in stored]
    began = began_with(stamped, histories)
    theirs = merged(began, touch=lambda version: version.start == began[version])
    late = histories.touched_then_late()
    found, theirs = ([version for version in versions if version.key not in late] for versions in (found, theirs))
    say(
        f"{assert_equal(found, theirs, histories.story)} versions; {len(returns)} returns of an old row, "
        f"{len(stamped) - len(theirs)} touches, {len(late)} keys late after one, "
        f"{len({*stamped} - {*began})} versions with NULLs that theirs fills"
    )


def filled_by_the_next(versions: Iterable[Version]) -> list[Version]:
    """As SQLMesh closes a version: where it has NULL and the next, which begins at once, has a value, that value.

    Its closing row is coalesce(stored, arrived), column by column (TobikoData/sqlmesh#5332, #5757).
    """
    versions = [*versions]
    next_ones = {(*version.key, version.start): version for version in versions}
    made = []
    for version in versions:
        then = next_ones.get((*version.key, version.end), version)
        pairs = zip(version.values, then.values, strict=True)
        a, b, c = (value if value is not None else other for value, other in pairs)
        made.append(version._replace(a=a, b=b, c=c))
    return made


def began_with(stamped: dict[Version, datetime], histories: StateHistories) -> dict[Version, datetime]:
    """Versions with the NULLs that they began with; any row of the key that came later may have filled them.

    Rows older than the stored one fill it, too, though they are not applied: a state that never was.
    """
    states: dict[tuple[int, int], dict[datetime, State]] = {}
    for rows in histories.steps:
        for row in rows:
            states.setdefault((row.history, row.id), {})[row.updated_at] = row
    made = {}
    for version, updated_at in stamped.items():
        mine = states[version.key]
        for i, (now, then) in enumerate(zip(version.values, mine[updated_at].values, strict=True)):
            assert now == then or (then is None and now in {state.values[i] for state in mine.values()}), version
        a, b, c = mine[updated_at].values
        made[version._replace(a=a, b=b, c=c)] = updated_at
    return made
