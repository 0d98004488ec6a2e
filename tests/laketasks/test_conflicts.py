"""Somebody else writes to the target, or to the source, while a load is under way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from pyspark.errors import PySparkException

from laketasks import merge
from laketasks.entry import load_table
from laketasks.error import ConflictError
from laketasks.merge import is_conflict
from tests.laketasks.feed import EVENTS, Feed
from tests.laketasks.warehouse import OPEN, T, Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SEQ = "id bigint, a string, seq timestamp"
FIRST = [(1, "a", T(1)), (2, "b", T(1)), (3, "c", T(1))]
OLD = [(1, "old", T(2)), (2, "b", T(1)), (3, "c", T(1)), (4, "d", T(2))]
NEW = [(1, "new", T(3)), (2, "e", T(3)), (3, "c", T(1)), (4, "d", T(2)), (5, "f", T(3))]
STATES = ("scd1", "scd2", "fact_overwrite", "fact_incremental_merge")
_PATIENCE = 120  # seconds


def config(pipeline: str) -> dict[str, Any]:
    return {} if pipeline == "fact_overwrite" else {"sequence_by": "seq"}


def before(monkeypatch: pytest.MonkeyPatch, step: str, happens: Callable[[], object], times: int = 1) -> None:
    """Let something happen before a step of `laketasks.merge`, so many times; not before the steps of what happens."""
    own = getattr(merge, step)
    left = [happens] * times
    inside: list[bool] = []

    def late(*arguments: Any, **named: Any) -> Any:
        if left and not inside:
            inside.append(True)
            left.pop()()
            inside.clear()
        return own(*arguments, **named)

    monkeypatch.setattr(merge, step, late)


@pytest.mark.parametrize("pipeline", STATES)
def test_the_same_load_lands_between_plan_and_write(
    warehouse: Warehouse, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.source(SEQ, *FIRST)
    warehouse.load(pipeline, **config(pipeline))
    warehouse.source(SEQ, *OLD)
    before(monkeypatch, "write", lambda: load_table(warehouse.parameters(pipeline, **config(pipeline))))
    load_table(warehouse.parameters(pipeline, **config(pipeline)))
    warehouse.load(pipeline, **config(pipeline))
    if pipeline == "scd2":
        assert warehouse.history("a") == [
            (1, "a", "T1", "T2", "N"),
            (1, "old", "T2", OPEN, "Y"),
            (2, "b", "T1", OPEN, "Y"),
            (3, "c", "T1", OPEN, "Y"),
            (4, "d", "T2", OPEN, "Y"),
        ]
    else:
        assert warehouse.rows("id", "a") == [row[:2] for row in OLD]


def test_the_same_load_without_a_sequence_lands_between_plan_and_write(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of the two runs would begin the new version at its own start."""
    columns = "id bigint, a string"
    warehouse.source(columns, (1, "a"))
    warehouse.load("scd2")
    warehouse.source(columns, (1, "b"))
    before(monkeypatch, "write", lambda: load_table(warehouse.parameters("scd2")))
    load_table(warehouse.parameters("scd2"))
    assert [row[:2] for row in warehouse.history("a") if row[-1] == "Y"] == [(1, "b")]
    warehouse.load("scd2")
    assert len(warehouse.history("a")) == 2


@pytest.mark.parametrize(
    "pipeline",
    [
        "scd1",
        "scd2",
        "fact_overwrite",
        "fact_incremental_merge",
    ],
)
def test_a_load_of_a_newer_source_lands_between_plan_and_write(
    warehouse: Warehouse, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.source(SEQ, *FIRST)
    warehouse.load(pipeline, **config(pipeline))
    warehouse.source(SEQ, *OLD)

    def newer() -> None:
        warehouse.source(SEQ, *NEW)
        load_table(warehouse.parameters(pipeline, **config(pipeline)))

    before(monkeypatch, "write", newer)
    load_table(warehouse.parameters(pipeline, **config(pipeline)))
    if pipeline == "scd2":
        assert warehouse.history("a") == [
            (1, "a", "T1", "T3", "N"),
            (1, "new", "T3", OPEN, "Y"),
            (2, "b", "T1", "T3", "N"),
            (2, "e", "T3", OPEN, "Y"),
            (3, "c", "T1", OPEN, "Y"),
            (4, "d", "T2", OPEN, "Y"),
            (5, "f", "T3", OPEN, "Y"),
        ]
    else:
        assert warehouse.rows("id", "a") == [row[:2] for row in NEW]


def test_events_that_came_later_land_between_plan_and_write(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(warehouse)
    feed.load((1, "a", 10))
    feed.bring((1, "b", 20))
    row = {"load_type": "incremental", **EVENTS}

    def newer() -> None:
        feed.bring((1, "c", 15))
        load_table(warehouse.parameters("scd2", **row))

    before(monkeypatch, "write", newer)
    load_table(warehouse.parameters("scd2", **row))
    assert feed.versions() == [(1, "a", 10, 15), (1, "c", 15, 20), (1, "b", 20, OPEN)]


@pytest.mark.parametrize("pipeline", ["scd2", "fact_overwrite"])
def test_a_source_that_never_stands_still(
    warehouse: Warehouse, pipeline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQL is read as it is, so what is staged may not be what was counted; nothing of that is written."""
    warehouse.source(SEQ, *FIRST)
    sql = tmp_path / "source.sql"
    sql.write_text(f"SELECT * FROM {{bronze_catalog}}.{warehouse.bronze[1]}.source")
    row = {"sql_file_path": str(sql), **config(pipeline)}
    warehouse.load(pipeline, **row)
    expected = warehouse.everything()
    rows = [*FIRST, (4, "d", T(2))]
    warehouse.source(SEQ, *rows)

    def moves() -> None:
        rows.append((len(rows) + 1, "more", T(2)))
        warehouse.source(SEQ, *rows)

    before(monkeypatch, "held", moves, times=5)
    commits = warehouse.commits()
    with pytest.raises(ConflictError, match="changed during each of 5 plans; nothing of this load was written"):
        load_table(warehouse.parameters(pipeline, **row))
    assert warehouse.everything() == expected
    assert warehouse.commits() == commits
    assert warehouse.leftovers() == []
    assert (warehouse.last_row()["status"], warehouse.last_row()["error_class"]) == ("FAILED", "ConflictError")
    warehouse.load(pipeline, **row)
    assert warehouse.rows("id", "a") == [found[:2] for found in rows]


def rewrites(spark: SparkSession, warehouse: Warehouse, also: str = "") -> bool:
    """Rewrite the target's row of key 3; whether it went through, and was not second to another writer."""
    statement = (
        f"MERGE INTO {warehouse.target} t USING (SELECT 3L AS id) s ON t.id = s.id "
        f"WHEN MATCHED THEN UPDATE SET _job_run_id = 'somebody else'{also}"
    )
    try:
        spark.sql(statement).collect()
    except PySparkException as error:
        if not is_conflict(error):
            raise
        return False
    return True


@contextmanager
def a_writer(warehouse: Warehouse) -> Iterator[list[int]]:
    """Somebody who rewrites the target's row of key 3 again and again; a list with one entry for each commit."""
    from pyspark.sql import SparkSession

    commits: list[int] = []
    end = threading.Event()
    session = SparkSession.builder.getOrCreate()

    def write() -> None:
        while not end.is_set():
            if rewrites(session, warehouse):
                commits.append(1)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield commits
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("pipeline", ["scd2", "fact_overwrite"])
def test_somebody_who_always_writes_to_the_target(
    warehouse: Warehouse, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each load ends well or says that it wrote nothing, and is right about it.

    Before the write of the first load the row also gets another _updated_at, by which a load notices for sure.
    """
    conflicts: list[str] = []

    def noticed(error: BaseException) -> bool:
        found = is_conflict(error)
        if found and threading.current_thread() is threading.main_thread():
            conflicts.append(str(error))
        return found

    monkeypatch.setattr(merge, "is_conflict", noticed)
    rows = list(FIRST)
    warehouse.source(SEQ, *rows)
    warehouse.load(pipeline, **config(pipeline))
    with a_writer(warehouse) as commits:

        def newer() -> None:
            end = time.monotonic() + _PATIENCE
            while not rewrites(warehouse.spark, warehouse, ", _updated_at = current_timestamp()"):
                assert time.monotonic() < end, f"no commit in {_PATIENCE} s, because somebody else was always first"

        before(monkeypatch, "write", newer)
        for turn in range(2, 5):
            stored = warehouse.rows("id", "a")
            rows = [(1, f"turn {turn}", T(turn)), *rows[1:], (turn + 10, "more", T(turn))]
            warehouse.source(SEQ, *rows)
            try:
                load_table(warehouse.parameters(pipeline, **config(pipeline)))
            except ConflictError:
                assert warehouse.rows("id", "a") == stored
                assert warehouse.last_row()["status"] == "FAILED"
            else:
                assert {*warehouse.rows("id", "a")} >= {row[:2] for row in rows}
            assert warehouse.leftovers() == []
        assert commits
    print(f"{len(commits)} commits of somebody else, {len(conflicts)} conflicts")
    assert conflicts
    warehouse.load(pipeline, **config(pipeline))
    if pipeline != "scd2":
        assert warehouse.rows("id", "a") == [row[:2] for row in sorted(rows)]


def test_68_an_older_snapshot_changes_nothing(warehouse: Warehouse) -> None:
    """Rows that go back in their order are stale, whoever brings them."""
    snapshot = {"source_mode": "snapshot", "on_missing": "close", "sequence_by": "seq"}
    for rows in (FIRST, [(1, "old", T(2)), (2, "b", T(1)), (3, "e", T(4))]):
        warehouse.source(SEQ, *rows)
        warehouse.load("scd2", **snapshot)
    expected = warehouse.history("a")
    warehouse.source(SEQ, *FIRST)
    row = warehouse.load("scd2", **snapshot)
    assert warehouse.history("a") == expected
    assert (row["stale"], row["unchanged"], row["rows_inserted"], row["rows_updated"]) == (2, 1, 0, 0)
