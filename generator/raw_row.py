"""A row of execution_table as its source has it: read, not judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from generator.problem import Problem


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRow:
    """One row: `number` counts data rows from 1, `lines` are those of its columns where they differ from `line`.

    `reported` are the columns that a problem of the source names already. A table has no lines: they are 0.
    """

    file: str
    number: int
    line: int
    values: Mapping[str, object]
    lines: Mapping[str, int] = field(default_factory=dict)
    reported: frozenset[str] = frozenset()


Found = tuple[tuple[RawRow, ...], tuple[Problem, ...]]
