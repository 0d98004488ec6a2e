"""The record of a run, from the Jobs API: all its tasks, by pages, whatever version of databricks-sdk the runtime has.

`jobs.get_run` of the SDKs in Databricks Runtime 15.4 and 16.4 asks version 2.1, which has no pages: of more than 100
tasks the answer holds some, or none. So the paths are named here, and the SDK logs in and sends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Record = Mapping[str, Any]
Ask = Callable[[str, Mapping[str, Any]], object]

_RUN = "/api/2.2/jobs/runs/get"
_OUTPUT = "/api/2.2/jobs/runs/get-output"
_MOST_PAGES = 1_000


def read_run(ask: Ask, run_id: int) -> tuple[Record, str]:
    """Return the record of a run with the tasks of every page, and why some are missing; raises what the first does."""
    record = _answer(ask, {"run_id": run_id})
    tasks, token = _tasks(record), record.get("next_page_token")
    seen: set[object] = set()
    problem = ""
    while token and not problem:
        if token in seen or len(seen) >= _MOST_PAGES:
            problem = f"page {len(seen) + 2} of the run's tasks is one that was read before"
            continue
        seen.add(token)
        try:
            page = _answer(ask, {"run_id": run_id, "page_token": token})
        except Exception as error:  # whatever the client raises: the pages before tell what they tell
            problem = f"page {len(seen) + 1} of the run's tasks cannot be read: {type(error).__name__}: {error}"
        else:
            tasks += _tasks(page)
            token = page.get("next_page_token")
    return {**record, "tasks": tasks}, problem


def child_run(ask: Ask, task: Record) -> int:
    """Return the id of the run that a run_job_task started."""
    output = ask(_OUTPUT, {"run_id": int(task["run_id"])})
    started = output.get("run_job_output") if isinstance(output, Mapping) else None
    if not isinstance(started, Mapping) or not started.get("run_id"):
        raise LookupError("the service names no run of its child job")
    return int(started["run_id"])


def read_error(ask: Ask, task_run_id: int) -> str:
    """Return what the service has as the error of a task."""
    output = ask(_OUTPUT, {"run_id": task_run_id})
    return str(output.get("error") or "") if isinstance(output, Mapping) else ""


def _answer(ask: Ask, query: Mapping[str, Any]) -> Record:
    answer = ask(_RUN, query)
    if not isinstance(answer, Mapping):
        raise TypeError(f"expected the record of a run, found {type(answer).__name__}")
    return answer


def _tasks(record: Record) -> list[Any]:
    listed = record.get("tasks")
    return [task for task in listed if isinstance(task, Mapping)] if isinstance(listed, list) else []
