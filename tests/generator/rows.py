"""Rows and settings for tests: one that is right, and what a test changes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from generator.build import Build, Options, build
from generator.context import Context
from generator.model import Entry, read_entries
from generator.problem import Problem, sentence
from generator.raw_row import RawRow
from generator.settings import SettingsFile, read_settings

ROOT = Path(__file__).parents[2]
GOLDENS = Path(__file__).parent / "goldens"
ROW: Mapping[str, object] = {
    "src_system": "erp",
    "src_catalog": "dev_bronze",
    "src_schema": "erp",
    "src_table_name": "customer",
    "load_type": "full",
    "dst_catalog": "dev_silver",
    "dst_schema": "core",
    "dst_table_name": "dim_customer",
    "layer": "bronze_to_silver",
    "is_active_flag": True,
    "execution_order": 1,
    "execution_pipeline": "scd1",
    "business_key_columns": ["id"],
    "primary_key_columns": None,
    "sql_file_path": None,
    "cdc_source_config": None,
    "comment": "Customers",
}
SETTINGS: Mapping[str, object] = {
    "execution_table": "execution_table.yml",
    "run_log": "dev_silver.metadata.run_log",
    "catalogs": {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog"},
}


def row(**columns: object) -> dict[str, object]:
    return {**ROW, **columns}


def tables(*orders: int, **columns: object) -> list[dict[str, object]]:
    """A row for each order, with names of their own."""
    return [row(dst_table_name=f"t{n:03}", execution_order=order, **columns) for n, order in enumerate(orders)]


def raw(*rows: Mapping[str, object]) -> tuple[RawRow, ...]:
    return tuple(RawRow(file="rows.yml", number=n, line=n * 10, values=values) for n, values in enumerate(rows, 1))


def entries(*rows: Mapping[str, object]) -> tuple[Entry, ...]:
    read, problems = read_entries(raw(*rows))
    assert not problems
    return read


def project(folder: Path, rows: Iterable[Mapping[str, object]] = (ROW,), **settings: object) -> Options:
    """A bundle folder on disk, as a user has it: each layer of the rows has an entry in the settings."""
    bundle = folder / "bundle"
    bundle.mkdir(exist_ok=True)
    listed = list(rows)
    layers = {layer: {} for row in listed if isinstance(layer := row.get("layer"), str) and layer}
    text = yaml.safe_dump({**SETTINGS, "layers": layers, **settings})
    (bundle / "settings.yml").write_text(text, encoding="utf-8")
    (bundle / "execution_table.yml").write_text(yaml.safe_dump(listed), encoding="utf-8")
    return Options(settings=bundle / "settings.yml", source=None, out=folder / "resources")


def made(folder: Path, rows: Iterable[Mapping[str, object]] = (ROW,), **settings: object) -> Build:
    built, problems = build(project(folder, rows, **settings))
    assert built is not None, [sentence(problem) for problem in problems]
    return built


def said(folder: Path, rows: Iterable[Mapping[str, object]] = (ROW,), **settings: object) -> list[str]:
    """What the build complains about."""
    return [sentence(problem) for problem in build(project(folder, rows, **settings))[1]]


def settings_file(folder: Path, **settings: object) -> SettingsFile:
    found, problems = read_settings(project(folder, (ROW,), **settings).settings, "settings.yml")
    assert found is not None, problems
    return found


def context(folder: Path, sql: Mapping[str, str | None] | None = None, **settings: object) -> Context:
    return Context(settings=settings_file(folder, **settings), sql=sql or {})


def sentences(problems: Iterable[Problem]) -> list[str]:
    return [sentence(problem) for problem in problems]
