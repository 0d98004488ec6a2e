"""Facts by the cases: full overwrite and incremental merge; the numbers are those of the list of cases."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from laketasks.error import GuardError, SchemaError, SourceError
from tests.laketasks.warehouse import T, Warehouse

AB = "id bigint, a string"
ARRIVING = "id bigint, a string, ts timestamp"
INCREMENTAL: dict[str, Any] = {"load_type": "incremental", "watermark": "ts", "sequence_by": "ts"}


def merge(warehouse: Warehouse, *rows: tuple[Any, ...], **config: Any) -> dict[str, Any]:
    warehouse.source(ARRIVING, *rows)
    return warehouse.load("fact_incremental_merge", **INCREMENTAL, **config)


def test_104_overwrite(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (2, "b"), (3, "c"))
    row = warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a") == [(2, "b"), (3, "c")]
    assert (row["new"], row["unchanged"], row["rows_deleted"]) == (1, 1, 1)


def test_105_an_empty_source_is_refused(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB)
    warehouse.refuses("fact_overwrite", GuardError, "the source is empty")
    warehouse.load("fact_overwrite", on_empty_source="allow")
    assert warehouse.rows("id") == []


def test_106_a_failing_query_leaves_the_old_rows(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string", (1, "1"))
    warehouse.load("fact_overwrite")
    commits = warehouse.commits()
    warehouse.source("id bigint, a string", (1, "1"), (2, "x"))
    sql = warehouse.workspace / "broken.sql"
    source = f"{{bronze_catalog}}.{warehouse.bronze[1]}.source"
    sql.write_text(f"SELECT id, cast(cast(a AS INT) AS STRING) AS a FROM {source}")
    with pytest.raises(Exception, match=r"(?i)cast"):
        warehouse.load("fact_overwrite", sql_file_path=str(sql))
    assert warehouse.commits() == commits
    assert warehouse.rows("id", "a") == [(1, "1")]
    assert warehouse.last_row()["error_class"]


def test_109_columns_go_by_name(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, b string", (1, "a", "b"))
    warehouse.load("fact_overwrite")
    warehouse.source("b string, id bigint, c string, a string", ("y", 1, "new", "x"))
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a", "b", "c") == [(1, "x", "y", "new")]
    warehouse.source("id bigint, d string", (1, "x"))
    warehouse.refuses("fact_overwrite", SchemaError, "d is new in the source", schema_evolution="fail")


def test_109_columns_are_dropped_only_when_asked(warehouse: Warehouse) -> None:
    warehouse.source("id bigint, a string, b string", (1, "a", "b"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a", "b") == [(1, "a", "b")]
    with pytest.raises(SchemaError, match="b cannot be dropped while replace_where"):
        warehouse.load("fact_overwrite", schema_evolution="drop_columns", replace_where="id = 1")
    warehouse.load("fact_overwrite", schema_evolution="drop_columns")
    assert "b" not in warehouse.spark.table(warehouse.target).columns
    assert warehouse.rows("id", "a") == [(1, "a")]


def test_111_a_source_that_reads_the_target_itself(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.load("fact_overwrite")
    sql = warehouse.workspace / "self.sql"
    sql.write_text(f"SELECT id + 1 AS id, a FROM {{silver_catalog}}.{warehouse.silver[1]}.target")
    warehouse.load("fact_overwrite", sql_file_path=str(sql), twice=False)
    assert warehouse.rows("id", "a") == [(2, "a")]


def test_overwrite_counts_equal_rows_as_often_as_they_come(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (1, "a"), (2, None))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (1, "a"), (2, None), (2, None))
    row = warehouse.load("fact_overwrite")
    assert warehouse.rows("id", "a") == [(1, "a"), (2, None), (2, None)]
    assert (row["unchanged"], row["new"], row["rows_deleted"]) == (2, 1, 1)


def test_overwrite_with_a_key_refuses_doubles(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (1, "b"))
    warehouse.refuses("fact_overwrite", GuardError, "come more than once", keys=["id"])


def test_replace_where_limits_the_overwrite(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"), (2, "b"), (3, "c"))
    warehouse.load("fact_overwrite")
    warehouse.source(AB, (3, "z"), (4, "d"))
    row = warehouse.load("fact_overwrite", replace_where="id >= 3")
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "b"), (3, "z"), (4, "d")]
    assert (row["new"], row["rows_deleted"]) == (2, 1)
    warehouse.source(AB, (2, "outside"), (3, "z"))
    warehouse.refuses(
        "fact_overwrite", GuardError, "1 rows of the source lie outside replace_where", replace_where="id >= 3"
    )


def test_112_the_watermark_is_read_again(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(4)), (2, "b", T(5)))
    row = merge(warehouse, (1, "a", T(4)), (2, "b", T(5)), (3, "late commit", T(5)))
    assert warehouse.rows("id") == [(1,), (2,), (3,)]
    assert (row["read"], row["new"], row["unchanged"], row["rows_updated"]) == (2, 1, 1, 0)
    assert row["watermark_from"] == row["watermark_to"] == "2024-01-06T00:00:00.000000Z"


def test_113_lookback(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(5)), lookback="1 hour")
    rows = [(1, "a", T(5)), (2, "in", T(5) - timedelta(minutes=30)), (3, "out", T(5) - timedelta(hours=2))]
    assert merge(warehouse, *rows, lookback="1 hour")["new"] == 1
    assert warehouse.rows("id") == [(1,), (2,)]


def test_116_null_watermarks(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(1)))
    warehouse.source(ARRIVING, (1, "a", T(1)), (2, "b", None))
    warehouse.refuses("fact_incremental_merge", GuardError, "1 rows without a sequence or watermark", **INCREMENTAL)
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL, on_null_sequence="include")
    assert row["new"] == 1
    row = merge(warehouse, (1, "a", T(1)), (3, "b", None), on_null_sequence="exclude")
    assert (row["new"], row["dropped"]) == (0, 1)


def test_117_nothing_new_commits_nothing_and_keeps_the_watermark(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(1)), (2, "b", T(2)))
    commits = warehouse.commits()
    warehouse.source(ARRIVING, (1, "a", T(1)))
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL)
    assert (row["read"], row["watermark_to"]) == (0, "2024-01-03T00:00:00.000000Z")
    assert warehouse.commits() == commits


def test_118_119_the_first_run_is_full_and_so_is_a_refresh(warehouse: Warehouse) -> None:
    row = merge(warehouse, (1, "a", T(1)), (2, "b", T(2)))
    assert (row["read"], row["watermark_from"]) == (2, None)
    warehouse.source(ARRIVING, (1, "c", T(1)))
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL, context={"full_refresh": "target"})
    assert warehouse.rows("id", "a") == [(1, "c")]
    assert row["watermark_to"] == "2024-01-02T00:00:00.000000Z"


def test_120_only_what_differs_is_written(warehouse: Warehouse) -> None:
    rows = [(i, "a", T(1)) for i in range(1000)]
    merge(warehouse, *rows)
    rows[10:13] = [(i, "b", T(2)) for i in range(10, 13)]
    row = merge(warehouse, *rows)
    assert (row["changed"], row["unchanged"], row["rows_updated"]) == (3, 997, 3)


def test_120_files_without_changes_are_not_rewritten(warehouse: Warehouse) -> None:
    for night in range(4):
        warehouse.source(ARRIVING, *[(100 * night + i, "a", T(night)) for i in range(10)])
        warehouse.load("fact_incremental_merge", **INCREMENTAL)
    files = warehouse.files()
    assert len(files) == 4
    warehouse.source(ARRIVING, (305, "changed", T(9)))
    warehouse.load("fact_incremental_merge", **INCREMENTAL)
    live = {Path(row[0]).name for row in _live_files(warehouse)}
    assert len(files & live) == 3


def test_124_insert_only(warehouse: Warehouse) -> None:
    merge(warehouse, (1, "a", T(1)), insert_only=True)
    row = merge(warehouse, (1, "b", T(2)), (2, "c", T(2)), insert_only=True)
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "c")]
    assert (row["new"], row["ignored"]) == (1, 1)


def test_a_restored_target_is_read_from_its_own_watermark(warehouse: Warehouse) -> None:
    rows = [(1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3))]
    merge(warehouse, *rows)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target} WHERE id > 1").collect()
    row = merge(warehouse, *rows)
    assert (row["watermark_from"], row["new"]) == ("2024-01-02T00:00:00.000000Z", 2)


def test_reload_from_goes_back(warehouse: Warehouse) -> None:
    rows = [(1, "a", T(1)), (2, "b", T(2)), (3, "c", T(3))]
    merge(warehouse, *rows)
    row = warehouse.load("fact_incremental_merge", **INCREMENTAL, context={"reload_from": "2024-01-03"})
    assert (row["read"], row["unchanged"]) == (2, 2)


def test_a_watermark_in_the_future_is_refused(warehouse: Warehouse) -> None:
    warehouse.source(ARRIVING, (1, "a", T(2000)))
    warehouse.refuses("fact_incremental_merge", GuardError, "more than a day in the future", **INCREMENTAL)


def test_a_missing_column_is_named(warehouse: Warehouse) -> None:
    warehouse.source(AB, (1, "a"))
    warehouse.refuses("fact_incremental_merge", SourceError, "idd; did you mean id", keys=["idd"])


def _live_files(warehouse: Warehouse) -> list[tuple[str]]:
    import deltalake

    table = deltalake.DeltaTable(str(warehouse.target_folder))
    return [(uri,) for uri in table.file_uris()]
