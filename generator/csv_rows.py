"""Rows from CSV: a header with the 17 columns, `true` and `false`, JSON arrays, empty for NULL."""

from __future__ import annotations

import csv
import io
from typing import Any

from generator.cell import read_cell
from generator.columns import BY_NAME, column_problems
from generator.problem import Problem
from generator.raw_row import Found, RawRow


def read_csv(text: str, file: str) -> Found:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[RawRow] = []
    problems: list[Problem] = []
    absent, stray = "add it to the header, empty where it is NULL", f"the columns are {', '.join(BY_NAME)}"
    try:
        header = next(reader, [])
        problems.extend(column_problems(header, file, line=1, place="header", absent=absent, stray=stray))
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
                named = zip(header, cells, strict=True)
                values = {name: read_cell(name, text) for name, text in named if name in BY_NAME}
                rows.append(RawRow(file=file, number=number, line=line, values=values, reported=reported))
        line = reader.line_num + 1
