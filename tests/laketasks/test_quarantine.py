"""The way back from quarantine: what waits, and what a release takes in again, each row once and in order."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from laketasks.__main__ import main
from laketasks.entry import load_table, release_table
from laketasks.error import TargetError
from laketasks.quarantine import waiting_by_table
from laketasks.run_log import last_success
from tests.laketasks.warehouse import OPEN, T, Warehouse

COLUMNS = "id bigint, a int, u timestamp"
STRICT = {"expectations": {"expect_or_quarantine": {"small": "a < 10"}}}
LOOSE = {"expectations": {"expect_or_quarantine": {"small": "a < 100"}}}
ORDER = {"sequence_by": ["u"]}
MERGING = ("scd1", "scd2", "fact_incremental_merge")


def release(warehouse: Warehouse, pipeline: str, **row: Any) -> dict[str, int]:
    """Release, see that a second release changes nothing, and return how many rows were settled in which way."""
    waited = waiting(warehouse)
    release_table(warehouse.parameters(pipeline, **row))
    assert not warehouse.leftovers()
    found, commits, left = warehouse.everything(), warehouse.commits(), waiting(warehouse)
    release_table(warehouse.parameters(pipeline, **row))
    assert (warehouse.everything(), warehouse.commits()) == (found, commits)
    assert waiting(warehouse) == left
    assert set(left) <= set(waited)
    return settled(warehouse)


def quarantine(warehouse: Warehouse) -> list[dict[str, Any]]:
    rows = warehouse.spark.table(f"{warehouse.target}_quarantine").collect()
    return sorted((row.asDict() for row in rows), key=lambda row: str((row["id"], row["a"], row["_released_at"])))


def waiting(warehouse: Warehouse) -> list[tuple[int, int]]:
    return [(row["id"], row["a"]) for row in quarantine(warehouse) if row["_released_at"] is None]


def settled(warehouse: Warehouse) -> dict[str, int]:
    told = [row["_released_as"] for row in quarantine(warehouse) if row["_released_at"] is not None]
    return {name: told.count(name) for name in sorted(set(told))}


@pytest.mark.parametrize("load_type", ["full", "incremental"])
@pytest.mark.parametrize("pipeline", MERGING)
def test_rows_that_a_changed_rule_allows_come_in_once_and_in_order(
    warehouse: Warehouse, pipeline: str, load_type: str
) -> None:
    row = {"load_type": load_type, **ORDER}
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)), (3, 30, T(1)), (4, 400, T(1)))
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 21, T(2)), (3, 3, T(2)), (4, 400, T(1)))
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (3, 3, T(2)), (4, 400, T(1)), (5, 5, T(5)))
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    assert waiting(warehouse) == [(2, 20), (2, 21), (3, 30), (4, 400)]
    release_table(warehouse.parameters(pipeline, **row, **STRICT))
    assert settled(warehouse) == {"superseded": 1}  # 3 is in the table with a later sequence
    assert release(warehouse, pipeline, **row, **LOOSE) == {"quarantine": 2, "superseded": 1}
    assert waiting(warehouse) == [(4, 400)]
    if pipeline == "scd2":
        assert warehouse.history("a") == [
            (1, 1, "T1", OPEN, "Y"),
            (2, 20, "T1", "T2", "N"),
            (2, 21, "T2", OPEN, "Y"),
            (3, 3, "T2", OPEN, "Y"),
            (5, 5, "T5", OPEN, "Y"),
        ]
    else:
        assert warehouse.rows("id", "a") == [(1, 1), (2, 21), (3, 3), (5, 5)]
    warehouse.source(COLUMNS, (2, 9, T(4)), (5, 6, T(6)))
    warehouse.load(pipeline, **row, **LOOSE)
    current = [r for r in warehouse.table() if pipeline != "scd2" or r["is_current"]]
    assert {r["id"]: r["a"] for r in current} == {1: 1, 2: 9, 3: 3, 5: 6}


def test_a_row_that_was_corrected_behind_the_watermark_is_read_again(warehouse: Warehouse) -> None:
    row = {"load_type": "incremental", **ORDER, **STRICT}
    warehouse.source(COLUMNS, (1, 1, T(5)), (2, 20, T(1)))
    warehouse.load("scd1", **row, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(5)), (2, 2, T(1)), (3, 3, T(2)))
    warehouse.load("scd1", **row, twice=False)
    assert warehouse.rows("id") == [(1,)]
    before = last_success(warehouse.spark, warehouse.run_log, warehouse.target)
    assert release(warehouse, "scd1", **row) == {"superseded": 1}
    assert warehouse.rows("id", "a") == [(1, 1), (2, 2)]
    after = last_success(warehouse.spark, warehouse.run_log, warehouse.target)
    assert before
    assert after
    assert (after.watermark_to, after.parts) == (before.watermark_to, before.parts)
    warehouse.source(COLUMNS, (1, 1, T(5)), (2, 2, T(1)), (3, 3, T(2)), (4, 4, T(6)))
    logged = warehouse.load("scd1", **row, twice=False)
    assert (logged["read"], logged["new"], logged["decision"]) == (2, 1, None)  # it goes on from where the loads were


def test_an_overwrite_takes_rows_in_by_its_next_load(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)), (3, 30, T(1)), (3, 30, T(1)), (4, 400, T(1)))
    warehouse.load("fact_overwrite", **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)), (3, 3, T(1)), (4, 400, T(1)))
    assert release(warehouse, "fact_overwrite", **LOOSE) == {"source": 1, "superseded": 1}
    assert warehouse.rows("id", "a") == [(1, 1), (2, 20), (3, 3)]
    assert waiting(warehouse) == [(4, 400)]


def test_an_overwrite_of_a_part_says_what_it_cannot_take_in(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)))
    warehouse.load("fact_overwrite", **STRICT, twice=False)
    warehouse.source(COLUMNS, (3, 3, T(2)))
    assert release(warehouse, "fact_overwrite", **LOOSE, replace_where="id > 2") == {}
    assert warehouse.rows("id", "a") == [(1, 1), (3, 3)]
    assert waiting(warehouse) == [(2, 20)]
    assert "1 rows set aside stay: the source no longer has them" in capsys.readouterr().out


@pytest.mark.parametrize("pipeline", MERGING)
def test_without_an_order_an_older_row_never_comes_over_a_newer_one(
    warehouse: Warehouse, pipeline: str, capsys: Any
) -> None:
    columns = "id bigint, a int"
    warehouse.source(columns, (1, 1), (2, 20), (3, 30), (4, 40), (5, 50), (6, 6))
    warehouse.load(pipeline, **STRICT, twice=False)
    warehouse.source(columns, (1, 1), (2, 20), (3, 3), (5, 51), (6, 60))
    warehouse.load(pipeline, **STRICT, twice=False)
    warehouse.source(columns, (1, 1), (2, 20), (3, 3))
    warehouse.load(pipeline, **STRICT, twice=False)
    assert waiting(warehouse) == [(2, 20), (3, 30), (4, 40), (5, 50), (5, 51), (6, 60)]
    # 2 is in the source, 3 has moved on there, 4 is nowhere else; of 5 there are two, and 6 has a row in the table
    assert release(warehouse, pipeline, **LOOSE) == {"quarantine": 1, "source": 1, "superseded": 1}
    assert warehouse.rows("id", "a") == [(1, 1), (2, 20), (3, 3), (4, 40), (6, 6)]
    assert waiting(warehouse) == [(5, 50), (5, 51), (6, 60)]
    assert "3 rows set aside stay: nothing tells whether they are newer" in capsys.readouterr().out


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
@pytest.mark.parametrize("load_type", ["full", "incremental"])
def test_events_are_computed_with_the_rows_that_only_the_quarantine_table_has(
    warehouse: Warehouse, pipeline: str, load_type: str
) -> None:
    row = {"source_mode": "events", "load_type": load_type, **ORDER}
    first = [(1, 1, T(1)), (1, 20, T(2)), (1, 3, T(3)), (2, 40, T(1)), (2, 400, T(2))]
    warehouse.source(COLUMNS, *first)
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, first[0], first[2], *first[3:])
    assert release(warehouse, pipeline, **row, **LOOSE) == {"quarantine": 1, "source": 1}
    warehouse.source(COLUMNS, first[0], first[2], *first[3:], (1, 5, T(5)))
    warehouse.load(pipeline, **row, **LOOSE)
    assert waiting(warehouse) == [(2, 400)]
    if pipeline == "scd1":
        assert warehouse.rows("id", "a") == [(1, 5), (2, 40)]
        return
    assert warehouse.history("a") == [
        (1, 1, "T1", "T2", "N"),
        (1, 20, "T2", "T3", "N"),
        (1, 3, "T3", "T5", "N"),
        (1, 5, "T5", OPEN, "Y"),
        (2, 40, "T1", OPEN, "Y"),
    ]


def test_a_snapshot_closes_a_released_row_that_has_vanished(warehouse: Warehouse) -> None:
    row = {"source_mode": "snapshot", "on_missing": "close", **ORDER}
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)), (3, 30, T(1)))
    warehouse.load("scd2", **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (3, 31, T(2)))
    warehouse.load("scd2", **row, **STRICT, twice=False)
    assert release(warehouse, "scd2", **row, **LOOSE) == {"quarantine": 2, "source": 1}
    assert warehouse.history("a") == [
        (1, 1, "T1", OPEN, "Y"),
        (2, 20, "T1", "R3", "N"),
        (3, 30, "T1", "T2", "N"),
        (3, 31, "T2", OPEN, "Y"),
    ]


def test_a_row_that_breaks_a_rule_again_waits_again(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, (1, 20, T(1)), (2, 2, T(1)))
    warehouse.load("scd1", **ORDER, **STRICT, twice=False)
    assert release(warehouse, "scd1", **ORDER, **LOOSE) == {"source": 1}
    warehouse.load("scd1", **ORDER, **STRICT, twice=False)
    assert waiting(warehouse) == [(1, 20)]
    assert len(quarantine(warehouse)) == 2
    release(warehouse, "scd1", **ORDER, **LOOSE)
    assert waiting(warehouse) == []
    assert warehouse.rows("id", "a") == [(1, 20), (2, 2)]


def test_rows_that_differ_in_their_sequence_alone_are_different_rows(warehouse: Warehouse) -> None:
    columns = "id bigint, a int, _fivetran_synced timestamp"
    for day, value in enumerate((20, 30, 20), start=1):
        warehouse.source(columns, (1, value, T(day)))
        warehouse.load("scd2", **STRICT, twice=False)
    warehouse.source(columns)
    assert release(warehouse, "scd2", **LOOSE) == {"quarantine": 3}
    assert [row[1:4] for row in warehouse.history("a")] == [(20, "T1", "T2"), (30, "T2", "T3"), (20, "T3", OPEN)]


def test_null_keys_are_released_where_they_are_keys(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, (None, 1, T(1)), (2, 2, T(1)))
    warehouse.load("scd1", on_null_key="quarantine", **ORDER)
    assert waiting(warehouse) == [(None, 1)]
    assert release(warehouse, "scd1", on_null_key="null_safe", **ORDER) == {"source": 1}
    assert warehouse.rows("id", "a") == [(None, 1), (2, 2)]


def test_a_source_that_has_columns_of_ours_and_gets_new_ones(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a int, _job_run_id string, u timestamp", (1, 20, "x", T(1)), (2, 20, "x", T(1)))
    warehouse.load("scd1", **ORDER, **STRICT, twice=False)
    warehouse.source("id bigint, a int, _job_run_id string, u timestamp, b string", (1, 20, "y", T(1), "new"))
    assert release(warehouse, "scd1", **ORDER, **LOOSE) == {"quarantine": 1, "source": 1}
    assert warehouse.rows("id", "a", "b") == [(1, 20, "new"), (2, 20, None)]


def test_a_table_that_is_no_quarantine_is_left_alone(warehouse: Warehouse) -> None:
    warehouse.source(COLUMNS, (7, 70, T(1)), name="other")
    warehouse.spark.table(warehouse.bronze_table("other")).write.format("delta").saveAsTable(
        f"{warehouse.target}_quarantine"
    )
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)))
    with pytest.raises(TargetError, match="is not a quarantine table: it has no column _expectations"):
        warehouse.load("scd1", **ORDER, **STRICT, twice=False)
    assert warehouse.spark.table(f"{warehouse.target}_quarantine").count() == 1


def test_the_job_parameter_releases_before_the_load(warehouse: Warehouse, capsys: Any) -> None:
    row = {"load_type": "incremental", **ORDER}
    warehouse.source(COLUMNS, (1, 20, T(1)), (2, 2, T(3)))
    warehouse.load("scd1", **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 20, T(1)), (2, 2, T(3)), (3, 3, T(4)))
    capsys.readouterr()
    asked = {"release_quarantine": "target"}
    load_table({**warehouse.parameters("scd1", **row, **LOOSE), **asked, "dry_run": "true"})
    assert "1 rows set aside are loaded as the source has them now" in capsys.readouterr().out
    assert (warehouse.rows("id"), waiting(warehouse)) == ([(2,)], [(1, 20)])
    load_table({**warehouse.parameters("scd1", **row, **LOOSE), **asked})
    assert warehouse.rows("id", "a") == [(1, 20), (2, 2), (3, 3)]
    logged = warehouse.spark.table(warehouse.run_log).where(f"job_run_id = '{warehouse.runs}'").collect()
    assert [(r["status"], r["new"]) for r in sorted(logged, key=lambda r: r["ended_at"])] == [
        ("RELEASED", 1),
        ("SUCCESS", 1),
    ]
    load_table({**warehouse.parameters("scd1", **row, **LOOSE), **asked})
    assert "no row waits in quarantine" in capsys.readouterr().out


def test_a_list_says_what_waits_by_which_rule_since_when(warehouse: Warehouse, capsys: Any) -> None:
    rules = {"expect_or_quarantine": {"small": "a < 10", "even": "a % 2 = 0"}}
    arguments = ["quarantine", "list", f'--schemas=["{".".join(warehouse.silver)}"]']
    assert main(arguments) == 0
    assert capsys.readouterr().out == "no row waits in quarantine\n"
    warehouse.source(COLUMNS, (1, 20, T(1)), (2, 21, T(1)), (3, 3, T(1)), (4, 4, T(1)))
    warehouse.load("scd1", **ORDER, expectations=rules)
    capsys.readouterr()
    assert main([*arguments, "--samples=1"]) == 0
    head, even, small, sample = capsys.readouterr().out.splitlines()
    since = re.fullmatch(rf"{re.escape(warehouse.target)}: 3 rows since (\S+ \S+) UTC", head)
    assert since
    assert even == f"  even: 2 rows since {since[1]} UTC"
    assert small == f"  small: 2 rows since {since[1]} UTC"
    assert json.loads(sample)["u"].startswith("2024-01-02")
    (found,) = waiting_by_table(warehouse.spark, [warehouse.target, warehouse.silver_table("no_such")])
    assert (found.table, found.rows, sorted(found.rules)) == (warehouse.target, 3, ["even", "small"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list"], "--schemas or --tables: one of them is required"),
        (["list", '--tables=["a.b"]'], "--tables: expected catalog.schema.table, found 'a.b'"),
        (["list", '--schemas=["a"]'], "--schemas: expected catalog.schema, found 'a'"),
        (["free"], "unknown command 'quarantine free'; one of load, summarize, adopt, bootstrap, quarantine list"),
        ([], "unknown command 'quarantine'"),
        (["release"], "--execution_pipeline: required"),
    ],
)
def test_wrong_usage_is_refused(arguments: list[str], said: str, capsys: Any) -> None:
    assert main(["quarantine", *arguments]) == 2
    assert said in capsys.readouterr().err


LOADS: dict[str, dict[str, Any]] = {
    "scd2": ORDER,
    "fact_incremental_merge": {**ORDER, "load_type": "incremental"},
    "fact_overwrite": {},
}


@pytest.mark.parametrize("pipeline", LOADS)
def test_a_release_that_is_killed_anywhere_can_be_repeated(
    warehouse: Warehouse, pipeline: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each write of a release is in turn the last thing that its process does."""
    row = LOADS[pipeline]
    shown = ("id", "a", *(("valid_from", "valid_to") if pipeline == "scd2" else ()))
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 20, T(1)), (3, 30, T(1)), (4, 40, T(1)))
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 21, T(2)), (3, 30, T(1)))
    warehouse.load(pipeline, **row, **STRICT, twice=False)
    warehouse.source(COLUMNS, (1, 1, T(1)), (2, 22, T(3)), (3, 30, T(1)))
    tables = [warehouse.target, f"{warehouse.target}_quarantine"]
    for table in tables:
        warehouse.spark.sql(f"CREATE TABLE {table}_before USING delta AS SELECT * FROM {table}").collect()
    writes = Writes(monkeypatch)
    release_table(warehouse.parameters(pipeline, **row, **LOOSE))
    total, expected, marked = writes.sent, warehouse.rows(*shown), sum(settled(warehouse).values())
    assert waiting(warehouse) == []
    for last in range(1, total + 1):
        for table in tables:
            before = f"SELECT * FROM {table}_before"
            warehouse.spark.sql(f"INSERT INTO {table} REPLACE WHERE true {before}").collect()
        writes.kill(last)
        with pytest.raises(Killed):
            release_table(warehouse.parameters(pipeline, **row, **LOOSE))
        writes.revive()
        for table in warehouse.leftovers():  # which the summary sweeps a day later
            warehouse.spark.sql(f"DROP TABLE {warehouse.silver_table(table)}").collect()
        release_table(warehouse.parameters(pipeline, **row, **LOOSE))
        assert warehouse.rows(*shown) == expected, f"killed after write {last} of {total}"
        assert (sum(settled(warehouse).values()), waiting(warehouse)) == (marked, [])


class Killed(BaseException):
    """Raised in the place of everything that a killed process would still do."""


class Writes:
    """Count the writes that the process sends to the engine, and kill it after one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from pyspark.sql.connect.readwriter import DataFrameWriter
        from pyspark.sql.connect.session import SparkSession

        self.revive()
        for owner, name in ((SparkSession, "sql"), (DataFrameWriter, "saveAsTable")):
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    def kill(self, last: int) -> None:
        self.revive()
        self._last = last

    def revive(self) -> None:
        self.sent, self._last, self._dead = 0, 0, False

    def _counted(self, own: Any) -> Any:
        def call(of: Any, text: str, *more: Any, **named: Any) -> Any:
            if self._dead:
                raise Killed
            if own.__name__ == "sql" and not text.startswith(("MERGE INTO", "INSERT INTO")):
                return own(of, text, *more, **named)
            done = own(of, text, *more, **named)
            self.sent += 1
            self._dead = self.sent == self._last
            if self._dead:
                raise Killed
            return done

        return call
