"""A table of exit codes: what a run of so many tables comes to, with what is lost of states, pages and log rows.

The service is a fake that answers `api_client.do` as the Jobs API does; the run log's rows are given.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from laketasks import entry
from laketasks.counts import LABELS
from laketasks.known_tasks import list_tasks
from laketasks.spec import SummarySpec
from laketasks.summary import Summary, summarize

PAGE = 100
Edit = Callable[["Night"], None]


@dataclass
class Night:
    """A run as the service and the run log have it; a case takes something away."""

    keys: list[str]
    version: str
    tasks: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, object]] = field(default_factory=list)
    broken_page: int = -1
    repeated_page: int = -1
    without_tasks: bool = False
    paged: bool = True
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tasks = [self.task(key) for key in self.keys]
        self.rows = [self.row(key) for key in self.keys]

    def task(self, key: str, result: str = "SUCCESS", attempt: int = 0, **more: Any) -> dict[str, Any]:
        body = {"python_wheel_task": {"package_name": "laketasks", "entry_point": "load"}}
        element = {"task_key": key, "attempt_number": attempt, "start_time": 1 + attempt, "run_id": attempt, **body}
        if self.version == "2.1":
            state = {"life_cycle_state": "TERMINATED", "result_state": result, "state_message": f"{key} ended"}
            return {**element, "state": state, **more}
        details = {"code": result, "type": "X", "message": f"{key} ended"}
        return {**element, "status": {"state": "TERMINATED", "termination_details": details}, **more}

    def row(self, key: str, status: str = "SUCCESS", **more: object) -> dict[str, object]:
        own = {"task_key": key, "target": f"c.s.{key}", "execution_pipeline": "scd1", "status": status, "attempt": 1}
        return own | dict.fromkeys(LABELS, 0) | {"started_at": 1.0, "ended_at": 2.0, "error": None} | more

    def do(self, method: str, path: str, query: Mapping[str, Any]) -> Any:
        self.asked.append(f"{method} {path}")
        if path.endswith("/get-output"):
            return {"error": f"task {query['run_id']} says why"}
        assert path == "/api/2.2/jobs/runs/get", path
        page = int(query.get("page_token") or 0)
        if page == self.broken_page:
            raise ConnectionError("no answer; Authorization: Bearer dapi-0123456789")
        if self.without_tasks:
            return {"run_id": 7}
        summary = {"task_key": "run_summary", "state": {"life_cycle_state": "RUNNING"}}
        every = [*self.tasks, summary]
        more = self.paged and (page + 1) * PAGE < len(every)
        following = page if page + 1 == self.repeated_page else page + 1
        return {
            "run_id": 7,
            "tasks": every[page * PAGE : (page + 1) * PAGE],
            **({"next_page_token": str(following or "0")} if more else {}),
        }


def judge(night: Night, patch: pytest.MonkeyPatch, *, named: bool, **given: Any) -> Summary:
    """The summary as the entry point makes it, but for the run log."""
    sdk = ModuleType("databricks.sdk")
    sdk.WorkspaceClient = lambda: SimpleNamespace(api_client=SimpleNamespace(do=night.do))  # type: ignore[attr-defined]
    patch.setitem(sys.modules, "databricks", ModuleType("databricks"))
    patch.setitem(sys.modules, "databricks.sdk", sdk)
    patch.delenv(entry.RUN_RECORD, raising=False)
    task_keys = list_tasks(night.keys, 100_000 if named else 0)
    spec = SummarySpec(job_run_id="7", run_log="c.s.l", tables=len(night.keys), task_keys=task_keys, **given)
    states, problem = entry._states(spec)
    if states is not None:
        states = entry._with_errors(states, night.rows)
    return summarize(spec, states, night.rows, states_error=problem)


def lose_rows(night: Night) -> None:
    del night.rows[-1:]


def lose_pages(night: Night) -> None:
    """Version 2.1 of the API: the first hundred tasks, and no token."""
    night.paged = False


def lose_all_tasks(night: Night) -> None:
    night.without_tasks = True


def fail_one(night: Night) -> None:
    night.tasks[-1:] = [night.task(key, "FAILED") for key in night.keys[-1:]]
    night.rows[-1:] = [night.row(key, "FAILED", error="GuardError: empty") for key in night.keys[-1:]]


def fail_only_in_the_log(night: Night) -> None:
    night.rows[-1:] = [night.row(key, "FAILED", error="GuardError: empty") for key in night.keys[-1:]]


def fail_unheard(night: Night) -> None:
    """The failure is on a page that is lost, or in an answer without tasks."""
    fail_one(night)
    night.without_tasks = True


def retry(night: Night) -> None:
    night.tasks[:0] = [night.task(key, "FAILED") for key in night.keys[:1]]
    night.tasks[len(night.keys[:1]) : 2 * len(night.keys[:1])] = [night.task(k, attempt=1) for k in night.keys[:1]]
    night.rows[:0] = [night.row(key, "FAILED", error="boom") for key in night.keys[:1]]


def retry_without_row(night: Night) -> None:
    retry(night)
    night.rows[1:2] = []


def repair_in_vain(night: Night) -> None:
    """The last attempt decides, though the first had succeeded."""
    night.tasks += [night.task(key, "FAILED", attempt=1) for key in night.keys[:1]]
    night.rows += [night.row(key, "FAILED", error="again") for key in night.keys[:1]]


def repair_of_others(night: Night) -> None:
    """A task that succeeded, and that a repair would have run behind one that failed again."""
    late = [night.task(key, "UPSTREAM_FAILED", attempt=1, start_time=0) for key in night.keys[:1]]
    night.tasks += late


def not_run(night: Night) -> None:
    night.tasks[-1:] = [night.task(key, "UPSTREAM_FAILED", start_time=0) for key in night.keys[-1:]]
    night.rows[-1:] = []


def excluded(night: Night) -> None:
    night.tasks[-1:] = [night.task(key, "EXCLUDED", start_time=0) for key in night.keys[-1:]]
    night.rows[-1:] = []


def break_page(night: Night) -> None:
    night.broken_page = 1


def repeat_page(night: Night) -> None:
    night.repeated_page = 2


def no_service(night: Night) -> None:
    night.broken_page = 0


def no_service_and_no_row(night: Night) -> None:
    night.broken_page = 0
    lose_rows(night)


def nothing(night: Night) -> None:
    del night


# What happened -> from how many tables on the run fails (None: never).
CASES: dict[Edit, int | None] = {
    nothing: None,
    lose_rows: 1,
    lose_pages: 101,
    lose_all_tasks: 1,
    fail_one: 1,
    fail_only_in_the_log: 1,
    fail_unheard: 1,
    retry: None,
    retry_without_row: 1,
    repair_in_vain: 1,
    repair_of_others: None,
    not_run: 1,
    excluded: 1,
    break_page: 101,
    repeat_page: 201,
    no_service: None,
    no_service_and_no_row: 1,
}


@pytest.mark.parametrize("edit", CASES, ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("version", ["2.1", "2.2"])
def test_the_exit_code_is_that_of_the_table(edit: Edit, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fails_from = CASES[edit]
    for tables in (0, 1, 99, 100, 101, 1_000):
        for named in (True, False):
            night = Night([f"t_{number:04}" for number in range(tables)], version)
            edit(night)
            summary = judge(night, monkeypatch, named=named)
            case = f"{edit.__name__}, {tables} tables, {named=}\n{summary.text[:900]}"
            assert summary.failed == (fails_from is not None and tables >= fails_from), case
            first = summary.text.splitlines()[0]
            assert (f"of {tables} tables FAILED" in first or "tables were not loaded" in first) == summary.failed, case
            assert summary.failed or first == f"all {tables} tables loaded", case
            assert "dapi" not in summary.text
            assert len(night.asked) < 40, case


@pytest.mark.parametrize("named", [True, False])
def test_every_table_that_is_not_accounted_for_is_named(monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    night = Night([f"t_{number:03}" for number in range(103)], "2.2")
    lose_pages(night)
    del night.rows[101]
    night.rows[1]["status"] = "DRY_RUN"
    text = judge(night, monkeypatch, named=named).text
    assert "t_001: its task ended SUCCESS, but the run log ends with its attempt 1, DRY_RUN" in text
    assert "t_100: the service has no state of its task in this run; the run log has its SUCCESS" in text
    assert "t_102: the service has no state" in text
    if named:
        assert text.startswith("4 of 103 tables FAILED: t_001, t_100, t_101, t_102\n")
        assert "t_101: the service has no state of its task in this run; the run log has no row of it" in text
    else:
        assert "1 table: neither the service nor the run log names them" in text
    assert "processed 99, successful 99, failed 0, skipped 0, not accounted for 4" in text


def test_a_table_of_another_runner_needs_no_row(monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(["notebook", "theirs", "ours"], "2.2")
    del night.rows[:2]
    for task, body in zip(night.tasks, ("notebook_task", "python_wheel_task"), strict=False):
        del task["python_wheel_task"]
        task[body] = {"package_name": "their_package", "entry_point": "load"}
    assert not judge(night, monkeypatch, named=True).failed
    night.broken_page = 0  # nobody tells of them then
    text = judge(night, monkeypatch, named=True).text
    assert text.startswith("2 of 3 tables FAILED: notebook, theirs\n")


def test_more_tables_than_the_job_was_generated_with_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(["a", "b"], "2.2")
    night.tasks.append(night.task("c"))
    night.rows.append(night.row("c"))
    assert "the job was generated with 2 tables, and the run has 1 more" in judge(night, monkeypatch, named=False).text


def test_a_dry_run_is_accounted_for_by_its_own_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(["a", "b"], "2.2")
    assert judge(night, monkeypatch, named=True, dry_run=True).failed
    for row in night.rows:
        row["status"] = "DRY_RUN"
    assert not judge(night, monkeypatch, named=True, dry_run=True).failed


def test_a_failure_that_no_load_logged_has_the_services_error(monkeypatch: pytest.MonkeyPatch) -> None:
    night = Night(["a", "b"], "2.2")
    night.tasks[1] = night.task("b", "FAILED", run_id=88)
    del night.rows[1]
    summary = judge(night, monkeypatch, named=True)
    assert "FAILED  b\n    task 88 says why" in summary.text
    assert summary.brief == "1 of 2 tables FAILED: b\n\nFAILED  b\n    task 88 says why"
    assert "GET /api/2.2/jobs/runs/get-output" in night.asked
