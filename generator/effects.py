"""What a change of a row or of its SQL does to the table at its next load, from the parameters of both tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from laketasks.identity import Decision, row_differences
from laketasks.spec import DIMENSIONS, PIPELINES, LoadSpec, SpecError
from laketasks.sql_fingerprint import Token, fingerprint, tokens

_FILES = "${workspace.file_path}/"
NEXT_LOAD = "at the next load"


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlTexts:
    """SQL texts by path from the bundle's root, as they were and as they are; the former as far as they are known."""

    before: Mapping[str, str] = field(default_factory=dict)
    now: Mapping[str, str] = field(default_factory=dict)


def effects(
    old: Mapping[str, str], new: Mapping[str, str], texts: SqlTexts, readers: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield what changed in the SQL, and what the next load does about each part that it would not go on with.

    `old` and `new` are named parameters of tasks; `readers` are the SQL paths of the loads that read a table.
    """
    before, now = _spec(old), _spec(new)
    if before is None or now is None or before.target_table != now.target_table:
        return
    if before.sql_fingerprint != now.sql_fingerprint and before.sql_file_path and now.sql_file_path:
        yield from _of_sql(before, now, texts, readers.get(now.target_table, ()))
    for difference in row_differences(before, now, (_keys(before), _keys(now))):
        if difference.decision is not Decision.GO_ON:
            yield f"{NEXT_LOAD}: {difference}"


def sql_changes(before: str, now: str) -> tuple[list[str], list[str], bool]:
    """Return the columns that came and those that went, and whether other rows or values come out besides.

    >>> sql_changes("SELECT a, b FROM t", "SELECT a, b AS c FROM t -- x")
    (['c'], ['b'], False)
    >>> sql_changes("SELECT a FROM t", "SELECT a FROM t WHERE a > 1")
    ([], [], True)
    """
    old, new = _select_list(before), _select_list(now)
    if old is None or new is None:
        return [], [], fingerprint(before) != fingerprint(now)
    (columns, rest), (columns_now, rest_now) = old, new
    added = [name for name in columns_now if name not in columns]
    gone = [name for name in columns if name not in columns_now]
    kept = columns.keys() & columns_now.keys()
    other = rest != rest_now or any(columns[name] != columns_now[name] for name in kept)
    return added, gone, other or "*" in (*added, *gone)


def _of_sql(before: LoadSpec, now: LoadSpec, texts: SqlTexts, readers: tuple[str, ...]) -> Iterator[str]:
    old, new = texts.before.get(_path(before)), texts.now.get(_path(now))
    if new is None or old is None or fingerprint(old) != before.sql_fingerprint:
        yield "SQL: other rows or values may come out (its text as it was is not known)"
        return
    added, gone, other = sql_changes(old, new)
    if added:
        yield f"SQL: columns added: {', '.join(added)}"
    for name in gone:
        using = sorted(path for path in readers if path in texts.now and _names(texts.now[path], name))
        read = f"; read by {', '.join(using)}" if using else ""
        yield f"SQL: column {name} is gone: the table keeps it with the values that it has{read}"
    if other:
        yield "SQL: other rows or values come out"


def _spec(parameters: Mapping[str, str]) -> LoadSpec | None:
    try:
        spec = LoadSpec.from_parameters(parameters)
    except SpecError:
        return None
    return spec if spec.execution_pipeline in PIPELINES else None


def _keys(spec: LoadSpec) -> tuple[str, ...]:
    return spec.business_key_columns if spec.execution_pipeline in DIMENSIONS else spec.primary_key_columns


def _path(spec: LoadSpec) -> str:
    return spec.sql_file_path.removeprefix(_FILES)


def _select_list(text: str) -> tuple[dict[str, list[str]], list[str]] | None:
    """Return the columns of the one SELECT at the top of a text by name, and all other tokens; None for other texts."""
    found = list(tokens(text))
    depths = _depths(found)
    top = [index for index, token in enumerate(found) if depths[index] == 0 and token.text == "select"]
    if len(top) != 1:
        return None
    ends = (i for i, token in enumerate(found) if i > top[0] and depths[i] == 0 and token.text == "from")
    end = next(ends, len(found))
    begin = top[0] + 1
    rest = [token.text for token in (*found[:begin], *found[end:])]
    columns: dict[str, list[str]] = {}
    item: list[Token] = []
    for index in range(begin, end):
        if found[index].text == "," and depths[index] == 0:
            columns[_column(item)] = [token.text for token in item]
            item = []
        else:
            item.append(found[index])
    columns[_column(item)] = [token.text for token in item]
    return columns, rest


def _depths(found: list[Token]) -> list[int]:
    depth, depths = 0, []
    for token in found:
        depth -= token.text == ")"
        depths.append(depth)
        depth += token.text == "("
    return depths


def _column(item: list[Token]) -> str:
    """Return the name of a column of a SELECT list: its alias, or the last part of the column that it is."""
    last = item[-1].text.strip("`").lower() if item else ""
    if not item or last == "*":
        return "*"
    simple = all(token.text == "." or token.is_word or token.text.startswith("`") for token in item)
    named = simple or (len(item) > 1 and item[-2].text == "as") or (item[-1].is_word and item[-2].text == ")")
    return last if named else " ".join(token.text for token in item)


def _names(text: str, column: str) -> bool:
    return any(token.text.strip("`").lower() == column for token in tokens(text))
