"""Sail as the engine: a Spark Connect server in Rust, whose in-memory catalogs have the names that the job uses."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localjobs.engine import Engine, served
from localjobs.environment import inherited

_LISTENS = re.compile(r"Spark Connect server on [\d.]+:(\d+)")


@contextmanager
def sail(catalogs: Sequence[str], workspace: Path, log: Path) -> Iterator[Engine]:  # noqa: ARG001
    """Run a Sail server with these catalogs, of which the first is the default one."""
    environment = inherited() | _environment(catalogs)
    with served("Sail", _command(), environment, _LISTENS, log) as engine:
        yield engine


def _command() -> list[str]:
    return [sys.executable, "-m", "pysail", "spark", "server", "--ip", "127.0.0.1", "--port", "0"]


def _environment(catalogs: Sequence[str]) -> dict[str, str]:
    listed = (f'{{name={json.dumps(name)},type="memory",initial_database=["default"]}}' for name in catalogs)
    return {
        "SAIL_CATALOG__LIST": f"[{','.join(listed)}]",
        "SAIL_CATALOG__DEFAULT_CATALOG": catalogs[0],
        "SAIL_SPARK__SESSION_TIMEOUT_SECS": str(7 * 24 * 3600),  # an idle session would take its catalogs with it
        "RUST_LOG": "warn,sail_cli=info",  # the info line names the port
    }
