"""A load compares what it is made of with its last success: it goes on, reads all once, or refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from laketasks.entry import load_table
from laketasks.error import LoadError, SourceError, StaleInputError, TargetError
from laketasks.identity import PARTS, row_differences, table
from laketasks.spec import CdcSourceConfig, LoadSpec
from tests.laketasks.between import forget_the_log, insert_by_hand, restore, swap, values
from tests.laketasks.warehouse import T, Warehouse

U = "id bigint, v string, u timestamp"
BY_U: dict[str, Any] = {"sequence_by": "u"}
INCREMENTAL: dict[str, Any] = {"sequence_by": "u", "load_type": "incremental"}
MERGING = ["scd1", "fact_incremental_merge"]


# --- grain ---


@pytest.mark.parametrize("before", ["scd1", "fact_overwrite", "fact_incremental_merge"])
def test_a_table_without_versions_does_not_become_a_history(warehouse: Warehouse, before: str) -> None:
    warehouse.source(U, (1, "a", T(1)), (2, "b", T(1)))
    warehouse.load(before, **BY_U)
    warehouse.source(U, (1, "a3", T(3)), (2, "b", T(1)), (3, "c", T(3)))
    warehouse.refuses("scd2", TargetError, f"have no versions.*{before} made it.*adopt", **BY_U)
    forget_the_log(warehouse)
    warehouse.refuses("scd2", TargetError, "have no versions.*new table", **BY_U)


@pytest.mark.parametrize("now", ["scd1", "fact_overwrite", "fact_incremental_merge"])
def test_a_history_is_not_replaced_by_its_present(warehouse: Warehouse, now: str) -> None:
    for day, value in enumerate("abc", start=1):
        warehouse.source(U, (1, value, T(day)), (2, value, T(day)))
        warehouse.load("scd2", twice=False, **BY_U)
    warehouse.refuses(now, TargetError, "is a history.*would lose what only this table has", **BY_U)
    forget_the_log(warehouse)
    warehouse.refuses(now, TargetError, "is a history", **BY_U)
    warehouse.refuses(now, TargetError, "is a history", **BY_U)


@pytest.mark.parametrize("pipeline", MERGING)
def test_an_overwrite_with_two_rows_of_a_key_is_not_merged_into(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source(U, (1, "a", T(1)), (1, "b", T(2)), (2, "c", T(1)))
    warehouse.load("fact_overwrite", keys=[], twice=False)
    warehouse.source(U, (1, "d", T(3)), (2, "c", T(1)))
    warehouse.refuses(pipeline, TargetError, r"more than one row, such as \(id\) = \(1,\).*full_refresh", **BY_U)
    warehouse.load(pipeline, twice=False, context={"full_refresh": "target"}, **BY_U)
    assert warehouse.rows("id", "v") == [(1, "d"), (2, "c")]


# --- arrival: what lies behind the old watermark is read once ---

CHANGES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "where": ({"where": "region = 'N'"}, {}, "where was region = 'N' and is now none: read all"),
    "where to another": ({"where": "region = 'N'"}, {"where": "region IN ('N', 'S')"}, "where was"),
    "columns": ({"column_list": ["v"]}, {"column_list": ["v", "region"]}, "the columns were"),
    "columns dropped before": ({"except_column_list": ["region"]}, {}, "the columns were"),
    "watermark": ({"watermark": "arr"}, {"watermark": "other"}, r"watermark was arr \(TIMESTAMP\) and is now other"),
    "rules": (
        {"expectations": {"expect_or_drop": {"north": "region = 'N'"}}},
        {"expectations": {"expect_or_drop": {"any": "region IS NOT NULL"}}},
        "rules were",
    ),
}
ROWS = [(1, "a", "N", T(1), T(1), T(9)), (2, "b", "S", T(1), T(2), T(9)), (3, "c", "N", T(1), T(3), T(9))]


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_lets_other_rows_in_reads_all_once(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str], pipeline: str, change: str
) -> None:
    before, now, said = CHANGES[change]
    columns = "id bigint, v string, region string, u timestamp, arr timestamp, other timestamp"
    row = {"watermark": "arr", **INCREMENTAL}
    warehouse.source(columns, *ROWS)
    warehouse.load(pipeline, twice=False, **{**row, **before})
    capsys.readouterr()
    logged = warehouse.load(pipeline, twice=False, **{**row, **now})
    assert logged["watermark_from"] is None
    assert pytest.approx(logged["read"]) == 3
    expect_in(capsys.readouterr().out, said)
    expect_in(logged["decision"], said)
    kept = {"columns": ["id", "region"], "columns dropped before": ["id", "region"]}.get(change, ["id", "v"])
    fresh = fresh_load(warehouse, pipeline, {**row, **now})
    if pipeline == "scd2":  # a column that comes in is a change, from now on
        assert {tuple(r[c] for c in kept) for r in warehouse.table() if r["is_current"]} == fresh(kept)
    else:
        assert set(warehouse.rows(*kept)) == fresh(kept)
    again = warehouse.load(pipeline, twice=False, **{**row, **now})
    assert again["read"] == 0 or again["watermark_from"] is not None  # once


@pytest.mark.parametrize("pipeline", MERGING)
def test_another_source_table_is_read_whole(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source(U, (1, "a", T(5)), name="one")
    warehouse.source(U, (1, "a", T(5)), (2, "b", T(1)), name="two")
    warehouse.load(pipeline, twice=False, source_name="one", **INCREMENTAL)
    assert warehouse.load(pipeline, twice=False, source_name="two", **INCREMENTAL)["new"] == 1
    assert warehouse.rows("id", "v") == [(1, "a"), (2, "b")]


@pytest.mark.parametrize("load_type", ["full", "incremental"])
@pytest.mark.parametrize("pipeline", [*MERGING, "scd2", "fact_overwrite"])
def test_a_swapped_source_of_the_same_version_is_another_table(
    warehouse: Warehouse, pipeline: str, load_type: str
) -> None:
    row = {**BY_U, "load_type": load_type} if pipeline != "fact_overwrite" else {}
    warehouse.source(U, (1, "a", T(5)))
    warehouse.source(U, (1, "a", T(5)), (2, "b", T(1)), name="green")
    warehouse.load(pipeline, twice=False, **row)
    swap(warehouse, "source", "green")
    assert warehouse.load(pipeline, twice=False, **row)["read"] == 2
    assert warehouse.rows("id", "v") == [(1, "a"), (2, "b")]


# --- target ---


@pytest.mark.parametrize("pipeline", MERGING)
def test_a_restored_target_reads_again_what_was_deleted_since(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, gone boolean, u timestamp"
    row = {**INCREMENTAL, "apply_as_deletes": "gone", "delete_mode": "hard"}
    warehouse.source(columns, (1, False, T(1)), (2, False, T(1)), (3, False, T(1)))
    warehouse.load(pipeline, twice=False, **row)
    first = warehouse.commits() - 1
    warehouse.source(columns, (1, True, T(2)), (2, False, T(1)), (3, False, T(1)))
    warehouse.load(pipeline, twice=False, **row)
    warehouse.source(columns, (1, True, T(2)), (2, True, T(3)), (3, False, T(1)))
    warehouse.load(pipeline, twice=False, **row)
    restore(warehouse, first)
    assert warehouse.rows("id") == [(1,), (2,), (3,)]
    warehouse.source(columns, (1, True, T(2)), (2, True, T(3)), (3, False, T(1)), (4, False, T(4)))
    warehouse.load(pipeline, twice=False, **row)
    assert warehouse.rows("id") == [(3,), (4,)]


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
def test_rows_that_no_loader_wrote_are_refused(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source(U, (1, "a", T(1)))
    warehouse.load(pipeline, **BY_U)
    insert_by_hand(warehouse)
    warehouse.refuses(pipeline, TargetError, "1 rows were not written by a loader.*Delete them, or take them", **BY_U)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id = 9").collect()
    warehouse.load(pipeline, **BY_U)


def test_an_overwrite_replaces_what_somebody_inserted(warehouse: Warehouse) -> None:
    warehouse.source(U, (1, "a", T(1)))
    warehouse.load("fact_overwrite")
    insert_by_hand(warehouse)
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "v") == [(1, "a")]


def test_a_change_by_hand_is_made_good(warehouse: Warehouse) -> None:
    warehouse.source(U, (1, "a", T(1)), (2, "b", T(2)))
    warehouse.load("scd1", **INCREMENTAL)
    warehouse.spark.sql(f"UPDATE {warehouse.target} SET v = 'by hand' WHERE id = 1").collect()
    warehouse.load("scd1", **INCREMENTAL)
    assert warehouse.rows("id", "v") == [(1, "a"), (2, "b")]


# --- what the log does not know of the rows ---


@pytest.mark.parametrize("asked", ["target", "all"])
@pytest.mark.parametrize("now", ["scd1", "fact_overwrite", "fact_incremental_merge"])
def test_full_refresh_does_not_replace_a_history_either(warehouse: Warehouse, now: str, asked: str) -> None:
    for day, value in enumerate("ab", start=1):
        warehouse.source(U, (1, value, T(day)))
        warehouse.load("scd2", twice=False, **BY_U)
    commits = warehouse.commits()
    for logged in (True, False):
        with pytest.raises(TargetError, match="history"):
            load_table({**warehouse.parameters(now, **BY_U), "full_refresh": asked})
        assert warehouse.commits() == commits
        if logged:
            forget_the_log(warehouse)


def test_an_emptied_history_that_was_loaded_without_versions_is_none(warehouse: Warehouse) -> None:
    warehouse.source(U, (1, "a", T(1)))
    warehouse.load("scd2", twice=False, **BY_U)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target}").collect()
    warehouse.load("scd1", twice=False, **BY_U)
    forget_the_log(warehouse)
    warehouse.source(U, (1, "b", T(2)))
    assert warehouse.load("scd1", **BY_U)["changed"] == 1


def test_a_table_without_the_key_does_not_become_a_history(warehouse: Warehouse) -> None:
    warehouse.source(U, (1, "a", T(1)))
    warehouse.load("fact_overwrite", twice=False, keys=(), column_list=["v"])
    warehouse.refuses("scd2", TargetError, "have no versions .* made it, without the column id, .* new table$")


def test_an_overwrite_of_equal_rows_takes_back_their_deletes(warehouse: Warehouse) -> None:
    columns = "id bigint, v string, gone boolean, u timestamp"
    row = {"apply_as_deletes": "gone", "except_column_list": ["gone"], "sequence_by": "u"}
    warehouse.source(columns, (1, "a", False, T(1)), (2, "b", False, T(1)))
    warehouse.load("scd1", twice=False, **row)
    warehouse.source(columns, (1, "a", True, T(1)), (2, "b", False, T(1)))
    warehouse.load("scd1", twice=False, **row)
    warehouse.source(columns, (1, "a", False, T(1)), (2, "b", False, T(1)))
    warehouse.load("fact_overwrite", **row)
    deleted = warehouse.spark.table(warehouse.target).where("is_deleted").count()
    assert (warehouse.rows("id", "v"), deleted) == ([(1, "a"), (2, "b")], 0)


# --- SQL ---


def write_sql(warehouse: Warehouse, text: str) -> dict[str, Any]:
    path = warehouse.workspace / "row.sql"
    path.write_text(text, encoding="utf-8")
    return {"sql_file_path": str(path), "source_name": "none"}


def selecting(warehouse: Warehouse, columns: str) -> dict[str, Any]:
    return write_sql(warehouse, f"SELECT {columns} FROM {warehouse.bronze_table('source')}")


@pytest.mark.parametrize("pipeline", [*MERGING, "scd2"])
def test_changed_sql_stops_an_incremental_load_until_somebody_says_how(warehouse: Warehouse, pipeline: str) -> None:
    columns = "id bigint, n bigint, u timestamp"
    warehouse.source(columns, (1, 10, T(1)), (2, 20, T(2)))
    warehouse.load(pipeline, **selecting(warehouse, "id, n, u"), **INCREMENTAL)
    layout = selecting(warehouse, "ID,\n  n, -- the same\n  u")
    assert warehouse.load(pipeline, **layout, **INCREMENTAL)["watermark_from"] is not None
    doubled = {**selecting(warehouse, "id, 2 * n AS n, u"), **INCREMENTAL}
    refresh = "" if pipeline == "scd2" else "full_refresh.*"
    warehouse.refuses(
        pipeline, TargetError, f"the SQL is another one: .*{refresh}reload_from.*override_guards", **doubled
    )
    warehouse.source(columns, (1, 10, T(1)), (2, 20, T(2)), (3, 30, T(3)))
    current = "is_current" if pipeline == "scd2" else "true"
    warehouse.load(pipeline, twice=False, context={"override_guards": "target"}, **doubled)
    assert values(warehouse, current, "n")[3] == 60
    assert values(warehouse, current, "n")[1] == 10  # loaded rows stay; what shares the last watermark is read
    again: list[tuple[int, dict[str, str]]] = [(3, {"reload_from": "1900-01-01"})]
    again += [(4, {"full_refresh": "target"})] if pipeline != "scd2" else []
    for factor, context in again:
        sql = selecting(warehouse, f"id, {factor} * n AS n, u")
        warehouse.load(pipeline, twice=False, context=context, **sql, **INCREMENTAL)
        assert values(warehouse, current, "n") == {1: 10 * factor, 2: 20 * factor, 3: 30 * factor}


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"])
def test_a_full_read_takes_changed_sql(warehouse: Warehouse, pipeline: str) -> None:
    warehouse.source("id bigint, n bigint", (1, 10))
    warehouse.load(pipeline, **selecting(warehouse, "id, n"))
    warehouse.load(pipeline, **selecting(warehouse, "id, 2 * n AS n"))
    assert values(warehouse, "is_current" if pipeline == "scd2" else "true", "n") == {1: 20}


def test_sql_that_the_job_file_does_not_know_is_refused(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, n bigint", (1, 10))
    parameters = warehouse.parameters("scd1", **selecting(warehouse, "id, n"))
    with pytest.raises(SourceError, match=r"not the one from which the job file was generated.*generate"):
        load_table({**parameters, "sql_fingerprint": "0" * 32})


def repeatable(warehouse: Warehouse, *tables: str) -> dict[str, str]:
    return {"sql_repeatable": "true", "reads": json.dumps([warehouse.bronze_table(name) for name in tables])}


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_overwrite", "fact_incremental_merge"])
def test_sql_is_read_when_a_table_of_it_changed_and_not_else(warehouse: Warehouse, pipeline: str) -> None:
    for name in ("one", "two"):
        warehouse.source("id bigint, n bigint", (1, 10), (2, 20), name=name)
    one, two = (warehouse.bronze_table(name) for name in ("one", "two"))
    row = write_sql(warehouse, f"SELECT a.id, a.n + b.n AS n FROM {one} a JOIN {two} b ON a.id = b.id")
    told = repeatable(warehouse, "one", "two")
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 2
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 0
    warehouse.source("id bigint, n bigint", (1, 10), (2, 30), name="two")
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 2
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 0
    swap(warehouse, "two", "three", columns="id bigint, n bigint", rows=[(1, 11), (2, 30)], commits=2)
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 2
    current = "is_current" if pipeline == "scd2" else "true"
    assert values(warehouse, current, "n") == {1: 21, 2: 50}
    assert warehouse.load(pipeline, twice=False, context={**told, "sql_repeatable": "false"}, **row)["read"] == 2
    warehouse.spark.sql(f"CREATE VIEW {warehouse.bronze_table('seen')} AS SELECT * FROM {one}").collect()
    seen = write_sql(warehouse, f"SELECT id, n FROM {warehouse.bronze_table('seen')}")
    for _ in range(2):  # what a view reads is not known
        assert warehouse.load(pipeline, twice=False, context=repeatable(warehouse, "seen"), **seen)["read"] == 2


# --- inputs of the same run ---


def test_a_load_on_an_old_input_reads_again_when_the_input_is_right(
    warehouse: Warehouse, capsys: pytest.CaptureFixture[str]
) -> None:
    house = (warehouse.spark, warehouse.workspace, warehouse.bronze, warehouse.silver)
    customers = Warehouse(*house, table_name="dim", runs=1000)
    sql = write_sql(
        warehouse,
        f"SELECT f.id, f.customer, coalesce(d.name, 'unknown') AS name, f.u FROM {warehouse.bronze_table('source')} f "
        f"LEFT JOIN {customers.target} d ON d.id = f.customer",
    )
    facts = {**INCREMENTAL, **sql}
    told = {"upstream_tables": json.dumps([customers.target])}

    def night(run: int, dimension: list[tuple[Any, ...]] | None, *rows: tuple[Any, ...]) -> dict[str, Any]:
        customers.runs = warehouse.runs = run - 1
        if dimension is not None:
            customers.source("id bigint, name string", *dimension, name="customers")
            load_table(customers.parameters("scd1", source_name="customers"))
        else:
            with pytest.raises(LoadError):
                load_table(customers.parameters("scd1", source_name="customers", keys=["nothing"]))
        warehouse.source("id bigint, customer bigint, u timestamp", *rows)
        load_table({**warehouse.parameters("fact_incremental_merge", **facts), **told})
        return warehouse_row(warehouse, run)

    rows = [(1, 7, T(1)), (2, 8, T(2)), (3, 8, T(3))]
    night(1, [(7, "a")], rows[0])
    capsys.readouterr()
    marked = night(2, None, *rows[:2])  # the customer 8 has come, but its load fails
    assert list(json.loads(marked["stale_inputs"])) == [customers.target]
    assert f"ran on {customers.target} as of its load of 20" in capsys.readouterr().out
    assert warehouse.rows("id", "name") == [(1, "a"), (2, "unknown")]
    night(3, None, *rows)
    good = night(4, [(7, "a"), (8, "b")], *rows)
    assert good["stale_inputs"] is None
    assert good["watermark_from"].startswith("2024-01-02")  # from before the first marked night
    assert warehouse.rows("id", "name") == [(1, "a"), (2, "b"), (3, "b")]
    told["skip_on_stale_input"] = "true"
    with pytest.raises(StaleInputError, match=r"this run has not loaded .*dim, which it reads. Repair the run; or run"):
        night(5, None, *rows)
    told["override_guards"] = "target"
    assert json.loads(night(6, None, *rows)["stale_inputs"])
    del told["override_guards"]
    night(7, [(7, "a"), (8, "b")], *rows)
    assert night(8, [(7, "a"), (8, "b")], *rows)["watermark_from"].startswith("2024-01-04")


# --- the decision table ---


def spec(pipeline: str = "scd1", **columns: Any) -> LoadSpec:
    config = CdcSourceConfig(**columns.pop("config", {}))
    row = {"source_table": "a.b.c", "business_key_columns": ("id",), **columns}
    return LoadSpec(execution_pipeline=pipeline, target_table="a.b.t", cdc_source_config=config, **row)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        (spec(), spec(comment="other", config={"max_delete_ratio": 0.1}), []),
        (spec(), spec(load_type="incremental"), ["load_type was full and is now incremental: go on"]),
        (spec(config={"where": "a = 1"}), spec(), ["where was a = 1 and is now none: go on"]),
        (
            spec(load_type="incremental", config={"where": "a = 1"}),
            spec(load_type="incremental"),
            ["where was a = 1 and is now none: read all of the source once"],
        ),
        (spec("scd1"), spec("scd2"), ["pipeline was scd1 and is now scd2: its rows have no versions"]),
        (
            spec(load_type="incremental", config={"except_column_list": ("a",)}),
            spec(load_type="incremental"),
            ["the columns were none and are now columns that were left out: read all"],
        ),
    ],
)
def test_two_versions_of_a_row_are_compared_by_the_same_table(before: LoadSpec, now: LoadSpec, said: list[str]) -> None:
    keys = (("id",), ("id",))
    found = [str(difference) for difference in row_differences(before, now, keys)]
    assert len(found) == len(said)
    assert all(text.startswith(start) for text, start in zip(found, said, strict=True)), found


def test_the_documentation_has_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "changes.md").read_text(encoding="utf-8")
    assert table() in page
    assert len(PARTS) == len({part.name for part in PARTS})


# --- helpers ---


def expect_in(text: str | None, pattern: str) -> None:
    import re

    assert re.search(pattern, text or ""), (pattern, text)


def fresh_load(warehouse: Warehouse, pipeline: str, row: dict[str, Any]) -> Any:
    other = Warehouse(warehouse.spark, warehouse.workspace, warehouse.bronze, warehouse.silver, "fresh", 500)
    other.load(pipeline, twice=False, **row)
    return lambda columns: set(other.rows(*columns))


def warehouse_row(warehouse: Warehouse, run: int) -> dict[str, Any]:
    log = warehouse.spark.table(warehouse.run_log)
    (row,) = log.where(f"job_run_id = '{run}' AND target = '{warehouse.target}'").collect()
    return dict(row.asDict())
