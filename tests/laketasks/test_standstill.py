"""A load whose row, source and table are what its last success left reads nothing."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from laketasks.commits import Commit, changes_since
from laketasks.entry import load_table
from laketasks.identity import metadata_hash
from laketasks.spec import CdcSourceConfig, LoadSpec
from laketasks.standstill import varies, version_left
from tests.laketasks.warehouse import T, Warehouse


def log(*operations: str, first: int = 0) -> tuple[Commit, ...]:
    """Commits, newest first, of which the oldest has this version."""
    commits = [Commit(version=first + n, operation=name, at=n) for n, name in enumerate(operations)]
    return tuple(reversed(commits))


def test_what_moves_files_changes_no_rows() -> None:
    assert changes_since(log("WRITE", "OPTIMIZE", "VACUUM START", "VACUUM END", "CLUSTER BY"), 0) == 0
    assert changes_since(log("WRITE", "MERGE", "OPTIMIZE", "DELETE"), 0) == 2
    assert changes_since(log("WRITE", "SOMETHING NEW"), 0) == 1


def test_a_log_that_does_not_reach_back_tells_nothing() -> None:
    assert changes_since(log("OPTIMIZE", "OPTIMIZE", first=7), 6) == 0
    assert changes_since(log("OPTIMIZE", "OPTIMIZE", first=7), 5) is None
    assert changes_since(log("WRITE"), 4) is None  # another table of that name, younger
    assert changes_since((), 0) is None


def test_the_version_that_a_load_left_is_known_when_nobody_else_wrote() -> None:
    before = log("CREATE TABLE", "WRITE")
    assert version_left((), log("CREATE TABLE", "WRITE"), own=2) == 1
    assert version_left(before, log("CREATE TABLE", "WRITE", "MERGE", "OPTIMIZE"), own=1) == 3
    assert version_left(before, log("CREATE TABLE", "WRITE", "MERGE", "MERGE"), own=1) is None
    assert version_left(before, before, own=0) == 1
    assert version_left(before, log("CREATE TABLE", "WRITE", "DELETE"), own=0) is None


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("a = 1 AND NOT (b = 2 OR (c IN ('x', 'y')))", False),
        ("a IN(1, 2)", False),
        ("op = 'D'", False),
        ("a > current_date", True),
        ("a > now()", True),
        ("a > DATE'today'", True),
        ("main.s.f(a)", True),
        ("`f` (a)", True),
        ("rand() < 0.5", True),
    ],
)
def test_a_condition_that_may_depend_on_the_day_is_read_each_time(condition: str, expected: bool) -> None:
    assert varies(CdcSourceConfig(where=condition)) is expected
    assert varies(CdcSourceConfig(apply_as_deletes=condition)) is expected
    assert varies(CdcSourceConfig(replace_where=condition)) is expected


def test_expectations_speak_each_time() -> None:
    assert varies(CdcSourceConfig(expectations={"expect": {"priced": "price > 0"}}))


def test_a_row_is_another_row_with_another_key() -> None:
    one = LoadSpec(execution_pipeline="scd1", target_table="a.b.c", business_key_columns=("id",))
    two = LoadSpec(execution_pipeline="scd1", target_table="a.b.c", business_key_columns=("id", "day"))
    assert metadata_hash(one) == metadata_hash(one) != metadata_hash(two)


COLUMNS = "id bigint, a string, updated timestamp"
ROWS = [(1, "a", T(1)), (2, "b", T(1))]


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"])
def test_nothing_is_read_when_nothing_has_changed(
    warehouse: Warehouse, pipeline: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config: dict[str, Any] = {} if pipeline == "fact_overwrite" else {"sequence_by": ["updated"]}
    warehouse.source(COLUMNS, *ROWS)
    first = warehouse.load(pipeline, twice=False, **config)
    rows, commits, files = warehouse.everything(), warehouse.commits(), warehouse.files()
    capsys.readouterr()
    again = warehouse.load(pipeline, twice=False, **config)
    said = "version 0 of the source and version 1 of the table have the rows of the last load; nothing to read"
    assert said in capsys.readouterr().out
    assert again["read"] == 0
    assert (warehouse.everything(), warehouse.commits(), warehouse.files()) == (rows, commits, files)
    assert [again[name] for name in ("watermark_to", "identity", "target_state", "keys", "history", "row_hash")] == [
        first[name] for name in ("watermark_to", "identity", "target_state", "keys", "history", "row_hash")
    ]
    warehouse.source(COLUMNS, ROWS[0], (2, "c", T(2)))
    assert warehouse.load(pipeline, twice=False, **config)["read"] == 2
    assert (2, "c") in warehouse.rows("id", "a")


def test_whoever_asks_makes_it_look(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, *ROWS)
    loads: list[tuple[int, dict[str, str], dict[str, Any]]] = [
        (2, {}, {}),
        (0, {}, {}),
        (0, {"full_refresh": "another_table"}, {}),
        (2, {"full_refresh": "target"}, {}),
        (2, {"override_guards": "all"}, {}),
        (2, {"reload_from": "2020-01-01"}, {}),
        (0, {}, {}),
        (2, {}, {"where": "id > 0"}),
        (0, {}, {"where": "id > 0"}),
    ]
    for expected, context, config in loads:
        assert warehouse.load("scd1", twice=False, context=context, **config)["read"] == expected, (context, config)


def test_a_table_that_somebody_changed_is_compared_again(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, *ROWS)
    warehouse.load("scd1", twice=False)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id = 2").collect()
    assert warehouse.load("scd1", twice=False)["new"] == 1
    assert warehouse.load("scd1", twice=False)["read"] == 0
    warehouse.source(COLUMNS, *ROWS)  # the same rows once more: another version all the same
    assert warehouse.load("scd1", twice=False)["unchanged"] == 2


def test_a_source_that_was_made_anew_is_another_table(warehouse: Warehouse) -> None:
    """Its log begins again, so that its version may be the one that was read."""
    warehouse.source(COLUMNS, *ROWS)
    warehouse.load("scd1", twice=False)
    warehouse.spark.sql(f"DROP TABLE {warehouse.bronze_table('source')}").collect()
    shutil.rmtree(warehouse.workspace.joinpath(*warehouse.bronze, "source"), ignore_errors=True)
    warehouse.source(COLUMNS, ROWS[0], (2, "c", T(2)))
    assert warehouse.load("scd1", twice=False)["changed"] == 1


def test_a_table_that_was_made_anew_is_another_table(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, *ROWS)
    warehouse.load("scd1", twice=False)
    warehouse.spark.sql(f"DROP TABLE {warehouse.target}").collect()
    shutil.rmtree(warehouse.target_folder, ignore_errors=True)
    load_table(warehouse.parameters("scd1"))
    assert warehouse.last_row()["new"] == 2
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "b")]


def test_a_dry_run_says_so_too(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    warehouse.source(COLUMNS, *ROWS)
    warehouse.load("scd2", twice=False)
    capsys.readouterr()
    load_table({**warehouse.parameters("scd2"), "dry_run": "true"})
    assert "nothing to read" in capsys.readouterr().out
