"""Quartz cron expressions, by which the Jobs service starts a job: their fields, and whether their date ever comes.

No package judges these: those for cron know five fields and neither `?`, `L`, `W` nor `#`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cache

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NIGHTLY = 'write "0 30 2 * * ?" for half past two every night'
_TOKEN = re.compile(r"(?P<first>\*|\w+)?(?:-(?P<last>\w+))?(?:/(?P<step>\w*))?")
_LAST_DAY = re.compile(r"L(-(\d{1,2}))?W?")
_WEEKDAY = re.compile(r"(\d{1,2})W")
_NTH = re.compile(r"(\w+)#(\d+)")


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()


_SECOND, _MINUTE, _HOUR = _Field("seconds", 0, 59), _Field("minutes", 0, 59), _Field("hours", 0, 23)
_DAY, _MONTH = _Field("day of month", 1, 31), _Field("month", 1, 12, _MONTHS)
_DAY_OF_WEEK, _YEAR = _Field("day of week", 1, 7, _DAYS), _Field("year", 1970, 2099)
_FIELDS = (_SECOND, _MINUTE, _HOUR, _DAY, _MONTH, _DAY_OF_WEEK, _YEAR)


class _WrongError(Exception):
    """Raised at the first thing that is wrong with a field, with its words."""


def cron_problem(expression: str, today: date | None = None) -> str:
    """Return what is wrong with the expression, or "" where nothing is.

    >>> cron_problem("0 30 2 * * ?"), cron_problem("0 0 25 * * ?")
    ('', "hours: expected 0 to 23, found '25'")
    """
    return _problem(expression, today or date.today())  # noqa: DTZ011 - only the year counts


@cache
def _problem(expression: str, today: date) -> str:
    texts = expression.upper().split()
    if len(texts) not in (6, 7):
        return f"a Quartz expression has 6 or 7 fields, seconds first, this has {len(texts)}; {_NIGHTLY}"
    if (texts[3] == "?") == (texts[5] == "?"):
        return f"of day of month and day of week one has to be ?, and only one; {_NIGHTLY}"
    try:
        sets = [_values(text, field) for text, field in zip(texts, _FIELDS, strict=False) if field is not _DAY]
        years = sets[5] if len(sets) > 5 else set(range(_YEAR.least, _YEAR.most + 1))
        days = _Days(texts[3], texts[5])
    except _WrongError as error:
        return str(error)
    coming = sorted(year for year in years if year >= today.year)
    if not coming:
        return f"year: every year of {texts[6]!r} is past"
    months = sorted(sets[3])
    if any(days.fall_in(year, month) for year in coming for month in months):
        return ""
    return f"names a date that never comes: {' '.join(texts[3:])!r}"


class _Days:
    """The days of a month on which a job starts, by one of the two fields that name days."""

    def __init__(self, day: str, day_of_week: str) -> None:
        self._last: int | None = None
        self._numbers: set[int] | None = None
        self._nth: tuple[int, int] | None = None
        if day_of_week == "?":
            self._of_month(day)
        else:
            self._of_week(day_of_week)

    def fall_in(self, year: int, month: int) -> bool:
        """Whether the month of that year has one of them."""
        first, length = monthrange(year, month)
        if self._last is not None:
            return self._last < length
        if self._nth is not None:  # in Quartz Sunday is 1, here Monday is 0
            weekday, number = self._nth
            return 1 + (weekday - 2 - first) % 7 + 7 * (number - 1) <= length
        return self._numbers is None or min(self._numbers) <= length

    def _of_month(self, text: str) -> None:
        if last := _LAST_DAY.fullmatch(text):
            self._last = int(last[2] or 0)
            if self._last > 30:
                raise _WrongError(f"{_DAY.name}: expected L-1 to L-30, found {text!r}")
        elif nearest := _WEEKDAY.fullmatch(text):
            self._numbers = _values(nearest[1], _DAY)
        else:
            self._numbers = _values(text, _DAY)

    def _of_week(self, text: str) -> None:
        if nth := _NTH.fullmatch(text):
            weekday = min(_values(nth[1], _DAY_OF_WEEK))
            if not nth[2].isascii() or not 1 <= int(nth[2]) <= 5:
                raise _WrongError(f"{_DAY_OF_WEEK.name}: expected #1 to #5, found {text!r}")
            self._nth = (weekday, int(nth[2]))


def _values(text: str, field: _Field) -> set[int]:
    """The numbers that the field takes."""
    if text == "?" and field in (_DAY, _DAY_OF_WEEK):
        return set()
    if field is _DAY_OF_WEEK:
        text = _NTH.sub(r"\1", text) if _NTH.fullmatch(text) else text.removesuffix("L") or "SAT"
    return {value for part in text.split(",") for value in _part(part, field)}


def _part(part: str, field: _Field) -> Iterator[int]:
    match = _TOKEN.fullmatch(part)
    if match is None or not part or (match["first"] is None and match["last"] is not None):
        hint = "; L, W and # stand alone" if set(part) & set("LW#") and field in (_DAY, _DAY_OF_WEEK) else ""
        raise _WrongError(f"{field.name}: {part!r} is not a value, a range or a step{hint}")
    every = match["first"] in (None, "*")
    if match["first"] == "*" and match["last"]:
        raise _WrongError(f"{field.name}: {part!r} is not a range")
    first = field.least if every else _number(match["first"], field)
    step = 1 if match["step"] is None else _step(match["step"], field)
    if match["last"]:
        last = _number(match["last"], field)
    else:
        last = field.most if every or match["step"] is not None else first
    if last < first and field is _YEAR:
        raise _WrongError(f"{field.name}: {part!r} ends before it begins")
    if last < first:  # 22-2 goes over midnight
        last += field.most - field.least + 1
    for value in range(first, last + 1, step):
        yield field.least + (value - field.least) % (field.most - field.least + 1)


def _number(text: str, field: _Field) -> int:
    if text in field.words:
        return field.words.index(text) + 1
    if text.isascii() and text.isdigit() and field.least <= int(text[:9]) <= field.most:
        return int(text)
    words = f" or {field.words[0]} to {field.words[-1]}" if field.words else ""
    raise _WrongError(f"{field.name}: expected {field.least} to {field.most}{words}, found {text!r}")


def _step(text: str, field: _Field) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= field.most:
        return int(text)
    raise _WrongError(f"{field.name}: expected a step of 1 to {field.most}, found {text!r}")
