"""The run log stays small: old rows go but the last success of a target, and a look-up reads few files."""

from __future__ import annotations

import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from benchmarks.run_log import a_row, write_commits
from laketasks import run_log_upkeep
from laketasks.run_log import PROPERTIES, append, last_success
from laketasks.run_log_upkeep import keep_small
from localjobs import compact
from tests.laketasks.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def log_folder(warehouse: Warehouse) -> Path:
    return warehouse.workspace.joinpath(*warehouse.silver, "run_log")


def test_a_new_log_has_the_properties(warehouse: Warehouse) -> None:
    configured = DeltaTable(log_folder(warehouse)).metadata().configuration
    assert configured.items() >= PROPERTIES.items()


def test_old_rows_go_in_batches_but_never_the_last_success_of_a_target(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    spark, name = warehouse.spark, warehouse.run_log
    now = datetime.now(timezone.utc)
    successes = [("a", 90), ("a", 80), ("b", 60), ("d", 85), ("e", 1)]
    failures = [("a", 70), ("b", 90), ("a", 10), ("c", 75)]
    loads = [(*load, "SUCCESS") for load in successes] + [(*load, "FAILED") for load in failures]
    for table, days, status in (*loads, ("d", 84, "RELEASED")):
        at = now - timedelta(days=days)
        append(spark, name, a_row(target=table, status=status, at=at))
    assert keep_small(spark, name, "50 days") == []  # too few to be worth a commit
    monkeypatch.setattr(run_log_upkeep, "MANY_ROWS", 3)
    assert keep_small(spark, name, "") == []
    assert keep_small(spark, name, "50 days") == [f"{name}: 3 rows older than 50 days deleted"]
    left = sorted(
        (row["target"], row["status"], (now - row["ended_at"].astimezone(timezone.utc)).days)
        for row in spark.table(name).collect()
    )
    assert left == [
        ("a", "FAILED", 10),
        ("a", "FAILED", 70),
        ("a", "SUCCESS", 80),
        ("b", "SUCCESS", 60),
        ("c", "FAILED", 75),
        ("d", "RELEASED", 84),
        ("e", "SUCCESS", 1),
    ]
    assert keep_small(spark, name, "50 days") == []


def test_what_prevents_the_upkeep_fails_nothing(warehouse: Warehouse) -> None:
    (line,) = keep_small(warehouse.spark, warehouse.silver_table("no_log"), "1 day")
    assert line.startswith(f"{warehouse.silver_table('no_log')}: ")
    assert line.endswith("; tried again after the next run")


def test_after_a_compaction_a_look_up_reads_one_file_and_lists_few_commits(
    engine: str, spark: SparkSession, warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    """Sail's log is compacted by localjobs after a run; Spark does it by the table's property, and when it is asked."""
    folder, name = log_folder(warehouse), warehouse.run_log
    compact.compact(str(folder))
    assert DeltaTable(folder).version() == 0  # few commits are left as they are
    write_commits(folder, 300, days_ago=30)
    append(spark, name, a_row())
    before = last_success(spark, name, "silver.s.t_7")
    if engine == "sail":
        other = DeltaTable(folder)  # a writer that has looked at the table before
        compact.compact(str(folder))
        assert "301 files compacted to 1" in capsys.readouterr().out
        assert other.version() == 301
    assert len(DeltaTable(folder).file_uris()) == 1
    assert last_success(spark, name, "silver.s.t_7") == before
    append(spark, name, a_row(target="silver.s.t_8"))
    assert spark.table(name).count() == 1502
    if engine == "spark":
        write_commits(folder, 600)
        (line,) = keep_small(spark, name, "")
        assert line in {f"{name}: {files} files compacted" for files in (601, 602)}  # the last append may have merged
        assert len(DeltaTable(folder).file_uris()) == 1
        return
    for file in (folder / "_delta_log").iterdir():  # a month later, commits that a checkpoint has are listed no more
        os.utime(file, (0, 0))
    write_commits(folder, 250)
    compact.compact(str(folder))
    assert len(list((folder / "_delta_log").glob("*.json"))) < 260
    assert spark.table(name).count() == 2752
