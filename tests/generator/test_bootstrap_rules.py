"""The bootstrap job is written by hand and lives beside the generated files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from generator.cli import main
from tests.generator.rows import ROOT, project, row, said

BOOTSTRAP = ROOT / "resources" / "bootstrap.job.yml"


def bootstrap(folder: Path, schemas: str) -> Path:
    (folder / "resources").mkdir()
    file = folder / "resources" / BOOTSTRAP.name
    listed = '["${var.silver_catalog}.retail"]'
    text = BOOTSTRAP.read_text(encoding="utf-8")
    assert listed in text
    file.write_text(text.replace(listed, schemas), encoding="utf-8")
    return file


def test_a_schema_that_it_does_not_make_is_said_once_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = bootstrap(tmp_path, '["${var.silver_catalog}.core"]')
    rows = [
        row(),
        row(dst_table_name="b", dst_schema="CORE"),
        row(dst_table_name="c", dst_schema="new"),
        row(dst_table_name="d", dst_schema="new"),
        row(dst_table_name="e", dst_schema="off", is_active_flag=False),
        row(dst_table_name="f", dst_catalog="elsewhere"),
    ]
    project(tmp_path, rows)
    monkeypatch.chdir(tmp_path)
    assert main(["generate"]) == 0
    line = next(n for n, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1) if "schemas:" in text)
    said = [text for text in capsys.readouterr().err.splitlines() if "bootstrap" in text]
    assert said == [
        f"resources/bootstrap.job.yml:{line}: warning: {schema} is loaded by the rows and not made by this job; "
        "add it to schemas"
        for schema in ("${var.silver_catalog}.new", "elsewhere.core")
    ]


def test_generate_leaves_it_and_a_project_without_it_is_told_nothing(tmp_path: Path) -> None:
    assert said(tmp_path) == []
    file = bootstrap(tmp_path, '["${var.silver_catalog}.core"]')
    before = file.read_bytes()
    options = ["--settings", str(project(tmp_path).settings), "--out", str(tmp_path / "resources")]
    assert main(["generate", *options]) == main(["check", *options]) == main(["diff", *options]) == 0
    assert file.read_bytes() == before


@pytest.mark.parametrize("schemas", ["", "[1]", "{}", "[", "null"])
def test_schemas_that_say_nothing_make_nothing(tmp_path: Path, schemas: str) -> None:
    bootstrap(tmp_path, schemas)
    (said_of_it,) = said(tmp_path)
    assert said_of_it.startswith("${var.silver_catalog}.core is loaded by the rows and not made by this job")


def test_a_layer_of_its_name_is_refused(tmp_path: Path) -> None:
    bootstrap(tmp_path, '["${var.silver_catalog}.core"]')
    said_of_it = said(tmp_path, [row(layer="bootstrap")])
    assert said_of_it == ["is in the way: it is not a generated file; rename it, or the layer"]


def test_files_that_are_no_job_are_let_be(tmp_path: Path) -> None:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "dashboard.yml").write_text("resources: {jobs: {bootstrap: [1]}}")
    (tmp_path / "resources" / "broken.yml").write_text("bootstrap: [")
    shutil.copy(ROOT / "LICENSE", tmp_path / "resources" / "bootstrap.yml")
    assert said(tmp_path) == []
