"""A SQL statement on a warehouse (the SQL statement execution API): its columns, and all of its rows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from generator.workspace import HOST, STRANGER, Refused, Workspace

# A stopped warehouse that is not serverless takes minutes to start.
PATIENCE_SECONDS = 600
_WAIT = "30s"  # how long the service holds the request for the answer: shorter than the client waits for one
_PENDING = ("PENDING", "RUNNING")
_GRANTS = "ask for SELECT on the table, USE CATALOG and USE SCHEMA above it, and CAN USE on the warehouse"
_NAME = "check the name, and that you may use its catalog and schema"
_WAREHOUSE = "DATABRICKS_WAREHOUSE_ID or the profile names the warehouse: it must exist and be yours to use"
_LARGE = "name a view of the rows that are needed"
# What the service says -> the way out: its error classes first, then words.
_REMEDIES = (
    ("[insufficient_permissions", _GRANTS),
    ("_not_found]", _NAME),
    ("[no_such_", _NAME),
    ("warehouse", _WAREHOUSE),
    ("endpoint", _WAREHOUSE),
    ("byte limit", _LARGE),
    ("permission", _GRANTS),
    ("does not exist", _NAME),
    ("not_found", _NAME),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultColumn:
    name: str
    type_text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Cells are text as the service writes it, or None; a list is JSON if the statement asks for `to_json`."""

    columns: tuple[ResultColumn, ...]
    records: tuple[Sequence[object], ...]


def warehouse_of(workspace: Workspace) -> str:
    """The warehouse that the SDK's configuration names: DATABRICKS_WAREHOUSE_ID, or the profile. Raises Refused."""
    named = workspace.client.config.warehouse_id
    if named:
        return str(named)
    seen = workspace.ask(lambda: [f"{found.id} ({found.name})" for found in workspace.client.warehouses.list()])
    choice = f"{', '.join(seen[:5])}{' ...' if len(seen) > 5 else ''}" if seen else "you may use none here"
    remedy = f"set DATABRICKS_WAREHOUSE_ID, or warehouse_id in the profile: {choice}"
    raise workspace.refused("no SQL warehouse is named", remedy)


def run_statement(workspace: Workspace, warehouse: str, statement: str) -> Result:
    """Run it to the end and fetch every chunk. Raises Refused, also when the result is not whole."""
    response = _finished(workspace, warehouse, statement)
    _succeeded(workspace, warehouse, response)
    manifest = response.manifest
    records = tuple(record for chunk in _chunks(workspace, response) for record in chunk)
    total = manifest.total_row_count if manifest else None
    short = total is not None and total != len(records)
    if short or (manifest and manifest.truncated):
        what = f"the result is not whole: {len(records):,}{f' of {total:,}' if short else ''} rows came"
        raise workspace.refused(what, _LARGE)
    columns = (manifest.schema.columns if manifest and manifest.schema else None) or []
    return Result(
        columns=tuple(ResultColumn(name=c.name or "", type_text=c.type_text or "") for c in columns), records=records
    )


def _finished(workspace: Workspace, warehouse: str, statement: str) -> Any:
    from databricks.sdk.service import sql

    statements, deadline = workspace.client.statement_execution, time.monotonic() + PATIENCE_SECONDS
    response = workspace.ask(
        lambda: statements.execute_statement(
            statement=statement,
            warehouse_id=warehouse,
            wait_timeout=_WAIT,
            disposition=sql.Disposition.INLINE,
            format=sql.Format.JSON_ARRAY,
        ),
        _remedy,
    )
    number, pause = str(response.statement_id), 0.5
    while (state := _state(response)) in _PENDING:
        if time.monotonic() > deadline:
            with suppress(Refused):
                workspace.ask(lambda: statements.cancel_execution(number))
            what = f"warehouse {warehouse} has not answered in {PATIENCE_SECONDS:,} s ({state})"
            raise workspace.refused(what, "see whether it starts and what else it runs, then try again")
        time.sleep(pause)
        pause = min(pause * 1.5, 5)
        response = workspace.ask(lambda: statements.get_statement(number), _remedy)
    return response


def _state(response: Any) -> str:
    return str(response.status.state.value) if response.status and response.status.state else ""


def _succeeded(workspace: Workspace, warehouse: str, response: Any) -> None:
    state = _state(response)
    if not state:
        raise workspace.refused(STRANGER, HOST)
    if state != "SUCCEEDED":
        said = (response.status.error.message if response.status.error else "") or ""
        what = f"warehouse {warehouse} ended the statement as {state}{f': {said}' if said else ''}"
        raise workspace.refused(what, _remedy(said) or "try again")


def _chunks(workspace: Workspace, response: Any) -> Iterator[list[Sequence[object]]]:
    """The first chunk came with the answer; each names the next."""
    statements, result = workspace.client.statement_execution, response.result
    while result is not None:
        yield result.data_array or []
        result = _chunk(workspace, statements, response.statement_id, result.next_chunk_index)


def _chunk(workspace: Workspace, statements: Any, number: str, index: int | None) -> Any:
    if index is None:
        return None
    return workspace.ask(lambda: statements.get_statement_result_chunk_n(number, index), _remedy)


def _remedy(said: str) -> str:
    return next((remedy for word, remedy in _REMEDIES if word in said.lower()), "")
