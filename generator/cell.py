"""A column's value from the text that a CSV file or a SQL warehouse has for it."""

from __future__ import annotations

import json
import re

from generator.columns import BY_NAME

_INTEGER = re.compile(r"-?(0|[1-9]\d{0,18})", re.ASCII)


def read_cell(column: str, text: str) -> object:
    """The value of a cell that is written as a table of Unity Catalog shows it. Empty text is NULL.

    Any other text stays text: `spelling.py` takes it over, or the column's type refuses it.

    >>> read_cell("is_active_flag", "true"), read_cell("execution_order", "2"), read_cell("comment", "")
    (True, 2, None)
    """
    kind = BY_NAME[column].kind
    if text == "":
        return None
    if kind == "BOOLEAN":
        return {"true": True, "false": False}.get(text, text)
    if kind == "INT":
        return int(text) if _INTEGER.fullmatch(text) else text
    if kind == "ARRAY<STRING>":
        return _array(text)
    return text


def _array(text: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text
