"""From a request to a finished run: read the job, start the engine, prepare the workspace, run, report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live

from laketasks.known_tasks import unknown_among
from laketasks.spec import JOB_PARAMETERS, did_you_mean
from localjobs.bundle import JOB_FILE, Bundle, read_bundle
from localjobs.children import all_tasks, holders, read_file, with_children
from localjobs.delta_tables import delta_imports
from localjobs.engine import Engine, Renewable, found_schemas, plain_path, sweep
from localjobs.engines import ENGINES, ONLY_CATALOG
from localjobs.estimate import earlier, estimate
from localjobs.graph import select
from localjobs.job import ConditionTask, EachTask, Job, JobTask, Task, WheelTask
from localjobs.problem import ProblemsError, UsageError
from localjobs.processes import Processes, fork_server
from localjobs.progress import Lines, Picture, Progress
from localjobs.record import RunRecord
from localjobs.references import RunValues, with_parameters
from localjobs.repair import Past, past_of, read_record
from localjobs.report import report
from localjobs.run import Run, count_tasks
from localjobs.tables import Names, loads_table, names_of, shared_schemas, summarizes, wrong_parameters
from localjobs.terminal import clean
from localjobs.workspace import locked, new_run_folder

_RECORD = "run.json"
_SUCCEEDED = ("SUCCESS", "SUCCESS_WITH_FAILURES")
_CATALOG_OF_NONE = "spark_catalog"  # a server has at least one


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the command line asks for."""

    job_file: Path
    workspace: Path
    engine: str
    target: str
    only: tuple[str, ...]
    parameters: Mapping[str, str]
    variables: Mapping[str, str]
    max_parallel: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A job that can run, and what the engine and the processes must know of it beforehand."""

    job: Job
    defaults: Mapping[str, str]
    values: RunValues
    names: Names
    entry_points: tuple[tuple[str, str], ...]


def start(request: Request) -> int:
    """Run the job and print how it went; 0 when it succeeded, 1 when it did not, 130 when it was canceled."""
    begin = datetime.now(timezone.utc)
    plan = _plan(request, begin)
    with locked(request.workspace, queued=plan.job.queued):
        begin = datetime.now(timezone.utc)
        plan = replace(plan, values=replace(plan.values, start=begin))
        run_id, folder = new_run_folder(request.workspace, begin)
        return _carry_out(request, plan, folder, replace(plan.values, run_id=run_id))


def repair(run_id: int, workspace: Path) -> int:
    """Run again, in the same run, what did not succeed and all that waits for it; what comes out is as for `start`."""
    file = workspace / "runs" / str(run_id) / _RECORD
    request = _asked_before(file, read_record(file), workspace)
    with locked(workspace, queued=_plan(request, datetime.now(timezone.utc)).job.queued):
        document, last_written = read_record(file), round(file.stat().st_mtime * 1000)
        start = datetime.fromtimestamp(document["start_time"] / 1000, tz=timezone.utc)
        plan = _plan(request, start)
        past = past_of(document, plan.job, last_written, datetime.now(timezone.utc))
        values = replace(plan.values, run_id=run_id, repair_count=past.repair_id)
        return _carry_out(request, plan, file.parent, values, past)


def _asked_before(file: Path, document: Mapping[str, Any], workspace: Path) -> Request:
    """What the run that is to be repaired was asked for."""
    try:
        return Request(workspace=workspace, **_parsed(document["localjobs"]))
    except (KeyError, TypeError, ValueError):
        problem = f"{file}: does not say how the run was started; `python -m localjobs run` starts a new one"
        raise ProblemsError([problem]) from None


def _parsed(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: given[name] for name in ("engine", "target", "max_parallel")}
    several = {name: dict(given[name]) for name in ("parameters", "variables")}
    return {"job_file": Path(given["job_file"]), "only": tuple(given["only"]), **kept, **several}


def _noted(request: Request) -> dict[str, Any]:
    """The request as it stands in the record."""
    given = {field.name: getattr(request, field.name) for field in fields(request) if field.name != "workspace"}
    return given | {"job_file": str(request.job_file.absolute()), "only": list(request.only)}


def _plan(request: Request, begin: datetime) -> _Plan:
    """The job as asked for; raises ProblemsError with everything that is wrong."""
    job, defaults = read(request)
    values = RunValues(run_id=0, job_id=job.id, job_name=job.name, start=begin, parameters=job.parameters)
    tasks, problems = all_tasks(job, values)
    names, more = names_of(tasks)
    parameters = with_parameters(job, values)[0].parameters
    more += [*wrong_parameters(tasks, parameters), *_unknown_tasks(request, tasks, parameters)]
    more += delta_imports(tasks)
    clashes = [] if problems or more else _clashes(request, values)
    if problems or more or clashes:
        raise ProblemsError([*problems, *more, *clashes])
    bodies = [task.body.task.body if isinstance(task.body, EachTask) else task.body for task in tasks]
    entry_points = {(body.package_name, body.entry_point) for body in bodies if isinstance(body, WheelTask)}
    return _Plan(job=job, defaults=defaults, values=values, names=names, entry_points=tuple(sorted(entry_points)))


def _unknown_tasks(request: Request, tasks: Sequence[Task], parameters: Mapping[str, str]) -> list[str]:
    """Job parameters that name what is no table's task of the job and of those that it runs, whatever --only is."""
    given = {name: value for name, value in parameters.items() if name in JOB_PARAMETERS and value}
    if not given or not any(loads_table(task) for task in tasks):
        return []
    bundle = _bundle(request)
    job = with_children(read_file(request.job_file, bundle), request.job_file, bundle)
    below = [task for _, child in holders(job) for task in child.tasks]
    keys = {task.task_key for task in (*job.tasks, *below) if not isinstance(task.body, ConditionTask | JobTask)}
    summaries = {task.task_key for task in (*job.tasks, *below) if summarizes(task)}
    return [f"--params {problem}" for problem in unknown_among(given, sorted(keys - summaries))]


def _carry_out(request: Request, plan: _Plan, folder: Path, values: RunValues, past: Past | None = None) -> int:
    job, values = with_parameters(plan.job, values)
    record = RunRecord(
        file=folder / _RECORD,
        run_id=values.run_id,
        job_id=values.job_id,
        job=job,
        start=values.start,
        defaults=plan.defaults,
        request=_noted(request),
        past=past,
    )
    result = _run(request, record, values, plan)
    sweep(request.workspace)
    sys.stdout.write(clean(report(record, request.workspace)) + "\n")
    return 130 if result == "CANCELED" else int(result not in _SUCCEEDED)


def read(request: Request) -> tuple[Job, dict[str, str]]:
    """The job as asked for, and its parameters' defaults; raises ProblemsError with everything that is wrong."""
    bundle = _bundle(request)
    job = read_file(request.job_file, bundle)
    unknown = [name for name in request.parameters if name not in job.parameters]
    if unknown:
        known = ", ".join(job.parameters) or "none"
        hints = [(name, did_you_mean(name, job.parameters)) for name in unknown]
        raise UsageError(f"--params {n}: the job has no such parameter{hint} (it has: {known})" for n, hint in hints)
    chosen = with_children(_chosen(job, request, bundle), request.job_file, bundle)
    return replace(chosen, parameters={**job.parameters, **request.parameters}), dict(job.parameters)


def _chosen(job: Job, request: Request, bundle: Bundle) -> Job:
    try:
        return select(job, request.only) if request.only else job
    except UsageError as error:
        raise UsageError(_in_children(job, request, bundle) or error.problems) from None


def _in_children(job: Job, request: Request, bundle: Bundle) -> list[str]:
    """Where the tasks that were asked for stand, if it is in the jobs that this one runs."""
    try:
        held = [*holders(with_children(job, request.job_file, bundle))]
    except ProblemsError:
        return []
    asked, folder = {key.strip("+") for key in request.only}, request.job_file.parent
    return [
        f"--only: {key} is a task of {child.key}, which runs by itself: {folder / child.key}{JOB_FILE} --only {key}"
        for key, child in held
        if key in asked
    ]


def _bundle(request: Request) -> Bundle:
    return read_bundle(request.job_file, request.target, request.variables)


def _clashes(request: Request, values: RunValues) -> list[str]:
    """What this job's catalogs cannot share where the engine has one for all of them."""
    catalog = ONLY_CATALOG.get(request.engine)
    if catalog is None:
        return []
    apart = _bundle(request).apart(catalog)
    job = _chosen(read_file(request.job_file, apart), request, apart)
    tasks, _ = all_tasks(with_children(job, request.job_file, apart), values)
    return [f"{request.job_file}: {problem}" for problem in shared_schemas(tasks)]


def _run(request: Request, record: RunRecord, values: RunValues, plan: _Plan) -> str:
    folder = record.file.parent
    record.write(now=True)
    try:
        with (
            prepared(request, plan.names, plan.entry_points, folder) as (processes, engine),
            _progress(record, request.max_parallel) as progress,
        ):
            return Run(
                record=record,
                values=values,
                engine=engine,
                processes=processes,
                progress=progress,
                max_parallel=request.max_parallel,
                workspace=request.workspace,
            ).execute()
    except (ProblemsError, KeyboardInterrupt) as error:
        result = "FAILED" if isinstance(error, ProblemsError) else "CANCELED"
        record.end(result, str(error), int(datetime.now(timezone.utc).timestamp() * 1000))
        raise


@contextmanager
def prepared(
    request: Request, names: Names, entry_points: Sequence[tuple[str, str]], folder: Path
) -> Iterator[tuple[Processes, Renewable]]:
    """Processes and an engine that knows the workspace, while the context lasts; their logs are in `folder`."""
    catalog = ONLY_CATALOG.get(request.engine)

    def found() -> list[tuple[str, str]]:
        return [(own, schema) for own, schema in found_schemas(request.workspace) if catalog in (None, own)]

    def schemas() -> list[tuple[str, str]]:
        return sorted({*names.schemas, *(one for one in found() if one[0] in catalogs)})

    catalogs = sorted({*names.catalogs, *(catalog for catalog, _ in found())}) or [_CATALOG_OF_NONE]
    with (
        plain_path(request.workspace) as workspace,
        fork_server(entry_points, folder / "localjobs.forkserver.log") as processes,
        Renewable(
            lambda: ENGINES[request.engine](catalogs, workspace, folder / f"localjobs.{request.engine}.log"),
            lambda engine: _prepare(processes, engine, workspace, schemas(), names, folder / "localjobs.prepare.log"),
        ) as engine,
    ):
        yield processes, engine


def _prepare(
    processes: Processes, engine: Engine, workspace: Path, schemas: list[tuple[str, str]], names: Names, log: Path
) -> None:
    """Tell the engine of the workspace and let the wheel make its run logs, in processes that may open a channel."""
    processes.wait_until_ready()
    environment = {"SPARK_REMOTE": engine.remote}
    given = {"remote": engine.remote, "workspace": str(workspace), "schemas": schemas}
    logs = (workspace.joinpath(*run_log.split(".")) for run_log in names.run_logs)
    calls: list[tuple[str, dict[str, Any]]] = [
        ("localjobs.compact:compact", {"folder": str(log)}) for log in logs if log.is_dir()
    ]
    calls += [("localjobs.engine:prepare_workspace", given)] if schemas else []
    calls += [("localjobs.attempt:bootstrap", {"run_log": run_log}) for run_log in names.run_logs]
    for call, arguments in calls:
        ended = processes.wait_for(processes.start(call, arguments, log, environment))
        if not ended.ok:
            said = [
                line for line in log.read_text(encoding="utf-8").splitlines() if not line.startswith(("Traceback", " "))
            ]
            raise ProblemsError([f"the workspace could not be prepared (output: {log})", *said[-5:]])


@contextmanager
def _progress(record: RunRecord, at_once: int) -> Iterator[Progress]:
    console = Console(stderr=True)
    total, expected = count_tasks(record), estimate(record.job.tasks, earlier(record), at_once)
    if not console.is_terminal or console.is_dumb_terminal:
        yield Lines(console, total, expected)
        return
    with Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False) as live:
        again = f", repair {record.past.repair_id}" if record.past else ""
        yield Picture(live, f"{record.job.key}, run {record.run_id}{again}", expected)
