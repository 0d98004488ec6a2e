"""What can be seen of a table from outside: enough to propose a row for it."""

from __future__ import annotations

from dataclasses import dataclass

from generator.problem import Problem


@dataclass(frozen=True, slots=True)
class SchemaName:
    """A schema of Unity Catalog, or of a localjobs workspace."""

    catalog: str
    schema: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableShape:
    """`columns` in their order; `primary_key` as declared, () where none is.

    `rows` and `unique` were measured: the number of rows, and the columns that are unique and never NULL in them.
    `rows` is None where nobody looked.
    """

    name: str
    columns: tuple[str, ...]
    primary_key: tuple[str, ...] = ()
    comment: str = ""
    rows: int | None = None
    unique: tuple[str, ...] = ()


Shapes = tuple[tuple[TableShape, ...], tuple[Problem, ...]]


def is_key_like(column: str) -> bool:
    """Whether a column's name says that it identifies something.

    >>> [name for name in ("id", "c_customer_sk", "c_name", "paid") if is_key_like(name)]
    ['id', 'c_customer_sk']
    """
    return column.lower().rsplit("_", 1)[-1] in ("id", "sk", "key", "code", "nr", "no", "number", "uuid", "guid")
