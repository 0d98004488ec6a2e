"""Two workspaces on the loopback: minilake, which executes SQL, and a service that answers as a test tells it to."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.generator.rows import ROOT

MINILAKE = ROOT / ".venv-minilake" / "bin" / "minilake"
TOKEN = "dapi0123456789abcdef0123456789abcdef"
Answer = tuple[int, Any]
Answers = Callable[[str, str, Mapping[str, Any]], Answer]


def log_in(monkeypatch: pytest.MonkeyPatch, folder: Path, host: str, **more: str) -> None:
    """As the SDK's user does: environment variables, and no profile of this machine."""
    for name in list(os.environ):
        if name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_")):
            monkeypatch.delenv(name)
    given = {"DATABRICKS_HOST": host, "DATABRICKS_TOKEN": TOKEN, "DATABRICKS_WAREHOUSE_ID": "w1", **more}
    for name, value in {**given, "DATABRICKS_CONFIG_FILE": str(folder / "no.cfg"), "HOME": str(folder)}.items():
        if value:
            monkeypatch.setenv(name, value)


@contextmanager
def minilake(folder: Path) -> Iterator[str]:
    """The URL of a new, empty workspace."""
    if not MINILAKE.exists():
        pytest.skip("minilake is not installed: make .venv-minilake/minilake.stamp")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    own = {"MINILAKE_JOB_EXECUTOR": "subprocess", "MINILAKE_NOTEBOOK": "0", "MINILAKE_DATA_DIR": str(folder / "data")}
    with (folder / "minilake.log").open("w") as log:
        command = [str(MINILAKE), "--host", "127.0.0.1", "--port", str(port)]
        server = subprocess.Popen(command, cwd=folder, env={**os.environ, **own}, stdout=log, stderr=log)
        try:
            _await(url, server, folder / "minilake.log")
            yield url
        finally:
            server.terminate()
            server.wait(20)


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/_minilake/health", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    pytest.fail(f"minilake did not start:\n{log.read_text()[-2000:]}")


@contextmanager
def service(answers: Answers) -> Iterator[tuple[str, list[str]]]:
    """The URL of a service, and what it was asked: `METHOD path`, without the SDK's own look for a workspace."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if "databricks-config" in self.path:
                status, said = 404, {}
            else:
                asked.append(f"{self.command} {self.path}")
                status, said = answers(self.command, self.path, json.loads(body) if body else {})
            text = said if isinstance(said, str) else json.dumps(said)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = do_DELETE = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def duckdb_ddl() -> str:
    """bundle/execution_table.sql as DuckDB takes it: dev's, without comments, and its own word for a list."""
    text = (ROOT / "bundle" / "execution_table.sql").read_text(encoding="utf-8")
    text = re.sub(r"^--.*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"\s+COMMENT '(?:[^']|'')*'", "", text).replace("ARRAY<STRING>", "VARCHAR[]")
    text = text.replace("{silver_catalog}", "dev_silver").replace("USING delta", "")
    return text.strip().rstrip(";")
