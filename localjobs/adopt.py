"""Adopt the tables that a job file loads: one plan for all of them, on the engine and the workspace of local runs."""

from __future__ import annotations

import select
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path

from laketasks.spec import did_you_mean
from localjobs.bundle import Bundle, read_bundle
from localjobs.children import read_file
from localjobs.job import JobTask, Task, WheelTask
from localjobs.problem import ProblemsError, UsageError
from localjobs.processes import Ended, Processes
from localjobs.references import RunValues, checked
from localjobs.start import Request, prepared
from localjobs.tables import PACKAGE, names_of
from localjobs.terminal import clean
from localjobs.workspace import locked

_FOLDER = "adopt"  # in the workspace: the logs
_POLL_SECONDS = 0.2
_TRACE = "Traceback (most recent call last)"


def adopt(request: Request, options: Mapping[str, str]) -> int:
    """Print the plan, and carry it out where the options say so; 0 when every table is fit, 1 when one is not."""
    bundle = read_bundle(request.job_file, request.target, request.variables)
    tasks = _chosen([*_loads(request.job_file, bundle, set())], request.only)
    names, problems = names_of(tasks)
    if problems:
        raise ProblemsError(problems)
    tables = {task.task_key: dict(task.body.named_parameters) for task in tasks if isinstance(task.body, WheelTask)}
    with locked(request.workspace, queued=True):
        folder = request.workspace / _FOLDER
        folder.mkdir(exist_ok=True)
        log = folder / "adopt.log"
        log.write_bytes(b"")
        with prepared(request, names, [(PACKAGE, "adopt")], folder) as (processes, engine):
            given = {"tables": tables, "options": dict(options)}
            number = processes.start("localjobs.attempt:adopt", given, log, {"SPARK_REMOTE": engine.remote})
            ended = _follow(processes, number, log)
    if not ended.ok:
        sys.stderr.write(f"{clean(ended.message)}\n")
    return int(not ended.ok)


def _loads(file: Path, bundle: Bundle, seen: set[Path]) -> Iterator[Task]:
    """The tasks that load a table, of the job in the file and of the jobs that it runs."""
    if file.absolute() in seen:
        return
    seen.add(file.absolute())
    job = read_file(file, bundle)
    values = RunValues(run_id=0, job_id=job.id, job_name=job.name, start=datetime.now(timezone.utc))
    filled, _ = checked(job, values)
    for task in filled.tasks:
        body = task.body
        if isinstance(body, JobTask) and body.job_id in bundle.jobs:
            yield from _loads(bundle.jobs[body.job_id], bundle, seen)
        elif isinstance(body, WheelTask) and (body.package_name, body.entry_point) == (PACKAGE, "load"):
            yield task


def _chosen(tasks: list[Task], only: Iterable[str]) -> list[Task]:
    keys = [task.task_key for task in tasks]
    if not tasks:
        raise ProblemsError(["no task of the job file is a load of the wheel: there is nothing to adopt"])
    unknown = [key for key in only if key not in keys]
    if unknown:
        raise UsageError(f"--only: there is no load {key}{did_you_mean(key, keys)}" for key in unknown)
    return [task for task in tasks if not only or task.task_key in only]


def _follow(processes: Processes, number: int, log: Path) -> Ended:
    """Print what the process prints until it ends."""
    shown = 0
    while True:
        ready, _, _ = select.select([processes], [], [], _POLL_SECONDS)
        ended = [one for one in processes.ended() if one.id == number] if ready else []
        text = log.read_text(encoding="utf-8", errors="replace").partition(_TRACE)[0]
        whole = text if ended else text[: text.rfind("\n") + 1]
        sys.stdout.write(clean(whole[shown:]))
        sys.stdout.flush()
        shown = len(whole)
        if ended:
            return ended[0]
