"""Whole folders: rows and settings in, job files out. `UPDATE_GOLDENS=1 pytest tests/generator` rewrites them."""

import json
import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from databricks.sdk.service.jobs import JobSettings
from pytest_databricks_lakeflow.settings.lint import lint

from generator.build import Build, Options, build
from generator.document import Bundle, load_spec
from generator.jobs_api import load_types, task_types
from generator.load_inputs import load_inputs
from generator.plan import Load
from generator.problem import errors
from generator.render import publish
from generator.split import SIZE, JobSize
from laketasks.spec import LoadSpec, RunContext, SummarySpec
from tests.generator.rows import GOLDENS

ROOT = Path(__file__).parent.parent.parent
CASES = sorted(path.name for path in GOLDENS.iterdir())
SIZES = {"split": JobSize(job=6, child=3)}  # a file that a person can read in place of one of 1,000 tasks
PROJECTS = [GOLDENS / case for case in CASES] + [ROOT]


def _build(project: Path) -> Build:
    options = Options(settings=project / "bundle" / "settings.yml", source=None, out=project / "resources")
    built, problems = build(options, SIZES.get(project.name, SIZE))
    assert built is not None, problems
    assert not errors(problems)
    return built


@pytest.mark.parametrize("case", CASES)
def test_what_the_rows_make(case: str) -> None:
    built = _build(GOLDENS / case)
    out = GOLDENS / case / "resources"
    if os.environ.get("UPDATE_GOLDENS"):
        publish(out, built.texts, built.stale)
    assert {path.name: path.read_text(encoding="utf-8") for path in out.iterdir()} == dict(built.texts)


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_every_task_reads_back_the_row_that_it_was_made_from(project: Path) -> None:
    built = _build(project)
    bundle = Bundle(sql_folder="bundle/", wheel="../dist/*.whl")
    inputs = load_inputs(built.entries, built.context)
    for document in built.documents:
        fields = {task["task_key"]: task for task in document.job["tasks"]}
        for task in document.plan.tasks:
            if not isinstance(task.action, Load) or not task.action.entry.built_in:
                continue
            parameters = dict(fields[task.task_key]["python_wheel_task"]["named_parameters"])
            assert LoadSpec.from_parameters(parameters) == load_spec(
                task.action.entry, built.context.settings.settings, bundle, inputs[task.action.entry.source.number]
            )
            context = RunContext.from_parameters(
                {**parameters, "attempt": "1", "job_start_time": "2024-05-01T00:00:00Z"}
            )
            assert context.task_key == task.task_key
            assert set(context.catalogs) == set(built.context.settings.settings.catalogs.values())
        if document.plan.part:
            continue
        summary = SummarySpec.from_parameters(fields["run_summary"]["python_wheel_task"]["named_parameters"])
        assert summary.tables == len(document.plan.loads)


@cache
def _bundle_schema() -> jsonschema.Draft202012Validator:
    text = _schema_text()
    if not text:
        remedy = "install the Databricks CLI, or name what `databricks bundle schema` wrote in LAKETASKS_BUNDLE_SCHEMA"
        pytest.skip(f"no bundle schema: {remedy}")
    # Python's regular expressions have no \p{L}.
    text = text.replace(r"[\\p{L}\\p{N}]", r"[^\\W_]").replace(r"\\p{L}", r"[^\\W\\d_]")
    return jsonschema.Draft202012Validator(json.loads(text))


def _schema_text() -> str:
    path = os.environ.get("LAKETASKS_BUNDLE_SCHEMA")
    if path:
        return Path(path).read_text(encoding="utf-8")
    if not shutil.which("databricks"):
        return ""
    run = subprocess.run(["databricks", "bundle", "schema"], capture_output=True, check=False, text=True)
    return run.stdout if run.returncode == 0 else ""


def _deployed(text: str) -> str:
    """The file with the values that a deployment gives to references of other types than strings."""
    text = text.replace("${var.notification_addresses}", "[team@example.com]")
    text = text.replace("${var.cluster}", "{num_workers: 2, spark_version: 16.4.x-scala2.12}")
    return re.sub(r"\$\{resources\.\w+\.\w+\.id\}", "1", text)


JOB_FILES = [*sorted((ROOT / "resources").glob("*.job.yml")), *sorted(GOLDENS.glob("*/resources/*.yml"))]


@pytest.mark.parametrize("file", JOB_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_sdk_reads_the_job_whole_and_finds_no_mistake(file: Path) -> None:
    """No field is lost on the way through the SDK's types; `lint` looks for what `bundle validate` lets pass."""
    for job in yaml.safe_load(_deployed(file.read_text(encoding="utf-8")))["resources"]["jobs"].values():
        settings = JobSettings.from_dict(job)
        assert settings.as_dict() == job
        assert lint(settings) == []


@pytest.mark.parametrize("project", PROJECTS, ids=lambda path: path.name)
def test_the_edges_of_the_file_are_those_of_the_plan(project: Path) -> None:
    for document in _build(project).documents:
        text = (project / "resources" / f"{document.plan.key}.job.yml").read_text(encoding="utf-8")
        job = yaml.safe_load(text)["resources"]["jobs"][document.plan.key]
        written = {
            task["task_key"]: [(d["task_key"], d.get("outcome", "")) for d in task.get("depends_on", [])]
            for task in job["tasks"]
        }
        planned = {task.task_key: [(d.task_key, d.outcome) for d in task.waits.on] for task in document.plan.tasks}
        assert written == planned
        assert [task.get("run_if", "") for task in job["tasks"]] == [
            task.run_if if task.waits.on else "" for task in document.plan.tasks
        ]


def test_there_is_a_golden_with_every_type_of_task() -> None:
    """But those that Databricks keeps in preview for a few, or has given another name."""
    text = (GOLDENS / "task_types" / "bundle" / "settings.yml").read_text(encoding="utf-8")
    found = {field for runner in yaml.safe_load(text)["runners"].values() for field in runner if field[-5:] == "_task"}
    preview = {"ai_runtime_task", "dbt_cloud_task", "gen_ai_compute_task", "python_operator_task"}
    assert set(task_types(load_types())) - found == preview


BUNDLE_FILES = [ROOT / "databricks.yml", ROOT / "resources/run_log.dashboard.yml", *JOB_FILES]


@pytest.mark.parametrize("file", BUNDLE_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_bundle_schema_takes_the_file(file: Path) -> None:
    _bundle_schema().validate(yaml.safe_load(file.read_text(encoding="utf-8")))


def test_the_other_compute_is_one_word(tmp_path: Path) -> None:
    """The settings of the repository choose serverless; a job cluster instead is a bundle as right as that."""
    shutil.copytree(ROOT / "bundle", tmp_path / "bundle")
    shutil.copy(ROOT / "databricks.yml", tmp_path)
    settings = tmp_path / "bundle" / "settings.yml"
    text = settings.read_text(encoding="utf-8")
    assert text.count("compute: serverless") == 1
    settings.write_text(text.replace("compute: serverless", "compute: cluster"), encoding="utf-8")
    publish(tmp_path / "resources", _build(tmp_path).texts, ())
    (file,) = (tmp_path / "resources").iterdir()
    made = yaml.safe_load(file.read_text(encoding="utf-8"))
    _bundle_schema().validate(made)
    job = yaml.safe_load(_deployed(file.read_text(encoding="utf-8")))["resources"]["jobs"]["bronze_to_silver"]
    assert lint(JobSettings.from_dict(job)) == []
    assert "environments" not in job
    assert {task["job_cluster_key"] for task in job["tasks"]} == {"cluster"}
    assert all(task["libraries"] == [{"whl": "../dist/*.whl"}] for task in job["tasks"])


def test_the_committed_job_files_are_what_the_rows_make() -> None:
    built = _build(ROOT)
    for name, text in built.texts.items():
        assert (ROOT / "resources" / name).read_text(encoding="utf-8") == text, "run `python -m generator generate`"


def test_a_shared_list_stands_once_in_the_text() -> None:
    text = (GOLDENS / "barrier" / "resources" / "bronze_to_silver.job.yml").read_text(encoding="utf-8")
    assert text.count("&after_order_10") == 1
    assert text.count("*after_order_10") == 1
