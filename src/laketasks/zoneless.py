"""SQL that reads dates and timestamps without a zone as UTC. A cast would use the time zone of the session."""

from __future__ import annotations

_DAY = 86_400_000_000  # microseconds


def date_of(moment: str) -> str:
    """Return SQL for the date of a TIMESTAMP in UTC."""
    micros = f"unix_micros({moment})"
    return f"date_add(DATE '1970-01-01', cast(({micros} - pmod({micros}, {_DAY})) / {_DAY} AS INT))"


def naive_of(moment: str) -> str:
    """Return SQL for a TIMESTAMP as a TIMESTAMP_NTZ in UTC."""
    seconds = f"pmod(unix_micros({moment}), {_DAY}) / 1000000"
    return f"(cast({date_of(moment)} AS TIMESTAMP_NTZ) + make_dt_interval(0, 0, 0, {seconds}))"


def micros_of_naive(column: str) -> str:
    """Return SQL for the microseconds from 1970 to a TIMESTAMP_NTZ."""
    days = f"unix_date(cast({column} AS DATE)) * {_DAY}L"
    seconds = f"(hour({column}) * 3600L + minute({column}) * 60L + second({column})) * 1000000L"
    return f"({days} + {seconds} + cast(date_format({column}, 'SSSSSS') AS BIGINT))"
