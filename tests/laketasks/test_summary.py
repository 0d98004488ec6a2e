"""The text that people are woken with: states and log rows in, text out."""

from __future__ import annotations

from dataclasses import fields, replace

from laketasks.counts import LABELS, Counts
from laketasks.spec import SummarySpec
from laketasks.summary import TaskState, states_of, summarize

SPEC = SummarySpec(job_run_id="7", run_log="c.s.l", tables=3)


def spec_of(tables: int) -> SummarySpec:
    return replace(SPEC, tables=tables)


def row(key: str, status: str = "SUCCESS", **more: object) -> dict[str, object]:
    counts = dict.fromkeys((f.name for f in fields(Counts)), 0)
    base = {"task_key": key, "target": f"c.s.{key}", "execution_pipeline": "scd1", "status": status, "attempt": 1}
    return base | counts | {"started_at": 10.0, "ended_at": 12.5, "error": None} | more


def states(**results: str) -> list[TaskState]:
    return [TaskState(task_key=key, result=result, message=f"{key} ended") for key, result in results.items()]


def test_a_good_run_says_so_in_its_first_line() -> None:
    summary = summarize(spec_of(2), states(a="SUCCESS", b="SUCCESS"), [row("a", read=5, new=5), row("b")])
    assert not summary.failed
    assert summary.text.splitlines()[:2] == [
        "all 2 tables loaded",
        "run 7: processed 2, successful 2, failed 0, skipped 0, 2 s from first start to last end",
    ]
    assert "a      scd1      SUCCESS     5    5" in summary.text


def test_every_failure_is_printed_with_its_full_error() -> None:
    error = "line one\nline two\n" + "x" * 3000
    rows = [row("a", "FAILED", error=error, attempt=2), row("b", "FAILED", error="GuardError: b: empty"), row("c")]
    summary = summarize(SPEC, states(a="FAILED", b="FAILED", c="SUCCESS"), rows)
    assert summary.failed
    assert summary.text.startswith("2 of 3 tables FAILED: a, b\n")
    assert "FAILED  a (scd1 -> c.s.a, attempt 2)\n    line one\n    line two\n    xxx" in summary.text
    assert "x" * 3000 in summary.text
    assert "    GuardError: b: empty" in summary.text


def test_a_task_without_a_log_row_is_named_with_its_states_message() -> None:
    summary = summarize(spec_of(2), states(a="TIMEDOUT", b="SUCCESS"), [row("b")])
    assert summary.failed
    assert "TIMEDOUT  a\n    a ended" in summary.text


def test_skipped_tables_fail_the_run_and_are_listed() -> None:
    summary = summarize(spec_of(2), states(a="FAILED", b="UPSTREAM_FAILED"), [row("a", "FAILED", error="boom")])
    assert summary.failed
    assert "Not run, because of what came before:\n  b: UPSTREAM_FAILED" in summary.text


def test_rows_left_out_of_the_job_are_named_but_do_not_fail_it() -> None:
    spec = SummarySpec(job_run_id="7", run_log="c.s.l", tables=1, skipped={"c.s.x": "scd9"})
    summary = summarize(spec, states(a="SUCCESS"), [row("a")])
    assert not summary.failed
    assert "c.s.x: unknown execution_pipeline 'scd9'" in summary.text
    assert "left out 1" in summary.text


def test_a_dry_run_says_that_it_wrote_nothing_and_what_it_could_not_judge() -> None:
    spec = SummarySpec(job_run_id="7", run_log="c.s.l", tables=2, dry_run=True)
    uncounted = dict.fromkeys(f.name for f in fields(Counts))
    rows = [row("a", "DRY_RUN", read=5, new=5), row("b", "DRY_RUN", **uncounted)]
    summary = summarize(spec, states(a="SUCCESS", b="SUCCESS"), rows)
    assert not summary.failed
    assert summary.text.startswith("all 2 tables looked at, nothing written\ndry run 7: processed 2")
    assert (
        "Not judged, as they read tables that this run would make first (their output names them):\n  b" in summary.text
    )
    failed = row("c", "DRY_RUN", error="SourceError: no such table", **uncounted)
    summary = summarize(replace(spec, tables=3), None, [*rows, failed], states_error="no network")
    assert summary.failed
    assert summary.text.startswith("1 of 3 tables FAILED: c\n")
    assert "SourceError: no such table" in summary.text
    assert "  c\n" not in summary.text.partition("Not judged")[2].partition("\n\n")[0] + "\n"


def test_without_states_the_log_judges_and_missing_rows_fail() -> None:
    complete = summarize(SPEC, None, [row("a"), row("b"), row("c")], states_error="no network")
    assert not complete.failed
    assert "could not be read (no network)" in complete.text
    short = summarize(SPEC, None, [row("a")], states_error="no network")
    assert short.failed
    assert "2 of 3 tables wrote no row" in short.text


def test_a_retry_that_succeeded_is_a_success() -> None:
    rows = [row("a", "FAILED", error="boom"), row("a", attempt=2)]
    assert not summarize(spec_of(1), states(a="SUCCESS"), rows).failed


def test_a_job_parameter_that_names_no_task_fails_the_run() -> None:
    spec = SummarySpec(job_run_id="7", run_log="c.s.l", tables=1, full_refresh="a, typo")
    summary = summarize(spec, states(a="SUCCESS"), [row("a")])
    assert summary.failed
    assert "full_refresh names typo: no such task" in summary.text


def test_states_come_from_the_run_record_with_the_last_attempt() -> None:
    record = {
        "tasks": [
            {"task_key": "a", "attempt_number": 0, "state": {"result_state": "FAILED"}},
            {"task_key": "a", "attempt_number": 1, "state": {"result_state": "SUCCESS"}},
            {"task_key": "gate_2", "state": {"result_state": "SUCCESS"}},
            {"task_key": "run_summary", "state": {"life_cycle_state": "RUNNING"}},
        ]
    }
    assert states_of(record) == [TaskState(task_key="a", result="SUCCESS")]


def child(key: str, result: str, **more: object) -> dict[str, object]:
    """A task that runs a child job, which is run 8."""
    state = {"result_state": result, "state_message": f"{key} ended"}
    return {"task_key": key, "start_time": 1, "run_id": 8, "state": state, **more}


def record(*tasks: dict[str, object]) -> dict[str, object]:
    return {"tasks": [*tasks, {"task_key": "run_summary", "state": {"life_cycle_state": "RUNNING"}}]}


def test_the_tables_of_child_jobs_are_judged_as_if_they_were_in_the_job() -> None:
    spec = SummarySpec(job_run_id="7", run_log="c.s.l", tables=4, children={"order_1_1": 2, "order_1_2": 2})
    runs = {
        1: {"tasks": [child("a", "SUCCESS"), child("b", "TIMEDOUT")]},
        2: {"tasks": [child("c", "SUCCESS"), child("d", "SUCCESS")]},
    }
    parent = record(child("order_1_1", "FAILED", run_id=1), child("order_1_2", "SUCCESS", run_id=2))
    found = states_of(parent, spec.children, lambda task: runs[int(str(task["run_id"]))])
    assert [(state.task_key, state.result) for state in found] == [
        ("a", "SUCCESS"),
        ("b", "TIMEDOUT"),
        ("c", "SUCCESS"),
        ("d", "SUCCESS"),
    ]
    text = summarize(spec, found, [row("a"), row("c"), row("d")]).text
    assert text.startswith("1 of 4 tables FAILED: b\nrun 7: processed 4, successful 3, failed 1, skipped 0")
    assert "TIMEDOUT  b\n    b ended" in text


def test_a_child_job_that_failed_before_its_tables_is_named() -> None:
    children = {"order_1_1": 2}
    runs = {"tasks": [child("a", "SUCCESS"), child("b", "SUCCESS")]}
    found = states_of(record(child("order_1_1", "FAILED")), children, lambda _: runs)
    assert [state.task_key for state in found] == ["a", "b", "order_1_1"]
    assert summarize(SPEC, found, [row("a"), row("b")]).failed


def test_a_child_job_that_did_not_run_stands_for_its_tables() -> None:
    spec = SummarySpec(
        job_run_id="7", run_log="c.s.l", tables=900, children={"order_1_1": 1, "order_2_1": 899}, full_refresh="z"
    )
    parent = record(child("order_1_1", "FAILED"), child("order_2_1", "UPSTREAM_FAILED", start_time=0))
    found = states_of(parent, spec.children, lambda _: {"tasks": [child("a", "FAILED")]})
    summary = summarize(spec, found, [row("a", "FAILED", error="boom")])
    assert summary.failed
    assert summary.text.startswith("1 of 900 tables FAILED: a\nrun 7: processed 900, ")
    assert "successful 0, failed 1, skipped 899" in summary.text
    assert "  order_2_1: UPSTREAM_FAILED (899 tables)" in summary.text
    assert "no such task" not in summary.text  # z may be one of those that did not run


def test_quarantined_rows_are_counted_as_everywhere() -> None:
    summary = summarize(spec_of(1), states(a="SUCCESS"), [row("a", read=5, new=3, quarantined=2)])
    assert "read  new  quar.  seconds" in summary.text
    assert set(LABELS) == {f.name for f in fields(Counts)}


def test_a_load_on_rows_of_an_earlier_run_is_named_and_fails_while_its_input_has_not_loaded() -> None:
    old = '{"c.s.dim": "2026-11-28T03:12:00Z", "c.s.new": null}'
    rows = [row("dim", "FAILED", error="GuardError: empty"), row("fact", stale_inputs=old)]
    text = summarize(spec_of(2), states(dim="FAILED", fact="SUCCESS"), rows).text
    assert "  fact: rows of c.s.dim of 2026-11-28 03:12, c.s.new that was never loaded" in text
    rows = [row("dim"), row("fact", stale_inputs=old)]  # the input was repaired, the reader was not
    repaired = summarize(spec_of(2), states(dim="SUCCESS", fact="SUCCESS"), rows)
    assert not repaired.failed
    assert "  fact: rows of c.s.dim of 2026-11-28 03:12" in repaired.text
    assert "rows of" not in summarize(spec_of(1), states(a="SUCCESS"), [row("a", stale_inputs=None)]).text


def test_one_error_of_many_tables_is_printed_once() -> None:
    tables = {f"t{number}": "FAILED" for number in range(9)}
    rows = [row(key, "FAILED", error="LoadError: no space") for key in tables]
    summary = summarize(spec_of(9), states(**tables), rows)
    assert summary.text.count("LoadError: no space") == 1
    assert "FAILED  t8 (scd1 -> c.s.t8, attempt 1)\n    LoadError: no space" in summary.text
    assert len(summary.brief) < 1_000


def test_a_run_of_some_tasks_is_judged_by_those() -> None:
    spec = replace(SPEC, task_keys="a, b, c")
    assert not summarize(spec, states(a="SUCCESS"), [row("a")], chosen=True).failed
    assert summarize(spec, states(a="SUCCESS"), [row("a")]).text.startswith("2 of 3 tables FAILED: b, c\n")


def test_a_run_log_that_cannot_be_read_is_no_success() -> None:
    summary = summarize(spec_of(1), states(a="SUCCESS"), [], log_error="c.s.l: no such table")
    assert summary.failed
    assert summary.text.startswith("the run log could not be read; all 1 tables loaded\n")
    assert "The run log could not be read (c.s.l: no such table)" in summary.text
