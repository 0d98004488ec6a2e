"""The demo: both days, each loaded by the generated job, the last run as a page, then what to try next.

Every step is a process of its own, started as a user would start it; what it prints is its own.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from example import bronze
from example.history import customer_history
from example.problem import ExampleError

JOB_FILE = "resources/bronze_to_silver.job.yml"
_MADE_BY_A_RUN = ("dev_bronze", "dev_silver", "runs")
_PAGE = "report.html"
_INTERRUPTED = 130

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of the demo, as arguments of `python -m`."""

    title: str
    arguments: tuple[str, ...]


def run_demo(workspace: Path, scale_factor: float | None, *, afresh: bool, say: Say) -> int:
    """Run every step; the exit code of the first that fails, else 0."""
    if afresh:
        _start_afresh(workspace, say)
    started = time.monotonic()
    steps = _steps(workspace, scale_factor)
    for number, step in enumerate(steps, start=1):
        say(f"\n[{number}/{len(steps)}] {step.title}\n    $ python -m {' '.join(step.arguments)}")
        code = _run(step)
        if code != 0:
            say(f"\nThe demo ends at step {number}: `python -m {' '.join(step.arguments)}` gave exit code {code}.")
            return code
    say(f"\nA customer who moved on day 2, as silver tells it ({workspace}/dev_silver/retail/dim_customer):\n")
    say("\n".join(customer_history(workspace)))
    say(_next_steps(workspace, time.monotonic() - started))
    return 0


def _steps(workspace: Path, scale_factor: float | None) -> tuple[Step, ...]:
    here = ("--workspace", str(workspace))
    size = () if scale_factor is None else ("--scale-factor", f"{scale_factor:g}")
    load = ("localjobs", "run", JOB_FILE, *here)
    return (
        Step(title="Day 1 lands in bronze", arguments=("example", "day", "1", *here, *size)),
        Step(title="The rows of execution_table become a job file", arguments=("generator", "generate")),
        Step(title="The job loads day 1", arguments=load),
        Step(title="Day 2 changes bronze", arguments=("example", "day", "2", *here)),
        Step(title="The job loads day 2", arguments=load),
        Step(title="That run as a page", arguments=("monitor", str(workspace), "--html", str(workspace / _PAGE))),
    )


def _run(step: Step) -> int:
    process = subprocess.Popen([sys.executable, "-m", *step.arguments])
    try:
        return process.wait()
    except KeyboardInterrupt:  # the step has had the same signal: it cancels what it runs, which takes a moment
        process.wait()
        return _INTERRUPTED


def _start_afresh(workspace: Path, say: Say) -> None:
    if not workspace.exists() or not any(workspace.iterdir()):
        return
    if not (workspace / bronze.SCHEMA_FOLDER).is_dir():
        raise ExampleError(f"{workspace} holds something else than the example; name another --workspace")
    say(f"Starting afresh: removing {', '.join(_MADE_BY_A_RUN)} in {workspace} (--keep goes on with them).")
    for name in _MADE_BY_A_RUN:
        shutil.rmtree(workspace / name, ignore_errors=True)
    (workspace / _PAGE).unlink(missing_ok=True)


def _next_steps(workspace: Path, seconds: float) -> str:
    return f"""
The demo took {seconds:.0f} s. What to try next, in this checkout:

  a third run        finds nothing new, and writes nothing to any table of silver:
                     $ {_command(workspace)}
  look at the run    open {workspace / _PAGE} in a browser: what waits for what, a Gantt chart, every table;
                     `python -m monitor {workspace}` says the same in the terminal
  look around        {JOB_FILE}: the job that ran, one task per row of bundle/execution_table.yml
                     {workspace}/dev_silver: the tables (Delta), and metadata/run_log, what each load counted
                     {workspace}/runs: the record of each run, and a log per task
  break something    misspell a column in bundle/sql/fact_store_sales.sql and run again: the other tables load,
                     this one is tried twice, the summary shows its error in full, and the run ends FAILED
  add a table        a row in bundle/execution_table.yml, `make generate`, and run again"""


def _command(workspace: Path) -> str:
    """The run as one would type it: through make where the workspace is the Makefile's."""
    return "make run" if workspace == Path(".demo") else f"python -m localjobs run {JOB_FILE} --workspace {workspace}"
