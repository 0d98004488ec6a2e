"""The target as a load found it: its rows, how far they were read, when they were last written, no key open twice.

What a load plans holds for the table that it looked at. If another load has written since, the plan is not carried out
but made again: the statement that writes asks itself whether the table is still the one that was found.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DateType, NumericType, TimestampNTZType, TimestampType

from laketasks.change import Loader
from laketasks.column import IS_CURRENT, IS_DELETED, JOB_RUN_ID, LOADED_AT, SEQUENCE, UPDATED_AT, VALID_FROM
from laketasks.error import TargetError
from laketasks.sql import quote, text
from laketasks.target import Target

WRITTEN_SINCE = "another load has written to the table since this one looked at it"
_WRITTEN = f"max(unix_micros({UPDATED_AT}))"  # of a table with partitions Sail 0.7 has NULL for max in a MERGE


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """All rows, those that count as current, those that no loader has written, and those without is_deleted.

    `written_at` is the latest _updated_at, in microseconds since the epoch; NULL in a table without rows.
    """

    rows: int = 0
    current: int = 0
    written_at: int | None = None
    unowned: int = 0
    unflagged: int = 0


def look(target: Target, loader: Loader) -> Stored:
    """Count the target's rows before a load."""
    if not target.exists:
        return Stored()
    versioned = bool(loader.current) and target.column(loader.current) is not None
    unowned = " OR ".join(f"{name} IS NULL" for name in (JOB_RUN_ID, *((VALID_FROM,) if versioned else ())))
    sums = (
        "count(*) AS rows",
        f"{f'count_if({loader.current})' if versioned else 'count(*)'} AS current",
        f"{_WRITTEN if target.column(UPDATED_AT) else 'cast(NULL AS BIGINT)'} AS written_at",
        f"{f'count_if({IS_DELETED} IS NULL)' if target.column(IS_DELETED) else 'cast(0 AS BIGINT)'} AS unflagged",
        f"{f'count_if({unowned})' if target.column(JOB_RUN_ID) else 'cast(0 AS BIGINT)'} AS unowned",
    )
    rows, current_rows, written_at, unflagged, unowned_rows = target.frame().agg(*map(F.expr, sums)).collect()[0]
    return Stored(rows=rows, current=current_rows, written_at=written_at, unowned=unowned_rows, unflagged=unflagged)


def check_rows(
    target: Target, loader: Loader, keys: tuple[str, ...], stored: Stored, adopt_command: Callable[[], str]
) -> None:
    """Raise TargetError for rows that a loader that merges cannot go on from.

    Those are rows that no loader has written, and keys with more than one row that counts. A table that is as the last
    load left it has none.
    """
    if not stored.rows or not keys:
        return
    if stored.unowned:
        raise TargetError(
            f"{target.name}: {stored.unowned} rows were not written by a loader: their {JOB_RUN_ID} is NULL. Somebody "
            "inserted them by hand. Delete them, or take them over with this command (it shows a plan; --dry_run=false "
            f"carries it out): {adopt_command()}"
        )
    _refuse_doubled(target, loader, keys)


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


def stores_other_order(target: Target, column: str, *, by_changes: bool) -> bool:
    """Return whether the stored sequences are not those of this column of the same rows.

    Use it if the run log does not name the column. A row that no load has updated has both values from one row of the
    source, so that one difference is enough. A load that does not carry the column updates `_sequence` alone, so that
    updated rows count only if all of them differ. Closed versions do not count, nor do updated rows of change sources.
    """
    own = target.column(column)
    if own is None or target.column(SEQUENCE) is None or target.column(LOADED_AT) is None:
        return False
    of_one_row = [f"{JOB_RUN_ID} <> 'adopted'", f"{quote(own)} IS NOT NULL", f"{SEQUENCE} IS NOT NULL"]
    if _is_flag(target, IS_DELETED):
        of_one_row.append(f"NOT coalesce({IS_DELETED}, false)")
    inserted = f"{UPDATED_AT} <=> {LOADED_AT}"
    if by_changes:
        of_one_row.append(inserted)
    elif _is_flag(target, IS_CURRENT):
        of_one_row.append(f"({inserted} OR {IS_CURRENT})")
    comparable = _comparable(target.columns[own], target.columns[target.column(SEQUENCE) or SEQUENCE])
    other = f"NOT ({SEQUENCE} <=> {quote(own)})" if comparable else "true"
    found = (
        target.frame()
        .where(" AND ".join(of_one_row))
        .agg(F.expr(f"max({inserted} AND {other}) AS surely"), F.expr(f"min({other}) AS all_other"))
        .collect()[0]
    )
    return bool(found["surely"] or found["all_other"])


def _is_flag(target: Target, name: str) -> bool:
    """Return whether a table has this column as a loader makes it; a source may have one of the name."""
    own = target.column(name)
    return own is not None and isinstance(target.columns[own], BooleanType)


def fill_is_deleted(target: Target) -> int:
    """Set is_deleted to false where it is NULL, as in rows from before the table had it: the number of these rows."""
    where = f"{IS_DELETED} IS NULL"
    return int(target.spark.sql(f"UPDATE {target.quoted} SET {IS_DELETED} = false WHERE {where}").collect()[0][0])


def _comparable(one: DataType, other: DataType) -> bool:
    families = ((NumericType,), (DateType, TimestampType, TimestampNTZType))
    return one == other or any(isinstance(one, family) and isinstance(other, family) for family in families)


def forget_order(target: Target, written_at: str) -> int:
    """Set the stored sequences to NULL in all rows but those that were written at this instant (a SQL literal).

    The number of rows that had one.
    """
    where = f"{SEQUENCE} IS NOT NULL AND NOT ({UPDATED_AT} <=> {written_at})"
    return int(target.spark.sql(f"UPDATE {target.quoted} SET {SEQUENCE} = NULL WHERE {where}").collect()[0][0])


def _refuse_doubled(target: Target, loader: Loader, keys: tuple[str, ...]) -> None:
    stored = [target.column(key) for key in keys]
    if None in stored:
        raise TargetError(
            f"{target.name}: has no column {', '.join(k for k, own in zip(keys, stored, strict=True) if own is None)}, "
            "which the row names as a key: the keys of a table do not change. Load into a new table"
        )
    names = [quote(name) for name in stored if name]
    doubled = target.frame().where(loader.current or "true").groupBy(*names).agg(F.expr("count(*) AS n")).where("n > 1")
    sample = doubled.selectExpr(*names).limit(5).collect()
    if sample:
        shown = ", ".join(str(tuple(row)) for row in sorted(sample, key=str))
        what, remedy = (
            ("open version", "Close all but one of them (is_current = false, valid_to = the next valid_from)")
            if loader.current
            else ("row", "Delete all but one of them, or run once with full_refresh,")
        )
        raise TargetError(
            f"{target.name}: keys with more than one {what}, such as ({', '.join(keys)}) = {shown}. {remedy} before "
            "the next load"
        )
