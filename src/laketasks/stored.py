"""The target as a load found it: its rows, how far they were read, when they were last written, no key open twice.

What a load plans holds for the table that it looked at. If another load has written since, the plan is not carried out
but made again: the statement that writes asks itself whether the table is still the one that was found.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks import mark
from laketasks.change import Loader
from laketasks.column import UPDATED_AT, WATERMARK
from laketasks.error import TargetError
from laketasks.sql import quote, text
from laketasks.target import Target

WRITTEN_SINCE = "another load has written to the table since this one looked at it"
_WRITTEN = f"unix_micros(max({UPDATED_AT}))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """All rows, those that count as current, and the highest watermark (the run log's text) where it was asked for.

    `written_at` is the latest _updated_at, in microseconds since the epoch; NULL in a table without rows.
    """

    rows: int = 0
    current: int = 0
    written_at: int | None = None
    watermark: str | None = None


def look(
    target: Target, loader: Loader, keys: tuple[str, ...], watermark_type: DataType | None, *, checked: bool
) -> Stored:
    """Look the target over before a load; raises TargetError for keys with more than one open version.

    `checked`: the last load left the table as it is, so that no key can have two.
    """
    if not target.exists:
        return Stored()
    versioned = bool(loader.current) and target.column(loader.current) is not None
    if versioned and not checked:
        _refuse_two_open(target, loader, keys)
    current = f"count_if({loader.current})" if versioned else "count(*)"
    sums = (
        "count(*) AS rows",
        f"{current} AS current",
        f"{_WRITTEN if target.column(UPDATED_AT) else 'cast(NULL AS BIGINT)'} AS written_at",
        f"{_mark(target, watermark_type)} AS mark",
    )
    rows, current_rows, written_at, highest = target.frame().agg(*map(F.expr, sums)).collect()[0]
    return Stored(
        rows=rows,
        current=current_rows,
        written_at=written_at,
        watermark=mark.read_mark(highest, watermark_type) if watermark_type else None,
    )


ANY = "r"  # in the place of `as_found`: whoever has written since


def as_found(target: Target, stored: Stored) -> str:
    """What follows `SELECT r.* FROM (...)` to make the statement fail if somebody has written to the target since.

    The error depends on a column, so that no engine raises it where there is no row to raise it for.
    """
    written_at = "NULL" if stored.written_at is None else f"{stored.written_at}L"
    now = f"SELECT count(*) AS n, {_WRITTEN} AS written_at FROM {target.quoted}"
    same = f"f.n = {stored.rows}L AND f.written_at <=> cast({written_at} AS BIGINT)"
    error = f"raise_error(concat({text(WRITTEN_SINCE)}, ': ', cast(f.n AS STRING), ' rows by now'))"
    return f"r CROSS JOIN ({now}) f WHERE IF({same}, true, cast({error} AS BOOLEAN))"


def highest_watermark(target: Target, watermark_type: DataType | None) -> str | None:
    """The highest watermark that the target holds, as the run log keeps it."""
    if watermark_type is None or target.column(WATERMARK) is None:
        return None
    row = target.frame().agg(F.expr(f"{_mark(target, watermark_type)} AS mark")).collect()[0]
    return mark.read_mark(row["mark"], watermark_type)


def _mark(target: Target, kind: DataType | None) -> str:
    if kind is None or target.column(WATERMARK) is None:
        return "cast(NULL AS STRING)"
    return mark.mark_of(f"max({WATERMARK})", kind)


def _refuse_two_open(target: Target, loader: Loader, keys: tuple[str, ...]) -> None:
    stored = [target.column(key) for key in keys]
    if None in stored:
        raise TargetError(
            f"{target.name}: has no column {', '.join(k for k, own in zip(keys, stored, strict=True) if own is None)}, "
            "which the row names as a key: the keys of a table do not change. Load into a new table"
        )
    names = [quote(name) for name in stored if name]
    doubled = target.frame().where(loader.current).groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 1")
    sample = doubled.selectExpr(*names).limit(5).collect()
    if sample:
        shown = ", ".join(str(tuple(row)) for row in sorted(sample, key=str))
        raise TargetError(
            f"{target.name}: keys with more than one open version, such as ({', '.join(keys)}) = {shown}. "
            "Close all but one of them (is_current = false, valid_to = the next valid_from) before the next load"
        )
