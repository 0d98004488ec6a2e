"""Bronze in a workspace folder: one Delta table each at `<workspace>/dev_bronze/tpcds/<table>`.

The first day is version 0, the second day is version 1 of the tables that it touches. What has landed is read from
the tables themselves, so an interrupted day goes on where it stopped and a repeated one does nothing.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake

from example.problem import ExampleError

SCHEMA_FOLDER = Path("dev_bronze", "tpcds")
_DAY = "example_day"
_SCALE_FACTOR = "example_scale_factor"


def table_path(workspace: Path, table: str) -> Path:
    """Where a bronze table stands."""
    return workspace / SCHEMA_FOLDER / table


def write_day(workspace: Path, table: str, day: int, scale_factor: float, rows: pa.Table) -> None:
    """Make the table hold these rows, as one commit that remembers its day."""
    noted = CommitProperties(custom_metadata={_DAY: str(day), _SCALE_FACTOR: str(scale_factor)})
    path = table_path(workspace, table)
    path.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(path), rows, mode="overwrite" if day > 1 else "error", commit_properties=noted)


def landed(workspace: Path, table: str) -> tuple[int, float] | None:
    """The last day that the table holds and its scale factor; None where there is no table.

    Raises ExampleError for a table that the example did not write.
    """
    path = table_path(workspace, table)
    if not (path / "_delta_log").is_dir():
        return None
    commit = DeltaTable(str(path)).history(1)[0]
    if _DAY not in commit or _SCALE_FACTOR not in commit:
        raise ExampleError(f"{path} was last written by something else than the example; name another --workspace")
    return int(commit[_DAY]), float(commit[_SCALE_FACTOR])
