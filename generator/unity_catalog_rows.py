"""Rows from a table of Unity Catalog, read through a SQL warehouse."""

from __future__ import annotations

from collections.abc import Sequence

from generator.cell import read_cell
from generator.columns import BY_NAME
from generator.raw_row import Found
from generator.settings import identifier_problem
from generator.source import TableName
from generator.statement import Result, ResultColumn, run_statement, warehouse_of
from generator.table_rows import table_rows
from generator.workspace import Refused, Workspace


def read_table(name: TableName) -> Found:
    """All rows of the table; or the one problem that stood in the way."""
    try:
        return _read(Workspace(str(name)), name)
    except Refused as refused:
        return (), (refused.problem,)


def _read(workspace: Workspace, name: TableName) -> Found:
    parts = (name.catalog, name.schema, name.table)
    if wrong := next(filter(None, map(identifier_problem, parts)), ""):
        raise workspace.refused(wrong, "write catalog.schema.table")
    warehouse, table = warehouse_of(workspace), ".".join(map(_quoted, parts))
    columns = run_statement(workspace, warehouse, f"SELECT * FROM {table} LIMIT 0").columns  # noqa: S608 - quoted
    known = [column for column in columns if column.name.lower() in BY_NAME]
    strange = [column.name for column in columns if column not in known]
    selected = ", ".join(map(_selected, known)) or "NULL"
    result = run_statement(workspace, warehouse, f"SELECT {selected} FROM {table}")  # noqa: S608 - quoted
    names = [*(column.name for column in known), *strange]
    return table_rows(names, _records(result, known, len(strange)), str(name), ordered=False)


def _records(result: Result, known: Sequence[ResultColumn], strange: int) -> list[Sequence[object]]:
    """A value for each column; those of the foreign ones were not asked for."""
    if not known:
        return []
    return [[*map(_value, known, record), *[None] * strange] for record in result.records]


def _selected(column: ResultColumn) -> str:
    """A list is asked for as JSON, so that nothing rests on how the service writes one as text."""
    name, kind = _quoted(column.name), BY_NAME[column.name.lower()].kind
    return f"to_json({name}) AS {name}" if kind.startswith("ARRAY") and not _is_text(column) else name


def _is_text(column: ResultColumn) -> bool:
    kind = column.type_text.upper()
    return kind.startswith(("STRING", "VARCHAR", "CHAR")) and not kind.endswith("]")


def _value(column: ResultColumn, cell: object) -> object:
    return read_cell(column.name.lower(), cell) if isinstance(cell, str) else cell


def _quoted(name: str) -> str:
    return f"`{name.replace('`', '``')}`"
