"""Rows from YAML: a list of mappings."""

from __future__ import annotations

from generator.problem import Problem
from generator.raw_row import Found, RawRow
from generator.strict_yaml import Parsed, parse


def read_yaml(text: str, file: str) -> Found:
    parsed, problems = parse(text, file)
    if problems and parsed.value is None:
        return (), problems
    if not isinstance(parsed.value, list):
        return (), (*problems, _not_rows(file, parsed.line()))
    strays = (_not_rows(file, parsed.line(i), i + 1) for i, row in enumerate(parsed.value) if not isinstance(row, dict))
    rows = (_row(row, parsed, i, file) for i, row in enumerate(parsed.value) if isinstance(row, dict))
    return tuple(rows), (*problems, *strays)


def _not_rows(file: str, line: int, row: int = 0) -> Problem:
    remedy = "write `- ` before the first column of each row and `column: value` in each line"
    what = "expected a mapping of columns" if row else "expected a list of rows"
    return Problem(file=file, line=line, row=row, what=what, remedy=remedy)


def _row(row: dict[object, object], parsed: Parsed, index: int, file: str) -> RawRow:
    values = {str(column): value for column, value in row.items()}
    return RawRow(file=file, number=index + 1, line=parsed.line(index), values=values, lines=parsed.lines(index))
