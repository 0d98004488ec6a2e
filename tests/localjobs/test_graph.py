from __future__ import annotations

import pytest

from localjobs.graph import Order, order_problems, select
from localjobs.job import ConditionTask, Dependency, Job, Task, WheelTask
from localjobs.problem import UsageError

_WHEEL = WheelTask(package_name="p", entry_point="e")


def _task(key: str, *before: str, run_if: str = "ALL_SUCCESS") -> Task:
    dependencies = tuple(Dependency(task_key=word.split("=")[0], outcome=word.partition("=")[2]) for word in before)
    body = ConditionTask(left="1", op="EQUAL_TO", right="1") if key.startswith("if") else _WHEEL
    return Task(task_key=key, body=body, depends_on=dependencies, run_if=run_if)


def _job(*tasks: Task) -> Job:
    return Job(key="j", name="j", tasks=tasks)


def test_an_unknown_dependency_is_named_with_the_nearest_key() -> None:
    assert order_problems(_job(_task("dim_customer"), _task("fact", "dim_custmer"))) == [
        "task fact depends_on: there is no task dim_custmer; did you mean dim_customer?"
    ]


def test_a_cycle_is_shown_as_a_path() -> None:
    problems = order_problems(_job(_task("a", "c"), _task("b", "a"), _task("c", "b"), _task("d")))
    assert len(problems) == 1
    path = problems[0].split(": ")[1].split(";")[0].split(" <- ")
    assert path[0] == path[-1]
    assert set(path) == {"a", "b", "c"}


def test_only_a_condition_has_an_outcome() -> None:
    assert order_problems(_job(_task("a"), _task("b", "a=true"))) == [
        "task b depends_on: a is no condition_task, so it has no outcome"
    ]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (["b"], {"b": set()}),
        (["+b"], {"a": set(), "b": {"a"}}),
        (["b+"], {"b": set(), "c": {"b"}, "d": {"c"}}),
        (["a", "d"], {"a": set(), "d": {"a"}}),
        (["+b+"], {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}}),
    ],
)
def test_a_selection_keeps_the_order(only: list[str], expected: dict[str, set[str]]) -> None:
    job = _job(_task("a"), _task("b", "a"), _task("c", "b"), _task("d", "c"))
    chosen = select(job, only)
    assert {task.task_key: {d.task_key for d in task.depends_on} for task in chosen.tasks} == expected


def test_an_unknown_key_of_only_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"--only: there is no task dim_cust; did you mean dim_customer\?"):
        select(_job(_task("dim_customer")), ["dim_cust"])


def test_a_task_is_judged_when_the_last_of_its_dependencies_has_ended() -> None:
    order = Order([_task("a"), _task("b"), _task("c", "a", "b", run_if="ALL_DONE"), _task("d", "a", "b")])
    assert order.first() == [("a", "RUN"), ("b", "RUN")]
    assert order.finish("a", "FAILED") == []
    assert order.finish("b", "SUCCESS") == [("c", "RUN"), ("d", "UPSTREAM_FAILED")]
    assert order.leaves == {"c", "d"}


def test_a_task_waits_for_the_outcome_it_names() -> None:
    order = Order([_task("if_x"), _task("then", "if_x=true"), _task("else", "if_x=false")])
    assert order.finish("if_x", "SUCCESS", "false") == [("then", "EXCLUDED"), ("else", "RUN")]


def test_a_condition_that_failed_has_no_outcome_to_miss() -> None:
    order = Order([_task("if_x"), _task("then", "if_x=true")])
    assert order.finish("if_x", "FAILED") == [("then", "UPSTREAM_FAILED")]
