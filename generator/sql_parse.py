"""A SQL text as sqlglot reads it, in the dialect of Databricks: is it one SELECT, and which tables does it name?

sqlglot is loaded when the first text is parsed, and each distinct text is parsed once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from generator.problem import shown
from generator.sql_text import Name, quote_placeholders, separator, unclosed

if TYPE_CHECKING:
    from sqlglot import exp
    from sqlglot.errors import ParseError

_Found = tuple[int, Name]  # with the offset at which it stands
ONE_SELECT = "write one SELECT; WITH, UNION and VALUES are fine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What keeps the text from being one SELECT; `syntax` says that it may be the parser's own limit."""

    what: str
    line: int
    position: int
    syntax: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedSql:
    """`tables` stand in the order of the text, one for each time that it names one; a name of a CTE is none.

    `late` are the lines of tables whose names are known only when the statement runs.
    """

    tables: tuple[Name, ...] = ()
    late: tuple[int, ...] = ()
    trouble: Trouble | None = None


@cache
def parse_sql(text: str) -> ParsedSql:
    """
    Find the tables that a SELECT reads.

    >>> [str(name) for name in parse_sql("WITH a AS (SELECT 1 FROM {x}.s.t) SELECT * FROM a JOIN `x y`.s.u").tables]
    ['{x}.s.t', 'x y.s.u']
    """
    from sqlglot import exp
    from sqlglot.errors import ParseError, SqlglotError

    code, placeholders = quote_placeholders(text)
    try:
        found = [statement for statement in _parser()(code) if statement and not isinstance(statement, exp.Semicolon)]
    except ParseError as error:
        return ParsedSql(trouble=_not_parsed(error))
    except SqlglotError:
        return ParsedSql(trouble=_at(text, unclosed(text), "a quotation or comment that begins here has no end"))
    except RecursionError:
        return ParsedSql(trouble=_at(text, 0, "it nests too deep to be parsed"))
    except Exception as error:
        # The parser asserts what it takes for granted, and some texts prove it wrong.
        return ParsedSql(trouble=_at(text, 0, f"the parser fails on it with {type(error).__name__}"))
    if len(found) != 1:
        what = f"it holds {len(found) or 'no'} statements"
        return ParsedSql(trouble=_at(text, separator(text), what, syntax=False))
    if isinstance(found[0], exp.Select) and not found[0].expressions:
        return ParsedSql(trouble=_at(text, 0, "it selects nothing", syntax=False))
    if not isinstance(found[0], (exp.Query, exp.Values)):
        return ParsedSql(trouble=_at(text, 0, f"it is not a SELECT{_but(found[0])}", syntax=False))
    return _reads(found[0], placeholders)


@cache
def parse_statement(text: str) -> tuple[exp.Expr | None, frozenset[int]]:
    """Return the tree of one SELECT, not to be changed, and the offsets of its placeholders; None for other texts."""
    from sqlglot import exp

    if parse_sql(text).trouble is not None:
        return None, frozenset()
    code, placeholders = quote_placeholders(text)
    found = [statement for statement in _parser()(code) if statement and not isinstance(statement, exp.Semicolon)]
    return found[0], placeholders


@cache
def _parser() -> Callable[[str], list[exp.Expr | None]]:
    from sqlglot.dialects.databricks import Databricks

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # what it does not know is said by its answer
    return Databricks().parse


def _not_parsed(error: ParseError) -> Trouble:
    first = error.errors[0] if error.errors else {}
    word, line = str(first.get("highlight") or ""), int(first.get("line") or 1)
    position = max(int(first.get("col") or 1) - max(len(word) - 1, 0), 1)
    expected = str(first.get("description") or "")
    wanted = f", {expected.lower()}" if expected.startswith("Expecting") else ""
    where = f"at {shown(word)}" if word else "at its end"
    return Trouble(what=f"it is not understood {where}{wanted}", line=line, position=position, syntax=True)


def _at(text: str, offset: int, what: str, *, syntax: bool = True) -> Trouble:
    line = text.count("\n", 0, offset) + 1
    return Trouble(what=what, line=line, position=offset - text.rfind("\n", 0, offset), syntax=syntax)


def _but(statement: exp.Expr) -> str:
    from sqlglot import exp

    if isinstance(statement, exp.Command):
        return f" but {statement.name.upper()}"
    known = (exp.DDL, exp.DML, exp.Merge, exp.Drop, exp.Describe, exp.Use, exp.Set)
    return f" but {statement.key.upper()}" if isinstance(statement, known) else ""


def _reads(statement: exp.Expr, placeholders: frozenset[int]) -> ParsedSql:
    from sqlglot import exp

    named: list[_Found] = []
    late: list[int] = []
    for node in statement.find_all(exp.Table, exp.Anonymous):
        found = _of_table(node, placeholders) if isinstance(node, exp.Table) else _of_call(node, placeholders)
        if found and not found[1].parts:
            late.append(found[1].line)
        elif found and "/" not in found[1].parts[-1]:  # delta.`/a/path` is no table
            named.append(found)
    return ParsedSql(tables=tuple(name for _, name in sorted(named, key=lambda pair: pair[0])), late=tuple(late))


def _of_table(table: exp.Table, placeholders: frozenset[int]) -> _Found | None:
    from sqlglot import exp

    if isinstance(table.this, exp.Func) or table.find_ancestor(exp.Hint):
        return None
    parts = table.parts
    if len(parts) == 1 and _is_cte(table, parts[0].name.lower()):
        return None
    return _found(_words(parts, placeholders), parts[0])


def _of_call(call: exp.Expr, placeholders: frozenset[int]) -> _Found | None:
    """The table that a function takes, as TABLE(t) or as text; no parts where its name is known only when it runs."""
    from sqlglot import exp

    function, first = call.name.upper(), next(iter(call.expressions), None)
    if function == "TABLE" and isinstance(first, (exp.Column, exp.Dot)):
        return _found(_words(first.parts, placeholders), first.parts[0])
    by_name = function == "TABLE_CHANGES" or (function == "IDENTIFIER" and isinstance(call.parent, exp.Table))
    if first is None or not by_name:
        return None
    text = first.name if isinstance(first, exp.Literal) and first.is_string else ""
    return _found(tuple(part.strip("` ") for part in text.split(".")) if text else (), call)


def _words(parts: Iterable[exp.Expr], placeholders: frozenset[int]) -> tuple[str, ...]:
    return tuple(f"{{{part.name}}}" if part.meta.get("start") in placeholders else part.name for part in parts)


def _found(parts: tuple[str, ...], where: exp.Expr) -> _Found:
    return where.meta.get("start", 0), Name(parts=parts, line=int(where.meta.get("line", 1)))


def _is_cte(table: exp.Expr, name: str) -> bool:
    """Whether a CTE of that name is in scope; one that is not recursive sees those before it, not itself."""
    below: exp.Expr = table
    for node in _ancestors(table):
        listed = _ctes(node)
        with_ = node.args.get("with_")
        if listed is not None:
            before = next(index for index, cte in enumerate(listed) if cte is below)
            visible = listed[: before + bool(node.args.get("recursive"))]
        else:
            visible = with_.expressions if with_ is not None and with_ is not below else []
        if any(cte.alias.lower() == name for cte in visible):
            return True
        below = node
    return False


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    while node.parent is not None:
        node = node.parent
        yield node


def _ctes(node: exp.Expr) -> list[exp.Expr] | None:
    from sqlglot import exp

    return list(node.expressions) if isinstance(node, exp.With) else None
