"""A workspace on this machine: answers over HTTP as Jobs API 2.2 and SQL statement API do, in pages and chunks."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "dapi-a-token-that-nobody-may-see-0123456789"
PAGE = 100  # tasks in an answer of runs/get
CHUNK = 50  # rows in a chunk of a statement's result


@dataclass
class Workspace:
    """What there is: runs by id, outputs by the id of a task's run, warehouses, and the rows that any query gets."""

    runs: dict[int, dict[str, Any]] = field(default_factory=dict)
    outputs: dict[int, dict[str, Any]] = field(default_factory=dict)
    warehouses: list[dict[str, Any]] = field(default_factory=list)
    columns: Sequence[str] = ()
    rows: list[list[str | None]] = field(default_factory=list)
    statement_error: str = ""
    statement_waits: int = 0
    broken: str = ""  # what every request of the API gets instead, as a page that is no JSON
    asked: list[str] = field(default_factory=list)
    statements: list[dict[str, Any]] = field(default_factory=list)
    host: str = ""

    def answer(self, method: str, path: str, given: dict[str, Any]) -> tuple[int, Any]:
        self.asked.append(f"{method} {path}")
        if self.broken:
            return 200, self.broken
        name = path.removeprefix("/api/")
        if name == "2.2/jobs/runs/get":
            return self._run(int(given["run_id"]), int(given.get("page_token") or 0))
        if name == "2.2/jobs/runs/list":
            return self._list(given)
        if name == "2.2/jobs/runs/get-output":
            return self._output(int(given["run_id"]))
        if name == "2.0/sql/warehouses":
            return 200, {"warehouses": self.warehouses}
        if name.startswith("2.0/sql/statements"):
            return self._statement(method, name, given)
        return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": f"no API found for {method} {path}"}

    def _run(self, run_id: int, offset: int) -> tuple[int, Any]:
        run = self.runs.get(run_id)
        if run is None:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"Run {run_id} does not exist."}
        page = {**run, "tasks": run["tasks"][offset : offset + PAGE]}
        if offset + PAGE < len(run["tasks"]):
            page |= {"next_page_token": str(offset + PAGE)}
        return 200, page

    def _list(self, given: dict[str, Any]) -> tuple[int, Any]:
        """The newest first, without their tasks, two in a page."""
        until, offset = int(given.get("start_time_to") or 2**60), int(given.get("page_token") or 0)
        runs = [r for r in self.runs.values() if r["job_id"] == int(given["job_id"]) and r["start_time"] <= until]
        runs.sort(key=lambda run: -run["start_time"])
        shown = [{k: v for k, v in run.items() if k != "tasks"} for run in runs[offset : offset + 2]]
        more = {"next_page_token": str(offset + 2)} if offset + 2 < len(runs) else {}
        return 200, {"runs": shown, "has_more": bool(more), **more}

    def _output(self, run_id: int) -> tuple[int, Any]:
        if run_id not in self.outputs:
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": "Retrieving the output is not supported."}
        return 200, self.outputs[run_id]

    def _statement(self, method: str, name: str, given: dict[str, Any]) -> tuple[int, Any]:
        if method == "POST":
            self.statements.append(given)
        if self.statement_error:
            error = {"error_code": "BAD_REQUEST", "message": self.statement_error}
            return 200, {"statement_id": "s1", "status": {"state": "FAILED", "error": error}}
        if self.statement_waits:
            self.statement_waits -= 1
            return 200, {"statement_id": "s1", "status": {"state": "PENDING"}}
        number = int(name.rpartition("/")[2]) if "/chunks/" in name else 0
        rows = self.rows[number * CHUNK : (number + 1) * CHUNK]
        more = {"next_chunk_index": number + 1} if (number + 1) * CHUNK < len(self.rows) else {}
        chunk = {"chunk_index": number, "data_array": rows, **more}
        if "/chunks/" in name:
            return 200, chunk
        schema = {"columns": [{"name": column, "position": n} for n, column in enumerate(self.columns)]}
        return 200, {
            "statement_id": "s1",
            "status": {"state": "SUCCEEDED"},
            "manifest": {"schema": schema},
            "result": chunk,
        }


@contextmanager
def serving(workspace: Workspace) -> Iterator[Workspace]:
    """Answer on a free port of this machine for the block; `host` is where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("GET", dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            self._answer("POST", json.loads(self.rfile.read(length) or b"{}"))

        def _answer(self, method: str, given: dict[str, Any]) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/api/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                refused = {
                    "error_code": "PERMISSION_DENIED",
                    "message": f"Invalid access token {self.headers['Authorization']}",
                }
                self._send(403, refused)
            else:
                self._send(*workspace.answer(method, path, given))

        def _send(self, status: int, body: Any) -> None:
            text = body if isinstance(body, str) else json.dumps(body)
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        workspace.host = f"http://127.0.0.1:{server.server_port}"
        try:
            yield workspace
        finally:
            server.shutdown()
            thread.join()
