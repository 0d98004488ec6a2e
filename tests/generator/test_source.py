import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from generator.columns import COLUMNS
from generator.raw_row import RawRow
from generator.source import read_rows
from tests.generator.rows import sentences

HEADER = ",".join(column.name for column in COLUMNS)
RECORD = 'erp,bronze,erp,a,full,silver,core,dim_a,l,true,1,scd1,"[""id""]",,,"{""where"": ""a > 1""}",'


def read(folder: Path, name: str, text: str) -> tuple[tuple[RawRow, ...], list[str]]:
    (folder / name).write_text(text, encoding="utf-8", newline="")
    rows, problems = read_rows(folder / name, name)
    return rows, [f"{problem.line}: {said}" for problem, said in zip(problems, sentences(problems), strict=True)]


def test_yaml_rows_know_their_lines(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "rows.yml", "# rows\n- dst_table_name: a\n  comment: x\n\n- dst_table_name: b\n")
    assert problems == []
    assert [(row.number, row.line, dict(row.lines)) for row in rows] == [
        (1, 2, {"dst_table_name": 2, "comment": 3}),
        (2, 5, {"dst_table_name": 5}),
    ]


def test_a_yaml_date_stays_text(tmp_path: Path) -> None:
    rows, _ = read(tmp_path, "rows.yml", "- cdc_source_config: {first_version_from: 1900-01-01}\n")
    assert rows[0].values == {"cdc_source_config": {"first_version_from": "1900-01-01"}}


def test_yaml_keys_stand_once_at_every_depth(tmp_path: Path) -> None:
    rows, problems = read(
        tmp_path, "rows.yml", "- comment: a\n  cdc_source_config: {where: a, where: b}\n  comment: b\n"
    )
    assert problems == [
        "3: key 'comment' stands twice, first in line 1; keep one of them",
        "2: key 'where' stands twice, first in line 2; keep one of them",
    ]
    assert len(rows) == 1  # so that the other rules can say what they have to say


def test_anchors_and_merges_are_plain_yaml(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "rows.yml", "- &a\n  comment: x\n  layer: l\n- <<: *a\n  comment: y\n")
    assert problems == []
    assert [dict(row.values) for row in rows] == [{"comment": "x", "layer": "l"}, {"comment": "y", "layer": "l"}]


def test_what_is_no_list_of_rows(tmp_path: Path) -> None:
    remedy = "write `- ` before the first column of each row and `column: value` in each line"
    assert read(tmp_path, "a.yml", "rows: 1\n")[1] == [f"1: expected a list of rows; {remedy}"]
    assert read(tmp_path, "b.yml", "- layer: l\n- 5\n")[1] == [f"2: row 2: expected a mapping of columns; {remedy}"]
    assert read(tmp_path, "c.yml", "")[1] == [f"1: expected a list of rows; {remedy}"]


def test_bad_yaml_never_raises(tmp_path: Path) -> None:
    for text in ("- a: [", "- a: &x [*x]\n", "- !!python/object:os.x {}\n", "- ? [a]\n  : b\n", "[" * 5000, "- \x01\n"):
        rows, problems = read(tmp_path, "rows.yml", text)
        assert (rows, len(problems)) == ((), 1), text


def test_csv_cells(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "rows.csv", f"\ufeff{HEADER}\r\n{RECORD}\r\n")
    assert problems == []
    values = rows[0].values
    assert values["is_active_flag"] is True
    assert values["execution_order"] == 1
    assert values["business_key_columns"] == ["id"]
    assert values["primary_key_columns"] is None
    assert values["cdc_source_config"] == '{"where": "a > 1"}'
    assert values["comment"] is None


def test_csv_rows_know_their_lines(tmp_path: Path) -> None:
    text = f'{HEADER}\n{RECORD}"two\nlines"\n\n{RECORD}\n'
    rows, _ = read(tmp_path, "rows.csv", text)
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 5)]


def test_csv_text_that_is_no_cell_stays_for_the_model_to_refuse(tmp_path: Path) -> None:
    record = RECORD.replace("true", "yes").replace(",1,", ",one,").replace('"[""id""]"', "id")
    rows, problems = read(tmp_path, "rows.csv", f"{HEADER}\n{record}\n")
    assert problems == []
    picked = [rows[0].values[name] for name in ("is_active_flag", "execution_order", "business_key_columns")]
    assert picked == ["yes", "one", "id"]


def test_csv_header_and_width(tmp_path: Path) -> None:
    header = HEADER.replace("layer", "layr") + ",src_system"
    _, problems = read(tmp_path, "rows.csv", f"{header}\na,b\n")
    assert problems == [
        "1: src_system: stands twice in the header; keep one of them",
        "1: layr: unknown column; did you mean layer?",
        "1: layer: missing in the header; add it to the header, empty where it is NULL",
        "2: row 1: has 2 cells, the header has 18; quote cells that hold a comma or a quotation mark",
    ]


JSON_ROWS = """\
[
  {"dst_table_name": "a",
   "cdc_source_config": {"where": "x", "where": "y"}},

  5, {"comment": "z", "comment": "\\ud83d\\ude00",
      "src_system": "\\ud83d"}
]
"""


def test_json_rows_know_their_lines_and_every_key_stands_once(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "rows.json", JSON_ROWS)
    assert problems == [
        "3: row 1: key 'where' stands twice in cdc_source_config; keep one of them",
        '5: row 2: expected an object of columns; write {"column": value, ...} for each row',
        "5: row 3: key 'comment' stands twice, first in line 5; keep one of them",
        "6: row 3: column 'src_system' holds half of a surrogate pair, which is no text; remove it",
    ]
    assert [(row.number, row.line, dict(row.lines)) for row in rows] == [
        (1, 2, {"dst_table_name": 2, "cdc_source_config": 3}),
        (3, 5, {"comment": 5}),
    ]
    assert rows[1].values == {"comment": "😀"}
    assert rows[1].reported == {"src_system"}


def test_bad_json_never_raises(tmp_path: Path) -> None:
    for text, said in (
        ('[{"a": 1},]', "1: not valid JSON: Expecting value"),
        ('[\n{"a": 1}', "2: not valid JSON: Expecting ',' or ']'"),
        ('{"a": 1}\n{"a" 1}', "2: not valid JSON: Expecting ':' delimiter"),
        ("{a: 1}", "1: not valid JSON: Expecting a column's name in double quotes"),
        ("[] []", "1: not valid JSON: Extra data"),
        ("[" * 100_000, "0: not valid JSON: "),
        (f'[{{"a": {"1" * 10_000}}}]', "0: not valid JSON: "),
    ):
        rows, problems = read(tmp_path, "rows.json", text)
        assert rows == ()
        assert len(problems) == 1
        assert problems[0].startswith(said), problems


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=("Cs",))),
    lambda below: st.lists(below) | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), below),
    max_leaves=4,
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.dictionaries(st.text('ab"é\n'), VALUE)),
    indent=st.none() | st.integers(0, 3),
    ascii_only=st.booleans(),
)
def test_json_is_read_as_it_was_written(
    tmp_path: Path, rows: list[dict[str, Any]], indent: int | None, ascii_only: bool
) -> None:
    texts = [json.dumps(row, indent=indent, ensure_ascii=ascii_only) for row in rows]
    for text in (f" [{','.join(texts)}]\n", "\r\n".join(texts)):
        found, problems = read(tmp_path, "rows.jsonl", text)
        assert problems == []
        assert [dict(row.values) for row in found] == rows
        lines = text.split("\n")
        assert all(
            json.dumps(name, ensure_ascii=ascii_only) in lines[line - 1]
            for row in found
            for name, line in row.lines.items()
        )


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.csv").write_bytes(b"\xff")
    for name, what in (("rows.xlsx", "of a kind"), ("none.yml", "cannot be read"), ("latin.csv", "not UTF-8")):
        rows, problems = read_rows(tmp_path / name, name)
        assert rows == ()
        assert what in problems[0].what
    assert read(tmp_path, "open.csv", f'{HEADER}\n"a')[1][0].startswith("2: not valid CSV")


def test_csv_that_breaks_off_keeps_what_came_before(tmp_path: Path) -> None:
    rows, problems = read(tmp_path, "rows.csv", f'{HEADER.replace("layer", "layr")}\n{RECORD}\n{RECORD}"a')
    assert [row.number for row in rows] == [1]
    assert [problem.split(";")[0] for problem in problems] == [
        "1: layr: unknown column",
        "1: layer: missing in the header",
        "3: not valid CSV: unexpected end of data",
    ]
