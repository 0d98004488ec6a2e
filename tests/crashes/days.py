"""The source on each day: what a night's load meets, and what it must not lose.

`state` has one row per key: changed, deleted (the sequence stays, as Fivetran does it), returned, new, only bumped, and
changed without a later sequence. `events` has every row that ever came: changes, deletes, returns, late ones and ones
that come again. Days are numbered from 0; the same numbers give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pyarrow as pa

_DAY = 86_400_000_000
_FIRST = 19_723 * _DAY  # 2024-01-01, in microseconds


def state(rows: int, day: int) -> pa.Table:
    """One row per key at the end of the day."""
    return _states(rows, day)[day]


def events(rows: int, day: int) -> pa.Table:
    """All rows up to the end of the day."""
    return pa.concat_tables(list(_events(rows, day)))


@cache
def _states(rows: int, last: int) -> list[pa.Table]:
    size = rows + rows * last // 100
    ids = np.arange(size)
    version, gone = np.zeros(size, int), ids % 211 == 0
    sequence, arrived = _moment(0, ids), _night(0, ids)
    tables = [_table(ids[:rows], version[:rows], gone[:rows], sequence[:rows], arrived[:rows])]
    for day in range(1, last + 1):
        lot = np.random.default_rng(day).random(size)
        known = ids < rows + rows * (day - 1) // 100
        fresh = ~known & (ids < rows + rows * day // 100)
        returned = known & gone & (lot < 0.3)
        changed = known & ~gone & (lot < 0.04)
        deleted = known & ~gone & (lot > 0.04) & (lot < 0.05)
        bumped = known & ~gone & (lot > 0.05) & (lot < 0.055)
        in_place = known & ~gone & (lot > 0.06) & (lot < 0.065)
        version = np.where(changed | in_place | fresh, day, version)
        gone = np.where(fresh, False, (gone & ~returned) | deleted)
        sequence = np.where(changed | returned | bumped | fresh, _moment(day, ids), sequence)
        arrived = np.where(changed | returned | bumped | fresh | deleted | in_place, _night(day, ids), arrived)
        there = known | fresh
        tables.append(_table(ids[there], version[there], gone[there], sequence[there], arrived[there]))
    return tables


def _events(rows: int, last: int) -> Iterator[pa.Table]:
    ids = np.arange(rows)
    yield _table(ids, np.zeros(rows, int), ids % 211 == 0, _moment(0, ids), _night(0, ids))
    for day in range(1, last + 1):
        lot = np.random.default_rng(100 + day).random(rows)
        fresh = np.arange(rows + rows * (day - 1) // 100, rows + rows * day // 100)
        named = np.concatenate([ids[lot < 0.05], fresh])
        yield _table(named, np.full(len(named), day), named % 5 == 0, _moment(day, named), _night(day, named))
        late = ids[(lot > 0.05) & (lot < 0.055)]
        yield _table(late, np.full(len(late), 50 + day), late % 4 == 0, _moment(day - 1, late) + 7, _night(day, late))
        again = ids[(lot > 0.06) & (lot < 0.065)]
        yield _table(again, np.zeros(len(again), int), again % 211 == 0, _moment(0, again), _night(day, again))


def _moment(day: int, ids: np.ndarray) -> np.ndarray:
    return _FIRST + day * _DAY + ids * 1_000


def _night(day: int, ids: np.ndarray) -> np.ndarray:
    return _FIRST + day * _DAY + 80_000_000_000 + (ids % 3_600) * 1_000_000


def _table(
    ids: np.ndarray, version: np.ndarray, gone: np.ndarray, sequence: np.ndarray, arrived: np.ndarray
) -> pa.Table:
    pairs = list(zip(ids.tolist(), version.tolist(), strict=True))
    return pa.table(
        {
            "id": pa.array(ids, pa.int64()),
            "name": pa.array([f"name {key} of {value}" for key, value in pairs]),
            "city": pa.array(
                [None if (key + value) % 7 == 0 else f"city {(key + value) % 90}" for key, value in pairs]
            ),
            "amount": pa.array((ids * 31 + version * 17) / 4, pa.float64()),
            "gone": pa.array(gone, pa.bool_()),
            "seq": pa.array(sequence, pa.timestamp("us", "UTC")),
            "arrived": pa.array(arrived, pa.timestamp("us", "UTC")),
        }
    )
