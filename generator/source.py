"""Where the rows of execution_table are, and how each place is read: rows as they stand there, not judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from generator.conflicts import conflict_problem
from generator.problem import Problem, shown
from generator.raw_row import Found

_TEXTS = (".yml", ".yaml", ".csv", ".json", ".jsonl")
_SUFFIXES = (*_TEXTS, ".parquet")
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # Excel's "Unicode text"
KINDS = "a .yml, .csv, .json, .jsonl or .parquet file, a Delta folder, or catalog.schema.table"


@dataclass(frozen=True, slots=True)
class TableName:
    """A table of Unity Catalog."""

    catalog: str
    schema: str
    table: str

    def __str__(self) -> str:
        return f"{self.catalog}.{self.schema}.{self.table}"


def locate(name: str, folder: Path) -> Path | TableName:
    """The file or folder below `folder`, or the table: three names with dots between, none of them a file's suffix.

    >>> locate("dev_silver.metadata.execution_table", Path("bundle"))
    TableName(catalog='dev_silver', schema='metadata', table='execution_table')
    >>> locate("rows.2024.csv", Path("bundle")).as_posix()
    'bundle/rows.2024.csv'
    """
    parts = name.split(".")
    if len(parts) == 3 and all(parts) and not {"/", "\\"} & set(name) and f".{parts[2]}".lower() not in _SUFFIXES:
        return TableName(*parts)
    return folder / name


def read_rows(source: Path | TableName, file: str) -> Found:
    """Read what is there; `file` is its name in messages. A reader and what it needs load when it is asked for."""
    if isinstance(source, TableName):
        from generator.unity_catalog_rows import read_table

        return read_table(source)
    suffix = source.suffix.lower()
    if (source / "_delta_log").is_dir():
        from generator.arrow_rows import read_delta

        return read_delta(source, file)
    if suffix == ".parquet" and source.exists():
        from generator.arrow_rows import read_parquet

        return read_parquet(source, file)
    if source.is_dir():
        what = "is a folder without a Delta table: it has no _delta_log"
        return (), (Problem(file=file, what=what, remedy=f"name {KINDS}"),)
    if suffix not in _SUFFIXES:
        what = f"execution_table {shown(file)} is of a kind that this version does not read"
        return (), (Problem(what=what, remedy=f"name {KINDS}"),)
    return _read_text(source, file)


def _read_text(path: Path, file: str) -> Found:
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith(_UTF_16) else "utf-8-sig")
    except OSError as error:
        remedy = "name it with --source, or as execution_table in the settings"
        return (), (Problem(file=file, what=f"cannot be read: {error.strerror}", remedy=remedy),)
    except UnicodeDecodeError as error:
        return (), (Problem(file=file, what=f"not UTF-8: byte {error.start}", remedy="save the file as UTF-8"),)
    suffix = path.suffix.lower()
    if merged := conflict_problem(text, file):
        return (), (merged,)
    if suffix == ".csv":
        from generator.csv_rows import read_csv

        return read_csv(text, file)
    if suffix in (".json", ".jsonl"):
        from generator.json_rows import read_json

        return read_json(text, file)
    from generator.yaml_rows import read_yaml

    return read_yaml(text, file)


def read_sql(folder: Path, paths: Iterable[str]) -> dict[str, str | None]:
    """The text of each SQL file below the folder; None where it cannot be read."""
    return {path: _sql_text(folder / path) for path in sorted(set(paths))}


def _sql_text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
