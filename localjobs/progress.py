"""What a person sees while a run goes on: a live picture on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from localjobs.estimate import Estimate
from localjobs.record import TaskRun
from localjobs.runif import SUCCEEDED
from localjobs.terminal import clean

_HEARTBEAT_SECONDS = 30.0
_REFRESH_SECONDS = 0.2
_BAR = 20
_COLOURS = {"SUCCESS": "green", "FAILED": "bold red", "TIMEDOUT": "bold red", "CANCELED": "yellow"}


class Progress(Protocol):
    """Told what happens in a run, shows it somewhere."""

    def ended(self, run: TaskRun) -> None: ...

    def kept(self, run: TaskRun) -> None: ...

    def retries(self, run: TaskRun, result: str, wait: float) -> None: ...

    def tick(self, runs: Collection[TaskRun], now: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The tasks of a run at one moment; what runs longest stands first."""

    total: int
    done: int
    bad: int
    waiting: int
    again: int  # of the waiting ones, those that failed and are to be tried again
    running: tuple[tuple[str, float, int], ...]  # task_key, seconds, attempt from 1
    left: float | None = None  # seconds to the end, by earlier runs


def overview(runs: Iterable[TaskRun], now: float, expected: Estimate | None = None) -> Overview:
    """Count a run's tasks; `now` in seconds since the epoch."""
    listed = list(runs)
    running = [run for run in listed if run.life_cycle_state == "RUNNING"]
    at_work = [(r.task.task_key, max(0.0, now - r.start_time / 1000), r.attempt_number + 1) for r in running]
    ended = [run for run in listed if run.ended]
    return Overview(
        total=len(listed),
        done=len(ended),
        bad=sum(run.result_state not in SUCCEEDED for run in ended),
        waiting=len(listed) - len(running) - len(ended),
        again=sum(run.life_cycle_state == "WAITING_FOR_RETRY" for run in listed),
        running=tuple(sorted(at_work, key=lambda entry: -entry[1])),
        left=expected.left(listed, now) if expected else None,
    )


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `1 h 02 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"


def first_line(text: str, length: int = 100) -> str:
    """The beginning of a message, for one line of a display."""
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= length else line[: length - 4] + " ..."


def waiting(seen: Overview) -> str:
    """`7 waiting (2 to be tried again)`."""
    return f"{seen.waiting} waiting" + (f" ({seen.again} to be tried again)" if seen.again else "")


def left(seen: Overview) -> str:
    """`, about 3 min 05 s left`; nothing where nothing is known, or where all take longer than they did."""
    return f", about {duration(seen.left)} left" if seen.left else ""


class Quiet:
    """Shows nothing: what goes on is part of a task that is shown."""

    def ended(self, run: TaskRun) -> None:
        pass

    def kept(self, run: TaskRun) -> None:
        pass

    def retries(self, run: TaskRun, result: str, wait: float) -> None:
        pass

    def tick(self, runs: Collection[TaskRun], now: float) -> None:
        pass


class Lines:
    """One line for each task that ended, and one now and then while nothing does."""

    def __init__(self, console: Console, total: int, expected: Estimate | None = None) -> None:
        self._console, self._expected = console, expected
        self._done: set[int] = set()  # tasks, each once: a child job that is tried again ends its tasks again
        self._total = total
        self._began = self._last = time.monotonic()

    def ended(self, run: TaskRun) -> None:
        self._done.add(id(run.task))
        if run.result_state == "CANCELED" and not run.start_time:
            return  # the rest of a canceled run, which its last line covers
        took = duration(run.seconds) if run.start_time else "-"
        told = f"  {first_line(run.state_message)}" if run.state_message else ""
        counted = f"[{len(self._done):>{len(str(self._total))}}/{self._total}]"
        self._say(f"{counted} {run.result_state:<15} {took:>6}  {run.task.task_key}{told}")

    def kept(self, run: TaskRun) -> None:
        self._done.add(id(run.task))
        counted = f"[{len(self._done):>{len(str(self._total))}}/{self._total}]"
        self._say(f"{counted} {'kept':<15} {'-':>6}  {run.task.task_key}  what it reads has not changed")

    def retries(self, run: TaskRun, result: str, wait: float) -> None:
        again = f"attempt {run.attempt_number + 2} in {duration(wait)}" if wait else f"attempt {run.attempt_number + 2}"
        self._say(f"{result} {run.task.task_key}, {again}")

    def tick(self, runs: Collection[TaskRun], now: float) -> None:
        if time.monotonic() - self._last < _HEARTBEAT_SECONDS:
            return
        seen = overview(runs, now, self._expected)
        names = ", ".join(f"{key} ({duration(seconds)})" for key, seconds, _ in seen.running[:4]) or "none"
        more = f" and {len(seen.running) - 4} more" if len(seen.running) > 4 else ""
        passed = duration(time.monotonic() - self._began)
        counted = f"{seen.done} of {seen.total} done, {waiting(seen)}"
        self._say(f"after {passed}{left(seen)}: {counted}, running: {names}{more}")

    def _say(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(clean(line), markup=False, highlight=False, soft_wrap=True)


class Picture:
    """A few lines that are drawn anew while the run goes on; what was started and did not succeed stays above them."""

    def __init__(self, live: Live, title: str, expected: Estimate | None = None) -> None:
        self._live, self._title, self._expected = live, title, expected
        self._began, self._last = time.monotonic(), 0.0
        self._runs: Collection[TaskRun] = ()

    def ended(self, run: TaskRun) -> None:
        if run.result_state not in SUCCEEDED and run.start_time:
            self._say(run.result_state, f"{run.task.task_key}  {first_line(run.state_message)}")

    def kept(self, run: TaskRun) -> None:
        pass

    def retries(self, run: TaskRun, result: str, wait: float) -> None:
        when = f"in {duration(wait)}" if wait else "now"
        self._say(result, f"{run.task.task_key}  tried again {when}")

    def tick(self, runs: Collection[TaskRun], now: float) -> None:
        if time.monotonic() - self._last < _REFRESH_SECONDS and any(not run.ended for run in runs):
            return
        self._last = time.monotonic()
        height = max(1, self._live.console.height - 6)
        picture = draw(overview(runs, now, self._expected), self._title, time.monotonic() - self._began, height)
        self._live.update(picture, refresh=True)

    def _say(self, word: str, text: str) -> None:
        line = Text.assemble(
            (f"{word:<15} ", _COLOURS.get(word, "yellow")), clean(text), no_wrap=True, overflow="ellipsis"
        )
        self._live.console.print(line)


def draw(seen: Overview, title: str, passed: float, height: int) -> RenderableType:
    """The picture of a moment: a bar with the counts and what runs, at most `height` lines of it."""
    filled = _BAR * seen.done // max(1, seen.total)
    bad = Text(f"  {seen.bad} not succeeded", "bold red") if seen.bad else Text("")
    head = Text.assemble(
        (title, "bold"),
        f", {duration(passed)}{left(seen)}\n",
        ("━" * filled, "green"),
        ("━" * (_BAR - filled), "bright_black"),
        f"  {seen.done}/{seen.total} done",
        bad,
        f"  {len(seen.running)} running  {waiting(seen)}",
        no_wrap=True,
        overflow="ellipsis",
    )
    table = Table.grid(padding=(0, 2))
    for key, seconds, attempt in seen.running[:height]:
        again = f"attempt {attempt}" if attempt > 1 else ""
        table.add_row(" ", key, Text(duration(seconds), justify="right"), Text(again, "yellow"))
    if len(seen.running) > height:
        table.add_row(" ", f"and {len(seen.running) - height} more")
    return Group(head, table)
