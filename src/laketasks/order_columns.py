"""The columns that keep the order of the rows, `_sequence` and `_watermark`, when the stored ones have another type."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks.column import SEQUENCE, UPDATED_AT, WATERMARK, type_text
from laketasks.source import Source
from laketasks.sql import quote
from laketasks.target import Target
from laketasks.widening import widest


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """A source and a target whose order columns have the same types.

    The target is as it will be after the columns in `replaced` are dropped; the load adds them in the new type.
    `loses_values`: one of them has values.
    """

    source: Source
    target: Target
    replaced: tuple[str, ...] = ()
    loses_values: bool = False


def fit_order(source: Source, target: Target, forgotten: Collection[str]) -> Ordered:
    """Give the order columns of source and target the same types.

    A stored column that cannot hold the source's order is replaced if its values are `forgotten`, or all NULL. Any
    other stays, and `fit` refuses it.
    """
    source = as_stored(source, target)
    replaced = tuple(
        name
        for name, kind in source.order_columns.items()
        if name in target.columns
        and widest(kind, target.columns[name]) is None
        and (name in forgotten or _is_empty(target, name))
    )
    kept = {name: kind for name, kind in target.columns.items() if name not in replaced}
    loses_values = any(name in forgotten for name in replaced)
    return Ordered(source=source, target=replace(target, columns=kept), replaced=replaced, loses_values=loses_values)


def as_stored(source: Source, target: Target) -> Source:
    """Return the source with the types of the target for the orders that it lacks, instead of TIMESTAMP."""
    own = {SEQUENCE: source.sequence_type, WATERMARK: source.watermark_type}
    stored = {name: target.columns[name] for name, kind in own.items() if kind is None and name in target.columns}

    def with_types(frame: DataFrame) -> DataFrame:
        for name, kind in stored.items():
            frame = frame.withColumn(name, F.expr(f"cast(NULL AS {type_text(kind)})"))
        return frame

    history = with_types(source.history) if source.history is not None else None
    return replace(source, frame=with_types(source.frame), history=history, no_order=stored)


def count_older(target: Target, written_at: str) -> int:
    """Return the number of rows that were not written at this instant (a SQL literal)."""
    return int(target.frame().where(f"NOT ({UPDATED_AT} <=> {written_at})").count())


def _is_empty(target: Target, name: str) -> bool:
    return bool(target.frame().where(f"{quote(name)} IS NOT NULL").limit(1).isEmpty())
