"""What `databricks bundle validate` lets pass and the Jobs service, or the first run, does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from itertools import chain

from generator.context import Context
from generator.document import MAX_PARAMETER_BYTES, Document, Fields
from generator.jobs_api import Types, unknown_fields
from generator.plan import Load
from generator.problem import Problem
from generator.runner_rules import COMPUTE_FIELDS
from generator.settings import ENVIRONMENT, texts
from laketasks.spec import did_you_mean

_OF_TASK = re.compile(r"\{\{\s*tasks\.([\w-]+)\.")


def document_problems(document: Document, context: Context, types: Types) -> tuple[Problem, ...]:
    """Every problem of a whole job; one that a row caused has the row's address."""
    found = chain(_fields(document, types), *(rule(document) for rule in RULES))
    return tuple(_located(document, context, *words) for words in found)


# (task key or "" for the job, column, what, remedy)
_Words = tuple[str, str, str, str]


def _located(document: Document, context: Context, key: str, column: str, what: str, remedy: str) -> Problem:
    loads = {task.task_key: task.action.entry for task in document.plan.loads if isinstance(task.action, Load)}
    if key in loads:
        return loads[key].problem(column, what, remedy)
    return context.settings.problem(("layers", document.plan.layer), f"{key}: {what}" if key else what, remedy)


def _keys_once(document: Document) -> Iterator[_Words]:
    keys = [task["task_key"] for task in document.job["tasks"]]
    for key in sorted({key for key in keys if keys.count(key) > 1} if len(set(keys)) < len(keys) else ()):
        yield key, "dst_table_name", f"task key {key!r} stands twice", "set task_key of the layer"


def _edges(document: Document) -> Iterator[_Words]:
    edges = {task["task_key"]: [d["task_key"] for d in task.get("depends_on", ())] for task in document.job["tasks"]}
    for key, before in edges.items():
        for missing in sorted(set(before) - edges.keys()):
            yield key, "execution_order", f"depends on {missing!r}, which is no task of the job", ""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        yield "", "", f"the tasks wait for each other: {' -> '.join(error.args[1])}", "change execution_order"


def _compute(document: Document) -> Iterator[_Words]:
    for field, listed in (("environment_key", "environments"), ("job_cluster_key", "job_clusters")):
        known = {item.get(field) for item in document.job.get(listed) or ()}
        for task in document.job["tasks"]:
            if field in task and task[field] not in known:
                what = f"{field} {task[field]!r} is not one of the job's {listed}"
                yield task["task_key"], "execution_pipeline", what, f"declare it in the layer's job.{listed}"


def _runs_on(document: Document) -> Iterator[_Words]:
    """A task that needs a cluster has none on a serverless layer, and our environment has no dbt."""
    own = [item for item in document.job.get("environments") or () if item.get("environment_key") == ENVIRONMENT]
    packages = own[0].get("spec", {}).get("dependencies", []) if own else []
    has_dbt = any(not str(package).endswith(".whl") for package in packages)
    for task in document.job["tasks"]:
        if "spark_jar_task" in task and not any(field in task for field in COMPUTE_FIELDS):
            remedy = "name a job cluster in the layer's compute, or an environment with java_dependencies in the runner"
            yield task["task_key"], "execution_pipeline", "spark_jar_task has nothing to run on", remedy
        if "dbt_task" in task and task.get("environment_key") == ENVIRONMENT and not has_dbt:
            what = f"dbt_task runs in environment {ENVIRONMENT}, which has no dbt"
            remedy = "add an environment with dbt-databricks to job.environments and name it in the runner"
            yield task["task_key"], "execution_pipeline", what, remedy


def _task_references(document: Document) -> Iterator[_Words]:
    """A task's values are there for the tasks after it. Only a runner of the settings can refer to them."""
    named = {
        task["task_key"]: sorted({key for text in texts(task) for key in _OF_TASK.findall(text)})
        for task in document.job["tasks"]
        if "named_parameters" not in task.get("python_wheel_task", {})
    }
    before = {task["task_key"]: [d["task_key"] for d in task.get("depends_on", ())] for task in document.job["tasks"]}
    for key, others in named.items():
        above = _above(key, before) if others else set()
        for other in others:
            if other not in above:
                near = did_you_mean(other, above)
                what = f"refers to {{{{tasks.{other}...}}}}, which is no task that it waits for{near}"
                yield (
                    key,
                    "execution_pipeline",
                    what,
                    "" if near else "give the row a later order, or name another task",
                )


def _above(key: str, before: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(before[key])
    while waiting:
        other = waiting.pop()
        if other not in found:
            found.add(other)
            waiting.extend(before.get(other, ()))
    return found


def _parameter_bytes(document: Document) -> Iterator[_Words]:
    for task in document.job["tasks"]:
        size = max(len(json.dumps(p, ensure_ascii=False).encode()) for p in (*_parameters(task), {}))
        if size > MAX_PARAMETER_BYTES:
            what = f"the task's parameters take {size:,} bytes, the Jobs service takes {MAX_PARAMETER_BYTES:,}"
            yield task["task_key"], "cdc_source_config", what, "shorten the row: SQL belongs into a file"


def _parameters(task: Fields) -> Iterator[object]:
    for body in task.values():
        if isinstance(body, dict):
            yield from (body[name] for name in ("named_parameters", "base_parameters", "parameters") if name in body)


def _fields(document: Document, types: Types) -> Iterator[_Words]:
    """The rows' values filled into a runner, and all that the generator wrote itself."""
    tasks = document.job["tasks"]
    yield from (("", "", f"job.{path}: {what}", "") for path, what in unknown_fields(_shell(document), "Job", types))
    for task in tasks:
        for path, what in unknown_fields({**task, "depends_on": []}, "Task", types):
            yield task["task_key"], "execution_pipeline", f"{path}: {what}", ""


def _shell(document: Document) -> Fields:
    return {name: value for name, value in document.job.items() if name != "tasks"}


RULES: tuple[Callable[[Document], Iterator[_Words]], ...] = (
    _keys_once,
    _edges,
    _compute,
    _runs_on,
    _task_references,
    _parameter_bytes,
)
