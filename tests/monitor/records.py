"""Runs for the tests: records in the Jobs API's shape, with their loads, as large and as broken as one asks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from monitor.evidence import Evidence
from monitor.run import read_run
from monitor.run_log import COUNTS, Load

START = 1_770_000_000_000
PIPELINES = ("scd1", "scd2", "fact_incremental_merge", "fact_overwrite")
TRACEBACK = """Traceback (most recent call last):
  File "/databricks/python/lib/python3.12/site-packages/laketasks/load.py", line 120, in load
    plan = source.read(spec)
  File "/databricks/python/lib/python3.12/site-packages/pyspark/sql/connect/client/core.py", line 1987, in _handle
    raise convert_exception(info, status.message)
pyspark.errors.exceptions.connect.AnalysisException: [UNRESOLVED_COLUMN.WITH_SUGGESTION] A column, variable, or \
function parameter with name `{column}` cannot be resolved. Did you mean one \
of the following? [`id`, `name`]. SQLSTATE: 42703
"""

Element = dict[str, Any]


def element(key: str, result: str = "SUCCESS", start: float = 0, seconds: float = 1, **more: Any) -> Element:
    """A task of a record; `start` in seconds after the run's. A result in lower case is a life cycle state."""
    life = (
        {"life_cycle_state": "TERMINATED", "result_state": result}
        if result.isupper()
        else {"life_cycle_state": result.upper()}
    )
    ran = result not in ("UPSTREAM_FAILED", "EXCLUDED", "blocked", "pending")
    begins = START + round(start * 1000) if ran else 0
    ends = begins + round(seconds * 1000) if ran and result != "running" else 0
    depends_on = [{"task_key": other} for other in more.pop("after", ())]
    message = more.pop("message", "")
    wheel = {
        "package_name": "laketasks",
        "entry_point": "load",
        "named_parameters": {"run_log": "s.m.run_log", "target_table": f"s.t.{key}"},
    }
    body = {} if any(name.endswith("_task") for name in more) else {"python_wheel_task": wheel}
    return {
        "run_id": 1000 + sum(map(ord, key)),
        "task_key": key,
        "attempt_number": 0,
        "state": {**life, "state_message": message},
        "start_time": begins,
        "end_time": ends,
        "depends_on": depends_on,
        **body,
        **more,
    }


def record(*tasks: Element, result: str = "", run_id: int = 77, **more: Any) -> dict[str, Any]:
    """A run of these tasks; its result is that of its tasks unless another is given."""
    results = [task["state"].get("result_state") for task in tasks]
    life = "RUNNING" if None in results else "TERMINATED"
    own = result or ("SUCCESS" if set(results) == {"SUCCESS"} else "FAILED")
    state = {"life_cycle_state": life, "state_message": "", **({"result_state": own} if life == "TERMINATED" else {})}
    end = max((task["end_time"] for task in tasks), default=START) if life == "TERMINATED" else 0
    return {
        "job_id": 5,
        "run_id": run_id,
        "run_name": "bronze_to_silver",
        "state": state,
        "start_time": START,
        "end_time": end,
        "tasks": [*tasks],
        **more,
    }


def gate(key: str, after: Sequence[str], **more: Any) -> Element:
    return element(key, seconds=0, after=after, condition_task={"left": "1", "op": "EQUAL_TO", "right": "1"}, **more)


def load(
    key: str, read: int = 100, *, run_id: int = 77, start: float = 0, seconds: float = 1, error: str = "", **more: Any
) -> Load:
    """A row of the run log; `start` in seconds after the run's."""
    counts: Mapping[str, int] = dict.fromkeys(COUNTS, 0) | {"read": read, "new": read, "rows_inserted": read}
    begins = START + round(start * 1000)
    return Load(
        run_id=str(run_id),
        task_key=key,
        target=f"s.t.{key}",
        pipeline=more.pop("pipeline", "scd1"),
        succeeded=not error,
        attempt=1,
        start=begins,
        end=begins + round(seconds * 1000),
        counts={} if error else counts,
        error=error,
        **more,
    )


def evidence(document: Mapping[str, Any], **more: Any) -> Evidence:
    run, problems = read_run(document)
    assert run is not None, problems
    more.setdefault("now", run.end or START + 60_000)
    return Evidence(run=run, **more)


def night(
    tables: int, failed: int, *, seed: int = 1, policy: str = "continue", at_once: int = 40, causes: int = 3
) -> Evidence:
    """A night of so many tables in three orders, with a good night before it; log-normal durations, seeded."""
    chance = random.Random(seed)
    sizes = [round(tables * 0.55), round(tables * 0.3)]
    sizes.append(tables - sum(sizes))
    broken = set(chance.sample(range(tables), failed))
    tasks: list[Element] = []
    loads: list[Load] = []
    before: list[str] = []
    usual: dict[str, float] = {}
    lanes = [2.0] * at_once
    number, any_failed = 0, False
    for order, size in enumerate(sizes, 1):
        keys = [
            f"{'dim' if order == 1 else 'fact'}_{chance.choice(WORDS)}_{chance.choice(WORDS)}_{number + n:03}"
            for n in range(size)
        ]
        lanes = [max(lanes)] * at_once
        for key in keys:
            rows = round(chance.lognormvariate(9, 2))
            took = round(chance.lognormvariate(2.4, 0.9), 1)
            lane = min(range(at_once), key=lanes.__getitem__)
            start = lanes[lane]
            result = "SUCCESS"
            if number in broken:
                result = "TIMEDOUT" if chance.random() < 0.15 else "FAILED"
            elif policy == "skip" and any_failed and order > 1:
                result = "UPSTREAM_FAILED"
            pipeline = chance.choice(PIPELINES[:2] if order == 1 else PIPELINES[2:])
            column = f"amount_{chance.randrange(causes)}"
            error = "" if result == "SUCCESS" else TRACEBACK.format(column=column)
            message = (
                "timed out after 7200 s" if result == "TIMEDOUT" else "Workload failed, see run output for details"
            )
            if result != "UPSTREAM_FAILED":
                lanes[lane] = start + took
                loads.append(load(key, rows, start=start, seconds=took, error=error, pipeline=pipeline))
            url = f"https://workspace.example/jobs/5/runs/{1000 + number}"
            tasks.append(
                element(
                    key,
                    result,
                    start,
                    took,
                    after=before,
                    message=message if error else "",
                    run_page_url=url,
                    run_if="ALL_DONE",
                )
            )
            earlier = usual[key] = took * chance.uniform(0.6, 1.1)
            loads.append(
                load(
                    key,
                    round(rows * chance.uniform(0.7, 1.05)),
                    run_id=70,
                    start=start - 86_400,
                    seconds=earlier,
                    pipeline=pipeline,
                )
            )
            number += 1
        any_failed = any_failed or any(task["state"].get("result_state") in ("FAILED", "TIMEDOUT") for task in tasks)
        before = keys
    wheel = {"package_name": "laketasks", "entry_point": "summarize", "named_parameters": {"run_log": "s.m.run_log"}}
    last = max(lanes)
    tasks.append(
        element("run_summary", "FAILED" if failed else "SUCCESS", last, 4, after=before, python_wheel_task=wheel)
    )
    good = record(
        *(element(t["task_key"], "SUCCESS", 0, usual.get(t["task_key"], 4)) for t in tasks),
        run_id=70,
        start_time=START - 86_400_000,
    )
    good |= {"end_time": START - 86_400_000 + round(last * 900)}
    run, problems = read_run(good)
    assert run is not None, problems
    url = "https://workspace.example/jobs/5/runs/77"
    again = ("databricks jobs repair-run 77 --rerun-all-failed-tasks --rerun-dependent-tasks", url)
    return evidence(
        record(*tasks, run_page_url=url), good=run, loads=tuple(sorted(loads, key=lambda row: row.end)), again=again
    )


WORDS = (
    "customer",
    "order",
    "item",
    "price",
    "stock",
    "invoice",
    "contract",
    "region",
    "store",
    "supplier",
    "campaign",
    "payment",
)
