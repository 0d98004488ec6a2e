"""What can be said of a SQL file without parsing SQL: its catalogs, its tables of three levels, its words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# Literals and comments are skipped. The loader replaces placeholders by the same rule.
_PARTS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|--[^\n]*|/\*.*?\*/|(?P<code>[^'"/-]+|.)""", re.DOTALL)
_VARIABLE = re.compile(r"\{(\w+)\}")
_TABLE = re.compile(r"`?(?P<catalog>\{\w+\}|\w+)`?\s*\.\s*`?(?P<schema>\w+)`?\s*\.\s*`?(?P<table>\w+)`?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlText:
    """`variables` are the names in braces; `words` and `tables` (catalog, schema, table) are lower case."""

    variables: tuple[str, ...]
    words: frozenset[str]
    tables: frozenset[tuple[str, str, str]]


def read_sql_text(text: str) -> SqlText:
    """
    Look at the code of a statement.

    >>> found = read_sql_text("SELECT '{a}' FROM {bronze}.erp.Item -- {b}")
    >>> found.variables, sorted(found.tables)
    (('bronze',), [('{bronze}', 'erp', 'item')])
    """
    code = "".join(match["code"] or " " for match in _PARTS.finditer(text))
    return SqlText(
        variables=tuple(sorted(set(_VARIABLE.findall(code)))),
        words=frozenset(re.findall(r"\w+", code.lower())),
        tables=frozenset((m["catalog"], m["schema"], m["table"]) for m in _TABLE.finditer(code.lower())),
    )


def reads(found: SqlText, catalogs: Mapping[str, str]) -> Iterable[tuple[str, str, str]]:
    """The tables that the statement reads, by the names that the metadata has for catalogs; lower case."""
    for catalog, schema, table in found.tables:
        named = [name for name, variable in catalogs.items() if f"{{{variable.lower()}}}" == catalog]
        for name in named or [catalog]:
            yield name.lower(), schema, table
