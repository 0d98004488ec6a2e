"""Cases as their list writes them, played in groups: cases that share a configuration are rows of one table.

The case's number is one more key column, so the n-th step of every case of a group is one load, and each load is run
twice. A case with fewer steps than its group keeps its last source rows, and its last expectation holds after each
later step as well. A case that counts says so at each of its steps; as counts are those of a load, they are compared
as sums over the group, of the second run too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.laketasks.warehouse import FATES, OPEN, Warehouse, check_intervals, in_order, shown

Row = tuple[Any, ...]
GONE = "a delete"


@dataclass(frozen=True)
class Step:
    """Source rows, what the target's rows then are (None: not said), and what became of the source rows."""

    arrives: list[Row]
    stands: list[Row] | None
    fates: dict[str, int]


def step(arrives: list[Row], stands: list[Row] | None = None, **fates: int) -> Step:
    assert fates.keys() <= {*FATES, "keys_missing"}
    return Step(arrives, stands, fates)


@dataclass(frozen=True)
class Case:
    """`name` starts with the numbers that the case has in the list, if any."""

    name: str
    steps: tuple[Step, ...]

    @property
    def numbers(self) -> list[int]:
        return numbers_of(self.name)

    def at(self, index: int) -> Step:
        return self.steps[min(index, len(self.steps) - 1)]


@dataclass
class Group:
    """Cases that one table holds. `columns` are the source's; `shows` are the target's that the cases state.

    With `grows` the rows of earlier steps stay in the source: each step brings a batch, whose number `row` is told.
    `contexts` are job parameters of a step, by its index. A `twin` has the cases of another group in another
    configuration of the same code, and is for Sail only, where loads cost little.
    """

    name: str
    pipeline: str
    columns: str
    shows: tuple[str, ...]
    config: dict[str, Any] = field(default_factory=dict)
    keys: tuple[str, ...] = ("id",)
    load_type: str = "full"
    grows: bool = False
    contexts: dict[int, dict[str, str]] = field(default_factory=dict)
    twin: bool = False
    cases: list[Case] = field(default_factory=list)

    def case(self, name: str, *steps: Step) -> None:
        self.cases.append(Case(name, steps))

    @property
    def steps(self) -> int:
        return max(len(case.steps) for case in self.cases)

    def source(self, index: int) -> list[Row]:
        """All cases' source rows of a step, each with its case in front; columns that a row leaves out are NULL."""
        rows, width = [], len(self.columns.split(", "))
        for number, case in enumerate(self.cases):
            shown_steps = case.steps[: index + 1] if self.grows else [case.at(index)]
            rows += [(number, *row, *[None] * (width - len(row))) for each in shown_steps for row in each.arrives]
        return rows

    def fates(self, index: int) -> dict[str, int] | None:
        """What all cases together count at a step; None where not every case counts."""
        if not all(each.fates for case in self.cases for each in case.steps):
            assert not any(each.fates for case in self.cases for each in case.steps), f"{self.name}: all count, or none"
            return None
        sums = dict.fromkeys((*FATES, "keys_missing"), 0)
        for case in self.cases:
            own = case.at(index).fates
            for fate, rows in (own if index < len(case.steps) else self.again(own)).items():
                sums[fate] += rows
        return sums

    def again(self, fates: dict[str, int]) -> dict[str, int]:
        """What becomes of the same rows in another load."""
        known = {"new": "unchanged", "changed": "unchanged", "deleted": "unchanged", "keys_missing": ""}
        if self.config.get("delete_mode") == "hard":
            known["deleted"] = "ignored"
        if self.config.get("on_missing", "ignore") == "ignore":
            known.pop("keys_missing")
        sums: dict[str, int] = {}
        for fate, rows in fates.items():
            later = known.get(fate, fate)
            if later:
                sums[later] = sums.get(later, 0) + rows
        return sums


@dataclass
class Played:
    """What came of a group: after each step, the target's rows by case, and the counts of both runs."""

    group: Group
    tables: list[list[dict[str, Any]]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    reruns: list[dict[str, Any]] = field(default_factory=list)

    def rows(self, case: Case | str, index: int, *columns: str) -> list[Row]:
        """A case's rows after a step, as cases state them."""
        number = next(i for i, own in enumerate(self.group.cases) if case in (own, own.name))
        own = [row for row in self.tables[index] if row["case_no"] == number]
        return in_order(tuple(_plain(c, shown(row[c])) for c in columns or self.group.shows) for row in own)

    def check(self, case: Case) -> None:
        """Every step's rows are those that the case states."""
        for index in range(self.group.steps):
            stands = case.at(index).stands
            if stands is None:
                continue
            width = len(self.group.shows)
            found, expected = self.rows(case, index), in_order((*row, *[None] * (width - len(row))) for row in stands)
            if found != expected:
                pytest.fail(_told(self.group, case, index, found, expected), pytrace=False)


def play(group: Group, warehouse: Warehouse) -> Played:
    """Load every step, each twice."""
    played = Played(group)
    keys = ("case_no", *group.keys)
    for index in range(group.steps):
        warehouse.source(f"case_no int, {group.columns}", *group.source(index))
        overwrites = {} if group.pipeline == "fact_overwrite" else {"keys": keys}
        counts = warehouse.load(
            group.pipeline,
            load_type=group.load_type,
            context=group.contexts.get(index),
            **overwrites,
            **group.config,
        )
        if group.pipeline == "scd2":
            check_intervals(warehouse.table(), keys)
        played.tables.append(warehouse.table())
        played.counts.append(counts)
        played.reruns.append(warehouse.again)
    return played


def every_case(*groups: Group) -> Any:
    """A parametrisation by group and case, each named by the numbers of its case."""
    return pytest.mark.parametrize(
        ("group", "case"), [pytest.param(g, c, id=_id(g, c), marks=_marks(g)) for g in groups for c in g.cases]
    )


def every_count(*groups: Group) -> Any:
    """A parametrisation by the groups whose cases count."""
    counting = [g for g in groups if g.fates(0) is not None]
    return pytest.mark.parametrize("group", [pytest.param(g, id=g.name, marks=_marks(g)) for g in counting])


def _marks(group: Group) -> list[pytest.MarkDecorator]:
    return [pytest.mark.twin] if group.twin else []


def check_counts(played: Played) -> None:
    """The counts of each load are the sums of what its cases count, in both runs."""
    group = played.group
    for index in range(group.steps):
        expected = group.fates(index)
        assert expected is not None
        found = {fate: played.counts[index][fate] for fate in expected}
        assert found == expected, f"{group.name}, step {index + 1}"
        if group.load_type == "full" and index not in group.contexts:
            again = {fate: played.reruns[index][fate] for fate in expected}
            assert again == dict.fromkeys(expected, 0) | group.again(expected), f"{group.name}, step {index + 1}, rerun"


def numbers_of(name: str) -> list[int]:
    """The numbers that a name starts with: 43 and 45 of `43 45 each change is a version`."""
    return [int(number) for number in re.match(r"(?:\d+ )*", name + " ")[0].split()]  # type: ignore[index]


def _id(group: Group, case: Case) -> str:
    words = [f"case_{n}" for n in case.numbers] + re.sub(r"^(\d+ )*", "", case.name).split()
    return f"{group.name}-{'-'.join(words)}"


def _plain(column: str, value: Any) -> Any:
    return ("Y" if value else "N") if column == "is_current" else value


def _told(group: Group, case: Case, index: int, found: list[Row], expected: list[Row]) -> str:
    def lines() -> Iterator[str]:
        yield f"case {case.name}: wrong after step {index + 1} of {group.steps} of group {group.name}"
        for number, each in enumerate(case.steps[: index + 1], start=1):
            yield f"  step {number} brings ({group.columns})"
            yield from (f"    {row}" for row in each.arrives)
        for title, rows in (("expected", expected), ("found", found)):
            yield f"  {title} ({', '.join(group.shows)})"
            yield from (f"    {row}" for row in rows)

    return "\n".join(lines())


def versions(*rows: Row) -> list[Row]:
    """SCD2 rows in the list's own order, (id, attributes, from, to, current): an open end is current."""
    return [(*row, "Y" if row[-1] == OPEN else "N") for row in rows]
