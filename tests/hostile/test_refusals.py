"""What a row may not hold is refused with place, cause and remedy, all at once; a message is what it quotes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from generator.build import build
from generator.difference import FileChange, Line, as_markdown, as_text
from generator.problem import Problem, as_github
from generator.problem import as_text as problems_as_text
from generator.sql_text import condition_problem
from tests.generator.rows import made, project, row, said
from tests.hostile.night import NAME, SHELL, SQL, TERMINAL, TEXT, WORKFLOW

CONDITIONS = {
    "1=1); DROP TABLE x --": "a ) has no beginning",
    "1=1 --": "a comment would hide what follows",
    "1=1 /*": "a quotation or comment has no end",
    "1=1; DROP TABLE x": "a ; ends the statement",
    "(a > 1": "a ( has no end",
    "a > 1) OR (b > 1": "a ) has no beginning",
    "`x'` > 0) OR (`y'` > 0": "a ) has no beginning",  # quotation marks in names open no text
    "`x'` > 0 -- `'": "a comment would hide what follows",
    "a = r'\\') OR (r'\\' = b": "a ) has no beginning",  # in a raw string a backslash is a backslash
    'a = R"\\") OR (R"\\" = b': "a ) has no beginning",
    "a = '\\') OR (b = '": "",  # in another it is none
    "a = 'b": "a quotation or comment has no end",
    "`a > 1": "a quotation or comment has no end",
    "true, false": "a , makes two expressions of it",
    "$$'$$) OR ($$'$$": "$$ may begin a quotation",
    "`a--b` > 1 AND `c)` = ';' AND d IN (1, 2)": "",
    "a RLIKE r'\\d+' AND colr'x' = 1": "",
}


@pytest.mark.parametrize(("condition", "problem"), CONDITIONS.items())
def test_a_condition_is_one_expression(condition: str, problem: str) -> None:
    assert condition_problem(condition) == problem


@pytest.mark.parametrize("key", ["where", "apply_as_deletes", "replace_where", "expectations"])
def test_every_condition_of_a_row_is_judged(tmp_path: Path, key: str) -> None:
    condition = "`x'` > 0) OR (`y'` > 0"
    config: dict[str, Any] = {key: {"expect": {"n": condition}} if key == "expectations" else condition}
    pipeline = "fact_overwrite" if key == "replace_where" else "scd1"
    problems = said(tmp_path, [row(cdc_source_config=config, execution_pipeline=pipeline)])
    place = "expectations.expect.n" if key == "expectations" else key
    wanted = f"row 1 (dim_customer) cdc_source_config: {place}: a ) has no beginning; write one SQL condition"
    assert wanted in problems
    assert not (tmp_path / "resources").exists()


TEXT_COLUMNS = ("src_system", "src_catalog", "src_schema", "src_table_name", "dst_catalog", "dst_schema", "comment")


@pytest.mark.parametrize(
    "bad", ["${var.x}", "{{secrets/a/b}}", "\x1b[2J", "\u202eabc", "\u2066", "\u2028", "\uffff", "\0"]
)
def test_what_would_be_replaced_or_mislead_is_refused_in_every_column(tmp_path: Path, bad: str) -> None:
    config = {"where": f"a = '{bad}'", "expectations": {"expect": {bad: "true"}}, "sequence_by": [bad]}
    columns: dict[str, Any] = dict.fromkeys(TEXT_COLUMNS, f"x{bad}")
    columns |= {"business_key_columns": [f"x{bad}"], "primary_key_columns": [bad], "cdc_source_config": config}
    problems = said(tmp_path, [row(**columns)])
    held = {found[1] for problem in problems if (found := re.match(r"row 1 \([^)]*\) (\w+): holds ", problem))}
    assert held == set(columns)
    assert all(problem.isprintable() for problem in problems)


@pytest.mark.parametrize("layer", ["../x", "a/b", "x.job", "a\nb", "", "a b", "x;y", SHELL])
def test_a_layer_names_a_file_of_resources_and_no_other(tmp_path: Path, layer: str) -> None:
    assert [problem for problem in said(tmp_path, [row(layer=layer)]) if " layer: " in problem]
    assert not (tmp_path / "resources").exists()


@pytest.mark.parametrize(
    "table", ["../x", "a/b", "a.b", "a b", "a\nb", NAME, SHELL, "x" * 101, "run_summary", "gate_2"]
)
def test_a_table_names_a_task_and_its_log_and_no_other_file(tmp_path: Path, table: str) -> None:
    assert [problem for problem in said(tmp_path, [row(dst_table_name=table)]) if " dst_table_name: " in problem]


@pytest.mark.parametrize("path", ["../x.sql", "/etc/passwd", "sql/../../x.sql", "sql\\..\\x.sql", "file:x.sql", SHELL])
def test_a_sql_file_is_one_of_the_bundle(tmp_path: Path, path: str) -> None:
    (tmp_path / "x.sql").write_text("SELECT 1 AS id", encoding="utf-8")
    assert [problem for problem in said(tmp_path, [row(sql_file_path=path)]) if " sql_file_path: " in problem]


def runner(tmp_path: Path, task: dict[str, Any], **columns: Any) -> list[str]:
    return said(tmp_path, [row(execution_pipeline="own", **columns)], runners={"own": task})


def test_values_that_meet_in_a_runner_make_no_reference(tmp_path: Path) -> None:
    task = {"notebook_task": {"notebook_path": "/n", "base_parameters": {"both": "{src_system}{src_schema}"}}}
    (problem,) = runner(tmp_path, task, src_system="{", src_schema="{job.parameters.x}}")
    what = "makes a reference of the runner's '{src_system}{src_schema}', which would be replaced"
    assert problem == f"row 1 (dim_customer) src_system: {what}; change the value"
    assert runner(tmp_path, task, src_system="$", src_schema="{var.x}")[0].startswith(
        "row 1 (dim_customer) src_system:"
    )
    assert runner(tmp_path, task, src_system="a", src_schema="{b}") == []
    runners = {"own": {"notebook_task": {"notebook_path": "/n", "base_parameters": {"c": "{dst_catalog}"}}}}
    made(tmp_path, [row(execution_pipeline="own")], runners=runners)  # our own reference to the catalog stays


@pytest.mark.parametrize(
    ("field", "task"),
    [
        ("notebook_path", {"notebook_task": {"notebook_path": "/Workspace/own/{src_table_name}"}}),
        ("python_file", {"spark_python_task": {"python_file": "own/{src_table_name}.py"}}),
        ("path", {"sql_task": {"warehouse_id": "w", "file": {"path": "own/{src_table_name}.sql"}}}),
    ],
)
def test_a_row_chooses_no_file_outside_the_folder_of_its_runner(
    tmp_path: Path, field: str, task: dict[str, Any]
) -> None:
    (problem,) = runner(tmp_path, task, src_table_name="../../Shared/other")
    assert f"row 1 (dim_customer) src_table_name: leads {field} '" in problem
    assert problem.endswith("out of the folder that the runner names; change the value")
    assert runner(tmp_path, task, src_table_name="sub/a..b") == []


def test_a_problem_is_one_line_whatever_it_quotes(tmp_path: Path) -> None:
    """Names stand in messages: one with a line break would write a line of its own, one with an escape steer."""
    name = f"t{TERMINAL}{WORKFLOW}"
    problems = build(project(tmp_path, [row(dst_table_name=name, layer=name, business_key_columns=[name, name])]))[1]
    assert len(problems) > 3
    for written in (problems_as_text(problems), as_github(problems)):
        lines = written.removesuffix("\n").split("\n")
        assert len(lines) == len(problems)
        assert all(line.isprintable() for line in lines)
    assert all(line.startswith("::error ") for line in as_github(problems).splitlines())


def test_a_workflow_command_ends_where_it_begins() -> None:
    problem = Problem(what=f"%0A::x {WORKFLOW}", file=f"a,line=1::{WORKFLOW}", line=2, column="c")
    (line,) = as_github([problem]).splitlines()
    assert line == (
        "::error file=a%2Cline=1%3A%3A%0A%3A%3Aerror%3A%3Astolen%0A,line=2::c: %250A::x \\n::error::stolen\\n"
    )


def test_a_change_is_told_in_a_pull_request_without_markup() -> None:
    text = f"{TEXT}{WORKFLOW}| x | https://evil.example www.evil.example @everyone &lt;b> `a` ~~b~~"
    changes = [FileChange(file=f"a`|{WORKFLOW}.yml", before=1, after=1, lines=(Line(sign="~", key="k", what=text),))]
    heading, *table = as_markdown(changes).splitlines()
    assert heading.count("`") == 2
    (cells,) = [line for line in table if line.startswith("| ~")]
    assert len(re.findall(r"(?<!\\)\|", cells)) == 4
    for markup in (
        r"(?<!\\)<",
        r"(?<!\\)`(?!k)(?!\s)",
        r"(?<!\\)~~",
        "://",
        r"www\.",
        r"@\w",
        r"(?<!\\)&",
        r"(?<!\\)\[",
    ):
        assert not re.search(markup, cells.partition("`k`")[2]), markup
    assert all(line.isprintable() for line in as_text(changes).splitlines())


def test_a_json_key_stands_once_and_a_list_is_a_list(tmp_path: Path) -> None:
    """A configuration that says two things is none: the reviewer would read the one, the task the other."""
    problems = said(tmp_path, [row(cdc_source_config='{"where": "a", "where": "b"}')])
    assert any("stands twice" in problem for problem in problems)
    assert any("cdc_source_config" in problem for problem in said(tmp_path, [row(cdc_source_config=json.dumps([SQL]))]))
