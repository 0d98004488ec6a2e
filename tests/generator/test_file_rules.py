"""The files that runners name are there, and of their kind: `check` fails and `generate` warns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from generator.cli import main
from tests.generator.rows import project, row

REMEDY = "paths are relative to the job file, in resources/: add the file, or correct the path"
NOTEBOOK = "# Databricks notebook source\nprint(1)\n"
FILES = {
    "nb/load.py": NOTEBOOK,
    "nb/load.sql": "-- Databricks notebook source\nSELECT 1\n",
    "nb/other.ipynb": "{}",
    "nb/plain.py": "print(1)\n",
    "views/dim_customer.sql": "SELECT 1",
    "dbt/dbt_project.yml": "",
}
RIGHT: list[dict[str, Any]] = [
    {"notebook_task": {"notebook_path": "../nb/load.py"}},
    {"notebook_task": {"notebook_path": "../nb/load.sql", "warehouse_id": "a"}},
    {"notebook_task": {"notebook_path": "../nb/other.ipynb"}},
    {"notebook_task": {"notebook_path": "${workspace.file_path}/nb/load.py"}},
    {"notebook_task": {"notebook_path": "/Workspace/Shared/load"}},
    {"notebook_task": {"notebook_path": "nb/load", "source": "GIT"}},
    {"notebook_task": {"notebook_path": "${var.folder}/load.py"}},
    {"spark_python_task": {"python_file": "../nb/plain.py"}},
    {"spark_python_task": {"python_file": "dbfs:/a/b.py"}},
    {"sql_task": {"warehouse_id": "a", "file": {"path": "../views/{dst_table_name}.sql"}}},
    {"dbt_task": {"commands": ["dbt run"], "project_directory": "../dbt"}, "existing_cluster_id": "a"},
]


def loop(body: dict[str, Any]) -> dict[str, Any]:
    return {"for_each_task": {"inputs": "[1]", "task": {"task_key": "each", **body}}}


WRONG: list[tuple[dict[str, Any], str]] = [
    (
        {"notebook_task": {"notebook_path": "../nb/laod.py"}},
        f"notebook_path '../nb/laod.py': no such file; did you mean ../nb/load.py? Else {REMEDY}",
    ),
    (
        {"notebook_task": {"notebook_path": "../nb/load"}},
        f"notebook_path '../nb/load': no such file; did you mean ../nb/load.py? Else {REMEDY}",
    ),
    ({"notebook_task": {"notebook_path": "nb/none"}}, f"notebook_path 'nb/none': no such file; {REMEDY}"),
    (
        {"notebook_task": {"notebook_path": "${workspace.file_path}/nb/zzz.py"}},
        f"notebook_path '${{workspace.file_path}}/nb/zzz.py': no such file; {REMEDY}",
    ),
    (
        {"notebook_task": {"notebook_path": "../../out.py"}},
        "notebook_path '../../out.py' leads out of the bundle; a bundle deploys what is below databricks.yml",
    ),
    (
        {"notebook_task": {"notebook_path": "../nb/plain.py"}},
        (
            "notebook_path '../nb/plain.py' is not a notebook; begin it with the line `# Databricks notebook source`, "
            "or run it as spark_python_task: {python_file: ...}"
        ),
    ),
    ({"spark_python_task": {"python_file": "../nb/none.py"}}, f"python_file '../nb/none.py': no such file; {REMEDY}"),
    (
        {"spark_python_task": {"python_file": "../nb/load.py"}},
        "python_file '../nb/load.py' is a notebook; run it as notebook_task: {notebook_path: ...}",
    ),
    (
        {"sql_task": {"warehouse_id": "a", "file": {"path": "../sql/{dst_table_name}.sql"}}},
        f"path '../sql/dim_customer.sql': no such file; {REMEDY}",
    ),
    (
        {"dbt_task": {"commands": ["dbt run"], "project_directory": "../none"}, "existing_cluster_id": "a"},
        f"project_directory '../none': no such folder; {REMEDY.replace('the file,', 'the folder,')}",
    ),
    (
        {"notebook_task": {"notebook_path": f"../{'n' * 300}.py"}},
        "notebook_path '../nnn",
    ),
]
WRONG += [(loop(body), words) for body, words in WRONG[:1]]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)


@pytest.mark.parametrize("body", [*RIGHT, loop(RIGHT[0])], ids=str)
def test_files_that_are_there_or_elsewhere(tmp_path: Path, body: dict[str, Any]) -> None:
    project(tmp_path, [row(execution_pipeline="own")], runners={"own": body})
    assert main(["generate"]) == 0
    assert main(["check"]) == 0


@pytest.mark.parametrize(("body", "words"), WRONG, ids=lambda value: str(value)[:60])
def test_a_file_that_is_not_there(
    tmp_path: Path, body: dict[str, Any], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    second = row(execution_pipeline="own", dst_table_name="dim_b", is_active_flag=False)
    project(tmp_path, [row(execution_pipeline="own"), second], runners={"own": body})
    assert main(["generate"]) == 0
    place = "row 1 (dim_customer) execution_pipeline: runner own: "
    assert f"warning: {place}{words}" in capsys.readouterr().err
    assert main(["check"]) == 1
    assert f": {place}{words}" in capsys.readouterr().err


def test_a_file_that_many_rows_name_is_one_problem(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(execution_pipeline="own", dst_table_name=f"t{n}") for n in range(3)]
    project(tmp_path, rows, runners={"own": {"notebook_task": {"notebook_path": "../nb/none.py"}}})
    main(["generate"])
    capsys.readouterr()
    assert main(["check"]) == 1
    assert capsys.readouterr().err.count("no such file") == 1


def test_files_of_a_git_source_are_not_looked_for(tmp_path: Path) -> None:
    source = {"git_url": "a", "git_provider": "gitHub", "git_branch": "main"}
    body = {"notebook_task": {"notebook_path": "nb/none"}}
    layers = {"bronze_to_silver": {"job": {"git_source": source}}}
    project(tmp_path, [row(execution_pipeline="own")], runners={"own": body}, layers=layers)
    assert main(["generate"]) == 0
    assert main(["check"]) == 0
