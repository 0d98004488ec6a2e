"""The loads of deployed jobs, asked of the Jobs API: the named parameters of each task, as a run would get them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from laketasks.error import LoadError
from laketasks.spec import SpecError, did_you_mean, names_task

_PATH = "/api/2.2/jobs/get"  # of older versions a job's first 100 tasks come, and no word of the others


def loads_of_jobs(jobs: Iterable[str], only: str = "") -> dict[str, dict[str, str]]:
    """The parameters of each load of the jobs and of those that they run, by task key; `only` names task keys."""
    from databricks.sdk import WorkspaceClient  # type: ignore[import-not-found,unused-ignore]

    client = WorkspaceClient().api_client

    def page(job: str, token: str) -> Mapping[str, Any]:
        query = {"job_id": job, **({"page_token": token} if token else {})}
        answer: Any = client.do("GET", _PATH, query=query)
        return cast("Mapping[str, Any]", answer)

    found: dict[str, dict[str, str]] = {}
    _add_loads(page, [job.strip() for job in jobs], found, set())
    return chosen(found, only)


def chosen(loads: Mapping[str, dict[str, str]], only: str) -> dict[str, dict[str, str]]:
    """The loads whose task keys are named; raises SpecError for a key that no load has."""
    keys = [key.strip() for key in only.split(",") if key.strip()]
    unknown = [key for key in keys if key != "all" and key not in loads]
    if unknown:
        raise SpecError([f"--only: there is no load {key}{did_you_mean(key, loads)}" for key in unknown])
    return {key: load for key, load in loads.items() if not keys or names_task(only, key)}


def _add_loads(
    page: Callable[[str, str], Mapping[str, Any]], jobs: Iterable[str], found: dict[str, dict[str, str]], seen: set[str]
) -> None:
    for job in jobs:
        if job in seen:
            continue
        seen.add(job)
        tasks = _tasks(page, job)
        for task in tasks:
            wheel = task.get("python_wheel_task") or {}
            if (wheel.get("package_name"), wheel.get("entry_point")) == ("laketasks", "load"):
                found[str(task["task_key"])] = dict(wheel.get("named_parameters") or {})
        below = [str(task["run_job_task"]["job_id"]) for task in tasks if task.get("run_job_task")]
        _add_loads(page, below, found, seen)


def _tasks(page: Callable[[str, str], Mapping[str, Any]], job: str) -> list[Mapping[str, Any]]:
    tasks: list[Mapping[str, Any]] = []
    token = ""
    while True:
        try:
            answer = page(job, token)
        except Exception as error:  # whatever the workspace's client raises
            told = str(error).partition(" Config: ")[0]  # behind it the SDK writes how it tried to log in
            raise LoadError(f"job {job} cannot be read: {type(error).__name__}: {told}") from None
        tasks += (answer.get("settings") or {}).get("tasks") or []
        token = str(answer.get("next_page_token") or "")
        if not token:
            return tasks
