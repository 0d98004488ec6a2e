"""A workspace on the loopback: it keeps files and jobs, executes wheel tasks for real, and knows no other call.

The calls are those that CLI and databricks-sdk make for jobs and one wheel. A user and a service principal may log in.
"""

from __future__ import annotations

import copy
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.workspace.files import Files, Refused
from tests.workspace.runs import Runs

TOKEN = "dapi0123456789abcdef0123456789abcdef"
USER = "ana@example.com"
SERVICE_TOKEN = "dapi9876543210fedcba9876543210fedcba"
SERVICE_PRINCIPAL = "00000000-1111-2222-3333-444444444444"
_LOGINS = {f"Bearer {TOKEN}": USER, f"Bearer {SERVICE_TOKEN}": SERVICE_PRINCIPAL}
PAGE = 100
_PAGED = ("tasks", "job_clusters", "environments", "parameters")
_JOB_DEFAULTS: dict[str, Any] = {
    "email_notifications": {},
    "webhook_notifications": {},
    "timeout_seconds": 0,
    "max_concurrent_runs": 1,
    "format": "MULTI_TASK",
}
_TASK_DEFAULTS: dict[str, Any] = {"run_if": "ALL_SUCCESS", "timeout_seconds": 0, "email_notifications": {}}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: `query` holds the last value of each name, `body` the object of a JSON request, `who` asks."""

    query: Mapping[str, str]
    raw: bytes
    path: str
    who: str

    @property
    def body(self) -> dict[str, Any]:
        document = json.loads(self.raw or b"{}")
        if not isinstance(document, dict):
            raise Refused(400, "MALFORMED_REQUEST", "expected a JSON object")
        return document


@dataclass
class Workspace:
    """What the workspace holds, and what it was asked (`METHOD /path`), the calls that it does not know apart."""

    folder: Path
    url: str = ""
    jobs: dict[int, dict[str, Any]] = field(default_factory=dict)
    permissions: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.files = Files(self.folder / "Workspace")
        self._owners: dict[str, str] = {}  # of jobs/1, directories/2
        for name in _LOGINS.values():
            self.files.make_folder(f"/Users/{name}")
        self.lake = self.folder / "lake"
        self.runs = Runs(self.files, self.folder / "executed", self.lake)
        self._numbers = itertools.count(1001)
        self._starting = threading.Lock()

    # --- files ---

    def get_status(self, asked: Asked) -> Any:
        path = asked.query["path"]
        status = self.files.status(path)
        home = re.match("(?:/Workspace)?/Users/([^/]+)", path)
        self._owners[f"directories/{status['object_id']}"] = home[1] if home else USER
        return status

    def mkdirs(self, asked: Asked) -> Any:
        self.files.make_folder(asked.body["path"])
        return {}

    def export(self, asked: Asked) -> Any:
        return self.files.read(asked.query["path"])

    def delete_file(self, asked: Asked) -> Any:
        self.files.delete(asked.body["path"], recursive=bool(asked.body.get("recursive")))
        return {}

    def import_file(self, asked: Asked) -> Any:
        path = unquote(asked.path.partition("/import-file/")[2])
        self.files.write(path, asked.raw, overwrite=asked.query.get("overwrite") == "true")
        return {}

    # --- jobs ---

    def create(self, asked: Asked) -> Any:
        number = next(self._numbers)
        self.jobs[number] = _settings(asked.body)
        self._owners[f"jobs/{number}"] = asked.who
        return {"job_id": number}

    def reset(self, asked: Asked) -> Any:
        self._job(asked.body["job_id"])
        self.jobs[int(asked.body["job_id"])] = _settings(asked.body["new_settings"])
        return {}

    def delete_job(self, asked: Asked) -> Any:
        self._job(asked.body["job_id"])
        del self.jobs[int(asked.body["job_id"])]
        return {}

    def get_job(self, asked: Asked) -> Any:
        number = int(asked.query["job_id"])
        settings, following = _page(self._job(number), asked.query)
        return {
            "job_id": number,
            "creator_user_name": self._owners[f"jobs/{number}"],
            "run_as_user_name": self._owners[f"jobs/{number}"],
            "settings": settings,
            **following,
        }

    def run_now(self, asked: Asked) -> Any:
        number = int(asked.body["job_id"])
        self._job(number)
        parameters = asked.body.get("job_parameters") or {}
        with self._starting:
            run = self.runs.start(number, self.jobs, parameters, asked.body.get("only") or [])
        return {"run_id": run, "number_in_job": run}

    def get_run(self, asked: Asked) -> Any:
        record = self.runs.record(int(asked.query["run_id"]))
        record |= {
            "creator_user_name": self._owners[f"jobs/{record['job_id']}"],
            "run_page_url": f"{self.url}/jobs/{record['job_id']}/runs/{record['run_id']}",
        }
        run, following = _page(record, asked.query)
        return {**run, **following}

    def list_runs(self, asked: Asked) -> Any:
        job = int(asked.query["job_id"]) if "job_id" in asked.query else None
        only = asked.query.get("active_only") == "true"
        runs = [run for run in self.runs.all_of(job) if not only or run["state"]["life_cycle_state"] == "RUNNING"]
        return {"runs": [{name: value for name, value in run.items() if name != "tasks"} for run in runs]}

    def get_output(self, asked: Asked) -> Any:
        return self.runs.output(int(asked.query["run_id"]))

    def _job(self, number: object) -> dict[str, Any]:
        if int(str(number)) not in self.jobs:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Job {number} does not exist.")
        return self.jobs[int(str(number))]

    # --- the rest ---

    def me(self, asked: Asked) -> Any:
        return {"id": "1", "userName": asked.who, "active": True}

    def warehouses(self, _: Asked) -> Any:
        return {"warehouses": [{"id": "w1", "name": "Serverless Starter Warehouse", "state": "STOPPED"}]}

    def get_permissions(self, asked: Asked) -> Any:
        place = asked.path.partition("/permissions/")[2]
        level = "IS_OWNER" if place.startswith("jobs/") else "CAN_MANAGE"
        who = self._owners[place]
        owner = {"user_name" if "@" in who else "service_principal_name": who}
        entry = {**owner, "all_permissions": [{"permission_level": level, "inherited": False}]}
        return {"object_id": f"/{place}", "access_control_list": [entry, *self.permissions.get(place, [])]}

    def put_permissions(self, asked: Asked) -> Any:
        place = asked.path.partition("/permissions/")[2]
        given = asked.body.get("access_control_list") or []
        self.permissions[place] = [
            {**one, "all_permissions": [{"permission_level": one["permission_level"], "inherited": False}]}
            for one in given
            if one.get("permission_level") != "IS_OWNER"
        ]
        return self.get_permissions(asked)

    def nothing(self, _: Asked) -> Any:
        return {}

    def answer(self, method: str, target: str, token: str, raw: bytes) -> tuple[int, Any]:
        """Status and body of the answer to a request."""
        address = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(address.query).items()}
        if address.path == "/.well-known/databricks-config":
            return 200, {"oidc_endpoint": f"{self.url}/oidc", "workspace_id": "1"}
        self.asked.append(f"{method} {address.path}")
        if token not in _LOGINS:
            return 401, {
                "error_code": "UNAUTHENTICATED",
                "message": "Credential was not sent or was of an unsupported type",
            }
        call = next((c for m, pattern, c in _CALLS if m == method and re.fullmatch(pattern, address.path)), None)
        if call is None:
            self.unknown.append(f"{method} {address.path}")
            return 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": f"No API found for {method} {address.path}"}
        try:
            return 200, call(self, Asked(query, raw, address.path, _LOGINS[token]))
        except Refused as refused:
            return refused.status, {"error_code": refused.code, "message": refused.message}
        except (KeyError, ValueError) as error:
            self.refused.append(f"{method} {target}: {error!r}")
            return 400, {"error_code": "INVALID_PARAMETER_VALUE", "message": f"missing or wrong: {error}"}


_Call = Callable[[Workspace, Asked], Any]
_JOBS = r"/api/2\.[012]/jobs"
_CALLS: tuple[tuple[str, str, _Call], ...] = (
    ("GET", "/api/2.0/preview/scim/v2/Me", Workspace.me),
    ("GET", "/api/2.0/sql/warehouses", Workspace.warehouses),
    ("GET", "/api/2.0/workspace/get-status", Workspace.get_status),
    ("POST", "/api/2.0/workspace/mkdirs", Workspace.mkdirs),
    ("GET", "/api/2.0/workspace/export", Workspace.export),
    ("POST", "/api/2.0/workspace/delete", Workspace.delete_file),
    ("POST", "/api/2.0/workspace-files/import-file/.+", Workspace.import_file),
    ("POST", f"{_JOBS}/create", Workspace.create),
    ("POST", f"{_JOBS}/reset", Workspace.reset),
    ("POST", f"{_JOBS}/delete", Workspace.delete_job),
    ("GET", f"{_JOBS}/get", Workspace.get_job),
    ("POST", f"{_JOBS}/run-now", Workspace.run_now),
    ("GET", f"{_JOBS}/runs/get", Workspace.get_run),
    ("GET", f"{_JOBS}/runs/list", Workspace.list_runs),
    ("GET", f"{_JOBS}/runs/get-output", Workspace.get_output),
    ("GET", "/api/2.0/permissions/(jobs|directories)/[0-9]+", Workspace.get_permissions),
    ("PUT", "/api/2.0/permissions/(jobs|directories)/[0-9]+", Workspace.put_permissions),
    ("POST", "/telemetry-ext", Workspace.nothing),
)


def _settings(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they are read back: with the service's defaults, and dependencies in an order of its own."""
    settings = {**_JOB_DEFAULTS, **copy.deepcopy(dict(given))}
    settings.pop("access_control_list", None)
    settings["tasks"] = [{**_TASK_DEFAULTS, **task} for task in settings.get("tasks") or []]
    for task in settings["tasks"]:
        if "depends_on" in task:
            task["depends_on"] = sorted(task["depends_on"], key=lambda dependency: str(dependency["task_key"]))
    return settings


def _page(document: Mapping[str, Any], query: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document with one page of its long lists, and the token of the next."""
    start = int(query.get("page_token") or 0)
    part = {name: value[start : start + PAGE] if name in _PAGED else value for name, value in document.items()}
    more = any(len(value) > start + PAGE for name, value in document.items() if name in _PAGED)
    return part, {"next_page_token": str(start + PAGE)} if more else {}


@contextmanager
def workspace(folder: Path) -> Iterator[Workspace]:
    """A new, empty workspace; what still runs in it ends with the block."""
    held = Workspace(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = held.answer(self.command, self.path, self.headers.get("Authorization", ""), raw)
            content = said if isinstance(said, bytes) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header(
                "Content-Type", "application/octet-stream" if isinstance(said, bytes) else "application/json"
            )
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Databricks-Org-Id", "1")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
        held.runs.close()
