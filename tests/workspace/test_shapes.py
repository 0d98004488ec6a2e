"""The bundle in other shapes, deployed and run on the loopback: bootstrap, job cluster, split layer, the template's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest
from databricks.sdk import WorkspaceClient
from databricks.sdk.service.jobs import Run, RunResultState
from pyarrow import csv

from example.delta import read_table
from generator.build import Options, build
from generator.render import publish
from generator.split import JobSize
from laketasks.error import LoadError
from laketasks.spec import SpecError
from laketasks.workspace_jobs import loads_of_jobs
from localjobs.engines import ENGINES
from tests.generator.loopback import log_in
from tests.hostile.canaries import found_below
from tests.journeys.project import row
from tests.template.instantiate import answers, instantiate
from tests.workspace.deployer import Deployment, deploy, destroy
from tests.workspace.project import LAYER, ROOT, ROWS, Project, new_project
from tests.workspace.server import TOKEN, Workspace, workspace

LOADED = RunResultState.SUCCESS
_TASK = """\
import json, sys
from laketasks.__main__ import main
from localjobs.engine import prepare_workspace
prepare_workspace(sys.argv[1], sys.argv[2], [("dev_bronze", "b"), ("dev_silver", "s")])
sys.exit(main(json.loads(sys.argv[3])))
"""


@dataclass
class Place:
    """The workspace that all tests of this file share; what a test deploys, it destroys."""

    there: Workspace
    client: WorkspaceClient
    project: Project

    def run(self, deployment: Deployment, key: str) -> Run:
        return self.client.jobs.run_now(deployment.jobs[key]).result()

    def settings(self, deployment: Deployment, key: str) -> dict[str, Any]:
        settings: dict[str, Any] = self.client.jobs.get(deployment.jobs[key]).as_dict()["settings"]
        return settings

    def output(self, run: Run, task_key: str) -> str:
        (task,) = (task for task in run.tasks or [] if task.task_key == task_key)
        return self.client.jobs.get_run_output(task.run_id or 0).logs or ""

    def versions(self, catalog: str, schema: str) -> dict[str, int]:
        logs = (self.there.lake / catalog / schema).glob("*/_delta_log")
        return {log.parent.name: deltalake.DeltaTable(str(log.parent)).version() for log in logs}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("shapes")
    with pytest.MonkeyPatch.context() as patch, workspace(folder / "there") as there:
        log_in(patch, folder, there.url)
        yield Place(there, WorkspaceClient(), new_project(folder / "repository", there.lake))
        assert not there.unknown
        assert not there.refused


def states(run: Run) -> dict[str, RunResultState | None]:
    return {str(task.task_key): task.state.result_state if task.state else None for task in run.tasks or []}


def test_bootstrap_makes_what_is_missing_and_touches_nothing_the_second_time(place: Place) -> None:
    file = place.project.folder / "resources" / "bootstrap.job.yml"
    shutil.copy(ROOT / "resources" / "bootstrap.job.yml", file)
    made = deploy(place.client, place.project.folder, "dev")
    try:
        assert sorted(made.created) == ["bootstrap", LAYER]
        first = place.run(made, "bootstrap")
        tables = {"run_log": 0, "execution_table": 0}
        assert states(first) == {"bootstrap": LOADED}
        assert place.versions("dev_silver", "metadata") == tables
        assert place.output(first, "bootstrap").count(": made\n") == len(tables)
        assert (place.there.lake / "dev_silver" / "retail").is_dir()
        second = place.run(made, "bootstrap")
        assert states(second) == {"bootstrap": LOADED}
        assert ": made\n" not in place.output(second, "bootstrap")
        assert place.versions("dev_silver", "metadata") == tables
    finally:
        destroy(place.client, made)
        file.unlink()


def test_on_a_job_cluster_every_task_has_the_uploaded_wheel(place: Place) -> None:
    place.project.change("bundle/settings.yml", "compute: serverless", "compute: cluster")
    place.project.write_rows(ROWS)
    made = deploy(place.client, place.project.folder, "dev")
    try:
        settings = place.settings(made, LAYER)
        (cluster,) = settings["job_clusters"]
        assert cluster["job_cluster_key"] == "cluster"
        assert cluster["new_cluster"]["node_type_id"] == "i3.xlarge"
        assert cluster["new_cluster"]["num_workers"] == 2
        assert "environments" not in settings
        for task in settings["tasks"]:
            assert task["job_cluster_key"] == "cluster"
            assert task["libraries"] == [{"whl": made.wheel}]
            assert "environment_key" not in task
        run = place.run(made, LAYER)
        assert states(run) == dict.fromkeys([*ROWS, "run_summary"], LOADED)
        assert {row["wheel_version"] for row in place.project.rows("run_log", schema="metadata")} == {_version(made)}
    finally:
        destroy(place.client, made)
        place.project.change("bundle/settings.yml", "compute: cluster", "compute: serverless")
        place.project.write_rows(ROWS)


def _version(made: Deployment) -> str:
    return made.wheel.rpartition("/laketasks-")[2].removesuffix("-py3-none-any.whl")


def test_a_split_layer_runs_its_children_by_the_ids_that_they_got(place: Place) -> None:
    """As above 1,000 tables, with jobs of five tasks: the sizes are all that is small here."""
    more = {name: {**ROWS["item"], "dst_table_name": name} for name in ("item_two", "item_three", "item_four")}
    place.project.write_rows({**ROWS, **more})
    folder = place.project.folder
    options = Options(settings=folder / "bundle" / "settings.yml", source=None, out=folder / "resources")
    built, problems = build(options, JobSize(job=5, child=3))
    assert built is not None, problems
    publish(options.out, built.texts, built.stale)
    children = sorted(name.removesuffix(".job.yml") for name in built.texts if "__" in name)
    assert children == [f"{LAYER}__order_1_1", f"{LAYER}__order_1_2", f"{LAYER}__order_2_1"]
    made = deploy(place.client, folder, "dev")
    try:
        tasks = {task["task_key"]: task for task in place.settings(made, LAYER)["tasks"]}
        runs = {task["run_job_task"]["job_id"] for task in tasks.values() if "run_job_task" in task}
        assert runs == {made.jobs[child] for child in children}
        assert {row["dst_table_name"] for row in (*ROWS.values(), *more.values())} == {
            task["task_key"] for child in children for task in place.settings(made, child)["tasks"]
        }
        run = place.run(made, LAYER)
        assert set(states(run).values()) == {LOADED}, states(run)
        assert "all 6 tables loaded" in place.output(run, "run_summary")
        assert len(place.project.rows("item_four")) == 2
        loaded = {row["_job_run_id"] for row in place.project.rows("item_four")}
        assert loaded == {str(run.run_id)}  # the parent's: one run over all its jobs
    finally:
        destroy(place.client, made)
        place.project.write_rows(ROWS)


def test_a_project_from_the_template_is_deployed_to_dev_and_prod_and_runs(place: Place, tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers(project_name="shop", notification_address="team@example.com"))
    for file in (project / "tests" / "tables").glob("*/*/*.csv"):
        table = place.there.lake / file.relative_to(project / "tests" / "tables").with_suffix("")
        deltalake.write_deltalake(str(table), csv.read_csv(file))
    command = [sys.executable, "-m", "generator", "generate"]
    subprocess.run(command, cwd=project, check=True, capture_output=True)
    dev = deploy(place.client, project, "dev")
    named = {"service_principal": "0000-1111", "bronze_catalog": "samples", "silver_catalog": "silver"}
    prod = deploy(place.client, project, "prod", named)
    try:
        assert sorted(dev.jobs) == sorted(prod.jobs) == ["adopt", "bootstrap", "bronze_to_silver"]
        assert not {*dev.jobs.values()} & {*prod.jobs.values()}
        for made, catalog in ((dev, answers()["silver_catalog"]), (prod, "silver")):
            assert set(states(place.run(made, "bronze_to_silver")).values()) == {LOADED}
            rows = read_table(place.there.lake / catalog / "tpch" / "customers_by_nation").to_pylist()
            found = {(row["nation"], row["customers"]) for row in rows}
            assert found == {("FRANCE", 1), ("GERMANY", 2)}
        told = place.settings(prod, "bronze_to_silver")["email_notifications"]["on_failure"]
        assert told == ["team@example.com"]
        assert place.settings(dev, "bronze_to_silver")["name"] == "[dev ana] bronze_to_silver"
    finally:
        destroy(place.client, dev)
        destroy(place.client, prod)


def test_nothing_that_was_deployed_or_run_holds_the_token(place: Place) -> None:
    """Wheels, job settings, tables, records and logs, with the folder that they were made from."""
    assert [*place.there.lake.glob("runs/*/run.json")]
    folder = place.there.folder.parent
    assert [*folder.rglob("*.whl")]
    assert found_below(folder, [TOKEN]) == []


def test_the_adopt_job_takes_over_the_tables_of_a_deployed_job(place: Place, tmp_path: Path) -> None:
    """The task as the service would start it: the id of the job is filled in, the loads are asked of the workspace."""
    file = place.project.folder / "resources" / "adopt.job.yml"
    shutil.copy(ROOT / "resources" / "adopt.job.yml", file)
    lake = place.there.lake
    deltalake.write_deltalake(str(lake / "dev_bronze" / "b" / "town"), pa.table({"id": [1], "name": ["Ulm"]}))
    deltalake.write_deltalake(str(lake / "dev_silver" / "s" / "town"), pa.table({"id": [1], "name": ["Ulm"]}))
    place.project.write_rows({**ROWS, "town": row("town", 1, "scd1", layer=LAYER, business_key_columns=["id"])})
    made = deploy(place.client, place.project.folder, "dev")
    try:
        (task,) = place.settings(made, "adopt")["tasks"]
        given = task["python_wheel_task"]["named_parameters"]
        assert {name: str(value) for name, value in given.items()} == {"jobs": str(made.jobs[LAYER])}
        with ENGINES["sail"](["dev_bronze", "dev_silver"], lake, tmp_path / "sail.log") as engine:
            asked = ["adopt", f"--jobs={given['jobs']}", "--only=", "--dry_run=false"]
            (tmp_path / "task.py").write_text(_TASK, encoding="utf-8")
            task = [sys.executable, str(tmp_path / "task.py"), engine.remote, str(lake), json.dumps(asked)]
            environment = {**os.environ, "SPARK_REMOTE": engine.remote, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
            done = subprocess.run(task, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert "4 tables: 1 to adopt (1 rows), 3 with nothing to do, 0 unfit" in done.stdout
        (adopted,) = place.project.rows("town")
        assert (adopted["name"], adopted["_job_run_id"]) == ("Ulm", "adopted")
    finally:
        destroy(place.client, made)
        file.unlink()
        place.project.write_rows(ROWS)


def test_the_loads_of_a_job_of_many_tasks_and_of_its_child_are_found(place: Place) -> None:
    def load(key: str) -> dict[str, Any]:
        wheel = {"package_name": "laketasks", "entry_point": "load", "named_parameters": {"task_key": key}}
        return {"task_key": key, "python_wheel_task": wheel}

    def create(*tasks: dict[str, Any]) -> int:
        body = {"name": "many", "tasks": list(tasks)}
        answer: Any = place.client.api_client.do("POST", "/api/2.2/jobs/create", body=body)
        return int(answer["job_id"])

    below = create(load("below"))
    many = create(*(load(f"t{n}") for n in range(250)), {"task_key": "child", "run_job_task": {"job_id": below}})
    try:
        found = loads_of_jobs([str(many)])
        assert list(found) == [*(f"t{n}" for n in range(250)), "below"]
        assert list(loads_of_jobs([str(many)], "t7,below")) == ["t7", "below"]
        with pytest.raises(SpecError, match="there is no load belwo; did you mean below"):
            loads_of_jobs([str(many)], "belwo")
        with pytest.raises(LoadError, match="job 77 cannot be read"):
            loads_of_jobs(["77"])
    finally:
        for job in (below, many):
            place.client.jobs.delete(job)
