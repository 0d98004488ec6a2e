"""A column's type as SQL writes it: the fields of a struct are named by the source, and quoted as columns are."""

from __future__ import annotations

from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from laketasks.sql import quote


def type_text(kind: DataType) -> str:
    """The type with the names in it quoted, which `simpleString` leaves as they are.

    >>> type_text(StructType().add("a`b:INT>", "int").add("c", "array<string>"))
    'STRUCT<`a``b:INT>`: INT, `c`: ARRAY<STRING>>'
    """
    if isinstance(kind, StructType):
        return f"STRUCT<{', '.join(f'{quote(field.name)}: {type_text(field.dataType)}' for field in kind.fields)}>"
    if isinstance(kind, ArrayType):
        return f"ARRAY<{type_text(kind.elementType)}>"
    if isinstance(kind, MapType):
        return f"MAP<{type_text(kind.keyType)}, {type_text(kind.valueType)}>"
    return str(kind.simpleString()).upper()
