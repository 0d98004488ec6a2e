"""The dashboard of the run log: its file holds together, and its queries say on each engine what the monitor says."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from generator.cli import main as generator
from laketasks.run_log import COLUMNS, create_run_log
from laketasks.sql import quote_table
from monitor.run_log import COUNTS, loads_of, newest
from monitor.trends import trends_of
from tests.conftest import Schemas

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]
FILE = ROOT / "resources/run_log.lvdash.json"
DASHBOARD: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
QUERIES = {dataset["name"]: "".join(dataset["queryLines"]) for dataset in DASHBOARD["datasets"]}
WIDGETS = [placed["widget"] for page in DASHBOARD["pages"] for placed in page["layout"]]
NIGHTS = 20


# --- the files ---


def test_the_resource_names_the_run_log_of_the_settings() -> None:
    resource = yaml.safe_load((ROOT / "resources/run_log.dashboard.yml").read_text(encoding="utf-8"))
    (dashboard,) = resource["resources"]["dashboards"].values()
    settings = yaml.safe_load((ROOT / "bundle/settings.yml").read_text(encoding="utf-8"))
    catalog, schema, table = settings["run_log"].split(".")
    assert (ROOT / "resources" / dashboard["file_path"]) == FILE
    assert dashboard["dataset_catalog"] == f"${{var.{settings['catalogs'][catalog]}}}"
    assert dashboard["dataset_schema"] == schema
    for query in QUERIES.values():
        made = re.findall(r"(\w+) AS \(", query)
        assert {*re.findall(r"\bFROM (\w+)", query)} - {*made} == {table}
    variables = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))["variables"]
    assert dashboard["warehouse_id"] == "${var.warehouse_id}"
    assert "warehouse_id" in variables


def test_widgets_have_names_of_their_own_and_do_not_cover_each_other() -> None:
    names = [widget["name"] for widget in WIDGETS]
    assert len({*names}) == len(names)
    for page in DASHBOARD["pages"]:
        cells: set[tuple[int, int]] = set()
        for placed in page["layout"]:
            at = placed["position"]
            own = {(at["x"] + x, at["y"] + y) for x in range(at["width"]) for y in range(at["height"])}
            assert not own & cells
            assert at["x"] + at["width"] <= 6
            cells |= own


def used(encodings: object) -> Iterator[str]:
    """Every field that the encodings of a widget show."""
    if isinstance(encodings, dict):
        if "fieldName" in encodings:
            yield encodings["fieldName"]
        for below in encodings.values():
            yield from used(below)
    elif isinstance(encodings, list):
        for below in encodings:
            yield from used(below)


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget["name"])
def test_a_widget_shows_fields_that_it_asks_for(widget: dict[str, Any]) -> None:
    asked = [field for query in widget["queries"] for field in query["query"]["fields"]]
    shown = [*used(widget["spec"]["encodings"])]
    assert shown
    assert {*shown} <= {field["name"] for field in asked}
    assert {query["query"]["datasetName"] for query in widget["queries"]} <= QUERIES.keys()


def test_generate_leaves_the_dashboard_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bundle", "resources"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "databricks.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    before = {file.name: file.read_bytes() for file in (tmp_path / "resources").iterdir()}
    assert generator(["generate"]) == 0
    assert generator(["check"]) == 0
    assert {file.name: file.read_bytes() for file in (tmp_path / "resources").iterdir()} == before


# --- the queries ---


def row(key: str, night: float, seconds: float, written: int, **more: Any) -> dict[str, Any]:
    start = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=NIGHTS - night)
    told = {"job_run_id": f"10{round(night):02}", "task_key": key, "target": f"dev_silver.s.{key}", "attempt": 1}
    times = {"started_at": start, "ended_at": start + timedelta(seconds=seconds)}
    counts = dict.fromkeys(COUNTS, 0) | {"read": 2 * written, "rows_updated": written}
    kept = {"execution_pipeline": "scd1", "src_system": "erp", "wheel_version": "1"}
    return dict.fromkeys(COLUMNS) | told | times | counts | kept | {"status": "SUCCESS"} | more


def nights() -> list[dict[str, Any]]:
    """Some tables are as ever, some got slower, some stopped changing, one fails and is tried again."""
    rows = []
    for night in range(NIGHTS):
        late = night >= NIGHTS - 6
        rows += [
            row("slow", night, 31 if late else 12, 5),
            row("slower", night, 95 if late else 30 + night % 4, 5),
            row("quick", night, 3 if late else 1, 5),
            row("dead", night, 4, 0 if late else 9),
            row("seldom", night, 4, 9 if night % 7 == 0 else 0),
            row("never", night, 4, 0),
        ]
        if night > NIGHTS - 4:
            rows.append(row("young", night, 60, 3))
        if night < NIGHTS - 1:
            rows.append(row("calm", night, 10 + night % 3, 5))
    failed = dict.fromkeys(COUNTS) | {"status": "FAILED", "error_class": "LoadError", "error": "no key\nat all"}
    rows.append(row("calm", NIGHTS - 1, 5, 0, **failed))
    rows.append(row("calm", NIGHTS - 1 + 0.001, 400, 0, **failed, attempt=2))
    for key in ("slow", "dead", "dry"):  # nobody slept through a dry run: it is no night
        rows.append(row(key, NIGHTS - 0.5, 900, 70, job_run_id="1", status="DRY_RUN"))
    return rows


@pytest.fixture
def logged(spark: SparkSession, schemas: Schemas) -> Iterator[str]:
    """The run log with these nights, in the catalog and schema where a query looks for a bare name."""
    catalog, schema = schemas.silver
    name = f"{catalog}.{schema}.run_log"
    create_run_log(spark, name)
    columns = ", ".join(f"`{column}` {kind}" for column, kind in COLUMNS.items())
    values = [tuple(given[column] for column in COLUMNS) for given in nights()]
    spark.createDataFrame(values, columns).write.insertInto(quote_table(name))
    before = spark.catalog.currentCatalog(), spark.catalog.currentDatabase()
    spark.catalog.setCurrentCatalog(catalog)
    spark.catalog.setCurrentDatabase(schema)
    yield name
    spark.catalog.setCurrentCatalog(before[0])
    spark.catalog.setCurrentDatabase(before[1])


def test_the_queries_say_what_the_monitor_says(spark: SparkSession, logged: str) -> None:
    answers = {name: [row.asDict() for row in spark.sql(query).collect()] for name, query in QUERIES.items()}
    columns = {name: spark.sql(query).columns for name, query in QUERIES.items()}
    for widget in WIDGETS:
        for query in (query["query"] for query in widget["queries"]):
            named = [found for field in query["fields"] if (found := re.fullmatch(r"`(\w+)`", field["expression"]))]
            wanted = {found[1] for found in named} - {"associative_filter_predicate_group"}
            assert wanted <= {*columns[query["datasetName"]]}

    rows = spark.sql(newest(quote_table(logged), lambda name: f"unix_micros({name})", 30)).collect()
    found = trends_of(logged, loads_of(row.asDict() for row in rows))
    assert [row["task_key"] for row in answers["slower"]] == [table.key for table in found.slower] == ["slower", "slow"]
    assert [(row["seconds_now"], row["seconds_before"]) for row in answers["slower"]] == [
        (table.now, table.usual) for table in found.slower
    ]
    (stopped,) = found.stopped
    assert [(row["task_key"], row["loads_without_change"]) for row in answers["stopped"]] == [("dead", stopped.quiet)]
    assert answers["stopped"][0]["changes_before"] == NIGHTS - 6

    assert [row["job_run_id"] for row in answers["runs"]] == [run.run_id for run in reversed(found.runs)]
    assert [(row["tables"], row["failed"]) for row in answers["runs"]] == [
        (run.tables, run.failed) for run in reversed(found.runs)
    ]
    assert [float(row["minutes"]) for row in answers["runs"]] == [
        pytest.approx(run.seconds / 60, abs=0.01) for run in reversed(found.runs)
    ]
    (last,) = answers["last_run"]
    assert (last["job_run_id"], last["tables"], last["failed"]) == (f"10{NIGHTS - 1}", 8, 1)
    assert len(answers["loads"]) == found.loads
    assert sum(row["rows_changed"] or 0 for row in answers["loads"]) == sum(
        point.changed for table in found.tables for point in table.points
    )
    failures = [(row["attempt"], row["error"]) for row in answers["failures"]]
    assert failures == [(2, "no key\nat all"), (1, "no key\nat all")]
