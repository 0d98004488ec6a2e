"""scd2 beside dbt's snapshots."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.laketasks.warehouse import Warehouse
from tests.oracles.histories import StateHistories, run_start
from tests.oracles.loading import load_snapshots, load_with_tombstones
from tests.oracles.version import assert_equal, merged, ours, returns_of_old_rows

if TYPE_CHECKING:
    from tests.oracles.dbt_snapshot import DbtSnapshots

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def dbt(histories: StateHistories, tmp_path_factory: pytest.TempPathFactory) -> DbtSnapshots:
    from tests.oracles.dbt_snapshot import DbtSnapshots

    made = DbtSnapshots(tmp_path_factory.mktemp("dbt"))
    for step, rows in enumerate(histories.steps):
        made.step(run_start(step), rows)
    return made


def test_check(warehouse: Warehouse, histories: StateHistories, dbt: DbtSnapshots, say: Callable[[str], None]) -> None:
    load_snapshots(warehouse, histories, except_column_list=["updated_at"])
    say(histories.summary())
    say(f"{assert_equal(ours(warehouse), dbt.versions('checked'), histories.story)} versions")


def test_check_of_rows_that_say_that_they_are_deleted(
    warehouse: Warehouse, histories: StateHistories, dbt: DbtSnapshots, say: Callable[[str], None]
) -> None:
    load_with_tombstones(warehouse, histories, except_column_list=["updated_at", "gone"])
    say(f"{assert_equal(ours(warehouse), dbt.versions('checked'), histories.story)} versions")


def test_new_record(
    warehouse: Warehouse, histories: StateHistories, dbt: DbtSnapshots, say: Callable[[str], None]
) -> None:
    """Ours marks the version that a delete ended, too; dbt only the record of the delete."""
    load_with_tombstones(warehouse, histories, except_column_list=["updated_at", "gone"], delete_mode="new_record")
    found = ours(warehouse, deleted="is_deleted AND deleted_at = valid_from")
    theirs = dbt.versions("recorded", deleted="dbt_is_deleted = 'True'")
    say(f"{assert_equal(found, theirs, histories.story)} versions")


def test_timestamp(
    warehouse: Warehouse, histories: StateHistories, dbt: DbtSnapshots, say: Callable[[str], None]
) -> None:
    load_snapshots(warehouse, histories, sequence_by="updated_at")
    stored, stamped = ours(warehouse), dbt.versions("stamped")
    returns = returns_of_old_rows(stored)
    found = [version._replace(start=stored[version]) if version in returns else version for version in stored]
    theirs = merged(stamped)
    late = histories.touched_then_late()
    found, theirs = ([version for version in versions if version.key not in late] for versions in (found, theirs))
    say(
        f"{assert_equal(found, theirs, histories.story)} versions; {len(returns)} returns of an old row, "
        f"{len(stamped) - len(theirs)} touches, {len(late)} keys late after one"
    )
