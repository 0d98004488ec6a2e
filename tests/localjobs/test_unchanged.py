"""What a repair need not load again: all that can have changed, case by case, without an engine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from localjobs.job import NotebookTask, Task, WheelTask
from localjobs.unchanged import is_unchanged, read_tables

TARGET, SOURCE, OTHER = ("dev_silver", "s", "fact"), ("dev_bronze", "b", "Orders"), ("dev_silver", "s", "dim")
START, END = 10_000, 20_000
SQL = "SELECT * FROM {bronze_catalog}.b.orders JOIN {silver_catalog}.s.DIM USING (id)"


def commit(workspace: Path, name: tuple[str, str, str], moment: int, version: int = 0) -> None:
    """A commit of the table in milliseconds."""
    log = workspace.joinpath(*name, "_delta_log")
    log.mkdir(parents=True, exist_ok=True)
    file = log / f"{version:020}.json"
    file.touch()
    os.utime(file, ns=(moment * 1_000_000, moment * 1_000_000))
    (log / f"{version + 5:020}.checkpoint.0.json").touch()  # which is no commit


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The tables as the load left them."""
    for name, moment in ((SOURCE, 5_000), (OTHER, 6_000), (TARGET, 19_000)):
        commit(tmp_path, name, moment)
    sql = tmp_path / "fact.sql"
    sql.write_text(SQL)
    os.utime(sql, ns=(1_000_000_000, 1_000_000_000))
    return tmp_path


def load(**parameters: str) -> Task:
    named = {"source_table": "dev_bronze.b.`orders`", "target_table": "dev_silver.s.fact", "attempt": "2"}
    body = WheelTask(package_name="laketasks", entry_point="load", named_parameters={**named, **parameters})
    return Task(task_key="fact", body=body)


def by_sql(workspace: Path) -> Task:
    return load(source_table="", sql_file_path=str(workspace / "fact.sql"))


def unchanged(workspace: Path, task: Task, had: Task | None = None, failed: Any = ()) -> bool:
    body = (had or task).body
    assert isinstance(body, WheelTask)
    parameters = {**body.named_parameters, "attempt": "1"}
    before = {"start_time": START, "end_time": END, "python_wheel_task": {"named_parameters": parameters}}
    return is_unchanged(task, before, read_tables(workspace), failed)


@pytest.mark.parametrize("of", [lambda _: load(), by_sql], ids=["table", "sql"])
@pytest.mark.parametrize(
    ("name", "moment", "stays"),
    [
        (SOURCE, 9_999, True),
        (SOURCE, 10_000, False),  # perhaps after it was read
        (SOURCE, 30_000, False),
        (TARGET, 20_000, True),
        (TARGET, 20_001, False),  # by another
        (("dev_silver", "s", "other"), 30_000, True),
    ],
)
def test_a_load_stays_while_its_tables_do(workspace: Path, of: Any, name: Any, moment: int, stays: bool) -> None:
    assert unchanged(workspace, of(workspace))
    commit(workspace, name, moment, version=1)
    assert unchanged(workspace, of(workspace)) is stays


def test_any_table_that_the_sql_names_counts(workspace: Path) -> None:
    assert not unchanged(workspace, by_sql(workspace), failed=[OTHER])
    assert unchanged(workspace, load(), failed=[OTHER])
    assert not unchanged(
        workspace, load(cdc_source_config='{"where": "id IN (SELECT id FROM c.s.dim)"}'), failed=[OTHER]
    )
    commit(workspace, OTHER, 30_000, version=1)
    assert not unchanged(workspace, by_sql(workspace))
    assert unchanged(workspace, load())


@pytest.mark.parametrize("parameters", [{"load_type": "full"}, {"cdc_source_config": "{}"}])
def test_another_row_is_another_load(workspace: Path, parameters: dict[str, str]) -> None:
    assert not unchanged(workspace, load(**parameters), had=load())


@pytest.mark.parametrize(
    "sql",
    ["SELECT * FROM delta.`/x/y`", "SELECT * FROM read_files('/x')", "SELECT * FROM IDENTIFIER('a' || '.b')", SQL],
)
def test_sql_that_is_new_or_does_not_say_what_it_reads(workspace: Path, sql: str) -> None:
    (workspace / "fact.sql").write_text(sql)
    if sql != SQL:  # else it is the same text, saved later
        os.utime(workspace / "fact.sql", ns=(0, 0))
    assert not unchanged(workspace, by_sql(workspace))


def test_what_is_not_known_runs(workspace: Path) -> None:
    assert not unchanged(workspace, load(source_table="dev_bronze.b.elsewhere"))
    assert not unchanged(workspace, load(source_table="orders"))
    assert not unchanged(workspace, load(target_table="dev_silver.s.none"))
    (workspace / "fact.sql").unlink()
    assert not unchanged(workspace, by_sql(workspace))
    notebook = Task(task_key="fact", body=NotebookTask(notebook_path="x"))
    assert not unchanged(workspace, notebook, had=load())
    other = Task(task_key="fact", body=WheelTask(package_name="other", entry_point="load"))
    assert not unchanged(workspace, other, had=load())
