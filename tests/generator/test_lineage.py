"""What rows read of each other: the waits of `edges: lineage`, and what that says about execution_order."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.checks import check
from generator.context import Context
from generator.lineage import read_lineage
from generator.plan import Plan, make_plans
from generator.problem import as_text, errors
from tests.generator.rows import context, entries, project, row, said, sentences

LINEAGE = {"layers": {"bronze_to_silver": {"edges": "lineage"}}}
NOTEBOOK = {"nb": {"notebook_task": {"notebook_path": "x"}}}


def reads_of(folder: Path, sql: str, **settings: object) -> list[tuple[str, str]]:
    """What a row with this SQL reads, beside rows that load dim_a and `dim b`: the name and who loads it."""
    rows = row(dst_table_name="dim_a"), row(dst_table_name="dim_b"), row(dst_table_name="fact", sql_file_path="f.sql")
    where = context(folder, {"f.sql": sql}, **settings)
    found = read_lineage(entries(*rows), where).of(entries(*rows)[2])
    return [(read.table, read.maker.row.dst_table_name if read.maker else "") for read in found]


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT * FROM {silver_catalog}.core.dim_a", [("{silver_catalog}.core.dim_a", "dim_a")]),
        ("SELECT * FROM `{silver_catalog}`.`CORE`.`Dim_A`", [("{silver_catalog}.CORE.Dim_A", "dim_a")]),
        ("SELECT * FROM DEV_silver.core.dim_a", [("DEV_silver.core.dim_a", "dim_a")]),
        ("SELECT * FROM {SILVER_CATALOG}.core.dim_a", [("{SILVER_CATALOG}.core.dim_a", "dim_a")]),
        ("SELECT * FROM {bronze_catalog}.core.dim_a", [("{bronze_catalog}.core.dim_a", "")]),
        ("SELECT * FROM silver_catalog.core.dim_a", [("silver_catalog.core.dim_a", "")]),
        ("SELECT * FROM {silver_catalog}.other.dim_a", [("{silver_catalog}.other.dim_a", "")]),
        ("WITH dim_a AS (SELECT 1) SELECT * FROM dim_a", []),
        (
            "WITH dim_a AS (SELECT * FROM {silver_catalog}.core.dim_a) SELECT * FROM dim_a",
            [("{silver_catalog}.core.dim_a", "dim_a")],
        ),
        ("SELECT * FROM core.dim_a JOIN dim_b", []),
        ("SELECT * FROM {silver_catalog}.core.fact", [("{silver_catalog}.core.fact", "fact")]),
        (
            "SELECT * FROM {silver_catalog}.core.dim_b JOIN dev_silver.core.DIM_B, {silver_catalog}.core.dim_a",
            [("{silver_catalog}.core.dim_b", "dim_b"), ("{silver_catalog}.core.dim_a", "dim_a")],
        ),
        (
            "-- laketasks reads: {silver_catalog}.core.dim_b\nSELECT * FROM {silver_catalog}.core.dim_a",
            [("{silver_catalog}.core.dim_a", "dim_a"), ("{silver_catalog}.core.dim_b", "dim_b")],
        ),
        ("-- laketasks reads: {silver_catalog}.core.dim_b\nSELECT (", [("{silver_catalog}.core.dim_b", "dim_b")]),
    ],
)
def test_what_a_sql_file_reads(tmp_path: Path, sql: str, expected: list[tuple[str, str]]) -> None:
    assert reads_of(tmp_path, sql) == expected


def test_two_names_of_one_variable_are_one_catalog(tmp_path: Path) -> None:
    catalogs = {"dev_silver": "silver_catalog", "old_silver": "silver_catalog"}
    sql = "SELECT * FROM old_silver.core.dim_a"
    assert reads_of(tmp_path, sql, catalogs=catalogs) == [("old_silver.core.dim_a", "dim_a")]


# --- the waits of `edges: lineage` -----------------------------------------------------------------------------------


def planned(where: Context, *rows: dict[str, object]) -> Plan:
    plans, problems = make_plans(entries(*rows), where)
    assert problems == ()
    return plans[0]


def waits(found: Plan) -> dict[str, list[str]]:
    return {task.task_key: [dependency.task_key for dependency in task.waits.on] for task in found.tasks}


def loads(name: str, order: int, *reads: str, **columns: object) -> dict[str, object]:
    """A row that reads these tables of its own schema by a SQL file of its name."""
    return row(dst_table_name=name, execution_order=order, sql_file_path=f"{name}.sql", **columns) | {"reads": reads}


def where_of(base: Context, rows: Sequence[dict[str, Any]]) -> tuple[Context, list[dict[str, object]]]:
    """The rows without the names of what they read, and the SQL files that read it."""
    sql = {
        str(columns["sql_file_path"]): "SELECT 1 FROM {bronze_catalog}.erp.x"
        + "".join(f"\nJOIN {{silver_catalog}}.core.{name}" for name in columns["reads"])
        for columns in rows
    }
    bare = [{name: value for name, value in columns.items() if name != "reads"} for columns in rows]
    return replace(base, sql=sql), bare


def test_a_task_waits_for_what_it_reads_and_for_nothing_else(tmp_path: Path) -> None:
    rows = [
        loads("a", 1),
        loads("b", 1),
        loads("c", 2, "b"),
        loads("d", 3, "c", "b", "d"),  # its own table is no reason to wait
        loads("e", 3),
        loads("f", 4, "gone", "a"),
        loads("gone", 1, is_active_flag=False),
        loads("odd", 1, execution_pipeline="scd9"),
        loads("g", 4, "odd"),
    ]
    where, bare = where_of(context(tmp_path, on_unknown_pipeline="skip", **LINEAGE), rows)
    assert waits(planned(where, *bare)) == {
        "a": [],
        "b": [],
        "c": ["b"],
        "d": ["b", "c"],
        "e": [],
        "f": ["a"],
        "g": [],
        "run_summary": ["d", "e", "f", "g"],
    }


def test_a_runner_whose_reads_are_not_known_waits_for_every_smaller_order(tmp_path: Path) -> None:
    rows = [loads("a", 1), loads("b", 2, "a"), loads("c", 2), loads("nb1", 3, execution_pipeline="nb")]
    rows += [loads("nb2", 3, execution_pipeline="nb"), loads("d", 4, "nb1")]
    where, bare = where_of(context(tmp_path, runners=NOTEBOOK, **LINEAGE), rows)
    found = planned(where, *bare)
    assert waits(found)["nb1"] == waits(found)["nb2"] == ["a", "b", "c"]
    assert waits(found)["d"] == ["nb1"]
    assert found.task("nb1").waits is found.task("nb2").waits
    unknown = "what nb reads is not known; it waits for every table of a smaller order"
    assert sentences(check(entries(*bare), where)) == [
        f"row {n} (nb{n - 3}) execution_pipeline: {unknown}" for n in (4, 5)
    ]


@pytest.mark.parametrize(("policy", "run_if"), [("continue", "ALL_DONE"), ("skip", "ALL_SUCCESS")])
def test_a_failure_stops_what_truly_depends_on_it(tmp_path: Path, policy: str, run_if: str) -> None:
    layers = {"bronze_to_silver": {"edges": "lineage", "on_upstream_failure": policy}}
    where, bare = where_of(context(tmp_path, layers=layers), [loads("a", 1), loads("b", 2, "a")])
    assert [task.run_if for task in planned(where, *bare).tasks] == [run_if, run_if, "ALL_DONE"]


def test_a_table_of_another_layer_is_another_jobs(tmp_path: Path) -> None:
    rows = [loads("a", 1), loads("b", 1, "a", layer="silver_to_gold")]
    layers = {"bronze_to_silver": {"edges": "lineage"}, "silver_to_gold": {"edges": "lineage"}}
    where, bare = where_of(context(tmp_path, layers=layers), rows)
    plans, _ = make_plans(entries(*bare), where)
    assert [waits(found) for found in plans] == [{"a": [], "run_summary": ["a"]}, {"b": [], "run_summary": ["b"]}]
    assert check(entries(*bare), where) == ()


# --- the orders ------------------------------------------------------------------------------------------------------


def judged(folder: Path, rows: Sequence[dict[str, Any]], **settings: object) -> list[str]:
    where, bare = where_of(context(folder, **settings), rows)
    return sentences(check(entries(*bare), where))


@pytest.mark.parametrize("edges", ["barrier", "gate", "lineage"])
def test_a_wrong_order_is_an_error_in_every_mode_and_the_right_one_is_named(tmp_path: Path, edges: str) -> None:
    layers = {"bronze_to_silver": {"edges": edges}}
    rows = [loads("a", 10), loads("b", 10, "a"), loads("c", 20, "b"), loads("d", 20, "c", "a")]
    assert judged(tmp_path, rows, layers=layers) == [
        (
            "row 2 (b) execution_order: reads a (b.sql:2), which row 1 loads in order 10; "
            "order 20 would be right, and then c in order 21"
        ),
        "row 4 (d) execution_order: reads c (d.sql:2), which row 3 loads in order 20; order 22 would be right",
    ]


def test_a_row_that_reads_several_later_tables_is_one_error(tmp_path: Path) -> None:
    rows = [loads("a", 1), loads("b", 3), loads("c", 1, "a", "b")]
    assert judged(tmp_path, rows) == [
        (
            "row 3 (c) execution_order: reads b (c.sql:3), which row 2 loads in order 3, "
            "and 1 more of order 1 or later; order 4 would be right"
        )
    ]


def test_reads_that_go_in_a_circle_have_no_right_order(tmp_path: Path) -> None:
    rows = [loads("a", 1, "c"), loads("b", 2, "a"), loads("c", 3, "b"), loads("d", 1, "e"), loads("e", 1, "d")]
    found = judged(tmp_path, rows)
    way = "(each is read by the next); take one of these reads out"
    assert found == [
        f"row 1 (a) execution_order: reads go in a circle, so that no order is right: a -> b -> c -> a {way}",
        f"row 4 (d) execution_order: reads go in a circle, so that no order is right: d -> e -> d {way}",
    ]


def test_an_order_that_is_later_than_need_be_is_a_hint(tmp_path: Path) -> None:
    rows = [loads("a", 1), loads("b", 3), loads("c", 3, "a"), loads("d", 2, "a"), loads("e", 3, "d")]
    assert judged(tmp_path, rows) == [
        "row 2 (b) execution_order: could run in order 1: it reads no table that this job loads",
        (
            "row 3 (c) execution_order: could run in order 2: "
            "the last of the tables that it reads here, a, is loaded in order 1"
        ),
    ]
    where, bare = where_of(context(tmp_path), rows)
    assert {problem.severity for problem in check(entries(*bare), where)} == {"hint"}
    assert judged(tmp_path, rows, **LINEAGE) == []  # an order costs nothing there


def test_of_many_hints_the_first_are_printed(tmp_path: Path) -> None:
    where, bare = where_of(context(tmp_path), [loads("a", 1), *(loads(f"b{n}", 2) for n in range(9))])
    lines = as_text(check(entries(*bare), where)).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("rows.yml:20: hint: row 2 (b0) ")
    assert lines[3] == "hint: 6 more like these; --format json lists all"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return context(tmp_path_factory.mktemp("lineage"), **LINEAGE)


@st.composite
def tables(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Tables that read some of those before them, in orders that need not be right, in any order of rows."""
    size = draw(st.integers(1, 9))
    found = []
    for n in range(size):
        reads = draw(st.lists(st.integers(0, n), max_size=3, unique=True))  # itself among them
        found.append(loads(f"t{n}", draw(st.integers(1, 5)), *(f"t{other}" for other in reads)))
    return list(draw(st.permutations(found)))


@given(rows=tables())
def test_edges_are_the_reads_and_go_from_smaller_to_larger_orders(base: Context, rows: list[dict[str, Any]]) -> None:
    where, bare = where_of(base, rows)
    if errors(check(entries(*bare), where)):
        return
    found = planned(where, *bare)
    order_of = {task.task_key: task.order for task in found.loads}
    place = {task.task_key: index for index, task in enumerate(found.tasks)}
    reads = {str(columns["dst_table_name"]): {*columns["reads"]} - {columns["dst_table_name"]} for columns in rows}
    for key, on in waits(found).items():
        assert all(place[other] < place[key] for other in on)
        if key != "run_summary":
            assert set(on) == reads[key]
            assert all(order_of[other] < order_of[key] for other in on)
    assert set(waits(found)["run_summary"]) == set(order_of) - set().union(*reads.values())


@given(rows=tables())
def test_the_orders_that_the_messages_name_are_right(base: Context, rows: list[dict[str, Any]]) -> None:
    where, bare = where_of(base, rows)
    order_of = {str(columns["dst_table_name"]): int(columns["execution_order"]) for columns in rows}
    wrong = {
        str(columns["dst_table_name"])
        for columns in rows
        for other in columns["reads"]
        if other != columns["dst_table_name"] and order_of[other] >= order_of[str(columns["dst_table_name"])]
    }
    problems = errors(check(entries(*bare), where))
    assert {problem.table for problem in problems} == wrong
    for problem in problems:
        order_of[problem.table] = int(re.findall(r"order (\d+) would be right", problem.remedy)[0])
        order_of.update({name: int(order) for name, order in re.findall(r"(\w+) in order (\d+)", problem.remedy)})
    mended = [{**columns, "execution_order": order_of[str(columns["dst_table_name"])]} for columns in bare]
    assert errors(check(entries(*mended), where)) == ()


# --- SQL files that cannot be taken as they are ----------------------------------------------------------------------


def sql_said(folder: Path, text: str, rows: Sequence[dict[str, object]] = (), **settings: object) -> list[str]:
    project(folder)
    (folder / "bundle" / "f.sql").write_text(text, encoding="utf-8")
    found = said(folder, rows or [row(sql_file_path="f.sql")], **settings)
    return [message.replace(folder.as_posix(), "HERE") for message in found]


WINDOW = "SELECT 1 FROM {bronze_catalog}.a.b\nGROUP BY window(t, '1 day')"
SAY = "say what it reads in a line `-- laketasks reads: {catalog_variable}.schema.table`"


def test_what_the_parser_refuses_is_an_error_unless_the_file_declares_its_reads(tmp_path: Path) -> None:
    trouble = "row 1 (dim_customer) sql_file_path: it is not understood at ',', expecting )"
    assert sql_said(tmp_path, WINDOW) == [f"{trouble}; correct it, or, if Databricks takes it, {SAY}"]
    assert sql_said(tmp_path, f"-- laketasks reads: {{bronze_catalog}}.a.b\n{WINDOW}") == [
        f"{trouble}; what it reads is what it declares"
    ]
    for text in ("SELECT 1; SELECT 2", "INSERT INTO a.b.c SELECT 1"):
        found = sql_said(tmp_path, f"-- laketasks reads: nothing\n{text}")
        assert [message.split("; ", 1)[1] for message in found] == ["write one SELECT; WITH, UNION and VALUES are fine"]


def test_a_file_that_two_rows_share_is_one_problem(tmp_path: Path) -> None:
    rows = [row(sql_file_path="f.sql"), row(dst_table_name="other", sql_file_path="f.sql")]
    assert len(sql_said(tmp_path, "SELECT (", rows)) == 1


def test_the_place_in_the_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    where, _ = where_of(context(tmp_path), [])
    where = replace(where, settings=replace(where.settings, file="bundle/settings.yml"), sql={"sql/f.sql": WINDOW})
    (problem,) = check(entries(row(sql_file_path="sql/f.sql")), where)
    assert as_text([problem]).startswith("bundle/sql/f.sql:2:18: row 1 (dim_customer) sql_file_path: it is not")


def test_a_table_without_its_catalog_is_a_warning_and_under_lineage_an_error(tmp_path: Path) -> None:
    remedy = "write {catalog_variable}.schema.table: else the session decides which table it is"
    rows = [row(sql_file_path="f.sql")]
    text = "SELECT * FROM core.dim_a JOIN dim_b JOIN dim_b AS again JOIN {silver_catalog}.core.c"
    says = [f"row 1 (dim_customer) sql_file_path: names dim_b without its catalog and schema; {remedy}"]
    says += [f"row 1 (dim_customer) sql_file_path: names core.dim_a without its catalog; {remedy}"]
    for settings, severity in (({}, "warning"), (LINEAGE, "error")):
        assert sorted(sql_said(tmp_path, text, rows, **settings)) == sorted(says)
        found = check(entries(*rows), context(tmp_path, {"f.sql": text}, **settings))
        assert {problem.severity for problem in found} == {severity}


def test_a_name_that_only_the_run_knows_has_to_be_declared(tmp_path: Path) -> None:
    text = "SELECT * FROM IDENTIFIER(:t)"
    found = f"row 1 (dim_customer) sql_file_path: reads a table whose name is known only when it runs; {SAY}"
    assert sql_said(tmp_path, text, **LINEAGE) == [found]
    assert sql_said(tmp_path, f"-- laketasks reads: {{silver_catalog}}.core.a\n{text}", **LINEAGE) == []


def test_a_declaration_is_checked(tmp_path: Path) -> None:
    assert sql_said(tmp_path, "-- laketasks reads: {gold}.core.a, core.b\nSELECT 1") == [
        (
            "row 1 (dim_customer) sql_file_path: f.sql holds {gold}, which is no bundle variable of the settings' "
            "catalogs; add it there or write the name"
        ),
        (
            "row 1 (dim_customer) sql_file_path: 'core.b' names no table; "
            "write catalog.schema.table, with commas between tables, or `nothing`"
        ),
    ]
