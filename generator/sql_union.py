"""SQL that puts several source tables together by UNION, of which each needs a watermark of its own.

An incremental read of such SQL by one watermark loses the rows of a source that arrives late. The loader reads each
source by its own watermark, as the same SELECT with the other sources empty. That is right where the SELECT over all
sources is the SELECTs over each of them put together: nothing above the UNION may look at two sources at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from generator.sql_parse import parse_statement

if TYPE_CHECKING:
    from sqlglot import exp

_LOOKS_AT_MANY = {
    "distinct": "a DISTINCT",
    "group": "a GROUP BY",
    "having": "a HAVING",
    "qualify": "a QUALIFY",
    "limit": "a LIMIT",
    "offset": "an OFFSET",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class UnionSources:
    """The first table of each branch of a UNION, in the order of the text; none where one watermark is enough.

    `reason` is why the sources cannot be read one by one, where there are several.
    """

    tables: tuple[tuple[str, ...], ...] = ()
    reason: str = ""


@cache
def union_sources(text: str) -> UnionSources:
    """Find the source tables that a SELECT puts together.

    >>> union_sources("SELECT a FROM x.s.eu UNION ALL SELECT a FROM x.s.us JOIN x.s.d USING (a)").tables
    (('x', 's', 'eu'), ('x', 's', 'us'))
    >>> union_sources("SELECT a, count(*) FROM (SELECT a FROM x.s.eu UNION ALL SELECT a FROM x.s.us) GROUP BY a").reason
    'a GROUP BY looks at rows of several sources at once'
    """
    from sqlglot import exp

    root, placeholders = parse_statement(text)
    if root is None:
        return UnionSources()
    unions = [node for node in root.find_all(exp.SetOperation) if not isinstance(node.parent, exp.SetOperation)]
    unions = [node for node in unions if len({_first(branch, placeholders) for branch in _branches(node)}) > 1]
    if not unions:
        return UnionSources()
    tables = list(dict.fromkeys(found for branch in _branches(unions[0]) if (found := _first(branch, placeholders))))
    return UnionSources(tables=tuple(tables), reason=_reason(root, unions, tables, placeholders))


def _reason(
    root: exp.Expr, unions: Sequence[exp.Expr], tables: list[tuple[str, ...]], placeholders: frozenset[int]
) -> str:
    from sqlglot import exp

    union = unions[0]
    if len(unions) > 1:
        return "it has more than one UNION of several tables"
    if any(isinstance(node, (exp.Except, exp.Intersect)) for node in union.find_all(exp.SetOperation)):
        return "EXCEPT and INTERSECT look at rows of several sources at once"
    if any(_first(branch, placeholders) is None for branch in _branches(union)):
        return "the first table of a branch is not known"
    named = Counter(name for table in root.find_all(exp.Table) if (name := _name(table, placeholders)))
    firsts = Counter(_first(branch, placeholders) for branch in _branches(union))
    doubled = [table for table in tables if named[table] != firsts[table]]
    if doubled:
        return f"{'.'.join(doubled[0])} is also read elsewhere in it"
    for branch in _branches(union):
        if isinstance(branch, exp.Select) and _aggregates(branch) and not branch.args.get("group"):
            return "a branch without GROUP BY has a row even where its source has none"
    return next(_looks_at_many(union, root), "")


def _looks_at_many(union: exp.Expr, root: exp.Expr) -> Iterator[str]:
    """Go from the UNION up to the statement, and tell what on the way needs the rows of several sources."""
    from sqlglot import exp

    if any(union.args.get(name) for name in ("limit", "offset")):
        yield "a LIMIT looks at rows of several sources at once"
    below: exp.Expr = union
    while below is not root:
        node = below.parent
        if node is None:
            return
        if isinstance(node, exp.CTE):
            uses = [table for table in root.find_all(exp.Table) if len(table.parts) == 1 and _is(table, node.alias)]
            if len(uses) != 1:
                yield f"{node.alias} is read {len(uses)} times"
                return
            below = uses[0]
            continue
        if isinstance(node, (exp.In, exp.Exists, exp.Any, exp.All)) or (
            isinstance(node, exp.Subquery)
            and not isinstance(node.parent, (exp.From, exp.Join, exp.Subquery, exp.CTE))
            and node is not root
        ):
            yield "a subquery of a condition looks at rows of several sources at once"
            return
        if isinstance(node, exp.Join) and (node.side in ("LEFT", "FULL") or node.kind in ("ANTI", "SEMI")):
            yield "an outer join looks at rows of several sources at once"
        if isinstance(node, exp.Select):
            yield from _of_select(node)
        below = node


def _of_select(select: exp.Select) -> Iterator[str]:
    for clause, words in _LOOKS_AT_MANY.items():
        if select.args.get(clause):
            yield f"{words} looks at rows of several sources at once"
    if _aggregates(select):
        yield "an aggregate looks at rows of several sources at once"
    from sqlglot import exp

    if any(_own(select, node) for node in select.find_all(exp.Window)):
        yield "a window function looks at rows of several sources at once"
    if any(join.side in ("RIGHT", "FULL") for join in select.args.get("joins") or ()):
        yield "an outer join looks at rows of several sources at once"


def _aggregates(select: exp.Select) -> bool:
    from sqlglot import exp

    return any(
        _own(select, node) and not isinstance(node.parent, exp.Window)
        for expression in select.expressions
        for node in expression.find_all(exp.AggFunc)
    )


def _own(select: exp.Select, node: exp.Expr) -> bool:
    """Return whether the expression is one of this SELECT and not of one inside it."""
    return node.parent_select is select


def _branches(node: exp.Expr) -> list[exp.Expr]:
    from sqlglot import exp

    if isinstance(node, exp.SetOperation):
        return [*_branches(node.this), *_branches(node.expression)]
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.SetOperation):
        return _branches(node.this)
    return [node.this if isinstance(node, exp.Subquery) else node]


def _first(query: exp.Expr | None, placeholders: frozenset[int]) -> tuple[str, ...] | None:
    """Return the first table in the FROM of a query, through subqueries and CTEs."""
    from sqlglot import exp

    while query is not None:
        if isinstance(query, exp.Table):
            cte = _cte(query)
            if cte is None:
                return _name(query, placeholders)
            query = cte.this
        elif isinstance(query, exp.Select):
            source = query.args.get("from_") or query.args.get("from")
            query = source.this if source is not None else None
        elif isinstance(query, (exp.Subquery, exp.SetOperation)):
            query = query.this
        else:
            return None
    return None


def _cte(table: exp.Table) -> exp.CTE | None:
    from sqlglot import exp

    if len(table.parts) != 1:
        return None
    return next((cte for cte in table.root().find_all(exp.CTE) if _is(table, cte.alias)), None)


def _is(table: exp.Table, name: str) -> bool:
    return bool(table.name.lower() == name.lower())


def _name(table: exp.Table, placeholders: frozenset[int]) -> tuple[str, ...] | None:
    """Return the name of three parts, placeholders with their braces; None for any other."""
    parts = tuple(
        f"{{{part.name}}}" if part.meta.get("start") in placeholders else part.name.lower() for part in table.parts
    )
    return parts if len(parts) == 3 else None
