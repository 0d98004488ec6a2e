"""What has to be there before the first load is made once, and what is there stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from laketasks.__main__ import main
from laketasks.spec import BootstrapSpec, SpecError
from tests.laketasks.warehouse import Warehouse

ROOT = Path(__file__).parents[2]
DDL = ROOT / "bundle" / "execution_table.sql"


def ddl_in(schema: str, folder: Path) -> Path:
    """The DDL of the repository, for a schema of the test's own."""
    file = folder / "execution_table.sql"
    file.write_text(DDL.read_text(encoding="utf-8").replace(".metadata.", f".{schema}."), encoding="utf-8")
    return file


def test_it_makes_what_is_missing_and_touches_nothing_that_is_there(
    warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog, schema, _ = warehouse.target.split(".")
    new = f"{catalog}.{schema}_new"
    arguments = [
        "bootstrap",
        f"--run_log={catalog}.{schema}.log",
        f'--schemas=["{new}", "{catalog}.{schema}"]',
        f"--execution_table_sql={ddl_in(schema, tmp_path)}",
        f'--catalogs={{"silver_catalog": "{catalog}"}}',
    ]
    tables = [f"{catalog}.{schema}.log", f"{catalog}.{schema}.execution_table"]
    try:
        assert main(arguments) == 0
        there = f"{catalog}.{schema}: is there"
        assert capsys.readouterr().out.splitlines() == [f"{new}: made", there, *(f"{table}: made" for table in tables)]
        columns = ["NULL", "NULL", "NULL", "NULL", *["'x'"] * 5, "true", "1", "'scd1'", *["NULL"] * 5]
        warehouse.spark.sql(f"INSERT INTO {tables[1]} VALUES ({', '.join(columns)})")
        assert main(arguments) == 0
        said = capsys.readouterr().out.splitlines()
        assert said == [f"{new}: is there", there, *(f"{table}: is there" for table in tables)]
        assert [row[0] for row in warehouse.spark.sql(f"SELECT dst_table_name FROM {tables[1]}").collect()] == ["x"]
        assert len(warehouse.spark.table(tables[1]).columns) == 17
    finally:
        warehouse.spark.sql(f"DROP SCHEMA IF EXISTS {new} CASCADE")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("DROP TABLE {silver_catalog}.m.execution_table", "expected one CREATE TABLE IF NOT EXISTS"),
        ("CREATE OR REPLACE TABLE {silver_catalog}.m.t (a INT)", "expected one CREATE TABLE IF NOT EXISTS"),
        ("CREATE TABLE IF NOT EXISTS {silver_catalog}.m.t (a INT); DROP TABLE x", "expected one CREATE TABLE IF NOT"),
        ("CREATE TABLE IF NOT EXISTS {catalogue}.m.t (a INT)", "{catalogue} is none of the catalogs: silver_catalog"),
    ],
)
def test_a_file_that_does_anything_else_is_refused_before_anything_is_made(
    warehouse: Warehouse, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file = tmp_path / "x.sql"
    file.write_text(text, encoding="utf-8")
    catalog, schema, _ = warehouse.target.split(".")
    arguments = [f"--run_log={catalog}.{schema}_new.run_log", f"--execution_table_sql={file}"]
    assert main(["bootstrap", *arguments, f'--catalogs={{"silver_catalog": "{catalog}"}}']) == 2
    assert says in capsys.readouterr().err
    assert not warehouse.spark.catalog.databaseExists(f"{catalog}.{schema}_new")


def test_a_file_that_is_not_there_is_one_line(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bootstrap", f"--run_log={warehouse.run_log}", "--execution_table_sql=nowhere.sql"]) == 1
    assert capsys.readouterr().err.startswith("LoadError: cannot read nowhere.sql: ")


def test_everything_wrong_with_the_parameters_is_said_at_once() -> None:
    with pytest.raises(SpecError) as found:
        BootstrapSpec.from_parameters({"run_log": "a.b", "schemas": '["c", "d.e", "f.g.h"]'})
    assert found.value.problems == (
        "--run_log: expected catalog.schema.table, found 'a.b'",
        "--schemas: expected catalog.schema, found 'c'",
        "--schemas: expected catalog.schema, found 'f.g.h'",
    )
