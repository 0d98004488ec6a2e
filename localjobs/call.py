"""What an attempt of a task calls, how its output begins, and whether another follows. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from localjobs.job import NotebookTask, ProcessBody, PythonTask, Task, WheelTask
from localjobs.record import TaskRun

HEADER = "=== attempt "


def call_of(body: ProcessBody, job_parameters: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """What a task's process calls, and with what; the parameters of the job win over a notebook's own."""
    if isinstance(body, NotebookTask):
        parameters = {**body.base_parameters, **job_parameters}
        return "localjobs.attempt:notebook", {"path": body.notebook_path, "parameters": parameters}
    if isinstance(body, PythonTask):
        return "localjobs.attempt:python_file", {"path": body.python_file, "argv": list(body.parameters)}
    wheel = {"package_name": body.package_name, "entry_point_name": body.entry_point}
    return "localjobs.attempt:wheel", {**wheel, "argv": arguments_of(body, job_parameters)}


def arguments_of(body: WheelTask, job_parameters: Mapping[str, str]) -> list[str]:
    """The arguments of a wheel task: positional ones as they are, else the named ones with the job's on top."""
    if body.parameters:
        return list(body.parameters)
    return [f"--{name}={value}" for name, value in {**body.named_parameters, **job_parameters}.items()]


def may_retry(task: Task, attempt_number: int, result: str) -> bool:
    """Whether an attempt (from 0) that ended so is followed by another."""
    if result not in ("FAILED", "TIMEDOUT") or (result == "TIMEDOUT" and not task.retry_on_timeout):
        return False
    return task.max_retries == -1 or attempt_number < task.max_retries


def wait_before_retry(run: TaskRun, now: int) -> int:
    """How long the next attempt has to wait, in milliseconds: the interval is one between the starts of two."""
    return max(0, run.start_time + run.task.min_retry_interval_millis - now)


def header(run: TaskRun) -> str:
    """The line that begins an attempt's output in its task's log."""
    moment = datetime.fromtimestamp(run.start_time / 1000, tz=timezone.utc)
    return f"{HEADER}{run.attempt_number + 1} of {run.task.task_key}, {moment:%Y-%m-%d %H:%M:%S} UTC ===\n"
