"""Fingerprints of SQL texts: two texts have the same one if they differ in comments, layout and case only.

The text is cut into tokens by the standard library alone. A parser is not asked: parsers render different statements as
the same text (`percentile_cont(0.5) ... ORDER BY x` with and without DESC, `to_date(x)` with and without a format).
Quoted text counts to the letter, and so do hints and the names in braces, which are filled by exact name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    r"""
      (?P<space> \s+ | --[^\r\n]* )
    | (?P<comment> /\* )
    | (?P<exact> [rR]'[^']*' | [rR]"[^"]*"
        | '(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`]|``)*`
        | \{[A-Za-z_]\w*\} )
    | (?P<word> (?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\w* | \w+ )
    | (?P<sign> <=> | >= | <= | <> | != | == | \|\| | :: | -> | => | << | >> | . )
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of code with the offset at which it begins; `text` is in lower case unless it is quoted."""

    text: str
    start: int
    end: int

    @property
    def is_word(self) -> bool:
        return self.text[0].isalnum() or self.text[0] == "_"


def fingerprint(text: str) -> str:
    r"""Return 32 hexadecimal digits that stand for the tokens of a SQL text.

    >>> fingerprint("SELECT a -- one\nFROM t;") == fingerprint("select A from T")
    True
    >>> fingerprint("SELECT 'a' FROM t") == fingerprint("SELECT 'A' FROM t")
    False
    """
    words = [token.text for token in tokens(text)]
    while words and words[-1] == ";":
        words.pop()
    return hashlib.sha256("\x00".join(words).encode()).hexdigest()[:32]


def tokens(text: str) -> Iterator[Token]:
    """Cut a SQL text into tokens, without comments and white space; of a hint the edges are tokens, too.

    >>> [token.text for token in tokens("SELECT /* x */ 1.50, `A b` FROM {Silver}.s.T")]
    ['select', '1.50', ',', '`A b`', 'from', '{Silver}', '.', 's', '.', 't']
    """
    return _tokens(text, 1 if text.startswith(BYTE_ORDER_MARK) else 0, len(text))


def _tokens(text: str, position: int, stop: int) -> Iterator[Token]:
    while position < stop:
        match = _TOKEN.match(text, position, stop)
        assert match is not None  # the last alternative matches any character
        end = match.end()
        if match["comment"]:
            end = _end_of_comment(text, position, stop)
            if text.startswith("/*+", position):
                yield Token("/*+", position, position + 3)
                yield from _tokens(text, position + 3, end - 2)
                yield Token("*/", end - 2, end)
        elif not match["space"]:
            yield Token(match[0] if match["exact"] else match[0].lower(), position, end)
        position = end


def _end_of_comment(text: str, start: int, stop: int) -> int:
    """Return the offset behind a bracketed comment; comments nest, and one without an end reaches to `stop`."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(text, start, stop):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return stop
