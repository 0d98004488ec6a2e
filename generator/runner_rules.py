"""The rules about one runner of the settings: one task, on compute that its type takes, that can be started."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from generator.jobs_api import Types, task_types

COMPUTE_FIELDS = ("environment_key", "job_cluster_key", "existing_cluster_id", "new_cluster")
NO_COMPUTE = (  # they run on a warehouse, in a job or service of their own, or on nothing
    "alert_task",
    "clean_rooms_notebook_task",
    "condition_task",
    "dashboard_task",
    "dbt_cloud_task",
    "dbt_platform_task",
    "for_each_task",
    "pipeline_task",
    "power_bi_task",
    "run_job_task",
    "sql_task",
)
_RETRIES = ("max_retries", "min_retry_interval_millis", "retry_on_timeout")
_ONE_TASK = "expected exactly one task, such as notebook_task: {notebook_path: ...}"

# (path below the runner, what, remedy)
_Words = tuple[tuple[str, ...], str, str]


def runner_problems(body: Mapping[str, Any], types: Types) -> Iterator[_Words]:
    """
    Yield what keeps a runner from being a task, with where it stands below the runner.

    >>> types = {"Task": {"sql_task": "any", "notebook_task": "any"}}
    >>> [(path, what) for path, what, _ in runner_problems({"sql_task": {}, "job_cluster_key": "main"}, types)]
    [(('job_cluster_key',), 'sql_task takes no job_cluster_key')]
    """
    kinds = [field for field in body if field in task_types(types)]
    if len(kinds) != 1 or body[kinds[0]] is None:
        yield (), _ONE_TASK, ""
        return
    yield from _compute(body, kinds[0])
    yield from _parameters(body[kinds[0]], kinds[0])
    if kinds[0] == "for_each_task":
        yield from _repeated(body, types)
    elif kinds[0] == "condition_task":
        yield from _no_retries(body, kinds[0], "remove it")


def _compute(body: Mapping[str, Any], kind: str) -> Iterator[_Words]:
    given = [field for field in COMPUTE_FIELDS if field in body]
    if kind in NO_COMPUTE:
        for field in (*given, *(["libraries"] if "libraries" in body else [])):
            yield (field,), f"{kind} takes no {field}", "remove it"
    elif len(given) > 1:
        yield (given[1],), f"a task runs on one compute, and {given[0]} stands here too", "keep one of them"
    elif kind == "spark_submit_task" and given != ["new_cluster"]:
        yield (kind,), "runs only on a cluster of its own", "add new_cluster to the runner, or use spark_jar_task"


def _parameters(task: object, kind: str) -> Iterator[_Words]:
    if isinstance(task, Mapping) and "parameters" in task and "named_parameters" in task:
        what = "parameters and named_parameters exclude each other, and the CLI takes both"
        yield (kind, "parameters"), what, "keep one of them"


def _repeated(body: Mapping[str, Any], types: Types) -> Iterator[_Words]:
    loop = body["for_each_task"]
    task = loop.get("task") if isinstance(loop, Mapping) else None
    path = ("for_each_task", "task")
    if not isinstance(task, Mapping):
        yield path, "expected the task to repeat", "write task: {task_key: ..., notebook_task: {...}}"
        return
    if "task_key" not in task:
        yield path, "task_key is missing", "name the task that is repeated"
    if "for_each_task" in task:
        yield path, "a for_each_task cannot repeat another", "repeat a run_job_task instead"
    else:
        yield from (((*path, *below), what, remedy) for below, what, remedy in runner_problems(task, types))
    yield from _no_retries(body, "for_each_task", "set it on the task that is repeated")


def _no_retries(body: Mapping[str, Any], kind: str, remedy: str) -> Iterator[_Words]:
    for field in _RETRIES:
        if body.get(field):
            yield (field,), f"{kind} is not retried", remedy
