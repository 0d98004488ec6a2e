"""The engine that a run's tasks share: a Spark Connect server of this machine, and what it must know of a workspace."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localjobs.problem import ProblemsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_START_SECONDS = 180.0  # a Java on a busy machine takes a minute
_GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A server and one session on it, which everything that belongs together uses: its tables live there only."""

    remote: str
    log: Path
    server: subprocess.Popen[bytes]

    def runs(self) -> bool:
        return self.server.poll() is None


class Renewable:
    """The engine of a run, which another takes the place of when it no longer listens. Use as a context.

    `stuck`: an operation could not be interrupted, and may keep all that follow waiting.
    """

    def __init__(self, serve: Callable[[], AbstractContextManager[Engine]], prepare: Callable[[Engine], None]) -> None:
        self.stuck = False
        self._serve, self._prepare = serve, prepare
        self._open = ExitStack()
        self._engine: Engine | None = None

    def __enter__(self) -> Renewable:
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def renew(self) -> None:
        """End the server with whatever it does, and start one that knows the workspace; no task may be at work."""
        self._open.close()
        self._engine = self._open.enter_context(self._serve())
        self._prepare(self._engine)
        self.stuck = False

    @property
    def remote(self) -> str:
        return self._current.remote

    @property
    def log(self) -> Path:
        return self._current.log

    def runs(self) -> bool:
        return self._current.runs()

    @property
    def _current(self) -> Engine:
        if self._engine is None:
            raise AssertionError("an engine is used inside of its context")
        return self._engine


@contextmanager
def served(
    name: str, command: Sequence[str], environment: Mapping[str, str], listens: re.Pattern[str], log: Path
) -> Iterator[Engine]:
    """Run a Spark Connect server; `listens` finds its port in what it prints.

    The server ends with the block, and with this process however that ends.
    """
    with log.open("ab") as output:
        before = output.tell()
        guard = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_GUARD), *command],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the run, which still needs the server to interrupt operations
        )
    try:
        port = _port(name, guard, listens, log, before)
        yield Engine(remote=f"sc://127.0.0.1:{port}/;session_id={uuid.uuid4()}", log=log, server=guard)
    finally:
        guard.terminate()
        guard.communicate()


def _port(name: str, server: subprocess.Popen[bytes], listens: re.Pattern[str], log: Path, begin: int) -> int:
    """The port that the server accepts connections on, once it does; its output begins at a byte of the log."""
    give_up = time.monotonic() + _START_SECONDS
    while time.monotonic() < give_up and server.poll() is None:
        found = listens.search(log.read_bytes()[begin:].decode(errors="replace"))
        if found and _accepts(int(found[1])):
            return int(found[1])
        time.sleep(0.02)
    reason = f"exited with code {server.returncode}" if server.returncode is not None else "did not answer"
    raise ProblemsError([f"the {name} server {reason} within {_START_SECONDS:.0f} s; its output: {log}"])


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


# --- what a session must know of a workspace ---


@contextmanager
def plain_path(workspace: Path) -> Iterator[Path]:
    """The workspace under a path that Sail takes as it is.

    Sail takes `..` for a folder's name, and writes `a b` to a folder `a%20b`: a workspace with such characters is
    reached through a link.
    """
    real = workspace.resolve()
    if re.fullmatch(r"[\w./'-]+", str(real), re.ASCII):
        yield real
        return
    with tempfile.TemporaryDirectory(prefix="localjobs_") as folder:
        link = Path(folder) / "workspace"
        link.symlink_to(real)
        yield link


def prepare_workspace(remote: str, workspace: str, schemas: list[tuple[str, str]]) -> None:
    """`prepare` in a process of its own."""
    from pyspark.sql import SparkSession

    tables = prepare(SparkSession.builder.remote(remote).getOrCreate(), Path(workspace), schemas)
    sys.stdout.write(f"{len(schemas)} schemas, {tables} tables registered\n")


def interrupt(remote: str, tag: str) -> None:
    """Stop every operation of this tag on the server; one goes on there when only its client is killed."""
    from pyspark.sql import SparkSession

    SparkSession.builder.remote(remote).getOrCreate().interruptTag(tag)


def prepare(spark: SparkSession, workspace: Path, schemas: Iterable[tuple[str, str]]) -> int:
    """Create these (catalog, schema) in their folders, register every Delta table found in them; returns how many."""
    sweep(workspace)
    tables = 0
    for catalog, schema in schemas:
        folder = workspace.absolute() / catalog / schema
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{_quoted(catalog)}.{_quoted(schema)}"
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {name} LOCATION {_literal(folder)}")
        for table in _tables(folder):
            location = _literal(table)
            spark.sql(f"CREATE TABLE IF NOT EXISTS {name}.{_quoted(table.name)} USING delta LOCATION {location}")
            tables += 1
    return tables


def found_schemas(workspace: Path) -> list[tuple[str, str]]:
    """The (catalog, schema) in a workspace that hold a Delta table, whoever wrote it."""
    return sorted({(log.parts[-4], log.parts[-3]) for log in workspace.glob("*/*/*/_delta_log")})


def is_staging(table: str) -> bool:
    """Whether this is the name of a table that a load makes for itself and drops at its end."""
    return table.startswith("_laketasks_") or "__laketasks_stage" in table


def sweep(workspace: Path) -> None:
    """Remove the folders of staging tables: Sail leaves the files of a table that is dropped."""
    for folder in workspace.glob("*/*/*"):
        if is_staging(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _tables(folder: Path) -> list[Path]:
    return sorted(log.parent for log in folder.glob("*/_delta_log") if not is_staging(log.parent.name))


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"


def _literal(path: Path) -> str:
    escaped = str(path).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
