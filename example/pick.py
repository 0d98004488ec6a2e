"""Which rows of a table something happens to, chosen by arithmetic: the same rows on every machine."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True, slots=True, kw_only=True)
class Pick:
    """Rows whose number leaves one of the `rests` when divided by `modulus`.

    The number is the value of `column`, or else the row's position in the generated table, from 0.
    NULL is never picked; without rests nothing is.
    """

    modulus: int
    rests: tuple[int, ...]
    column: str = ""

    def mask(self, table: pa.Table) -> pa.Array:
        """One boolean per row of the table, never NULL."""
        numbers = table[self.column].to_pylist() if self.column else range(table.num_rows)
        return pa.array([number is not None and number % self.modulus in self.rests for number in numbers], pa.bool_())


NOTHING = Pick(modulus=1, rests=())


def rows(modulus: int, *rests: int) -> Pick:
    """Rows by position."""
    return Pick(modulus=modulus, rests=rests)


def where(column: str, modulus: int, *rests: int) -> Pick:
    """Rows by the value of a whole-number column."""
    return Pick(modulus=modulus, rests=rests, column=column)


def value(column: str, number: int) -> Pick:
    """Rows with one value (not negative) in a whole-number column."""
    return Pick(modulus=1 << 62, rests=(number,), column=column)


def any_of(masks: list[pa.Array], length: int) -> pa.Array:
    """Rows of at least one mask."""
    result = pa.array([False] * length, pa.bool_())
    for mask in masks:
        result = pc.or_(result, mask)
    return result
