"""Types that grow: which type takes the values of two, and how a value gets there, struct fields by their names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructType,
    TimestampNTZType,
)

from laketasks.column import type_text
from laketasks.sql import quote, text

_WHOLE = (ByteType, ShortType, IntegerType, LongType)
_DIGITS: dict[type[DataType], int] = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}
_WIDENED_DIGITS: dict[type[DataType], int] = {  # as Delta's type widening wants them
    ByteType: 10,
    ShortType: 10,
    IntegerType: 10,
    LongType: 20,
}
_MOST_DIGITS = 38
_EXACT: dict[type[DataType], tuple[type[DataType], ...]] = {  # a stored type, the types whose values it has all of
    DoubleType: (FloatType, ByteType, ShortType, IntegerType),
    TimestampNTZType: (DateType,),
}


def plain(kind: DataType) -> DataType:
    """Return the type of a new column: VARCHAR and CHAR become STRING, in structs, arrays and maps, too."""
    if isinstance(kind, StructType):
        grown = StructType()
        for field in kind.fields:
            grown = grown.add(field.name, plain(field.dataType), nullable=True)
        return grown
    if isinstance(kind, ArrayType):
        return ArrayType(plain(kind.elementType))
    if isinstance(kind, MapType):
        return MapType(plain(kind.keyType), plain(kind.valueType))
    return StringType() if kind.typeName() in {"varchar", "char"} else kind


def is_same(left: DataType, right: DataType) -> bool:
    """Return whether two types are the same; the case of field names and what may be NULL do not matter."""
    return bool(plain(left).simpleString().lower() == plain(right).simpleString().lower())


def widest(source: DataType, stored: DataType) -> DataType | None:
    """Return the type that has every value of both: the stored one where it does; None where none does.

    The fields of a struct keep the stored order, new ones come last. A field that the source lacks has no value.
    """
    if is_same(source, stored):
        return stored
    if isinstance(source, StructType) and isinstance(stored, StructType):
        return _widest_struct(source, stored)
    if isinstance(source, ArrayType) and isinstance(stored, ArrayType):
        element = widest(source.elementType, stored.elementType)
        return stored if element is stored.elementType else ArrayType(element) if element else None
    if isinstance(source, MapType) and isinstance(stored, MapType):
        key, value = widest(source.keyType, stored.keyType), widest(source.valueType, stored.valueType)
        if key is stored.keyType and value is stored.valueType:
            return stored
        return MapType(key, value) if key and value else None
    if isinstance(source, _WHOLE) and isinstance(stored, _WHOLE):
        return source if _WHOLE.index(type(source)) > _WHOLE.index(type(stored)) else stored
    if isinstance(source, (*_WHOLE, DecimalType)) and isinstance(stored, (*_WHOLE, DecimalType)):
        return _widest_decimal(source, stored)
    if isinstance(source, _EXACT.get(type(stored), ())):
        return stored
    return source if isinstance(stored, _EXACT.get(type(source), ())) else None


def lacking_fields(source: DataType, stored: DataType, path: str = "") -> tuple[str, ...]:
    """Return the struct fields that the stored type has and the source's has not, as paths."""
    if isinstance(source, StructType) and isinstance(stored, StructType):
        own = {field.name.lower(): field.dataType for field in source.fields}
        gone = [f"{path}{f.name}" for f in stored.fields if f.name.lower() not in own]
        both = (f for f in stored.fields if f.name.lower() in own)
        inner = (lacking_fields(own[f.name.lower()], f.dataType, f"{path}{f.name}.") for f in both)
        return (*gone, *(name for names in inner for name in names))
    if isinstance(source, ArrayType) and isinstance(stored, ArrayType):
        return lacking_fields(source.elementType, stored.elementType, f"{path}element.")
    if isinstance(source, MapType) and isinstance(stored, MapType):
        return lacking_fields(source.valueType, stored.valueType, f"{path}value.")
    return ()


def with_new_fields(stored: DataType, wanted: DataType) -> DataType:
    """Return the stored type with the struct fields that the wanted one has besides."""
    if isinstance(stored, StructType) and isinstance(wanted, StructType):
        own = {field.name.lower(): field.dataType for field in stored.fields}
        grown = StructType()
        for field in wanted.fields:
            before = own.get(field.name.lower())
            grown = grown.add(field.name, with_new_fields(before, field.dataType) if before else field.dataType)
        return grown
    if isinstance(stored, ArrayType) and isinstance(wanted, ArrayType):
        return ArrayType(with_new_fields(stored.elementType, wanted.elementType))
    if isinstance(stored, MapType) and isinstance(wanted, MapType):
        key = with_new_fields(stored.keyType, wanted.keyType)
        return MapType(key, with_new_fields(stored.valueType, wanted.valueType))
    return stored


def type_changes(stored: DataType, wanted: DataType, path: str) -> Iterator[tuple[str, DataType]]:
    """Yield the path and the new type of each part that `ALTER COLUMN ... TYPE` would change."""
    if isinstance(stored, StructType) and isinstance(wanted, StructType):
        own = {field.name.lower(): field.dataType for field in stored.fields}
        for field in wanted.fields:
            if field.name.lower() in own:
                yield from type_changes(own[field.name.lower()], field.dataType, f"{path}.{quote(field.name)}")
    elif isinstance(stored, ArrayType) and isinstance(wanted, ArrayType):
        yield from type_changes(stored.elementType, wanted.elementType, f"{path}.element")
    elif isinstance(stored, MapType) and isinstance(wanted, MapType):
        yield from type_changes(stored.keyType, wanted.keyType, f"{path}.key")
        yield from type_changes(stored.valueType, wanted.valueType, f"{path}.value")
    elif not is_same(stored, wanted):
        yield path, wanted


def holds(kind: DataType, sought: type[DataType]) -> bool:
    """Return whether a type is of this kind or has it inside."""
    if isinstance(kind, StructType):
        return any(holds(field.dataType, sought) for field in kind.fields)
    if isinstance(kind, ArrayType):
        return holds(kind.elementType, sought)
    if isinstance(kind, MapType):
        return holds(kind.keyType, sought) or holds(kind.valueType, sought)
    return isinstance(kind, sought)


def converted(expression: str, source: DataType, wanted: DataType, names: Iterator[int] | None = None) -> str:
    """Return SQL for the expression as the wanted type: a cast matches struct fields by position, this by name."""
    lambdas = names if names is not None else count()
    if type_text(source) == type_text(wanted):
        return expression
    if isinstance(source, StructType) and isinstance(wanted, StructType):
        own = {field.name.lower(): field for field in source.fields}
        parts = []
        for field in wanted.fields:
            given = own.get(field.name.lower())
            value = f"cast(NULL AS {type_text(field.dataType)})"
            if given is not None:
                value = converted(f"{expression}.{quote(given.name)}", given.dataType, field.dataType, lambdas)
            parts.append(f"{text(field.name)}, {value}")
        return f"IF({expression} IS NULL, NULL, named_struct({', '.join(parts)}))"
    if isinstance(source, ArrayType) and isinstance(wanted, ArrayType):
        element = f"w{next(lambdas)}"
        inner = converted(element, source.elementType, wanted.elementType, lambdas)
        return f"transform({expression}, {element} -> {inner})"
    if isinstance(source, MapType) and isinstance(wanted, MapType):
        entry = f"w{next(lambdas)}"
        key = converted(f"{entry}.key", source.keyType, wanted.keyType, lambdas)
        value = converted(f"{entry}.value", source.valueType, wanted.valueType, lambdas)
        pair = f"named_struct('key', {key}, 'value', {value})"
        return f"map_from_entries(transform(map_entries({expression}), {entry} -> {pair}))"
    return f"cast({expression} AS {type_text(wanted)})"


def _widest_struct(source: StructType, stored: StructType) -> StructType | None:
    own = {field.name.lower(): field for field in source.fields}
    grown = StructType()
    for field in stored.fields:
        given = own.pop(field.name.lower(), None)
        kind = widest(given.dataType, field.dataType) if given else None
        if kind is None:
            return None
        grown = grown.add(field.name, kind, nullable=True)
    for field in own.values():
        grown = grown.add(field.name, plain(field.dataType), nullable=True)
    return stored if is_same(grown, stored) else grown


def _widest_decimal(source: DataType, stored: DataType) -> DataType | None:
    """The decimal that has the digits of both before and behind the point."""
    before, behind = _digits(source)
    own_before, own_behind = _digits(stored)
    if before <= own_before and behind <= own_behind and isinstance(stored, DecimalType):
        return stored
    own_before = _WIDENED_DIGITS.get(type(stored), own_before)
    whole, scale = max(before, own_before), max(behind, own_behind)
    return DecimalType(whole + scale, scale) if whole + scale <= _MOST_DIGITS else None


def _digits(kind: DataType) -> tuple[int, int]:
    if isinstance(kind, DecimalType):
        return kind.precision - kind.scale, kind.scale
    return _DIGITS[type(kind)], 0
