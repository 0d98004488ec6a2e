"""What `diff` says of a change of a row or its SQL: the columns, the readers, and what the next load does."""

from __future__ import annotations

import pytest

from generator.effects import SqlTexts, effects, sql_changes
from laketasks.spec import CdcSourceConfig, LoadSpec
from laketasks.sql_fingerprint import fingerprint

BASE = "SELECT a.id, a.v, count(*) AS n FROM x.s.t a GROUP BY a.id, a.v"


@pytest.mark.parametrize(
    ("now", "added", "gone", "other"),
    [
        (BASE.replace("a.v,", "a.v, -- the value\n"), [], [], False),
        (BASE.replace("count(*) AS n", "count(*) AS n, max(w) AS w"), ["w"], [], False),
        (BASE.replace("count(*) AS n", "count(*) m"), ["m"], ["n"], False),
        (BASE.replace("count(*)", "2 * count(*)"), [], [], True),
        (BASE.replace("FROM x.s.t a", "FROM x.s.t a WHERE id > 1"), [], [], True),
        (BASE.replace("a.v, c", "a.v, 'x, y' AS `W`, c"), ["w"], [], False),
        (BASE.replace("a.id, a.v, c", "a.*, c"), ["*"], ["id", "v"], True),
        (f"{BASE} UNION ALL {BASE}", [], [], True),
        (f"WITH t AS (SELECT 1) {BASE}", [], [], True),
    ],
)
def test_columns_come_and_go_or_rows_change(now: str, added: list[str], gone: list[str], other: bool) -> None:
    assert sql_changes(BASE, now) == (added, gone, other)


def parameters(text: str, **row: object) -> dict[str, str]:
    given = {"load_type": "incremental", "business_key_columns": ("id",), **row}
    return LoadSpec(
        execution_pipeline="scd1",
        target_table="c.s.dim",
        sql_file_path="${workspace.file_path}/bundle/sql/dim.sql",
        sql_fingerprint=fingerprint(text),
        **given,  # type: ignore[arg-type]
    ).to_parameters()


def test_whoever_reads_a_column_that_goes_is_named() -> None:
    before, now = "SELECT id, v FROM t", "SELECT id FROM t"
    texts = SqlTexts(
        before={"bundle/sql/dim.sql": before},
        now={"bundle/sql/dim.sql": now, "a.sql": "SELECT d.V FROM c.s.dim d", "b.sql": "SELECT id FROM c.s.dim"},
    )
    found = list(effects(parameters(before), parameters(now), texts, {"c.s.dim": ("a.sql", "b.sql")}))
    assert found[0] == "SQL: column v is gone: the table keeps it with the values that it has; read by a.sql"
    assert found[1].startswith("at the next load: the SQL is another one: an incremental read leaves the loaded rows")
    assert len(found) == 2
    full = parameters(before, load_type="full"), parameters(now, load_type="full")
    assert list(effects(*full, texts, {})) == [found[0].partition(";")[0]]


def test_a_text_that_is_not_known_may_make_any_change() -> None:
    found = next(iter(effects(parameters("SELECT 1"), parameters("SELECT 2"), SqlTexts(), {})))
    assert found == "SQL: other rows or values may come out (its text as it was is not known)"


def test_what_no_load_has_to_do_anything_about_is_left_out() -> None:
    calm = CdcSourceConfig(max_delete_ratio=0.1)
    assert list(effects(parameters("SELECT 1"), parameters("select 1", cdc_source_config=calm), SqlTexts(), {})) == []
