"""Watermarks as text that the run log can keep: exact, ordered, independent of any session's time zone.

Each type of column has one text per value, and the order of the texts' values is the engine's own. A type or a value
that has no such text is refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from math import isinf, isnan

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegralType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from laketasks.column import type_text
from laketasks.error import SourceError
from laketasks.spec import parse_instant
from laketasks.sql import micros, on, text
from laketasks.zoneless import micros_of_naive

_FUTURE = timedelta(days=1)  # clocks differ by less, and so do zones of timestamps without one
_DAY = timedelta(days=1) // timedelta(microseconds=1)
_FIRST, _LAST = micros(datetime(1, 1, 1, tzinfo=timezone.utc)), micros(datetime.max.replace(tzinfo=timezone.utc))
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TIMES = (TimestampType, TimestampNTZType, DateType)
_FLOATS = (FloatType, DoubleType)
_NUMBERS = (IntegralType, DecimalType)
_STAMP = re.compile(r"(\d{1,4})(-\d\d-\d\d)(?:T(\d\d:\d\d:\d\d)\.(\d{6})Z?)?")


def check_kinds(key: str, kinds: Mapping[str, DataType]) -> None:
    """Raise SourceError for columns of types whose values have no text, or no order that every engine has."""
    known = (*_TIMES, *_FLOATS, *_NUMBERS, BinaryType, BooleanType)
    plain = {name: kind for name, kind in kinds.items() if not isinstance(kind, known)}
    wrong = [f"{n} is {k.simpleString()}" for n, k in plain.items() if not _is_plain_text(k)]
    if wrong:
        raise SourceError(
            f"{key}: {', '.join(wrong)}, which has no order that a later load could go on from. Cast it in the row's "
            "SQL file to TIMESTAMP, DATE, a number or STRING"
        )


def _is_plain_text(kind: DataType) -> bool:
    """Whether the type is text in the order of its bytes; a collation has another."""
    if kind.typeName() in ("varchar", "char"):
        return True
    return isinstance(kind, StringType) and kind.simpleString() in ("string", "string collate UTF8_BINARY")


def mark_of(column: str, kind: DataType) -> str:
    """SQL that turns the highest value of a column into text for `read_mark`."""
    if isinstance(kind, TimestampType):
        return f"cast(max(unix_micros({column})) AS STRING)"
    if isinstance(kind, DateType):
        return f"cast(max(unix_date({column})) AS STRING)"
    if isinstance(kind, TimestampNTZType):
        return f"cast(max({micros_of_naive(column)}) AS STRING)"
    if isinstance(kind, BinaryType):
        return f"max(hex({column}))"
    if isinstance(kind, _FLOATS):  # from -Infinity on is everything; the others are refused or left out
        without_end = f"isnan({column}) OR abs({column}) = cast('Infinity' AS DOUBLE)"
        return f"cast(max(IF({without_end}, NULL, {column})) AS STRING)"
    return f"cast(max({column}) AS STRING)"


def read_mark(value: str | None, kind: DataType) -> str | None:
    """Return the text for the run log from what `mark_of` gave; raises SourceError for a time that has none."""
    if value is None:
        return None
    if isinstance(kind, _TIMES):
        return _stamp(int(value) * (_DAY if isinstance(kind, DateType) else 1), kind)
    if isinstance(kind, _FLOATS):
        return str(float(value))
    return format(Decimal(value), "f") if isinstance(kind, _NUMBERS) else value


def earlier(left: str, right: str, kind: DataType) -> bool:
    """Return true if one mark lies before another in the order that the engine gives the column."""
    if isinstance(kind, _FLOATS):
        one, other = float(left), float(right)
        return one < other or (isnan(other) and not isnan(one))
    if isinstance(kind, _NUMBERS):
        return Decimal(left) < Decimal(right)
    if isinstance(kind, _TIMES):
        return _micros_of(left, kind) < _micros_of(right, kind)
    return left < right


def from_mark(column: str, mark: str, kind: DataType, lookback: timedelta) -> str:
    """The condition of an incremental read: the column has reached the mark, less the lookback (of times only)."""
    if isinstance(kind, _TIMES):
        back = lookback // timedelta(microseconds=1)
        return f"{column} >= {_literal(_micros_of(mark, kind) - back, kind)}"
    if isinstance(kind, BinaryType):
        return f"{column} >= unhex({text(mark)})"
    if isinstance(kind, _FLOATS) and not float(mark):
        mark = "-0.0"  # where an engine tells it from 0.0, it is the lower one
    return f"{column} >= cast({text(mark)} AS {type_text(kind)})"


def holds_time(kind: DataType) -> bool:
    """Return whether a lookback can be taken from the marks of this type."""
    return isinstance(kind, _TIMES)


def fits(mark: str, kind: DataType) -> bool:
    """Return true if the text is a mark of this type: of another type's column it would be read wrongly."""
    try:
        earlier(mark, mark, kind)
    except (ValueError, InvalidOperation, SourceError):
        return False
    return not isinstance(kind, BinaryType) or bool(re.fullmatch(r"(?:[0-9A-F]{2})*", mark))


def of_instant(moment: datetime, kind: DataType) -> str | None:
    """The mark of an instant for a column of this type; None where the type holds no time."""
    return _stamp(micros(moment), kind) if isinstance(kind, _TIMES) else None


def beyond(expression: str, kind: DataType, now: datetime) -> str:
    """The condition that nothing real follows the value: more than a day after `now`, NaN or infinite; '' for others.

    Of a sequence of several columns it is enough that one lies there.
    """
    if isinstance(kind, StructType):
        parts = (beyond(on(expression, field.name), field.dataType, now) for field in kind.fields)
        return " OR ".join(part for part in parts if part)
    if isinstance(kind, _TIMES):
        return f"coalesce({expression} > {_literal(micros(now + _FUTURE), kind)}, false)"
    if isinstance(kind, _FLOATS):
        return f"coalesce(isnan({expression}) OR {expression} = cast('Infinity' AS DOUBLE), false)"
    return ""


def is_beyond(mark: str, kind: DataType, now: datetime) -> bool:
    """Return true if nothing real follows the mark, as `beyond` has it."""
    if isinstance(kind, _TIMES):
        return _micros_of(mark, kind) > micros(now + _FUTURE)
    return isinstance(kind, _FLOATS) and (isnan(float(mark)) or (isinf(float(mark)) and float(mark) > 0))


def _stamp(moment: int, kind: DataType) -> str:
    """ISO 8601 of microseconds since the epoch, in UTC where the type has a zone."""
    if not _FIRST <= moment <= _LAST:
        raise SourceError(
            f"a watermark of type {type_text(kind)} lies outside the years 1 to 9999; leave such rows out with "
            "`where`, or correct them in the row's SQL file"
        )
    day, _, time = (_EPOCH + timedelta(microseconds=moment)).isoformat().partition("T")
    if isinstance(kind, DateType):
        return day
    zone = "Z" if isinstance(kind, TimestampType) else ""
    return f"{day}T{time[:8]}.{moment % 1_000_000:06d}{zone}"


def _micros_of(mark: str, kind: DataType) -> int:
    """Microseconds since the epoch of a mark; raises SourceError for text that is not one."""
    match = _STAMP.fullmatch(mark)
    moment = parse_instant(f"{match[1]:0>4}{match[2]}T{match[3] or '00:00:00'}") if match else None
    if match is None or moment is None:
        raise SourceError(f"the watermark {mark!r} is not a {type_text(kind)}")
    return micros(moment) + int(match[4] or 0)


def _literal(moment: int, kind: DataType) -> str:
    """The lowest value of the type from an instant on."""
    if isinstance(kind, TimestampType):
        return f"timestamp_micros({moment})"
    if isinstance(kind, DateType):
        return f"date_from_unix_date({moment // _DAY})"
    return f"cast({text(_stamp(max(moment, _FIRST), kind))} AS TIMESTAMP_NTZ)"
