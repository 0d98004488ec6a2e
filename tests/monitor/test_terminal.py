from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from monitor.report import report_of
from monitor.run_log import COUNTS
from monitor.terminal import show, show_first
from tests.monitor.records import element, evidence, load, night, record


def shown(made: object, width: int = 200, *, terminal: bool = False, first: bool = False) -> str:
    output = io.StringIO()
    colours = "standard" if terminal else None
    console = Console(
        file=output, width=width, height=10_000, force_terminal=terminal, color_system=colours, _environ={}
    )
    (show_first if first else show)(console, report_of(made))  # type: ignore[arg-type]
    return output.getvalue()


def test_the_first_screen_says_what_failed_what_it_holds_up_and_what_to_do() -> None:
    lines = shown(night(140, 9, policy="skip"), 100, first=True, terminal=True).splitlines()
    assert len(lines) <= 40
    text = "\n".join(lines)
    assert "9 of 140 tables failed" in lines[0]
    assert "holds up 63 tables: 59 did not run" in text
    assert "databricks jobs repair-run 77 --rerun-all-failed-tasks --rerun-dependent-tasks" in lines[-2]


def test_every_failure_stands_there_with_its_full_error() -> None:
    made = night(30, 5, causes=2)
    text = shown(made)
    failed = [task for task in made.run.tasks if task.fate == "failed" and task.kind == "table"]
    assert len(failed) == 5
    for task in failed:
        assert f"\n{task.key}  {task.last.state.word} (" in text
    errors = {table.error for table in report_of(made).tables if table.error}
    assert len(errors) < len(failed)
    assert text.count("Traceback (most recent call last)") == len(errors)  # the same text once


def test_without_a_terminal_there_are_plain_lines_that_are_not_broken() -> None:
    text = shown(night(30, 1))
    assert "\x1b" not in text
    assert any(len(line) > 150 for line in text.splitlines())


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_narrow_terminal_is_enough(width: int) -> None:
    lines = shown(night(30, 2, policy="skip"), width).splitlines()
    table = lines[lines.index("tables") + 2 :]
    assert all(len(line) <= width for line in table)
    assert any("UPSTREAM_FAILED"[: width // 4] in line for line in table)


def test_columns_that_do_not_fit_are_left_out_the_state_is_not() -> None:
    counted = tuple(load(f"t{n}", 10**6, pipeline="fact_incremental_merge") for n in range(3))
    text = shown(evidence(record(*(element(f"t{n}") for n in range(3))), loads=counted), 60)
    head = next(line for line in text.splitlines() if line.startswith("table "))
    assert "state" in head
    assert "pipeline" not in head
    assert "SUCCESS" in text


def test_counts_that_are_nowhere_have_no_column() -> None:
    text = shown(evidence(record(element("a")), loads=(load("a", 5),)))
    head = next(line for line in text.splitlines() if line.startswith("table "))
    assert head.split() == ["table", "pipeline", "state", "read", "new", "+rows", "seconds"]
    assert len(COUNTS) == 14


def test_without_the_run_log_the_record_alone_is_shown() -> None:
    text = shown(evidence(record(element("a")), without_log="there is no run log at here"))
    assert "no counts: there is no run log at here" in text
    head = next(line for line in text.splitlines() if line.startswith("table "))
    assert head.split() == ["table", "pipeline", "state", "seconds"]


def test_what_data_says_cannot_steer_the_terminal() -> None:
    text = shown(
        evidence(
            record(element("evil\x1b[2J[bold]", "FAILED", message="boom\x1b]0;title\x07 \u202eabc \ud800 [red]x[/]"))
        )
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\u202e" not in text
    assert "[bold]" in text  # no markup of ours
    text.encode()


def test_a_report_that_does_not_fit_goes_through_the_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    paged: list[str] = []
    monkeypatch.delenv("LESS", raising=False)
    monkeypatch.setattr("pydoc.pager", paged.append)
    output = io.StringIO()
    small = Console(file=output, width=80, height=20, force_terminal=True, _environ={})
    show(small, report_of(night(30, 1)))
    assert output.getvalue() == ""
    assert "1 of 30 tables failed" in paged[0]
    assert os.environ["LESS"] == "FRX"
    show_first(small, report_of(night(30, 1)))
    assert "1 of 30 tables failed" in output.getvalue()
