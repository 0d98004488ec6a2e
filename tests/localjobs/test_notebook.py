"""Notebooks exported as .py and Python files: their cells, and both run for real on Sail as tasks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localjobs.delta_tables import delta_imports
from localjobs.job import EachTask, NotebookTask, PythonTask, Task
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


HEAD = "# Databricks notebook source\n"
CELL = "\n# COMMAND ----------\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (HEAD + "from delta.tables import DeltaTable", ("delta.tables", 2)),
        (HEAD + "import os, delta", ("delta", 2)),
        (HEAD + "a = 1" + CELL + "\ndef load():\n    import delta.tables as d\n", ("delta.tables", 6)),
        (HEAD + "# MAGIC %python\n# MAGIC from delta import *", ("delta", 3)),
        (HEAD + "try:\n    import os\nfinally:\n    import delta", ("delta", 5)),
        (HEAD + "try:\n    import delta\nexcept ImportError:\n    delta = None", None),
        (HEAD + "import deltalake, delta_sharing\nfrom .delta import x", None),
        (HEAD + "# from delta.tables import DeltaTable\nprint('import delta')", None),
        (HEAD + "# MAGIC %sql\n# MAGIC SELECT 'import delta'", None),
    ],
)
def test_a_notebook_that_needs_delta_tables_is_known(tmp_path: Path, text: str, found: tuple[str, int] | None) -> None:
    path = tmp_path / "nb.py"
    path.write_text(text)
    said = delta_imports([Task(task_key="nb", body=NotebookTask(notebook_path=str(path)))])
    expected = [f"task nb: {path}:{found[1]} imports {found[0]}: no engine here has it."] if found else []
    assert [problem[: len(expected[0])] if expected else problem for problem in said] == expected


def test_a_python_file_and_what_is_repeated_are_looked_at_and_a_module_of_ones_own_is_let_be(tmp_path: Path) -> None:
    path = tmp_path / "load.py"
    path.write_text("import delta.tables\n")
    own = Task(task_key="file", body=PythonTask(python_file=str(path)))
    each = Task(task_key="each", body=EachTask(inputs="[]", task=own))
    assert [problem.split(" imports ")[0] for problem in delta_imports([own, each])] == [
        f"task file: {path}:1",
        f"task each: {path}:1",
    ]
    (tmp_path / "delta").mkdir()
    assert delta_imports([own]) == []


def test_a_job_with_such_a_notebook_is_refused_before_anything_runs(local: Local) -> None:
    (local.folder / "nb.py").write_text(HEAD + "from delta.tables import DeltaTable\n")
    local.write(_notebook("nb", "nb.py"), {**_notebook("other", "nb.py"), "depends_on": [{"task_key": "nb"}]})
    done = local.run()
    assert done.returncode == 1
    assert [line.split(" imports ")[0] for line in done.stderr.splitlines()] == [
        f"task {key}: {local.folder}/nb.py:2" for key in ("nb", "other")
    ]
    assert not local.workspace.exists()


def test_the_statement_that_the_docs_put_in_its_place_runs_here(local: Local) -> None:
    page = (Path(__file__).parents[2] / "docs/migrate.md").read_text(encoding="utf-8")
    view, merge = (
        line.strip() for line in page.splitlines() if line.startswith(("    rows.create", "    spark.sql(f"))
    )
    code = [
        "spark.sql('CREATE TABLE dev_silver.shop.t USING delta AS SELECT 1 AS id, 2 AS n')",
        "target = 'dev_silver.shop.t'",
        "rows = spark.sql('SELECT * FROM VALUES (1, 5), (3, 4) AS v(id, n)')",
        view,
        merge,
        "print(sorted(tuple(row) for row in spark.table(target).collect()))",
    ]
    (local.folder / "nb.py").write_text(HEAD + "\n".join(code))
    make = {
        "package_name": "laketasks",
        "entry_point": "bootstrap",
        "named_parameters": {"run_log": "dev_silver.shop.l"},
    }
    first = {"task_key": "make", "python_wheel_task": make}
    local.write(first, {**_notebook("nb", "nb.py"), "depends_on": [{"task_key": "make"}]})
    done = local.run()
    assert done.returncode == 0, done.stdout + done.stderr + local.log("nb")
    assert "[(1, 5), (3, 4)]" in local.log("nb")
