"""The run's side of the fork server: starts it, asks for processes, hears how they ended."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from localjobs.environment import inherited
from localjobs.problem import ProblemsError

_ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a process ended; `died` when it did so without telling a result."""

    id: int
    ok: bool
    died: bool
    message: str
    cpu_seconds: float


class Processes:
    """Processes forked on request. Nothing waits but what says so."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        self._ready = False
        self._ids = itertools.count(1)
        self._running: dict[int, int] = {}  # request id -> process id

    def fileno(self) -> int:
        """Becomes readable when a process has ended."""
        return self._connection.fileno()

    def start(self, call: str, arguments: Mapping[str, Any], log: Path, environment: Mapping[str, str]) -> int:
        """Ask for a process that calls `module:function` with these arguments; returns the id of the request."""
        number = next(self._ids)
        request = {"id": number, "call": call, "arguments": arguments, "environment": environment, "log": str(log)}
        self._send(request)
        return number

    def kill(self, number: int) -> None:
        """End a process and what it started; it is then heard of in `ended` like every other."""
        self._send({"kill": number})

    def ended(self) -> list[Ended]:
        """Who ended since the last call; waits for news where there is none, so call it when `fileno` is readable."""
        received = self._connection.recv(1 << 20)
        if not received:
            self._kill_all()
            raise ProblemsError(["the fork server ended unexpectedly; the machine may have run out of memory"])
        *lines, self._received = (self._received + received).split(b"\n")
        answers = [json.loads(line) for line in lines]
        self._ready |= any("ready" in answer for answer in answers)
        self._running |= {answer["started"]: answer["process"] for answer in answers if "started" in answer}
        ended = [Ended(**answer) for answer in answers if "id" in answer]
        for one in ended:
            self._running.pop(one.id, None)
        return ended

    def wait_until_ready(self) -> None:
        """Wait until the fork server has imported what the tasks need."""
        while not self._ready:
            self.ended()

    def wait_for(self, number: int) -> Ended:
        """Wait for one process while no other runs."""
        while True:
            for ended in self.ended():
                if ended.id == number:
                    return ended

    def _kill_all(self) -> None:
        """Without the fork server nobody else would."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process, signal.SIGKILL)

    def _send(self, request: Mapping[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):  # the next `ended` says it
            self._connection.sendall(json.dumps(request).encode() + b"\n")


@contextmanager
def fork_server(entry_points: Iterable[tuple[str, str]], log: Path) -> Iterator[Processes]:
    """Run a fork server that has these (package, entry point) imported; it and all it forked end with the block."""
    ours, theirs = socket.socketpair()
    number = theirs.fileno()
    paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {name: value for name, value in inherited().items() if name != "SPARK_REMOTE"} | {
        "PYTHONPATH": os.pathsep.join(paths),
        "SPARK_HOME": os.environ.get("SPARK_HOME", "none"),  # pyspark looks for one when the main module is no file
        "OPENBLAS_NUM_THREADS": "1",  # this and the next: a process that forks has no threads
        "JE_ARROW_MALLOC_CONF": "background_thread:false",
    }
    with log.open("ab") as output:
        server = subprocess.Popen(
            [sys.executable, "-m", "localjobs.forkserver", str(number), json.dumps(list(entry_points))],
            env=environment,
            pass_fds=[number],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for the run, which cancels in order
        )
    theirs.close()
    try:
        yield Processes(ours)
    finally:
        ours.close()
        server.wait()
