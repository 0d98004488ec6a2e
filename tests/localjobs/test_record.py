from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path

import pytest

from localjobs.job import ConditionTask, Dependency, Job, Task, WheelTask
from localjobs.record import RunRecord
from localjobs.report import report

_START = datetime(2024, 5, 1, 6, 0, tzinfo=timezone.utc)
_SUMMARY = Task(task_key="sum", body=WheelTask(package_name="laketasks", entry_point="summarize"))


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    wheel = WheelTask(package_name="p", entry_point="e", named_parameters={"k": "ü"})
    gate = ConditionTask(left="1", op="EQUAL_TO", right="1")
    tasks = (
        Task(task_key="a", body=wheel, timeout_seconds=60),
        Task(task_key="b", body=gate, depends_on=(Dependency(task_key="a"),), run_if="ALL_DONE"),
        Task(task_key="c", body=wheel, depends_on=(Dependency(task_key="b", outcome="true"),)),
    )
    job = Job(key="nightly", name="Nightly", tasks=tasks, parameters={"full_refresh": "all"})
    folder = tmp_path / "runs" / "240501060000"
    folder.mkdir(parents=True)
    return RunRecord(
        file=folder / "run.json", run_id=240501060000, job_id=3, job=job, start=_START, defaults={"full_refresh": ""}
    )


def _end(record: RunRecord, key: str, result: str, message: str = "") -> None:
    run = record.runs[key]
    run.life_cycle_state, run.result_state, run.state_message = "TERMINATED", result, message
    run.start_time, run.end_time = 1_714_543_200_000, 1_714_543_201_500
    record.touch(key)


def test_the_record_has_the_shape_of_the_jobs_api(record: RunRecord) -> None:
    record.write(now=True)
    before = json.loads(record.file.read_text())
    assert before["state"] == {"life_cycle_state": "RUNNING", "state_message": ""}
    assert [task["state"]["life_cycle_state"] for task in before["tasks"]] == ["BLOCKED"] * 3

    _end(record, "a", "FAILED", "boom")
    _end(record, "b", "SUCCESS")
    record.runs["b"].outcome = "true"
    record.end("SUCCESS_WITH_FAILURES", "", 1_714_543_260_000)
    after = json.loads(record.file.read_text())
    assert (after["job_id"], after["run_id"], after["run_name"]) == (3, 240501060000, "Nightly")
    assert after["state"]["result_state"] == "SUCCESS_WITH_FAILURES"
    assert (after["start_time"], after["end_time"], after["run_duration"]) == (1714543200000, 1714543260000, 60000)
    assert after["job_parameters"] == [{"name": "full_refresh", "default": "", "value": "all"}]
    a, b, c = after["tasks"]
    assert a["state"] == {"life_cycle_state": "TERMINATED", "result_state": "FAILED", "state_message": "boom"}
    assert a["python_wheel_task"] == {"package_name": "p", "entry_point": "e", "named_parameters": {"k": "ü"}}
    assert (a["run_id"], a["attempt_number"], a["execution_duration"]) == (2405010600000001, 0, 1500)
    assert (a["timeout_seconds"], a["output_path"], a["depends_on"]) == (60, "a.log", [])
    assert b["condition_task"] == {"left": "1", "op": "EQUAL_TO", "right": "1", "outcome": "true"}
    assert (b["run_if"], b["depends_on"]) == ("ALL_DONE", [{"task_key": "a"}])
    assert c["depends_on"] == [{"task_key": "b", "outcome": "true"}]


def test_ids_are_exact_as_json_numbers(record: RunRecord) -> None:
    ids = [record.next_attempt_id() for _ in range(9_000)]
    assert len(set(ids)) == 9_000
    assert max(ids) < 2**53


def test_a_write_replaces_the_file_and_leaves_no_draft(record: RunRecord) -> None:
    record.write(now=True)
    assert [file.name for file in record.file.parent.iterdir()] == ["run.json"]


def test_the_report_shows_the_end_of_what_failed(record: RunRecord, tmp_path: Path) -> None:
    _end(record, "a", "FAILED", "boom")
    (record.file.parent / "a.log").write_text(
        "=== attempt 1 of a, then ===\nold\n=== attempt 2 of a, now ===\n" + "".join(f"line {n}\n" for n in range(30))
    )
    record.runs["c"].result_state = "UPSTREAM_FAILED"
    record.end("FAILED", "", 1_714_543_260_000)
    lines = report(record, tmp_path).splitlines()
    assert lines[0] == "a FAILED"
    assert lines[1:13] == [f"    line {n}" for n in range(18, 30)]
    assert lines[14] == f"FAILED a: {record.file.parent / 'a.log'}"
    assert lines[15] == "not run, UPSTREAM_FAILED: c"
    assert lines[16] == f"once mended: python -m localjobs repair 240501060000 --workspace {tmp_path}"
    assert lines[17] == f"run 240501060000 FAILED in 1 min 00 s; record: {record.file}"


def test_the_summary_speaks_for_the_failures(record: RunRecord, tmp_path: Path) -> None:
    job = Job(key="nightly", name="Nightly", tasks=(record.job.tasks[0], _SUMMARY))
    summed = RunRecord(file=record.file, run_id=record.run_id, job_id=3, job=job, start=_START)
    _end(summed, "a", "FAILED", "boom")
    _end(summed, "sum", "FAILED", "1 of 1 failed")
    raised = "Traceback (most recent call last):\n  File x\n    y\nRunFailed: 1 of 1\n"
    text = f"=== attempt 1 of sum, now ===\nthe table\n{raised}"
    (summed.file.parent / "sum.log").write_text(text)
    summed.end("FAILED", "", 1_714_543_260_000)
    lines = report(summed, tmp_path).splitlines()
    assert lines[:3] == ["the table", "RunFailed: 1 of 1", ""]
    said = ["FAILED a", "once mended", "run 240501060000 FAILED in 1 min 00 s; record"]
    assert [line.split(":")[0] for line in lines[3:]] == said
