"""Conflict markers: the lines that git leaves in a file which two branches have changed."""

from __future__ import annotations

import re

from generator.problem import Problem

_BEGIN = re.compile(r"^<{7} .*$", re.MULTILINE)
_REST = re.compile(r"^={7}\r?$.*?^>{7} ", re.MULTILINE | re.DOTALL)
MERGED = "has the conflict markers of a merge"


def conflict_line(text: str) -> int:
    r"""Return the line of the first conflict marker, from 1; 0 if the text has no conflict.

    >>> conflict_line("a: 1\n<<<<<<< HEAD\nb: 2\n=======\nb: 3\n>>>>>>> other\n")
    2
    >>> conflict_line("-- <<<<<<< HEAD\n=======\n")
    0
    """
    found = _BEGIN.search(text)
    return text.count("\n", 0, found.start()) + 1 if found and _REST.search(text, found.end()) else 0


def conflict_problem(text: str, file: str) -> Problem | None:
    """Return the problem of a file that a person writes and a merge has left with conflict markers."""
    line = conflict_line(text)
    remedy = "keep what is right of both sides, without the markers; the job files follow by `generate`"
    return Problem(file=file, line=line, what=MERGED, remedy=remedy) if line else None


def first_side(text: str) -> str:
    r"""Return a text from its first line of content on, where a conflict begins with its first line.

    >>> first_side("<<<<<<< HEAD\n# Generated\n=======\n")
    '# Generated\n=======\n'
    """
    marker = _BEGIN.match(text)
    return text[marker.end() :].lstrip("\r\n") if marker else text
