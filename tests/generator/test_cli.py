"""The commands as a user runs them."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from generator.build import build
from generator.cli import main
from tests.generator.rows import project, row, said, tables

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_generate_check_explain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, tables(1, 1, 2))
    assert main(["generate"]) == 0
    hint = "row 3 (t002) execution_order: could run in order 1: it reads no table that this job loads"
    assert capsys.readouterr() == (
        "resources/bronze_to_silver.job.yml: 3 tables in 2 orders, 3 edges\n",
        f"bundle/execution_table.yml:42: hint: {hint}\n",
    )
    assert main(["check"]) == 0
    assert (
        capsys.readouterr().out == "resources/bronze_to_silver.job.yml: 3 tables in 2 orders, 3 edges, as generated\n"
    )
    assert main(["explain", "t002"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("t002: scd1 loads dev_silver.core.t002 from dev_bronze.erp.customer\n")
    assert "  waits for  2 tasks: t000, t001; run_if ALL_DONE: whether or not they succeeded\n" in out
    assert "  before     run_summary\n" in out
    assert main(["explain", "t02"]) == 1
    assert capsys.readouterr().err == "no row loads 't02'; did you mean t002?\n"


def test_check_shows_what_differs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    main(["generate"])
    project(tmp_path, [row(business_key_columns=["id", "part"])])
    capsys.readouterr()
    assert main(["check"]) == 1
    out, err = capsys.readouterr()
    changed = [line.strip() for line in out.splitlines() if re.match(r"[+-] ", line)]
    assert [line.split(None, 1) for line in changed] == [
        ["-", "business_key_columns: '[\"id\"]'"],
        ["+", 'business_key_columns: \'["id", "part"]\''],
    ]
    remedy = "run `python -m generator generate` and commit what it writes"
    assert err == f"resources/bronze_to_silver.job.yml:1: differs from what the rows make; {remedy}\n"
    assert main(["check", "--format", "github"]) == 1
    assert capsys.readouterr().err.startswith("::error file=resources/bronze_to_silver.job.yml,line=1::differs")


def test_a_layer_that_is_gone_takes_its_file_along(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, [row(), row(layer="old", dst_schema="old")])
    main(["generate"])
    hand_written = tmp_path / "resources" / "dashboard.job.yml"
    hand_written.write_text("resources: {}\n")
    project(tmp_path)
    assert main(["check"]) == 1
    assert "resources/old.job.yml:1: has no rows any more" in capsys.readouterr().err
    assert main(["generate"]) == 0
    assert "resources/old.job.yml: removed, it has no rows any more\n" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "resources").iterdir()) == [
        "bronze_to_silver.job.yml",
        "dashboard.job.yml",
    ]


def test_a_missing_file_and_one_that_is_in_the_way(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    assert main(["check"]) == 1
    assert "resources/bronze_to_silver.job.yml:1: is missing" in capsys.readouterr().err
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "bronze_to_silver.job.yml").write_text("mine: true\n")
    assert main(["generate"]) == 1
    assert "is in the way: it is not a generated file; rename it, or the layer" in capsys.readouterr().err
    assert (tmp_path / "resources" / "bronze_to_silver.job.yml").read_text() == "mine: true\n"


MISTAKES = """\
- &right
  src_catalog: dev_bronze
  src_schema: erp
  src_table_name: customer
  load_type: full
  dst_catalog: dev_silver
  dst_schema: core
  dst_table_name: dim_a
  layer: bronze_to_silver
  is_active_flag: true
  execution_order: 1
  execution_pipeline: scd_2
  business_key_columns: [id]
- {<<: *right, dst_table_name: dim_b, execution_pipeline: scd2, business_key_columns: null}
- {<<: *right, dst_table_name: dim_c, execution_pipeline: scd1, execution_order: first}
- {<<: *right, dst_table_name: dim_d, execution_pipeline: scd1, cdc_source_config: {delete_mod: hard}}
- {<<: *right, dst_table_name: dim_e, execution_pipeline: scd1, sql_file_path: sql/none.sql}
- {<<: *right, dst_table_name: dim f, execution_pipeline: scd1}
- {<<: *right, dst_table_name: dim_g, execution_pipeline: scd1, src_table_name: null}
- {<<: *right, dst_table_name: dim_g, execution_pipeline: scd1}
- {<<: *right, dst_table_name: dim_h, execution_pipeline: scd1, comment: "for ${user}"}
- {<<: *right, dst_table_name: dim_i, execution_pipeline: scd1, load_typ: full}
"""
MESSAGES = """\
rows.yml:12: row 1 (dim_a) execution_pipeline: unknown 'scd_2'; did you mean scd2? Else use one of \
scd1, scd2, fact_overwrite, fact_incremental_merge, or define a runner in bundle/settings.yml
rows.yml:14: row 2 (dim_b) business_key_columns: required for scd2; name the natural key
rows.yml:15: row 3 (dim_c) execution_order: expected an integer, 1 or larger, found 'first'
rows.yml:16: row 4 (dim_d) cdc_source_config: unknown key 'delete_mod'; did you mean delete_mode?
rows.yml:17: row 5 (dim_e) sql_file_path: no such file (UTF-8 text): 'sql/none.sql'; \
paths are relative to the settings; add the file or clear the column
rows.yml:18: row 6 (dim f) dst_table_name: 'dim f' is not a legal name: it holds ' '; use letters, digits and _
rows.yml:19: row 7 (dim_g) src_table_name: required without sql_file_path; name the source table, or a SQL file
rows.yml:20: row 8 (dim_g) dst_table_name: dev_silver.core.dim_g is loaded by row 7 already; \
keep one row active for each table
rows.yml:21: row 9 (dim_h) comment: holds '${', which cannot travel in a job; remove it
rows.yml:22: row 10 (dim_i) load_typ: unknown column; did you mean load_type?
10 problems; nothing was written
"""


def test_ten_mistakes_are_ten_messages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    (tmp_path / "rows.yml").write_text(MISTAKES)
    assert main(["generate", "--source", "rows.yml"]) == 1
    assert capsys.readouterr() == ("", MESSAGES)
    assert not (tmp_path / "resources").exists()


def test_no_mistake_hides_another(tmp_path: Path) -> None:
    """Settings that cannot be read, rows that are wrong, and a task that grows too large: all at once."""
    long, wrong = row(cdc_source_config={"where": "a" * 10_000}), row(dst_table_name="b", load_type="ful")
    assert [message.split(": ")[1].split(",")[0] for message in said(tmp_path, [long, wrong])] == [
        "the task's parameters take 10",
        "expected full or incremental",
    ]
    circle = {name: {f"src_{part}": row()[f"dst_{part}"] for part in ("catalog", "schema")} for name in "ab"}
    rows = [row(dst_table_name=name, **columns) for name, columns in circle.items()]
    rows[0] |= {"src_table_name": "b", "cdc_source_config": {"where": "a" * 10_000}}
    rows[1] |= {"src_table_name": "a"}
    for edges in ("barrier", "lineage"):
        found = said(tmp_path, rows, layers={"bronze_to_silver": {"edges": edges}})
        assert [message.split(": ")[1].split(",")[0] for message in found] == [
            "the task's parameters take 10",
            "reads go in a circle",
        ]
    assert said(tmp_path, [wrong], on_unknwon_pipeline="skip") == [
        "row 1 (b) load_type: expected full or incremental, found 'ful'; did you mean full?",
        "on_unknwon_pipeline: unknown setting; did you mean on_unknown_pipeline?",
    ]


def test_rows_that_could_not_be_read_are_not_missed_in_the_settings(tmp_path: Path) -> None:
    options = project(tmp_path, layers={"bronze_to_silver": {}, "late": {}})
    (tmp_path / "rows.yml").write_text(yaml.safe_dump([row(), 5]))
    found = build(replace(options, source=tmp_path / "rows.yml"))[1]
    assert [problem.what for problem in found] == ["expected a mapping of columns"]


def test_problems_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, [row(execution_order=0, comment="50 %, {{")])
    assert main(["generate", "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().err)
    assert [(p["row"], p["table"], p["column"], p["severity"]) for p in found] == [
        (1, "dim_customer", "comment", "error"),
        (1, "dim_customer", "execution_order", "error"),
    ]
    project(tmp_path)
    assert main(["generate", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "files": [{"file": "resources/bronze_to_silver.job.yml", "tables": 1, "orders": 1, "tasks": 2, "edges": 1}]
    }


def test_warnings_do_not_fail(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path, [row(), row(dst_table_name="odd", execution_pipeline="scd9")], on_unknown_pipeline="skip")
    assert main(["generate"]) == 0
    assert "warning: row 2 (odd) execution_pipeline: unknown 'scd9'" in capsys.readouterr().err
    assert main(["explain", "odd"]) == 0
    assert "left out   no runner 'scd9', and on_unknown_pipeline is skip" in capsys.readouterr().out


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["make"], ["generate", "--edges"], ["explain"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
    assert "usage: python -m generator" in capsys.readouterr().err


def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "python -m generator explain dim_customer" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ["", "a", "[]", "- 1", "- {a: [", "{}", "- {? [a]: b}", "- {cdc_source_config: !!set {a}}"]
)
def test_nonsense_never_ends_in_a_traceback(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    project(tmp_path)
    for name in ("bundle/execution_table.yml", "bundle/settings.yml", "databricks.yml"):
        path = tmp_path / name
        before = path.read_bytes() if path.exists() else b"variables: {bronze_catalog: {}, silver_catalog: {}}"
        path.write_text(text)
        main(["generate"])
        path.write_bytes(before)
    capsys.readouterr()


def test_what_a_file_says_of_its_origin_is_a_command_that_makes_it(tmp_path: Path) -> None:
    project(tmp_path)
    (tmp_path / "bundle" / "execution_table.yml").rename(tmp_path / "rows.yml")
    main(["generate", "--source", "rows.yml", "--out", "jobs"])
    first = (tmp_path / "jobs" / "bronze_to_silver.job.yml").read_text().splitlines()[0]
    assert first == "# Generated by `python -m generator generate --source rows.yml --out jobs` from rows.yml."


def test_core_modules_import_no_engine() -> None:
    modules = sorted(path.stem for path in (ROOT / "generator").glob("*.py") if not path.stem.startswith("__"))
    code = f"import sys, importlib\nfor m in {modules}: importlib.import_module('generator.' + m)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert not loaded & {
        "pyspark",
        "click",
        "databricks",
        "jinja2",
        "pandas",
        "pyarrow",
        "deltalake",
        "localjobs",
        "monitor",
        "sqlglot",
    }


def test_help_needs_neither_pydantic_nor_yaml() -> None:
    code = "import sys, generator.cli\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not set(run.stdout.split()) & {"pydantic", "yaml", "jinja2"}


def test_the_settings_of_the_example_are_yaml_that_a_person_can_read() -> None:
    settings = yaml.safe_load((ROOT / "bundle" / "settings.yml").read_text(encoding="utf-8"))
    assert settings["catalogs"] == {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"}
    assert settings["layers"]["bronze_to_silver"]["task"]["timeout_seconds"] == 7200
