"""One SELECT with UNION ALL over several source tables, read with a watermark for each.

With one watermark a source that arrives late lies behind the others' and is lost. Here the rows of each source are
those of the same SELECT with the other sources empty, so that each row is known by its source. The generator finds out
for which SQL that is right (`generator/sql_union.py`), and names the sources.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from laketasks.column import INTERNAL_PREFIX
from laketasks.sql import quote
from laketasks.sql_fingerprint import Token, tokens

SOURCE_NO = f"{INTERNAL_PREFIX}source_no"  # which of the sources a row comes from, counted from 0

# Words that may follow a table's name where it has no alias.
_AFTER_A_TABLE = (
    "anti cluster cross distribute except for full group having inner intersect join lateral left limit minus "
    "natural offset on order outer pivot qualify right select semi sort tablesample timestamp union unpivot using "
    "version where window"
)


def only_from(select: str, source: str, sources: Iterable[str]) -> str:
    """Return the SELECT with all of the sources empty but one; names are compared without quotes and case.

    >>> only_from("SELECT a FROM c.s.eu UNION ALL SELECT a FROM c.s.us u", "c.s.eu", ["c.s.eu", "c.s.us"])
    'SELECT a FROM c.s.eu UNION ALL SELECT a FROM (SELECT * FROM c.s.us WHERE false) u'
    """
    others = {name.replace("`", "").lower() for name in sources} - {source.replace("`", "").lower()}
    pieces, position = [], 0
    found = list(tokens(select))
    for index, name in _tables(found):
        if name not in others:
            continue
        first, last = found[index], found[index + 4]
        following = found[index + 5] if index + 5 < len(found) else None
        written = select[first.start : last.end]
        alias = "" if _is_alias(following) else f" AS {quote(_plain(last))}"
        pieces += [select[position : first.start], f"(SELECT * FROM {written} WHERE false){alias}"]
        position = last.end
    return "".join([*pieces, select[position:]])


def tables_named(select: str) -> list[str]:
    """Return the names of three parts in a SELECT, without quotes and in lower case, in the order of the text."""
    return [name for _, name in _tables(list(tokens(select)))]


def encode_marks(marks: Mapping[str, str | None]) -> str:
    """Return the watermarks of the sources as the run log keeps them: a JSON object by table."""
    return json.dumps(dict(marks), sort_keys=True)


def decode_marks(text: str | None, sources: Sequence[str]) -> dict[str, str | None]:
    """Read the watermarks of the sources; None for a source that was not read before."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        value = {}
    known = value if isinstance(value, dict) else {}
    return {source: known.get(source) for source in sources}


def _tables(found: Sequence[Token]) -> Iterable[tuple[int, str]]:
    """Each name of three parts that is not followed by another, with the index of its first token."""
    index = 0
    while index + 4 < len(found):
        parts, dots = found[index : index + 5 : 2], found[index + 1 : index + 4 : 2]
        before, after = found[index - 1].text if index else "", found[index + 5].text if index + 5 < len(found) else ""
        if all(map(_is_name, parts)) and all(dot.text == "." for dot in dots) and "." not in (before, after):
            yield index, ".".join(map(_plain, parts)).lower()
            index += 5
        else:
            index += 1


def _is_name(token: Token) -> bool:
    return token.is_word or token.text.startswith("`") or token.text.startswith("{")


def _plain(token: Token) -> str:
    return token.text[1:-1].replace("``", "`") if token.text.startswith("`") else token.text


def _is_alias(token: Token | None) -> bool:
    return token is not None and _is_name(token) and token.text not in _AFTER_A_TABLE.split()
