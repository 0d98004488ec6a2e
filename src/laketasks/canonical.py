"""One value, one form: expressions that make equal values equal whatever their type's habits.

JSON alone is wrong for timestamps (milliseconds, session zone), maps (order), binary and -0.0, `<=>` for maps.
Method: the notes on row hashes of dbt, spetlr and Spark's AUTO CDC; checked on both engines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from laketasks.sql import all_of, any_of, on, quote, text


def row_hash(columns: Mapping[str, DataType]) -> str:
    """The md5 of a row, the same for equal rows: NULL is not '', columns do not run together, order is by name."""
    names = sorted(columns, key=lambda name: (name.lower(), name))
    fields = ", ".join(f"{text(name.lower())}, {canonical(quote(name), columns[name])}" for name in names)
    return f"md5(to_json(named_struct({fields})))" if fields else "md5('')"


def differs(columns: Mapping[str, DataType], *, ignore_null: bool = False) -> str:
    """Whether any of the columns differs between `s` and `t`; NULL equals NULL and nothing else.

    With `ignore_null` a NULL of the source differs from nothing.
    """
    if ignore_null:
        each = (f"({on('s', name)} IS NOT NULL AND {differs({name: kind})})" for name, kind in columns.items())
        return f"({any_of(each)})"
    pairs = (
        f"{comparable(on('s', name), kind)} <=> {comparable(on('t', name), kind)}" for name, kind in columns.items()
    )
    return f"NOT ({all_of(pairs)})" if columns else "false"


def comparable(expression: str, kind: DataType) -> str:
    """The expression in a form that `<=>` compares rightly: as it is, unless a map is in it."""
    return canonical(expression, kind) if _holds(kind, MapType) else expression


def groupable(expression: str, kind: DataType) -> str:
    """The expression in a form that GROUP BY puts together rightly: as it is, unless a map or a float is in it."""
    return canonical(expression, kind) if _holds(kind, MapType, FloatType, DoubleType) else expression


def canonical(expression: str, kind: DataType, depth: Iterable[int] | None = None) -> str:
    """The expression in a form whose JSON is the same for equal values; NULL stays NULL."""
    names = depth if depth is not None else count()
    if isinstance(kind, TimestampType):
        return f"unix_micros({expression})"
    if isinstance(kind, (TimestampNTZType, DateType)):
        return f"cast({expression} AS STRING)"
    if isinstance(kind, (FloatType, DoubleType)):
        return f"({expression} + 0.0D)"
    if isinstance(kind, BinaryType):
        return f"hex({expression})"
    if isinstance(kind, ArrayType):
        return _each(expression, kind.elementType, names)
    if isinstance(kind, MapType):
        entry = StructType().add("key", kind.keyType).add("value", kind.valueType)
        return f"array_sort({_each(f'map_entries({expression})', entry, names)})"
    if isinstance(kind, StructType):
        inner = (
            f"{text(field.name)}, {canonical(f'{expression}.{quote(field.name)}', field.dataType, names)}"
            for field in kind.fields
        )
        return f"IF({expression} IS NULL, NULL, named_struct({', '.join(inner)}))"
    return expression


def _each(expression: str, kind: DataType, names: Iterable[int]) -> str:
    element = f"e{next(iter(names))}"
    inner = canonical(element, kind, names)
    return expression if inner == element else f"transform({expression}, {element} -> {inner})"


def _holds(kind: DataType, *sought: type[DataType]) -> bool:
    if isinstance(kind, sought):
        return True
    if isinstance(kind, ArrayType):
        return _holds(kind.elementType, *sought)
    if isinstance(kind, StructType):
        return any(_holds(field.dataType, *sought) for field in kind.fields)
    return isinstance(kind, MapType) and (_holds(kind.keyType, *sought) or _holds(kind.valueType, *sought))
