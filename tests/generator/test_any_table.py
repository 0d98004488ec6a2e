"""Any valid table: tasks start in the order of the rows, whichever the service picks, and the file says the plan."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.document import Document
from generator.plan import Load, Plan
from laketasks.spec import PIPELINES
from tests.generator.rows import made, row

NOTEBOOK = {"nb": {"notebook_task": {"notebook_path": "../nb.py", "base_parameters": {"c": "{comment}"}}}}
KEYS = {"business_key_columns": ["id"], "primary_key_columns": None}
CONFIGS: list[dict[str, Any] | None] = [
    None,
    {},
    {"where": "a > 'b''c'"},
    {"sequence_by": ["at"]},
    {"on_null_key": "null_safe"},
]
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=20).filter(
    lambda text: "${" not in text and "{{" not in text
)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, object]]:
    """Rows of two layers; some read a table of a smaller order."""
    rows: list[dict[str, object]] = []
    for number in range(draw(st.integers(1, 10))):
        pipeline = draw(st.sampled_from([*PIPELINES, "nb"]))
        keys = {**KEYS, "primary_key_columns": ["id"]} if pipeline == "fact_incremental_merge" else KEYS
        layer, order = draw(st.sampled_from(["l", "m-2"])), draw(st.sampled_from([1, 2, 3, 7]))
        before = [r for r in rows if r["layer"] == layer and int(str(r["execution_order"])) < order]
        read = draw(st.none() | st.sampled_from(before)) if before else None
        source = {f"src_{part}": read[f"dst_{part}"] for part in ("catalog", "schema", "table_name")} if read else {}
        rows.append(
            row(
                dst_table_name=f"t{number}",
                layer=layer,
                execution_order=order,
                execution_pipeline=pipeline,
                is_active_flag=draw(st.sampled_from([True, True, True, False, None])),
                cdc_source_config=draw(st.sampled_from(CONFIGS)),
                comment=draw(TEXTS),
                **keys,
                **source,
            )
        )
    return rows


@st.composite
def layers(draw: st.DrawFn) -> dict[str, object]:
    edges = draw(st.sampled_from(["barrier", "gate", "lineage"]))
    policy = draw(st.sampled_from(["continue", "skip"]))
    lanes = draw(st.none() | st.integers(1, 3)) if policy == "continue" and edges != "lineage" else None
    return {
        "edges": edges,
        "on_upstream_failure": policy,
        "max_parallel_tasks": lanes,
        "job": {"tags": {"t": draw(TEXTS)}},
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=50, deadline=None)
@given(rows=tables(), layer=layers(), seed=st.integers(0, 2**32))
def test_any_valid_table(folder: Path, rows: list[dict[str, object]], layer: dict[str, object], seed: int) -> None:
    used = {str(r["layer"]) for r in rows}
    built = made(folder, rows, runners=NOTEBOOK, layers=dict.fromkeys(sorted(used), layer))
    assert {plan.layer for plan in built.plans} == {str(r["layer"]) for r in rows if r["is_active_flag"]}
    for document in built.documents:
        assert yaml.safe_load(built.texts[f"{document.plan.layer}.job.yml"]) == document.content
        assert edges(document) == {task.task_key: [d.task_key for d in task.waits.on] for task in document.plan.tasks}
        for attempt in range(3):
            follow_the_orders(document.plan, some_order(edges(document), random.Random(seed + attempt)))
        read_after_it_is_loaded(document.plan, edges(document))


def edges(document: Document) -> dict[str, list[str]]:
    return {task["task_key"]: [on["task_key"] for on in task.get("depends_on", ())] for task in document.job["tasks"]}


def some_order(waits: dict[str, list[str]], chance: random.Random) -> list[str]:
    """One of the orders in which the tasks may start."""
    done: list[str] = []
    while len(done) < len(waits):
        ready = [key for key, on in waits.items() if key not in done and set(on) <= set(done)]
        assert ready, "the tasks wait for each other"
        done.append(chance.choice(sorted(ready)))
    return done


def follow_the_orders(plan: Plan, order: list[str]) -> None:
    assert order[-1] == "run_summary"
    loads = {task.task_key: task.order for task in plan.loads}
    started = [loads[key] for key in order if key in loads]
    if plan.kind == "lineage":  # there the orders bind those that read each other
        for task in plan.loads:
            assert all(loads[on.task_key] < task.order for on in task.waits.on)
    else:
        assert started == sorted(started)


def read_after_it_is_loaded(plan: Plan, waits: dict[str, list[str]]) -> None:
    above: dict[str, set[str]] = {}
    for task in plan.tasks:
        above[task.task_key] = {on for key in waits[task.task_key] for on in (key, *above[key])}
    made_by = {task.action.entry.row.dst_table_name: task for task in plan.loads if isinstance(task.action, Load)}
    for name, task in made_by.items():
        assert isinstance(task.action, Load)
        if task.action.entry.row.src_schema == "core" and task.action.entry.row.src_table_name in made_by:
            assert made_by[task.action.entry.row.src_table_name].task_key in above[task.task_key], name
