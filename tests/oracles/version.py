"""A version of a key as all of them can say it, ours read from the warehouse, and what to print of two that differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import NamedTuple

from tests.laketasks.warehouse import Warehouse

OPEN_END = datetime(9999, 12, 31, tzinfo=timezone.utc)


class Version(NamedTuple):
    """Valid in [start, end); the open one ends at OPEN_END."""

    history: int
    id: int
    start: datetime
    end: datetime
    a: str | None
    b: int | None
    c: str | None
    deleted: bool = False

    @property
    def key(self) -> tuple[int, int]:
        return (self.history, self.id)

    @property
    def values(self) -> tuple[str | None, int | None, str | None]:
        return (self.a, self.b, self.c)

    def __str__(self) -> str:
        end = "open" if self.end == OPEN_END else f"{self.end:%m-%d %H:%M}"
        return f"id {self.id} {self.values} {self.start:%m-%d %H:%M} .. {end}{' deleted' if self.deleted else ''}"


def instant(micros: int) -> datetime:
    return OPEN_END if micros >= 253402214400000000 else datetime.fromtimestamp(micros / 1e6, tz=timezone.utc)


def ours(warehouse: Warehouse, *, deleted: str = "false") -> dict[Version, datetime]:
    """The target's versions, each with its `_sequence`; an open version is current, and no other is."""
    columns = ("history", "id", "unix_micros(valid_from) AS f", "unix_micros(valid_to) AS t", "a", "b", "c")
    more = (f"{deleted} AS gone", "is_current", f"unix_micros({_sequence(warehouse)}) AS sequence")
    made = {}
    for row in warehouse.spark.table(warehouse.target).selectExpr(*columns, *more).collect():
        version = Version(row[0], row[1], instant(row[2]), instant(row[3]), *row[4:7], row["gone"])
        assert row["is_current"] is (version.end == OPEN_END), version
        assert version not in made, version
        made[version] = version.start if row["sequence"] is None else instant(row["sequence"])
    return made


def _sequence(warehouse: Warehouse) -> str:
    """Without a `sequence_by` there is none."""
    names = warehouse.spark.table(warehouse.target).columns
    return "_sequence" if "_sequence" in names else "CAST(NULL AS TIMESTAMP)"


def returns_of_old_rows(stored: dict[Version, datetime]) -> dict[Version, datetime]:
    """Versions that begin later than their sequence, each with the end before it.

    They are of keys that vanished and came back with the row that they had: nobody but the run knows when.
    """
    ends: dict[tuple[int, int], list[datetime]] = {}
    for version in stored:
        ends.setdefault(version.key, []).append(version.end)
    found = {}
    for version, sequence in stored.items():
        if version.start != sequence:
            end = max(end for end in ends[version.key] if end <= version.start)
            assert sequence <= end < version.start, f"history {version.history}: {version} of sequence {sequence}"
            found[version] = end
    return found


def assert_equal(found: Iterable[Version], expected: Iterable[Version], story: Callable[[int], str]) -> int:
    """Both hold the same versions, each as often; else the whole story of the first history that differs."""
    left, right = Counter([*found]), Counter([*expected])
    if left == right:
        return sum(left.values())
    differing = sorted({version.history for version in (left - right) + (right - left)})
    history = differing[0]
    lines = [f"{len(differing)} histories differ; history {history}:", story(history)]
    for name, versions, other in (("ours", left, right), ("theirs", right, left)):
        lines.append(f"{name}:")
        mine = sorted((v for v in versions.elements() if v.history == history), key=lambda v: v[:4])
        lines += [f"    {version}{'' if version in other else '   <--'}" for version in mine]
    raise AssertionError("\n".join(lines))


def merged(versions: Iterable[Version], *, touch: Callable[[Version], bool] = lambda _: True) -> list[Version]:
    """What begins as a touch, where another of equal values ends, is no version of its own."""
    made: dict[tuple[int, int], list[Version]] = {}
    for version in sorted(versions, key=lambda v: (v.start, v.end)):
        mine = made.setdefault(version.key, [])
        earlier = [i for i, last in enumerate(mine) if (last.end, last.values) == (version.start, version.values)]
        if earlier and touch(version):
            mine[earlier[-1]] = mine[earlier[-1]]._replace(end=version.end)
        else:
            mine.append(version)
    return [version for mine in made.values() for version in mine]
