"""A workspace's folder: one run at a time in it, and each run's own folder."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from localjobs.problem import ProblemsError


@contextmanager
def locked(workspace: Path, *, queued: bool) -> Iterator[None]:
    """Create the workspace where there is none and keep other runs out of it; `queued`: wait until they have ended.

    The kernel holds the lock and gives it back however this process ends.
    """
    try:
        workspace.mkdir(parents=True, exist_ok=True)
        lock = os.open(workspace / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ProblemsError([f"{workspace}: cannot be the workspace's folder: {error.strerror}"]) from None
    try:
        _take(lock, workspace, queued=queued)
        yield
    finally:
        os.close(lock)


def _take(lock: int, workspace: Path, *, queued: bool) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 100).decode() or "unknown"
        busy = f"{workspace}: another run works here (process {holder})"
        if not queued:
            problem = f"{busy}; its job has queue.enabled: false: wait for it or take another --workspace"
            raise ProblemsError([problem]) from None
        # As while a run goes on, Ctrl-C is heard even where a shell started this in the background.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.stderr.write(f"QUEUED: {busy}\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
        signal.signal(signal.SIGINT, before)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def new_run_folder(workspace: Path, start: datetime) -> tuple[int, Path]:
    """The run's id, which is its start in UTC as yymmddhhmmss or the next free number, and its folder."""
    run_id = int(start.strftime("%y%m%d%H%M%S"))
    while (workspace / "runs" / str(run_id)).exists():
        run_id += 1
    folder = workspace / "runs" / str(run_id)
    folder.mkdir(parents=True)
    return run_id, folder
