"""The real SDK against a service on this machine; every problem is a message, and no message holds the token."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from monitor import workspace as room
from monitor.cli import main
from monitor.evidence import Evidence
from monitor.problem import ProblemsError, UsageError
from monitor.report import report_of
from monitor.run_log import COUNTS
from monitor.workspace import collect, run_id_of
from tests.monitor.records import START, TRACEBACK, element, record
from tests.monitor.service import TOKEN, Workspace

COLUMNS = (
    *("job_run_id", "task_key", "target", "execution_pipeline", "status", "attempt", *COUNTS),
    *("watermark_from", "watermark_to", "row_hash", "error_class", "wheel_version", "started_at", "ended_at", "error"),
)


def row(key: str, read: int, run_id: int = 77, **more: Any) -> list[str | None]:
    """A row of the run log as the statement API sends it: texts, NULL as null."""
    values: dict[str, Any] = dict.fromkeys(COLUMNS) | dict.fromkeys(COUNTS, "0")
    values |= {"job_run_id": str(run_id), "task_key": key, "target": f"s.t.{key}", "execution_pipeline": "scd2"}
    values |= {"status": "SUCCESS", "attempt": "1", "read": str(read)}
    values |= {"started_at": str(START * 1000), "ended_at": str(START * 1000 + 2_500_000)}
    return [values[column] for column in COLUMNS if (values := values | more)]


def test_a_run_of_more_tasks_than_a_page_is_read_whole(service: Workspace) -> None:
    service.runs[77] = record(*(element(f"t_{n:03}") for n in range(250)))
    evidence = collect(77)
    assert [task.key for task in evidence.run.tasks] == [f"t_{n:03}" for n in range(250)]
    assert service.asked.count("GET /api/2.2/jobs/runs/get") == 3


def test_the_counts_come_through_the_warehouse_in_chunks(service: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "w1")
    service.runs[77] = record(*(element(f"t_{n:03}") for n in range(120)))
    service.columns, service.rows = COLUMNS, [row(f"t_{n:03}", n) for n in range(120)]
    service.statement_waits = 1
    evidence = collect(77)
    assert evidence.loads is not None
    assert [load.counts["read"] for load in evidence.loads] == [*range(120)]
    assert evidence.loads[0].seconds == 2.5
    assert evidence.loads[0].error == ""
    asked = service.statements[0]
    assert asked["warehouse_id"] == "w1"
    assert "FROM `s`.`m`.`run_log`" in asked["statement"]


def test_no_warehouse_is_started_for_it(service: Workspace) -> None:
    service.runs[77] = record(element("a"))
    service.warehouses = [{"id": "w1", "state": "STOPPED"}]
    evidence = collect(77)
    assert evidence.loads is None
    assert "no SQL warehouse is running" in evidence.without_log
    assert "DATABRICKS_WAREHOUSE_ID" in evidence.without_log
    assert service.statements == []
    service.warehouses.append({"id": "w2", "state": "RUNNING"})
    assert collect(77).loads == ()
    assert service.statements[0]["warehouse_id"] == "w2"


def test_a_run_log_that_cannot_be_read_leaves_the_rest(service: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "w1")
    service.runs[77] = record(element("a"))
    service.statement_error = "[TABLE_OR_VIEW_NOT_FOUND] The table `s`.`m`.`run_log` cannot be found.\nmore"
    evidence = collect(77)
    assert evidence.without_log.startswith("s.m.run_log: [TABLE_OR_VIEW_NOT_FOUND]")
    assert "more" not in evidence.without_log


def test_a_failed_task_without_a_log_row_tells_its_output(service: Workspace) -> None:
    failed = element("a", "FAILED", message="Workload failed, see run output for details", run_id=901)
    service.runs[77] = record(failed, element("b", "FAILED", run_id=902, message="Cluster was terminated"))
    service.outputs[901] = {"error": "AnalysisException: no such column", "error_trace": TRACEBACK.format(column="x")}
    evidence = collect(77)
    assert evidence.outputs == {
        "a": f"AnalysisException: no such column\n{TRACEBACK.format(column='x')}",
        "b": "",
    }


def test_the_last_good_run_is_found_behind_bad_ones(service: Workspace) -> None:
    day = 86_400_000
    service.runs[77] = record(element("a", "FAILED"))
    for n, result in enumerate(["FAILED", "SUCCESS_WITH_FAILURES", "CANCELED", "SUCCESS", "SUCCESS"], 1):
        service.runs[77 - n] = record(element("a"), run_id=77 - n, result=result) | {"start_time": START - n * day}
    service.runs[99] = record(element("a"), run_id=99) | {"start_time": START + day}
    service.runs[98] = record(element("a"), run_id=98) | {"job_id": 6, "start_time": START - 1}
    good = collect(77).good
    assert good is not None
    assert good.run_id == 73
    service.runs[73]["job_parameters"] = [{"name": "dry_run", "default": "", "value": "true"}]
    good = collect(77).good
    assert good is not None
    assert good.run_id == 72


def test_a_repaired_run_shows_its_last_attempts_and_the_command_for_the_next(service: Workspace) -> None:
    first = element("a", "FAILED", run_id=901)
    second = element("a", "SUCCESS", start=100, run_id=911, attempt_number=1)
    history = [{"id": 0, "type": "ORIGINAL"}, {"id": 555, "type": "REPAIR", "start_time": START}]
    service.runs[77] = record(first, second, element("b", "FAILED"), result="FAILED", repair_history=history)
    evidence = collect(77)
    a, b = evidence.run.tasks
    assert [attempt.state.word for attempt in a.attempts] == ["FAILED", "SUCCESS"]
    assert a.fate == "succeeded"
    assert evidence.run.repairs == 1
    assert evidence.again[0].endswith("--rerun-dependent-tasks --latest-repair-id 555")
    assert b.fate == "failed"


def test_a_run_going_on_is_as_of_now(service: Workspace) -> None:
    service.runs[77] = record(element("a"), element("b", "running", after=["a"]), element("c", "blocked", after=["b"]))
    evidence = collect(77)
    assert evidence.run.going_on
    assert [task.fate for task in evidence.run.tasks] == ["succeeded", "running", "waiting"]
    assert evidence.now > START + 10**9


def test_the_id_of_a_task_leads_to_its_run(service: Workspace) -> None:
    service.runs[77] = record(element("a"), element("b"))
    service.runs[901] = record(element("a"), run_id=901) | {"job_run_id": 77}
    assert collect(901).run.run_id == 77


def test_status_alone_is_understood(service: Workspace) -> None:
    failed = {"state": "TERMINATED", "termination_details": {"code": "USER_CANCELED", "message": "stopped by Ada"}}
    task = {k: v for k, v in element("a").items() if k != "state"} | {"status": failed}
    service.runs[77] = {k: v for k, v in record(element("a")).items() if k != "state"} | {
        "status": failed,
        "tasks": [task],
    }
    run = collect(77).run
    assert run.state.word == run.tasks[0].last.state.word == "CANCELED"
    assert run.state.message == "stopped by Ada"


@pytest.mark.parametrize(
    "url",
    [
        "https://host.example/jobs/5/runs/77",
        "https://host.example/jobs/5/runs/77?o=12345",
        "https://host.example/?o=12345#job/5/run/77",
        "https://host.example/#job/5/run/77",
    ],
)
def test_the_address_of_a_page_names_a_run(url: str) -> None:
    assert run_id_of(url) == 77


def test_an_address_without_a_run_is_refused() -> None:
    with pytest.raises(UsageError, match="names no run"):
        run_id_of("https://host.example/jobs/5")


# --- what goes wrong ---


def said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(arguments)
    captured = capsys.readouterr()
    assert TOKEN not in captured.err + captured.out
    assert "Traceback" not in captured.err
    return code, captured.err


def test_an_unknown_run(service: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = said(["4711"], capsys)
    assert code == 1
    assert text == (
        f"run 4711: {service.host} knows no such run (Run 4711 does not exist); runs are kept for 60 days\n"
    )


def test_credentials_that_are_refused(
    service: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_TOKEN", f"{TOKEN}x")
    code, text = said(["77"], capsys)
    assert code == 1
    assert f"run 77: {service.host} does not let you see it: Invalid access token Bearer ***;" in text
    assert "DATABRICKS_CONFIG_PROFILE" in text


def test_no_credentials_at_all(
    service: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    code, text = said(["77"], capsys)
    assert code == 1
    assert text.startswith("no workspace to ask (")
    assert "DATABRICKS_HOST and DATABRICKS_TOKEN" in text


def test_a_profile_that_does_not_exist(
    service: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(os.environ["DATABRICKS_CONFIG_FILE"]).write_text(f"[daily]\nhost = {service.host}\ntoken = {TOKEN}\n")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.delenv("DATABRICKS_HOST")
    assert said(["https://127.0.0.1/jobs/5/runs/77"], capsys)[0] == 1
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "nightly")
    code, text = said(["77"], capsys)
    assert code == 1
    assert text.startswith("no workspace to ask (resolve: ")
    assert "has no nightly profile configured" in text


def test_a_host_that_does_not_answer(
    service: Workspace, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nobody:  # a port of this machine that nobody listens to
        nobody.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        monkeypatch.setenv("DATABRICKS_HOST", host)
        monkeypatch.setattr(room, "_RETRY_SECONDS", 1)
        code, text = said(["77"], capsys)
    assert code == 1
    assert re.fullmatch(rf"run 77: {host} cannot be reached: \[Errno \d+\] Connection refused\n", text)


def test_a_page_instead_of_an_answer(service: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    service.broken = "<html><body>Log in to the company proxy</body></html>"
    code, text = said(["77"], capsys)
    assert code == 1
    assert text.startswith(f"run 77: {service.host}")


def test_the_token_is_sent_to_no_host_that_an_address_names(
    service: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text = said(["https://elsewhere.example/jobs/5/runs/77"], capsys)
    assert code == 1
    assert "elsewhere.example" in text
    assert "nothing was sent" in text
    assert not [path for path in service.asked if "/jobs/" in path]


def test_the_address_of_a_page_of_this_workspace(service: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    service.runs[77] = record(element("a"))
    assert said([f"{service.host}/jobs/5/runs/77"], capsys) == (0, "")


def test_earlier_runs_that_may_not_be_seen_leave_the_rest(service: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    service.runs[77] = record(element("a"))
    refused = (403, {"error_code": "PERMISSION_DENIED", "message": "you may not list"})
    monkeypatch.setattr(service, "_list", lambda _given: refused)
    evidence: Evidence = collect(77)
    assert evidence.good is None
    assert [note for note in evidence.notes if "earlier runs could not be read" in note]


def test_an_answer_that_is_no_run_is_a_problem(service: Workspace) -> None:
    service.runs[77] = {"run_id": 77, "job_id": 5, "tasks": []}
    with pytest.raises(ProblemsError) as refused:
        collect(77)
    assert any("start_time" in problem for problem in refused.value.problems)


IPYTHON = (
    "\x1b[0;31m" + "-" * 75 + "\x1b[0m\n\x1b[0;31mValueError\x1b[0m    Traceback (most recent call last)\nFile cell:1\n"
)


def test_the_cause_of_a_notebook_is_the_services_error_and_not_a_line_of_dashes(service: Workspace) -> None:
    service.runs[77] = record(element("a", "FAILED", run_id=901), element("b", "FAILED", run_id=902))
    service.outputs[901] = {"error": "ValueError: no rows in bronze", "error_trace": IPYTHON}
    service.outputs[902] = {"error_trace": f"{IPYTHON}\x1b[0;31mValueError\x1b[0m: no rows at all"}
    causes = {table.key: table.cause for table in report_of(collect(77)).tables}
    assert causes == {"a": "ValueError: no rows in bronze", "b": "ValueError: no rows at all"}


def test_the_output_of_a_task_tells_no_secret(service: Workspace) -> None:
    service.runs[77] = record(element("a", "FAILED", run_id=901))
    service.outputs[901] = {"error": "cannot connect: AccountKey=abc+/def==;x with dkea0123456789abcdef"}
    assert collect(77).outputs == {"a": "cannot connect: AccountKey=***;x with ***"}
