"""Lanes: the tasks of an order as chains, so that no more of them run at once than there are chains.

The Jobs service starts every task whose dependencies are done; a cluster of fixed size may want fewer at once. Where it
is known how long the tables take, each lane gets about the same work, the longest first.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from generator.conflicts import conflict_problem
from generator.problem import Problem, shown

FILE = "durations.csv"
_COLUMNS = ["layer", "task_key", "seconds"]
_REMEDY = "the file has the columns layer, task_key and seconds, and a line for each table"

Durations = Mapping[tuple[str, str], float]


def read_durations(path: Path, file: str) -> tuple[Durations, tuple[Problem, ...]]:
    """Seconds by layer and task key; nothing where there is no such file. `file` is its name in messages."""
    if not path.is_file():
        return {}, ()
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        return {}, (Problem(file=file, what=f"cannot be read: {error}", remedy=_REMEDY),)
    if merged := conflict_problem(text, file):
        return {}, (merged,)
    if not lines or lines[0] != _COLUMNS:
        return {}, (Problem(file=file, line=1, what="has another header", remedy=_REMEDY),)
    seconds: dict[tuple[str, str], float] = {}
    problems: list[Problem] = []
    for number, cells in enumerate(lines[1:], 2):
        value = _seconds(cells)
        if value is None:
            what = f"expected a layer, a task key and seconds, found {shown(','.join(cells))}"
            problems.append(Problem(file=file, line=number, what=what, remedy=_REMEDY))
        else:
            seconds[cells[0], cells[1]] = value
    return seconds, tuple(problems)


def in_lanes(keys: Sequence[str], lanes: int, seconds: Mapping[str, float]) -> list[list[str]]:
    """The keys of one order, divided: the longest first, each to the lane that has the least so far.

    A key without seconds counts as the median of those that have some; keys that take equally long go by name. Method:
    longest processing time first (Graham 1969), at most 4/3 of the best division.

    >>> in_lanes(["a", "b", "c", "d", "e"], 2, {"c": 100.0, "a": 10.0, "b": 10.0, "d": 10.0, "e": 10.0})
    [['c'], ['a', 'b', 'd', 'e']]
    """
    usual = median(seconds[key] for key in keys if key in seconds) if seconds.keys() & set(keys) else 1.0
    takes = {key: seconds.get(key, usual) for key in keys}
    divided: list[list[str]] = [[] for _ in range(min(lanes, len(keys)))]
    sums = [0.0] * len(divided)
    for key in sorted(keys, key=lambda key: (-takes[key], key)):
        shortest = min(range(len(divided)), key=lambda lane: (sums[lane], len(divided[lane]), lane))
        divided[shortest].append(key)
        sums[shortest] += takes[key]
    return divided


def _seconds(cells: Sequence[str]) -> float | None:
    if len(cells) != len(_COLUMNS):
        return None
    try:
        value = float(cells[2])
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None
