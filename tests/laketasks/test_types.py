"""Columns whose types change between two loads: widened, rebuilt, matched by name, or refused with what helps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from deltalake import DeltaTable

from laketasks.entry import load_table
from laketasks.error import EngineError, SchemaError, SourceError
from tests.laketasks.warehouse import Warehouse

LOADS: dict[str, dict[str, Any]] = {
    "scd1": {},
    "scd1_events": {"source_mode": "events", "sequence_by": "at"},
    "scd2": {},
    "scd2_events": {"source_mode": "events", "sequence_by": "at"},
    "fact_incremental_merge": {},
    "fact_overwrite": {},
    "fact_overwrite_where": {"replace_where": "id > 0"},
}
# before, after, and the type that the table has then; of the second row, which the first load does not have
WIDER = {
    "byte": ("cast(1 AS TINYINT)", "cast(300 AS INT)", "int"),
    "short": ("cast(1 AS SMALLINT)", "cast(70000 AS INT)", "int"),
    "whole": ("cast(1 AS INT)", "3000000000L", "bigint"),
    "float": ("cast(1.5 AS FLOAT)", "cast(0.1 AS DOUBLE)", "double"),
    "digits": ("cast(1.5 AS DECIMAL(4,1))", "cast(123456.7 AS DECIMAL(7,1))", "decimal(7,1)"),
    "scale": ("cast(1.5 AS DECIMAL(4,1))", "cast(1.25 AS DECIMAL(5,2))", "decimal(5,2)"),
    "both": ("cast(999.5 AS DECIMAL(4,1))", "cast(1.12345 AS DECIMAL(6,5))", "decimal(8,5)"),
    "whole_to_decimal": ("cast(7 AS INT)", "cast(1.5 AS DECIMAL(10,1))", "decimal(11,1)"),
    "day_to_time": ("DATE'2024-01-02'", "TIMESTAMP_NTZ'2024-01-02 03:04:05'", "timestamp_ntz"),
    "struct": (
        "named_struct('p', 1, 'q', 'x')",
        "named_struct('r', 2.5D, 'q', 'y', 'p', 3000000000L)",
        "struct<p:bigint,q:string,r:double>",
    ),
    "array": (
        "array(named_struct('p', 1))",
        "array(named_struct('q', 'y', 'p', 3000000000L))",
        "array<struct<p:bigint,q:string>>",
    ),
    "map": (
        "map('k', named_struct('p', 1))",
        "map('k', named_struct('q', 'y', 'p', 3000000000L))",
        "map<string,struct<p:bigint,q:string>>",
    ),
}


def write(warehouse: Warehouse, *rows: str, name: str = "source") -> None:
    """Replace the source by these SELECT lists."""
    frame = warehouse.spark.sql(" UNION ALL ".join(f"SELECT {row}" for row in rows))
    frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(
        warehouse.bronze_table(name)
    )


def pipeline_of(name: str) -> str:
    return next(p for p in ("scd1", "scd2", "fact_overwrite", "fact_incremental_merge") if name.startswith(p))


def type_of(warehouse: Warehouse, column: str) -> str:
    return str(warehouse.spark.table(warehouse.target).schema[column].dataType.simpleString())


def again(warehouse: Warehouse, name: str, row: dict[str, Any], **context: str) -> dict[str, Any]:
    """Load once, and do not compare the rows before and after: values look different in a wider type."""
    load_table({**warehouse.parameters(pipeline_of(name), **row), **context})
    return warehouse.last_row()


@pytest.mark.parametrize("name", LOADS)
def test_types_widen(warehouse: Warehouse, name: str) -> None:
    at = "timestamp_micros(id % 1000 * 1000000) AS at, TIMESTAMP_NTZ'2024-01-01 00:00:00' AS feature"
    # Only the source's log may hold a TIMESTAMP_NTZ before.
    row_of = {"except_column_list": ["feature"], **LOADS[name]}
    old = ", ".join(f"{before} AS {column}" for column, (before, _, _) in WIDER.items())
    new = ", ".join(f"{after} AS {column}" for column, (_, after, _) in WIDER.items())
    write(warehouse, f"*, {at} FROM (SELECT 1 AS id, {old})")
    again(warehouse, name, row_of)
    write(warehouse, f"*, {at} FROM (SELECT 3000000000L AS id, {new})")
    assert again(warehouse, name, row_of)["new"] == 1
    commits = warehouse.commits()
    warehouse.touch()
    assert again(warehouse, name, row_of)["new"] == 0
    assert warehouse.commits() == commits
    found = {column: type_of(warehouse, column) for column in WIDER}
    overwritten = name == "fact_overwrite"
    if not overwritten:
        assert found == {column: kind for column, (_, _, kind) in WIDER.items()}
    assert type_of(warehouse, "id") == "bigint"
    wanted = ", ".join(f"cast({after} AS {found[c]}) AS {c}" for c, (_, after, _) in WIDER.items() if c not in NESTED)
    expected = warehouse.spark.sql(f"SELECT {wanted}").collect()[0].asDict()
    rows = warehouse.spark.table(warehouse.target).where("id = 3000000000L").collect()
    assert len(rows) == 1
    row = rows[0].asDict(recursive=True)
    assert {c: row[c] for c in expected} == expected
    assert row["struct"] == {"p": 3000000000, "q": "y", "r": 2.5}
    assert row["array"] == [{"p": 3000000000, "q": "y"}]
    assert row["map"] == {"k": {"p": 3000000000, "q": "y"}}
    if name in ("scd1", "scd1_events", "scd2", "scd2_events", "fact_incremental_merge"):
        kept = warehouse.spark.table(warehouse.target).where("id = 1L").collect()[0].asDict(recursive=True)
        assert (kept["whole"], kept["digits"].to_eng_string(), kept["struct"]) == (
            1,
            "1.5",
            {"p": 1, "q": "x", "r": None},
        )


NESTED = ("struct", "array", "map")

REFUSED = {
    "time": ("DATE'2024-01-02'", "timestamp_micros(1704164645000000)", "cast(x AS DATE) AS x"),
    "text": ("1", "'a'", "try_cast(x AS INT) AS x"),
    "number": ("1L", "cast(1.5 AS DOUBLE)", "cast(x AS BIGINT) AS x"),
    "struct": (
        "named_struct('p', 1, 'q', 'x')",
        "named_struct('p', 2)",
        "named_struct('p', x.p, 'q', cast(NULL AS STRING)) AS x",
    ),
}


@pytest.mark.parametrize("remedy", ["cast", "new_name", "refresh"])
@pytest.mark.parametrize("name", ["scd1", "scd2", "fact_incremental_merge", "fact_overwrite_where"])
def test_what_cannot_widen_is_refused_and_each_remedy_works(warehouse: Warehouse, name: str, remedy: str) -> None:
    column, (before, after, cast) = list(REFUSED.items())[["cast", "new_name", "refresh"].index(remedy)]
    pipeline, row = pipeline_of(name), LOADS[name]
    write(warehouse, f"1L AS id, {before} AS x")
    warehouse.load(pipeline, twice=False, **row)
    write(warehouse, f"1L AS id, {after} AS x")
    stored = type_of(warehouse, "x")
    message = (
        f"target: x arrives as .* but is stored as {stored}, which cannot hold it: cast it to {stored.upper()} in the"
    )
    warehouse.refuses(pipeline, SchemaError, message, **row)
    if remedy == "refresh":
        if pipeline == "scd2" or "where" in name:
            return  # the message says so
        again(warehouse, name, row, full_refresh="target")
        assert type_of(warehouse, "x") == "double", column
        return
    sql = warehouse.workspace / "source.sql"
    chosen = cast if remedy == "cast" else "x AS y"
    sql.write_text(f"SELECT id, {chosen} FROM {warehouse.bronze_table('source')}")
    again(warehouse, name, {**row, "sql_file_path": str(sql)})
    assert type_of(warehouse, "x") == stored


def test_a_struct_that_lost_a_field_is_refused_and_the_remedy_works(warehouse: Warehouse) -> None:
    before, after, cast = REFUSED["struct"]
    write(warehouse, f"1L AS id, {before} AS x")
    warehouse.load("scd2", twice=False)
    write(warehouse, f"1L AS id, {after} AS x")
    warehouse.refuses("scd2", SchemaError, "is stored as .*, without the field q: select it as STRUCT")
    sql = warehouse.workspace / "source.sql"
    sql.write_text(f"SELECT id, {cast} FROM {warehouse.bronze_table('source')}")
    again(warehouse, "scd2", {"sql_file_path": str(sql)})
    assert {row["x"].p for row in warehouse.spark.table(warehouse.target).collect()} == {1, 2}


@pytest.mark.parametrize("name", ["scd1", "scd2", "fact_overwrite"])
def test_fields_of_structs_are_matched_by_name(warehouse: Warehouse, name: str) -> None:
    p_q = "named_struct('p', 'a', 'q', 'b')"
    q_p = "named_struct('q', 'b', 'P', 'a')"
    shapes = "{0} AS s, array({0}) AS a, map('k', {0}) AS m, named_struct('in', {0}) AS n"
    write(warehouse, f"1L AS id, {shapes.format(p_q)}")
    warehouse.load(pipeline_of(name))
    write(warehouse, f"1L AS id, {shapes.format(q_p)}")
    counts = warehouse.load(pipeline_of(name))
    assert (counts["unchanged"], counts["rows_inserted"], counts["rows_updated"]) == (1, 0, 0)
    other = q_p.replace("'a'", "'c'")
    write(warehouse, f"1L AS id, {shapes.format(other)}")
    warehouse.load(pipeline_of(name))
    rows = warehouse.spark.table(warehouse.target).where("s.p = 'c'").collect()
    want = {"p": "c", "q": "b"}
    assert [r.asDict(True)[c] for r in rows for c in "samn"] == [want, [want], {"k": want}, {"in": want}]


def comments(warehouse: Warehouse) -> dict[str, str | None]:
    """The comments of the target's columns, as its Delta log has them."""
    fields = json.loads(DeltaTable(warehouse.target_folder).schema().to_json())["fields"]
    return {field["name"]: field["metadata"].get("comment") for field in fields}


@pytest.mark.parametrize("name", LOADS)
def test_columns_that_the_source_lost_are_dropped_where_the_row_says_so(warehouse: Warehouse, name: str) -> None:
    if "where" in name:
        return  # which keeps rows with values there, and refuses
    body = "id BIGINT COMMENT 'the key', part STRING COMMENT 'the part', a STRING COMMENT 'an a', gone STRING"
    warehouse.spark.sql(f"CREATE TABLE {warehouse.target} ({body}) USING delta PARTITIONED BY (part)").collect()
    row, pipeline = LOADS[name], pipeline_of(name)
    rows = [f"{i}L AS id, 'p' AS part, 'a{i}' AS a, 'x' AS gone, timestamp_micros({i}) AS at" for i in (1, 2)]
    write(warehouse, *rows)
    warehouse.load(pipeline, twice=False, **row)
    write(warehouse, *(line.replace(", 'x' AS gone", "").replace("a2", "b") for line in rows))
    warehouse.load(pipeline, twice=False, **row)
    assert "gone" in warehouse.spark.table(warehouse.target).columns
    counts = again(warehouse, name, {"schema_evolution": "drop_columns", **row})
    found = warehouse.spark.table(warehouse.target)
    assert "gone" not in found.columns
    assert counts["unchanged"] == 2
    assert {(r["id"], r["part"], r["a"]) for r in found.collect()} >= {(1, "p", "a1"), (2, "p", "b")}
    assert {c: comments(warehouse)[c] for c in ("id", "part", "a")} == {
        "id": "the key",
        "part": "the part",
        "a": "an a",
    }
    assert DeltaTable(warehouse.target_folder).metadata().partition_columns == ["part"]


def test_a_partition_column_is_not_dropped(warehouse: Warehouse) -> None:
    warehouse.spark.sql(
        f"CREATE TABLE {warehouse.target} (id BIGINT, p STRING) USING delta PARTITIONED BY (p)"
    ).collect()
    write(warehouse, "1L AS id, 'a' AS p")
    warehouse.load("scd1", twice=False)
    write(warehouse, "1L AS id")
    warehouse.refuses("scd1", SchemaError, "p cannot be dropped, as the table", schema_evolution="drop_columns")


def test_what_the_engine_or_the_source_gets_wrong_is_one_sentence(warehouse: Warehouse) -> None:
    sql = warehouse.workspace / "source.sql"
    sql.write_text("SELECT c.*, a.* FROM (SELECT 1L AS id, 'x' AS city) c CROSS JOIN (SELECT 'y' AS city) a")
    warehouse.refuses(
        "scd1", SourceError, "target: the source has more than one column of the name city", sql_file_path=str(sql)
    )
    write(warehouse, "1L AS id, 'x' AS a")
    warehouse.refuses(
        "scd2",
        SourceError,
        "target: track_history_column_list names aa; did you mean a",
        track_history_column_list=["aa"],
    )
    warehouse.spark.sql(f"CREATE TABLE {warehouse.target} (id BIGINT, must STRING NOT NULL) USING delta").collect()
    warehouse.refuses("scd1", SchemaError, "target: must is NOT NULL in the table and the source has no such column")
    write(warehouse, "1L AS id, cast(NULL AS STRING) AS must")
    with pytest.raises(EngineError, match=r"target: the engine stopped the load: .*NOT NULL.* set the rows aside"):
        warehouse.load("scd1")


def test_the_comment_of_the_table_follows_the_row(warehouse: Warehouse, engine: str) -> None:
    write(warehouse, "1L AS id")
    warehouse.load("scd1", twice=False)
    changed = {"comment": "another"}
    load_table({**warehouse.parameters("scd1"), **changed})
    assert comment_of(warehouse, engine) == "another"
    commits = warehouse.commits()
    load_table({**warehouse.parameters("scd1"), **changed})
    assert warehouse.commits() == commits
    assert warehouse.last_row()["read"] == 0  # the commit was the load's own: nothing has changed since


def comment_of(warehouse: Warehouse, engine: str) -> str | None:
    """The comment of the target: Sail has a property for it."""
    told = DeltaTable(warehouse.target_folder).metadata()
    return told.configuration.get("comment") if engine == "sail" else told.description
