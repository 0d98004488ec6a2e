"""The 24 tables of TPC-DS, made on the spot by `tpcgen-cli`.

The generator's seed is fixed: the same scale factor gives the same rows. Two things differ from what it writes:

- `customer_demographics` has 1,920,800 rows at every scale factor. Only the rows that some other table refers to
  are kept (43,879 at scale factor 0.01).
- `dbgen_version` is left out: it holds the time of the run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from example.problem import ExampleError

DIMENSIONS = (
    "call_center",
    "catalog_page",
    "customer",
    "customer_address",
    "customer_demographics",
    "date_dim",
    "household_demographics",
    "income_band",
    "item",
    "promotion",
    "reason",
    "ship_mode",
    "store",
    "time_dim",
    "warehouse",
    "web_page",
    "web_site",
)
FACTS = (
    "catalog_returns",
    "catalog_sales",
    "inventory",
    "store_returns",
    "store_sales",
    "web_returns",
    "web_sales",
)
TABLES = (*DIMENSIONS, *FACTS)


def generate(scale_factor: float) -> dict[str, pa.Table]:
    """The 24 tables by name, in the generator's own row order; raises ExampleError when it cannot run."""
    with tempfile.TemporaryDirectory(prefix="tpcds-") as folder:
        _run_generator(scale_factor, Path(folder))
        tables = {name: _as_landed(pq.read_table(Path(folder, f"{name}.parquet"))) for name in TABLES}
    return tables | {"customer_demographics": _referenced_demographics(tables)}


def find_generator() -> str:
    """The `tpcgen-cli` of this Python's environment, else the one on the PATH; raises ExampleError."""
    found = shutil.which("tpcgen-cli", path=str(Path(sys.executable).parent)) or shutil.which("tpcgen-cli")
    if found is None:
        raise ExampleError(
            "tpcgen-cli, which makes the TPC-DS tables, is not installed beside this Python; "
            "`make demo` installs it, or: pip install --constraint constraints.txt --group example"
        )
    return found


def _run_generator(scale_factor: float, folder: Path) -> None:
    command = [find_generator(), "tpcds", "parquet", "--quiet", f"--scale-factor={scale_factor}"]
    done = subprocess.run([*command, f"--output-dir={folder}"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ExampleError(f"tpcgen-cli ended with exit code {done.returncode}: {done.stderr.strip()}")


def _as_landed(table: pa.Table) -> pa.Table:
    """Every column nullable, as Fivetran makes them, and plain strings in place of Arrow's string views."""
    types = [pa.string() if field.type == pa.string_view() else field.type for field in table.schema]
    return table.cast(pa.schema(list(zip(table.column_names, types, strict=True))))


def _referenced_demographics(tables: dict[str, pa.Table]) -> pa.Table:
    references = [
        table[column].combine_chunks()
        for table in tables.values()
        for column in table.column_names
        if column.endswith("cdemo_sk")
    ]
    demographics = tables["customer_demographics"]
    return demographics.filter(pc.is_in(demographics["cd_demo_sk"], value_set=pa.concat_arrays(references).unique()))
