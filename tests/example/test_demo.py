"""The demo as a user starts it, then two more runs; what it logged and loaded against what DuckDB expects."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable

from example import tpcds
from example.delta import read_table
from example.history import customer_history
from example.story import STORIES
from tests.example.expected import FATES, ROOT, Row, Warehouse, read_rows

pytestmark = pytest.mark.timeout(900)  # three runs of thirty tables, on a machine that may be busy

COUNTS = ("read", *FATES, "keys_missing")
NEVER = ("stale", "dropped", "quarantined")
ROWS = read_rows()
NAMES = [row.name for row in ROWS]
TABLE = yaml.safe_load((ROOT / "bundle" / "execution_table.yml").read_text(encoding="utf-8"))
THROUGH_SQL = {row["dst_table_name"]: str(row["sql_file_path"]) for row in TABLE if row.get("sql_file_path")}
OF_SILVER = {
    name for name, path in THROUGH_SQL.items() if "{bronze_catalog}" not in (ROOT / "bundle" / path).read_text()
}
SOURCES = {row["dst_table_name"]: row.get("src_table_name") for row in TABLE}
SURROGATES = {row.surrogate for row in ROWS if row.surrogate}
OURS = {"valid_from", "valid_to", "is_current", "is_deleted", "deleted_at"} | SURROGATES


@dataclass(frozen=True, slots=True, kw_only=True)
class Demo:
    """A finished demo, a third run, and one after commits that change no row.

    `expected` has the counts of each run by table, `duck` silver as it must be.
    """

    workspace: Path
    output: str
    log: list[dict[str, dict[str, object]]]
    expected: list[dict[str, dict[str, int]]]
    duck: Warehouse
    before_third: list[str]
    after_third: list[str]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    checkout = tmp_path_factory.mktemp("checkout")  # the demo generates the job file: not into this checkout
    shutil.copy(ROOT / "databricks.yml", checkout)
    shutil.copytree(ROOT / "bundle", checkout / "bundle")
    workspace = checkout / ".demo"
    output = python(checkout, "example", "demo", "--workspace", ".demo")
    before = versions(workspace)
    load = ("localjobs", "run", "resources/bronze_to_silver.job.yml", "--workspace", ".demo")
    python(checkout, *load)
    for name in tpcds.TABLES:  # commits that change no row, so that the next run looks at all of them
        table = DeltaTable(workspace / "dev_bronze" / "tpcds" / name)
        table.alter.set_table_properties({"touched": "true"}, raise_if_not_exists=False)
    python(checkout, *load)
    duck = Warehouse()
    return Demo(
        workspace=workspace,
        output=output,
        log=run_log(workspace),
        expected=[expect(duck, workspace, day) for day in (1, 2, 2, 2)],
        duck=duck,
        before_third=before,
        after_third=versions(workspace),
    )


def python(folder: Path, *arguments: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def versions(workspace: Path) -> list[str]:
    """Every commit of every table of silver; what a load stages for itself is swept by the next run."""
    retail = workspace / "dev_silver" / "retail"
    return sorted(str(commit.relative_to(retail)) for name in NAMES for commit in retail.glob(f"{name}/_delta_log/*"))


def run_log(workspace: Path) -> list[dict[str, dict[str, object]]]:
    """The log's rows by table, one mapping per run, in the order of the runs."""
    rows = read_table(workspace / "dev_silver" / "metadata" / "run_log").to_pylist()
    runs = sorted({row["job_run_id"] for row in rows}, key=int)
    return [{row["task_key"]: row for row in rows if row["job_run_id"] == run} for run in runs]


def expect(duck: Warehouse, workspace: Path, day: int) -> dict[str, dict[str, int]]:
    for name in tpcds.TABLES:
        version = 1 if day == 2 and name in STORIES else 0
        duck.put(name, read_table(workspace / "dev_bronze" / "tpcds" / name, version))
    return {row.name: duck.load(row) for row in ROWS}


def silver(demo: Demo, name: str) -> pa.Table:
    return read_table(demo.workspace / "dev_silver" / "retail" / name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("run", [0, 1, 3], ids=["day1", "day2", "again"])
def test_counts_are_those_that_bronze_alone_tells(demo: Demo, name: str, run: int) -> None:
    logged, expected = demo.log[run][name], demo.expected[run][name]
    if run == 1 and name not in THROUGH_SQL and SOURCES[name] not in STORIES:
        expected = dict.fromkeys(expected, 0)  # day 2 leaves this table as it was, so that nothing is read
    if run == 3 and name in OF_SILVER:
        expected = dict.fromkeys(expected, 0)  # every table of bronze has a new version, and no table of silver
    assert logged["status"] == "SUCCESS"
    assert {count: logged[count] for count in COUNTS} == {"keys_missing": 0} | expected
    assert [logged[count] for count in NEVER] == [0, 0, 0]


def test_every_run_loaded_every_table_once(demo: Demo) -> None:
    assert [set(run) for run in demo.log] == [set(NAMES)] * 4


def test_a_table_whose_sources_are_unchanged_is_not_read(demo: Demo) -> None:
    """An unchanged night reads none of the 30 tables, those with SQL included."""
    for name, logged in demo.log[2].items():
        found = {count: logged[count] for count in COUNTS}
        expected = {"keys_missing": 0} | demo.expected[2][name]
        assert found == dict.fromkeys(expected, 0), name


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_silver_holds_what_bronze_tells(demo: Demo, row: Row) -> None:
    duck, expected = demo.duck, f"dev_silver.retail.{row.name}"
    put_surrogates(demo)
    duck.connection.register("actual", silver(demo, row.name))
    columns = {column for column in duck.columns("actual") if not column.startswith("_")}
    wanted = {column for column in duck.columns(expected) if not column.startswith("_")}
    assert columns - OURS == wanted - OURS
    time_of_run = {"valid_to"} if row.config.on_missing != "ignore" else set()
    compared = sorted((columns & wanted) - {row.surrogate} - time_of_run)
    theirs = f"SELECT {', '.join(map(named, compared))} FROM actual AS a"
    ours = f"SELECT {', '.join(compared)} FROM {expected}"
    assert duck.run(f"({theirs}) EXCEPT ALL ({ours}) LIMIT 3") == []
    assert duck.run(f"({ours}) EXCEPT ALL ({theirs}) LIMIT 3") == []


def named(column: str) -> str:
    """The loader's surrogate keys in the expectation's words: who refers to whom is compared, not the digest."""
    return f"(SELECT told FROM pairs WHERE made = a.{column}) AS {column}" if column in SURROGATES else column


def put_surrogates(demo: Demo) -> None:
    demo.duck.run("CREATE OR REPLACE TEMP TABLE pairs AS SELECT '-1' AS made, '-1' AS told")
    for row in ROWS:
        if row.surrogate:
            demo.duck.connection.register("made", silver(demo, row.name))
            columns, on = f"made.{row.surrogate}, told.{row.surrogate}", ", ".join((*row.keys, "valid_from"))
            joined = f"FROM made JOIN dev_silver.retail.{row.name} AS told USING ({on})"
            demo.duck.run(f"INSERT INTO pairs SELECT {columns} {joined}")
    assert demo.duck.number("SELECT count(*) - count(DISTINCT made) FROM pairs") == 0


def test_versions_do_not_overlap_and_one_is_open(demo: Demo) -> None:
    for row in ROWS:
        if row.runner == "scd2":
            demo.duck.connection.register("actual", silver(demo, row.name))
            keys = ", ".join(row.keys)
            crossing = f"lead(valid_from) OVER (PARTITION BY {keys} ORDER BY valid_from) < valid_to"
            wrong = f"valid_from >= valid_to OR is_current <> (year(valid_to) = 9999) OR {crossing}"
            assert demo.duck.number(f"SELECT count(*) FROM (SELECT {wrong} AS bad FROM actual) WHERE bad") == 0, (
                row.name
            )


def test_new_sales_find_the_version_of_their_day(demo: Demo) -> None:
    demo.duck.connection.register("sales", silver(demo, "fact_store_sales"))
    demo.duck.connection.register("items", silver(demo, "dim_item"))
    found = demo.duck.run(
        "SELECT sold_date::VARCHAR, count(*) FROM sales JOIN items USING (item_key) "
        "WHERE sold_date >= DATE '2004-01-01' AND valid_from > TIMESTAMPTZ '2000-01-01' GROUP BY 1"
    )
    assert [date for date, _ in found] == ["2004-01-03"]  # sales of the evening before still find the older version


def test_a_third_run_writes_nothing(demo: Demo) -> None:
    assert demo.after_third == demo.before_third
    assert all(demo.log[2][name][effect] == 0 for name in NAMES for effect in ("rows_inserted", "rows_updated"))


def test_one_customers_history_reads_as_a_person_expects(demo: Demo) -> None:
    header, _, *versions = customer_history(demo.workspace)
    assert header.split() == ["customer", "lives", "at", "valid_from", "valid_to", "is_current"]
    assert len(versions) == 2
    first, second = (version.split("  ") for version in versions)
    (first, second) = ([cell.strip() for cell in version if cell.strip()] for version in (first, second))
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert first[2] == "1900-01-01"
    assert first[3] == second[2]
    assert second[2].startswith("2004-01-02 20:")
    assert second[3] == "9999-12-31"
    assert (first[4], second[4]) == ("false", "true")
    assert all(version in demo.output for version in versions)


def test_the_demo_says_what_to_try_next(demo: Demo) -> None:
    assert "make run" in demo.output
    assert "open .demo/report.html in a browser" in demo.output
    page = (demo.workspace / "report.html").read_text(encoding="utf-8")
    assert "all 30 tables loaded" in page
    assert "fact_store_sales" in demo.output


def test_a_step_that_fails_ends_the_demo(tmp_path: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "example", "demo", "--workspace", "w"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode != 0  # there is no bundle to generate a job from
    assert "The demo ends at step 2: `python -m generator generate`" in done.stdout
