"""Rows that are not whole do not take a job's tables along; job files that Windows has touched are as they were."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from generator.build import build
from generator.cli import main
from generator.removals import removal_problems
from generator.split import JobSize
from tests.generator.rows import project, row, tables

FILE = Path("resources") / "bronze_to_silver.job.yml"


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def keys(text: str) -> list[str]:
    return sorted(set(re.findall(r"- task_key: (t\d+)", text)))


@pytest.mark.parametrize("keep", [1, 3, 5])
def test_half_of_an_export_does_not_take_the_other_half_along(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int
) -> None:
    project(tmp_path, tables(*[1] * 10))
    assert main(["generate"]) == 0
    before = FILE.read_text()
    project(tmp_path, tables(*[1] * 10)[:keep])
    capsys.readouterr()
    assert main(["generate"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    gone = [f"t{n:03}" for n in range(keep, 10)]
    names = ", ".join(gone[:6]) + (" ..." if len(gone) > 6 else "")
    assert err == (
        f"resources/bronze_to_silver.job.yml:1: {10 - keep} of its 10 tables would go ({names}): "
        f"0 of their rows are not active, {10 - keep} have no row; check that the rows are whole; if these tables "
        "are to go, run `generate --override-guards`\n1 problem; nothing was written\n"
    )
    assert FILE.read_text() == before
    assert main(["check"]) == 1
    assert "tables would go" in capsys.readouterr().err
    assert main(["diff"]) == 0
    assert main(["generate", "--override-guards"]) == 0
    assert f"warning: {10 - keep} of its 10 tables go (t00{keep}" in capsys.readouterr().err
    assert len(keys(FILE.read_text())) == keep
    assert main(["check"]) == 0


@pytest.mark.parametrize(("before", "after"), [(10, 6), (4, 2), (3, 1), (100, 51)])
def test_fewer_may_go(tmp_path: Path, before: int, after: int) -> None:
    project(tmp_path, tables(*[1] * before))
    assert main(["generate"]) == 0
    project(tmp_path, tables(*[1] * before)[:after])
    assert main(["generate"]) == 0


@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_layer_of_which_no_row_is_active_keeps_its_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], count: int
) -> None:
    other = row(layer="gold", dst_schema="gold")
    project(tmp_path, [*tables(*[1] * count), other])
    assert main(["generate"]) == 0
    project(tmp_path, [*tables(*[1] * count, is_active_flag=False), other])
    capsys.readouterr()
    assert main(["generate"]) == 1
    assert f"{count} of its {count} tables would go (t000" in capsys.readouterr().err
    assert FILE.exists()
    assert main(["generate", "--override-guards"]) == 0
    assert "bronze_to_silver.job.yml: removed" in capsys.readouterr().out
    assert not FILE.exists()


def test_all_rows_inactive(tmp_path: Path) -> None:
    project(tmp_path, tables(1, 1))
    assert main(["generate"]) == 0
    project(tmp_path, tables(1, 1, is_active_flag=None))
    assert main(["generate"]) == 1
    assert FILE.exists()


def test_tables_that_move_to_another_layer_or_get_other_keys_do_not_go(tmp_path: Path) -> None:
    project(tmp_path, tables(*[1] * 6))
    assert main(["generate"]) == 0
    moved = tables(*[1] * 5, layer="gold")
    project(tmp_path, [*moved, tables(*[1] * 6)[5]])
    assert main(["generate"]) == 0
    named = {layer: {"task_key": "{dst_schema}__{dst_table_name}"} for layer in ("gold", "bronze_to_silver")}
    project(tmp_path, [*moved, tables(*[1] * 6)[5]], layers=named)
    assert main(["generate"]) == 0


def test_the_tables_of_child_jobs_are_counted_together(tmp_path: Path) -> None:
    size = JobSize(job=6, child=3)
    options = project(tmp_path, tables(*[1] * 12))
    made, problems = build(options, size)
    assert made is not None, problems
    assert len(made.texts) == 5
    for name, text in made.texts.items():
        options.out.mkdir(exist_ok=True)
        (options.out / name).write_text(text)
    project(tmp_path, tables(*[1] * 12)[:8])
    made, _ = build(options, size)
    assert made is not None
    assert removal_problems(made, options.out) == ()
    project(tmp_path, tables(*[1] * 12)[:5])
    made, _ = build(options, size)
    assert made is not None
    (problem,) = removal_problems(made, options.out)
    assert problem.what.startswith("7 of its 12 tables would go (t005, t006")


@pytest.mark.parametrize("text", ["tasks: [", "resources: {jobs: {a: {tasks: null}}}", "resources: {jobs: {a: 5}}", ""])
def test_a_job_file_that_somebody_has_broken_is_written_anew(tmp_path: Path, text: str) -> None:
    project(tmp_path, tables(1, 1, 1, 1))
    assert main(["generate"]) == 0
    first = FILE.read_text().splitlines()[0]
    FILE.write_text(f"{first} bundle/settings.yml \n{text}\n")
    assert main(["generate"]) == 0
    assert len(keys(FILE.read_text())) == 4


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["no mark", "byte order mark"])
@pytest.mark.parametrize("end", ["\r\n", "\n"], ids=["CRLF", "LF"])
def test_line_ends_and_a_byte_order_mark_are_no_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: str, mark: str
) -> None:
    project(tmp_path, tables(1, 2))
    assert main(["generate"]) == 0
    text = FILE.read_text()
    touched = (mark + text.replace("\n", end)).encode()
    FILE.write_bytes(touched)
    capsys.readouterr()
    assert main(["check"]) == 0
    assert capsys.readouterr().out.endswith(", as generated\n")
    assert main(["diff"]) == 0
    assert capsys.readouterr().out == "the rows make the job as it is: no change\n"
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "core.autocrlf=false"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "a"]):
        subprocess.run([*git, *command], check=True, cwd=tmp_path)
    assert main(["diff", "--against", "HEAD"]) == 0
    assert capsys.readouterr().out == "the rows make the job as it is: no change\n"
    assert main(["generate"]) == 0
    project(tmp_path, tables(1, 2, 2))
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert sum(line.startswith("-") for line in out.splitlines()) < 10
    assert main(["generate"]) == 0
    assert keys(FILE.read_bytes().decode()) == ["t000", "t001", "t002"]
    assert b"\r" not in FILE.read_bytes()


def test_everything_that_is_read_may_come_from_windows(tmp_path: Path) -> None:
    project(tmp_path, [row(comment="two\nlines", cdc_source_config={"where": "a > 1"})])
    assert main(["generate"]) == 0
    text = FILE.read_text()
    for path in (tmp_path / "bundle").iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert main(["generate"]) == 0
    assert FILE.read_text() == text
