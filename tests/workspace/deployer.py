"""A deployment by databricks-sdk, for machines without the CLI: the bundle resolved and uploaded as the CLI does.

Of the files it uploads those that `sync.include` names, which are what the tasks read.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound

from localjobs.bundle import JOB_FILE, Bundle, read_bundle, read_job_document, read_yaml

_JOB_REFERENCE = re.compile(r"\$\{resources\.jobs\.(\w+)\.id\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """What stands in the workspace: job ids by key, and which of them this deployment made, changed or removed."""

    root: str
    wheel: str
    jobs: Mapping[str, int]
    created: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)


def deploy(
    client: WorkspaceClient, project: Path, target: str, variables: Mapping[str, str] | None = None
) -> Deployment:
    """Build, upload, create or reset the jobs, delete those whose file is gone."""
    user = str(client.current_user.me().user_name)
    document = read_yaml(project / "databricks.yml")
    own = document["targets"][target] or {}
    bundle, root = _bundle(project, document, target, user, variables or {})
    known = _state(client, root)
    wheel = _upload_wheel(client, project, document["artifacts"]["default"], root)
    for pattern in document["sync"]["include"]:
        for file in sorted(project.glob(pattern)):
            _upload(client, f"{root}/files/{file.relative_to(project).as_posix()}", file.read_bytes())
    jobs, created, changed = dict(known), [], []
    for key, settings in _in_order(_jobs(project, document["include"])):
        resolved = _resolved(bundle, settings, jobs, wheel)
        resolved = _for_target(resolved, own, bundle, user, root)
        if key not in jobs:
            jobs[key] = int(client.api_client.do("POST", "/api/2.2/jobs/create", body=resolved)["job_id"])
            created.append(key)
        elif _differs(client, jobs[key], resolved):
            client.api_client.do("POST", "/api/2.2/jobs/reset", body={"job_id": jobs[key], "new_settings": resolved})
            changed.append(key)
        _permit(client, jobs[key], [*bundle.resolve(own.get("permissions") or [])[0], *settings.get("permissions", [])])
    deleted = [key for key in known if key not in dict(_jobs(project, document["include"]))]
    for key in deleted:
        client.jobs.delete(jobs.pop(key))
    _upload(client, f"{root}/state/jobs.json", json.dumps(jobs).encode())
    return Deployment(root=root, wheel=wheel, jobs=jobs, created=created, changed=changed, deleted=deleted)


def destroy(client: WorkspaceClient, deployment: Deployment) -> None:
    """Delete the jobs and every file."""
    for number in deployment.jobs.values():
        client.jobs.delete(number)
    client.workspace.delete(deployment.root, recursive=True)


def _bundle(
    project: Path, document: Mapping[str, Any], target: str, user: str, variables: Mapping[str, str]
) -> tuple[Bundle, str]:
    read = read_bundle(project / "resources" / f"any{JOB_FILE}", target, variables)
    given = (document["targets"][target] or {}).get("workspace", {}).get("root_path", "")
    root = given or f"/Workspace/Users/{user}/.bundle/${{bundle.name}}/${{bundle.target}}"
    root, problems = read.resolve(root)
    assert not problems, problems
    own = {"workspace.root_path": root, "workspace.file_path": f"{root}/files", "workspace.current_user.userName": user}
    values = {name: value for name, value in read.values.items() if not name.startswith("resources.")}
    return Bundle(file=read.file, values=values | own), root


def _jobs(project: Path, patterns: Iterable[str]) -> list[tuple[str, dict[str, Any]]]:
    files = sorted({file for pattern in patterns for file in project.glob(pattern) if file.name.endswith(JOB_FILE)})
    return [read_job_document(file) for file in files]


def _in_order(jobs: list[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """A job after those that it runs."""
    needs = {key: set(_JOB_REFERENCE.findall(json.dumps(settings))) for key, settings in jobs}
    ordered: list[tuple[str, dict[str, Any]]] = []
    while len(ordered) < len(jobs):
        done = {key for key, _ in ordered}
        ready = [(key, settings) for key, settings in jobs if key not in done and needs[key] <= done]
        assert ready, f"these jobs run each other: {sorted(needs.keys() - done)}"
        ordered += ready
    return ordered


def _resolved(bundle: Bundle, settings: Mapping[str, Any], jobs: Mapping[str, int], wheel: str) -> dict[str, Any]:
    ids = {f"resources.jobs.{key}.id": number for key, number in jobs.items()}
    document, problems = Bundle(file=bundle.file, values={**bundle.values, **ids}).resolve(dict(settings))
    assert not problems, problems
    found: dict[str, Any] = _with_wheel(document, wheel)
    return found


def _with_wheel(value: Any, wheel: str) -> Any:
    if isinstance(value, dict):
        return {name: _with_wheel(item, wheel) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_wheel(item, wheel) for item in value]
    return wheel if value == "../dist/*.whl" else value


def _for_target(
    settings: dict[str, Any], own: Mapping[str, Any], bundle: Bundle, user: str, root: str
) -> dict[str, Any]:
    """A job as its target's mode has it: in development its name says whose it is, and nothing starts by itself."""
    kind = {"kind": "BUNDLE", "metadata_file_path": f"{root}/state/metadata.json"}
    made = {**settings, "deployment": kind, "edit_mode": "UI_LOCKED", "format": "MULTI_TASK"}
    made.pop("permissions", None)
    if "run_as" in own:
        made["run_as"] = bundle.resolve(own["run_as"])[0]
    if own.get("mode") == "development":
        short = re.sub(r"\W", "_", user.partition("@")[0])
        made |= {"name": f"[dev {short}] {made['name']}", "max_concurrent_runs": 4}
        made["tags"] = {**made.get("tags", {}), "dev": short}
        for start in ("schedule", "trigger", "continuous"):
            if start in made:
                made[start] = {"pause_status": "PAUSED", **made[start]}
    return made


def _differs(client: WorkspaceClient, number: int, settings: Mapping[str, Any]) -> bool:
    """Whether what stands there lacks anything of the settings; what the service adds is none of ours."""
    there = client.jobs.get(number).as_dict()["settings"]
    return not _holds(there, json.loads(json.dumps(settings)))


def _holds(there: Any, ours: Any) -> bool:
    if isinstance(ours, dict):
        return isinstance(there, dict) and all(_holds(there.get(k), v) for k, v in ours.items() if v not in ({}, []))
    if isinstance(ours, list):

        def key(item: Any) -> str:
            return str(item.get("task_key", "")) if isinstance(item, dict) else ""

        pairs = zip(sorted(there or [], key=key), sorted(ours, key=key), strict=False)
        return len(there or []) == len(ours) and all(_holds(*pair) for pair in pairs)
    return bool(there == ours)


def _permit(client: WorkspaceClient, number: int, permissions: list[dict[str, Any]]) -> None:
    if permissions:
        listed = [{"permission_level" if name == "level" else name: v for name, v in p.items()} for p in permissions]
        client.api_client.do("PUT", f"/api/2.0/permissions/jobs/{number}", body={"access_control_list": listed})


def _state(client: WorkspaceClient, root: str) -> dict[str, int]:
    try:
        exported = client.api_client.do(
            "GET",
            "/api/2.0/workspace/export",
            query={"path": f"{root}/state/jobs.json", "direct_download": "true"},
            raw=True,
        )
    except NotFound:
        return {}
    found: dict[str, int] = json.loads(exported["contents"].read())
    return found


def _upload(client: WorkspaceClient, path: str, content: bytes) -> None:
    client.workspace.mkdirs(path.rpartition("/")[0])
    address = f"/api/2.0/workspace-files/import-file/{quote(path.lstrip('/'), safe='')}"
    client.api_client.do("POST", address, query={"overwrite": "true"}, data=content)


def _upload_wheel(client: WorkspaceClient, project: Path, artifact: Mapping[str, Any], root: str) -> str:
    """Build the wheel by the bundle's own command, give it a version of its own, and upload it alone."""
    command = re.sub(r"\bpython3\b", sys.executable, artifact["build"])
    subprocess.run(command, shell=True, cwd=project, check=True, capture_output=True, text=True)
    (built,) = (project / "dist").glob("*.whl")
    name, content = _stamped(built) if artifact.get("dynamic_version") else (built.name, built.read_bytes())
    folder = f"{root}/artifacts/.internal"
    with contextlib.suppress(NotFound):
        client.workspace.delete(folder, recursive=True)
    _upload(client, f"{folder}/{name}", content)
    return f"{folder}/{name}"


def _stamped(wheel: Path) -> tuple[str, bytes]:
    """`dynamic_version`: the wheel with the time of its build behind the version, in its name and in its metadata."""
    distribution, version, *tags = wheel.name.split("-")
    stamped = f"{version}+{wheel.stat().st_mtime_ns}"
    old, new = f"{distribution}-{version}.dist-info/", f"{distribution}-{stamped}.dist-info/"
    made = io.BytesIO()
    with zipfile.ZipFile(wheel) as read, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as written:
        contents = {name.replace(old, new, 1): read.read(name) for name in read.namelist()}
        metadata = contents[f"{new}METADATA"].replace(
            f"Version: {version}\n".encode(), f"Version: {stamped}\n".encode()
        )
        contents[f"{new}METADATA"] = metadata
        del contents[f"{new}RECORD"]
        record = "".join(f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in contents.items())
        contents[f"{new}RECORD"] = f"{record}{new}RECORD,,\n".encode()
        for name, content in contents.items():
            written.writestr(name, content)
    return "-".join([distribution, stamped, *tags]), made.getvalue()


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
