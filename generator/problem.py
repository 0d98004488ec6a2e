"""What is wrong, where, and the way out: a value that the steps collect and only `cli.py` prints."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from reprlib import Repr

HINTS_SHOWN = 3
MANY = 5  # problems of one cause that are one entry
_NAMED = 5  # rows and values of such an entry that are written out
_QUOTED = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""")
# They show a text to who reviews it in another order than it has; the last two no YAML holds.
MISLEADING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufffe\uffff")
_GITHUB = {"error": "error", "warning": "warning", "hint": "notice"}
_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """`row` counts data rows from 1 and 0 means "not about a row"; `severity` is `error`, `warning` or `hint`.

    `position` counts the characters of the line from 1; 0 means the whole line. `alike` are the other problems of one
    cause, which this one is the example of.
    """

    what: str
    remedy: str = ""
    file: str = ""
    line: int = 0
    position: int = 0
    row: int = 0
    table: str = ""
    column: str = ""
    severity: str = "error"
    alike: tuple[Problem, ...] = ()


def shown(value: object) -> str:
    """The value as a message names it, cut where it is long."""
    return _SHORT.repr(value)


def errors(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    return tuple(problem for problem in problems if problem.severity == "error")


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """By file, then from top to bottom; each problem once, and many of one cause as one."""
    return _grouped(sorted(dict.fromkeys(problems), key=lambda p: (p.file, p.line, p.row, p.severity)))


def _grouped(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Make one entry of the problems that differ by their row, or by the value that they quote, and by nothing else."""
    causes: dict[tuple[object, ...], list[Problem]] = {}
    for problem in problems:
        column = problem.column if problem.row else ""
        words = _QUOTED.sub("''", problem.what)
        cause = (problem.file, problem.severity, bool(problem.row), column, words, problem.remedy)
        causes.setdefault(cause, []).append(problem)
    entries: list[Problem] = []
    for found in causes.values():
        entries += [replace(found[0], alike=tuple(found[1:]))] if len(found) >= MANY else found
    return tuple(sorted(entries, key=lambda p: (p.file, p.line, p.row, p.severity)))


def sentence(problem: Problem) -> str:
    """Where, what and the way out.

    >>> sentence(Problem(row=7, table="dim_customer", column="business_key_columns",
    ...                  what="required for scd2", remedy="name the natural key"))
    'row 7 (dim_customer) business_key_columns: required for scd2; name the natural key'
    """
    table = f"({problem.table})" if problem.row and problem.table else problem.table
    address = " ".join(part for part in (f"row {problem.row}" if problem.row else "", table, problem.column) if part)
    between = " Else " if problem.what.endswith("?") else "; "
    text = f"{problem.what}{between}{problem.remedy}" if problem.remedy else problem.what
    if problem.alike:
        address, text = f"{_count(problem)}, such as {address}", f"{text}{_also(problem)}"
    return printable(f"{address}: {text}" if address else text)


def _count(problem: Problem) -> str:
    """Such as `140 rows (1, 2, 3, 4, 5 ...)`."""
    number = len(problem.alike) + 1
    if not problem.row:
        return f"{number:,} places"
    rows = list(dict.fromkeys(each.row for each in (problem, *problem.alike)))
    more = " ..." if len(rows) > _NAMED else ""
    return f"{len(rows):,} rows ({', '.join(map(str, rows[:_NAMED]))}{more})"


def _also(problem: Problem) -> str:
    """The other columns and values that the entry is about, since each may need its own hand."""
    own = [problem.column if not problem.row else "", *_QUOTED.findall(problem.what)]
    others: dict[str, None] = {}
    for each in problem.alike:
        words = [each.column if not each.row else "", *_QUOTED.findall(each.what)]
        others |= dict.fromkeys(word for word in words if word and word not in own)
    named, most = list(others), _NAMED if problem.row else 4 * _NAMED  # the 17 columns all
    more = f" and {len(named) - most:,} more" if len(named) > most else ""
    return f"; also {', '.join(named[:most])}{more}" if named else ""


def printable(text: str) -> str:
    r"""One line that tells a terminal or a log nothing but itself.

    >>> printable("a\x1b[2J\n::error::b")
    'a\\x1b[2J\\n::error::b'
    """
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def as_text(problems: Sequence[Problem]) -> str:
    """One line for each, with an address that editors and terminals can follow; of many hints the first."""
    hints = [problem for problem in problems if problem.severity == "hint"]
    kept = [problem for problem in problems if problem.severity != "hint"] + hints[:HINTS_SHOWN]
    lines = [f"{_place(problem)}{_mark(problem)}{sentence(problem)}\n" for problem in kept]
    if len(hints) > HINTS_SHOWN:
        lines.append(f"hint: {len(hints) - HINTS_SHOWN:,} more like these; --format json lists all\n")
    return "".join(lines)


def as_json(problems: Sequence[Problem]) -> str:
    return json.dumps([asdict(problem) for problem in problems], indent=2, ensure_ascii=False) + "\n"


def as_github(problems: Sequence[Problem]) -> str:
    """Workflow commands: GitHub shows each beside its line of the pull request."""
    return "".join(
        f"::{_GITHUB[problem.severity]} {_properties(problem)}::{_escaped(sentence(problem))}\n" for problem in problems
    )


def _place(problem: Problem) -> str:
    if not problem.file:
        return ""
    numbers = [number for number in (problem.line, problem.position) if number]
    return printable(":".join([problem.file, *map(str, numbers)])) + ": "


def _mark(problem: Problem) -> str:
    return "" if problem.severity == "error" else f"{problem.severity}: "


def _properties(problem: Problem) -> str:
    given = {"file": problem.file, "line": str(problem.line or ""), "col": str(problem.position or "")}
    return ",".join(f"{name}={_escaped(value, ':,')}" for name, value in given.items() if value)


def _escaped(text: str, more: str = "") -> str:
    for character in "%\r\n" + more:
        text = text.replace(character, f"%{ord(character):02X}")
    return text
