"""The tables of a schema in Unity Catalog, with the keys that they declare, by the workspace's API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from generator.shape import SchemaName, Shapes, TableShape
from generator.workspace import Refused, Workspace

_AT_ONCE = 8  # constraints are told for one table at a time
_VIEWS = ("VIEW", "METRIC_VIEW")
_GRANTS = "check the name, and ask for USE CATALOG, USE SCHEMA and BROWSE or SELECT on its tables"


def read_catalog(schema: SchemaName) -> Shapes:
    """Every table by name; views are no tables here."""
    try:
        return _read(Workspace(str(schema)), schema), ()
    except Refused as refused:
        return (), (refused.problem,)


def _read(workspace: Workspace, schema: SchemaName) -> tuple[TableShape, ...]:
    tables = workspace.client.tables
    listed = workspace.ask(
        lambda: list(tables.list(schema.catalog, schema.schema, omit_columns=True)), lambda _: _GRANTS
    )
    names = sorted(str(table.full_name) for table in listed if _kind(table) not in _VIEWS)
    if not names:
        raise workspace.refused("no table that you may see", _GRANTS)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = pool.map(lambda name: workspace.ask(lambda: tables.get(name), lambda _: _GRANTS), names)
        return tuple(_shape(table) for table in found)


def _kind(table: Any) -> str:
    return str(table.table_type.value) if table.table_type else ""


def _shape(table: Any) -> TableShape:
    keys = [constraint.primary_key_constraint for constraint in table.table_constraints or []]
    primary_key = next((tuple(map(str, key.child_columns)) for key in keys if key), ())
    columns = sorted(table.columns or [], key=lambda column: column.position or 0)
    return TableShape(
        name=str(table.name),
        columns=tuple(str(column.name) for column in columns),
        primary_key=primary_key,
        comment=str(table.comment or ""),
    )
