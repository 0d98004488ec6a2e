"""deltalake (delta-rs) 1.6: merges of Arrow streams, in a process of its own, so that its memory counts apart.

    python -m benchmarks.loaders.arrow LOADER NUMBER SOURCE_FOLDER TARGET_FOLDER

prints the seconds of the load, imports not counted, the peak of the process in bytes, and what the target then holds:
not every engine reads the files that its MERGE writes (Sail 0.7 stumbles over texts written as views).
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.table import TableMerger

from benchmarks.loaders.data import ATTRIBUTES, KEY, SYNCED
from benchmarks.loaders.process import EndedError, bounded
from benchmarks.loaders.side import COLUMNS, Own, Side, Step

_ROOT = Path(__file__).parents[2]
_DIFFERS = " OR ".join(f"(s.{c} IS DISTINCT FROM t.{c})" for c in ATTRIBUTES)


def sides(loader: str) -> list[Side]:
    about = {
        "scd2": "DeltaTable.merge fed with the textbook's union with NULL keys",
        "scd1": "DeltaTable.merge, rows that differ updated, new ones inserted",
        "merge": "DeltaTable.merge of the rows from the target's highest watermark on",
        "overwrite": "write_deltalake, mode overwrite",
    }[loader]
    return [Side(name="deltalake", about=about, load=_load, current="is_current" if loader == "scd2" else "true")]


def _load(step: Step) -> Own:
    folders = (str(step.folder(step.source)), str(step.folder(step.target)))
    command = [sys.executable, "-m", __spec__.name, step.loader, str(step.number), *folders]
    piped = subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with piped as started, bounded(started.pid, step.bounds) as watch:
        printed, problem = started.communicate()
    if watch.ended:
        raise EndedError(watch.ended)
    if started.returncode:
        raise RuntimeError(problem.strip().splitlines()[-1])
    said = json.loads(printed)
    return Own(**{**said, "found": tuple(said["found"])})


def main(loader: str, number: int, source: str, target: str) -> None:
    started, worked = time.monotonic(), time.process_time()
    if number == 0:
        made = f", {SYNCED} AS valid_from, cast(NULL AS TIMESTAMP) AS valid_to, true AS is_current"
        rows = QueryBuilder().register("s", DeltaTable(source))
        write_deltalake(target, rows.execute(f"SELECT *{made if loader == 'scd2' else ''} FROM s"))
    else:
        _AGAIN[loader](DeltaTable(source), DeltaTable(target))
    took = {
        "seconds": time.monotonic() - started,
        "worked": time.process_time() - worked,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }
    print(json.dumps({**took, "found": _found(loader, source, target)}))


def _found(loader: str, source: str, target: str) -> tuple[int, int, int]:
    """Rows of the target, those in force, and those of them that equal their source row in every column."""
    both = QueryBuilder().register("s", DeltaTable(source)).register("t", DeltaTable(target))
    current = "t.is_current" if loader == "scd2" else "true"
    rows = both.execute(f"SELECT count(*) AS n, count(*) FILTER (WHERE {current}) AS c FROM t").read_all()
    equal = both.execute(
        f"SELECT count(*) AS n FROM s JOIN t ON s.{KEY} = t.{KEY} WHERE {current} AND NOT ({_DIFFERS})"
    ).read_all()
    return rows["n"][0].as_py(), rows["c"][0].as_py(), equal["n"][0].as_py()


def _scd2(source: DeltaTable, target: DeltaTable) -> None:
    staged = QueryBuilder().register("s", source).register("t", target)
    union = (
        f"SELECT s.{KEY} AS merge_key, s.* FROM s UNION ALL SELECT cast(NULL AS BIGINT) AS merge_key, s.* FROM s "
        f"JOIN t ON s.{KEY} = t.{KEY} WHERE t.is_current AND ({_DIFFERS})"
    )
    merger = target.merge(staged.execute(union), f"t.{KEY} = s.merge_key", source_alias="s", target_alias="t")
    closed = {"is_current": "false", "valid_to": f"s.{SYNCED}"}
    opened = {**{c: f"s.{c}" for c in COLUMNS}, "valid_from": f"s.{SYNCED}", "valid_to": "NULL", "is_current": "true"}
    merger.when_matched_update(closed, f"t.is_current AND ({_DIFFERS})").when_not_matched_insert(opened).execute()


def _scd1(source: DeltaTable, target: DeltaTable) -> None:
    _upsert(source, target, "SELECT * FROM s").when_matched_update_all(_DIFFERS).when_not_matched_insert_all().execute()


def _merge(source: DeltaTable, target: DeltaTable) -> None:
    newer = f"SELECT * FROM s WHERE {SYNCED} >= (SELECT max({SYNCED}) FROM t)"
    _upsert(source, target, newer).when_matched_update_all().when_not_matched_insert_all().execute()


def _upsert(source: DeltaTable, target: DeltaTable, query: str) -> TableMerger:
    rows = QueryBuilder().register("s", source).register("t", target).execute(query)
    return target.merge(rows, f"t.{KEY} = s.{KEY}", source_alias="s", target_alias="t")


def _overwrite(source: DeltaTable, target: DeltaTable) -> None:
    write_deltalake(target, QueryBuilder().register("s", source).execute("SELECT * FROM s"), mode="overwrite")


_AGAIN = {"scd2": _scd2, "scd1": _scd1, "merge": _merge, "overwrite": _overwrite}

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4])
