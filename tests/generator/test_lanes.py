"""Lanes: at most so many tasks at once, every order after the one before, the longest first."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.build import build
from generator.difference import differences
from generator.lanes import in_lanes, read_durations
from generator.plan import Load, Plan
from generator.problem import sentence
from tests.generator.rows import made, project, said, tables


def most_at_once(plan: Plan) -> int:
    """How many loads are under way at most when each takes as long as its key's number says, by simulation."""
    done: dict[str, float] = {}
    spans: list[tuple[float, float]] = []
    for task in plan.tasks:
        start = max((done[on.task_key] for on in task.waits.on), default=0.0)
        takes = 1.0 + int(task.task_key[1:]) % 7 if isinstance(task.action, Load) else 0.0
        done[task.task_key] = start + takes
        if takes:
            spans.append((start, start + takes))
    return max(sum(start <= at < end for start, end in spans) for at, _ in spans)


@settings(max_examples=60, deadline=None)
@given(
    orders=st.lists(st.integers(1, 4), min_size=1, max_size=30),
    lanes=st.integers(1, 8),
    edges=st.sampled_from(["barrier", "gate"]),
)
def test_no_more_at_once_and_no_order_before_its_time(
    tmp_path_factory: pytest.TempPathFactory, orders: list[int], lanes: int, edges: str
) -> None:
    layer = {"layers": {"bronze_to_silver": {"max_parallel_tasks": lanes, "edges": edges}}}
    plan = made(tmp_path_factory.mktemp("p"), tables(*orders), **layer).plans[0]
    assert most_at_once(plan) <= lanes
    before: dict[str, set[str]] = {}
    for task in plan.tasks:
        on = {dependency.task_key for dependency in task.waits.on}
        before[task.task_key] = on.union(*(before[key] for key in on))
    for task in plan.loads:
        earlier = {other.task_key for other in plan.loads if other.order < task.order}
        assert earlier <= before[task.task_key]
    assert {load.task_key for load in plan.loads} <= before["run_summary"]


@given(
    seconds=st.dictionaries(st.text("abc", min_size=1, max_size=3), st.floats(0, 1000), min_size=1),
    lanes=st.integers(1, 5),
)
def test_the_longest_lane_is_near_the_least_possible(seconds: dict[str, float], lanes: int) -> None:
    divided = in_lanes(list(seconds), lanes, seconds)
    assert sorted(key for lane in divided for key in lane) == sorted(seconds)
    longest = max(sum(seconds[key] for key in lane) for lane in divided)
    least = max(sum(seconds.values()) / lanes, max(seconds.values()))
    assert longest <= 2 * least + 1e-6


def test_durations_divide_the_work(tmp_path: Path) -> None:
    options = project(tmp_path, tables(1, 1, 1, 1), layers={"bronze_to_silver": {"max_parallel_tasks": 2}})
    durations = tmp_path / "bundle" / "durations.csv"
    durations.write_text(
        "layer,task_key,seconds\nbronze_to_silver,t003,600\nbronze_to_silver,t000,10\nbronze_to_silver,gone,5\nother,t000,900\n"
    )
    built, problems = build(options)
    assert built is not None, problems
    assert {task.task_key: [on.task_key for on in task.waits.on] for task in built.plans[0].loads} == {
        "t001": [],
        "t003": [],
        "t000": ["t003"],
        "t002": ["t001"],
    }
    durations.write_text("layer,task_key,seconds\nbronze_to_silver,t003,long\nbronze_to_silver,t001,1,2\n")
    assert [sentence(problem).split(",")[0] for problem in build(options)[1]] == ["expected a layer"] * 2


@pytest.mark.parametrize("text", ["", "task_key,seconds\n", 'layer,task_key,seconds\n"broken\n', "\xff"])
def test_durations_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "durations.csv"
    path.write_bytes(text.encode("latin-1"))
    seconds, problems = read_durations(path, "durations.csv")
    assert (dict(seconds), len(problems)) == ({}, 1)
    assert "layer, task_key and seconds" in problems[0].remedy


def test_what_lanes_do_not_go_with(tmp_path: Path) -> None:
    def refused(**layer: object) -> str:
        return "\n".join(said(tmp_path, layers={"bronze_to_silver": {"max_parallel_tasks": 5, **layer}}))

    assert "set on_upstream_failure: continue" in refused(on_upstream_failure="skip")
    assert "with edges: lineage no task waits for an order" in refused(edges="lineage")
    assert "1 or larger, found 0" in refused(max_parallel_tasks=0)
    assert refused() == ""


def test_a_difference_does_not_speak_of_lanes(tmp_path: Path) -> None:
    lanes = {"layers": {"bronze_to_silver": {"max_parallel_tasks": 2}}}
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    rows = tables(1, 1, 1, 1, 2, 2, 2)
    old = made(tmp_path / "old", rows, **lanes).texts
    change = differences(old, made(tmp_path / "new", [*rows, {**rows[0], "dst_table_name": "a"}], **lanes).texts)[0]
    assert [(line.sign, line.key) for line in change.lines] == [("+", "a")]
    assert change.lines[0].what.endswith("waits for nothing, 3 tables now wait for it")
