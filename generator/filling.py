"""A runner of the settings with the values of a row in the places of its `{columns}`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from generator.model import Row
from generator.problem import shown
from generator.settings import PLACEHOLDER, Settings

_REFERENCE = re.compile(r"\$\{|\{\{")
_NAMES_A_FILE = re.compile(r"(?i)(path|file|directory|jar|egg|whl)s?$")


def words_of(row: Row, settings: Settings) -> dict[str, str]:
    """What stands for each column; a catalog is the reference to its bundle variable."""
    values = row.model_dump()
    mapped = {column: settings.mapped(values[column]) for column in ("src_catalog", "dst_catalog")}
    return {column: _text(value) for column, value in {**values, **mapped}.items()}


def filled(value: Any, words: Mapping[str, str]) -> Any:
    """The runner's body with `{column}` replaced in every text."""
    if isinstance(value, str):
        return PLACEHOLDER.sub(lambda match: words[match[1]], value)
    if isinstance(value, Mapping):
        return {name: filled(below, words) for name, below in value.items()}
    if isinstance(value, list):
        return [filled(below, words) for below in value]
    return value


def filling_problems(body: Mapping[str, Any], row: Row) -> Iterator[tuple[str, str]]:
    """What values do together that none does alone: (column, what).

    They make a reference, which the CLI or the Jobs service would replace, or lead a path out of the runner's folder.
    """
    words = {column: _text(value) for column, value in row.model_dump().items()}  # without references of ours
    for name, text in _named(body):
        columns = PLACEHOLDER.findall(text)
        if not columns or not words.keys() >= set(columns):
            continue
        made = filled(text, words)
        if len(_REFERENCE.findall(made)) > len(_REFERENCE.findall(PLACEHOLDER.sub("", text))):
            column = next(column for column in columns if {"{", "$"} & set(words[column]))
            yield column, f"makes a reference of the runner's {shown(text)}, which would be replaced"
        elif _NAMES_A_FILE.search(name) and made.split("/").count("..") > text.split("/").count(".."):
            column = next(column for column in columns if "." in words[column])
            yield column, f"leads {name} {shown(made)} out of the folder that the runner names"


def _named(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text below, with the name of the field that it is in."""
    if isinstance(value, str):
        yield name, value
    elif isinstance(value, Mapping):
        for key, below in value.items():
            yield from _named(below, str(key))
    elif isinstance(value, list):
        for below in value:
            yield from _named(below, name)


def _text(value: object) -> str:
    """A column's value as text: lists as JSON, booleans as `true` and `false`."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
