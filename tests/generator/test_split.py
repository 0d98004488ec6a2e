"""Layers that one job does not hold: children with parts of the orders, the parent with all order between them."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.build import Build, build
from generator.cli import main
from generator.difference import differences
from generator.explain import explain
from generator.graph import graph
from generator.plan import Child, Load, Plan, make_plans
from generator.problem import sentence
from generator.render import publish
from generator.split import JobSize, divide, split, split_plans
from tests.generator.rows import context, entries, project, row, tables

SMALL = JobSize(job=5, child=3, children=4)
LAYER = "layers.bronze_to_silver"
Rows = list[dict[str, object]]


def made(folder: Path, rows: Rows, size: JobSize = SMALL, **settings: object) -> Build:
    built, problems = build(project(folder, rows, **settings), size)
    assert built is not None, [sentence(problem) for problem in problems]
    return built


def layer(**settings: object) -> dict[str, dict[str, object]]:
    return {"bronze_to_silver": settings}


def before(plan: Plan) -> dict[str, set[str]]:
    """Of each table, those whose end it waits for, in its own job or through the parent's tasks."""
    done: dict[str, set[str]] = {}
    children = {child.key: child for child in plan.children}
    for task in plan.tasks:
        above = set().union(*(done[on.task_key] for on in task.waits.on)) if task.waits.on else set[str]()
        done[task.task_key] = above
        if isinstance(task.action, Child):
            for load in children[task.action.key].tasks:
                done[load.task_key] = above.union(*({on.task_key, *done[on.task_key]} for on in load.waits.on))
                done[task.task_key] = done[task.task_key] | {load.task_key, *done[load.task_key]}
    return done


@settings(deadline=None)
@given(
    orders=st.lists(st.integers(1, 4), min_size=1, max_size=30),
    edges=st.sampled_from(["barrier", "gate"]),
    lanes=st.sampled_from([None, 1, 2, 4]),
)
def test_any_layer_is_divided_with_its_orders(
    tmp_path_factory: pytest.TempPathFactory, orders: list[int], edges: str, lanes: int | None
) -> None:
    where = context(tmp_path_factory.mktemp("split"), layers=layer(edges=edges, max_parallel_tasks=lanes))
    whole = make_plans(entries(*tables(*orders)), where)[0][0]
    plan = split(whole, SMALL)
    if len(whole.tasks) <= SMALL.job:
        assert plan is whole
        return
    order_of = {task.task_key: task.order for task in whole.loads}
    assert {task.task_key: task.order for task in plan.loads} == order_of
    assert [task.task_key for task in plan.loads] == [task.task_key for task in whole.loads]
    for child in plan.children:
        assert 1 <= len(child.tasks) <= SMALL.child
        assert {task.order for task in child.tasks} == {child.tasks[0].order}
        assert all(isinstance(task.action, Load) for task in child.tasks)
        own = {task.task_key for task in child.tasks}
        assert {on.task_key for task in child.tasks for on in task.waits.on} <= own
        assert lanes is None or sum(not task.waits.on for task in child.tasks) <= lanes
    above = before(plan)
    for key, order in order_of.items():
        assert {k for k in above[key] if k in order_of and order_of[k] != order} == {
            other for other, smaller in order_of.items() if smaller < order
        }
    assert above["run_summary"] >= order_of.keys()
    children = [task for task in plan.tasks if isinstance(task.action, Child)]
    assert [task.task_key for task in children] == [child.part for child in plan.children]
    if lanes:  # of an order one child at a time
        for one, other in pairwise(children):
            assert one.order != other.order or [on.task_key for on in other.waits.on] == [one.task_key]


def test_a_layer_that_fits_is_the_same_to_the_byte(tmp_path: Path) -> None:
    rows = tables(1, 1, 2, 2)
    assert made(tmp_path, rows).texts == made(tmp_path, rows, JobSize()).texts


def test_what_parent_and_children_say(tmp_path: Path) -> None:
    job = {
        "name": "Nightly",
        "parameters": [{"name": "region", "default": "eu"}],
        "schedule": {"quartz_cron_expression": "0 0 3 * * ?", "timezone_id": "UTC"},
        "email_notifications": {"on_failure": ["data@example.com"]},
        "timeout_seconds": 3600,
        "tags": {"team": "data"},
        "max_concurrent_runs": 2,
    }
    built = made(tmp_path, tables(1, 1, 1, 1, 2), layers=layer(job=job))
    jobs: dict[str, dict[str, Any]] = {document.plan.key: document.job for document in built.documents}
    assert [*built.texts] == [f"{key}.job.yml" for key in jobs]
    parent, child = jobs["bronze_to_silver"], jobs["bronze_to_silver__order_1_2"]
    assert [task["task_key"] for task in parent["tasks"]] == [
        "order_1_1",
        "order_1_2",
        "gate_2",
        "order_2_1",
        "run_summary",
    ]
    assert parent["tasks"][1] == {
        "task_key": "order_1_2",
        "run_job_task": {
            "job_id": "${resources.jobs.bronze_to_silver__order_1_2.id}",
            "job_parameters": {
                "dry_run": "{{job.parameters.dry_run}}",
                "full_refresh": "{{job.parameters.full_refresh}}",
                "override_guards": "{{job.parameters.override_guards}}",
                "reconcile": "{{job.parameters.reconcile}}",
                "release_quarantine": "{{job.parameters.release_quarantine}}",
                "reload_from": "{{job.parameters.reload_from}}",
                "region": "{{job.parameters.region}}",
                "task_keys": "{{job.parameters.task_keys}}",
                "job_run_id": "{{job.run_id}}",
                "job_start_time": "{{job.start_time.iso_datetime}}",
            },
        },
    }
    told = parent["tasks"][-1]["python_wheel_task"]["named_parameters"]
    assert told["tables"] == "5"
    assert told["children"] == '{"order_1_1": 3, "order_1_2": 1, "order_2_1": 1}'
    assert child["name"] == "Nightly__order_1_2"
    assert [task["task_key"] for task in child["tasks"]] == ["t003"]
    assert child["parameters"][-4:-1] == [
        {"name": "region", "default": "eu"},
        {"name": "job_run_id", "default": "{{job.run_id}}"},
        {"name": "job_start_time", "default": "{{job.start_time.iso_datetime}}"},
    ]
    assert (child["tags"], child["max_concurrent_runs"]) == ({"team": "data"}, 2)
    only_parent = {"schedule", "email_notifications", "timeout_seconds"}
    assert only_parent <= parent.keys()
    assert not only_parent & child.keys()


def test_explain_graph_and_figures_see_one_layer(tmp_path: Path) -> None:
    built = made(tmp_path, tables(1, 1, 1, 1, 2), layers=layer(edges="gate"))
    text, problems = explain(built, "t004")
    assert problems == ()
    assert "  job        bronze_to_silver (bronze_to_silver.job.yml)\n" in text
    assert "  child      bronze_to_silver__order_2_1 (bronze_to_silver__order_2_1.job.yml)" in text
    assert "  waits for  gate_2; run_if ALL_DONE: whether or not they succeeded\n" in text
    assert "    gate_2   2 tasks: order_1_1, order_1_2\n" in text
    assert "  before     run_summary\n" in text
    drawn, _ = graph(built, None)
    assert drawn.count("(scd1)") == 5
    assert drawn.count("subgraph") == 3
    assert "j0o1 ==> j0g2" in drawn


def test_explain_in_lanes(tmp_path: Path) -> None:
    built = made(tmp_path, tables(*[1] * 8), layers=layer(max_parallel_tasks=2))
    text, _ = explain(built, "t002")
    assert "  waits for  t000; run_if ALL_DONE: whether or not they succeeded\n" in text
    assert "  because    max_parallel_tasks: 2, and it comes next in a lane of order 1\n" in text
    text, _ = explain(built, "t004")  # of the second child, which waits for the first
    assert "  waits for  order_1_1; run_if ALL_DONE" in text


@pytest.mark.parametrize("lanes", [None, 2])
def test_diff_sees_one_layer(tmp_path: Path, lanes: int | None) -> None:
    small, large = tables(1, 1, 2), tables(1, 1, 2, 1, 1, 2, 3)
    settings = layer(max_parallel_tasks=lanes)
    size = JobSize(job=7, child=3)
    old = made(tmp_path, small, size, layers=settings).texts
    new = made(tmp_path, large, size, layers=settings).texts
    assert (len(old), len(new)) == (1, 5)
    assert differences(new, new) == ()
    (change,) = differences(old, new)
    assert (change.file, change.before, change.after) == ("bronze_to_silver.job.yml", 3, 7)
    lines = {line.key: line.what for line in change.lines if line.sign == "+"}
    into = "(scd1, order {}) into ${{var.silver_catalog}}.core.{}: waits for {}, {} now wait{} for it"
    assert lines == {
        "t003": into.format(1, "t003", "nothing", "2 tables", ""),
        "t004": into.format(1, "t004", "nothing", "2 tables", ""),
        "t005": into.format(2, "t005", "4 tables", "1 table", "s"),
        "t006": into.format(3, "t006", "2 tables", "0 tables", ""),
    }
    moves = "moves from {0} to child job order_{1}_1: its earlier runs stay with {0}"
    assert {line.key: line.what for line in change.lines if line.sign == "~"} == {
        key: moves.format("the job of the layer", order) for key, order in (("t000", 1), ("t001", 1), ("t002", 2))
    }
    (back,) = differences(new, old)
    assert [line.key for line in back.lines if line.sign == "-"] == ["t003", "t004", "t005", "t006"]


def grown(folder: Path, rows: Rows, size: JobSize, **settings: object) -> dict[str, str]:
    """Generate over what is there, and return the child of each table."""
    built = made(folder, rows, size, **settings)
    publish(folder / "resources", built.texts, built.stale)
    assert made(folder, rows, size, **settings).texts == built.texts  # the same rows and files make the same bytes
    (plan,) = built.plans
    return {task.task_key: child.part for child in plan.children for task in child.tasks}


def test_a_new_table_moves_no_other_to_another_child_job(tmp_path: Path) -> None:
    rows = tables(*[1] * 7, *[2] * 4)
    size = JobSize(job=10, child=3)
    old = grown(tmp_path, rows, size)
    new = row(dst_table_name="a_first", execution_order=1)
    assert grown(tmp_path, [new, *rows], size) == {**old, "a_first": "order_1_3"}
    full = [row(dst_table_name=f"b{n}", execution_order=1) for n in range(2)]
    assert grown(tmp_path, [new, *full, *rows], size) == {
        **old,
        "a_first": "order_1_3",
        "b0": "order_1_3",
        "b1": "order_1_4",  # the others are full
    }


def test_what_moves_is_said(tmp_path: Path) -> None:
    rows = tables(*[1] * 7)
    old = made(tmp_path, rows, SMALL).texts  # not written: what comes next goes on from nothing
    (change,) = differences(old, made(tmp_path, rows, JobSize(job=5, child=4)).texts)
    stays = "its earlier runs stay with child job"
    assert [(line.key, line.what) for line in change.lines] == [
        ("t003", f"moves from child job order_1_2 to child job order_1_1: {stays} order_1_2"),
        ("t006", f"moves from child job order_1_3 to child job order_1_2: {stays} order_1_3"),
    ]


def test_a_layer_at_the_limit_does_not_go_to_and_fro(tmp_path: Path) -> None:
    assert grown(tmp_path, tables(*[1] * 4), SMALL) == {}
    assert set(grown(tmp_path, tables(*[1] * 5), SMALL).values()) == {"order_1_1", "order_1_2"}
    assert set(grown(tmp_path, tables(*[1] * 4), SMALL).values()) == {"order_1_1", "order_1_2"}
    assert grown(tmp_path, tables(*[1] * 2), SMALL) == {}  # one child could hold all of it


def test_a_split_that_a_merge_has_marked_stays_as_it_is(tmp_path: Path) -> None:
    old = grown(tmp_path, tables(*[1] * 7), SMALL)
    path = tmp_path / "resources" / "bronze_to_silver__order_1_2.job.yml"
    one = path.read_text()
    path.write_text(f"<<<<<<< HEAD\n{one}=======\n{one.replace('t004', 't999')}>>>>>>> other\n")
    assert grown(tmp_path, tables(*[1] * 7), SMALL) == old


@settings(deadline=None, max_examples=50)
@given(
    changes=st.lists(st.tuples(st.booleans(), st.integers(1, 40), st.randoms(use_true_random=False)), max_size=30),
    most=st.integers(1, 12),
    first=st.integers(0, 60),
)
def test_over_any_history_few_tables_move_and_children_are_balanced(
    changes: list[tuple[bool, int, Random]], most: int, first: int
) -> None:
    """No table moves because others come; and no more tables ever move than others have gone."""
    keys = {f"t{n}" for n in range(first)}
    held = divide(keys, {}, most)
    gone = moved = 0
    for n, (comes, number, random) in enumerate(changes):
        leaves = set() if comes else set(random.sample(sorted(keys), min(number, len(keys))))
        keys = keys - leaves | ({f"{random.random()}_{n}_{m}" for m in range(number)} if comes else set())
        present: dict[int, set[str]] = {}
        for key, child in held.items():
            present.setdefault(child, set()).add(key)
        now = divide(keys, {child: frozenset(has) for child, has in present.items()}, most)
        moving = sum(now[key] != held[key] for key in keys & held.keys())
        gone, moved, held = gone + len(leaves), moved + moving, now
        assert not (comes and moving)
        sizes = Counter(held.values())
        assert held.keys() == keys
        assert max(sizes.values(), default=0) <= most
        assert len(sizes) <= 2 * -(-len(keys) // most)
    assert moved <= gone


def test_generate_removes_children_that_nobody_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    built = made(tmp_path, tables(1, 1, 1, 1, 1))
    publish(tmp_path / "resources", built.texts, built.stale)
    assert main(["generate"]) == 0  # now with the sizes of the Jobs service: one job
    out = capsys.readouterr().out
    assert "resources/bronze_to_silver__order_1_2.job.yml: removed, it has no rows any more\n" in out
    assert [path.name for path in (tmp_path / "resources").iterdir()] == ["bronze_to_silver.job.yml"]


def test_what_cannot_be_split(tmp_path: Path) -> None:
    def said(rows: Rows, size: JobSize = SMALL, **settings: object) -> list[str]:
        _, problems = build(project(tmp_path, rows, **settings), size)
        return [sentence(problem) for problem in problems if problem.severity == "error"]

    assert said(tables(*[1] * 5), layers=layer(edges="lineage")) == [
        (
            f"{LAYER}: layer bronze_to_silver makes 6 tasks, and a job holds 5; "
            "the waits of edges: lineage cannot be divided over several jobs; "
            "set edges: gate, or divide the rows over several layers"
        )
    ]
    assert said(tables(*range(1, 7))) == [
        (
            f"{LAYER}: layer bronze_to_silver takes 6 child jobs, and its parent holds 5 tasks; "
            "divide the rows over several layers"
        )
    ]
    roomy = JobSize(job=6, child=1, children=4)
    assert said(tables(*[1] * 5), JobSize(job=5, child=1, children=4))[-1] == (
        "layers.bronze_to_silver: order 1 of layer bronze_to_silver runs 5 jobs at once, a workspace 4; "
        "divide the order, or set max_parallel_tasks"
    )
    assert said(tables(*[1] * 5), roomy) == []
    rows = [*tables(*[1] * 5), row(layer="bronze_to_silver__order_1_2", dst_schema="other")]
    assert said(rows) == [
        (
            f"{LAYER}__order_1_2: layer bronze_to_silver__order_1_2 "
            "is named like a child job of layer bronze_to_silver; rename the layer"
        )
    ]


def test_the_sizes_of_the_jobs_service(tmp_path: Path) -> None:
    where = context(tmp_path)
    fits = make_plans(entries(*tables(*[1] * 999)), where)[0]
    assert split_plans(fits, where)[0] == fits
    (plan,), problems = split_plans(make_plans(entries(*tables(*[1] * 1000, 2)), where)[0], where)
    assert problems == ()
    assert [(child.key, len(child.tasks)) for child in plan.children] == [
        ("bronze_to_silver__order_1_1", 900),
        ("bronze_to_silver__order_1_2", 100),
        ("bronze_to_silver__order_2_1", 1),
    ]
    assert (len(plan.loads), plan.edges) == (1001, 4)
