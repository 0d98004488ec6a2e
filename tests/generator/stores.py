"""The same rows of execution_table in every kind of place that the generator reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from deltalake import write_deltalake
from pyarrow import parquet

from generator.columns import COLUMNS

Rows = Sequence[Mapping[str, object]]
ARROW = {"STRING": pa.string(), "BOOLEAN": pa.bool_(), "INT": pa.int32(), "ARRAY<STRING>": pa.list_(pa.string())}
SCHEMA = pa.schema([(column.name, ARROW[column.kind]) for column in COLUMNS])


def as_table(rows: Iterable[Mapping[str, object]]) -> list[dict[str, Any]]:
    """The rows as a table has them: all 17 columns, configurations as JSON text."""
    return [{column.name: _stored(row.get(column.name)) for column in COLUMNS} for row in rows]


def _stored(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else value


def arrow(rows: Rows) -> pa.Table:
    return pa.Table.from_pylist(as_table(rows), schema=SCHEMA)


def to_yaml(folder: Path, rows: Rows) -> str:
    return _written(folder / "rows.yml", yaml.safe_dump(list(rows), allow_unicode=True, sort_keys=False))


def to_csv(folder: Path, rows: Rows) -> str:
    with (folder / "rows.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([column.name for column in COLUMNS])
        writer.writerows([[_cell(row[column.name]) for column in COLUMNS] for row in as_table(rows)])
    return "rows.csv"


def _cell(value: object) -> object:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | bool) else value


def to_json(folder: Path, rows: Rows) -> str:
    """As a mapping where it is one, and without what is NULL: as somebody writes it."""
    return _written(folder / "rows.json", json.dumps(list(rows), indent=2))


def to_json_lines(folder: Path, rows: Rows) -> str:
    return _written(
        folder / "rows.jsonl", "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in as_table(rows))
    )


def to_parquet(folder: Path, rows: Rows) -> str:
    parquet.write_table(arrow(rows), folder / "rows.parquet")
    return "rows.parquet"


def to_parquet_folder(folder: Path, rows: Rows) -> str:
    """As Spark leaves it: part files, and larger integers."""
    (folder / "parts.parquet").mkdir(exist_ok=True)
    whole = arrow(rows).set_column(10, "execution_order", arrow(rows)["execution_order"].cast(pa.int64()))
    for n in range(2):
        parquet.write_table(whole.slice(n * 5, 5 if n == 0 else None), folder / "parts.parquet" / f"part-{n}.parquet")
    return "parts.parquet"


def to_delta(folder: Path, rows: Rows) -> str:
    write_deltalake(str(folder / "delta" / "execution_table"), arrow(rows), mode="overwrite")
    return "delta/execution_table"


def _written(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8", newline="\n")
    return path.name


STORES: Mapping[str, Callable[[Path, Rows], str]] = {
    "yaml": to_yaml,
    "csv": to_csv,
    "json": to_json,
    "json lines": to_json_lines,
    "parquet": to_parquet,
    "parquet folder": to_parquet_folder,
    "delta": to_delta,
}
