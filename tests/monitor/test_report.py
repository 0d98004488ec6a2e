from __future__ import annotations

from typing import Any

import pytest

from monitor.report import Report, report_of
from monitor.run import Run, read_run
from monitor.table import cause_of
from tests.monitor.records import START, TRACEBACK, element, evidence, gate, load, night, record

DAY = 86_400


def good(*tasks: Any, **more: Any) -> Run:
    """A run of the day before."""
    run, problems = read_run(record(*tasks, run_id=70, **more))
    assert run is not None, problems
    return run


def summary(result: str, after: list[str]) -> dict[str, Any]:
    return element("run_summary", result, 9, 1, after=after, python_wheel_task={"entry_point": "summarize"})


def test_figures_are_those_of_the_runs_summary() -> None:
    """Gates and the summary are no tables, and the summary's own failure is no news when a table failed."""
    report = report_of(
        evidence(
            record(
                element("a", "FAILED", message="no such column"),
                element("b"),
                gate("gate_2", ["a", "b"]),
                element("c", "UPSTREAM_FAILED", after=["gate_2"]),
                summary("FAILED", ["c"]),
            )
        )
    )
    assert report.bad
    assert report.verdict == "bronze_to_silver, run 77: 1 of 3 tables failed: a"
    assert report.figures.startswith("processed 3, successful 1, failed 1, skipped 1; started 2026-02-02 02:40:00 UTC")
    assert [failure.keys for failure in report.failures] == [["a"]]


def test_a_summary_that_fails_alone_is_told() -> None:
    report = report_of(evidence(record(element("a"), summary("FAILED", ["a"]))))
    assert report.verdict == "bronze_to_silver, run 77: run_summary failed"
    assert report.bad


def test_all_well() -> None:
    report = report_of(evidence(record(element("a"), element("b"))))
    assert (report.bad, report.verdict) == (False, "bronze_to_silver, run 77: all 2 tables loaded")
    assert (report.failures, report.to_do) == ((), ())
    alone = report_of(evidence(record(element("a"))))
    assert alone.verdict == "bronze_to_silver, run 77: 1 table loaded"


def test_what_a_failure_holds_up() -> None:
    failed = [element("a", "FAILED", message="x")]
    after = [
        gate("gate_2", ["a"]),
        element("did_not", "UPSTREAM_FAILED", after=["gate_2"]),
        element("did", after=["a"], start=5),
        element("is_to", "blocked", after=["did"]),
        element("apart"),
    ]
    (failure,) = report_of(evidence(record(*failed, *after))).failures
    assert (failure.not_run, failure.ran, failure.ahead) == (("did_not",), ("did",), ("is_to",))


def test_what_failed_alike_stands_together_and_what_holds_up_most_is_first() -> None:
    report = report_of(
        evidence(
            record(
                element("leaf", "FAILED", message="disk full"),
                element("a", "FAILED", message="no table s.t.a"),
                element("b", "FAILED", message="no table s.t.b"),
                element("c", "UPSTREAM_FAILED", after=["a"]),
            )
        )
    )
    assert [failure.keys for failure in report.failures] == [["a", "b"], ["leaf"]]


def test_the_log_has_the_error_and_how_old_the_table_is() -> None:
    log = (
        load("a", run_id=69, start=-3 * DAY, seconds=4),
        load("a", run_id=70, start=-DAY, seconds=4, row_hash="one", wheel="1.0"),
        load("a", seconds=2, error="SchemaError: type of x narrows", row_hash="two", wheel="1.0"),
    )
    document = record(element("a", "FAILED", seconds=3, message="Workload failed, see run output", attempt_number=1))
    report = report_of(evidence(document, loads=log))
    (table,) = report.tables
    assert (table.error, table.cause) == ("SchemaError: type of x narrows",) * 2
    assert (table.row_changed, table.counts) == (True, None)
    assert report.failures[0].facts == (
        "FAILED after 3.0 s (attempt 2); last loaded 24 h ago by run 70",
        "its row has changed in execution_table since then",
    )


def test_another_wheel_makes_another_hash_that_says_nothing_of_the_row() -> None:
    log = (load("a", run_id=70, start=-DAY, row_hash="one", wheel="1"), load("a", error="x", row_hash="two", wheel="2"))
    report = report_of(evidence(record(element("a", "FAILED")), loads=log, good=good(element("a"))))
    assert not report.tables[0].row_changed
    assert "wheel 2; then 1" in report.changes


def test_a_timeout_says_what_is_usual() -> None:
    document = record(element("a", "TIMEDOUT", seconds=7200, message="ran longer than 7200 s"))
    report = report_of(evidence(document, loads=(load("a", run_id=70, start=-DAY, seconds=240),)))
    assert report.tables[0].error == "ran longer than 7200 s"
    assert report.failures[0].facts[0].startswith("TIMEDOUT after 2 h 00 min, usually 4 min 00 s; last loaded")


def test_a_table_killed_before_it_could_log_has_the_output_or_the_message() -> None:
    document = record(element("a", "FAILED", message="the process ended with signal 9"), element("b", "FAILED"))
    report = report_of(evidence(document, loads=(), outputs={"a": "out of memory"}))
    assert [table.error for table in report.tables] == ["out of memory", "no message, and no row in the run log"]


def test_what_is_new_since_the_last_good_run() -> None:
    before = [element("a", seconds=10), element("gone", seconds=1), element("c", seconds=20), element("d", seconds=2)]
    now = [element("a", seconds=31), element("new", seconds=1), element("c", seconds=21), element("d", seconds=4)]
    parameters = [{"name": "full_refresh", "default": "", "value": "a"}]
    log = [load("a", 5000, run_id=70, start=-DAY), load("c", 900, run_id=70, start=-DAY), load("a", 0), load("c", 910)]
    report = report_of(evidence(record(*now, job_parameters=parameters), good=good(*before), loads=tuple(log)))
    assert report.changes == (
        "new in the job: new",
        "no longer in this run: gone",
        "job parameters: full_refresh=a; then: none",
        "slower: a 31 s, then 10 s (3.1 times)",
        "rows read: a 0, then 5,000",
    )
    assert report.compared.startswith("run 70 of 2026-02-02")


@pytest.mark.parametrize(("then", "now"), [("", "2026-02-02"), ("2026-02-01", "2026-02-02"), ("2026-02-01", "")])
def test_rows_of_an_incremental_load_may_be_any_number(then: str, now: str) -> None:
    log = (load("a", 90_000, run_id=70, start=-DAY, watermark_from=then), load("a", 12, watermark_from=now))
    assert report_of(evidence(record(element("a")), good=good(element("a")), loads=log)).changes == ()


def test_a_run_going_on() -> None:
    document = record(
        element("a", "FAILED", message="x", seconds=3),
        element("b", "running", start=5),
        element("c", "running", start=1),
        element("d", "blocked", after=["b"]),
    )
    report = report_of(evidence(document, now=START + 65_000))
    assert report.verdict == "bronze_to_silver, run 77: 1 of 4 tables failed so far: a"
    assert "processed 1, successful 0, failed 1, skipped 0, running 2, waiting 1" in report.figures
    assert "1 min 05 s so far" in report.figures
    assert [(task.key, task.seconds) for task in report.running] == [("c", 64.0), ("b", 60.0)]
    assert len(report.to_do) == 1


def test_what_has_failed_and_is_tried_again_is_told_before_it_fails_for_good() -> None:
    """As localjobs writes it, one element with the next attempt's number; and as the service does, one for each."""
    waits = element("a", "waiting_for_retry", attempt_number=1, message="attempt 1: exit code 1") | {"end_time": 0}
    first = element("b", "FAILED", message="cluster lost")
    second = element("b", "pending", attempt_number=1)
    document = record(waits, first, second, element("c"))
    error = load("a", error="SourceError: no such column")
    report = report_of(evidence(document, now=START + 9_000, loads=(error,)))
    assert not report.bad
    assert report.verdict == "bronze_to_silver, run 77: no table has failed so far"
    assert report.notes == (
        "a has failed and is tried again (attempt 2): SourceError: no such column",
        "b has failed and is tried again (attempt 2): cluster lost",
    )
    assert report.tables[0].error == "SourceError: no such column"
    assert report.tables[0].seconds == 9.0


def test_nothing_is_promised_of_what_a_notebook_left_behind() -> None:
    ours = report_of(evidence(record(element("a", "FAILED"))))
    theirs = report_of(evidence(record(element("a", "FAILED", notebook_task={"notebook_path": "/x"}))))
    assert ours.to_do == ("mend what the errors say (in full below); nothing of a failed load was written",)
    assert theirs.to_do == ("mend what the errors say (in full below)",)


def test_a_run_that_failed_before_its_tasks() -> None:
    document = record(element("a", "CANCELED", seconds=0) | {"start_time": 0, "end_time": 0}, result="FAILED")
    document["state"]["state_message"] = "the workspace could not be prepared"
    report = report_of(evidence(document, again=("python -m localjobs run JOB_FILE",)))
    assert report.bad
    assert report.to_do[-1] == "python -m localjobs run JOB_FILE"


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            "LoadError: 60 % of the rows would be deleted\nset override_guards",
            "LoadError: 60 % of the rows would be deleted",
        ),
        ("\n\n  out of memory", "out of memory"),
        ("", ""),
        (TRACEBACK.format(column="x"), TRACEBACK.format(column="x").splitlines()[-1].partition("connect.")[2]),
        ("Traceback (most recent call last):\n  File ...\nKeyError: 'a'\n", "KeyError: 'a'"),
        ("Traceback (most recent call last):\n  cut off", "Traceback (most recent call last):"),
    ],
)
def test_one_line_says_what_went_wrong(error: str, cause: str) -> None:
    assert cause_of(error) == cause


def test_a_large_night_adds_up() -> None:
    report: Report = report_of(night(140, 9, policy="skip"))
    fates = [table.fate for table in report.tables]
    assert len(fates) == 140
    assert sum(len(failure.tables) for failure in report.failures) == fates.count("failed") == 9
    assert {key for failure in report.failures for key in failure.not_run} == {
        table.key for table in report.tables if table.fate == "skipped"
    }


def test_a_load_that_could_not_be_logged_is_not_said_to_have_written_nothing() -> None:
    error = "NotLoggedError: s.t.a: loaded, but not logged: cannot write to the run log"
    wheel = {"named_parameters": {"target_table": "s.t.a"}}
    night = record(*(element(key, "FAILED", python_wheel_task=wheel) for key in "ab"))
    report = report_of(evidence(night, outputs={"a": error, "b": "GuardError: s.t.b: empty"}, again=("again",)))
    assert "loaded, but not logged: a, whose next load finds its rows unchanged and logs" in report.to_do[0]
    assert "nothing of the others was written" in report.to_do[0]


def test_rows_that_are_left_out_of_the_job_are_named() -> None:
    wheel = {"entry_point": "summarize", "named_parameters": {"skipped": '{"dim_x": "scd9"}'}}
    report = report_of(evidence(record(element("a"), element("run_summary", python_wheel_task=wheel))))
    assert "left out of the job, their execution_pipeline is unknown: dim_x (scd9)" in report.notes
