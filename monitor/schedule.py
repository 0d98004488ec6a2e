"""When each task runs, if it is known how long each takes and what it waits for. Pure.

As the Jobs service and localjobs start tasks: each as soon as all that it waits for has ended; where no more than so
many may run at once, first come, first served.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Something to be done, which takes `seconds` and a place among those that run at once; a gate takes neither."""

    key: str
    seconds: float
    after: tuple[str, ...] = ()
    is_gate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """From when to when (seconds), and after what: the last to end of what it waited for, or nothing."""

    start: float
    end: float
    last: str = ""


Schedule = Mapping[str, Span]


def schedule(works: Sequence[Work], at_once: int | None = None) -> Schedule:
    """The time of each work, if all succeed. Every key in an `after` is a work's, and none waits for itself.

    >>> works = [Work(key="a", seconds=3), Work(key="b", seconds=1), Work(key="c", seconds=1, after=("b",))]
    >>> [(key, span.start, span.end) for key, span in schedule(works).items()]
    [('a', 0.0, 3.0), ('b', 0.0, 1.0), ('c', 1.0, 2.0)]
    >>> makespan(schedule(works, at_once=1))
    5.0
    """
    return _Clock(works, at_once).run()


def makespan(times: Schedule) -> float:
    """When all is done."""
    return max((span.end for span in times.values()), default=0.0)


def critical_path(times: Schedule) -> list[str]:
    """From the first to the one that ends last: before each, the last to end of what it waited for."""
    path: list[str] = []
    key = max(times, key=lambda key: (times[key].end, times[key].start), default="")
    while key:
        path.append(key)
        key = times[key].last
    return path[::-1]


class _Clock:
    """Goes from one end to the next. Works that wait for the same share one count of what is still open."""

    def __init__(self, works: Sequence[Work], at_once: int | None) -> None:
        self._works = {work.key: work for work in works}
        self._room = at_once if at_once is not None else len(works) + 1
        self._place = {key: place for place, key in enumerate(self._works)}
        self._waiting: dict[tuple[str, ...], list[str]] = {}
        for work in works:
            self._waiting.setdefault(work.after, []).append(work.key)
        self._open = {after: len(after) for after in self._waiting}
        self._opens: dict[str, list[tuple[str, ...]]] = {}
        for after in self._waiting:
            for key in after:
                self._opens.setdefault(key, []).append(after)
        self._ready: deque[tuple[str, str]] = deque((key, "") for key in self._waiting.get((), ()))
        self._running: list[tuple[float, int, str]] = []
        self._times: dict[str, Span] = {}

    def run(self) -> Schedule:
        now = 0.0
        self._start(now)
        while self._running:
            now, _, key = heapq.heappop(self._running)
            self._room += 1
            self._end(key)
            self._start(now)
        return {key: self._times[key] for key in self._works}

    def _start(self, now: float) -> None:
        while self._ready and self._room > 0:
            key, last = self._ready.popleft()
            work = self._works[key]
            self._times[key] = Span(start=now, end=now + work.seconds, last=last)
            if work.is_gate:
                self._end(key)
            else:
                self._room -= 1
                heapq.heappush(self._running, (now + work.seconds, len(self._times), key))

    def _end(self, key: str) -> None:
        done: list[str] = []
        for after in self._opens.get(key, ()):
            self._open[after] -= 1
            if not self._open[after]:
                done += self._waiting[after]
        self._ready.extend((other, key) for other in sorted(done, key=self._place.__getitem__))


def longest_first(keys: Iterable[str], lanes: int, seconds: Mapping[str, float]) -> list[list[str]]:
    """The keys in lanes, as the generator divides an order: the longest first, each to the lane that has the least."""
    divided: list[list[str]] = []
    sums: list[float] = []
    for key in sorted(keys, key=lambda key: (-seconds[key], key)):
        if len(divided) < lanes:
            divided.append([])
            sums.append(0.0)
        shortest = min(range(len(divided)), key=lambda lane: (sums[lane], len(divided[lane]), lane))
        divided[shortest].append(key)
        sums[shortest] += seconds[key]
    return divided
