"""What can be said of a SQL file without parsing SQL: its placeholders, its words, and the reads that it declares."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

# Literals and comments are skipped. The loader replaces placeholders by the same rule.
_PARTS = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|--[^\n]*|/\*.*?\*/|(?P<code>[^'"/-]+|.)""", re.DOTALL)
# A condition stands inside a statement, so here names in backticks and raw strings are told from code, too.
_TOKENS = re.compile(
    r"""(?P<closed>`(?:[^`]|``)*`|[rR]'[^']*'|[rR]"[^"]*"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")"""
    r"""|(?P<comment>--|/\*)|(?P<word>\w+)|(?P<sign>\$\$|.)""",
    re.DOTALL,
)
_UNCLOSED = "a quotation or comment has no end"
_ENDS = {
    **dict.fromkeys("'\"`", _UNCLOSED),
    ";": "a ; ends the statement",
    "$$": "$$ may begin a quotation",
}
_VARIABLE = re.compile(r"\{(\w+)\}")
_DECLARED = re.compile(r"--\s*laketasks\s+reads\s*:(?P<names>.*)", re.IGNORECASE)
_PART = r"\s*(?:`(\{\w+\}|(?:[^`]|``)+)`|(\{\w+\}|\w+))\s*"
_NAME = re.compile(rf"{_PART}\.{_PART}\.{_PART}")
DECLARATION = "-- laketasks reads: {catalog_variable}.schema.table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """A table as a SQL text names it: its parts without quotes; a placeholder keeps its braces."""

    parts: tuple[str, ...]
    line: int

    def __str__(self) -> str:
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlText:
    """`variables` are the names in braces, `words` are lower case.

    `declared` are the tables of the comments that say what the text reads, None where there is no such comment;
    `misdeclared` are the words there that name no table of three levels, each with its line.
    """

    variables: tuple[str, ...]
    words: frozenset[str]
    declared: tuple[Name, ...] | None
    misdeclared: tuple[tuple[str, int], ...]


@cache
def read_sql_text(text: str) -> SqlText:
    """
    Look at the code of a statement.

    >>> found = read_sql_text("SELECT '{a}' FROM {bronze}.erp.Item -- {b}")
    >>> found.variables, found.declared
    (('bronze',), None)
    >>> [str(name) for name in read_sql_text("-- laketasks reads: {silver}.core.a").declared or ()]
    ['{silver}.core.a']
    """
    code: list[str] = []
    declared: list[Name] = []
    misdeclared: list[tuple[str, int]] = []
    comments = []
    for part in _PARTS.finditer(text):
        code.append(part["code"] or " ")
        if comment := _DECLARED.fullmatch(part[0]):
            comments.append(comment["names"])
            names, strays = _declared(comment["names"], text.count("\n", 0, part.start()) + 1)
            declared.extend(names)
            misdeclared.extend(strays)
    return SqlText(
        variables=tuple(sorted(set(_VARIABLE.findall(" ".join(["".join(code), *comments]))))),
        words=frozenset(re.findall(r"\w+", "".join(code).lower())),
        declared=tuple(declared) if comments else None,
        misdeclared=tuple(misdeclared),
    )


def _declared(names: str, line: int) -> tuple[list[Name], list[tuple[str, int]]]:
    words = [word.strip() for word in names.split(",")]
    found = {word: _NAME.fullmatch(word) for word in words if word.lower() not in ("", "nothing")}
    good = [Name(parts=tuple(p.replace("``", "`") for p in m.groups() if p), line=line) for m in found.values() if m]
    return good, [(word, line) for word, match in found.items() if match is None]


def quote_placeholders(text: str) -> tuple[str, frozenset[int]]:
    """The text with `{variable}` as a quoted name of the same length, and the offsets where such names begin.

    >>> quote_placeholders("FROM {a}.s.`{b}` -- {c}")
    ('FROM `a`.s.`{b}` -- {c}', frozenset({5}))
    """
    starts: set[int] = set()
    pieces: list[str] = []
    for part in _PARTS.finditer(text):
        piece = part[0]
        if part["code"] and "{" in piece:
            for found in _VARIABLE.finditer(piece):
                if piece[: found.start()].endswith("`"):
                    continue
                starts.add(part.start() + found.start())
                piece = f"{piece[: found.start()]}`{found[1]}`{piece[found.end() :]}"
        pieces.append(piece)
    return "".join(pieces), frozenset(starts)


def unclosed(text: str) -> int:
    """The offset of the first quotation or comment that has no end; 0 where each has one."""
    for part in _PARTS.finditer(text):
        if part["code"] in ("'", '"') or (part["code"] == "/" and text.startswith("/*", part.start())):
            return part.start()
    return text.find("`") if text.count("`") % 2 else 0


def separator(text: str) -> int:
    """The offset of the first semicolon between statements."""
    offsets = (part.start() + part["code"].index(";") for part in _PARTS.finditer(text) if ";" in (part["code"] or ""))
    return next(offsets, 0)


def condition_problem(text: str) -> str:
    """What keeps a text from being one expression in the parentheses that the loader puts around it; "" for nothing.

    >>> condition_problem("a > (1"), condition_problem("a > 1) OR (b"), condition_problem("(a = ')') -- ;")
    ('a ( has no end', 'a ) has no beginning', 'a comment would hide what follows')
    """
    depth = 0
    for token in _TOKENS.finditer(text):
        if token["comment"]:
            closed = token["comment"] == "--" or "*/" in text[token.end() :]
            return "a comment would hide what follows" if closed else _UNCLOSED
        sign = token["sign"]
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign in _ENDS:
            return _ENDS[sign]
        if depth < 0:
            return "a ) has no beginning"
        if sign == "," and not depth:
            return "a , makes two expressions of it"
    return "a ( has no end" if depth else ""
