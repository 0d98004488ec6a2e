"""A run of a workspace, through databricks-sdk: all its tasks, the output of what failed, the good run before it."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from time import monotonic, sleep, time
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from laketasks.redact import redact
from monitor.evidence import Evidence
from monitor.graph import cycle
from monitor.problem import ProblemsError, UsageError
from monitor.run import Run, Task, read_run
from monitor.run_log import Load, levels_of, loads_of, newest, query, quoted, targets_of
from monitor.text import first_line

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.sql import StatementResponse

_CREDENTIALS = (
    "set DATABRICKS_CONFIG_PROFILE to a profile of the Databricks CLI, or DATABRICKS_HOST and DATABRICKS_TOKEN"
)
_WAREHOUSE = "set DATABRICKS_WAREHOUSE_ID to the SQL warehouse that may read it"
_REQUEST_SECONDS = 30
_RETRY_SECONDS = 8  # a person waits for this, at night
_STATEMENT_SECONDS = 120
_LOOKED_AT = 100  # earlier runs, to find a good one
_AT_ONCE = 8
T = TypeVar("T")


def run_id_of(url: str) -> int:
    """The run that a page of the workspace shows: `https://.../jobs/1/runs/2`, `https://.../#job/1/run/2`."""
    found = re.findall(r"/runs?/(\d{1,19})(?=[/?#]|$)", url)
    if not found:
        raise UsageError([f"{url}: names no run; the page of a run has an address like https://HOST/jobs/1/runs/2"])
    return int(found[-1])


def collect(run_id: int, url: str = "") -> Evidence:
    """All that the workspace tells of a run; raises ProblemsError where it does not."""
    client = _client(url)
    with _problems(client, f"run {run_id}"):
        run = _run(_get(client, run_id))
    good, no_good = _optional(client, lambda: _good(client, run))
    loads, without_log = _loads(client, run, good)
    outputs, no_outputs = _optional(client, lambda: _outputs(client, run, loads))
    return Evidence(
        run=run,
        now=int(time() * 1000) if run.going_on else max(run.end, run.start),
        good=good,
        loads=loads,
        without_log=without_log,
        outputs=outputs or {},
        again=(_again(run), *([run.url] if run.url else [])),
        notes=tuple(
            f"{what}: {why}"
            for what, why in (("earlier runs could not be read", no_good), ("no output of tasks", no_outputs))
            if why
        ),
    )


def history(name: str, most: int) -> tuple[Load, ...]:
    """The newest loads of every table that a run log of the workspace has; raises ProblemsError."""
    client = _client("")
    with _problems(client, name):
        warehouse = client.config.warehouse_id or _running_warehouse(client)
        if not warehouse:
            raise ProblemsError([f"{name}: no SQL warehouse is running; {_WAREHOUSE}"])
        return loads_of(_rows(client, warehouse, newest(quoted(name), _micros, most)))


def _micros(name: str) -> str:
    return f"unix_micros({name})"


def _client(url: str) -> WorkspaceClient:
    """A client by the SDK's own rules. A page's address says which run, never where credentials are sent."""
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.config import Config

    logging.getLogger("databricks.sdk").addHandler(logging.NullHandler())  # its warnings are not for the one who reads
    try:
        config = Config(
            product="laketasks-monitor",
            product_version="0.1.0",
            http_timeout_seconds=_REQUEST_SECONDS,
            retry_timeout_seconds=_RETRY_SECONDS,
        )
        client = WorkspaceClient(config=config)
    except Exception as error:  # ValueError and whatever a provider of credentials raises
        said = str(error).partition(" Config:")[0].partition("https:")[0].strip(" .,")
        said = re.sub(r", please check$", "", said)
        raise ProblemsError([f"no workspace to ask ({redact(said)}); {_CREDENTIALS}"]) from None
    ours, theirs = urlsplit(client.config.host or "").hostname, urlsplit(url).hostname
    if url and ours != theirs:
        raise ProblemsError(
            [f"{url} is a page of {theirs}, the credentials are for {ours}: nothing was sent; {_CREDENTIALS}"]
        )
    return client


@contextmanager
def _problems(client: WorkspaceClient, what: str) -> Iterator[None]:
    """What the service, or the way to it, refuses: as a problem with its remedy."""
    from databricks.sdk.errors import BadRequest, NotFound, PermissionDenied, Unauthenticated

    host = client.config.host
    try:
        yield
    except NotFound as error:
        raise ProblemsError(
            [f"{what}: {host} knows no such run ({_said(error, client)}); runs are kept for 60 days"]
        ) from None
    except BadRequest as error:
        raise ProblemsError([f"{what}: {host} refuses: {_said(error, client)}"]) from None
    except (Unauthenticated, PermissionDenied) as error:
        raise ProblemsError(
            [f"{what}: {host} does not let you see it: {_said(error, client)}; {_CREDENTIALS}"]
        ) from None
    except ProblemsError:
        raise
    except (TimeoutError, ConnectionError) as error:
        cause = error.__cause__ or error
        innermost = _said(cause, client).rpartition("Caused by ")[2].rpartition(": ")[2]
        innermost = re.sub(r"""["']\)*$""", "", innermost)
        raise ProblemsError([f"{what}: {host} cannot be reached: {innermost}"]) from None
    except Exception as error:  # requests, urllib3, a proxy's page instead of JSON: never a traceback
        raise ProblemsError([f"{what}: {host}: {type(error).__name__}: {_said(error, client)}"]) from None


def _said(error: BaseException, client: WorkspaceClient) -> str:
    """The first line of a message, without anything secret that stands in the configuration."""
    line = first_line(str(error)).partition(" Config: ")[0].rstrip(".") or type(error).__name__
    config = client.config
    attributes = (getattr(config, a.name, None) for a in type(config).attributes() if a.sensitive)
    return redact(line, [str(value) for value in attributes if value])[:500]


def _get(client: WorkspaceClient, run_id: int) -> Mapping[str, Any]:
    """The record of a job's run, all pages; where the id is that of a task, of the run it belongs to."""
    run = client.jobs.get_run(run_id, include_history=True)
    if run.job_run_id and run.job_run_id != run.run_id:
        run = client.jobs.get_run(run.job_run_id, include_history=True)
    document: Mapping[str, Any] = run.as_dict()
    return document


def _run(document: Mapping[str, Any]) -> Run:
    run, problems = read_run(document)
    if run is None:
        raise ProblemsError(f"the workspace's answer {problem}" for problem in problems)
    if loop := cycle(run):
        raise ProblemsError([f"run {run.run_id}: tasks wait for one another: {loop}"])
    return run


def _good(client: WorkspaceClient, run: Run) -> Run | None:
    """The newest run of the same job before this one in which everything succeeded."""
    earlier = client.jobs.list_runs(
        job_id=run.job_id, completed_only=True, start_time_to=run.start - 1, limit=25, expand_tasks=False
    )
    for other in islice(earlier, _LOOKED_AT):
        result = other.state.result_state if other.state else None
        if result and result.value == "SUCCESS" and other.run_id and other.run_id != run.run_id:
            read = _run(_get(client, other.run_id))
            if not read.is_dry:
                return read
    return None


def _outputs(client: WorkspaceClient, run: Run, loads: Sequence[Load] | None) -> dict[str, str]:
    """The error and its trace of each task that failed and logged no error itself."""
    logged = {load.task_key for load in loads or () if load.run_id == str(run.run_id) and load.error}
    asked = [task for task in run.tasks if task.fate == "failed" and task.last.start and task.key not in logged]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip((t.key for t in asked), pool.map(lambda task: _output(client, task), asked), strict=True))


def _output(client: WorkspaceClient, task: Task) -> str:
    from databricks.sdk.errors.base import DatabricksError

    try:
        output = client.jobs.get_run_output(task.last.run_id)
    except DatabricksError:
        return ""  # some types of task have none: the state's message stands
    trace, error = output.error_trace or "", output.error or ""
    return redact("\n".join(text for text in (error, trace) if text))  # the error first: it is the cause


def _loads(client: WorkspaceClient, run: Run, good: Run | None) -> tuple[tuple[Load, ...] | None, str]:
    """What the run log says, asked through a SQL warehouse, or why it says nothing."""
    if not run.run_log:
        return None, "no task of this run names a run log"
    if levels_of(run.run_log) is None:
        return None, f"the run log's name {run.run_log!r} is no name of a table"
    warehouse, problem = _optional(client, lambda: client.config.warehouse_id or _running_warehouse(client))
    if not warehouse:
        return None, f"{run.run_log}: {problem or 'no SQL warehouse is running'}; {_WAREHOUSE}"
    asked = query(
        quoted(run.run_log),
        _micros,
        [run.run_id, *([good.run_id] if good else [])],
        targets_of(run),
    )
    rows, problem = _optional(client, lambda: _rows(client, warehouse, asked))
    return (None, f"{run.run_log}: {problem}") if rows is None else (loads_of(rows), "")


def _running_warehouse(client: WorkspaceClient) -> str:
    """One that runs already: looking at a run starts nothing that costs."""
    found = (w for w in client.warehouses.list() if w.state and w.state.value == "RUNNING" and w.id)
    return next((str(warehouse.id) for warehouse in found), "")


def _rows(client: WorkspaceClient, warehouse: str, statement: str) -> list[dict[str, object]]:
    """The rows of an answer, all chunks of it, as texts."""
    answer = client.statement_execution.execute_statement(statement, warehouse, wait_timeout="30s")
    answer = _finished(client, answer)
    manifest, result = answer.manifest, answer.result
    columns = [str(column.name) for column in (manifest.schema.columns or [])] if manifest and manifest.schema else []
    rows: list[dict[str, object]] = []
    while result is not None:
        rows += [dict(zip(columns, row, strict=True)) for row in result.data_array or []]
        if result.next_chunk_index is None or answer.statement_id is None:
            break
        result = client.statement_execution.get_statement_result_chunk_n(answer.statement_id, result.next_chunk_index)
    return rows


def _finished(client: WorkspaceClient, answer: StatementResponse) -> StatementResponse:
    until = monotonic() + _STATEMENT_SECONDS
    while _state(answer) in ("PENDING", "RUNNING") and answer.statement_id:
        if monotonic() > until:
            client.statement_execution.cancel_execution(answer.statement_id)
            raise ProblemsError([f"the SQL warehouse gave no answer in {_STATEMENT_SECONDS} s"])
        sleep(1)
        answer = client.statement_execution.get_statement(answer.statement_id)
    if _state(answer) != "SUCCEEDED":
        error = answer.status.error if answer.status else None
        raise ProblemsError([(error.message if error and error.message else f"the query ended {_state(answer)}")])
    return answer


def _state(answer: StatementResponse) -> str:
    return answer.status.state.value if answer.status and answer.status.state else ""


def _optional(client: WorkspaceClient, ask: Callable[[], T]) -> tuple[T | None, str]:
    """An answer that the page can do without, or why there is none."""
    try:
        with _problems(client, "asked"):
            return ask(), ""
    except ProblemsError as error:
        return None, error.problems[0].removeprefix("asked: ").splitlines()[0]


def _again(run: Run) -> str:
    """The command of the Databricks CLI that repairs the run, with what ran on top of a failure."""
    latest = f" --latest-repair-id {run.latest_repair}" if run.latest_repair else ""
    return f"databricks jobs repair-run {run.run_id} --rerun-all-failed-tasks --rerun-dependent-tasks{latest}"
