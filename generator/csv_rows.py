"""Rows from CSV: a header with the 17 columns in any order, and a record for each row.

The separator is the one that the header has: a comma, a semicolon, a tab or a bar. A first line `sep=;` is Excel's way
to name it. Lines that begin with `#` or `--` are comments.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from typing import Any

from generator.cell import read_cell
from generator.columns import BY_NAME, column_problems, fold
from generator.problem import Problem, shown
from generator.raw_row import Found, RawRow
from generator.spelling import BLANKS

_SEPARATORS = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_NAMED = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE | re.DOTALL)
_COMMENT = ("#", "--")


def read_csv(text: str, file: str) -> Found:
    """Read the rows; what was taken over in the form of the file is reported as a warning."""
    reading = _Reading(text, file)
    reading.read()
    return tuple(reading.rows), tuple(reading.problems)


class _Lines:
    """The lines of a file for csv.reader, without the comments between records. `start` is the line of a record."""

    def __init__(self, text: str) -> None:
        self._lines = io.StringIO(text, newline="")
        self.number = self.start = 0
        self.begins = True
        self.comments: list[int] = []

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        while True:
            line = next(self._lines)
            self.number += 1
            if self.begins and line.startswith(_COMMENT):
                self.comments.append(self.number)
                continue
            if self.begins:
                self.begins, self.start = False, self.number
            return line


class _Reading:
    """One file on its way to rows and problems."""

    def __init__(self, text: str, file: str) -> None:
        self._file, self._lines, self._between = file, _Lines(text), "a comma"
        self.rows: list[RawRow] = []
        self.problems: list[Problem] = []

    def read(self) -> None:
        first = self._first_line()
        named = _NAMED.fullmatch(first) if self._lines.number == 1 else None
        if named:
            self._note(1, f"line {first.strip()} left out")
            first = self._first_line()
        separator = _separator(first, named[1] if named else ",")
        if not separator:
            what = f"expected a header with the 17 columns, found {shown(first.strip(BLANKS))}" if first else "is empty"
            remedy = f"name the columns in the first line: {', '.join(BY_NAME)}"
            self.problems.append(Problem(file=self._file, line=self._lines.start or 1, what=what, remedy=remedy))
            return
        self._between = _SEPARATORS.get(separator, shown(separator))
        if separator != "," and not named:
            self._note(self._lines.start, f"{self._between} read as the separator")
        try:
            header = self._header(next(csv.reader([first], delimiter=separator, strict=True)))
            self._records(csv.reader(self._lines, delimiter=separator, strict=True), header)
        except csv.Error as error:  # the rows before it are right or wrong all the same
            self.problems.append(Problem(file=self._file, line=self._lines.number, what=f"not valid CSV: {error}"))
        if comments := self._lines.comments:
            count = len(comments)
            self._note(comments[0], f"{count:,} comment line{'' if count == 1 else 's'} left out")

    def _first_line(self) -> str:
        """The next line that is neither empty nor a comment."""
        for line in self._lines:
            self._lines.begins = True
            if line.strip(BLANKS):
                return line
        return ""

    def _header(self, cells: list[str]) -> list[str]:
        while cells and not cells[-1].strip(BLANKS):
            cells.pop()
        header = [fold(cell) for cell in cells]
        absent, stray = "add it to the header, empty where it is NULL", f"the columns are {', '.join(BY_NAME)}"
        line = self._lines.start
        found = column_problems(header, self._file, line=line, place="header", absent=absent, stray=stray)
        self.problems.extend(found)
        if changed := [(cell, name) for cell, name in zip(cells, header, strict=True) if cell != name]:
            count, (cell, name) = len(changed), changed[0]
            self._note(line, f"{count:,} column{'' if count == 1 else 's'}: {shown(cell)[1:-1]} read as {name}")
        return header

    def _records(self, reader: Any, header: list[str]) -> None:
        """Add each record to the rows, or what is wrong with it to the problems."""
        reported = frozenset(BY_NAME) - set(header)
        number = 0
        self._lines.begins = True
        for cells in reader:
            self._lines.begins = True
            if not cells:
                continue
            number += 1
            line = self._lines.start
            while len(cells) > len(header) and not cells[-1].strip(BLANKS):
                cells.pop()
            if len(cells) != len(header):
                what = f"has {len(cells)} cells, the header has {len(header)}"
                remedy = f"quote cells that hold {self._between} or a quotation mark"
                self.problems.append(Problem(file=self._file, line=line, row=number, what=what, remedy=remedy))
                continue
            named = zip(header, cells, strict=True)
            values = {name: read_cell(name, text) for name, text in named if name in BY_NAME}
            self.rows.append(RawRow(file=self._file, number=number, line=line, values=values, reported=reported))

    def _note(self, line: int, what: str) -> None:
        self.problems.append(Problem(file=self._file, line=line, what=what, severity="warning"))


def _separator(line: str, preferred: str) -> str:
    """The separator that finds the most columns in the header, the preferred one before others; "" where none does."""
    found = {separator: _known(line, separator) for separator in (preferred, *_SEPARATORS)}
    best = max(found, key=lambda separator: found[separator])
    return best if found[best] else ""


def _known(line: str, separator: str) -> int:
    try:
        return len({fold(cell) for cell in next(csv.reader([line], delimiter=separator), [])} & BY_NAME.keys())
    except (csv.Error, TypeError, ValueError):  # what `sep=` names may be no separator
        return 0
