"""An engine and forked tasks that a test may kill, and a workspace for each try."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import select
import shutil
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from localjobs.engine import Engine
from localjobs.engines import ENGINES
from localjobs.processes import Ended, Processes, fork_server
from tests.conftest import CATALOGS
from tests.crashes.loads import Load, Place

_TRIES_OF_ONE_SERVER = 20  # Sail keeps memory of every operation until it ends
_POLL = 0.001


@dataclass
class Task:
    """A forked process that performs a call; `ended` once it was heard of."""

    number: int
    log: Path
    began: float = field(default_factory=time.monotonic)
    ended: Ended | None = None
    seconds: float = 0.0

    @property
    def message(self) -> str:
        assert self.ended is not None
        return self.ended.message


@dataclass
class Rig:
    """One server at a time, tasks forked as localjobs forks them, each try in a workspace and session of its own."""

    engine: str
    folder: Path
    processes: Processes
    _stack: ExitStack = field(default_factory=ExitStack)
    _server: Engine | None = None
    _remote: str = ""
    _tries: int = 0
    _running: dict[int, Task] = field(default_factory=dict)
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def serves(self) -> bool:
        return self._server is not None

    def new(self, name: str) -> Place:
        """A workspace of its own, empty."""
        return Place.of(self.engine, self.folder / f"{name}_{next(self._count)}")

    def kept(self, place: Place) -> Place:
        """A copy that no engine knows: one that takes another workspace may drop the tables of the last."""
        made = self.new(f"{place.folder.name}_kept")
        shutil.copytree(place.folder, made.folder)
        return made

    def copy(self, base: Place) -> Place:
        """A workspace of its own with the base's tables, registered."""
        made = self.new("try")
        shutil.copytree(base.folder, made.folder)
        self.open(made)
        return made

    def open(self, place: Place) -> None:
        """Let a new session know the workspace; on a new server after some tries."""
        self._tries += 1
        if self._server is None or (self.engine == "sail" and self._tries > _TRIES_OF_ONE_SERVER):
            self.restart()
        assert self._server is not None
        self._remote = re.sub(r"session_id=.*", f"session_id={uuid.uuid4()}", self._server.remote)
        given = {"remote": self._remote, "workspace": str(place.folder), "schemas": place.schemas}
        self.perform("tests.crashes.acts:open_workspace", given)

    def restart(self) -> None:
        """Another server, which knows no tables."""
        self._stack.close()
        log = self.folder / f"server_{next(self._count)}.log"
        catalogs = sorted({*CATALOGS[self.engine]})
        self._server = self._stack.enter_context(ENGINES[self.engine](catalogs, self.folder, log))
        self._tries = 1

    def kill_engine(self) -> None:
        """SIGKILL the server, as when the machine that it runs on is gone."""
        assert self._server is not None
        os.killpg(self._server.server.pid, signal.SIGKILL)
        self._server.server.wait()
        self._server = None

    def start_load(self, place: Place, load: Load, **context: Any) -> Task:
        """Begin a load as a task of a job begins it."""
        argv = [f"--{name}={value}" for name, value in place.parameters(load, **context).items()]
        number = next(self._count)
        given = {"package_name": "laketasks", "entry_point_name": "load", "argv": argv, "tag": f"tag-{number}"}
        return self._start("localjobs.attempt:wheel", given)

    def load(self, place: Place, load: Load, **context: Any) -> Task:
        """Run a load to its end."""
        task = self.start_load(place, load, **context)
        self.wait(task)
        return task

    def perform(self, call: str, arguments: dict[str, Any]) -> None:
        """Run a call to its end; it must end well."""
        task = self._start(call, arguments)
        self.wait(task)
        assert task.ended is not None
        assert task.ended.ok, f"{call}: {task.message}\n{task.log.read_text()}"

    def sweep(self, place: Place) -> dict[str, list[str]]:
        """Drop all staging tables of the silver schema; the tables before, those swept, the tables after."""
        answer = self.folder / f"sweep_{next(self._count)}.json"
        given = {"remote": self._remote, "schema": ".".join(place.silver), "answer": str(answer)}
        self.perform("tests.crashes.acts:sweep", given)
        told: dict[str, list[str]] = json.loads(answer.read_text())
        return told

    def wait(self, *tasks: Task, until: Callable[[], bool] = lambda: False, seconds: float = 600.0) -> bool:
        """Wait until all of them ended, or until it is time; whether all have ended."""
        limit = time.monotonic() + seconds
        while any(task.ended is None for task in tasks):
            if until() or time.monotonic() >= limit:
                return False
            self._hear()
        return True

    def kill(self, task: Task) -> None:
        """SIGKILL the task; it has ended when this returns."""
        self.processes.kill(task.number)
        self.wait(task)
        assert task.ended is not None

    def _start(self, call: str, arguments: dict[str, Any]) -> Task:
        log = self.folder / f"task_{next(self._count)}.log"
        number = self.processes.start(call, arguments, log, {"SPARK_REMOTE": self._remote})
        task = Task(number, log)
        self._running[number] = task
        return task

    def _hear(self) -> None:
        if not select.select([self.processes], [], [], _POLL)[0]:
            return
        for ended in self.processes.ended():
            task = self._running.pop(ended.id)
            task.ended, task.seconds = ended, time.monotonic() - task.began

    def close(self) -> None:
        self._stack.close()


@contextmanager
def rig(engine: str, folder: Path) -> Iterator[Rig]:
    """A rig for the block; nothing that it started is left."""
    with fork_server([("laketasks", "load")], folder / "forkserver.log") as processes:
        processes.wait_until_ready()
        made = Rig(engine, folder, processes)
        try:
            yield made
        finally:
            with contextlib.suppress(ProcessLookupError):
                made.close()
