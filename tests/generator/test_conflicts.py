"""Two branches change the rows: what a merge leaves, how it is named, and that `generate` resolves it."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli import main
from tests.generator.rows import ROOT, SETTINGS, project, row, tables

JOB = Path("resources/bronze_to_silver.job.yml")
ROWS = Path("bundle/execution_table.yml")
BOTH = "<<<<<<< HEAD\n{}=======\n{}>>>>>>> other\n"


def git(*words: str, code: int = 0) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.autocrlf=false")
    done = subprocess.run(["git", *named, *words], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def write(*names: str) -> None:
    """One short line for each row, as a person keeps them."""
    rows = [row(dst_table_name=name) for name in names]
    ROWS.write_text("".join(f"- {yaml.safe_dump(r, default_flow_style=True, width=9999)}" for r in rows))


def two_branches(folder: Path, attributes: str) -> None:
    """A team whose two branches have added a table each, far from each other; the second merges the first."""
    project(folder)
    Path(".gitattributes").write_text(attributes)
    write("d", "h")
    assert main(["generate"]) == 0
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "first")
    for branch, names in (("one", ("a", "d", "h")), ("two", ("d", "h", "z"))):
        git("switch", "-qc", branch, "main")
        write(*names)
        assert main(["generate"]) == 0
        git("commit", "-qam", branch)
    git("merge", "-q", "one", code=1)
    assert git("diff", "--name-only", "--diff-filter=U").split() == [JOB.as_posix()]  # the rows merge


@pytest.mark.parametrize("attributes", ["", (ROOT / ".gitattributes").read_text()], ids=["none", "ours"])
def test_generate_resolves_what_two_branches_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], attributes: str
) -> None:
    monkeypatch.chdir(tmp_path)
    two_branches(tmp_path, attributes)
    capsys.readouterr()
    marked = "<<<<<<< " in JOB.read_text()
    assert marked is (not attributes)  # with our attributes git leaves a file that is whole
    line = 1 + JOB.read_text().partition("<<<<<<< ")[0].count("\n")
    said = f"{JOB}:{line}: has the conflict markers of a merge; run `python -m generator generate`"
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    assert (said in err, "<<<<<<<" in out) == (marked, False)
    assert main(["diff"]) == int(marked)
    out, err = capsys.readouterr()
    assert (said in err, out == "") == (marked, marked)
    assert marked or "+ a (scd1, order 1)" in out
    assert main(["diff", "--against", "main"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "bronze_to_silver.job.yml: 4 tables, 2 before"
    assert main(["generate"]) == 0
    assert main(["check"]) == 0
    git("add", "resources")
    git("commit", "-qm", "merge")
    assert [task for task in "adhz" if f"task_key: {task}\n" in JOB.read_text()] == [*"adhz"]
    git("diff", "--exit-code")


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD\n", "<<<<<<< HEAD\r\n"])
def test_a_job_file_that_begins_with_a_marker_is_a_generated_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marker: str
) -> None:
    """Both branches have made the same layer, so that git finds nothing in common."""
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    assert main(["generate"]) == 0
    whole = JOB.read_text()
    gone = Path("resources/gone.job.yml")
    for path in (JOB, gone):
        path.write_bytes(f"{marker}{whole}=======\n{whole}>>>>>>> other\n".encode())
    assert main(["generate"]) == 0
    assert JOB.read_text() == whole
    assert not gone.exists()


def _said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["generate"]) == 1
    return [line for line in capsys.readouterr().err.splitlines() if " hint: " not in line]


MARKED = "has the conflict markers of a merge; keep what is right of both sides, without the markers"


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("bundle/execution_table.yml", yaml.safe_dump(tables(1)) + BOTH.format("- {a: 1}\n", "- {a: 2}\n"), 19),
        ("bundle/execution_table.yml", BOTH.format("- {a: 1}\n", "- {a: 2}\n").replace("\n", "\r\n"), 1),
        ("bundle/execution_table.csv", "layer\n" + BOTH.format("a\n", "b\n"), 2),
        ("bundle/execution_table.json", "[\n" + BOTH.format("{},\n", "{}\n") + "]", 2),
        ("bundle/settings.yml", yaml.safe_dump(dict(SETTINGS)) + BOTH.format("a: 1\n", "||||||| b\nb: 1\n"), 6),
        ("databricks.yml", BOTH.format("variables: {}\n", "variables: {a: {}}\n"), 1),
        ("bundle/durations.csv", "layer,task_key,seconds\n" + BOTH.format("a,b,1\n", "a,b,2\n"), 2),
        ("bundle/a.sql", "SELECT\n" + BOTH.format("a\n", "b\n") + "FROM {silver_catalog}.a.b", 2),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_a_file_of_a_person_with_markers_is_one_problem(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    name: str,
    text: str,
    line: int,
) -> None:
    monkeypatch.chdir(tmp_path)
    rows: list[dict[str, Any]] = tables(1, 1)
    if name.endswith(".sql"):  # two rows of one file
        rows = [{**r, "sql_file_path": "a.sql"} for r in rows]
    table = {"execution_table": Path(name).name} if "execution_table" in name else {}
    project(tmp_path, rows, **table)
    Path(name).write_bytes(text.encode())
    first, *others = _said(capsys)
    assert f"{name}:{line}: " in first
    assert MARKED in first
    assert others == ["1 problem; nothing was written"]


def test_the_attributes_of_a_project_are_ours() -> None:
    own = (ROOT / "template/{{.project_name}}/.gitattributes.tmpl").read_bytes()
    assert own == (ROOT / ".gitattributes").read_bytes()
