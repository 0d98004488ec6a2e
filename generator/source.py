"""Rows of execution_table, as a file has them: read, not judged."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.columns import BY_NAME, COLUMNS
from generator.problem import Problem, shown
from laketasks.spec import did_you_mean

YAML_SUFFIXES = (".yml", ".yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row: `number` counts data rows from 1, `lines` are those of its columns where they differ from `line`.

    `reported` are the columns that a problem of the file names already.
    """

    file: str
    number: int
    line: int
    values: Mapping[str, object]
    lines: Mapping[str, int] = field(default_factory=dict)
    reported: frozenset[str] = frozenset()


def read_rows(path: Path, file: str) -> tuple[tuple[RawRow, ...], tuple[Problem, ...]]:
    """Read a .yml, .yaml or .csv file; `file` is its name in messages."""
    readers = {**dict.fromkeys(YAML_SUFFIXES, _yaml_rows), ".csv": _csv_rows}
    read = readers.get(path.suffix.lower())
    if read is None:
        what = f"execution_table {shown(file)} is of a kind that this version does not read"
        return (), (Problem(what=what, remedy="it reads .yml, .yaml and .csv files"),)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        remedy = "name it with --source, or as execution_table in the settings"
        return (), (Problem(file=file, what=f"cannot be read: {error.strerror}", remedy=remedy),)
    except UnicodeDecodeError as error:
        return (), (Problem(file=file, what=f"not UTF-8: byte {error.start}", remedy="save the file as UTF-8"),)
    return read(text, file)


def _yaml_rows(text: str, file: str) -> tuple[tuple[RawRow, ...], tuple[Problem, ...]]:
    from generator.strict_yaml import parse

    parsed, problems = parse(text, file)
    if problems and parsed.value is None:
        return (), problems
    if not isinstance(parsed.value, list):
        return (), (*problems, _not_rows(file, parsed.line()))
    nodes = parsed.node.value
    strays = (_not_rows(file, parsed.line(i), i + 1) for i, row in enumerate(parsed.value) if not isinstance(row, dict))
    rows = (_yaml_row(row, nodes[i], i, file) for i, row in enumerate(parsed.value) if isinstance(row, dict))
    return tuple(rows), (*problems, *strays)


def _not_rows(file: str, line: int, row: int = 0) -> Problem:
    remedy = "write `- ` before the first column of each row and `column: value` in each line"
    what = "expected a mapping of columns" if row else "expected a list of rows"
    return Problem(file=file, line=line, row=row, what=what, remedy=remedy)


def _yaml_row(row: dict[object, object], node: Any, index: int, file: str) -> RawRow:
    line = node.start_mark.line + 1
    lines = {key.value: key.start_mark.line + 1 for key, _ in node.value if isinstance(key.value, str)}
    values = {str(column): value for column, value in row.items()}
    return RawRow(file=file, number=index + 1, line=line, values=values, lines=lines)


def _csv_rows(text: str, file: str) -> tuple[tuple[RawRow, ...], tuple[Problem, ...]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    problems: list[Problem] = []
    rows: list[RawRow] = []
    try:
        header = next(reader, [])
        problems.extend(_header_problems(header, file))
        _records(reader, header, file, rows, problems)
    except csv.Error as error:  # the rows before it are right or wrong all the same
        problems.append(Problem(file=file, line=reader.line_num, what=f"not valid CSV: {error}"))
    return tuple(rows), tuple(problems)


def _records(reader: Any, header: list[str], file: str, rows: list[RawRow], problems: list[Problem]) -> None:
    """Add each record to the rows, or what is wrong with it to the problems."""
    reported = frozenset(BY_NAME) - set(header)
    number, line = 0, reader.line_num + 1
    for cells in reader:
        if cells:
            number += 1
            if len(cells) != len(header):
                what = f"has {len(cells)} cells, the header has {len(header)}"
                remedy = "quote cells that hold a comma or a quotation mark"
                problems.append(Problem(file=file, line=line, row=number, what=what, remedy=remedy))
            else:
                cell_of = {name: _cell(name, text) for name, text in zip(header, cells, strict=True) if name in BY_NAME}
                rows.append(RawRow(file=file, number=number, line=line, values=cell_of, reported=reported))
        line = reader.line_num + 1


def _header_problems(header: list[str], file: str) -> Iterator[Problem]:
    for name in sorted({name for name in header if header.count(name) > 1}):
        yield Problem(file=file, line=1, column=name, what="stands twice in the header", remedy="keep one of them")
    for name in header:
        if name not in BY_NAME:
            what = f"unknown column{did_you_mean(name, BY_NAME)}"
            remedy = "" if "did you mean" in what else f"the columns are {', '.join(BY_NAME)}"
            yield Problem(file=file, line=1, column=name, what=what, remedy=remedy)
    for column in COLUMNS:
        if column.name not in header:
            remedy = "add it to the header, empty where it is NULL"
            yield Problem(file=file, line=1, column=column.name, what="missing in the header", remedy=remedy)


def read_sql(folder: Path, paths: Iterable[str]) -> dict[str, str | None]:
    """The text of each SQL file below the folder; None where it cannot be read."""
    return {path: _sql_text(folder / path) for path in sorted(set(paths))}


def _sql_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None


def _cell(name: str, text: str) -> object:
    """The cell's value; text that cannot be one stays text, which the model refuses by name."""
    kind = BY_NAME[name].kind
    if text == "" or (kind != "STRING" and not text.strip()):
        return None
    if kind == "BOOLEAN":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if kind == "INT":
        return int(text) if text.strip().isascii() and text.strip().lstrip("-").isdigit() and len(text) < 20 else text
    if kind == "ARRAY<STRING>":
        return _array(text)
    return text


def _array(text: str) -> object:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, list) else text
