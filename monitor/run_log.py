"""The run log, where the counts are: what to ask of it, and what the answer tells of a run's tables. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from laketasks.counts import LABELS
from monitor.run import Run

COUNTS = tuple(LABELS)
KEPT = 10  # successes of each table, the newest; what "usually" is made of
_PLAIN = ("job_run_id", "task_key", "target", "execution_pipeline", "status", "attempt", *COUNTS)
_OTHERS = ("watermark_from", "watermark_to", "row_hash", "error_class", "wheel_version")
_TIMES = ("started_at", "ended_at")
_SAFE = re.compile(r"[^'\\\x00-\x1f]+")
_LEVEL = re.compile(r"[^`/\\\x00-\x1f.]+")

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One row of the run log: an attempt at a load. Times are milliseconds since the epoch."""

    run_id: str
    task_key: str
    target: str
    pipeline: str
    succeeded: bool
    attempt: int
    start: int
    end: int
    counts: Mapping[str, int] = field(default_factory=dict)
    watermark_from: str = ""
    watermark_to: str = ""
    row_hash: str = ""
    wheel: str = ""
    error: str = ""

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1000


def levels_of(name: str) -> tuple[str, ...] | None:
    """The three levels of a table's name; None when it is no name of a table."""
    levels = tuple(name.split("."))
    return levels if len(levels) == 3 and all(_LEVEL.fullmatch(level) for level in levels) else None


def quoted(name: str) -> str:
    """A name of three levels for SQL."""
    return ".".join(f"`{level}`" for level in name.split("."))


def query(table: str, micros: Callable[[str], str], run_ids: Iterable[int], targets: Iterable[str]) -> str:
    """The rows of some runs, and the newest successes of some tables, in words that every engine has.

    `micros` makes a timestamp microseconds since the epoch, the one thing that they say differently.
    """
    runs = ", ".join(f"'{run_id}'" for run_id in run_ids)
    tables = ", ".join(f"'{target}'" for target in targets if _SAFE.fullmatch(target))
    times = ", ".join(f"{micros(name)} AS {name}" for name in _TIMES)
    columns = f"{', '.join((*_PLAIN, *_OTHERS))}, {times}, CASE WHEN job_run_id IN ({runs}) THEN error END AS error"
    own = f" OR target IN ({tables})" if tables else ""
    newest = "row_number() OVER (PARTITION BY target, status ORDER BY ended_at DESC)"
    names = ", ".join((*_PLAIN, *_OTHERS, *_TIMES, "error"))
    wanted = f"SELECT {columns}, {newest} AS place FROM {table} WHERE job_run_id IN ({runs}){own}"
    return (
        f"SELECT {names} FROM ({wanted}) AS t "
        f"WHERE job_run_id IN ({runs}) OR (status = 'SUCCESS' AND place <= {KEPT}) ORDER BY ended_at"
    )


def newest(table: str, micros: Callable[[str], str], most: int) -> str:
    """The newest loads of every table, so many of each, the oldest first; a dry run is none."""
    times = ", ".join(f"{micros(name)} AS {name}" for name in _TIMES)
    place = "row_number() OVER (PARTITION BY target ORDER BY ended_at DESC) AS place"
    names = ", ".join((*_PLAIN, *_OTHERS))
    wanted = f"SELECT {names}, {times}, '' AS error, {place} FROM {table} WHERE status <> 'DRY_RUN'"
    return f"SELECT {names}, {', '.join(_TIMES)}, error FROM ({wanted}) AS t WHERE place <= {most} ORDER BY ended_at"


def targets_of(run: Run) -> list[str]:
    return [task.parameters["target_table"] for task in run.tasks if task.parameters.get("target_table")]


def loads_of(rows: Iterable[Row]) -> tuple[Load, ...]:
    """The rows of an answer, which may be texts where they are numbers; oldest first."""
    return tuple(_load(row) for row in rows)


def _load(row: Row) -> Load:
    return Load(
        run_id=_text(row["job_run_id"]),
        task_key=_text(row["task_key"]),
        target=_text(row["target"]),
        pipeline=_text(row["execution_pipeline"]),
        succeeded=row["status"] == "SUCCESS",
        attempt=int(_text(row["attempt"]) or 1),
        start=int(_text(row["started_at"]) or 0) // 1000,
        end=int(_text(row["ended_at"]) or 0) // 1000,
        counts={name: int(_text(row[name])) for name in COUNTS if row[name] is not None},
        watermark_from=_text(row["watermark_from"]),
        watermark_to=_text(row["watermark_to"]),
        row_hash=_text(row["row_hash"]),
        wheel=_text(row["wheel_version"]),
        error=_text(row["error"]),
    )


def _text(value: object) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What the log knows of the tables of one run."""

    run_id: str
    loads: tuple[Load, ...]
    _by_key: dict[str, list[Load]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        targets = {load.target: load.task_key for load in self.loads if load.run_id == self.run_id}
        for load in self.loads:
            self._by_key.setdefault(targets.get(load.target, load.task_key), []).append(load)

    def of_run(self, task_key: str, run_id: str = "") -> Load | None:
        """The last attempt that a run logged for a task; of this run, where none is named."""
        rows = [load for load in self._by_key.get(task_key, []) if load.run_id == (run_id or self.run_id)]
        return rows[-1] if rows else None

    def last_success(self, task_key: str, before: int) -> Load | None:
        """The newest load of another run that succeeded before this moment."""
        rows = self._others(task_key, before)
        return rows[-1] if rows else None

    def usual_seconds(self, task_key: str, before: int) -> float | None:
        """The median of the earlier successes."""
        rows = self._others(task_key, before)
        return median(load.seconds for load in rows) if rows else None

    def durations(self, task_keys: Sequence[str]) -> dict[str, float]:
        """The median of every success that is known, this run's included."""
        loads = {key: [load.seconds for load in self._by_key.get(key, []) if load.succeeded] for key in task_keys}
        return {key: median(seconds) for key, seconds in loads.items() if seconds}

    def _others(self, task_key: str, before: int) -> list[Load]:
        rows = self._by_key.get(task_key, [])
        return [load for load in rows if load.succeeded and load.run_id != self.run_id and load.end <= before]
