"""One nasty row for each loader, all the way: every text comes out at the end as it was, and nothing else happens."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import deltalake
import pytest

from tests.hostile.night import COLUMNS, DELETE, FILE, KEY, NESTED, SCHEMA, TEXT, Night
from tests.journeys.project import ROOT, Finished

if TYPE_CHECKING:
    from playwright.sync_api import Page

LOADED = ("dim_one", "dim_two", "fact_merge", "fact_over")
FAILED = ("doubled", "foreign", "raises")


def harmless(text: str) -> bool:
    """Whether a terminal shows it and does nothing."""
    return all(c.isprintable() or c in "\n\t" for c in text)


def command(module: str, *words: str, folder: Path = ROOT) -> Finished:
    done = subprocess.run(
        [sys.executable, "-m", module, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def test_the_job_file_holds_every_text_as_it_stands_in_the_rows(night: Night) -> None:
    assert night.generated.code == 0, night.generated.err
    job = night.job()
    assert set(job) == {"name", "max_concurrent_runs", "queue", "parameters", "environments", "tasks"}
    tasks = {task["task_key"]: task for task in job["tasks"]}
    assert set(tasks) == {*LOADED, *FAILED, "run_summary"}
    for key in LOADED:
        given = tasks[key]["python_wheel_task"]["named_parameters"]
        assert tasks[key]["description"] == given["comment"] == f"{TEXT}\n{TEXT}"
        assert given["src_system"] == TEXT
        assert given["target_table"] == f"${{var.silver_catalog}}.{SCHEMA}.{key}"
        assert TEXT in json.loads(given["cdc_source_config"])["expectations"]["expect"]


def test_loads_write_what_the_source_holds_and_no_other_table(night: Night) -> None:
    states = {task["task_key"]: task["state"]["result_state"] for task in night.record()["tasks"]}
    assert {key for key, state in states.items() if state != "SUCCESS"} == {*FAILED, "run_summary"}
    for key in LOADED:
        table = night.table(key)
        assert table.num_rows == 2
        assert {"id", "nested", *(name for name in COLUMNS if name != "a\\")} <= set(table.column_names)
        assert sorted(row[NESTED] for row in table["nested"].to_pylist()) == [1, 2]
        made = deltalake.DeltaTable(str(night.project.workspace / "dev_silver" / SCHEMA / key))
        assert made.metadata().description == f"{TEXT}\n{TEXT}"
    assert deltalake.DeltaTable(str(night.project.silver_folder / "canary")).version() == 0


def test_a_second_night_writes_nothing(night: Night) -> None:
    """The names are found again as they were written."""
    lines = {line.split()[0]: line.split() for line in night.second.out.splitlines() if line.startswith(LOADED)}
    assert {line[3] for line in lines.values()} == {"2"}
    for key in LOADED:
        loaded = {row["_job_run_id"] for row in night.table(key).to_pylist()}
        assert loaded == {str(min(int(folder.name) for folder in (night.project.workspace / "runs").iterdir()))}


def test_the_run_log_keeps_every_text(night: Night) -> None:
    log = deltalake.DeltaTable(str(night.project.workspace / "dev_silver" / "metadata" / "run_log"))
    rows = log.to_pyarrow_table().to_pylist()
    assert {row["src_system"] for row in rows} == {TEXT}
    assert {row["target"] for row in rows} == {f"dev_silver.{SCHEMA}.{key}" for key in (*LOADED, *FAILED)}


def test_no_process_was_started_by_a_text(night: Night) -> None:
    """Every command runs in the folder of this repository, and localjobs' processes in it too."""
    assert night.first.code == 1
    for folder in (ROOT, night.project.folder, night.run_folder, night.project.workspace):
        assert not (folder / FILE).exists()
    assert {path.suffix for path in night.run_folder.iterdir()} == {".json", ".log"}


def test_a_terminal_is_told_nothing_by_data(night: Night) -> None:
    """The error of `raises` is the source's own text, with what would clear the screen."""
    assert "\x1b" in (night.run_folder / "raises.log").read_text(encoding="utf-8")
    for said in (night.first, night.second, command("monitor", str(night.project.workspace))):
        assert "raises" in said.out
        assert harmless(said.out)
        assert harmless(said.err)


def test_the_page_shows_the_texts_and_runs_none(night: Night, opened_text: Callable[..., Page], tmp_path: Path) -> None:
    assert command("monitor", str(night.project.workspace), "--html", str(tmp_path / "[red]page.html")).code == 1
    text = (tmp_path / "[red]page.html").read_text(encoding="utf-8")
    tab = opened_text(text)
    tab.wait_for_selector("#cards .card")
    assert tab.evaluate("window.stolen") is None
    assert "<script>window.stolen=1</script>" in tab.locator("#cards").inner_text()
    assert text.count("<script") == 2


def test_the_trends_show_the_texts_and_run_none(night: Night, opened_text: Callable[..., Page], tmp_path: Path) -> None:
    assert command("monitor", "trends", str(night.project.workspace), "--html", str(tmp_path / "t.html")).code == 0
    tab = opened_text((tmp_path / "t.html").read_text(encoding="utf-8"))
    tab.wait_for_selector("text=dim_one")
    assert tab.evaluate("window.stolen") is None


@pytest.mark.parametrize(
    "words", [("explain", "dim_one"), ("graph",), ("check",), ("diff",), ("diff", "--format", "json")]
)
def test_what_the_generator_says_of_the_rows_is_harmless(night: Night, words: tuple[str, ...]) -> None:
    folder = night.project.folder
    options = ("--settings", str(folder / "bundle" / "settings.yml"), "--out", str(folder / "resources"))
    said = command("generator", words[0], *options, *words[1:])
    assert said.code == 0, said.err
    assert harmless(said.out + said.err)


def test_the_flowchart_holds_no_markup(night: Night) -> None:
    folder = night.project.folder
    said = command("generator", "graph", "--settings", str(folder / "bundle" / "settings.yml"))
    assert "dim_one (scd1)" in said.out
    assert not {"<", "`", "'"} & set(said.out.replace("-->", "").replace("-.->", "").replace("==>", ""))


def test_the_command_that_adopts_a_table_is_one_command(night: Night) -> None:
    """It is there to be copied into a shell; its names are the row's."""
    (said,) = re.findall(r"python -m laketasks (adopt .*?)\. In a workspace: ", night.first.out)
    command, *options = shlex.split(said)
    assert command == "adopt"
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert given["target_table"] == f"dev_silver.{SCHEMA}.foreign"
    assert json.loads(given["business_key_columns"]) == ["id"]
    assert json.loads(given["primary_key_columns"]) == [KEY]
    assert all(option.startswith("--") for option in options)


def test_durations_hold_no_formula(night: Night, tmp_path: Path) -> None:
    said = command("monitor", str(night.project.workspace), "--durations", str(tmp_path / "durations.csv"))
    assert said.code == 1
    cells = [cell for line in (tmp_path / "durations.csv").read_text().splitlines() for cell in line.split(",")]
    assert {"main", "dim_one"} <= set(cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


def test_the_canary_would_sing(night: Night) -> None:
    """The statement that the texts hold does remove the row, so that a row that is there means that it never ran."""
    project = night.project
    (project.folder / "delete.py").write_text(f'spark.sql("{DELETE}")\n', encoding="utf-8")
    body = {"python_file": str(project.folder / "delete.py")}
    job = {"resources": {"jobs": {"d": {"tasks": [{"task_key": "d", "spark_python_task": body}]}}}}
    (project.folder / "resources" / "zzz.job.yml").write_text(json.dumps(job), encoding="utf-8")
    try:
        said = project.run(job="zzz")
    finally:
        (project.folder / "resources" / "zzz.job.yml").unlink()
    assert said.code == 0, said.out
    assert deltalake.DeltaTable(str(project.silver_folder / "canary")).to_pyarrow_table().num_rows == 0
