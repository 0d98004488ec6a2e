from __future__ import annotations

import io

import pytest
from rich.console import Console

from localjobs.estimate import estimate
from localjobs.job import Task, WheelTask
from localjobs.progress import Lines, draw, duration, overview
from localjobs.record import TaskRun


def _run(key: str, life: str, result: str = "", start: int = 0, end: int = 0, attempt: int = 0) -> TaskRun:
    task = Task(task_key=key, body=WheelTask(package_name="p", entry_point="e"))
    return TaskRun(
        task=task,
        life_cycle_state=life,
        result_state=result,
        state_message="boom\nmore" if result == "FAILED" else "",
        start_time=start,
        end_time=end,
        attempt_number=attempt,
    )


_RUNS = [
    _run("done", "TERMINATED", "SUCCESS", 1_000, 3_500),
    _run("bad", "TERMINATED", "FAILED", 1_000, 2_000),
    _run("short", "RUNNING", start=9_000),
    _run("long", "RUNNING", start=4_000, attempt=1),
    _run("later", "BLOCKED"),
    _run("again", "WAITING_FOR_RETRY", start=1_000),
]


def test_an_overview_counts() -> None:
    seen = overview(_RUNS, 10.0)
    assert (seen.total, seen.done, seen.bad, seen.waiting, seen.again) == (6, 2, 1, 2, 1)
    assert seen.running == (("long", 6.0, 2), ("short", 1.0, 1))


def test_the_picture_fits_its_height() -> None:
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as captured:
        console.print(draw(overview(_RUNS, 10.0), "nightly 7", 12.0, 1))
    title, head, *rows = captured.get().splitlines()
    assert title == "nightly 7, 12 s"
    assert head.endswith("━  2/6 done  1 not succeeded  2 running  2 waiting (1 to be tried again)")
    assert [row.split() for row in rows] == [["long", "6.0", "s", "attempt", "2"], ["and", "1", "more"]]


def test_the_picture_says_how_long_it_still_takes() -> None:
    expected = estimate([run.task for run in _RUNS], {"short": 5.0, "long": 8.0, "later": 100.0, "again": 3.0}, 1)
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as captured:
        console.print(draw(overview(_RUNS, 10.0, expected), "nightly 7", 12.0, 1))
    assert captured.get().splitlines()[0] == "nightly 7, 12 s, about 1 min 49 s left"  # 4, 2, 100 and 3 s of work


def test_elsewhere_each_ended_task_is_a_line() -> None:
    out = io.StringIO()
    lines = Lines(Console(file=out, width=60), 6)
    lines.ended(_RUNS[0])
    lines.ended(_RUNS[1])
    lines.retries(_RUNS[3], "FAILED", 60.0)
    assert out.getvalue().splitlines() == [
        "[1/6] SUCCESS          2.5 s  done",
        "[2/6] FAILED           1.0 s  bad  boom",
        "FAILED long, attempt 3 in 1 min 00 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (9.94, "9.9 s"), (59.6, "1 min 00 s"), (12, "12 s"), (3725, "1 h 02 min")]
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
