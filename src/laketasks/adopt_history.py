"""Guesses about a history that another tool kept: which columns bound a version, and what their ends mean.

A guess is SQL over the table's columns, such as a user would give to `adopt`. The names are those of dbt, SQL Server,
AUTO CDC and of hand-written loaders; what an end means is read from the rows.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, NumericType, StringType, TimestampNTZType, TimestampType

from laketasks.source import instant_expression
from laketasks.sql import quote, text

BEFORE = "_before"  # what is appended to the name of a column whose name the loaders need
_TEMPORAL = (TimestampType, TimestampNTZType, DateType)
_ENDS = {
    "start": ("end", "stop"),
    "from": ("to", "until", "thru", "through"),
    "begin": ("end",),
    "began": ("ended",),
    "effective": ("expiration", "expiry", "expired", "expires", "end", "termination", "ineffective"),
    "eff": ("exp", "end"),
    "active": ("inactive",),
}
_OF_A_TOOL = re.compile(r"valid|dbt|scd|row|eff|version|^__", re.IGNORECASE)
_FLAG = re.compile(r"(^|_)(is_?)?(current|latest|active|curr)(_?(flag|ind|indicator|row|record|version|yn|fl))?($|_)")
_YES = "upper(trim(cast({} AS STRING))) IN ('Y', 'YES', 'TRUE', 'T', '1', 'CURRENT', 'ACTIVE', 'A', 'C')"
_FAR = timedelta(days=50 * 365)  # an end that lies further ahead means that there is none
_UNITS = {  # by how much an inclusive end lies before the next start, in microseconds
    86_400_000_000: "DAY",
    60_000_000: "MINUTE",
    1_000_000: "SECOND",
    1_000: "MILLISECOND",
    1: "MICROSECOND",
}
_ROUNDED = 3_000  # datetime of SQL Server ends a day at 23:59:59.997


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How a foreign history is read: SQL over its columns, and the columns that it was found in."""

    valid_from: str = ""
    valid_to: str = ""
    is_deleted: str = ""
    flag: str = ""  # the column that marks the current version


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """What the ends of the versions mean: `open_end` is the date that means no end, `unit` that of an inclusive end."""

    open_end: str = ""
    unit: str = ""

    def exclusive(self, end: str, kind: DataType) -> str:
        """The end as `adopt` takes it: NULL where a version is open, else the instant from which it is not valid."""
        if self.open_end and (self.unit or " '9999-" not in self.open_end):
            end = f"nullif({end}, {self.open_end})"
        if not self.unit:
            return end
        if isinstance(kind, StringType):
            end = f"cast({end} AS TIMESTAMP)"
        return f"date_add({end}, 1)" if isinstance(kind, DateType) else f"{end} + INTERVAL {self.unit}"

    def told(self, end: str, exclusive: str) -> str:
        """Why the end is not to be taken as it is, and what to take in its place."""
        shifted = f"most versions begin {self.unit} after the end of the one before" if self.unit else ""
        far = f"{self.open_end} means no end" if self.open_end and "nullif(" in exclusive else ""
        reasons = " and ".join(filter(None, (shifted, far)))
        return f"--valid_to={end}: {reasons}, and valid_to is exclusive; use --valid_to={shlex.quote(exclusive)}"


def guess_history(columns: Mapping[str, DataType], business: Iterable[str] = ()) -> History:
    """The columns that bound a version, by their names; `business` are columns of the source, which do not."""
    taken = {name.lower() for name in business}
    own = {name: kind for name, kind in columns.items() if name.lower() not in taken}
    start, end = _bounds(own)
    deleted = next((name for name in own if name.lower() == "dbt_is_deleted"), "")
    return History(
        valid_from=_column(start),
        valid_to=_column(end),
        is_deleted=_YES.format(_column(deleted)) if deleted else "",
        flag=guess_flag(own),
    )


def guess_flag(columns: Mapping[str, DataType]) -> str:
    """The column that marks the current version; empty where none or several may."""
    kinds = (BooleanType, NumericType, StringType)
    found = [n for n, kind in columns.items() if _FLAG.search(_snake(n)) and isinstance(kind, kinds)]
    return found[0] if len(found) == 1 else ""


def is_marked(flag: str) -> str:
    """The condition that a row is the current version by its flag."""
    return f"coalesce({_YES.format(quote(flag))}, false)"


def as_instant(expression: str, kind: DataType) -> str:
    """A value as a TIMESTAMP: a date begins at midnight UTC, a text is read by the engine."""
    return instant_expression(expression, kind) if isinstance(kind, _TEMPORAL) else f"cast({expression} AS TIMESTAMP)"


def _bounds(columns: Mapping[str, DataType]) -> tuple[str, str]:
    temporal = {_snake(name): name for name, kind in columns.items() if isinstance(kind, (*_TEMPORAL, StringType))}
    pairs = [(temporal[start], temporal[end]) for start in temporal for end in _counterparts(start) if end in temporal]
    for preferred in (_OF_A_TOOL.search, lambda _: True):
        chosen = [pair for pair in pairs if preferred(pair[0])]
        if chosen:
            return chosen[0] if len(chosen) == 1 else ("", "")
    return "", ""


def _counterparts(start: str) -> list[str]:
    """The names that the end of this start may have.

    >>> _counterparts("row_start_date")[:2]
    ['row_end_date', 'row_stop_date']
    """
    words = start.removesuffix(BEFORE).split("_")
    found = [
        "_".join((*words[:place], end, *words[place + 1 :]))
        for place, word in enumerate(words)
        for end in _ENDS.get(word, ())
    ]
    return [*found, *(f"{name}{BEFORE}" for name in found)]


def _snake(name: str) -> str:
    """A name in lower case with `_` between its words.

    >>> _snake("rowStartDate"), _snake("__START_AT")
    ('row_start_date', '__start_at')
    """
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _column(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) or not name else quote(name)


def read_ends(rows: DataFrame, keys: Iterable[str], start: str, end: str, kind: DataType) -> Ends:
    """What the ends of a history mean, from its rows; `start` is a TIMESTAMP expression, `end` one of type `kind`."""
    until = as_instant(end, kind)
    latest = rows.agg(F.expr(f"unix_micros(max({until})) AS latest")).collect()[0]["latest"]
    open_end = _open_end(latest, kind)
    closed = as_instant(f"nullif({end}, {open_end})" if open_end else end, kind)
    over = f"OVER (PARTITION BY {', '.join(keys)} ORDER BY {start}, {until})"
    moved = rows.selectExpr(
        f"unix_micros({start}) AS start",
        f"unix_micros({closed}) AS until",
        f"unix_micros(lead({start}) {over}) AS next",
    )
    counts = {f"u{micros}": f"count_if(next - until = {micros})" for micros in (*_UNITS, _ROUNDED)}
    counts |= {"exact": "count_if(next = until)", "later": "count_if(next > until)", "empty": "count_if(start = until)"}
    found = moved.agg(*(F.expr(f"{value} AS {name}") for name, value in counts.items())).collect()[0]
    for micros, unit in {**_UNITS, _ROUNDED: "3 MILLISECOND"}.items():
        if found[f"u{micros}"] > found["exact"] and 2 * found[f"u{micros}"] > found["later"]:
            return Ends(open_end=open_end, unit=unit if " " in unit else f"1 {unit}")
    if found["empty"] and not found["exact"] and isinstance(kind, DateType):
        return Ends(open_end=open_end, unit="1 DAY")  # a version of one day begins and ends on it
    return Ends(open_end=open_end)


def _open_end(latest: int | None, kind: DataType) -> str:
    """The literal of the latest end if it is so far ahead that it means none."""
    if latest is None:
        return ""
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=latest)
    if moment < datetime.now(timezone.utc) + _FAR:
        return ""
    if isinstance(kind, StringType):
        return ""
    if isinstance(kind, DateType):
        return f"DATE {text(moment.date().isoformat())}"
    if isinstance(kind, TimestampNTZType):
        return f"TIMESTAMP_NTZ {text(moment.replace(tzinfo=None).isoformat(sep=' '))}"
    return f"TIMESTAMP {text(moment.isoformat(sep=' '))}"
