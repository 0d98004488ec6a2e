"""Values as exports and hands spell them: `1.0`, `TRUE`, `NULL`, `a,b`, blanks around words.

The rows of every source pass here, so that the same rows make the same job in every format. A spelling with one meaning
is taken over and reported once for all cells; one with two meanings stays as it is, and its column's type refuses it.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import product

from generator.columns import BY_NAME, fold
from generator.problem import Problem, shown
from generator.raw_row import RawRow
from laketasks.spec import LOAD_TYPES, PIPELINES

BLANKS = " \t\r\n\u00a0\ufeff"
_NULLS = frozenset(("NULL", "null", "Null", "\\N", "None", "NaN", "nan", "NaT", "<NA>"))
_NULLS |= frozenset(f"{a}{null}{b}" for a, null, b in product("<([", ("NULL", "null"), ">)]"))
_FLAGS = {
    **dict.fromkeys(("true", "t", "yes", "y", "on", "1", "1.0"), True),
    **dict.fromkeys(("false", "f", "no", "n", "off", "0", "0.0"), False),
}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?", re.ASCII)
_WITH_COMMA = re.compile(r"[-+]?\d+,0", re.ASCII)  # 1.0 where a comma parts the digits
_NAME = re.compile(r"(?!(?:true|false)$)[^\W\d][\w$#@.-]*", re.IGNORECASE)
_LONGEST_NUMBER = 20
_MOST = 3  # spellings that a report names
_SEPARATORS = ",;|"
_ENDS = {"[": "]", "{": "}", "(": ")"}
_QUOTES = "'\"`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A cell that was taken over. `kind` is the same for cells that are reported together."""

    row: RawRow
    column: str
    kind: str
    found: str
    read: str


def read_spellings(
    rows: Iterable[RawRow], runners: Collection[str] = ()
) -> tuple[tuple[RawRow, ...], tuple[Problem, ...]]:
    """Return the rows with their values taken over, without empty ones, and a report for each kind of spelling."""
    kept: list[RawRow] = []
    taken: list[Taken] = []
    problems: list[Problem] = []
    empty: list[RawRow] = []
    for raw in rows:
        row = _named(raw, taken, problems)
        values = {column: _taken(row, column, value, taken) for column, value in row.values.items()}
        if all(value is None for value in values.values()):
            empty.append(row)
            continue
        _words(row, values, runners, taken)
        kept.append(replace(row, values=values))
    return tuple(kept), (*problems, *_reports(taken), *_left_out(empty))


def _named(raw: RawRow, taken: list[Taken], problems: list[Problem]) -> RawRow:
    """The row with the names of the columns as they are, whatever their case."""
    if raw.values.keys() <= BY_NAME.keys():
        return raw
    values: dict[str, object] = {}
    lines: dict[str, int] = {}
    for name, value in raw.values.items():
        column = fold(name)
        line = raw.lines.get(name, raw.line)
        if column != name and (column in raw.values or column in values):
            what = f"column {shown(name)} stands twice, as {column} too"
            problems.append(
                Problem(file=raw.file, line=line, row=raw.number, column=name, what=what, remedy="keep one of them")
            )
            continue
        if column != name:
            taken.append(Taken(row=raw, column=column, kind="name", found=name, read=column))
        values[column], lines[column] = value, line
    return replace(raw, values=values, lines=lines if raw.lines else {})


def _taken(row: RawRow, column: str, value: object, taken: list[Taken]) -> object:
    kind = BY_NAME[column].kind if column in BY_NAME else ""
    if value is None or not kind:
        return value
    made, how = _read(column, kind, value)
    if how:
        read = "no value" if made is None else made if isinstance(made, str) else json.dumps(made, ensure_ascii=False)
        taken.append(Taken(row=row, column=column, kind=how, found=_found(value), read=read))
    return made


def _found(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if isinstance(value, (list, bool)) else str(value)


def _read(column: str, kind: str, value: object) -> tuple[object, str]:
    """The value and how it was taken over: "" where it was as it should be, or is nothing that has one meaning."""
    if isinstance(value, str):
        text = value.strip(BLANKS)
        if not text:
            return None, ""
        if text in _NULLS:
            return None, "null"
        if kind == "STRING":
            return _text(column, value, text)
    elif isinstance(value, float) and value != value:  # NaN, by which pandas writes NULL
        return None, "null"
    if kind == "BOOLEAN":
        return _flag(value)
    if kind == "INT":
        return _integer(value)
    return _names(value) if kind == "ARRAY<STRING>" else (value, "")


def _text(column: str, value: str, text: str) -> tuple[str, str]:
    """A comment is free text, and around a configuration no blank means anything."""
    if column in ("comment", "cdc_source_config"):
        return value.replace("\r\n", "\n"), ""
    return text, "" if value.strip("\r\n") == text else "blanks"


def _flag(value: object) -> tuple[object, str]:
    if isinstance(value, bool):
        return value, ""
    word = value.strip(BLANKS).lower() if isinstance(value, str) else str(value)
    return (_FLAGS[word], "flag") if word in _FLAGS else (value, "")


def _integer(value: object) -> tuple[object, str]:
    if isinstance(value, int):  # True is an int, too, which the column's type refuses
        return value, ""
    text = value.strip(BLANKS) if isinstance(value, str) else str(value)
    if _WITH_COMMA.fullmatch(text):
        text = text[:-2]
    if len(text) > _LONGEST_NUMBER or not _NUMBER.fullmatch(text):
        return value, ""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return value, ""
    return (int(number), "number") if number == number.to_integral_value() and number.adjusted() < 18 else (value, "")


def _names(value: object) -> tuple[object, str]:
    if isinstance(value, list):
        trimmed = [name.strip(BLANKS) if isinstance(name, str) else name for name in value]
        bare = [name.strip("\r\n") if isinstance(name, str) else name for name in value]
        return trimmed, "" if trimmed == bare else "blanks"
    if not isinstance(value, str):
        return value, ""
    text = value.strip(BLANKS)
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = None
    if isinstance(parsed, list):
        return _names(parsed)
    listed = _listed(text)
    return (value, "") if listed is None else (listed, "list")


def _listed(text: str) -> list[str] | None:
    """The names of `a,b`, `[a, b]` or `{'a'; 'b'}`; None where it could be read in two ways."""
    if text[0] in _ENDS and text.endswith(_ENDS[text[0]]):
        text = text[1:-1].strip(BLANKS)
    if not text:
        return []
    separators = [separator for separator in _SEPARATORS if separator in text]
    if len(separators) > 1:
        return None
    names = [_unquoted(name.strip(BLANKS)) for name in (text.split(separators[0]) if separators else [text])]
    return names if all(_NAME.fullmatch(name) for name in names) else None


def _unquoted(name: str) -> str:
    return name[1:-1] if len(name) > 2 and name[0] in _QUOTES and name[-1] == name[0] else name


def _words(row: RawRow, values: dict[str, object], runners: Collection[str], taken: list[Taken]) -> None:
    """Take over the case of `execution_pipeline`, and of `load_type` where one of the loaders reads it."""
    known = {"execution_pipeline": (*PIPELINES, *runners), "load_type": LOAD_TYPES}
    for column, words in known.items():
        found = values.get(column)
        if not isinstance(found, str) or found in words:
            continue
        if column == "load_type" and values.get("execution_pipeline") not in PIPELINES:
            continue
        alike = [word for word in words if word.lower() == found.lower()]
        if len(alike) == 1:
            values[column] = alike[0]
            taken.append(Taken(row=row, column=column, kind="case", found=found, read=alike[0]))


def _reports(taken: Iterable[Taken]) -> Iterable[Problem]:
    kinds: Mapping[tuple[str, str], list[Taken]] = defaultdict(list)
    for cell in taken:
        kinds[cell.row.file, cell.kind].append(cell)
    return [_report(kind, cells) for (_, kind), cells in kinds.items()]


def _report(kind: str, cells: list[Taken]) -> Problem:
    first, columns = cells[0], {cell.column for cell in cells}
    count, noun = len(cells), "cell"
    if kind == "name":
        pairs = {(cell.found, cell.read) for cell in cells}
        count, noun = len(pairs), "column"
    what = f"{count:,} {noun}{'' if count == 1 else 's'}: {_pairs(cells)}"
    column = first.column if len(columns) == 1 and kind != "name" else ""
    line = first.row.lines.get(first.found if kind == "name" else first.column, first.row.line)
    row, table = (
        (first.row.number, str(first.row.values.get("dst_table_name") or "").strip(BLANKS)) if count == 1 else (0, "")
    )
    return Problem(file=first.row.file, line=line, row=row, table=table, column=column, what=what, severity="warning")


def _pairs(cells: Iterable[Taken]) -> str:
    """Such as `1.0 read as 1; 2.0, 2.00 as 2`, the frequent ones first."""
    spellings: Mapping[str, Counter[str]] = defaultdict(Counter)
    for cell in cells:
        spellings[cell.read][cell.found] += 1
    frequent = sorted(spellings, key=lambda read: -spellings[read].total())
    parts: list[str] = []
    for read in frequent[:_MOST]:
        found = [_shown(text) for text, _ in spellings[read].most_common(_MOST)]
        more = ", ..." if len(spellings[read]) > _MOST else ""
        parts.append(f"{', '.join(found)}{more} {'as' if parts else 'read as'} {_shown(read)}")
    rest = len(frequent) - _MOST
    return "; ".join(parts) + (f"; and {rest:,} more" if rest > 0 else "")


def _shown(text: str) -> str:
    """The text itself where nobody can mistake where it begins and ends."""
    plain = text == "no value" or (text.isprintable() and len(text) < 60 and not set(text) & set(" ,;'"))
    return text if plain else shown(text)


def _left_out(empty: list[RawRow]) -> Iterable[Problem]:
    if not empty:
        return ()
    count = len(empty)
    what = f"{count:,} record{'' if count == 1 else 's'} without a value left out"
    return (Problem(file=empty[0].file, line=empty[0].line, what=what, severity="warning"),)
