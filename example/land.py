"""Land a day: generate TPC-DS, make the day of each table, write what is missing, say what was written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from example import bronze, tpcds
from example.days import DELETED, SYNCED, day_one, day_two, is_touched
from example.night import evening_of
from example.problem import ExampleError

DEFAULT_SCALE_FACTOR = 0.01


def land_day(workspace: Path, day: int, scale_factor: float | None, say: Callable[[str], None]) -> None:
    """Bring bronze to the first or the second day; a day that has landed already is left as it is."""
    before = {table: bronze.landed(workspace, table) for table in tpcds.TABLES}
    scale_factor = _scale_factor(before, day, scale_factor)
    missing = [table for table, state in before.items() if _is_missing(table, state, day)]
    if not missing:
        say(f"day {day}: already in {workspace / bronze.SCHEMA_FOLDER}, nothing to do")
        return
    started = time.monotonic()
    say(f"day {day}: generating TPC-DS at scale factor {scale_factor:g} ...")
    generated = tpcds.generate(scale_factor)
    for table in missing:
        made = (day_one if day == 1 else day_two)(table, generated[table])
        bronze.write_day(workspace, table, day, scale_factor, made)
        say(f"  {table:<24}{_summary(made, day)}")
    seconds = time.monotonic() - started
    say(f"day {day}: {len(missing)} tables in {workspace / bronze.SCHEMA_FOLDER}, {seconds:.1f} s")


def _scale_factor(before: dict[str, tuple[int, float] | None], day: int, asked: float | None) -> float:
    found = {state[1] for state in before.values() if state is not None}
    absent = sorted(table for table, state in before.items() if state is None)
    if day == 2 and absent:
        raise ExampleError(
            f"day 2 changes what day 1 landed, and {', '.join(absent[:3])} is not there; run day 1 first"
        )
    if found and asked is not None and found != {asked}:
        raise ExampleError(
            f"bronze was made at scale factor {min(found):g}, not {asked:g}; leave --scale-factor out, "
            "or name another --workspace"
        )
    return min(found) if found else asked or DEFAULT_SCALE_FACTOR


def _is_missing(table: str, state: tuple[int, float] | None, day: int) -> bool:
    return state is None if day == 1 else state is not None and state[0] < day and is_touched(table)


def _summary(rows: pa.Table, day: int) -> str:
    text = f"{rows.num_rows:>9,} rows"
    if day == 1:
        return text
    touched = pc.sum(pc.greater_equal(rows[SYNCED], pa.scalar(evening_of(day), rows[SYNCED].type))).as_py()
    return f"{text}{touched:>8,} synced in the night{pc.sum(rows[DELETED]).as_py():>7,} flagged as deleted"
