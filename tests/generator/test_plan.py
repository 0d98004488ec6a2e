from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.context import Context
from generator.plan import Gate, Load, Plan, make_plans
from tests.generator.rows import context, entries, row, sentences, tables

ORDERS = st.lists(st.integers(1, 6), min_size=1, max_size=12)


def plan(where: Context, *rows: dict[str, object]) -> Plan:
    plans, problems = make_plans(entries(*rows), where)
    assert problems == ()
    return plans[0]


@pytest.fixture(scope="module", params=["barrier", "gate"])
def edges(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Context:
    layers = {"bronze_to_silver": {"edges": request.param}}
    return context(tmp_path_factory.mktemp("plan"), layers=layers)


def waits(found: Plan) -> dict[str, list[str]]:
    return {task.task_key: [dependency.task_key for dependency in task.waits.on] for task in found.tasks}


def test_barrier_edges_and_gaps(tmp_path: Path) -> None:
    found = plan(context(tmp_path), *tables(10, 30, 10, 20))
    assert waits(found) == {
        "t000": [],
        "t002": [],
        "t003": ["t000", "t002"],
        "t001": ["t003"],
        "run_summary": ["t001"],
    }
    assert found.orders == (10, 20, 30)
    assert found.edges == 4


def test_gates(tmp_path: Path) -> None:
    layers = {"bronze_to_silver": {"edges": "gate", "on_upstream_failure": "skip"}}
    found = plan(context(tmp_path, layers=layers), *tables(1, 1, 2, 2, 5))
    assert waits(found) == {
        "t000": [],
        "t001": [],
        "gate_2": ["t000", "t001"],
        "t002": ["gate_2"],
        "t003": ["gate_2"],
        "gate_5": ["t002", "t003"],
        "t004": ["gate_5"],
        "run_summary": ["t004"],
    }
    assert found.task("t002").waits.on[0].outcome == "true"
    assert {task.run_if for task in found.tasks[:-1]} == {"ALL_SUCCESS"}
    assert found.tasks[-1].run_if == "ALL_DONE"


@given(orders=ORDERS)
def test_every_task_runs_after_all_of_the_smaller_orders_and_none_of_the_larger(
    edges: Context, orders: list[int]
) -> None:
    found = plan(edges, *tables(*orders))
    before = waits(found)
    order_of = {task.task_key: task.order for task in found.tasks if isinstance(task.action, Load)}
    above: dict[str, set[str]] = defaultdict(set)
    for task in found.tasks:  # they stand in an order in which they could run
        for key in before[task.task_key]:
            above[task.task_key] |= {key, *above[key]}
    for key, order in order_of.items():
        loads = {other for other in above[key] if other in order_of}
        assert loads == {other for other, smaller in order_of.items() if smaller < order}
    assert above["run_summary"] >= set(order_of)
    leaves = {task.task_key for task in found.tasks} - {key for on in before.values() for key in on}
    assert leaves == {"run_summary"}


@given(orders=ORDERS)
def test_gates_need_an_edge_for_each_task_and_side(orders: list[int], edges: Context) -> None:
    found = plan(edges, *tables(*orders))
    if any(isinstance(task.action, Gate) for task in found.tasks):
        assert found.edges <= 2 * len(orders)


def test_inactive_and_unknown_rows_are_left_out(tmp_path: Path) -> None:
    rows = *tables(1, 2), row(is_active_flag=None), row(dst_table_name="odd", execution_pipeline="scd9")
    found = plan(context(tmp_path, on_unknown_pipeline="skip"), *rows)
    assert [task.task_key for task in found.loads] == ["t000", "t001"]
    assert found.tasks[-1].action.skipped == (("odd", "scd9"),)  # type: ignore[union-attr]
    assert found.tasks[-1].action.tables == 2  # type: ignore[union-attr]


def test_a_list_of_nothing_has_no_name(tmp_path: Path) -> None:
    """Two tasks of the first order whose reads are not known would refer to a list that stands nowhere."""
    runners = {"nb": {"notebook_task": {"notebook_path": "x"}}}
    where = context(tmp_path, layers={"bronze_to_silver": {"edges": "lineage"}}, runners=runners)
    found = plan(where, *tables(1, 1, 2, 2, execution_pipeline="nb"))
    assert [task.waits.name for task in found.loads] == ["", "", "before_order_2", "before_order_2"]


def test_a_plan_for_each_layer(tmp_path: Path) -> None:
    rows = row(layer="b"), row(layer="a"), row(layer="c", is_active_flag=False)
    assert [found.layer for found in make_plans(entries(*rows), context(tmp_path))[0]] == ["a", "b"]


def test_many_edges_are_said(tmp_path: Path) -> None:
    where = context(tmp_path)
    _, problems = make_plans(entries(*tables(*([1] * 71 + [2] * 71))), where)
    assert sentences(problems) == [
        (
            "layers.bronze_to_silver: layer bronze_to_silver has 5,112 edges, "
            "which the bundle's CLI takes long to read; set edges: gate for it"
        )
    ]
    assert problems[0].severity == "warning"
