"""A row of execution_table with the types of its columns: read once, neutral where it is NULL."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from generator.columns import BY_NAME
from generator.problem import Problem, shown
from generator.raw_row import RawRow
from generator.spelling import read_spellings
from laketasks.spec import PIPELINES, CdcSourceConfig, did_you_mean, parse_config


def _or(neutral: object) -> BeforeValidator:
    return BeforeValidator(lambda value: neutral if value is None else value)


def _names(value: object) -> object:
    return tuple(value) if isinstance(value, list) else () if value is None else value


def _config(value: object) -> object:
    """The JSON text of a mapping; text stays what it is."""
    if not isinstance(value, Mapping):
        return "" if value is None else value
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, RecursionError) as error:  # a date, a set, bytes
        raise ValueError(str(error)) from error


# What even a row that is not active has to say: which table it is about, and that it is not active.
_OF_A_DRAFT = ("dst_table_name", "is_active_flag")
Text = Annotated[str, _or("")]
Names = Annotated[tuple[str, ...], BeforeValidator(_names)]


class Row(BaseModel):
    """NULL is "", (), 0 or False here; whether a column may be NULL is a rule of `checks.py`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    src_system: Text = ""
    src_catalog: Text = ""
    src_schema: Text = ""
    src_table_name: Text = ""
    load_type: Text = ""
    dst_catalog: Text = ""
    dst_schema: Text = ""
    dst_table_name: Text = ""
    layer: Text = ""
    is_active_flag: Annotated[bool, _or(False)] = False
    execution_order: Annotated[int, _or(0)] = 0
    execution_pipeline: Text = ""
    business_key_columns: Names = ()
    primary_key_columns: Names = ()
    sql_file_path: Text = ""
    cdc_source_config: Annotated[str, BeforeValidator(_config)] = ""
    comment: Text = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A row with its address. `unreadable` columns are neutral in `row`, and a problem names each already."""

    source: RawRow
    row: Row
    config: CdcSourceConfig
    config_problems: tuple[str, ...]
    unreadable: frozenset[str]

    @property
    def built_in(self) -> bool:
        """Whether one of our loaders runs it, so that our rules for sources and configurations hold."""
        return self.row.execution_pipeline in PIPELINES

    @property
    def is_draft(self) -> bool:
        """Whether the row says that it loads nothing: what is wrong with it then stops nobody else's row."""
        known = "is_active_flag" in self.source.values and "is_active_flag" not in self.unreadable
        return known and not self.row.is_active_flag

    def problem(self, column: str, what: str, remedy: str = "", severity: str = "error") -> Problem:
        """A problem at this row. In a row that is not active only its name and its flag can be errors."""
        source = self.source
        if severity == "error" and self.is_draft and column not in _OF_A_DRAFT:
            severity = "warning"
        return Problem(
            file=source.file,
            line=source.lines.get(column, source.line),
            row=source.number,
            table=self.row.dst_table_name,
            column=column,
            what=what,
            remedy=remedy,
            severity=severity,
        )


def read_entries(
    rows: Iterable[RawRow], runners: Collection[str] = ()
) -> tuple[tuple[Entry, ...], tuple[Problem, ...]]:
    """Give every row its types. A column of a wrong type is a problem and counts as NULL from here on.

    Spellings with one meaning are taken over first; `runners` are the words that the settings add to the loaders.
    """
    spelled, taken = read_spellings(rows, runners)
    entries: list[Entry] = []
    problems: list[Problem] = list(taken)
    for raw in spelled:
        entry, found = _read_entry(raw)
        entries.append(entry)
        problems.extend(found)
    return tuple(entries), tuple(problems)


def _read_entry(raw: RawRow) -> tuple[Entry, tuple[Problem, ...]]:
    row, wrong = _read_row(raw.values)
    config, config_problems = parse_config(row.cdc_source_config)
    entry = Entry(
        source=raw,
        row=row,
        config=config,
        config_problems=tuple(config_problems),
        unreadable=raw.reported | wrong.keys(),
    )
    return entry, tuple(entry.problem(column, *words) for column, words in wrong.items())


def _read_row(values: Mapping[str, object]) -> tuple[Row, dict[str, tuple[str, str]]]:
    try:
        return Row.model_validate(values), {}
    except ValidationError as error:
        columns = dict.fromkeys(str(found["loc"][0]) for found in error.errors(include_url=False))
    readable = {column: value for column, value in values.items() if column not in columns}
    return Row.model_validate(readable), {column: _wrong(column, values[column]) for column in columns}


_EXPECTED: Mapping[str, tuple[str, str]] = {
    "STRING": ("text", "quote it"),
    "BOOLEAN": ("true or false", ""),
    "INT": ("an integer, 1 or larger", ""),
    "ARRAY<STRING>": ("a list of column names", 'write ["a", "b"]'),
}


def _wrong(column: str, value: Any) -> tuple[str, str]:
    if column not in BY_NAME:
        near = did_you_mean(column, BY_NAME)
        return f"unknown column{near}", "" if near else f"the columns are {', '.join(BY_NAME)}"
    if column == "cdc_source_config":
        return f"expected a JSON object, found {shown(value)}", 'write {} or {"key": value}'
    expected, remedy = _EXPECTED[BY_NAME[column].kind]
    return f"expected {expected}, found {shown(value)}", remedy
