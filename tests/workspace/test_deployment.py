"""The bundle deployed and run through databricks-sdk, on a workspace of the loopback that executes wheel tasks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import DatabricksError, NotFound, Unauthenticated
from databricks.sdk.service.jobs import Run, RunResultState

from tests.generator.loopback import log_in, minilake
from tests.workspace.deployer import Deployment, deploy, destroy
from tests.workspace.project import LAYER, ROOT, ROWS, Project, new_project
from tests.workspace.server import TOKEN, Workspace, workspace

SAID = "nothing to write"  # of entry.py, in one place


@dataclass
class Team:
    """A repository and the workspace that it is deployed to."""

    there: Workspace
    client: WorkspaceClient
    project: Project

    def run(self, deployment: Deployment, **parameters: str) -> Run:
        waiter = self.client.jobs.run_now(deployment.jobs[LAYER], job_parameters=parameters or None)
        return waiter.result()

    def output(self, run: Run, task_key: str) -> str:
        (task,) = (task for task in run.tasks or [] if task.task_key == task_key)
        return self.client.jobs.get_run_output(task.run_id or 0).logs or ""

    def version(self, deployment: Deployment) -> str:
        found = re.search(r"/laketasks-([^/-]+)-py3-none-any\.whl$", deployment.wheel)
        assert found, deployment.wheel
        return found[1]


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder = tmp_path_factory.mktemp("deployment")
    with pytest.MonkeyPatch.context() as patch, workspace(folder / "there") as there:
        log_in(patch, folder, there.url)
        project = new_project(folder / "repository", there.lake)
        yield Team(there, WorkspaceClient(), project)
        assert not there.unknown
        assert not there.refused


@pytest.fixture(scope="module")
def first(team: Team) -> Deployment:
    return deploy(team.client, team.project.folder, "dev")


@pytest.fixture(scope="module")
def ran(team: Team, first: Deployment) -> Run:
    return team.run(first)


def states(run: Run) -> dict[str, RunResultState | None]:
    return {str(task.task_key): task.state.result_state if task.state else None for task in run.tasks or []}


def test_what_is_deployed_is_the_job_file_resolved_for_its_target(team: Team, first: Deployment) -> None:
    assert (first.created, first.changed, first.deleted) == ([LAYER], [], [])
    settings = team.client.jobs.get(first.jobs[LAYER]).as_dict()["settings"]
    assert (settings["name"], settings["tags"], settings["max_concurrent_runs"]) == (
        f"[dev ana] {LAYER}",
        {"dev": "ana"},
        4,
    )
    assert settings["environments"][0]["spec"]["dependencies"] == [first.wheel]
    sold = next(task for task in settings["tasks"] if task["task_key"] == "sold")["python_wheel_task"][
        "named_parameters"
    ]
    assert sold["sql_file_path"] == f"{first.root}/files/bundle/sql/sold.sql"
    assert sold["target_table"] == "dev_silver.s.sold"
    assert "${" not in str(settings)


def test_a_run_of_the_workspace_loads_the_tables(team: Team, ran: Run) -> None:
    assert states(ran) == dict.fromkeys([*ROWS, "run_summary"], RunResultState.SUCCESS)
    assert sorted(row["name"] for row in team.project.rows("sold")) == ["Jam", "Jam", "Tea"]
    assert [(row["town"], row["is_current"]) for row in team.project.rows("store")] == [("Ulm", True)]
    assert "3 tables" in team.output(ran, "run_summary")


def test_the_wheel_that_was_uploaded_is_the_one_that_ran(team: Team, first: Deployment, ran: Run) -> None:
    logged = {row["wheel_version"] for row in team.project.rows("run_log", schema="metadata")}
    assert logged == {team.version(first)}


def test_a_line_of_a_loader_is_another_version_and_runs(team: Team, first: Deployment, ran: Run) -> None:
    team.project.change("src/laketasks/entry.py", SAID, "all is as it was")
    try:
        second = deploy(team.client, team.project.folder, "dev")
        assert (second.created, second.changed) == ([], [LAYER])
        assert second.jobs == first.jobs
        assert team.version(second) != team.version(first)
        run = team.run(second)
    finally:
        team.project.change("src/laketasks/entry.py", "all is as it was", SAID)
    assert run.state
    assert run.state.result_state is RunResultState.SUCCESS
    assert "all is as it was" in team.output(run, "store")
    logged = {row["wheel_version"] for row in team.project.rows("run_log", schema="metadata")}
    assert logged == {team.version(first), team.version(second)}
    assert SAID in (ROOT / "src/laketasks/entry.py").read_text(encoding="utf-8")


def test_a_row_that_changes_changes_its_task_and_no_other(team: Team, first: Deployment, ran: Run) -> None:
    before = {task.task_key: task for task in team.client.jobs.get(first.jobs[LAYER]).settings.tasks}
    team.project.write_rows({**ROWS, "store": {**ROWS["store"], "comment": "All stores"}})
    deploy(team.client, team.project.folder, "dev")
    after = {task.task_key: task for task in team.client.jobs.get(first.jobs[LAYER]).settings.tasks}
    assert [key for key in before if before[key] != after[key]] == ["store"]


def test_a_task_that_fails_says_why_and_fails_the_run(team: Team, first: Deployment, ran: Run) -> None:
    sql = team.there.files.local(f"{first.root}/files/bundle/sql/sold.sql")
    text = sql.read_text(encoding="utf-8")
    sql.write_text(text.replace("s.item, i.name", "s.article"), encoding="utf-8")
    try:
        run = team.run(first)
    finally:
        sql.write_text(text, encoding="utf-8")
    assert run.state
    assert run.state.result_state is RunResultState.FAILED
    failed = [key for key, state in states(run).items() if state is RunResultState.FAILED]
    assert failed == ["sold", "run_summary"]
    (sold,) = (task for task in run.tasks or [] if task.task_key == "sold")
    output = team.client.jobs.get_run_output(sold.run_id or 0)
    assert "sold.sql: the SQL is not the one from which the job file was generated" in str(output.error)
    assert "Traceback" in str(output.error_trace)


def test_production_is_named_owned_and_placed_as_the_bundle_says(team: Team, first: Deployment) -> None:
    made = deploy(team.client, team.project.folder, "prod", {"service_principal": "0000-1111"})
    settings = team.client.jobs.get(made.jobs[LAYER]).as_dict()["settings"]
    assert (settings["name"], settings["max_concurrent_runs"]) == (LAYER, 1)
    assert settings["run_as"] == {"service_principal_name": "0000-1111"}
    assert made.root.endswith("/.bundle/laketasks/prod")
    assert "dev_" not in str([task["python_wheel_task"] for task in settings["tasks"]])
    destroy(team.client, made)
    with pytest.raises(NotFound, match="does not exist"):
        team.client.jobs.get(made.jobs[LAYER])
    assert not team.there.files.local(made.root).exists()
    assert team.there.files.local(first.root).exists()


def test_jobs_and_runs_of_more_tasks_than_a_page(team: Team) -> None:
    task = {"condition_task": {"left": "1", "op": "EQUAL_TO", "right": "1"}}
    tasks = [{"task_key": f"t{number:03}", **task} for number in range(250)]
    made = team.client.api_client.do("POST", "/api/2.2/jobs/create", body={"name": "wide", "tasks": tasks})
    read = team.client.jobs.get(made["job_id"]).settings
    assert [t.task_key for t in read.tasks] == [t["task_key"] for t in tasks]
    run = team.client.jobs.run_now(made["job_id"]).result()
    assert set(states(run).values()) == {RunResultState.SUCCESS}
    assert len(run.tasks) == 250
    team.client.jobs.delete(made["job_id"])


def test_who_has_no_token_is_let_nowhere(team: Team) -> None:
    with pytest.raises(Unauthenticated) as refused:
        WorkspaceClient(host=team.there.url, token=TOKEN[::-1]).current_user.me()
    assert TOKEN[::-1] not in str(refused.value)


@pytest.mark.parametrize("path", ["/Users/../../x", "Workspace/Users/a/../../../../../x"])
def test_no_file_is_written_outside_the_workspace(team: Team, path: str) -> None:
    with pytest.raises(DatabricksError, match="not valid"):
        team.client.workspace.mkdirs(path)


def test_another_workspace_takes_the_same_deployment(
    team: Team, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """minilake keeps files and jobs too; it runs no wheel task, so nothing is run there."""
    with minilake(tmp_path) as url:
        log_in(monkeypatch, tmp_path, url)
        client = WorkspaceClient()
        made = deploy(client, team.project.folder, "dev")
        settings = client.jobs.get(made.jobs[LAYER]).settings
        assert {task.task_key for task in settings.tasks} == {*ROWS, "run_summary"}
        assert {(t.task_key, d.task_key) for t in settings.tasks for d in t.depends_on or []} == {
            ("sold", "item"),
            ("sold", "store"),
            ("run_summary", "sold"),
        }
        assert settings.environments[0].spec.dependencies == [made.wheel]
        assert client.workspace.get_status(made.wheel).size
        again = deploy(client, team.project.folder, "dev")
        assert (again.created, again.jobs) == ([], made.jobs)
        assert (again.changed == []) == (again.wheel == made.wheel)
        destroy(client, again)
        assert not list(client.jobs.list())
