"""The pattern that the job replaces: a driver that walks the rows with a thread pool, calling the same loaders.

    python -m benchmarks.driver JOB_FILE --workspace DIR --threads 5

`--threads 1` is the plain loop. It reads the tables from the generated job, so that both sides load the same.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from datetime import datetime, timezone
from pathlib import Path

from localjobs.engine import prepare
from localjobs.job import Job, WheelTask
from localjobs.references import RunValues, checked
from localjobs.sail import sail
from localjobs.start import Request, read
from localjobs.tables import names_of


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job_file", type=Path)
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=5)
    given = parser.parse_args(arguments)
    asked = Request(
        job_file=given.job_file,
        workspace=given.workspace,
        engine="sail",
        target="local",
        only=(),
        parameters={},
        variables={},
        max_parallel=given.threads,
    )
    job, _ = read(asked)
    now = datetime.now(timezone.utc)
    job, problems = checked(job, RunValues(run_id=1, job_id=1, job_name=job.name, start=now))
    names, more = names_of(job.tasks)
    if problems or more:
        raise SystemExit("\n".join([*problems, *more]))
    given.workspace.mkdir(parents=True, exist_ok=True)
    with sail(names.catalogs, given.workspace, given.workspace / "driver.sail.log") as engine:
        os.environ["SPARK_REMOTE"] = engine.remote
        from pyspark.sql import SparkSession

        from laketasks.run_log import create_run_log

        session = SparkSession.builder.getOrCreate()
        prepare(session, given.workspace, names.schemas)
        create_run_log(session, names.run_logs[0])
        loaded = _walk(job, given.threads)
        session.stop()
    print(f"{loaded} tables loaded by {given.threads} thread(s)")
    return 0


def _walk(job: Job, threads: int) -> int:
    from laketasks.entry import load_table

    def load(body: WheelTask) -> None:
        load_table(body.named_parameters)

    loaded = 0
    with redirect_stdout(io.StringIO()):
        for bodies in _orders(job):
            with ThreadPoolExecutor(threads) as pool:
                loaded += len(list(pool.map(load, bodies)))
    return loaded


def _orders(job: Job) -> list[list[WheelTask]]:
    """The load tasks by their depth in the job, which is their execution_order."""
    depth: dict[str, int] = {}
    waiting = list(job.tasks)
    while waiting:
        for task in [t for t in waiting if all(d.task_key in depth for d in t.depends_on)]:
            depth[task.task_key] = 1 + max((depth[d.task_key] for d in task.depends_on), default=0)
            waiting.remove(task)
    orders: dict[int, list[WheelTask]] = {}
    for task in job.tasks:
        if isinstance(task.body, WheelTask) and task.body.entry_point == "load":
            orders.setdefault(depth[task.task_key], []).append(task.body)
    return [orders[order] for order in sorted(orders)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
