"""Which SQL puts several source tables together, and whether each can be read by a watermark of its own."""

from __future__ import annotations

import pytest

from generator.sql_union import union_sources
from laketasks.union_sources import only_from, tables_named

EU, US = "SELECT id, w FROM {b}.s.eu", "SELECT id, w FROM {b}.s.us"
BOTH = [("{b}", "s", "eu"), ("{b}", "s", "us")]


@pytest.mark.parametrize(
    "sql",
    [
        f"{EU} UNION ALL {US}",
        f"{EU} UNION {US}",
        f"({EU}) UNION ALL ({US}) ORDER BY 1",
        f"SELECT * FROM ({EU} UNION ALL {US}) x WHERE id > 1",
        f"WITH a AS ({EU} UNION ALL {US}) SELECT a.id, d.n, a.w FROM a LEFT JOIN {{b}}.s.dim d ON d.id = a.id",
        f"WITH e AS ({EU}), u AS ({US}) SELECT * FROM e UNION ALL SELECT * FROM u",
        f"{EU} x JOIN {{b}}.s.dim USING (id) UNION ALL SELECT id, max(w) FROM {{b}}.s.us GROUP BY id",
        f"{EU} WHERE id IN (SELECT id FROM {{b}}.s.dim) UNION ALL {US} JOIN {{b}}.s.dim USING (id)",
        "SELECT id, w FROM `{b}`.`s`.eu UNION ALL SELECT id, w FROM {b}.S.US",
    ],
)
def test_sources_that_are_read_one_by_one(sql: str) -> None:
    found = union_sources(sql)
    assert [tuple(part.lower() for part in table) for table in found.tables] == BOTH
    assert found.reason == ""


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        (f"SELECT id, max(w) AS w FROM ({EU} UNION ALL {US}) GROUP BY id", "a GROUP BY"),
        (f"SELECT max(w) AS w FROM ({EU} UNION ALL {US})", "an aggregate"),
        (f"SELECT DISTINCT id, w FROM ({EU} UNION ALL {US})", "a DISTINCT"),
        (f"SELECT id, w, row_number() OVER (ORDER BY w) FROM ({EU} UNION ALL {US})", "a window function"),
        (
            f"SELECT * FROM ({EU} UNION ALL {US}) QUALIFY row_number() OVER (PARTITION BY id ORDER BY w) = 1",
            "a QUALIFY",
        ),
        (f"{EU} UNION ALL {US} LIMIT 10", "a LIMIT"),
        (f"{EU} EXCEPT {US}", "EXCEPT and INTERSECT"),
        (f"WITH a AS ({EU} UNION ALL {US}) SELECT * FROM a JOIN a AS b USING (id)", "a is read 2 times"),
        (f"SELECT d.* FROM {{b}}.s.dim d LEFT JOIN ({EU} UNION ALL {US}) a ON a.id = d.id", "an outer join"),
        (f"SELECT * FROM {{b}}.s.dim WHERE id IN (SELECT id FROM ({EU} UNION ALL {US}))", "a subquery of a condition"),
        (f"{EU} UNION ALL {US} JOIN {{b}}.s.eu USING (id)", "{b}.s.eu is also read elsewhere"),
        (f"{EU} UNION ALL SELECT count(*) AS id, max(w) AS w FROM {{b}}.s.us", "a branch without GROUP BY"),
    ],
)
def test_sources_that_cannot_be_read_one_by_one(sql: str, reason: str) -> None:
    assert union_sources(sql).reason.startswith(reason)


@pytest.mark.parametrize(
    "sql", [EU, f"{EU} WHERE id = 1 UNION ALL {EU} WHERE id = 2", "SELECT * FROM {b}.s.eu JOIN {b}.s.us USING (id)"]
)
def test_one_source_needs_one_watermark(sql: str) -> None:
    assert union_sources(sql).tables == ()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT eu.a FROM c.s.eu WHERE 1=1", "SELECT eu.a FROM (SELECT * FROM c.s.eu WHERE false) AS `eu` WHERE 1=1"),
        ("SELECT 'c.s.eu' FROM `C`.S.`eu` AS x", "SELECT 'c.s.eu' FROM (SELECT * FROM `C`.S.`eu` WHERE false) AS x"),
        ("SELECT * FROM c.s.eu -- c.s.eu\nx", "SELECT * FROM (SELECT * FROM c.s.eu WHERE false) -- c.s.eu\nx"),
        ("SELECT c.s.eu.a FROM c.s.eu2", "SELECT c.s.eu.a FROM c.s.eu2"),
    ],
)
def test_the_other_sources_are_empty(sql: str, expected: str) -> None:
    assert only_from(sql, "c.s.us", ["c.s.us", "c.s.eu"]) == expected
    assert only_from(sql, "c.s.eu", ["c.s.us", "c.s.eu"]) == sql


def test_the_tables_that_a_text_names() -> None:
    assert tables_named("SELECT a.b FROM c.S.t, `x y`.s.`u``v` JOIN d.e") == ["c.s.t", "x y.s.u`v"]
