"""Repairs for real on Sail: what is run again, what is kept, what the record says, also after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.localjobs.test_run import _PACKAGE, _ROOT, Local, _task, needs_proc

_SWITCH = """
def unless():
    if not Path(sys.argv[1].split("=", 1)[1]).exists(): raise RuntimeError("not yet")
"""


class Repairable(Local):
    def repair(self, run_id: int | None = None) -> subprocess.CompletedProcess[str]:
        wanted = str(run_id or self.record()["run_id"])
        return subprocess.run(
            [sys.executable, "-m", "localjobs", "repair", wanted, "--workspace", str(self.workspace)],
            cwd=_ROOT,
            env=os.environ | {"PYTHONPATH": str(self.folder), "LITTLE_RUN": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def attempts(self) -> dict[str, list[str]]:
        """The results of each task's attempts, in the order of the record."""
        found: dict[str, list[str]] = {}
        for task in self.record()["tasks"]:
            found.setdefault(task["task_key"], []).append(task["state"].get("result_state", "-"))
        return found

    @property
    def switch(self) -> Path:
        return self.folder / "mended"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Repairable]:
    (tmp_path / "little_wheel.py").write_text(_PACKAGE + _SWITCH)
    own = Repairable(folder=tmp_path)
    yield own
    for process in own.started:
        process.kill()
        process.communicate()


def _gate(*before: str, left: str = "1", **fields: Any) -> dict[str, Any]:
    body = {"left": left, "op": "EQUAL_TO", "right": "1"}
    return {"task_key": "gate", "depends_on": [{"task_key": k} for k in before], "condition_task": body, **fields}


@needs_proc
def test_what_failed_and_what_waits_for_it_runs_again_in_the_same_run(local: Repairable) -> None:
    unless = _task("unless", max_retries=1, mended=str(local.switch), count="{{job.repair_count}}")
    behind = {**_task("behind", call="query"), "depends_on": [{"task_key": "gate", "outcome": "true"}]}
    beside = {**_task("beside", call="query"), "depends_on": [{"task_key": "gate", "outcome": "false"}]}
    local.write(
        _task("query"),
        _gate("query"),
        behind,
        beside,
        unless,
        _task("needs", "unless", "behind", call="arguments", n="{{task.execution_count}}"),
        _task("all_done", "unless", call="arguments", run_if="ALL_DONE", region="{{job.parameters.region}}"),
        _task("summarize", "needs", "all_done", run_if="ALL_DONE"),
        parameters=[{"name": "region", "default": "north"}],
    )
    done = local.run("--params", "region=south", "--max-parallel", "3")
    assert done.returncode == 1
    before = local.record()
    run_id = before["run_id"]
    assert f"once mended: python -m localjobs repair {run_id} --workspace '{local.workspace}'" in done.stdout

    again = local.repair()
    assert again.returncode == 1
    assert local.attempts() == {
        "query": ["SUCCESS"],
        "gate": ["SUCCESS"],
        "behind": ["SUCCESS"],
        "beside": ["EXCLUDED"],
        "unless": ["FAILED", "FAILED"],
        "needs": ["UPSTREAM_FAILED", "UPSTREAM_FAILED"],
        "all_done": ["SUCCESS", "SUCCESS"],
        "summarize": ["FAILED", "FAILED"],
    }

    local.switch.touch()
    (local.folder / "little_wheel.py").write_text((_PACKAGE + _SWITCH).replace("one failed", "still"))
    last = local.repair()
    assert last.returncode == 1  # this summary always raises
    assert f"run {run_id}, repair 2, FAILED in" in last.stdout
    assert last.stdout.startswith("the summary\nRuntimeError: still")
    assert last.stderr.splitlines()[0].startswith("[1/4] SUCCESS")
    assert {key: results[2:] for key, results in local.attempts().items() if results[2:]} == {
        "unless": ["SUCCESS"],
        "needs": ["SUCCESS"],
        "all_done": ["SUCCESS"],
        "summarize": ["FAILED"],
    }
    record = local.record()
    assert (record["run_id"], record["start_time"]) == (run_id, before["start_time"])
    assert len(list((local.workspace / "runs").iterdir())) == 1
    assert [(entry["type"], entry.get("id")) for entry in record["repair_history"]] == [
        ("ORIGINAL", None),
        ("REPAIR", 1),
        ("REPAIR", 2),
    ]
    assert [entry["state"]["result_state"] for entry in record["repair_history"]] == ["FAILED"] * 3
    times = [time for entry in record["repair_history"] for time in (entry["start_time"], entry["end_time"])]
    assert times == sorted(times)
    assert record["run_duration"] == sum(e["end_time"] - e["start_time"] for e in record["repair_history"])
    ids = [task["run_id"] for task in record["tasks"]]
    assert len(set(ids)) == len(ids)
    numbers = [task["attempt_number"] for task in record["tasks"] if task["task_key"] == "unless"]
    assert numbers == [1, 3, 4]  # each time with the one retry that it has
    assert set(record["repair_history"][2]["task_run_ids"]) <= set(ids)
    assert "'--n=3'" in local.log("needs")
    assert local.log("all_done").count("'--region=south'") == 3
    assert local.log("query").count("=== attempt ") == 1
    assert not local.alive()


@needs_proc
def test_a_run_that_was_killed_is_repaired(local: Repairable) -> None:
    local.write(_task("query"), _task("slow", "query", call="sleep"), _task("after", "slow", call="query"))
    process = local.start()
    local.until_running("slow")
    process.kill()
    process.communicate(timeout=30)
    local.until(lambda: not local.alive(), 10)
    assert local.record()["state"]["life_cycle_state"] == "RUNNING"

    local.write(_task("query"), _task("slow", "query", call="query"), _task("after", "slow", call="query"))
    done = local.repair()
    assert done.returncode == 0, done.stdout + done.stderr
    assert local.attempts() == {"query": ["SUCCESS"], "slow": ["CANCELED", "SUCCESS"], "after": ["SUCCESS"]}
    record = local.record()
    killed = next(task for task in record["tasks"] if task["state"]["result_state"] == "CANCELED")
    assert killed["state"]["state_message"] == "localjobs was killed"
    assert killed["end_time"] >= killed["start_time"] > 0
    assert record["repair_history"][0]["state"]["state_message"] == "localjobs was killed"
    assert record["state"]["result_state"] == "SUCCESS"
    assert local.repair().stderr == f"run {record['run_id']} has nothing to repair: every task succeeded\n"


@needs_proc
def test_a_canceled_run_is_repaired_as_the_file_is_now_and_only_with_its_own_tasks(local: Repairable) -> None:
    local.write(_task("query"), _task("sleep", "query"), _task("gone", "sleep", call="query"), _task("fail"))
    process = local.start("--only", "query,sleep+")
    local.until_running("sleep")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    mended = _task("sleep", "query", call="query")
    local.write(_task("query"), mended, _task("new", "sleep", call="query"), _task("fail"))
    done = local.repair()
    assert done.returncode == 0, done.stdout + done.stderr
    assert local.attempts() == {"query": ["SUCCESS"], "sleep": ["CANCELED", "SUCCESS"], "new": ["SUCCESS"]}


def test_what_cannot_be_repaired_is_said(local: Repairable) -> None:
    def said(run_id: int) -> str:
        done = local.repair(run_id)
        assert done.returncode in (1, 2)
        assert "Traceback" not in done.stderr
        return done.stderr

    assert said(7) == f"{local.workspace}/runs: has no run 7 (it has none)\n"
    assert not local.workspace.exists()
    folder = local.workspace / "runs" / "8"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{")
    assert "8/run.json: is no run record: not valid JSON" in said(8)
    assert said(7) == f"{local.workspace}/runs: has no run 7 (its latest is 8)\n"
    (folder / "run.json").write_text(json.dumps({"run_id": 8, "tasks": []}))
    assert "does not say how the run was started" in said(8)
    child = {"run_id": 8, "trigger": "RUN_JOB_TASK", "trigger_info": {"run_id": 60_003}, "tasks": []}
    (folder / "run.json").write_text(json.dumps(child))
    assert said(8) == "run 8 was started by a task of run 6: repair that one\n"
