"""Notebooks exported as .py and Python files: their cells, and both run for real on Sail as tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localjobs.notebook import Cell, NotebookError, cells
from tests.localjobs.test_run import _PACKAGE, Local

_NOTEBOOK = """\
# Databricks notebook source
# MAGIC %md
# MAGIC # A loader

# COMMAND ----------

dbutils.widgets.text("region", "nowhere")
dbutils.widgets.text("unset", "as the widget says")
print("region", dbutils.widgets.get("region"), dbutils.widgets.get("table"), dbutils.widgets.get("unset"))
rows = spark.sql("SELECT 40 + 2 AS answer")
display(rows)

# COMMAND ----------

# MAGIC %sql
# MAGIC SELECT 7 AS seven,
# MAGIC   8 AS eight

# COMMAND ----------

seen = _sqldf.collect()[0]
print("sum", seen.seven + seen.eight, rows.count())
dbutils.notebook.exit("early")

# COMMAND ----------

raise RuntimeError("never")
"""


@pytest.fixture
def local(tmp_path: Path) -> Iterator[Local]:
    (tmp_path / "little_wheel.py").write_text(_PACKAGE)
    own = Local(folder=tmp_path)
    yield own
    for process in own.started:
        process.kill()
        process.communicate()


def _notebook(key: str, path: str, **parameters: str) -> dict[str, Any]:
    return {"task_key": key, "notebook_task": {"notebook_path": path, "base_parameters": parameters}}


def test_notebooks_and_python_files_run_as_tasks(local: Local) -> None:
    (local.folder / "notebooks").mkdir()
    (local.folder / "notebooks" / "load.py").write_text(_NOTEBOOK)
    (local.folder / "notebooks" / "wrong.py").write_text("# Databricks notebook source\nx = 1\n\nboom()\n")
    (local.folder / "notebooks" / "files.py").write_text("# Databricks notebook source\ndbutils.fs.ls('/')\n")
    (local.folder / "beside.py").write_text("VALUE = 'from beside'\n")
    script = "import sys, beside\nprint(sys.argv[1:], __name__, beside.VALUE, spark.sql('SELECT 5 AS v').collect())\n"
    (local.folder / "script.py").write_text(script)
    file = {"python_file": "script.py", "parameters": ["{{job.run_id}}", "b"]}
    local.write(
        _notebook("load", "notebooks/load", region="of task", table="{{task.name}}"),
        _notebook("wrong", "notebooks/wrong.py"),
        _notebook("files", "notebooks/files"),
        {"task_key": "script", "spark_python_task": file},
        parameters=[{"name": "region", "default": "of job"}],
    )
    assert local.run().returncode == 1
    assert local.results() == {"load": "SUCCESS", "wrong": "FAILED", "files": "FAILED", "script": "SUCCESS"}
    log = local.log("load")
    assert "region of job load as the widget says" in log
    assert "|    42|" in log
    assert "sum 15 1" in log
    assert "the notebook ended with 'early'" in log
    assert 'notebooks/wrong.py", line 4' in local.log("wrong")
    assert local.messages()["wrong"] == "NameError: name 'boom' is not defined"
    assert local.messages()["files"] == "NotebookError: dbutils.fs does not work here"
    record = local.record()
    assert f"['{record['run_id']}', 'b'] __main__ from beside [Row(v=5)]" in local.log("script")
    tasks = {task["task_key"]: task for task in record["tasks"]}
    assert tasks["load"]["notebook_task"]["base_parameters"] == {"region": "of task", "table": "load"}
    assert tasks["script"]["spark_python_task"]["parameters"][1] == "b"
    assert tasks["script"]["output_path"] == "script.log"


def test_a_file_that_is_not_there_is_said_before_anything_runs(local: Local) -> None:
    git = {"task_key": "git", "spark_python_task": {"python_file": "x.py", "source": "GIT"}}
    local.write(git)
    assert "task git spark_python_task source: only files beside the job run here, found 'GIT'" in local.run().stderr
    local.write(_notebook("gone", "../nowhere/load"))
    done = local.run()
    assert done.returncode == 1
    assert f"task gone: there is no file {local.folder}/../nowhere/load" in done.stderr
    assert not local.workspace.exists()


def test_the_cells_of_a_notebook() -> None:
    found = cells(_NOTEBOOK)
    assert [cell.language for cell in found] == ["python", "sql", "python", "python"]
    for cell in (found[0], *found[2:]):
        lines = cell.text.splitlines()
        assert _NOTEBOOK.splitlines()[cell.line - 1 :][: len(lines)] == lines
    text = "# Databricks notebook source\n# MAGIC %python\n# MAGIC x = 1"
    assert cells(text) == [Cell(language="python", text="\nx = 1", line=2)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print(1)", "is no notebook exported as .py"),
        ("", "is no notebook exported as .py"),
        (
            "# Databricks notebook source\nx = 1\n# COMMAND ----------\n# MAGIC %sh ls",
            r"%sh \(line 4\) does not run here",
        ),
        ("# Databricks notebook source\n# MAGIC %run ./other", r"%run \(line 2\) does not run here"),
        ("# Databricks notebook source\n# MAGIC hello", "line 2: expected a magic such as %sql, found 'hello'"),
    ],
)
def test_what_does_not_run_is_named(text: str, said: str) -> None:
    with pytest.raises(NotebookError, match=said):
        cells(text)
