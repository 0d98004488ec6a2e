"""Rows of what has columns and no lines: Parquet, Delta, a table of Unity Catalog."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from generator.columns import BY_NAME, column_problems, fold
from generator.raw_row import Found, RawRow

_DESTINATION = ("dst_catalog", "dst_schema", "dst_table_name")


def table_rows(names: Sequence[str], records: Iterable[Sequence[object]], file: str, *, ordered: bool) -> Found:
    """One row per record; upper and lower case of a column's name are one.

    What has no order of its own is numbered by destination, so that every run names the same row by the same number.
    """
    lower = [fold(name) if fold(name) in BY_NAME else name.lower() for name in names]
    absent, stray = "add it, NULL where nothing is to be said", "drop it, or name a view of the 17 columns"
    problems = tuple(column_problems(lower, file, line=0, place="table", absent=absent, stray=stray))
    reported = frozenset(BY_NAME) - set(lower)
    rows = [_known(lower, record) for record in records]
    if not ordered:
        rows.sort(key=_by_destination)
    numbered = enumerate(rows, 1)
    return tuple(RawRow(file=file, number=n, line=0, values=row, reported=reported) for n, row in numbered), problems


def _known(names: Sequence[str], record: Sequence[object]) -> dict[str, object]:
    return {name: value for name, value in zip(names, record, strict=True) if name in BY_NAME}


def _by_destination(row: Mapping[str, object]) -> list[str]:
    return [*(str(row.get(column)) for column in _DESTINATION), *(repr(row.get(column)) for column in BY_NAME)]
