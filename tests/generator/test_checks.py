"""One mistake, one message, for every rule about rows."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.build import build
from generator.checks import check
from generator.problem import sentence
from tests.generator.rows import context, entries, project, row, sentences

CASES = yaml.safe_load((Path(__file__).parent / "messages" / "rows.yml").read_text(encoding="utf-8"))


def judged(
    folder: Path, *rows: dict[str, object], sql: dict[str, str | None] | None = None, **settings: object
) -> list[str]:
    layers = {str(columns["layer"]): {} for columns in rows if columns["layer"]}
    return sentences(check(entries(*rows), context(folder, sql, **{"layers": layers, **settings})))


def test_a_right_row_has_no_problem(tmp_path: Path) -> None:
    assert judged(tmp_path, row()) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["change"])[:60])
def test_rules_about_one_row(tmp_path: Path, case: dict[str, Any]) -> None:
    said = judged(tmp_path, row(**case["change"]))
    assert [message.split(") ", 1)[1] for message in said] == case["says"]


def test_an_inactive_row_is_checked_and_clashes_with_none(tmp_path: Path) -> None:
    inactive = row(is_active_flag=None, business_key_columns=None)
    assert len(judged(tmp_path, row(), inactive)) == 1


HALF_FILLED = (
    {"business_key_columns": None, "load_type": None, "execution_pipeline": None, "execution_order": None},
    {"dst_catalog": None, "dst_schema": None, "layer": None, "src_table_name": None},
    {"execution_pipeline": "not decided", "execution_order": "tbd", "load_type": "?", "cdc_source_config": "todo"},
    {"sql_file_path": "sql/not_written.sql", "layer": "a b", "dst_schema": "a b", "comment": "${x}"},
    {"business_key_columns": [1], "src_system": 5, "colour": "blue"},
)


@pytest.mark.parametrize("change", HALF_FILLED, ids=str)
@pytest.mark.parametrize("flag", [False, None, True])
def test_a_half_filled_row_that_is_not_active_stops_nobody(
    tmp_path: Path, change: dict[str, object], flag: bool | None
) -> None:
    draft = row(dst_table_name="dim_new", is_active_flag=flag, **change)
    built, problems = build(project(tmp_path, [row(), draft], layers={"bronze_to_silver": {}}))
    about = {problem.severity for problem in problems if problem.table == "dim_new"}
    if flag:
        assert built is None
        assert "error" in about
    else:
        assert about == {"warning"}
        assert built is not None
        assert len(built.plans[0].loads) == 1


@pytest.mark.parametrize(
    ("change", "column"),
    [
        ({"dst_table_name": None, "is_active_flag": False}, "dst_table_name"),
        ({"dst_table_name": "a b", "is_active_flag": False}, "dst_table_name"),
        ({"is_active_flag": "maybe", "dst_schema": None}, "is_active_flag"),
    ],
)
def test_a_row_that_is_not_active_says_its_name_and_that_it_is_not(
    tmp_path: Path, change: dict[str, object], column: str
) -> None:
    built, problems = build(project(tmp_path, [row(), row(**{"dst_table_name": "dim_new", **change})]))
    assert built is None
    assert column in {problem.column for problem in problems if problem.severity == "error"}


def test_a_bad_sql_file_of_an_active_row_is_an_error_though_an_inactive_row_names_it_first(tmp_path: Path) -> None:
    draft = row(dst_table_name="dim_new", is_active_flag=False, sql_file_path="a.sql")
    used = row(sql_file_path="a.sql")
    found = check(entries(draft, used), context(tmp_path, {"a.sql": "SELECT 1; SELECT 2"}))
    assert [(problem.row, problem.severity) for problem in found] == [(2, "error")]


def test_an_absent_flag_is_not_taken_for_false(tmp_path: Path) -> None:
    columns = row()
    del columns["is_active_flag"]
    assert judged(tmp_path, columns) == [
        "row 1 (dim_customer) is_active_flag: missing; true loads the table, false or null leaves it out"
    ]


def test_an_unknown_pipeline_is_refused_or_left_out(tmp_path: Path) -> None:
    unknown = row(execution_pipeline="scd_2")
    assert judged(tmp_path, unknown) == [
        (
            "row 1 (dim_customer) execution_pipeline: unknown 'scd_2'; did you mean scd2? Else use one of scd1, scd2, "
            "fact_overwrite, fact_incremental_merge, or define a runner in settings.yml"
        )
    ]
    also = judged(tmp_path, {**unknown, "business_key_columns": None, "cdc_source_config": {"lookbak": "1 day"}})
    assert [message.split(") ")[1].split(";")[0] for message in also] == [
        "execution_pipeline: unknown 'scd_2'",
        "business_key_columns: required for scd2",
        "cdc_source_config: unknown key 'lookbak'",
    ]
    warnings = check(entries(unknown), context(tmp_path, on_unknown_pipeline="skip"))
    assert [problem.severity for problem in warnings] == ["warning"]


def test_a_runner_of_the_settings_has_rules_of_its_own(tmp_path: Path) -> None:
    foreign = row(execution_pipeline="nb", load_type="delta", src_catalog="a label", cdc_source_config='{"mine": 1}')
    runners = {"nb": {"notebook_task": {"notebook_path": "x"}}}
    assert judged(tmp_path, foreign, runners=runners) == []
    assert judged(tmp_path, {**foreign, "cdc_source_config": "mine"}, runners=runners) == [
        'row 1 (dim_customer) cdc_source_config: not a JSON object; write {} or {"key": value}'
    ]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("../a.sql", "", "'../a.sql' does not stay below the settings' folder"),
        ("/a.sql", "", "'/a.sql' does not stay below the settings' folder"),
        ("sql/a.sql", None, "no such file (UTF-8 text): 'sql/a.sql'"),
        ("sql/a.sql", "-- {nothing}\n/* 'at' all */", "sql/a.sql holds no SQL"),
        (
            "sql/a.sql",
            "SELECT {bronze}",
            "sql/a.sql holds {bronze}, which is no bundle variable of the settings' catalogs",
        ),
        ("sql/a.sql", "SELECT * FROM dev_bronze.a.b", "sql/a.sql names catalog dev_bronze itself, on every target"),
        ("sql/a.sql", "SELECT '{x}', 'it''s {y}', \"{z}\" -- don't {w}\nFROM `{bronze_catalog}`.a.b", ""),
        ("sql/a.sql", r"SELECT 'a\'{x}' FROM {bronze_catalog}.a.b", ""),
    ],
)
def test_sql_files(tmp_path: Path, path: str, text: str | None, message: str) -> None:
    problems = check(entries(row(sql_file_path=path)), context(tmp_path, {path: text}))
    assert [problem.what.split("; did")[0] for problem in problems] == ([message] if message else [])


def test_an_incremental_join_wants_a_watermark_of_both(tmp_path: Path) -> None:
    join = row(sql_file_path="a.sql", load_type="incremental")
    sql = {"a.sql": "SELECT * FROM {bronze_catalog}.a.b JOIN {bronze_catalog}.a.c USING (id)"}
    assert [problem.severity for problem in check(entries(join), context(tmp_path, sql))] == ["warning"]
    greatest = {"a.sql": sql["a.sql"].replace("*", "greatest(b.w, c.w) AS w")}
    assert check(entries(join), context(tmp_path, greatest)) == ()


def test_one_active_row_for_each_destination_whatever_the_case(tmp_path: Path) -> None:
    assert judged(tmp_path, row(), row(dst_table_name="DIM_customer")) == [
        (
            "row 2 (DIM_customer) dst_table_name: dev_silver.core.DIM_customer is loaded by row 1 already; "
            "keep one row active for each table"
        )
    ]


@pytest.mark.parametrize(
    ("config", "other", "refused"),
    [
        ({"expectations": {"expect_or_quarantine": {"a": "id > 0"}}}, {}, True),
        ({"on_null_key": "quarantine"}, {}, True),
        ({"on_null_key": "quarantine"}, {"dst_table_name": "Dim_Customer_QUARANTINE"}, True),
        ({"on_null_key": "quarantine"}, {"layer": "another", "execution_pipeline": "scd2"}, True),
        ({"on_null_key": "quarantine"}, {"dst_schema": "other"}, False),
        ({"on_null_key": "quarantine"}, {"is_active_flag": False}, False),
        ({"expectations": {"expect_or_drop": {"a": "id > 0"}}}, {}, False),
    ],
)
def test_a_table_is_not_the_quarantine_of_another(
    tmp_path: Path, config: dict[str, Any], other: dict[str, Any], refused: bool
) -> None:
    rows = (row(cdc_source_config=config), row(**{"dst_table_name": "dim_customer_quarantine", **other}))
    expected = "is the quarantine of row 1 (dim_customer), which sets rows aside there; give this table another name"
    assert any(expected in problem for problem in judged(tmp_path, *rows)) is refused


def test_a_system_has_one_spelling(tmp_path: Path) -> None:
    rows = [row(dst_table_name=f"t{n}", src_system=name) for n, name in enumerate(("erp", "ERP", "erp", "crm"))]
    assert judged(tmp_path, *rows) == [
        (
            "row 2 (t1) src_system: one name in several spellings, which the tables keep apart: "
            "'erp' in 2 and 'ERP' in 1 rows; write erp in all"
        )
    ]


def test_two_sources_of_one_table_are_named_and_one_select_is_the_way(tmp_path: Path) -> None:
    north, south = row(src_table_name="customer_north"), row(src_table_name="customer_south")
    by_sql = row(sql_file_path="sql/east.sql")
    sql: dict[str, str | None] = {"sql/east.sql": "SELECT 1 AS id"}
    loaded = "dst_table_name: dev_silver.core.dim_customer is loaded by row 1 already, from another source: row 1 reads"
    way = (
        "make one row of them with a SQL file (sql_file_path) that joins the sources by UNION ALL, "
        "or give one of them a table of its own"
    )
    assert judged(tmp_path, north, south, by_sql, sql=sql) == [
        f"row 2 (dim_customer) {loaded} dev_bronze.erp.customer_north, this row dev_bronze.erp.customer_south; {way}",
        f"row 3 (dim_customer) {loaded} dev_bronze.erp.customer_north, this row sql/east.sql; {way}",
    ]


def test_a_layer_without_settings_is_one_warning(tmp_path: Path) -> None:
    rows = [row(layer=layer, dst_table_name=f"t{n}") for n, layer in enumerate(["gold", "gold", "bronze_to_silvr"])]
    layers = {"bronze_to_silver": None}
    found = check(entries(row(), *rows), context(tmp_path, layers=layers))
    nothing = "has no settings: its job has no schedule, retries or notifications"
    assert [(problem.severity, sentence(problem)) for problem in found] == [
        ("warning", f"row 2 (t0) layer: layer 'gold' {nothing}; write `gold:` under layers in settings.yml"),
        (
            "warning",
            (
                f"row 4 (t2) layer: layer 'bronze_to_silvr' {nothing}; did you mean bronze_to_silver? "
                "Else write `bronze_to_silvr:` under layers in settings.yml"
            ),
        ),
    ]


def test_one_row_for_each_task_key_of_a_layer(tmp_path: Path) -> None:
    twice = row(), row(dst_schema="other")
    assert judged(tmp_path, *twice) == [
        (
            "row 2 (dim_customer) dst_table_name: task key 'dim_customer' is that of row 1 too; "
            'set task_key: "{dst_schema}__{dst_table_name}" for layer bronze_to_silver in settings.yml'
        )
    ]
    layers = {"bronze_to_silver": {"task_key": "{dst_schema}__{dst_table_name}"}}
    assert judged(tmp_path, *twice, layers=layers) == []
    assert judged(tmp_path, twice[0], {**twice[1], "layer": "another"}) == []


def test_layers_differ_by_more_than_case(tmp_path: Path) -> None:
    assert judged(tmp_path, row(layer="a"), row(layer="A", dst_schema="s")) == [
        "row 2 (dim_customer) layer: 'A' and 'a' of row 1 differ by case only; write both alike"
    ]


def test_a_table_is_read_after_it_is_loaded(tmp_path: Path) -> None:
    reads = {"src_catalog": "dev_silver", "src_schema": "core", "src_table_name": "DIM_CUSTOMER"}
    later = row(dst_table_name="fact", execution_order=2, **reads)
    assert judged(tmp_path, row(), later) == []
    assert judged(tmp_path, row(), {**later, "execution_order": 1}) == [
        "row 2 (fact) execution_order: reads dim_customer, which row 1 loads in order 1; order 2 would be right"
    ]
    assert judged(tmp_path, row(**reads)) == [
        "row 1 (dim_customer) src_table_name: reads the table that it loads; name another source"
    ]


def test_a_table_that_sql_reads_is_loaded_before(tmp_path: Path) -> None:
    sql: dict[str, str | None] = {"f.sql": "SELECT 'x' AS a FROM `{silver_catalog}`.core. DIM_customer"}
    reads = row(dst_table_name="fact", sql_file_path="f.sql")
    assert judged(tmp_path, row(), reads, sql=sql) == [
        (
            "row 2 (fact) execution_order: reads dim_customer (f.sql:1), which row 1 loads in order 1; "
            "order 2 would be right"
        )
    ]
    assert judged(tmp_path, row(), {**reads, "execution_order": 2}, sql=sql) == []
    assert judged(tmp_path, row(), reads, sql={"f.sql": "SELECT 1 -- {silver_catalog}.core.dim_customer"}) == []


def test_settings_name_layers_and_tables_that_exist(tmp_path: Path) -> None:
    layers: dict[str, Any] = {"bronze_to_siver": {}, "bronze_to_silver": {"tables": {"dim_custmer": {}}}}
    assert sorted(judged(tmp_path, row(is_active_flag=False), layers=layers)) == [
        (
            "layers.bronze_to_silver.tables.dim_custmer: no row of the layer has this task key; "
            "did you mean dim_customer? Else rename or remove it"
        ),
        "layers.bronze_to_siver: no row has this layer; did you mean bronze_to_silver? Else rename or remove it",
    ]
