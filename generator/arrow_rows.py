"""Rows from Parquet and from a Delta folder, through Arrow. pyarrow and deltalake load only when they are asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generator.problem import Problem
from generator.raw_row import Found
from generator.table_rows import table_rows


def read_parquet(path: Path, file: str) -> Found:
    """A file, or a folder of part files; rows are numbered as they stand."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return (), (missing_package("pyarrow", file),)
    try:
        return _rows(parquet.read_table(path), file, ordered=True)
    except (OSError, pyarrow.ArrowException) as error:
        return (), (Problem(file=file, what=f"cannot be read as Parquet: {_first_line(error)}"),)


def read_delta(path: Path, file: str) -> Found:
    """The newest version of the table."""
    try:
        import pyarrow
        from deltalake import DeltaTable, QueryBuilder
        from deltalake.exceptions import DeltaError
    except ImportError:
        return (), (missing_package("pyarrow deltalake", file),)
    try:
        # By deltalake's own engine: through its pyarrow file system the interpreter aborts at exit now and then (1.6).
        query = QueryBuilder().register("t", DeltaTable(str(path))).execute("SELECT * FROM t")
        return _rows(pyarrow.table(query.read_all()), file, ordered=False)
    except (OSError, ValueError, DeltaError, pyarrow.ArrowException) as error:
        what = f"cannot be read as a Delta table: {_first_line(error)}"
        remedy = "if it uses what deltalake does not know, name it as catalog.schema.table and a warehouse reads it"
        return (), (Problem(file=file, what=what, remedy=remedy),)


def missing_package(packages: str, file: str) -> Problem:
    """What is told to somebody whose environment has no reader for this kind of source."""
    names = " and ".join(packages.split())
    remedy = f"install what is missing: python -m pip install {packages}"
    return Problem(file=file, what=f"reading it needs {names}", remedy=remedy)


def _rows(table: Any, file: str, *, ordered: bool) -> Found:
    columns = [column.to_pylist() for column in table.columns]
    return table_rows(table.column_names, list(zip(*columns, strict=True)), file, ordered=ordered)


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
