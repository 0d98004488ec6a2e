"""Real runs on Sail: each test starts `python -m localjobs` as a user would and looks at what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from localjobs.call import wait_before_retry
from localjobs.job import Task, WheelTask
from localjobs.record import TaskRun

_ROOT = Path(__file__).parent.parent.parent
_PACKAGE = """
import os, subprocess, sys, time
from pathlib import Path

FOREVER = "SELECT count(*) FROM range(0, 100000000000) WHERE sha2(CAST(id AS STRING), 256) LIKE '%abc%'"

def spark():
    from pyspark.sql import SparkSession
    return SparkSession.builder.getOrCreate()

def arguments(): print(sys.argv)
def environment(): print(os.environ["LAKETASKS_RUN_RECORD"], os.environ["SPARK_REMOTE"].split(";")[0])
def fail(): print("before"); raise ValueError("three rows\\nhave no key")
def leave(): sys.exit(0)
def die(): os.kill(os.getpid(), 9)
def flaky():
    seen = Path(sys.argv[1].split("=", 1)[1])
    if not seen.exists():
        seen.touch()
        raise RuntimeError("the first time")
def sleep(): subprocess.run(["sleep", "300"])
def query(): print(spark().sql("SELECT 40 + 2 AS answer").collect())
def forever(): spark().sql(FOREVER).collect()
def make(): spark().sql("CREATE TABLE dev_silver.shop.t USING delta AS SELECT 7 AS id")
def read(): print(spark().sql("SELECT id FROM dev_silver.shop.t").collect())
def summarize(): print("the summary"); raise RuntimeError("one failed")
"""


def _task(key: str, *before: str, call: str = "", **fields: Any) -> dict[str, Any]:
    """A task that calls `call`, its key by default; what is no field of a task is a named parameter."""
    own = ("timeout_seconds", "max_retries", "retry_on_timeout", "run_if", "min_retry_interval_millis", "disabled")
    named = {name: value for name, value in fields.items() if name not in own}
    wheel = {"package_name": "little_wheel", "entry_point": call or key, "named_parameters": named}
    given = {name: value for name, value in fields.items() if name in own}
    return {"task_key": key, "depends_on": [{"task_key": k} for k in before], "python_wheel_task": wheel, **given}


@dataclass(kw_only=True)
class Local:
    """A job file, a workspace and the processes that runs of it start."""

    folder: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def workspace(self) -> Path:
        return self.folder / "work space"

    def write(self, *tasks: dict[str, Any], **job: Any) -> None:
        document = {"resources": {"jobs": {"little": {"tasks": list(tasks), **job}}}}
        (self.folder / "little.job.yml").write_text(json.dumps(document))

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Begin a run; everything that it starts is known by LITTLE_RUN in its environment."""
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "localjobs",
                "run",
                f"{self.folder}/little.job.yml",
                f"--workspace={self.workspace}",
                *options,
            ],
            cwd=_ROOT,
            env=os.environ
            | {"PYTHONPATH": str(self.folder), "LITTLE_RUN": str(self.folder), "TMPDIR": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        process = self.start(*options)
        out, err = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def record(self) -> dict[str, Any]:
        """The record of the latest run."""
        latest = max((self.workspace / "runs").iterdir(), key=lambda folder: int(folder.name))
        document: dict[str, Any] = json.loads((latest / "run.json").read_text())
        return document

    def results(self) -> dict[str, str]:
        return {task["task_key"]: task["state"].get("result_state", "") for task in self.record()["tasks"]}

    def messages(self) -> dict[str, str]:
        return {task["task_key"]: task["state"]["state_message"] for task in self.record()["tasks"]}

    def log(self, key: str) -> str:
        return (self.workspace / "runs" / str(self.record()["run_id"]) / f"{key}.log").read_text()

    def alive(self, program: str = "") -> dict[int, str]:
        """The command lines of this folder's processes that still run, by process id."""
        marker = f"LITTLE_RUN={self.folder}".encode()
        found = {}
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdigit() and marker in (entry / "environ").read_bytes().split(b"\0"):
                    found[int(entry.name)] = (entry / "cmdline").read_text().replace("\0", " ")
        return {number: line for number, line in found.items() if line and program in line}

    def server(self) -> int:
        """The process id of the Sail server, which the guard's command line names as well."""
        return next(n for n, line in self.alive("-m pysail spark server").items() if "guard.py" not in line)

    def until(self, condition: Callable[[], bool], seconds: float = 20.0) -> None:
        give_up = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up, f"not so within {seconds} s"
            time.sleep(0.05)

    def until_running(self, key: str) -> None:
        def runs() -> bool:
            with contextlib.suppress(OSError, ValueError):
                states = {task["task_key"]: task["state"]["life_cycle_state"] for task in self.record()["tasks"]}
                return bool(states[key] == "RUNNING")
            return False

        self.until(runs)


@pytest.fixture
def local(tmp_path: Path) -> Any:
    (tmp_path / "little_wheel.py").write_text(_PACKAGE)
    own = Local(folder=tmp_path)
    yield own
    for process in own.started:
        process.kill()
        process.communicate()


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/environ").exists(),
    reason="needs /proc to look for processes: run it on Linux, or in a container",
)


@needs_proc
def test_a_job_runs_in_order_and_leaves_nothing_running(local: Local) -> None:
    gate = {
        "task_key": "gate",
        "depends_on": [{"task_key": "fail"}, {"task_key": "query"}],
        "run_if": "ALL_DONE",
        "condition_task": {"left": "{{tasks.fail.result_state}}", "op": "EQUAL_TO", "right": "failed"},
    }
    behind = {**_task("behind", call="query"), "depends_on": [{"task_key": "gate", "outcome": "true"}]}
    beside = {**_task("beside", call="query"), "depends_on": [{"task_key": "gate", "outcome": "false"}]}
    local.write(
        _task("arguments", run="{{job.run_id}}", count="{{task.execution_count}}", full_refresh="task"),
        _task("environment"),
        _task("fail"),
        _task("query"),
        _task("leave"),
        _task("die"),
        _task("nosuch"),
        _task("flaky", max_retries=2, min_retry_interval_millis=10, seen=str(local.folder / "seen")),
        gate,
        behind,
        beside,
        _task("needs_fail", "fail", call="query"),
        _task("cleanup", "fail", call="query", run_if="AT_LEAST_ONE_FAILED"),
        _task("after_all", "behind", "cleanup", "arguments", call="query"),
        parameters=[{"name": "full_refresh", "default": ""}],
    )
    done = local.run("--params", "full_refresh=all")
    assert done.returncode == 1
    assert local.results() == {
        "arguments": "SUCCESS",
        "environment": "SUCCESS",
        "fail": "FAILED",
        "query": "SUCCESS",
        "leave": "FAILED",
        "die": "FAILED",
        "nosuch": "FAILED",
        "flaky": "SUCCESS",
        "gate": "SUCCESS",
        "behind": "SUCCESS",
        "beside": "EXCLUDED",
        "needs_fail": "UPSTREAM_FAILED",
        "cleanup": "SUCCESS",
        "after_all": "SUCCESS",
    }
    record = local.record()
    assert record["state"]["result_state"] == "FAILED"
    tasks = {task["task_key"]: task for task in record["tasks"]}
    assert tasks["flaky"]["attempt_number"] == 1
    assert tasks["gate"]["condition_task"]["left"] == "failed"
    assert tasks["behind"]["start_time"] >= tasks["gate"]["end_time"] >= tasks["query"]["end_time"] > 0

    run = f"['arguments', '--run={record['run_id']}', '--count=1', '--full_refresh=all']"
    assert run in local.log("arguments")
    assert str(local.workspace / "runs" / str(record["run_id"]) / "run.json") in local.log("environment")
    assert "sc://127.0.0.1:" in local.log("environment")
    assert "answer=42" in local.log("query")
    assert local.log("flaky").count("=== attempt ") == 2
    assert "Traceback" in local.log("fail")

    messages = local.messages()
    assert messages["fail"] == "ValueError: three rows\nhave no key"
    assert messages["leave"].startswith("the task called sys.exit(0)")
    assert messages["die"].startswith("the process was ended by SIGKILL")
    assert "neither an entry point nosuch" in messages["nosuch"]
    assert messages["needs_fail"] == "not run, ALL_SUCCESS: fail FAILED"
    assert messages["beside"] == "not run, ALL_SUCCESS: gate is true"

    assert "ValueError: three rows" in done.stdout
    assert "not run, UPSTREAM_FAILED: needs_fail" in done.stdout
    assert f"run {record['run_id']} FAILED in" in done.stdout.splitlines()[-1]
    assert done.stderr.count("\n") == 14 + 1
    assert not local.alive()


@needs_proc
def test_a_task_is_stopped_at_its_timeout_with_its_query_and_what_it_started(local: Local) -> None:
    local.write(
        _task("forever", timeout_seconds=1),
        _task("sleep", timeout_seconds=1, max_retries=1),
        _task("twice", call="sleep", timeout_seconds=1, max_retries=1, retry_on_timeout=True),
        _task("server_time", "forever", call="sleep", run_if="ALL_DONE"),
    )
    process = local.start()
    local.until_running("server_time")
    assert _server_is_idle(local)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    results = local.results()
    assert (results["forever"], results["sleep"], results["server_time"]) == ("TIMEDOUT", "TIMEDOUT", "CANCELED")
    assert local.messages()["sleep"] == "stopped: its timeout of 1 s is over"
    assert {t["task_key"]: t["attempt_number"] for t in local.record()["tasks"]}["twice"] == 1
    assert not local.alive()


def _server_is_idle(local: Local) -> bool:
    def cpu() -> float:
        numbers = Path(f"/proc/{local.server()}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(numbers[11]) + int(numbers[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu()
    time.sleep(1.5)
    return cpu() - before < 0.3


@needs_proc
def test_ctrl_c_cancels_and_completes_the_record(local: Local) -> None:
    local.write(_task("forever"), _task("sleep"), _task("later", "forever", call="query"))
    process = local.start()
    local.until_running("sleep")
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert set(local.results().values()) == {"CANCELED"}
    assert local.record()["state"] == {
        "life_cycle_state": "TERMINATED",
        "result_state": "CANCELED",
        "state_message": "canceled by the user",
    }
    assert "CANCELED (canceled by the user)" in out
    assert not local.alive()


@needs_proc
def test_an_engine_that_cannot_be_interrupted_is_replaced(local: Local) -> None:
    import deltalake
    import pyarrow

    deltalake.write_deltalake(local.workspace / "dev_silver" / "shop" / "seed", pyarrow.table({"id": [1]}))
    after = _task("after", "forever", call="read", run_if="ALL_DONE")
    local.write(_task("make"), _task("forever", "make", timeout_seconds=2), after)
    process = local.start()
    local.until_running("forever")
    os.kill(local.server(), signal.SIGSTOP)  # as one that is too busy to hear anything
    process.communicate(timeout=60)
    assert local.results() == {"make": "SUCCESS", "forever": "TIMEDOUT", "after": "SUCCESS"}
    assert "id=7" in local.log("after")  # the tables are there again
    assert process.returncode == 0
    assert not local.alive()


@needs_proc
def test_a_killed_run_leaves_nothing_running_and_the_next_one_works(local: Local) -> None:
    local.write(_task("forever"), _task("sleep"), _task("query"))
    process = local.start()
    local.until_running("sleep")
    time.sleep(0.5)
    assert len(local.alive()) > 3
    process.kill()
    process.communicate(timeout=30)
    local.until(lambda: not local.alive(), 10)
    assert local.record()["state"]["life_cycle_state"] == "RUNNING"

    assert local.run("--only", "query").returncode == 0
    assert local.results() == {"query": "SUCCESS"}


def test_the_interval_of_retries_is_between_their_starts() -> None:
    task = Task(task_key="t", body=WheelTask(package_name="p", entry_point="e"), min_retry_interval_millis=5_000)
    assert wait_before_retry(TaskRun(task=task, start_time=10_000), 12_000) == 3_000
    assert wait_before_retry(TaskRun(task=task, start_time=10_000), 60_000) == 0


def test_a_workspace_may_be_named_from_elsewhere(local: Local) -> None:
    """Sail takes no `..` in a path."""
    import deltalake
    import pyarrow

    deltalake.write_deltalake(local.folder / "plain" / "dev_silver" / "shop" / "seed", pyarrow.table({"id": [1]}))
    local.write(_task("make"))
    workspace = os.path.relpath(local.folder / "plain", _ROOT)
    assert workspace.startswith("..")
    done = local.run("--workspace", workspace)
    assert done.returncode == 0, done.stdout
    assert (local.folder / "plain" / "dev_silver" / "shop" / "t" / "_delta_log").is_dir()


def test_a_job_has_a_timeout_too(local: Local) -> None:
    local.write(_task("sleep"), _task("later", "sleep", call="query"), timeout_seconds=1)
    assert local.run().returncode == 1
    assert local.record()["state"]["result_state"] == "TIMEDOUT"
    assert local.results() == {"sleep": "CANCELED", "later": "CANCELED"}


@needs_proc
def test_a_server_that_dies_ends_the_run(local: Local) -> None:
    local.write(_task("forever"), _task("later", "forever", call="query"))
    process = local.start()
    local.until_running("forever")
    time.sleep(0.5)
    os.kill(local.server(), signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the engine ended by itself" in out
    assert local.results() == {"forever": "FAILED", "later": "CANCELED"}
    assert not local.alive()


def test_a_table_of_an_earlier_run_is_there_in_the_next(local: Local) -> None:
    import deltalake
    import pyarrow

    deltalake.write_deltalake(local.workspace / "dev_silver" / "shop" / "seed", pyarrow.table({"id": [1]}))
    local.write(_task("make"), _task("read", "make"))
    first = local.run()
    assert first.returncode == 0, first.stdout
    assert (local.workspace / "dev_silver" / "shop" / "t" / "_delta_log").is_dir()
    second = local.run("--only", "read")
    assert second.returncode == 0, second.stdout
    assert "id=7" in local.log("read")


def test_what_leaves_succeed_after_a_failure_is_a_success_with_failures(local: Local) -> None:
    local.write(_task("fail"), _task("query", "fail", run_if="ALL_DONE"))
    assert local.run().returncode == 0
    assert local.record()["state"]["result_state"] == "SUCCESS_WITH_FAILURES"


def test_the_summary_is_printed_in_full(local: Local) -> None:
    local.write(_task("fail"), _task("summarize", "fail", run_if="ALL_DONE"))
    done = local.run()
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == ["the summary", "RuntimeError: one failed"]


def test_a_second_run_in_a_workspace_waits_for_the_first(local: Local) -> None:
    local.write(_task("sleep"), _task("query"))
    first = local.start("--only", "sleep")
    local.until_running("sleep")
    second = local.start("--only", "query")
    assert second.stderr is not None
    said = second.stderr.readline()
    assert said == f"QUEUED: {local.workspace}: another run works here (process {first.pid})\n"
    first.kill()  # whatever way it ends, the next one begins
    second.communicate(timeout=60)
    assert second.returncode == 0
    assert local.results() == {"query": "SUCCESS"}
    assert len(list((local.workspace / "runs").iterdir())) == 2


def test_a_run_that_waits_is_canceled_by_ctrl_c(local: Local) -> None:
    local.write(_task("sleep"))
    first = local.start()
    local.until_running("sleep")
    second = local.start()
    assert second.stderr is not None
    second.stderr.readline()
    second.send_signal(signal.SIGINT)
    _, err = second.communicate(timeout=30)
    assert (second.returncode, err) == (130, "canceled before the first task\n")
    assert len(list((local.workspace / "runs").iterdir())) == 1
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)


def test_one_run_at_a_time_in_a_workspace_of_a_job_without_a_queue(local: Local) -> None:
    local.write(_task("sleep"), _task("query"), queue={"enabled": False})
    first = local.start("--only", "sleep")
    local.until_running("sleep")
    second = local.run("--only", "query")
    assert second.returncode == 1
    assert f"another run works here (process {first.pid})" in second.stderr
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=30)
    assert first.returncode == 130


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--only", "qery"], 2, "--only: there is no task qery; did you mean query?"),
        (["--params", "x"], 2, "--params: expected name=value, found 'x'"),
        (["--params", "x=1"], 2, "--params x: the job has no such parameter (it has: none)"),
        (["--max-parallel", "0"], 2, "--max-parallel: expected a number from 1, found 0"),
        (["--engine", "flink"], 2, "argument --engine: invalid choice: 'flink'"),
        ([], 1, "task note: sql_task does not run here"),
    ],
)
def test_what_is_wrong_is_said_before_anything_runs(local: Local, options: list[str], code: int, message: str) -> None:
    local.write(_task("query"), {"task_key": "note", "sql_task": {"file": {"path": "x"}}})
    done = local.run(*options)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not local.workspace.exists()


def test_the_wheel_makes_its_run_log_before_the_first_task(local: Local) -> None:
    parameters = {"job_run_id": "{{job.run_id}}", "run_log": "dev_silver.metadata.run_log"}
    summary = {"package_name": "laketasks", "entry_point": "summarize", "named_parameters": parameters}
    local.write(_task("query"), {"task_key": "run_summary", "python_wheel_task": summary})
    done = local.run("--only", "query,run_summary")
    assert (local.workspace / "dev_silver" / "metadata" / "run_log" / "_delta_log").is_dir(), done
