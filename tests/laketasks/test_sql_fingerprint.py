"""A changed SQL file is a change; its layout and its comments are none. Pure text: no engine, no parser."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from laketasks.sql_fingerprint import Token, fingerprint, tokens

SQL = Path(__file__).parents[2] / "bundle" / "sql"

# Different statements that a parser may write as one text, or that differ by little.
PAIRS = """
percentile_cont(0.5) WITHIN GROUP (ORDER BY x) | percentile_cont(0.5) WITHIN GROUP (ORDER BY x DESC)
percentile_disc(0.5) WITHIN GROUP (ORDER BY x) | percentile_disc(0.5) WITHIN GROUP (ORDER BY x DESC NULLS LAST)
listagg(x, ',') WITHIN GROUP (ORDER BY x) | listagg(x, ',') WITHIN GROUP (ORDER BY y)
listagg(x, ',') | listagg(x, ';')
listagg(DISTINCT x) | listagg(x)
to_date(x) | to_date(x, 'yyyy-MM-dd')
to_date(x, 'yyyy-MM-dd') | to_date(x, 'yyyy-dd-MM')
to_date(x, 'yyyy-MM-dd') | to_date(x, 'YYYY-MM-dd')
to_timestamp(x) | to_timestamp(x, 'yyyy-MM-dd HH:mm:ss')
to_timestamp(x) | to_timestamp_ntz(x)
date_format(d, 'mm') | date_format(d, 'MM')
date_trunc('month', d) | trunc(d, 'month')
cast(x AS INT) | try_cast(x AS INT)
cast(x AS INT) | cast(x AS BIGINT)
cast(x AS DECIMAL(10, 2)) | cast(x AS DECIMAL(10, 3))
cast(x AS TIMESTAMP) | cast(x AS TIMESTAMP_NTZ)
x::INT | try_cast(x AS INT)
cast(x AS STRING) | cast(x AS VARCHAR(10))
ORDER BY x | ORDER BY x DESC
ORDER BY x NULLS FIRST | ORDER BY x NULLS LAST
ORDER BY x | ORDER BY x NULLS LAST
ORDER BY x DESC | ORDER BY x DESC NULLS FIRST
count(x) | count(DISTINCT x)
sum(x) | sum(DISTINCT x)
array_agg(x) | array_agg(DISTINCT x)
collect_list(x) | collect_set(x)
first(x) | first(x, true)
first(x) | first(x) IGNORE NULLS
last(x) | any_value(x)
first_value(x) OVER (ORDER BY y) | first_value(x) IGNORE NULLS OVER (ORDER BY y)
sum(x) OVER (ORDER BY y) | sum(x) OVER (ORDER BY y ROWS UNBOUNDED PRECEDING)
sum(x) OVER (ORDER BY y RANGE UNBOUNDED PRECEDING) | sum(x) OVER (ORDER BY y ROWS UNBOUNDED PRECEDING)
sum(x) OVER (ORDER BY y ROWS 1 PRECEDING) | sum(x) OVER (ORDER BY y ROWS 2 PRECEDING)
lag(x) OVER (ORDER BY y) | lag(x, 1, 0) OVER (ORDER BY y)
lag(x) OVER (ORDER BY y) | lead(x) OVER (ORDER BY y)
row_number() OVER (ORDER BY x) | rank() OVER (ORDER BY x)
count(*) FILTER (WHERE x > 1) | count(*) FILTER (WHERE x >= 1)
x = y | x <=> y
x <> y | NOT (x <=> y)
x IS DISTINCT FROM y | x <> y
x / y | x DIV y
x / y | try_divide(x, y)
x % y | pmod(x, y)
x || y | concat_ws('', x, y)
x AND y OR z | x AND (y OR z)
NOT x AND y | NOT (x AND y)
x LIKE 'a%' | x ILIKE 'a%'
x LIKE 'a%' | x RLIKE 'a%'
x LIKE 'a!%' ESCAPE '!' | x LIKE 'a!%'
'a' | 'A'
'a' | 'a '
'it''s' | 'its'
'a\\nb' | r'a\\nb'
'a\\nb' | 'a\\\\nb'
'a' 'b' | 'a''b'
'-- x' | '-- y'
'/* x */' | '/* y */'
"a" | 'a'
`a b` | `a  b`
`A` AS `b` | `A` AS `B`
1.50 | 1.5
1e3 | 1000
1L | 1S
0.1 | 0.1D
0.1BD | 0.1D
DATE'2024-01-01' | TIMESTAMP'2024-01-01'
INTERVAL 1 DAY | INTERVAL 24 HOURS
INTERVAL '1' DAY | INTERVAL '1' MONTH
CASE WHEN a THEN 1 ELSE 0 END | CASE WHEN a THEN 1 END
CASE a WHEN 1 THEN 2 END | CASE WHEN a THEN 1 WHEN 2 THEN 2 END
coalesce(a, b) | nvl(b, a)
a.b | a . c
a - -1 | a --1
/*+ BROADCAST(t) */ a | a
/*+ BROADCAST(t) */ a | /*+ BROADCAST(u) */ a
/*+ REPARTITION(3) */ a | /*+ COALESCE(3) */ a
regexp_replace(x, '\\\\d', '') | regexp_replace(x, '\\\\D', '')
split(x, ',') | split(x, ',', 2)
substring(x, 1, 2) | substring(x, 0, 2)
round(x) | bround(x)
round(x, 1) | round(x, 2)
explode(x) | explode_outer(x)
posexplode(x) | explode(x)
from_json(x, 'a INT') | from_json(x, 'a BIGINT')
get_json_object(x, '$.a') | get_json_object(x, '$.A')
x:a.b | x:a.c
x:['A'] | x:['a']
named_struct('a', 1) | named_struct('A', 1)
transform(x, e -> e + 1) | transform(x, e -> e - 1)
{one} | {two}
{One} | {one}
CURRENT_DATE | CURRENT_TIMESTAMP
x COLLATE UTF8_BINARY | x COLLATE UNICODE_CI
""".strip().splitlines()

# Ends of a statement that differ.
TAILS = [
    ("FROM t JOIN u USING (id)", "FROM t LEFT JOIN u USING (id)"),
    ("FROM t LEFT JOIN u ON a = b", "FROM t FULL JOIN u ON a = b"),
    ("FROM t LEFT SEMI JOIN u ON a = b", "FROM t LEFT ANTI JOIN u ON a = b"),
    ("FROM t CROSS JOIN u", "FROM t NATURAL JOIN u"),
    ("FROM t UNION SELECT 1", "FROM t UNION ALL SELECT 1"),
    ("FROM t EXCEPT SELECT 1", "FROM t EXCEPT ALL SELECT 1"),
    ("FROM t INTERSECT SELECT 1", "FROM t EXCEPT SELECT 1"),
    ("FROM t UNION ALL BY NAME SELECT 1", "FROM t UNION ALL SELECT 1"),
    ("FROM t GROUP BY ROLLUP (a, b)", "FROM t GROUP BY CUBE (a, b)"),
    ("FROM t GROUP BY a, b", "FROM t GROUP BY GROUPING SETS (a, b)"),
    ("FROM t GROUP BY a HAVING x > 1", "FROM t WHERE x > 1 GROUP BY a"),
    ("FROM t WHERE a", "FROM t QUALIFY a"),
    ("FROM t LIMIT 1", "FROM t LIMIT 1 OFFSET 1"),
    ("FROM t TABLESAMPLE (1 PERCENT)", "FROM t TABLESAMPLE (1 ROWS)"),
    ("FROM t VERSION AS OF 1", "FROM t VERSION AS OF 2"),
    ("FROM t LATERAL VIEW explode(a) x AS y", "FROM t LATERAL VIEW OUTER explode(a) x AS y"),
    ("FROM t PIVOT (sum(a) FOR b IN (1, 2))", "FROM t PIVOT (sum(a) FOR b IN (1, 3))"),
    ("FROM t SORT BY a", "FROM t ORDER BY a"),
    ("FROM t", "FROM `t` u"),
    ("FROM {x}.s.t", "FROM {y}.s.t"),
]


def corpus() -> list[str]:
    selects = [f"SELECT {side.strip()} FROM t" for pair in PAIRS for side in pair.split(" | ")]
    ends = [f"SELECT DISTINCT a {side}" for pair in TAILS for side in pair]
    return [*selects, *ends, *(path.read_text(encoding="utf-8") for path in sorted(SQL.glob("*.sql")))]


@pytest.mark.parametrize("pair", PAIRS)
def test_other_expressions_are_other_sql(pair: str) -> None:
    one, two = (f"SELECT {side.strip()} FROM t" for side in pair.split(" | "))
    assert fingerprint(one) != fingerprint(two)


@pytest.mark.parametrize("pair", TAILS)
def test_other_clauses_are_other_sql(pair: tuple[str, str]) -> None:
    assert fingerprint(f"SELECT a {pair[0]}") != fingerprint(f"SELECT a {pair[1]}")
    assert fingerprint(f"SELECT a {pair[0]}") != fingerprint(f"SELECT DISTINCT a {pair[0]}")


def test_a_thousand_mutations_are_all_noticed() -> None:
    chance, texts, made = random.Random(15), corpus(), 0
    while made < 1000:
        text = chance.choice(texts)
        changed = mutated(text, list(tokens(text)), chance)
        if changed is not None:
            assert fingerprint(changed) != fingerprint(text), (text, changed)
            made += 1


def mutated(text: str, found: list[Token], chance: random.Random) -> str | None:
    """The text with one token dropped, doubled, replaced, moved, or changed by a letter inside."""
    index = chance.randrange(len(found))
    token, other = found[index], chance.choice(found)
    raw = text[token.start : token.end]
    kind = chance.choice(["drop", "double", "replace", "swap", "letter"])
    if kind == "drop":
        new = " "
    elif kind == "double":
        new = f"{raw} {raw}"
    elif kind == "replace":
        new = text[other.start : other.end]
    elif kind == "swap" and index + 1 < len(found):
        following = found[index + 1]
        new = f"{text[following.start : following.end]} {raw}"
        changed = f"{text[: token.start]} {new} {text[following.end :]}"
        return changed if following.text != token.text else None
    else:
        place = chance.randrange(len(raw))
        letter = chance.choice("aq7_'xZ")
        if not raw[place].isalnum() or letter.lower() == raw[place].lower():
            return None
        new = raw[:place] + letter + raw[place + 1 :]
    changed = f"{text[: token.start]} {new} {text[token.end :]}"
    same = [each.text for each in tokens(changed)] == [each.text for each in found]
    return None if same and kind == "replace" else changed


def test_a_thousand_layouts_are_all_one() -> None:
    chance, texts = random.Random(16), corpus()
    for _ in range(1000):
        text = chance.choice(texts)
        assert fingerprint(laid_out(text, chance)) == fingerprint(text), text


def laid_out(text: str, chance: random.Random) -> str:
    """The text with other white space, comments, case of unquoted words, line ends and end."""
    spaces = [" ", "\n", "\t", "\r\n", "  ", "\n\n"]
    notes = ["-- it's a comment\n", '/* "a" */', "/* a /* nested */ b */", "-- a /* b\n", "/*\n--\n*/", "-- ` \r\n"]
    pieces: list[str] = []
    previous, in_hint = 0, False
    for token in tokens(text):
        raw = text[token.start : token.end]
        between = "" if token.start == previous else chance.choice(spaces)
        in_hint = (in_hint or raw == "/*+") and raw != "*/"
        if chance.random() < 0.3 and not in_hint and raw not in ("/*+", "*/"):
            between += " " + chance.choice(notes) + chance.choice(spaces)
        quoted = raw[0] in "'\"`{" or re.match(r"[rR]['\"]", raw)
        # After a backslash-free word any case will do; the names in braces are filled by exact name.
        pieces += [between, raw if quoted else "".join(chance.choice([c.lower(), c.upper()]) for c in raw)]
        previous = token.end
    end = chance.choice(["", "\n", ";", " ;\n", "\n-- the end", ";\n/* the end */"])
    return chance.choice(["", "\ufeff", "\n", "-- first\n"]) + "".join(pieces) + end
