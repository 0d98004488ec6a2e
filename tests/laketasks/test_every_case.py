"""Every number of the list of cases has a test that bears it, or a reason why not."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.laketasks.cases import Group

LISTED = {
    *(*range(1, 8), 10, 11, 12, 14, 15, 16, *range(18, 22), *range(23, 29), 30, *range(32, 38), *range(39, 44)),
    *(45, 46, 47, 49, 50, 53, 54, 57, 58, 59, 62, 63, 64, 65, 67, 68, 69, 70, 71, *range(73, 85), *range(87, 91)),
    *(*range(93, 98), 99, *range(101, 108), 109, 111, 112, 113, *range(116, 121), *range(123, 127)),
}
MISSING = {
    75: "is checked after every load of a history, by check_intervals",
}


def test_every_number_has_a_test() -> None:
    borne: set[int] = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        for name in re.findall(r"^def test_((?:\d+_)+)", path.read_text(encoding="utf-8"), re.MULTILINE):
            borne |= {int(number) for number in name.split("_") if number}
        module = importlib.import_module(f"tests.laketasks.{path.stem}")
        groups = {id(g): g for found in vars(module).values() for g in _groups(found)}
        borne |= {number for group in groups.values() for case in group.cases for number in case.numbers}
    assert sorted(LISTED - borne - MISSING.keys()) == []
    assert sorted(borne - LISTED) == []
    assert sorted(borne & MISSING.keys()) == []


def _groups(found: object) -> list[Group]:
    if isinstance(found, Group):
        return [found]
    return [group for group in found if isinstance(group, Group)] if isinstance(found, tuple | list) else []
