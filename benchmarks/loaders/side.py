"""What is measured: a side is one way to bring a target up to its source, its first load and every later one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.loaders.data import ATTRIBUTES, DELETED, KEY, SYNCED
from benchmarks.loaders.process import Bounds

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOADERS = ("scd2", "scd1", "merge", "overwrite")
PHASES = ("first load", "1 % changed", "unchanged rerun")
COLUMNS = (KEY, *ATTRIBUTES, SYNCED, DELETED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One load of one side: from a source's table into the target, the `number`-th (from 0) of this target."""

    spark: SparkSession
    workspace: Path  # tables at <workspace>/<catalog>/<schema>/<table>
    loader: str
    source: str
    target: str
    number: int
    bounds: Bounds
    vectors: bool  # whether tables that statements make have deletion vectors

    @property
    def first(self) -> bool:
        return self.number == 0

    @property
    def now(self) -> str:
        """The moment of this load, for tools that take their versions' times from the clock: later each time."""
        return f"timestamp_micros({1_717_200_000_000_000 + self.number * 86_400_000_000})"

    def folder(self, table: str) -> Path:
        return self.workspace.joinpath(*table.split("."))


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a phase took; a side that runs in a process of its own measures itself.

    Such a side looks at its target too: `found` are the rows, those in force, and those of them that equal their
    source row.
    """

    seconds: float
    worked: float  # seconds of processor time
    peak: int  # bytes
    found: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """`current` is the condition of the target's rows that are in force; `checked`: the target is compared.

    `prepare` makes what is there before a first load, and is not measured.
    """

    name: str
    about: str
    load: Callable[[Step], Own | None]
    current: str = "true"
    checked: bool = True
    prepare: Callable[[Step], None] = lambda _: None


def by_statements(statements: Callable[[Step], list[str]]) -> Callable[[Step], None]:
    """A load that is nothing but its statements, one after the other."""

    def load(step: Step) -> None:
        for statement in statements(step):
            step.spark.sql(statement).collect()

    return load
