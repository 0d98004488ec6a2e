"""A project from the template generates, tests and is a right bundle, whatever was answered."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings
from pytest_databricks_lakeflow.settings.lint import lint

from tests.generator.test_goldens import _bundle_schema, _deployed
from tests.template.instantiate import SCHEMA, TEMPLATE, answers, fill, instantiate
from tests.template.links import PROJECT, ROOT, links, taken

QUESTIONS = json.loads(SCHEMA.read_text(encoding="utf-8"))["properties"]
ANSWERS = [
    answers(compute=compute, schedule=schedule, silver_catalog=silver, notification_address=address)
    for (compute, schedule), (silver, address) in zip(
        product(QUESTIONS["compute"]["enum"], QUESTIONS["schedule"]["enum"]),
        [("dev_silver", ""), ("dev_bronze", "team@example.com")] * 3,
        strict=True,
    )
]


def called(given: dict[str, str]) -> str:
    return "-".join([given["compute"], given["schedule"], given["silver_catalog"]])


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """The command in the project, which finds its own tools first."""
    environment = {**os.environ, "PYTHONPATH": str(project / "src")}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def test_the_links_are_those_that_the_rooms_need() -> None:
    assert links() == {name: name for name in taken()}, "run `make template`"


@pytest.mark.parametrize("given", ANSWERS, ids=called)
def test_whatever_is_answered_it_generates_a_right_bundle(given: dict[str, str], tmp_path: Path) -> None:
    project = instantiate(tmp_path, given)
    made = run(project, "generator", "generate")
    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == "resources/bronze_to_silver.job.yml: 3 tables in 2 orders, 3 edges\n"
    for file in [project / "databricks.yml", *sorted((project / "resources").iterdir())]:
        _bundle_schema().validate(read(file))
    jobs = [
        job
        for file in sorted((project / "resources").iterdir())
        for job in yaml.safe_load(_deployed(file.read_text(encoding="utf-8")))["resources"]["jobs"].values()
    ]
    assert [job["name"] for job in jobs] == ["adopt", "bootstrap", "bronze_to_silver"]
    assert [lint(JobSettings.from_dict(job)) for job in jobs] == [[], [], []]
    on = "environments" if given["compute"] == "serverless" else "job_clusters"
    assert all(("environments" in job, "job_clusters" in job) == (on == "environments", on != "environments") for job in jobs)  # fmt: skip
    starts = [field for field in ("schedule", "trigger") if field in jobs[2]]
    assert starts == {"nightly": ["schedule"], "on update": ["trigger"], "by hand": []}[given["schedule"]]
    told = read(project / "databricks.yml")["targets"]["prod"]["variables"]["notification_addresses"]
    assert told == [address for address in [given["notification_address"]] if address]


def test_its_own_tests_pass_on_the_local_engine(tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers(project_name="shop", silver_catalog="curated"))
    assert run(project, "generator", "generate").returncode == 0
    assert run(project, "generator", "check").returncode == 0
    tested = run(project, "pytest", "-p", "no:cacheprovider")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout or ".." in tested.stdout


def test_its_own_tests_fail_when_a_table_comes_out_otherwise(tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers())
    assert run(project, "generator", "generate").returncode == 0
    nations = project / "tests/tables/samples/tpch/nation.csv"
    nations.write_text(nations.read_text(encoding="utf-8").replace("FRANCE", "SPAIN"), encoding="utf-8")
    tested = run(project, "pytest", "-p", "no:cacheprovider", "-k", "what_comes_out")
    assert tested.returncode == 1, tested.stdout
    assert "SPAIN" in tested.stdout


def test_it_builds_the_wheel_that_its_tasks_name(tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers())
    build = read(project / "databricks.yml")["artifacts"]["default"]["build"].replace("python3", sys.executable, 1)
    subprocess.run(build, shell=True, cwd=project, check=True, capture_output=True)
    (wheel,) = (project / "dist").glob("*.whl")
    assert wheel.name.startswith("laketasks-")
    assert run(project, "generator", "generate").returncode == 0
    environment = read(project / "resources/bronze_to_silver.job.yml")["resources"]["jobs"]["bronze_to_silver"][
        "environments"
    ]
    assert environment[0]["spec"]["dependencies"] == ["../dist/*.whl"]


def test_its_bundle_is_that_of_this_repository_but_for_the_answers(tmp_path: Path) -> None:
    own, project = read(ROOT / "databricks.yml"), read(instantiate(tmp_path, answers()) / "databricks.yml")
    for bundle in (own, project):
        bundle["variables"].pop("warehouse_id")  # here it is looked up by name, for the dashboard of the run log
    for part in ("include", "variables", "artifacts"):
        assert project[part] == own[part]
    assert project["sync"]["include"] == own["sync"]["include"]
    assert set(project["sync"]["exclude"]) < set(own["sync"]["exclude"])
    for target in ("dev", "local"):
        assert project["targets"][target] == own["targets"][target]
    catalogs = ("bronze_catalog", "silver_catalog")
    assert not set(catalogs) & set(project["targets"]["prod"].pop("variables"))
    assert sorted(own["targets"]["prod"].pop("variables")) == [*catalogs]
    assert project["targets"]["prod"] == own["targets"]["prod"]


def test_what_the_readme_of_a_project_tells_to_make_is_there(tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers())
    makefile = "".join((project / name).read_text(encoding="utf-8") for name in ("Makefile", "project.mk"))
    workflows = sorted((project / ".github" / "workflows").iterdir())
    texts = [path.read_text(encoding="utf-8") for path in [project / "README.md", *workflows]]
    targets = {target for text in texts for line in re.findall(r"make ((?:[\w.-]+ ?)+)", text) for target in line.split()}
    for target in targets & {"generate", "test", "check"} | {name for name in targets if name.startswith(".venv")}:
        pattern = r"^\.venv/%\.stamp:" if target.startswith(".venv") else rf"^{target}:"
        assert re.search(pattern, makefile, re.MULTILINE), target
    if shutil.which("make"):
        listed = subprocess.run(["make", "help"], cwd=project, check=True, capture_output=True, text=True).stdout
        assert {"generate", "check", "test"} <= {line.split()[1] for line in listed.splitlines()}


def test_what_its_workflows_run_is_there(tmp_path: Path) -> None:
    project = instantiate(tmp_path, answers())
    workflows = sorted((project / ".github" / "workflows").iterdir())
    assert [path.stem for path in workflows] == ["check", "deploy", "metadata"]
    named = {name for path in workflows for name in re.findall(r"run: (\.ci/\w+)", path.read_text(encoding="utf-8"))}
    assert named == {".ci/comment", ".ci/propose", ".ci/run", ".ci/smoke", ".ci/tested"}
    for name in named:
        assert os.access(project / name, os.X_OK), name
        assert subprocess.run(["bash", "-n", project / name], check=False).returncode == 0
    assert (project / ".ci/run").read_text(encoding="utf-8").endswith("\nmake test\n")  # which its Makefile has
    assert run(project, "generator", "generate").returncode == 0
    assert "task_key: run_summary\n" in (project / "resources/bronze_to_silver.job.yml").read_text(encoding="utf-8")


HOSTILE = ["", "a b", "a: b", "a'", 'a"', "a\nb", "${var.x}", "{{.x}}", "$(id)", "`id`", "a;b", "../a", "a#b", "[a", "-a"]


@pytest.mark.parametrize("name", [name for name, question in QUESTIONS.items() if "pattern" in question])
def test_no_answer_can_be_more_than_a_name_or_an_address(name: str) -> None:
    pattern = re.compile(QUESTIONS[name]["pattern"].removesuffix("$") + r"\Z")  # as Go reads $
    assert pattern.match(QUESTIONS[name]["default"])
    allowed = {""} if name == "notification_address" else set()
    assert {text for text in HOSTILE if pattern.match(text)} == allowed


def test_every_question_is_asked_in_order_and_used() -> None:
    assert [question["order"] for question in QUESTIONS.values()] == list(range(1, len(QUESTIONS) + 1))
    texts = [path.read_text(encoding="utf-8") for path in PROJECT.rglob("*.tmpl")] + [p.name for p in TEMPLATE.iterdir()]
    used = {name for text in texts for name in re.findall(r"\{\{-?[^}]*?\.(\w+)", text)}
    assert used == set(QUESTIONS)


def test_a_construct_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="range"):
        fill("{{range .x}}{{end}}", {"x": "1"})
