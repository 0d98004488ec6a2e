import re
from pathlib import Path

import pytest

from generator.columns import COLUMNS
from generator.model import Row, read_entries
from generator.raw_row import RawRow
from tests.generator.rows import entries, raw, row, sentences

ROOT = Path(__file__).parent.parent.parent


def test_null_is_neutral() -> None:
    values = {column.name: None for column in COLUMNS} | {"comment": "a"}
    read, problems = read_entries((RawRow(file="f", number=1, line=1, values=values),))
    assert problems == ()
    assert read[0].row == Row(comment="a")


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("execution_order", True, "expected an integer, 1 or larger, found True"),
        ("execution_order", 1.5, "expected an integer, 1 or larger, found 1.5"),
        ("execution_order", "1:30", "expected an integer, 1 or larger, found '1:30'"),
        ("is_active_flag", "ja", "expected true or false, found 'ja'"),
        ("src_system", 42, "expected text, found 42; quote it"),
        (
            "business_key_columns",
            "id region",
            'expected a list of column names, found \'id region\'; write ["a", "b"]',
        ),
        (
            "business_key_columns",
            ["id", None],
            'expected a list of column names, found [\'id\', None]; write ["a", "b"]',
        ),
        ("cdc_source_config", ["a"], "expected a JSON object, found ['a']; write {} or {\"key\": value}"),
        ("cdc_source_config", {"a": b"x"}, "expected a JSON object, found {'a': b'x'}; write {} or {\"key\": value}"),
        ("busines_key_columns", ["id"], "unknown column; did you mean business_key_columns?"),
    ],
)
def test_a_wrong_type_is_said(column: str, value: object, what: str) -> None:
    read, problems = read_entries(raw(row(**{column: value})))
    assert sentences(problems) == [f"row 1 (dim_customer) {column}: {what}"]
    assert read[0].unreadable == {column}


def test_all_wrong_columns_of_a_row_at_once() -> None:
    _, problems = read_entries(raw(row(execution_order="x", comment=1, nonsense=2)))
    assert [problem.column for problem in problems] == ["execution_order", "comment", "nonsense"]


def test_a_long_value_is_cut_in_the_message() -> None:
    _, problems = read_entries(raw(row(execution_order="x" * 1000)))
    assert len(problems[0].what) < 200


def test_the_configuration_may_be_a_mapping_or_text() -> None:
    as_mapping, as_text = entries(
        row(cdc_source_config={"where": "ä > 1"}), row(cdc_source_config='{"where": "ä > 1"}')
    )
    assert as_mapping.config == as_text.config
    assert as_mapping.row == as_text.row


def test_the_ddl_has_exactly_the_columns() -> None:
    ddl = (ROOT / "bundle" / "execution_table.sql").read_text(encoding="utf-8")
    found = re.findall(r"^  (\w+) (STRING|BOOLEAN|INT|ARRAY<STRING>)( NOT NULL)? COMMENT '[^']+'", ddl, re.MULTILINE)
    assert found == [(c.name, c.kind, " NOT NULL" if c.required else "") for c in COLUMNS]
    assert len(COLUMNS) == 17
    assert tuple(Row.model_fields) == tuple(c.name for c in COLUMNS)
