from __future__ import annotations

from typing import Any

import pytest

from localjobs.job import OPERATORS, RUN_IF, ConditionTask, Dependency, OtherTask, WheelTask, read_job, unsupported

_WHEEL = {"package_name": "p", "entry_point": "e"}


def _problems(*tasks: Any, **job: Any) -> list[str]:
    return read_job("nightly", {"tasks": list(tasks), **job})[1]


def test_a_job_is_read_with_the_defaults_of_the_service() -> None:
    wheel = {"task_key": "a", "python_wheel_task": {**_WHEEL, "named_parameters": {"k": 1, "flag": True}}}
    gate = {
        "task_key": "b",
        "depends_on": [{"task_key": "a", "outcome": True}],
        "run_if": "ALL_DONE",
        "condition_task": {"left": 1, "op": "EQUAL_TO", "right": "1"},
    }
    job, problems = read_job("nightly", {"tasks": [wheel, gate], "parameters": [{"name": "x", "default": ""}]})
    assert problems == []
    assert job is not None
    assert (job.name, job.parameters, job.timeout_seconds) == ("nightly", {"x": ""}, 0)
    first, second = job.tasks
    assert first.body == WheelTask(package_name="p", entry_point="e", named_parameters={"k": "1", "flag": "true"})
    assert (first.run_if, first.max_retries, first.timeout_seconds) == ("ALL_SUCCESS", 0, 0)
    assert second.body == ConditionTask(left="1", op="EQUAL_TO", right="1")
    assert second.depends_on == (Dependency(task_key="a", outcome="true"),)


def test_everything_wrong_is_said_at_once() -> None:
    good = {"task_key": "a", "python_wheel_task": _WHEEL}
    assert _problems(
        good,
        {**good, "run_if": "ALWAYS", "timeout_seconds": "soon", "max_retries": -2, "retry_on_timeout": "maybe"},
        {"task_key": "b c", "python_wheel_task": {"package_name": "p", "entrypoint": "e"}},
        {"task_key": "d", "python_wheel_task": {**_WHEEL, "parameters": ["1"], "named_parameters": {"k": "v"}}},
        {"task_key": "e", "condition_task": {"left": "1", "op": "EQUALS", "right": "1"}, "depends_on": "a"},
        {"python_wheel_task": _WHEEL},
    ) == [
        f"task a run_if: expected one of {', '.join(RUN_IF)}, found 'ALWAYS'",
        "task a timeout_seconds: expected a whole number from 0, found 'soon'",
        "task a max_retries: expected a whole number from -1, found -2",
        "task a retry_on_timeout: expected true or false, found 'maybe'",
        "task b c: a task_key has 1 to 100 of the characters A-Z a-z 0-9 _ -",
        "task b c python_wheel_task: unknown field entrypoint; did you mean entry_point?",
        "task b c python_wheel_task: entry_point is required",
        "task d python_wheel_task: has parameters and named_parameters; the service takes one of them",
        f"task e condition_task op: expected one of {', '.join(OPERATORS)}, found 'EQUALS'",
        "task e depends_on: expected a list of {task_key}",
        "task number 6: has no task_key",
        "task a: stands 2 times; the service would keep one of them",
    ]


@pytest.mark.parametrize("tasks", [None, [], "a"])
def test_a_job_without_tasks_is_none(tasks: object) -> None:
    job, problems = read_job("nightly", {"tasks": tasks})
    assert job is None
    assert "has no tasks" in problems[0]


def test_a_type_that_does_not_run_here_is_named() -> None:
    notebook = {"task_key": "a", "sql_task": {"file": {"path": "x"}}}
    job, problems = read_job("nightly", {"tasks": [notebook, {"task_key": "b"}]})
    assert problems == []
    assert job is not None
    assert job.tasks[0].body == OtherTask(kind="sql_task")
    runs = "python_wheel_task, condition_task, run_job_task, notebook_task, spark_python_task, for_each_task"
    rest = f"does not run here ({runs} do); choose others with --only"
    assert unsupported(job) == [f"task a: sql_task {rest}", f"task b: a task without a type {rest}"]
