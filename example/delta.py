"""Reading a Delta table into Arrow.

By deltalake's own engine: reading through its pyarrow file system aborts the interpreter at exit about every second
time (deltalake 1.6, pyarrow 26), after everything has been done and said.
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder


def read_table(path: Path, version: int | None = None) -> pa.Table:
    """All rows of the table at its newest, or the given, version."""
    table = DeltaTable(str(path), version=version)
    return pa.table(QueryBuilder().register("t", table).execute("SELECT * FROM t").read_all())
