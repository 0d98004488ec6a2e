"""Measure a look-up and an append of a run log that many runs have written to: `python -m benchmarks.run_log`.

A commit holds five rows, as if five loads had written at once; 140 tables take turns. The commits are written by hand,
as an engine would take an hour for them. Each figure is the median of five calls in one process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from laketasks.counts import Counts
from laketasks.run_log import COLUMNS, LogRow, append, create_run_log, last_success
from laketasks.run_log_upkeep import keep_small
from localjobs.compact import compact
from localjobs.engine import prepare
from localjobs.engines import ENGINES

TABLES = 140
ROWS = 5  # of a commit
_BEGIN = datetime(2024, 1, 1, tzinfo=timezone.utc)
_KINDS = {"STRING": pa.string(), "INT": pa.int32(), "BIGINT": pa.int64(), "TIMESTAMP": pa.timestamp("us", tz="UTC")}


def write_commits(folder: Path, commits: int, *, days_ago: int = 0) -> None:
    """Append this many commits to a run log that has been created, without a checkpoint, as if some days ago."""
    kinds = COLUMNS
    then = time.time() - days_ago * 86_400
    schema = pa.schema([(name, _KINDS[kind]) for name, kind in kinds.items()])
    first = DeltaTable(folder).version() + 1
    for number in range(commits):
        rows = [_row(kinds, number * ROWS + i) for i in range(ROWS)]
        file = folder / f"by-hand-{first + number:06}.parquet"
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), file, compression="snappy")
        add = {
            "path": file.name,
            "partitionValues": {},
            "size": file.stat().st_size,
            "modificationTime": int(rows[-1]["ended_at"].timestamp() * 1000),
            "dataChange": True,
            "stats": json.dumps(_stats(rows)),
        }
        info = {"timestamp": add["modificationTime"], "operation": "WRITE", "operationParameters": {"mode": "Append"}}
        log = folder / "_delta_log" / f"{first + number:020}.json"
        log.write_text(f"{json.dumps({'commitInfo': info})}\n{json.dumps({'add': add})}\n", encoding="utf-8")
        os.utime(log, (then, then))


def _row(kinds: dict[str, str], number: int) -> dict[str, object]:
    at = _BEGIN + timedelta(seconds=10 * number)
    known = {
        "job_run_id": str(number // TABLES),
        "task_key": f"t_{number % TABLES}",
        "target": f"silver.s.t_{number % TABLES}",
        "execution_pipeline": "scd1",
        "src_system": "crm",
        "status": "SUCCESS",
        "attempt": 1,
        "started_at": at,
        "ended_at": at,
        "wheel_version": "0.1.0",
        **dict.fromkeys(Counts().to_dict(), number),
    }
    return {name: known.get(name) for name in kinds}


def _stats(rows: list[dict[str, object]]) -> dict[str, object]:
    names = [name for name, value in rows[0].items() if value is not None]
    found = {name: sorted(row[name] for row in rows) for name in names}  # type: ignore[type-var]
    return {
        "numRecords": len(rows),
        "minValues": {name: _plain(values[0]) for name, values in found.items()},
        "maxValues": {name: _plain(values[-1]) for name, values in found.items()},
        "nullCount": {name: 0 if name in names else len(rows) for name in rows[0]},
    }


def _plain(value: object) -> object:
    return value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z" if isinstance(value, datetime) else value


def a_row(*, target: str = "silver.s.t_7", status: str = "SUCCESS", at: datetime | None = None) -> LogRow:
    at = at or datetime.now(timezone.utc)
    return LogRow(
        job_run_id="now",
        task_key="t_7",
        target=target,
        execution_pipeline="scd1",
        src_system="crm",
        status=status,
        attempt=1,
        started_at=at,
        ended_at=at,
        wheel_version="0.1.0",
        counts=Counts(),
    )


def median(call: Callable[[], object], times: int = 5) -> float:
    """Seconds of one call; the first is not counted."""
    taken = []
    for _ in range(times + 1):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return statistics.median(taken[1:])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run_log", description=__doc__)
    parser.add_argument("--engine", choices=[*ENGINES], default="sail")
    parser.add_argument("--commits", type=int, nargs="*", default=[0, 3000, 20_000])
    options = parser.parse_args()
    catalog = "dev_silver" if options.engine == "sail" else "spark_catalog"
    print("| commits | state | look-up, s | append, s |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        workspace = Path(place)
        with ENGINES[options.engine]([catalog], workspace, workspace / "server.log") as server:
            from pyspark.sql import SparkSession

            os.environ["SPARK_REMOTE"] = server.remote
            spark = SparkSession.builder.getOrCreate()
            for commits in options.commits:
                prepare(spark, workspace, [(catalog, f"n_{commits}")])
                name, folder = f"{catalog}.n_{commits}.run_log", workspace / catalog / f"n_{commits}" / "run_log"
                create_run_log(spark, name)
                write_commits(folder, commits, days_ago=30)

                def told(state: str, *, name: str = name, commits: int = commits) -> None:
                    look = median(lambda: last_success(spark, name, "silver.s.t_7"))
                    added = median(lambda: append(spark, name, a_row()))
                    print(f"| {commits:,} | {state} | {look:.2f} | {added:.2f} |", flush=True)

                told("as it is")
                if options.engine != "sail":
                    keep_small(spark, name, "")
                    told("after the summary's OPTIMIZE")
                compact(str(folder))
                told("after localjobs' compaction")
                for file in (folder / "_delta_log").iterdir():
                    os.utime(file, (0, 0))
                DeltaTable(folder).cleanup_metadata()
                told("a week later, without the commits")
            spark.stop()


if __name__ == "__main__":
    main()
