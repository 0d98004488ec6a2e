"""How long a run still takes: against schedules worked out by hand, and records of earlier runs."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from localjobs.estimate import earlier, estimate
from localjobs.job import Dependency, Job, Task, WheelTask
from localjobs.record import RunRecord, TaskRun

_BODY = WheelTask(package_name="p", entry_point="e")


def _task(key: str, *waits: str) -> Task:
    return Task(task_key=key, body=_BODY, depends_on=tuple(Dependency(task_key=wait) for wait in waits))


# a and b first, then c after both, then d after c; e stands alone.
_TASKS = (_task("a"), _task("b"), _task("c", "a", "b"), _task("d", "c"), _task("e"))
_TOOK = {"a": 10.0, "b": 30.0, "c": 5.0, "d": 20.0, "e": 40.0}


def _runs(**states: str) -> list[TaskRun]:
    """Runs of the tasks at second 100: `ended`, `waits`, or the second at which one began."""
    made = []
    for task in _TASKS:
        state = states[task.task_key]
        life = {"ended": "TERMINATED", "waits": "BLOCKED"}.get(state, "RUNNING")
        start = int(state) * 1000 if life == "RUNNING" else 0
        made.append(TaskRun(task=task, life_cycle_state=life, start_time=start))
    return made


@pytest.mark.parametrize(
    ("at_once", "states", "left"),
    [
        (9, {"a": "waits", "b": "waits", "c": "waits", "d": "waits", "e": "waits"}, 55.0),  # b, c, d
        (1, {"a": "waits", "b": "waits", "c": "waits", "d": "waits", "e": "waits"}, 105.0),  # all of it
        (2, {"a": "ended", "b": "80", "c": "waits", "d": "waits", "e": "waits"}, 40.0),  # e
        (9, {"a": "ended", "b": "80", "c": "waits", "d": "waits", "e": "ended"}, 35.0),  # 10 of b, c, d
        (9, {"a": "ended", "b": "20", "c": "waits", "d": "waits", "e": "ended"}, 25.0),  # b takes longer than ever
        (9, {"a": "ended", "b": "ended", "c": "ended", "d": "ended", "e": "ended"}, 0.0),
    ],
)
def test_the_rest_is_the_longest_chain_or_the_work_that_is_left(
    at_once: int, states: dict[str, str], left: float
) -> None:
    assert estimate(_TASKS, _TOOK, at_once).left(_runs(**states), 100.0) == left


def test_an_unknown_task_counts_as_the_median() -> None:
    expected = estimate(_TASKS, {"a": 1.0, "b": 2.0, "c": 30.0}, 9)
    waits = dict.fromkeys(_TOOK, "waits")
    assert expected.left(_runs(**waits), 100.0) == 34.0  # b 2, c 30, d 2


def test_nothing_is_told_of_what_is_not_known() -> None:
    assert estimate(_TASKS, {}, 2).left(_runs(**dict.fromkeys(_TOOK, "waits")), 100.0) is None


def _earlier_run(workspace: Path, run_id: int, job_id: int, dry_run: str = "", **tasks: tuple[str, int]) -> None:
    folder = workspace / "runs" / str(run_id)
    folder.mkdir(parents=True)
    told: list[dict[str, Any]] = [
        {"task_key": key, "state": {"result_state": result}, "start_time": 1000, "end_time": 1000 + took}
        for key, (result, took) in tasks.items()
    ]
    given = [{"name": "dry_run", "default": "", "value": dry_run}, {"name": "region", "default": "", "value": "true"}]
    record = {"job_id": job_id, "job_parameters": given, "tasks": told}
    (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")


def test_each_task_takes_what_it_took_when_it_last_succeeded(tmp_path: Path) -> None:
    _earlier_run(tmp_path, 1, 7, a=("SUCCESS", 1_000), b=("SUCCESS", 2_000))
    _earlier_run(tmp_path, 2, 7, a=("SUCCESS", 3_000), b=("FAILED", 9_000))
    _earlier_run(tmp_path, 3, 8, a=("SUCCESS", 50_000))
    _earlier_run(tmp_path, 10, 7, a=("SUCCESS", 70_000))  # after this one
    _earlier_run(tmp_path, 6, 7, dry_run="true", a=("SUCCESS", 40))
    (tmp_path / "runs" / "4").mkdir()
    (tmp_path / "runs" / "4" / "run.json").write_text('{"job_id": 7, "tasks": [', encoding="utf-8")
    (tmp_path / "runs" / "9").mkdir()
    record = RunRecord(
        file=tmp_path / "runs" / "9" / "run.json",
        run_id=9,
        job_id=7,
        job=Job(key="j", name="j", tasks=_TASKS),
        start=datetime(2024, 1, 1, tzinfo=timezone.utc),
    )
    assert earlier(record) == {"a": 3.0, "b": 2.0}
