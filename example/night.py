"""When rows arrive: two nights, in which Fivetran visits one table after the other.

Dimensions sync in the evening, facts after midnight. A sale that is dated to the morning of a night therefore
finds the versions that the evening brought, one of the day before finds the older ones.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pyarrow as pa

from example.tpcds import DIMENSIONS, FACTS

FIRST_EVENING = datetime(2004, 1, 1, 20, tzinfo=timezone.utc)
_MIDNIGHT_AFTER_EVENING = timedelta(hours=4)
_DIMENSION_SLOT = timedelta(minutes=8)
_FACT_SLOT = timedelta(minutes=30)
_DATE_SK_OF_DAY_ZERO = 1721425  # d_date_sk counts days as Julian day numbers do; toordinal() from year 1


def evening_of(day: int) -> datetime:
    """When the night of day 1 or day 2 begins, in UTC."""
    return FIRST_EVENING + timedelta(days=day - 1)


def slot_of(table: str, day: int) -> tuple[datetime, timedelta]:
    """When the table's sync of that night begins, and how long it takes."""
    if table in DIMENSIONS:
        return evening_of(day) + DIMENSIONS.index(table) * _DIMENSION_SLOT, _DIMENSION_SLOT
    return evening_of(day) + _MIDNIGHT_AFTER_EVENING + FACTS.index(table) * _FACT_SLOT, _FACT_SLOT


def synced(table: str, day: int, rows: int) -> pa.Array:
    """`_fivetran_synced` of so many rows, in their order, spread over the table's slot in whole milliseconds."""
    start, length = slot_of(table, day)
    first, span = int(start.timestamp()) * 1000, int(length.total_seconds()) * 1000
    millis = pa.array([first + row * span // rows for row in range(rows)], pa.int64())
    return millis.cast(pa.timestamp("ms", "UTC")).cast(pa.timestamp("us", "UTC"))


def date_sk(day: date) -> int:
    """The `d_date_sk` of a date."""
    return day.toordinal() + _DATE_SK_OF_DAY_ZERO
