"""The columns that keep what orders the rows, `_sequence` and `_watermark`, where the stored ones have another type."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks.column import SEQUENCE, UPDATED_AT, WATERMARK, type_text
from laketasks.source import Source
from laketasks.sql import quote
from laketasks.target import Target
from laketasks.widening import widest


def as_stored(source: Source, target: Target) -> Source:
    """Return the source with the orders that it lacks in the types that the target has, instead of TIMESTAMP."""
    own = {SEQUENCE: source.sequence_type, WATERMARK: source.watermark_type}
    stored = {name: target.columns[name] for name, kind in own.items() if kind is None and name in target.columns}

    def with_types(frame: DataFrame) -> DataFrame:
        for name, kind in stored.items():
            frame = frame.withColumn(name, F.expr(f"cast(NULL AS {type_text(kind)})"))
        return frame

    history = with_types(source.history) if source.history is not None else None
    return replace(source, frame=with_types(source.frame), history=history, no_order=stored)


def given_up(source: Source, target: Target, forgotten: Collection[str]) -> tuple[str, ...]:
    """Return the order columns of the target that cannot hold the source's order and hold nothing that is needed.

    That is a column that is `forgotten`, or whose values are all NULL. It is dropped and made again in the new type.
    """
    narrow = [
        name
        for name, kind in source.order_columns.items()
        if name in target.columns and widest(kind, target.columns[name]) is None
    ]
    return tuple(name for name in narrow if name in forgotten or _is_empty(target, name))


def without(target: Target, names: Collection[str]) -> Target:
    """Return the target as it is once the columns are dropped."""
    return replace(target, columns={name: kind for name, kind in target.columns.items() if name not in names})


def count_older(target: Target, written_at: str) -> int:
    """Return the number of rows that were not written at this instant (a SQL literal)."""
    return int(target.frame().where(f"NOT ({UPDATED_AT} <=> {written_at})").count())


def _is_empty(target: Target, name: str) -> bool:
    return bool(target.frame().where(f"{quote(name)} IS NOT NULL").limit(1).isEmpty())
