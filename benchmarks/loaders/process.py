"""What processes take (Linux), and an end for those that take too much: the machine has other users."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_EVERY = 0.2  # seconds between two looks
_GIB = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one phase of one side may take at most."""

    memory: int  # bytes
    seconds: float


class EndedError(Exception):
    """A process was ended because it passed its bounds."""


@dataclass(slots=True)
class Watch:
    """Why the watched processes were ended; '' while they were not."""

    ended: str = ""


@contextmanager
def bounded(process: int, bounds: Bounds) -> Iterator[Watch]:
    """End a process and its descendants when, within the block, they pass their bounds."""
    watch, over, until = Watch(), threading.Event(), time.monotonic() + bounds.seconds

    def look() -> None:
        while not over.wait(_EVERY):
            resident = _resident(process)
            if resident > bounds.memory:
                watch.ended = f"ended at {bounds.memory // _GIB} GiB of memory"
            elif resident > _GIB and _available() < _GIB:
                watch.ended = f"ended at {resident / _GIB:.1f} GiB of memory: the machine had none left"
            elif time.monotonic() > until:
                watch.ended = f"ended after {bounds.seconds:.0f} s"
            if watch.ended:
                _end(process)
                return

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield watch
    finally:
        over.set()
        thread.join()


def forget_peak(process: int) -> None:
    """Let the peaks of a process and its descendants start again from what they hold now."""
    for member in _family(process):
        Path(f"/proc/{member}/clear_refs").write_text("5", encoding="ascii")


def peak(process: int) -> int:
    """Bytes that a process and its descendants held at most since `forget_peak`, each at its own peak."""
    return sum(_memory(member, "VmHWM") for member in _family(process))


def worked(process: int) -> float:
    """Seconds of processor time that a process and its descendants have used."""
    return sum(_worked(member) for member in _family(process))


def _resident(process: int) -> int:
    return sum(_memory(member, "VmRSS") for member in _family(process))


def _available() -> int:
    """Bytes that the machine can still give without ending anybody."""
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def _end(process: int) -> None:
    for member in reversed(_family(process)):
        try:
            os.kill(member, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _family(process: int) -> list[int]:
    """A process and all its descendants, as far as they are still there."""
    family = [process]
    for member in family:
        for thread in Path(f"/proc/{member}/task").glob("*/children"):
            try:
                family += map(int, thread.read_text(encoding="ascii").split())
            except OSError:  # it ended while we looked
                continue
    return family


def _memory(process: int, called: str) -> int:
    try:
        lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(called))


def _worked(process: int) -> float:
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # utime and stime
