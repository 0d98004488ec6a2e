"""The entry points of the wheel. A task calls them as functions; they return nothing or raise.

They read `--name=value` from the command line, as the Jobs service passes named parameters. pyspark is imported when a
load starts, not before.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime, timezone
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from laketasks.counts import DRY_RUN, FAILED, RELEASED, SUCCESS
from laketasks.error import EngineError, LoadError, NotLoggedError
from laketasks.known_tasks import unknown_tasks
from laketasks.redact import redact
from laketasks.run_record import Ask, child_run, read_error, read_run
from laketasks.spec import (
    AdoptSpec,
    BootstrapSpec,
    LoadSpec,
    QuarantineSpec,
    RunContext,
    SpecError,
    SummarySpec,
    names_task,
)
from laketasks.summary import Record, TaskState, states_of
from laketasks.summary import summarize as summary_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from laketasks.load import Outcome

RUN_RECORD = "LAKETASKS_RUN_RECORD"
_ASKED_ERRORS = 20
_Second = TypeVar("_Second", RunContext, AdoptSpec)


class RunFailed(LoadError):  # noqa: N818
    """Raised by the summary of a run in which anything failed, so that the run fails."""


def load() -> None:
    """Load the table that the task's named parameters describe, and log what came of it."""
    load_table(named_parameters(sys.argv[1:]))


def summarize() -> None:
    """Print the summary of the run; raises RunFailed when anything in it failed."""
    summarize_run(named_parameters(sys.argv[1:]))


def bootstrap() -> None:
    """Make what has to be there before the first load, where it is not."""
    bootstrap_workspace(named_parameters(sys.argv[1:]))


def quarantine() -> None:
    """Print what waits in quarantine."""
    list_quarantine(named_parameters(sys.argv[1:]))


def adopt() -> None:
    """Show how tables that another tool has filled become ours, or make them ours with `--dry_run=false`."""
    adopt_table(named_parameters(sys.argv[1:]))


def named_parameters(arguments: Sequence[str]) -> dict[str, str]:
    """`--name=value` arguments by name; raises SpecError for any other form."""
    wrong = [argument for argument in arguments if not argument.startswith("--") or "=" not in argument]
    if wrong:
        raise SpecError([f"expected --name=value, found {argument!r}" for argument in wrong])
    pairs = (argument[2:].split("=", 1) for argument in arguments)
    return {name: value for name, value in pairs}  # noqa: C416


def load_table(parameters: Mapping[str, str]) -> None:
    """One attempt of one load: run it, append its row to the run log, and raise what it raised."""
    spec, context = _both(LoadSpec.from_parameters, RunContext.from_parameters, parameters, unknown_tasks(parameters))
    from pyspark.sql import SparkSession

    from laketasks.load import run_load

    spark = SparkSession.builder.getOrCreate()
    if names_task(context.release_quarantine, context.task_key):
        _release(spark, spec, context)
    started = datetime.now(timezone.utc)
    try:
        outcome = run_load(spark, spec, context)
    except Exception as error:
        unmade = _awaited(spark, spec, context, error)
        if not unmade:
            _log_failure(spark, spec, context, started, error)
            raise
        _log(spark, spec, context, started, None, None)
        lines = [f"{spec.target_table}: not judged, as it reads {', '.join(unmade)}, which this run would make first"]
    else:
        lines = _report(spec, context, outcome)
        try:
            _log(spark, spec, context, started, outcome, None)
        except Exception as error:
            print("\n".join(lines), flush=True)
            raise NotLoggedError(_unlogged(spec, context, outcome, error)) from error
    for line in lines:
        print(line, flush=True)


def release_table(parameters: Mapping[str, str]) -> None:
    """Take in again what waits in quarantine for the table that a load's parameters describe; `release.py` says how."""
    spec, context = _both(LoadSpec.from_parameters, RunContext.from_parameters, parameters)
    from pyspark.sql import SparkSession

    _release(SparkSession.builder.getOrCreate(), spec, context)


def list_quarantine(parameters: Mapping[str, str]) -> None:
    """Print what waits in quarantine: how many rows of which table, by which rule, since when, and some of them."""
    spec = QuarantineSpec.from_parameters(parameters)
    from pyspark.sql import SparkSession

    from laketasks.quarantine import list_waiting

    for line in list_waiting(SparkSession.builder.getOrCreate(), spec):
        print(line, flush=True)


def adopt_table(parameters: Mapping[str, str]) -> None:
    """Adopt the tables of the jobs that the parameters name, or the one table that they describe."""
    if not parameters.get("jobs"):
        adopt_tables({parameters.get("task_key", ""): parameters}, parameters)
        return
    if RUN_RECORD in os.environ:
        raise SpecError(["--jobs: no workspace is asked in a local run; use python -m localjobs adopt JOB_FILE"])
    from laketasks.workspace_jobs import loads_of_jobs

    asked = AdoptSpec.from_parameters(parameters)
    try:
        loads = loads_of_jobs(asked.jobs.split(","), asked.only)
    except LoadError as error:
        raise LoadError(redact(str(error))) from None
    adopt_tables(loads, parameters)


def adopt_tables(tables: Mapping[str, Mapping[str, str]], options: Mapping[str, str]) -> None:
    """Print one plan for all tables, by task key, and carry it out unless it is a dry run.

    Raises LoadError after the last table if one cannot be adopted; the others are adopted all the same.
    """
    problems: list[str] = []
    loads: list[tuple[LoadSpec, RunContext]] = []
    asked = AdoptSpec()
    try:
        asked = AdoptSpec.from_parameters(options)
    except SpecError as wrong:
        problems += wrong.problems
    for key, parameters in tables.items():
        run = {"catalogs": parameters.get("catalogs", "{}"), "job_run_id": "", "run_log": "", "task_key": key}
        try:
            loads.append((LoadSpec.from_parameters(parameters), RunContext.from_parameters(run)))
        except SpecError as wrong:
            problems += [f"{key}: {problem}" if key else problem for problem in wrong.problems]
    if problems:
        raise SpecError(problems)
    from pyspark.sql import SparkSession

    from laketasks.adopt_run import adopt_all

    adopt_all(SparkSession.builder.getOrCreate(), loads, asked, print_line)


def print_line(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def bootstrap_workspace(parameters: Mapping[str, str]) -> None:
    """Make schemas, run log and metadata table where they are not there, and print what was made."""
    spec = BootstrapSpec.from_parameters(parameters)
    from pyspark.sql import SparkSession

    from laketasks import bootstrap

    for line in bootstrap.bootstrap(SparkSession.builder.getOrCreate(), spec):
        print(line, flush=True)


def summarize_run(parameters: Mapping[str, str]) -> None:
    """Join the states of the run's tasks with the run log, print the summary, raise RunFailed if anything failed."""
    spec = SummarySpec.from_parameters(parameters)
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    states, problem = _states(spec)
    rows, log_problem = _rows(spark, spec)
    if states is not None and RUN_RECORD not in os.environ:
        states = _with_errors(states, rows)
    summary = summary_of(spec, states, rows, states_error=problem, log_error=log_problem, chosen=_chosen())
    print(redact(summary.text), flush=True)
    _look_after(spark, spec, {str(row["target"]) for row in rows})
    if summary.failed:
        raise RunFailed(redact(summary.brief))


def _rows(spark: SparkSession, spec: SummarySpec) -> tuple[list[dict[str, object]], str]:
    """The run log's rows of this run, or why they cannot be read."""
    from pyspark.errors import PySparkException

    from laketasks.run_log import rows_of_run

    try:
        return rows_of_run(spark, spec.run_log, spec.job_run_id), ""
    except PySparkException as error:
        return [], f"{spec.run_log}: {str(error).strip().partition(chr(10))[0]}"


def _look_after(spark: SparkSession, spec: SummarySpec, targets: set[str]) -> None:
    """Print what waits in quarantine, sweep staging tables and keep the run log small; none of it fails a run."""
    from pyspark.errors import PySparkException

    from laketasks.quarantine import summary_lines
    from laketasks.run_log_upkeep import keep_small

    try:
        lines = summary_lines(spark, targets)
    except PySparkException as error:
        lines = [f"What waits in quarantine could not be read: {str(error).splitlines()[0]}"]
    if lines:
        print("\n".join(("", *lines)), flush=True)
    _sweep(spark, {target.rpartition(".")[0] for target in targets})
    if not spec.dry_run:
        for line in keep_small(spark, spec.run_log, spec.run_log_retention):
            print(line, flush=True)


def _sweep(spark: SparkSession, schemas: Iterable[str]) -> None:
    """Drop what killed loads staged a day or more ago; tidying up never fails a run."""
    from pyspark.errors import PySparkException

    from laketasks.stage import sweep

    for schema in sorted(schemas):
        try:
            swept = sweep(spark, schema)
        except PySparkException as error:
            print(f"{schema}: staging tables could not be listed: {error}", file=sys.stderr)
        else:
            for table in swept:
                print(f"dropped {table}, which a killed load left behind")


def _both(
    first: Callable[[Mapping[str, str]], LoadSpec],
    second: Callable[[Mapping[str, str]], _Second],
    parameters: Mapping[str, str],
    others: Sequence[str] = (),
) -> tuple[LoadSpec, _Second]:
    """The parameters as both read them; raises SpecError with the problems of both, and the `others`."""
    problems: list[str] = []
    read: list[LoadSpec | _Second] = []
    for reader in (first, second):
        try:
            read.append(reader(parameters))
        except SpecError as wrong:
            problems += wrong.problems
    if problems or others:
        raise SpecError([*problems, *(f"--{problem}" for problem in others)])
    spec, other = read
    return cast("LoadSpec", spec), cast("_Second", other)


def _states(spec: SummarySpec) -> tuple[list[TaskState] | None, str]:
    """The states of the run's tasks, or None; and why they cannot be read, or not all of them."""
    problems: list[str] = []
    try:
        record, run_of = _recorded() if RUN_RECORD in os.environ else _asked(spec, problems)
        states = states_of(record, spec.children, run_of)
        return [replace(state, message=redact(state.message)) for state in states], redact("; ".join(problems))
    except Exception as error:  # whatever the workspace's client raises, the run log still tells
        said = str(error).partition(" Config: ")[0]  # behind it the SDK writes how it tried to log in
        return None, redact(f"{type(error).__name__}: {said}")


def _recorded() -> tuple[Record, Callable[[Record], Record]]:
    """The record of the run in its folder, and what finds that of a child job, whose folder stands beside it."""
    file = Path(os.environ[RUN_RECORD])

    def read(found: Path) -> Record:
        record: Record = json.loads(found.read_text(encoding="utf-8"))
        return record

    def run_of(task: Mapping[str, Any]) -> Record:
        return read(file.parent.parent / str(task["run_job_output"]["run_id"]) / file.name)

    return read(file), run_of


def _chosen() -> bool:
    """Whether localjobs runs some of the job's tasks only, which its record says."""
    try:
        own = _recorded()[0].get("localjobs") if RUN_RECORD in os.environ else None
    except (OSError, ValueError):
        return False
    return isinstance(own, Mapping) and bool(own.get("only"))


def _asked(spec: SummarySpec, problems: list[str]) -> tuple[Record, Callable[[Record], Record]]:
    """The same from the workspace; what of it cannot be read goes to the problems."""
    ask = _service()

    def read(run_id: int) -> Record:
        record, problem = read_run(ask, run_id)
        problems.extend([problem] if problem else [])
        return record

    return read(int(spec.job_run_id)), lambda task: read(child_run(ask, task))


def _service() -> Ask:
    from databricks.sdk import WorkspaceClient  # type: ignore[import-not-found,unused-ignore]

    client = WorkspaceClient().api_client
    return lambda path, query: client.do("GET", path, query=dict(query))


def _with_errors(states: Sequence[TaskState], rows: Sequence[Mapping[str, object]]) -> list[TaskState]:
    """The states with the error of each task that failed and logged none: the service's state does not tell it."""
    logged = {str(row["task_key"]) for row in rows if row["error"]}
    told = {
        s.task_key: s for s in states if s.result == "FAILED" and s.run_id and s.task_key not in logged and not s.child
    }
    try:
        ask = _service()
        errors = {key: redact(read_error(ask, state.run_id)) for key, state in islice(told.items(), _ASKED_ERRORS)}
    except Exception:  # the states are told without
        return list(states)
    return [replace(s, message=errors.get(s.task_key) or s.message) for s in states]


def _awaited(spark: SparkSession, spec: LoadSpec, context: RunContext, error: BaseException) -> tuple[str, ...]:
    """The tables for want of which a dry run cannot judge this one; none where it failed for another reason."""
    from laketasks.dry_run import awaited
    from laketasks.error import SourceError

    return awaited(spark, spec, context) if context.dry_run and isinstance(error, SourceError) else ()


def _report(spec: LoadSpec, context: RunContext, outcome: Outcome) -> list[str]:
    counts = outcome.counts.to_dict()
    said = ", ".join(f"{name} {rows}" for name, rows in counts.items() if rows) or "read 0"
    since = f" since {outcome.watermark_from}" if outcome.watermark_from else ""
    done = (
        "dry run, nothing written" if context.dry_run else "done" if outcome.counts.writes else "done, nothing to write"
    )
    return [*outcome.notes, f"{spec.target_table} ({spec.execution_pipeline}){since}: {said}; {done}"]


def _release(spark: SparkSession, spec: LoadSpec, context: RunContext) -> None:
    from laketasks.release import release

    started = datetime.now(timezone.utc)
    try:
        outcome = release(spark, spec, context)
    except Exception as error:
        _log_failure(spark, spec, context, started, error)
        raise
    if outcome is None:
        print(f"{spec.target_table}: no row waits in quarantine", flush=True)
        return
    _log(spark, spec, context, started, outcome, None, status=DRY_RUN if context.dry_run else RELEASED)
    for line in outcome.notes:
        print(line, flush=True)


def _unlogged(spec: LoadSpec, context: RunContext, outcome: Outcome, error: BaseException) -> str:
    done = "counted" if context.dry_run else "loaded" if outcome.counts.writes else "up to date"
    after = (
        ""
        if context.dry_run
        else (
            ". The table holds what this load read. The run log does not know it: the next run reads from the last "
            "success that is logged, finds the rows that are there unchanged, and logs"
        )
    )
    return f"{spec.target_table}: {done}, but not logged: {error}{after}"


def _log_failure(
    spark: SparkSession, spec: LoadSpec, context: RunContext, started: datetime, error: BaseException
) -> None:
    try:
        _log(spark, spec, context, started, None, error)
    except Exception as second:  # the load's own error is the one that must be seen
        print(f"the failure could not be written to the run log: {second}", file=sys.stderr)


def _log(
    spark: SparkSession,
    spec: LoadSpec,
    context: RunContext,
    started: datetime,
    outcome: Outcome | None,
    error: BaseException | None,
    *,
    status: str = SUCCESS,
) -> None:
    from laketasks.identity import encode, metadata_hash
    from laketasks.run_log import LogRow, append, wheel_version

    row = LogRow(
        job_run_id=context.job_run_id,
        task_key=context.task_key,
        target=spec.target_table,
        execution_pipeline=spec.execution_pipeline,
        src_system=spec.src_system,
        status=DRY_RUN if context.dry_run else status if error is None else FAILED,
        attempt=context.attempt,
        started_at=started,
        ended_at=datetime.now(timezone.utc),
        wheel_version=wheel_version(),
        counts=outcome.counts if outcome else None,
        watermark_from=outcome.watermark_from if outcome else None,
        watermark_to=outcome.watermark_to if outcome else None,
        source_version=outcome.source_version if outcome else None,
        target_version=outcome.target.version if outcome else None,
        row_hash=metadata_hash(spec) if status != RELEASED else None,  # which reads a few keys only
        keys=outcome.identity.get("keys") if outcome else None,
        history=outcome.identity.get("history") if outcome else None,
        identity=encode(outcome.identity) if outcome else None,
        source_versions=encode({name: asdict(of) for name, of in outcome.sources.items()}) if outcome else None,
        target_state=encode(asdict(outcome.target)) if outcome else None,
        decision=outcome.decision or None if outcome else None,
        stale_inputs=encode(outcome.stale_inputs) if outcome and outcome.stale_inputs else None,
        error_class=type(error).__name__ if error else None,
        error=redact(_full(error)) if error else None,
    )
    append(spark, context.run_log, row)


def _full(error: BaseException) -> str:
    """A message for what the loader refuses; the whole traceback for what it did not foresee."""
    if isinstance(error, LoadError) and not isinstance(error, EngineError):
        return f"{type(error).__name__}: {error}"
    return "".join(traceback.format_exception(error))
