"""The 17 columns of execution_table, in order: the only place that lists them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from generator.problem import Problem
from laketasks.spec import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`kind` is the SQL type; `required` means that a row without it cannot be read."""

    name: str
    kind: str
    required: bool = False


COLUMNS = (
    Column(name="src_system", kind="STRING"),
    Column(name="src_catalog", kind="STRING"),
    Column(name="src_schema", kind="STRING"),
    Column(name="src_table_name", kind="STRING"),
    Column(name="load_type", kind="STRING", required=True),
    Column(name="dst_catalog", kind="STRING", required=True),
    Column(name="dst_schema", kind="STRING", required=True),
    Column(name="dst_table_name", kind="STRING", required=True),
    Column(name="layer", kind="STRING", required=True),
    Column(name="is_active_flag", kind="BOOLEAN"),
    Column(name="execution_order", kind="INT", required=True),
    Column(name="execution_pipeline", kind="STRING", required=True),
    Column(name="business_key_columns", kind="ARRAY<STRING>"),
    Column(name="primary_key_columns", kind="ARRAY<STRING>"),
    Column(name="sql_file_path", kind="STRING"),
    Column(name="cdc_source_config", kind="STRING"),
    Column(name="comment", kind="STRING"),
)
BY_NAME = {column.name: column for column in COLUMNS}
_BETWEEN_WORDS = re.compile(r"[\s-]+")


def fold(name: str) -> str:
    """Return the column that the name means, whatever its case, blanks and quotes; another name stays as it is.

    >>> fold("SRC_SYSTEM"), fold(" dst-table name"), fold("execution_table.layer"), fold("colour")
    ('src_system', 'dst_table_name', 'layer', 'colour')
    """
    if name in BY_NAME:
        return name
    last = name.strip(" \t\r\n\u00a0\ufeff").rsplit(".", 1)[-1].strip("`\"'[]")
    word = _BETWEEN_WORDS.sub("_", last.strip()).lower()
    return word if word in BY_NAME else name


def column_problems(
    names: Sequence[str], file: str, *, line: int, place: str, absent: str, stray: str
) -> Iterator[Problem]:
    """What keeps a table or a file with a header from having the 17 columns, in any order, each once.

    `place` is where the columns stand, in words; `absent` and `stray` are what to do about a missing and a foreign one.
    """
    for name in sorted({name for name in names if names.count(name) > 1}):
        what = f"stands twice in the {place}"
        yield Problem(file=file, line=line, column=name, what=what, remedy="keep one of them")
    for name in names:
        if name not in BY_NAME:
            near = did_you_mean(name, BY_NAME)
            yield Problem(file=file, line=line, column=name, what=f"unknown column{near}", remedy="" if near else stray)
    for column in COLUMNS:
        if column.name not in names:
            yield Problem(file=file, line=line, column=column.name, what=f"missing in the {place}", remedy=absent)
