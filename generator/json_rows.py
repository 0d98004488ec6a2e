"""Rows from JSON: an array of objects, or one object after another (JSON lines)."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterator
from json import JSONDecodeError

from generator.problem import Problem
from generator.raw_row import Found, RawRow

_SPACE = re.compile(r"[ \t\r\n]*")


def read_json(text: str, file: str) -> Found:
    """Every row with the lines of its columns. Where a key stands twice the last one counts, as in YAML."""
    walk = _Walk(text, file)
    try:
        rows = tuple(walk.rows())
    except JSONDecodeError as error:
        what = f"not valid JSON: {error.msg}"
        return (), (Problem(file=file, line=error.lineno, position=error.colno, what=what),)
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets without end
        return (), (Problem(file=file, what=f"not valid JSON: {str(error).splitlines()[0]}"),)
    return rows, tuple(walk.problems)


class _Walk:
    """Walks the rows and their columns, since the parser says no lines; values are the parser's.

    What reads something leaves `_at` behind it.
    """

    def __init__(self, text: str, file: str) -> None:
        self._text, self._file, self._at = text, file, 0
        self._ends = [match.start() for match in re.finditer("\n", text)]
        self._twice: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)
        self._halves = "\\ud" in text.lower()
        self.problems: list[Problem] = []

    def rows(self) -> Iterator[RawRow]:
        places = self._items("]") if self._next() == "[" else self._one_after_another()
        for number, at in enumerate(places, 1):
            yield from self._row(at, number)
        if self._next():
            raise JSONDecodeError("Extra data", self._text, self._at)

    def _one_after_another(self) -> Iterator[int]:
        while self._next():
            yield self._at

    def _items(self, end: str) -> Iterator[int]:
        """Where each item between brackets begins; who takes one reads it."""
        self._at += 1
        if self._next() == end:
            self._at += 1
            return
        while True:
            yield self._at
            separator = self._next()
            if separator not in (",", end):
                raise JSONDecodeError(f"Expecting ',' or {end!r}", self._text, self._at)
            self._at += 1
            if separator == end:
                return
            self._next()

    def _row(self, at: int, number: int) -> Iterator[RawRow]:
        line = self._line(at)
        if self._next() != "{":
            self._value()
            what, remedy = "expected an object of columns", 'write {"column": value, ...} for each row'
            self.problems.append(Problem(file=self._file, line=line, row=number, what=what, remedy=remedy))
            return
        values: dict[str, object] = {}
        lines: dict[str, int] = {}
        broken: set[str] = set()
        for key_at in self._items("}"):
            name, value, here = self._key(), self._value(), self._line(key_at)
            if name in lines:
                self._say_twice(name, here, number, f", first in line {lines[name]}")
            for below in self._twice:
                self._say_twice(below, here, number, f" in {name}")
            self._twice.clear()
            if self._halves and not _is_text([name, value]):
                what = f"column {name!a} holds half of a surrogate pair, which is no text"
                self.problems.append(Problem(file=self._file, line=here, row=number, what=what, remedy="remove it"))
                broken.add(name)
                continue
            values[name], lines[name] = value, here
        reported = frozenset(broken)
        yield RawRow(file=self._file, number=number, line=line, values=values, lines=lines, reported=reported)

    def _key(self) -> str:
        if self._next() != '"':
            raise JSONDecodeError("Expecting a column's name in double quotes", self._text, self._at)
        name = str(self._value())
        if self._next() != ":":
            raise JSONDecodeError("Expecting ':' delimiter", self._text, self._at)
        self._at += 1
        return name

    def _value(self) -> object:
        self._next()
        value: object
        value, self._at = self._decoder.raw_decode(self._text, self._at)
        return value

    def _object(self, pairs: list[tuple[str, object]]) -> dict[str, object]:
        made = dict(pairs)
        if len(made) < len(pairs):
            names = [name for name, _ in pairs]
            self._twice.extend(sorted({name for name in names if names.count(name) > 1}))
        return made

    def _say_twice(self, name: str, line: int, number: int, where: str) -> None:
        what = f"key {name!r} stands twice{where}"
        self.problems.append(Problem(file=self._file, line=line, row=number, what=what, remedy="keep one of them"))

    def _next(self) -> str:
        """The next character that is no space, not read yet; "" at the end."""
        if match := _SPACE.match(self._text, self._at):
            self._at = match.end()
        return self._text[self._at : self._at + 1]

    def _line(self, at: int) -> int:
        return bisect_left(self._ends, at) + 1


def _is_text(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
