"""The bundle's life in a workspace by the Databricks CLI: validate, plan, deploy, summary, run, a change, destroy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.generator.loopback import log_in
from tests.workspace.project import LAYER, ROWS, Project, needs_cli, new_project
from tests.workspace.server import SERVICE_PRINCIPAL, SERVICE_TOKEN, Workspace, workspace

pytestmark = [pytest.mark.cli, needs_cli]


@dataclass
class Repository:
    project: Project
    there: Workspace

    def bundle(self, *arguments: str, target: str = "dev", code: int = 0) -> str:
        """Both outputs of `databricks bundle ...`, which must end with this code; shown when the test fails."""
        done = subprocess.run(
            ["databricks", "bundle", *arguments, "--target", target],
            cwd=self.project.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        print(f"$ databricks bundle {' '.join(arguments)}\n{said}")
        assert done.returncode == code, said
        return said

    def changes(self) -> dict[str, set[str]]:
        """What `plan` would change of the job: the places by the task they are in, those of none under ''."""
        said = self.bundle("plan", "--output", "json")
        plan = json.loads(said[said.index("{") : said.rindex("}") + 1])["plan"][f"resources.jobs.{LAYER}"]
        changed = [place for place, change in plan.get("changes", {}).items() if change["action"] != "skip"]
        found: dict[str, set[str]] = {}
        for place in changed:
            task = re.match(r"tasks\[task_key='([^']+)'\]\.?", place)
            found.setdefault(task[1] if task else "", set()).add(place[task.end() :] if task else place)
        return found


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    with workspace(tmp_path / "there") as there:
        log_in(monkeypatch, tmp_path, there.url)
        monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")  # python3
        project = new_project(tmp_path / "repository", there.lake)
        subprocess.run(["git", "init", "--quiet"], cwd=project.folder, check=True)
        yield Repository(project, there)
        assert not there.unknown
        assert not there.refused


def test_from_a_clone_to_nothing_left(repository: Repository) -> None:
    bundle, project = repository.bundle, repository.project
    assert "Validation OK!" in bundle("validate", "--strict")
    assert "Plan: 1 to add, 0 to change, 0 to delete, 0 unchanged" in bundle("plan")
    assert "Resources: 1 created, 0 changed, 0 deleted, 0 unchanged" in bundle("deploy")
    assert f"[dev ana] {LAYER}" in bundle("summary")

    said = bundle("run", LAYER)
    assert "TERMINATED SUCCESS" in said
    assert "all 3 tables loaded" in said
    (job,) = repository.there.jobs.values()
    (wheel,) = job["environments"][0]["spec"]["dependencies"]
    (logged,) = {row["wheel_version"] for row in project.rows("run_log", schema="metadata")}
    assert f"/laketasks-{logged}-py3" in wheel

    assert "Resources: 0 created, 0 changed, 0 deleted, 1 unchanged" in bundle("deploy")
    project.write_rows({**ROWS, "store": {**ROWS["store"], "comment": "All stores"}})
    assert repository.changes() == {"store": {"description", "python_wheel_task.named_parameters['comment']"}}
    project.write_rows(ROWS)

    project.change("src/laketasks/entry.py", "nothing to write", "all is as it was")
    assert repository.changes() == {"": {"environments[environment_key='laketasks'].spec.dependencies[0]"}}
    assert "Resources: 0 created, 1 changed, 0 deleted, 0 unchanged" in bundle("deploy", "--fail-on-active-runs")
    said = bundle("run", LAYER, "--only", "store")
    assert "all is as it was" in said
    assert "dev_silver.s.item" not in said

    bundle("destroy", "--auto-approve")
    assert not repository.there.jobs
    assert not [*repository.there.files.local("/Users/ana@example.com/.bundle").rglob("*.*")]


def test_production_is_deployed_by_its_service_principal_and_by_no_other(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = repository.bundle
    monkeypatch.setenv("BUNDLE_VAR_service_principal", SERVICE_PRINCIPAL)
    assert "should explicitly include the current deployment identity" in bundle("validate", target="prod")
    monkeypatch.setenv("DATABRICKS_TOKEN", SERVICE_TOKEN)
    for created, unchanged in ((1, 0), (0, 1)):
        assert "Validation OK!" in bundle("validate", "--strict", target="prod")
        said = bundle("deploy", "--fail-on-active-runs", target="prod")
        assert f"Resources: {2 * created} created, 0 changed, 0 deleted, {2 * unchanged} unchanged" in said
    ((number, job),) = repository.there.jobs.items()
    assert (job["name"], job["run_as"]) == (LAYER, {"service_principal_name": SERVICE_PRINCIPAL})
    # CAN_MANAGE of the one that owns the job is left out by the CLI
    (others,) = repository.there.permissions[f"jobs/{number}"]
    assert (others["group_name"], others["permission_level"]) == ("users", "CAN_VIEW")
    assert not [*repository.there.files.local("/Users/ana@example.com/.bundle").rglob("*.*")]
    bundle("destroy", "--auto-approve", target="prod")
    assert not repository.there.jobs
