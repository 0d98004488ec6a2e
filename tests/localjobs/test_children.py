"""Tasks that run other jobs, for real on Sail: what goes down, what comes back, what is left behind."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.localjobs.test_run import _PACKAGE, Local, _task, needs_proc


class Family(Local):
    """Job files beside one another; `little` is the one that runs."""

    def write_child(self, key: str, *tasks: dict[str, Any], **job: Any) -> None:
        document = {"resources": {"jobs": {key: {"tasks": list(tasks), **job}}}}
        (self.folder / f"{key}.job.yml").write_text(json.dumps(document))

    def every_record(self) -> list[dict[str, Any]]:
        """The records of all runs, in the order in which they started."""
        runs = sorted((self.workspace / "runs").iterdir(), key=lambda folder: int(folder.name))
        return [json.loads((folder / "run.json").read_text()) for folder in runs]

    def records(self) -> dict[str, dict[str, Any]]:
        """The latest record of each job, by the job's name."""
        return {record["run_name"]: record for record in self.every_record()}

    def results_of(self, job: str) -> dict[str, str]:
        return {t["task_key"]: t["state"].get("result_state", "") for t in self.records()[job]["tasks"]}

    def until_running_in(self, job: str, key: str) -> None:
        def runs() -> bool:
            try:
                tasks = {t["task_key"]: t["state"]["life_cycle_state"] for t in self.records()[job]["tasks"]}
            except (OSError, ValueError, KeyError):
                return False
            return tasks[key] == "RUNNING"

        self.until(runs)


def run_job(key: str, child: str, *before: str, **fields: Any) -> dict[str, Any]:
    parameters = fields.pop("job_parameters", {})
    body = {"job_id": f"${{resources.jobs.{child}.id}}", "job_parameters": parameters}
    return {
        "task_key": key,
        "depends_on": [{"task_key": k} for k in before],
        "run_job_task": body,
        **fields,
    }


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    (tmp_path / "little_wheel.py").write_text(_PACKAGE)
    own = Family(folder=tmp_path)
    yield own
    for process in own.started:
        process.kill()
        process.communicate()


@needs_proc
def test_a_child_gets_its_parameters_and_gives_its_result(family: Family) -> None:
    family.write(
        run_job("good", "child", job_parameters={"of": "{{job.run_id}}", "region": "of task"}),
        run_job("bad", "failing"),
        _task("after", "good", "bad", call="arguments", run_if="ALL_DONE"),
        _task("never", "bad", call="query"),
        parameters=[{"name": "region", "default": "of parent"}],
    )
    own = [{"name": "region", "default": "of child"}, {"name": "of", "default": "{{job.run_id}}"}]
    family.write_child(
        "child", _task("arguments"), _task("flaky", max_retries=1, seen=str(family.folder / "seen")), parameters=own
    )
    family.write_child("failing", _task("fail"), run_job("deeper", "child"))
    done = family.run()
    assert done.returncode == 1
    assert family.results_of("little") == {
        "good": "SUCCESS",
        "bad": "FAILED",
        "after": "SUCCESS",
        "never": "UPSTREAM_FAILED",
    }
    parent, child, failing = (family.records()[name] for name in ("little", "child", "failing"))
    tasks = {task["task_key"]: task for task in parent["tasks"]}
    assert tasks["good"]["run_job_task"]["job_parameters"]["of"] == str(parent["run_id"])
    assert tasks["bad"]["run_job_output"] == {"run_id": failing["run_id"]}
    assert tasks["bad"]["state"]["state_message"] == (
        f"run {failing['run_id']} of failing: 1 of 2 tasks did not succeed: fail"
    )
    assert tasks["good"]["cpu_seconds"] > 0
    assert (child["trigger"], parent["trigger"]) == ("RUN_JOB_TASK", "ONE_TIME")
    assert failing["trigger_info"] == {"run_id": tasks["bad"]["run_id"]}
    assert failing["state"]["result_state"] == "FAILED"
    # The parent's parameter wins over what the task gives; without either a default names the child's own run.
    of_child = [record for record in family.every_record() if record["run_name"] == "child"]
    assert [[p["value"] for p in record["job_parameters"]] for record in of_child] == [
        ["of parent", str(parent["run_id"])],
        ["of child", str(of_child[1]["run_id"])],
    ]
    log = family.workspace / "runs" / str(of_child[0]["run_id"]) / "arguments.log"
    assert f"'--region=of parent', '--of={parent['run_id']}'" in log.read_text()
    assert f"FAILED fail: {family.workspace}/runs/{failing['run_id']}/fail.log" in done.stdout
    assert "[10/10]" in done.stderr  # 4 tasks, 2 of failing, 2 of child, which runs twice
    assert not family.alive()


@needs_proc
def test_ctrl_c_ends_the_tasks_of_children_too(family: Family) -> None:
    family.write(run_job("runs", "child"), run_job("waits", "child", "runs"), _task("later", "waits", call="query"))
    family.write_child("child", _task("sleep"), _task("forever"), _task("then", "sleep", call="query"))
    process = family.start()
    family.until_running_in("child", "sleep")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    for job in ("little", "child"):
        assert set(family.results_of(job).values()) == {"CANCELED"}
        assert family.records()[job]["state"]["result_state"] == "CANCELED"
        assert family.records()[job]["state"]["state_message"] == "canceled by the user"
    assert "CANCELED (canceled by the user)" in out
    assert not family.alive()


@needs_proc
def test_timeouts_of_the_task_and_of_the_childs_job(family: Family) -> None:
    family.write(
        run_job("of_task", "endless", timeout_seconds=1),
        run_job("of_job", "short"),
        run_job("again", "short", max_retries=1, retry_on_timeout=True),
        _task("after", "of_task", "of_job", "again", call="query", run_if="ALL_DONE"),
    )
    family.write_child("endless", _task("sleep"), _task("then", "sleep", call="query"))
    family.write_child("short", _task("sleep"), timeout_seconds=1)
    assert family.run("--max-parallel", "4").returncode == 0
    assert family.results_of("little") == {
        "of_task": "TIMEDOUT",
        "of_job": "TIMEDOUT",
        "again": "TIMEDOUT",
        "after": "SUCCESS",
    }
    tasks = {task["task_key"]: task for task in family.records()["little"]["tasks"]}
    assert tasks["again"]["attempt_number"] == 1
    assert tasks["of_task"]["state"]["state_message"].endswith("stopped: the timeout of 1 s of task of_task is over")
    assert family.results_of("endless") == {"sleep": "CANCELED", "then": "CANCELED"}
    assert family.records()["short"]["state"]["result_state"] == "TIMEDOUT"
    assert not family.alive()


def test_three_deep_and_with_one_process_at_a_time(family: Family) -> None:
    family.write(run_job("a", "one"), _task("after", "a", call="query"))
    family.write_child("one", _task("query"), run_job("b", "two", "query"))
    family.write_child("two", run_job("c", "three"), _task("query"))
    family.write_child("three", _task("query"), {"task_key": "is_one", "condition_task": dict(CONDITION)})
    done = family.run("--max-parallel", "1")
    assert done.returncode == 0, done.stdout
    assert {record["state"]["result_state"] for record in family.every_record()} == {"SUCCESS"}
    assert len(family.every_record()) == 4


CONDITION = {"left": "1", "op": "EQUAL_TO", "right": "1"}


def test_what_is_wrong_with_a_child_is_said_before_anything_runs(family: Family) -> None:
    def said(*options: str) -> list[str]:
        done = family.run(*options)
        assert done.returncode in (1, 2)
        assert not family.workspace.exists()
        return [line.replace(f"{family.folder}/", "") for line in done.stderr.splitlines()]

    family.write(run_job("a", "absent"))
    unknown = "tasks[a].run_job_task.job_id: ${resources.jobs.absent.id} is not known here"
    assert said() == [f"little.job.yml: {unknown}: beside the job file is no absent.job.yml"]
    family.write({"task_key": "a", "run_job_task": {"job_id": 7}})
    assert said() == ["little.job.yml: task a: job 7 has no file beside this one"]
    family.write(run_job("a", "round"))
    family.write_child("round", run_job("b", "little"))
    assert said() == ["round.job.yml: task b: these jobs run each other without end: little -> round -> little"]
    runs = "python_wheel_task, condition_task, run_job_task, notebook_task, spark_python_task, for_each_task"
    family.write(run_job("a", "one", job_parameters={"regoin": "x"}), run_job("b", "one"))
    family.write_child("one", run_job("c", "two"), {"task_key": "n", "sql_task": {"file": {"path": "x"}}})
    family.write_child("two", run_job("d", "three"))
    family.write_child("three", run_job("e", "four"))
    family.write_child("four", _task("query"))
    assert said() == [
        "little.job.yml: task a: job one has no parameter regoin (it has: none)",
        f"one.job.yml: task n: sql_task does not run here ({runs} do); choose others with --only",
        "three.job.yml: task e: run_job_tasks stand at most 3 deep",
    ]
    family.write(run_job("a", "four"))
    assert said("--only", "query") == [
        "--only: query is a task of four, which runs by itself: four.job.yml --only query"
    ]
