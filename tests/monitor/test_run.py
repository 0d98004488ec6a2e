from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from monitor.graph import Dependents, critical_path, cycle, levels
from monitor.run import Run, State, read_run
from tests.monitor.records import START, element, gate, record


def run_of(*tasks: Any, **more: Any) -> Run:
    run, problems = read_run(record(*tasks, **more))
    assert run is not None, problems
    return run


@pytest.mark.parametrize(
    ("word", "fate"),
    [
        ("SUCCESS", "succeeded"),
        ("SUCCESS_WITH_FAILURES", "succeeded"),
        ("FAILED", "failed"),
        ("TIMEDOUT", "failed"),
        ("CANCELED", "failed"),
        ("MAXIMUM_CONCURRENT_RUNS_REACHED", "failed"),
        ("INTERNAL_ERROR", "failed"),
        ("A_RESULT_OF_NEXT_YEAR", "failed"),
        ("UPSTREAM_FAILED", "skipped"),
        ("UPSTREAM_CANCELED", "skipped"),
        ("EXCLUDED", "skipped"),
        ("DISABLED", "skipped"),
        ("RUNNING", "running"),
        ("TERMINATING", "running"),
        ("PENDING", "waiting"),
        ("QUEUED", "waiting"),
        ("BLOCKED", "waiting"),
        ("WAITING_FOR_RETRY", "waiting"),
    ],
)
def test_every_word_of_the_api_has_a_fate(word: str, fate: str) -> None:
    assert State(word=word).fate == fate


def test_attempts_of_one_task_stand_together_the_latest_last() -> None:
    retried = element("a", "SUCCESS", start=10, attempt_number=1)
    run = run_of(retried, element("a", "FAILED", start=0), element("b", after=["a", "not_selected"]))
    assert [task.key for task in run.tasks] == ["a", "b"]
    assert [(a.number, a.state.word) for a in run.tasks[0].attempts] == [(1, "FAILED"), (2, "SUCCESS")]
    assert run.tasks[1].depends_on == ("a",)  # with --only a record names tasks that did not come along


def test_a_skipped_task_took_no_time() -> None:
    skipped = element("a", "UPSTREAM_FAILED") | {"start_time": START, "end_time": START}
    assert run_of(skipped).tasks[0].last.start == 0


def test_the_layer_is_the_name_without_what_a_development_deployment_adds() -> None:
    assert run_of(element("a"), run_name="[dev ada_park] bronze_to_silver").layer == "bronze_to_silver"


def test_only_what_was_set_is_a_parameter() -> None:
    given = [
        {"name": "mine", "default": "1", "value": "2"},
        {"name": "full_refresh", "default": "", "value": "all"},
        {"name": "reconcile", "default": "", "value": ""},
        {"name": "reload_from", "default": ""},
    ]
    assert list(run_of(element("a"), job_parameters=given).parameters.items()) == [
        ("full_refresh", "all"),
        ("mine", "2"),
    ]


def test_a_page_that_is_no_page_is_no_link() -> None:
    run = run_of(element("a", run_page_url="javascript:alert(1)"), run_page_url="https://h.example/x")
    assert (run.url, run.tasks[0].last.url) == ("https://h.example/x", "")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "expected the object"),
        ({}, "run_id: expected a number"),
        ({"run_id": 1, "start_time": 1, "tasks": []}, "tasks: expected a list"),
        ({"run_id": True, "start_time": "x", "tasks": [{}]}, "tasks: number 1 has no task_key"),
        ({"run_id": 1, "start_time": 1, "tasks": ["a"]}, "tasks: number 1 has no task_key"),
    ],
)
def test_what_is_no_record_says_why(document: object, said: str) -> None:
    run, problems = read_run(document)
    assert run is None
    assert any(said in problem for problem in problems)


def test_a_record_of_odd_values_is_read_all_the_same() -> None:
    odd = {"task_key": "a", "state": {"life_cycle_state": "TERMINATED", "result_state": 7}, "start_time": "soon"}
    odd |= {"depends_on": ["b", {"task_key": "a2"}], "python_wheel_task": {"named_parameters": None}}
    run, problems = read_run({"run_id": 1, "start_time": 1, "tasks": [odd], "repair_history": "none"})
    assert problems == []
    assert run is not None
    assert run.tasks[0].last.start == 0


def test_levels_are_orders_with_barriers_and_with_gates() -> None:
    barrier = run_of(element("a"), element("b"), element("c", after=["a", "b"]), element("d", after=["c"]))
    assert levels(barrier) == {"a": 1, "b": 1, "c": 2, "d": 3}
    gates = run_of(element("a"), gate("gate_2", ["a"]), element("c", after=["gate_2"]), element("d", after=["c"]))
    assert levels(gates) == {"a": 1, "gate_2": 1, "c": 2, "d": 3}


def test_dependents_are_those_of_dependents_too() -> None:
    run = run_of(element("a"), gate("g", ["a"]), element("b", after=["g"]), element("c", after=["b"]), element("d"))
    after = Dependents(run)
    assert after.of("a") == ["g", "b", "c"]
    assert after.of("d") == []


def test_300_000_edges_are_no_trouble() -> None:
    """990 tasks in three orders, as the generator writes them with barriers."""
    names = [[f"t{order}_{n}" for n in range(330)] for order in range(3)]
    tasks = [element(key, after=names[order - 1] if order else []) for order in range(3) for key in names[order]]
    run = run_of(*tasks)
    after = Dependents(run)
    assert len(after.of("t0_7")) == 660
    assert levels(run)["t2_0"] == 3


def test_the_critical_path_leads_over_what_was_waited_for_longest() -> None:
    run = run_of(
        element("a", start=0, seconds=10),
        element("b", start=0, seconds=30),
        element("skipped", "EXCLUDED", after=["b"]),
        element("c", start=35, seconds=5, after=["a", "skipped"]),
        element("d", start=35, seconds=1, after=["a"]),
    )
    path = critical_path(run, run.end)
    assert [(step.task_key, step.took, step.waited) for step in path] == [("b", 30_000, 0), ("c", 5_000, 5_000)]


def test_the_critical_path_of_a_repaired_run_leaves_out_what_ran_before_the_repair() -> None:
    run = run_of(
        element("a", "FAILED", start=0, seconds=10),
        element("a", attempt_number=1, start=100, seconds=20),
        element("b", start=10, seconds=5, after=["a"]),
        element("b", attempt_number=1, start=121, seconds=6, after=["a"]),
    )
    path = critical_path(run, run.end)
    assert [(step.task_key, step.took, step.waited) for step in path] == [("a", 120_000, 0), ("b", 6_000, 1_000)]


def test_the_critical_path_of_a_run_going_on_ends_now() -> None:
    run = run_of(element("a", seconds=10), element("b", "running", start=10, after=["a"]))
    assert [step.end - START for step in critical_path(run, START + 60_000)] == [10_000, 60_000]


def test_nothing_started_has_no_path() -> None:
    assert critical_path(run_of(element("a", "pending")), START) == ()


def test_a_cycle_is_told() -> None:
    assert set(cycle(run_of(element("a", after=["b"]), element("b", after=["a"]))).split(" <- ")) == {"a", "b"}
    assert cycle(run_of(element("a"), element("b", after=["a"]))) == ""


def test_a_record_that_the_databricks_cli_printed_is_read(tmp_path: Path) -> None:
    """`databricks jobs get-run` leaves out what is empty."""
    task = {
        "task_key": "a",
        "run_id": 2,
        "state": {"life_cycle_state": "PENDING"},
        "notebook_task": {"notebook_path": "/x"},
    }
    document = {"run_id": 1, "start_time": START, "state": {"life_cycle_state": "PENDING"}, "tasks": [task]}
    run, problems = read_run(json.loads(json.dumps(document)))
    assert problems == []
    assert run is not None
    assert (run.going_on, run.tasks[0].body, run.run_log) == (True, "notebook_task", "")
