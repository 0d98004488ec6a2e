"""The entry points as a task calls them, on an engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from laketasks.__main__ import main
from laketasks.entry import RUN_RECORD, RunFailed, load_table, summarize_run
from laketasks.error import LoadError, NotLoggedError, SourceError
from laketasks.spec import SpecError
from tests.laketasks.warehouse import Warehouse

AB = "id bigint, a string"


def summarize(warehouse: Warehouse, run: int) -> None:
    summarize_run({"job_run_id": str(run), "run_log": warehouse.run_log, "tables": "1"})


def test_the_summary_judges_by_the_run_record(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1", twice=False)
    record = tmp_path / "run.json"
    monkeypatch.setenv(RUN_RECORD, str(record))
    for result in ("SUCCESS", "TIMEDOUT"):
        record.write_text(json.dumps({"tasks": [{"task_key": "target", "state": {"result_state": result}}]}))
        if result == "SUCCESS":
            summarize(warehouse, 1)
        else:
            with pytest.raises(RunFailed, match="1 of 1 tables FAILED: target"):
                summarize(warehouse, 1)
    assert "all 1 tables loaded" in capsys.readouterr().out


def test_without_states_it_says_so_and_judges_by_the_log(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1", twice=False)
    summarize(warehouse, 1)
    assert "judged by the run log" in capsys.readouterr().out
    with pytest.raises(RunFailed, match="1 of 1 tables FAILED"):
        summarize(warehouse, 99)


def test_what_a_killed_load_staged_is_swept_by_age(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("scd1", twice=False)
    old, young = (f"{warehouse.target}__laketasks_stage_{stamp}_0a1b2c3d" for stamp in (1, 9_999_999_999))
    for table in (old, young):
        warehouse.spark.sql("SELECT 1 AS x").write.format("delta").saveAsTable(table)
    summarize(warehouse, 1)
    assert f"dropped {old}" in capsys.readouterr().out
    assert warehouse.leftovers() == [young.rpartition(".")[2]]


def test_a_dry_run_counts_names_keys_and_writes_nothing(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, *[(i, "a") for i in range(9)])
    dry = {**warehouse.parameters("scd1"), "dry_run": "true"}
    assert main(["load", *[f"--{name}={value}" for name, value in dry.items()]]) == 0
    said = capsys.readouterr().out
    assert "new 9, rows_inserted 9; dry run, nothing written" in said
    assert "new (id): (0,), (1,), (2,), (3,), (4,)\n" in said
    assert not warehouse.spark.catalog.tableExists(warehouse.target)
    (logged,) = warehouse.spark.table(warehouse.run_log).collect()
    assert (logged["status"], logged["new"], logged["error"]) == ("DRY_RUN", 9, None)
    warehouse.load("scd1")  # what the dry run logged is no load to go on from
    assert warehouse.spark.table(warehouse.target).count() == 9


def test_a_dry_run_tells_what_is_missing_from_what_it_would_make_itself(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, (1, "a"))
    dry = {**warehouse.parameters("scd1"), "dry_run": "true"}
    after = {**dry, "source_table": warehouse.target, "target_table": f"{warehouse.target}_after", "task_key": "after"}
    with pytest.raises(SourceError, match="cannot read"):
        load_table(after)
    load_table(dry)
    load_table(after)
    load_table({**after, "source_table": after["target_table"], "target_table": f"{warehouse.target}_last"})
    said = capsys.readouterr().out
    assert f"not judged, as it reads {warehouse.target}, which this run would make first" in said
    assert f"not judged, as it reads {warehouse.target}_after, which" in said
    with pytest.raises(SourceError, match="cannot read"):
        load_table({**after, "source_table": f"{warehouse.target}_other"})
    logged = warehouse.spark.table(warehouse.run_log).orderBy("ended_at").collect()
    assert {row["status"] for row in logged} == {"DRY_RUN"}
    assert [bool(row["error"]) for row in logged] == [True, False, False, False, True]
    assert warehouse.leftovers() == []


def test_a_refusal_is_a_message_and_exit_code_1(warehouse: Warehouse, capsys: Any) -> None:
    warehouse.source(AB, (1, "a"))
    wrong = warehouse.parameters("scd1", keys=["idd"])
    assert main(["load", *[f"--{name}={value}" for name, value in wrong.items()]]) == 1
    assert "did you mean id?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"full_refresh": "targte"}, "--full_refresh names targte: no such task in this job; did you mean target?"),
        ({"override_guards": "target,x"}, "--override_guards names x: no such task in this job"),
        ({"reload_from": "z=2024-05-01"}, "--reload_from names z: no such task in this job"),
        ({"reconcile": "x", "dry_run": "maybe"}, "--dry_run: expected true or false, found 'maybe'"),
    ],
)
def test_a_job_parameter_that_names_no_task_is_refused_before_anything_is_read(
    warehouse: Warehouse, given: dict[str, str], said: str
) -> None:
    with pytest.raises(SpecError) as refused:
        load_table({**warehouse.parameters("scd1"), "task_keys": "after, target", **given})
    assert said in refused.value.problems
    assert not warehouse.spark.catalog.tableExists(warehouse.target)


def test_a_load_that_cannot_be_logged_says_that_it_loaded_and_what_comes_next(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"))

    def refuse(*_: object) -> None:
        raise LoadError(f"cannot write to the run log {warehouse.run_log} (8 tries): no space")

    with monkeypatch.context() as patch:
        patch.setattr("laketasks.run_log.append", refuse)
        with pytest.raises(NotLoggedError) as raised:
            load_table(warehouse.parameters("scd1"))
    assert str(raised.value).startswith(f"{warehouse.target}: loaded, but not logged: cannot write to the run log")
    assert "the next run reads from the last success" in str(raised.value)
    assert warehouse.spark.table(warehouse.target).count() == 2
    load_table(warehouse.parameters("scd1"))  # as the message says: nothing is doubled, and it is logged
    (logged,) = warehouse.spark.table(warehouse.run_log).collect()
    assert (logged["status"], logged["unchanged"], logged["rows_inserted"]) == ("SUCCESS", 2, 0)
