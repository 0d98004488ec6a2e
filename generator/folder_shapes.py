"""The tables of a schema in a localjobs workspace: Delta folders at <workspace>/<catalog>/<schema>/<table>.

Delta declares no keys, so the rows are looked at: which columns are unique and never NULL.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.arrow_rows import missing_package
from generator.problem import Problem
from generator.shape import SchemaName, Shapes, TableShape, is_key_like

CANDIDATES = 6  # columns of a table that are looked at


def read_folder(workspace: Path, schema: SchemaName) -> Shapes:
    """Every table by name, without the staging tables of loads."""
    folder, name = workspace / schema.catalog / schema.schema, str(schema)
    try:
        from deltalake.exceptions import DeltaError
    except ImportError:
        return (), (missing_package("pyarrow deltalake", name),)
    paths = sorted(log.parent for log in folder.glob("*/_delta_log") if "__laketasks_" not in log.parent.name)
    if not paths:
        what = f"no Delta table in {folder.as_posix()}"
        return (), (Problem(file=name, what=what, remedy="name a schema of the workspace as catalog.schema"),)
    shapes: list[TableShape] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            shapes.append(_shape(path))
        except (OSError, ValueError, DeltaError) as error:
            what = f"cannot be read as a Delta table: {next(iter(str(error).splitlines()), type(error).__name__)}"
            problems.append(Problem(file=name, table=path.name, what=what, remedy="mend or move the folder"))
    return tuple(shapes), tuple(problems)


def _shape(path: Path) -> TableShape:
    from deltalake import DeltaTable

    table = DeltaTable(str(path))
    columns = tuple(str(field.name) for field in table.schema().fields)
    comment = str(table.metadata().description or "")
    rows, unique = _measured(table, columns)
    return TableShape(name=path.name, columns=columns, comment=comment, rows=rows, unique=unique)


def _measured(table: Any, columns: tuple[str, ...]) -> tuple[int, tuple[str, ...]]:
    import pyarrow
    from deltalake import QueryBuilder

    candidates = [name for name in columns if is_key_like(name)][:CANDIDATES]
    quoted = ['"' + name.replace('"', '""') + '"' for name in candidates]
    counts = ", ".join(["count(*)", *(f"count({name}), count(DISTINCT {name})" for name in quoted)])
    query = QueryBuilder().register("t", table).execute(f"SELECT {counts} FROM t")  # noqa: S608 - quoted
    rows, *each = [column[0].as_py() for column in pyarrow.table(query.read_all()).columns]
    whole = zip(candidates, each[::2], each[1::2], strict=True)
    return rows, tuple(name for name, present, distinct in whole if rows and present == distinct == rows)
