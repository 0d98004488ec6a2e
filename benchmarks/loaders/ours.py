"""Our loaders as a task runs them: `load_table` with the named parameters, the row of the run log included."""

from __future__ import annotations

import io
from contextlib import redirect_stdout

from benchmarks.loaders.data import KEY
from benchmarks.loaders.side import Side, Step

_PIPELINES = {"scd2": "scd2", "scd1": "scd1", "merge": "fact_incremental_merge", "overwrite": "fact_overwrite"}


def side(loader: str) -> Side:
    return Side(
        name="laketasks",
        about=f"{_PIPELINES[loader]} by laketasks.entry.load_table: guards, counts, staging, one commit, the run log",
        load=_load,
        current="is_current" if loader == "scd2" else "true",
        prepare=_make_run_log,
    )


def _make_run_log(step: Step) -> None:
    from laketasks.run_log import create_run_log

    create_run_log(step.spark, _run_log(step))


def _run_log(step: Step) -> str:
    return f"{step.target.rpartition('.')[0]}.run_log"


def _load(step: Step) -> None:
    from laketasks.entry import load_table
    from laketasks.spec import LoadSpec, RunContext

    dimension = step.loader in ("scd1", "scd2")
    spec = LoadSpec(
        execution_pipeline=_PIPELINES[step.loader],
        target_table=step.target,
        source_table=step.source,
        load_type="incremental" if step.loader == "merge" else "full",
        business_key_columns=(KEY,) if dimension else (),
        primary_key_columns=(KEY,) if step.loader == "merge" else (),
    )
    context = RunContext(
        job_run_id=str(step.number),
        task_key="target",
        run_log=_run_log(step),
        job_start_time=f"2024-06-{step.number + 1:02}T00:00:00Z",
    )
    with redirect_stdout(io.StringIO()):
        load_table({**spec.to_parameters(), **context.to_parameters()})
