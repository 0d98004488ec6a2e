"""Pure SQL fragments over quoted names. `s` is the source side of a comparison, `t` the target side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone

OPEN_END = "timestamp_micros(253402214400000000)"  # 9999-12-31 00:00:00 UTC, whatever the session's zone
_CHAIN = 8  # as many conditions are joined as they are
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# What a SQL text is made of, as far as placeholders care: literals and comments keep their braces.
_TOKEN = re.compile(
    r"""(?P<kept>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*"|--[^\n]*|/\*.*?\*/)|\{(?P<name>[A-Za-z_]\w*)\}""", re.DOTALL
)


def quote(name: str) -> str:
    """A column or table name part in backticks.

    >>> quote("a`b")
    '`a``b`'
    """
    return "`" + name.replace("`", "``") + "`"


def quote_table(name: str) -> str:
    """A dotted table name with every part quoted; Unity Catalog names hold no dots.

    >>> quote_table("dev.s.t")
    '`dev`.`s`.`t`'
    """
    return ".".join(quote(part) for part in name.split("."))


def listed(names: Iterable[str], side: str = "") -> str:
    """Quoted names separated by commas, each on one side of a join where `side` says so."""
    return ", ".join(on(side, name) for name in names)


def on(side: str, name: str) -> str:
    return f"{side}.{quote(name)}" if side else quote(name)


def one_expression(condition: str) -> str:
    """A condition of the row where it is part of ours: nothing of it reaches past its parentheses.

    The generator refuses one that closes them, or that holds a comment (`condition_problem` in sql_text.py).
    """
    return f"({condition})"


def all_of(conditions: Iterable[str]) -> str:
    """The conditions joined by AND; true where there are none.

    >>> all_of(["a", "b"])
    'a AND b'
    """
    return _tree("AND", tuple(conditions)) or "true"


def any_of(conditions: Iterable[str]) -> str:
    """The conditions joined by OR; false where there are none."""
    return _tree("OR", tuple(conditions)) or "false"


def _tree(operator: str, parts: tuple[str, ...]) -> str:
    """The parts as a balanced tree: an engine that walks down a chain of 400 of them overflows its stack (Sail 0.7)."""
    if len(parts) <= _CHAIN:
        return f" {operator} ".join(parts)
    half = len(parts) // 2
    return f"({_tree(operator, parts[:half])}) {operator} ({_tree(operator, parts[half:])})"


def same(names: Iterable[str], left: str = "t", right: str = "s") -> str:
    """Null-safe equality of the named columns.

    >>> same(["id"])
    't.`id` <=> s.`id`'
    """
    return all_of(f"{on(left, name)} <=> {on(right, name)}" for name in names)


def text(value: str) -> str:
    r"""A string literal.

    >>> text("it's")
    "'it\\'s'"
    """
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def micros(moment: datetime) -> int:
    """Microseconds since the epoch of an aware datetime."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def instant(moment: datetime) -> str:
    """A TIMESTAMP that does not depend on the session's time zone."""
    return f"timestamp_micros({micros(moment)})"


def fill_catalogs(statement: str, catalogs: Mapping[str, str]) -> str:
    """Replace `{variable}` by the quoted catalog outside string literals and comments; raises KeyError of an unknown.

    >>> fill_catalogs("SELECT '{x}' FROM {bronze}.s.t", {"bronze": "dev"})
    "SELECT '{x}' FROM `dev`.s.t"
    """

    def replacement(match: re.Match[str]) -> str:
        if match["kept"] is not None:
            return match["kept"]
        catalog = catalogs[match["name"]]
        inside_quotes = match.start() > 0 and statement[match.start() - 1] == "`"
        return quote(catalog)[1:-1] if inside_quotes else quote(catalog)

    return _TOKEN.sub(replacement, statement)
