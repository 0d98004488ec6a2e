"""Rows as exports and hands spell them: taken over where a spelling has one meaning, in every format alike."""

from __future__ import annotations

import csv
import io
import json
import math
import random
import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from pyarrow import parquet

from generator.build import Options, build
from generator.columns import COLUMNS
from generator.model import read_entries
from generator.problem import errors, sentence
from generator.source import read_rows
from tests.generator.rows import project, raw, row, sentences

HEADER = [column.name for column in COLUMNS]
TAKEN = [
    ("execution_order", "1.0", 1),
    ("execution_order", 1.0, 1),
    ("execution_order", Decimal("3.00"), 3),
    ("execution_order", " 2 ", 2),
    ("execution_order", "1.", 1),
    ("execution_order", "1,0", 1),
    ("execution_order", "+7", 7),
    ("execution_order", "010", 10),
    ("execution_order", "1e3", 1000),
    ("is_active_flag", "TRUE", True),
    ("is_active_flag", " True", True),
    ("is_active_flag", "t", True),
    ("is_active_flag", "YES", True),
    ("is_active_flag", "1", True),
    ("is_active_flag", 1, True),
    ("is_active_flag", 1.0, True),
    ("is_active_flag", "1.0", True),
    ("is_active_flag", "F", False),
    ("is_active_flag", "no", False),
    ("is_active_flag", 0, False),
    ("is_active_flag", "0.0", False),
    ("is_active_flag", "\\N", False),
    ("business_key_columns", "id", ("id",)),
    ("business_key_columns", "a,b", ("a", "b")),
    ("business_key_columns", "a; b", ("a", "b")),
    ("business_key_columns", "a|b", ("a", "b")),
    ("business_key_columns", "[a, b]", ("a", "b")),
    ("business_key_columns", "{a,b}", ("a", "b")),
    ("business_key_columns", "['a', 'b']", ("a", "b")),
    ("business_key_columns", '"naïve_1"', ("naïve_1",)),
    ("business_key_columns", '["a", " b "]', ("a", "b")),
    ("business_key_columns", ["a ", "b"], ("a", "b")),
    ("primary_key_columns", "NULL", ()),
    ("primary_key_columns", "[]", ()),
    ("primary_key_columns", "[ ]", ()),
    ("comment", "NULL", ""),
    ("comment", "null", ""),
    ("comment", "\\N", ""),
    ("comment", math.nan, ""),
    ("comment", "(null)", ""),
    ("sql_file_path", "None", ""),
    ("cdc_source_config", "<NA>", ""),
    ("src_system", " erp\t", "erp"),
    ("dst_table_name", "\u00a0dim_customer ", "dim_customer"),
    ("execution_pipeline", "SCD1", "scd1"),
    ("execution_pipeline", " Nb_Dim", "nb_dim"),
    ("load_type", "FULL", "full"),
    ("load_type", "Incremental ", "incremental"),
]


@pytest.mark.parametrize(("column", "value", "read"), TAKEN, ids=str)
def test_a_spelling_with_one_meaning_is_taken_over(column: str, value: object, read: object) -> None:
    (entry,), problems = read_entries(raw(row(**{column: value})), runners=["nb_dim"])
    assert getattr(entry.row, column) == read
    assert not errors(problems)
    assert entry.unreadable == frozenset()


AMBIGUOUS = [
    ("execution_order", "1.5"),
    ("execution_order", "1,000"),
    ("execution_order", "1.000.000"),
    ("execution_order", "1:30"),
    ("execution_order", "0x1F"),
    ("execution_order", "1_000"),
    ("execution_order", "1e999"),
    ("execution_order", "9" * 5000),
    ("execution_order", math.inf),
    ("execution_order", True),
    ("execution_order", "first"),
    ("is_active_flag", "2"),
    ("is_active_flag", "N/A"),
    ("is_active_flag", "active"),
    ("business_key_columns", "a b"),
    ("business_key_columns", "a,,b"),
    ("business_key_columns", "a,b;c"),
    ("business_key_columns", "a,"),
    ("business_key_columns", "[a"),
    ("business_key_columns", "true"),
    ("business_key_columns", "1"),
    ("business_key_columns", '{"a": 1}'),
    ("business_key_columns", 7),
    ("src_system", 7),
    ("comment", 1.5),
]


@pytest.mark.parametrize(("column", "value"), AMBIGUOUS, ids=lambda value: str(value)[:20])
def test_what_could_mean_two_things_is_one_error(column: str, value: object) -> None:
    _, problems = read_entries(raw(row(**{column: value})))
    assert [(problem.column, problem.severity) for problem in problems] == [(column, "error")]


def test_words_of_a_runner_are_its_own() -> None:
    """A runner may be named like a loader in another case, and its load_type is nobody else's."""
    (entry,), problems = read_entries(raw(row(execution_pipeline="SCD1", load_type="FULL")), runners=["SCD1"])
    assert (entry.row.execution_pipeline, entry.row.load_type) == ("SCD1", "FULL")
    assert problems == ()


def test_each_kind_is_reported_once_with_a_count() -> None:
    orders = [*["1.0"] * 84, *["2.0"] * 40, *["3.0"] * 10, "4.0", "5.0", "6.0", "7.0", "8.0", "9.0"]
    rows = [row(dst_table_name=f"t{n}", execution_order=order) for n, order in enumerate(orders)]
    rows[3] |= {"src_system": " erp", "comment": "NULL", "is_active_flag": "yes"}
    rows[7] |= {"comment": "\\N", "business_key_columns": "a;b", "is_active_flag": "0"}
    _, problems = read_entries(raw(*rows))
    assert {problem.severity for problem in problems} == {"warning"}
    assert sentences(problems) == [
        "execution_order: 140 cells: 1.0 read as 1; 2.0 as 2; 3.0 as 3; and 6 more",
        "row 4 (t3) src_system: 1 cell: ' erp' read as erp",
        "is_active_flag: 2 cells: yes read as true; 0 as false",
        "comment: 2 cells: NULL, \\N read as no value",
        "row 8 (t7) business_key_columns: 1 cell: 'a;b' read as '[\"a\", \"b\"]'",
    ]


def test_columns_in_any_case() -> None:
    (entry,), problems = read_entries(raw({name.upper(): value for name, value in row().items()}))
    assert sentences(problems) == [
        "17 columns: SRC_SYSTEM read as src_system; SRC_CATALOG as src_catalog; SRC_SCHEMA as src_schema; and 14 more"
    ]
    assert entry.row == read_entries(raw(row()))[0][0].row
    _, problems = read_entries(raw({**row(), "Layer": "other"}))
    assert sentences(errors(problems)) == ["row 1 Layer: column 'Layer' stands twice, as layer too; keep one of them"]


# --- the habits of one export, in every format -----------------------------------------------------------------------

CLEAN = [
    row(
        dst_table_name=f"dim_{n:03}",
        src_table_name=f"d{n}",
        execution_order=1 + n % 3,
        business_key_columns=["id", "region"] if n % 4 == 0 else ["id"],
        is_active_flag=n % 20 != 3,
        comment=None,
    )
    for n in range(140)
]
HABITS: Mapping[str, Sequence[Callable[[Any], Any]]] = {
    "execution_order": (str, lambda v: f"{v}.0", lambda v: f" {v}", lambda v: f"0{v}"),
    "is_active_flag": (
        lambda v: "TRUE" if v else "F",
        lambda v: "1" if v else "0",
        lambda v: "yes" if v else "NULL",
        lambda v: "t " if v else "False",
    ),
    "business_key_columns": (json.dumps, ",".join, " ; ".join, lambda v: f"[{', '.join(v)}]"),
    "primary_key_columns": (lambda _: "[]", lambda _: "NULL", lambda _: "\\N", lambda _: None),
    "comment": (lambda _: "NULL", lambda _: "null", lambda _: "\\N", lambda _: ""),
    "sql_file_path": (lambda _: "\\N", lambda _: "(null)", lambda _: " ", lambda _: "NULL"),
    "cdc_source_config": (lambda _: "null", lambda _: "{}", lambda _: "NULL", lambda _: None),
    "src_system": (str, lambda v: f" {v}", lambda v: f"{v} ", str),
    "dst_table_name": (str, lambda v: f" {v} ", str, lambda v: f"{v}\t"),
    "execution_pipeline": (str, str.upper, str, lambda v: f" {v}"),
    "load_type": (str, str.upper, str.title, str),
}


def spelled() -> list[dict[str, Any]]:
    chance = random.Random(15)
    return [
        {name: chance.choice(HABITS.get(name, (lambda v: v,)))(value) for name, value in columns.items()}
        for columns in CLEAN
    ]


def as_csv(rows: Sequence[Mapping[str, Any]], delimiter: str = ",", before: str = "", end: str = "\n") -> str:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow([name.upper() for name in HEADER])
    for number, columns in enumerate(rows):
        if number % 50 == 10:
            writer.writerow([""] * len(HEADER))
            text.write(f"# of the night{end}{end}")
        writer.writerow(["" if columns[name] is None else columns[name] for name in HEADER])
    return before + text.getvalue()


def as_yaml(rows: Sequence[Mapping[str, Any]]) -> str:
    """Bare wherever a person would write it so."""
    lines = []
    for columns in rows:
        for number, (name, value) in enumerate(columns.items()):
            text = "" if value is None else value if re.fullmatch(r"[\w.]+", str(value)) else json.dumps(value)
            lines.append(f"{'- ' if number == 0 else '  '}{name}: {text}")
    return "\n".join(lines) + "\n"


def as_arrow(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in HEADER]))


def to_text(name: str, text: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(text, encoding="utf-8", newline="")
        return folder / name

    return write


def to_parquet(folder: Path) -> Path:
    parquet.write_table(as_arrow(spelled()), folder / "rows.parquet")
    return folder / "rows.parquet"


def to_delta(folder: Path) -> Path:
    write_deltalake(str(folder / "rows"), as_arrow(spelled()))
    return folder / "rows"


FORMATS: Mapping[str, Callable[[Path], Path]] = {
    "comma": to_text("rows.csv", as_csv(spelled())),
    "semicolon": to_text("rows.csv", as_csv(spelled(), ";", "\ufeffsep=;\r\n", "\r\n")),
    "semicolon alone": to_text("rows.csv", as_csv(spelled(), ";")),
    "tab": to_text("rows.csv", as_csv(spelled(), "\t", "# exported\n\n-- by hand\n")),
    "bar": to_text("rows.csv", as_csv(spelled(), "|")),
    "yaml": to_text("rows.yml", as_yaml(spelled())),
    "json": to_text("rows.json", json.dumps([{name.upper(): v for name, v in each.items()} for each in spelled()])),
    "json lines": to_text("rows.jsonl", "".join(json.dumps(each) + "\n" for each in spelled())),
    "parquet": to_parquet,
    "delta": to_delta,
}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return project(tmp_path_factory.mktemp("spelling"), CLEAN)


def texts(options: Options, source: Path | None) -> tuple[dict[str, str], list[str]]:
    made, problems = build(Options(settings=options.settings, source=source, out=options.out))
    assert made is not None, [sentence(problem) for problem in problems]
    said = [sentence(problem) for problem in problems if problem.severity == "warning"]
    return {name: text.split("\n", 1)[1] for name, text in made.texts.items()}, said


@pytest.mark.parametrize("kind", FORMATS)
def test_the_habits_of_an_export_make_the_job_of_clean_rows_in_one_round(
    bundle: Options, tmp_path: Path, kind: str
) -> None:
    made, said = texts(bundle, FORMATS[kind](tmp_path))
    assert made == texts(bundle, None)[0]
    assert 5 <= len(said) <= 12, said
    assert sum(" cells: " in line for line in said) >= 5


@pytest.mark.parametrize("kind", ["parquet", "delta"])
def test_types_that_pandas_and_warehouses_make_of_a_column(bundle: Options, tmp_path: Path, kind: str) -> None:
    """An INT with a NULL in it is a DOUBLE, a flag a TINYINT, a list its text, a number of a database a DECIMAL."""
    rows = [{**columns, "primary_key_columns": None} for columns in CLEAN]
    table = pa.Table.from_pylist(
        [{**each, "business_key_columns": ",".join(each["business_key_columns"])} for each in rows]
    )
    names = table.column_names
    order = pa.decimal128(12, 2) if kind == "delta" else pa.float64()
    for name, type_ in (("execution_order", order), ("is_active_flag", pa.int8())):
        table = table.set_column(names.index(name), name, table[name].cast(pa.int32()).cast(type_))
    for name in ("primary_key_columns", "sql_file_path", "cdc_source_config", "comment"):
        table = table.set_column(names.index(name), name, pa.nulls(len(rows), pa.string()))
    if kind == "delta":
        write_deltalake(str(tmp_path / "rows"), table)
    else:
        parquet.write_table(table, tmp_path / "rows.parquet")
    made, said = texts(bundle, tmp_path / ("rows" if kind == "delta" else "rows.parquet"))
    assert made == texts(bundle, None)[0]
    assert sum(" cells: " in line for line in said) == 3


def test_the_forms_of_a_csv_file_are_reported_once(tmp_path: Path) -> None:
    path = FORMATS["semicolon"](tmp_path)
    rows, problems = read_rows(path, "rows.csv")
    assert len(rows) == 143
    assert [(problem.line, problem.what) for problem in problems] == [
        (1, "line sep=; left out"),
        (2, "17 columns: SRC_SYSTEM read as src_system"),
        (14, "3 comment lines left out"),
    ]
    _, problems = read_entries(rows)
    assert "3 records without a value left out" in sentences(problems)
    assert rows[10].line == 13
    assert rows[11].line == 16


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a^b^c\n1^2^3\n", "expected a header with the 17 columns, found 'a^b^c'"),
        ("^".join(HEADER) + "\n", "expected a header with the 17 columns, found "),
        ("erp,bronze,erp,customer\n" * 20, "expected a header with the 17 columns, found 'erp,bronze,erp,customer'"),
        ("# nothing\n\n", "is empty"),
        ("", "is empty"),
    ],
)
def test_a_file_without_the_header_is_one_problem(tmp_path: Path, text: str, what: str) -> None:
    (tmp_path / "rows.csv").write_text(text, encoding="utf-8")
    rows, (problem,) = read_rows(tmp_path / "rows.csv", "rows.csv")
    assert rows == ()
    assert problem.what.startswith(what)
    assert "src_system, src_catalog" in problem.remedy


def test_a_mark_within_quotes_is_no_comment(tmp_path: Path) -> None:
    cells = {**row(comment="a\n# no comment\n-- nor this", src_system="#1"), "business_key_columns": "id"}
    path = to_text("rows.csv", as_csv([{name: "" if v is None else v for name, v in cells.items()}]))(tmp_path)
    path.write_text(path.read_text().replace("#1,", '"#1",'))
    rows, problems = read_rows(path, "rows.csv")
    assert [each.values["comment"] for each in rows] == ["a\n# no comment\n-- nor this"]
    assert [each.values["src_system"] for each in rows] == ["#1"]
    assert all("comment line" not in problem.what for problem in problems)


# --- numbers and words of YAML ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("written", ["010", "1:30", "0x1F", "0o17", "1_000", "1e1", ".inf", "yes", "2024-01-01", "1.0"])
def test_yaml_reads_a_number_as_csv_does_or_refuses_it(bundle: Options, tmp_path: Path, written: str) -> None:
    yaml_text = as_yaml([{**row(), "execution_order": "@", "is_active_flag": "true", "business_key_columns": "id"}])
    cells = {name: "" if value is None else value for name, value in row().items()}
    cells |= {"business_key_columns": '["id"]', "execution_order": written}
    sources = [
        to_text("rows.yml", yaml_text.replace('"@"', written))(tmp_path),
        to_text("rows.csv", as_csv([cells]))(tmp_path),
    ]
    found = []
    for source in sources:
        made, problems = build(Options(settings=bundle.settings, source=source, out=bundle.out))
        order = made.plans[0].loads[0].order if made else 0
        found.append((order, [problem.column for problem in errors(problems)]))
    assert found[0] == found[1]
    assert found[0] == {"010": (10, []), "1e1": (10, []), "1.0": (1, [])}.get(written, (0, ["execution_order"]))


def test_words_that_yaml_1_1_takes_for_other_things_are_text(bundle: Options, tmp_path: Path) -> None:
    for word in ("yes", "off", "0x1F", "1_000", "12:30:45", "2024-01-01", "010"):
        text = as_yaml([{**row(), "comment": "@", "is_active_flag": "on", "execution_order": "1"}])
        text = text.replace('"@"', word).replace('["id"]', "[no, on]")
        (entry,), problems = read_entries(read_rows(to_text("rows.yml", text)(tmp_path), "rows.yml")[0])
        assert not errors(problems)
        assert entry.row.comment == word
        assert entry.row.is_active_flag
        assert entry.row.business_key_columns == ("no", "on")


def test_settings_take_no_number_of_two_meanings(tmp_path: Path) -> None:
    options = project(tmp_path)
    text = options.settings.read_text()
    for written in ("010", "0x1F", "1:30", "1_000", "yes"):
        layers = f"layers: {{bronze_to_silver: {{task: {{timeout_seconds: {written}}}}}}}\n"
        settings = yaml.safe_load(text) | {"layers": None}
        options.settings.write_text(yaml.safe_dump({k: v for k, v in settings.items() if v}) + layers)
        made, problems = build(options)
        assert made is None
        assert [problem.what for problem in problems] == [f"expected an integer, found '{written}'"]


# --- many problems of one cause --------------------------------------------------------------------------------------


def test_many_problems_of_one_cause_are_one_entry(bundle: Options, tmp_path: Path) -> None:
    rows = [{**columns, "is_active_flag": "ja", "execution_order": f"x{n}"} for n, columns in enumerate(CLEAN)]
    path = to_text("rows.json", json.dumps(rows))(tmp_path)
    made, problems = build(Options(settings=bundle.settings, source=path, out=bundle.out))
    assert made is None
    assert [sentence(problem) for problem in problems] == [
        ("140 rows (1, 2, 3, 4, 5 ...), such as row 1 (dim_000) is_active_flag: expected true or false, found 'ja'"),
        (
            "140 rows (1, 2, 3, 4, 5 ...), such as row 1 (dim_000) execution_order: expected an integer, 1 or larger, "
            "found 'x0'; also 'x1', 'x2', 'x3', 'x4', 'x5' and 134 more"
        ),
    ]
    assert [each.row for each in problems[0].alike] == [*range(2, 141)]


def test_problems_with_different_remedies_stay_apart(tmp_path: Path) -> None:
    words = ["incremantal"] * 5 + ["ful"] * 3
    rows = [row(dst_table_name=f"t{n}", load_type=word) for n, word in enumerate(words)]
    problems = build(project(tmp_path, rows))[1]
    assert [(problem.row, len(problem.alike)) for problem in problems] == [(1, 4), (6, 0), (7, 0), (8, 0)]
