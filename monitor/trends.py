"""What the run log tells over time: how long tables take and how many rows they bring, and what of it is new. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from monitor.changes import SLOWER, SLOWER_BY
from monitor.run_log import Load

KEPT = 30  # loads of each table, the newest
_RECENT = 3  # loads that together are "now"
_EARLIER = 5  # loads that it takes to know what was usual
_QUIET = 5  # loads without a change from which on a table may have stopped changing
_CHANGED = 3  # changes before, without which nothing stopped


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one run did for one table, its last attempt. `end` is milliseconds since the epoch.

    `changed` are the rows that were inserted, updated and deleted.
    """

    run_id: str
    end: int
    seconds: float
    succeeded: bool
    read: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TableTrend:
    """One table over time, the oldest load first. Medians are of successes; None where there are too few.

    `quiet` is how many of the last successes changed nothing; `stopped` when that is not its way.
    """

    key: str
    target: str
    pipeline: str
    points: tuple[Point, ...]
    usual: float | None
    now: float | None
    slower: bool
    quiet: int
    stopped: bool

    @property
    def good(self) -> tuple[Point, ...]:
        return tuple(point for point in self.points if point.succeeded)

    @property
    def failed(self) -> int:
        return len(self.points) - len(self.good)

    @property
    def last_change(self) -> Point | None:
        return next((point for point in reversed(self.good) if point.changed), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTrend:
    """One run over all tables: from the first start of a load to the last end of one."""

    run_id: str
    start: int
    end: int
    work: float
    tables: int
    failed: int

    @property
    def seconds(self) -> float:
        return (self.end - self.start) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trends:
    """All of a run log; tables by name, runs the oldest first, `slower` by the seconds they take more."""

    log: str
    tables: tuple[TableTrend, ...]
    runs: tuple[RunTrend, ...]

    @property
    def slower(self) -> tuple[TableTrend, ...]:
        return tuple(sorted((t for t in self.tables if t.slower), key=lambda t: (t.usual or 0) - (t.now or 0)))

    @property
    def stopped(self) -> tuple[TableTrend, ...]:
        return tuple(sorted((t for t in self.tables if t.stopped), key=lambda t: -t.quiet))

    @property
    def loads(self) -> int:
        return sum(len(table.points) for table in self.tables)


def trends_of(log: str, loads: Iterable[Load]) -> Trends:
    """The trends of the loads, oldest first, of which the last attempt of each run counts."""
    by_target: dict[str, dict[str, Load]] = {}
    for load in loads:
        runs = by_target.setdefault(load.target, {})
        runs.pop(load.run_id, None)  # an earlier attempt: the last one takes its place, and its own place in time
        runs[load.run_id] = load
    kept = [[*runs.values()] for runs in by_target.values()]
    tables = sorted((_table(own) for own in kept), key=lambda table: (table.key, table.target))
    return Trends(log=log, tables=tuple(tables), runs=tuple(_runs(load for own in kept for load in own)))


def _table(loads: Sequence[Load]) -> TableTrend:
    points = tuple(_point(load) for load in loads)
    good = [point for point in points if point.succeeded]
    recent, earlier = good[-_RECENT:], good[:-_RECENT]
    known = len(earlier) >= _EARLIER
    usual = median(point.seconds for point in earlier) if known else None
    now = median(point.seconds for point in recent) if known else None
    changed = [bool(point.changed) for point in good]
    return TableTrend(
        key=loads[-1].task_key,
        target=loads[-1].target,
        pipeline=loads[-1].pipeline,
        points=points,
        usual=usual,
        now=now,
        slower=usual is not None and now is not None and now >= SLOWER * usual and now - usual >= SLOWER_BY,
        quiet=_quiet(changed),
        stopped=_has_stopped(changed),
    )


def _point(load: Load) -> Point:
    return Point(
        run_id=load.run_id,
        end=load.end,
        seconds=load.seconds,
        succeeded=load.succeeded,
        read=load.counts.get("read", 0),
        changed=sum(load.counts.get(name, 0) for name in ("rows_inserted", "rows_updated", "rows_deleted")),
    )


def _quiet(changed: Sequence[bool]) -> int:
    """How many at the end are false."""
    return next((n for n, one in enumerate(reversed(changed)) if one), len(changed))


def _has_stopped(changed: Sequence[bool]) -> bool:
    """Quiet for longer than it ever was between two changes: twice as long, five loads at least."""
    quiet = _quiet(changed)
    before = changed[: len(changed) - quiet]
    if quiet < _QUIET or sum(before) < _CHANGED:
        return False
    longest = now = 0
    for one in before:
        now = 0 if one else now + 1
        longest = max(longest, now)
    return quiet >= 2 * longest


def _runs(loads: Iterable[Load]) -> Iterator[RunTrend]:
    by_run: dict[str, list[Load]] = {}
    for load in loads:
        by_run.setdefault(load.run_id, []).append(load)
    for run_id, own in sorted(by_run.items(), key=lambda item: min(load.start for load in item[1])):
        yield RunTrend(
            run_id=run_id,
            start=min(load.start for load in own),
            end=max(load.end for load in own),
            work=sum(load.seconds for load in own),
            tables=len(own),
            failed=sum(not load.succeeded for load in own),
        )
