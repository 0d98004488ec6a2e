"""Watermarks as text that the run log can keep: exact, ordered, independent of any session's time zone."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal

from pyspark.sql.types import DataType, DateType, NumericType, TimestampNTZType, TimestampType

from laketasks.column import type_text
from laketasks.error import SourceError
from laketasks.spec import parse_instant
from laketasks.sql import instant, text

_NAIVE = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS"


def mark_of(expression: str, kind: DataType) -> str:
    """SQL that turns the watermark's value into its text; microseconds since the epoch for a TIMESTAMP."""
    if isinstance(kind, TimestampType):
        return f"cast(unix_micros({expression}) AS STRING)"
    if isinstance(kind, TimestampNTZType):
        return f"date_format({expression}, {text(_NAIVE)})"
    return f"cast({expression} AS STRING)"


def read_mark(value: str | None, kind: DataType) -> str | None:
    """The text that the run log keeps, from what `mark_of` gave: ISO 8601 in UTC for a TIMESTAMP."""
    if value is None or not isinstance(kind, TimestampType):
        return value
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=int(value))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def earlier(left: str, right: str, kind: DataType) -> bool:
    """Whether one mark lies before another."""
    if isinstance(kind, NumericType):
        return Decimal(left) < Decimal(right)
    return left < right


def from_mark(column: str, mark: str, kind: DataType, lookback: timedelta) -> str:
    """The condition of an incremental read: the column has reached the mark, less the lookback."""
    if isinstance(kind, TimestampType):
        moment = parse_instant(mark)
        if moment is None:
            raise SourceError(f"the run log's watermark {mark!r} is not a timestamp, but the column {column} is")
        return f"{column} >= {instant(moment - lookback)}"
    if not lookback:
        return f"{column} >= cast({text(mark)} AS {type_text(kind)})"
    if isinstance(kind, DateType):
        return f"{column} >= date_sub(cast({text(mark)} AS DATE), {-(-lookback // timedelta(days=1))})"
    if isinstance(kind, TimestampNTZType):
        moved = datetime.fromisoformat(mark) - lookback
        return f"{column} >= cast({text(moved.isoformat())} AS TIMESTAMP_NTZ)"
    raise SourceError(f"lookback needs a watermark that is a timestamp or a date; {column} is {kind.simpleString()}")


def of_instant(moment: datetime, kind: DataType) -> str | None:
    """The mark of an instant for a column of this type; None where the type holds no time."""
    utc = moment.astimezone(timezone.utc)
    if isinstance(kind, TimestampType):
        return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(kind, TimestampNTZType):
        return utc.strftime("%Y-%m-%dT%H:%M:%S.%f")
    return utc.strftime("%Y-%m-%d") if isinstance(kind, DateType) else None
