"""Ctrl-C, as something to read."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Heard:
    descriptor: int

    def signals(self) -> bool:
        """Whether a signal to end came since the last look."""
        try:
            return bool(os.read(self.descriptor, 64))
        except BlockingIOError:
            return False


@contextmanager
def interrupts_heard() -> Iterator[Heard]:
    """Turn SIGINT and SIGTERM into something to read, so that the loop is never torn out of its middle."""
    woken, wake = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(wake, False)
    before = signal.set_wakeup_fd(wake)
    handlers = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield Heard(woken)
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before)
        os.close(woken)
        os.close(wake)
