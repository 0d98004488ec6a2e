"""A column's value from the text that a CSV file or a SQL warehouse has for it."""

from __future__ import annotations

import json

from generator.columns import BY_NAME


def read_cell(column: str, text: str) -> object:
    """The value; text that cannot be one stays text, which the model refuses by name. Empty text is NULL.

    >>> read_cell("is_active_flag", "TRUE"), read_cell("execution_order", "2"), read_cell("comment", "")
    (True, 2, None)
    """
    kind = BY_NAME[column].kind
    if text == "" or (kind != "STRING" and not text.strip()):
        return None
    if kind == "BOOLEAN":
        return {"true": True, "false": False}.get(text.strip().lower(), text)
    if kind == "INT":
        return int(text) if text.strip().isascii() and text.strip().lstrip("-").isdigit() and len(text) < 20 else text
    if kind == "ARRAY<STRING>":
        return _array(text)
    return text


def _array(text: str) -> object:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, list) else text
