"""What a load reads, as its task gets it: the SQL's fingerprint, its tables, and those that the same job loads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generator.context import Context
from generator.lineage import Lineage, Read, read_lineage
from generator.model import Entry
from generator.settings import Settings
from generator.sql_parse import parse_sql
from generator.sql_repeatable import is_repeatable
from generator.sql_union import UnionSources, union_sources
from laketasks.sql_fingerprint import fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadInputs:
    """The last five fields of `LoadSpec`, which has their meaning; tables have bundle variables for catalogs."""

    sql_fingerprint: str = ""
    sql_repeatable: bool = False
    reads: tuple[str, ...] = ()
    upstream_tables: tuple[str, ...] = ()
    watermark_sources: tuple[str, ...] = ()


def load_inputs(entries: Sequence[Entry], context: Context) -> Mapping[int, LoadInputs]:
    """Return the inputs of the active rows that a loader of the wheel loads, by the row's number."""
    active = [entry for entry in entries if entry.row.is_active_flag]
    lineage = read_lineage(active, context)
    return {entry.source.number: _inputs(entry, lineage, context) for entry in active if entry.built_in}


def named_table(settings: Settings, catalog: str, schema: str, table: str) -> str:
    """Return a table's name as a task gets it: the catalog is its bundle variable, where one is mapped."""
    return f"{settings.mapped(catalog)}.{schema}.{table}"


def _inputs(entry: Entry, lineage: Lineage, context: Context) -> LoadInputs:
    settings = context.settings.settings
    made = sorted({_target(maker, settings) for _, maker in lineage.waits(entry)})
    text = context.sql.get(entry.row.sql_file_path) if entry.row.sql_file_path else None
    if text is None:
        return LoadInputs(upstream_tables=tuple(made))
    reads = sorted({_read(read, settings) for read in lineage.of(entry)})
    named = {tuple(part.lower() for part in read.parts): _read(read, settings) for read in lineage.of(entry)}
    union = union_sources(text) if entry.row.load_type == "incremental" else UnionSources()
    apart = [named[key] for table in union.tables if (key := tuple(part.lower() for part in table)) in named]
    return LoadInputs(
        sql_fingerprint=fingerprint(text),
        sql_repeatable=_knows_all_reads(text) and is_repeatable(text),
        reads=tuple(reads),
        upstream_tables=tuple(made),
        watermark_sources=() if union.reason else tuple(apart),
    )


def _knows_all_reads(text: str) -> bool:
    """Return whether the parser found every table that the SQL reads, each by three names."""
    parsed = parse_sql(text)
    return parsed.trouble is None and not parsed.late and all(len(name.parts) == 3 for name in parsed.tables)


def _target(entry: Entry, settings: Settings) -> str:
    return named_table(settings, entry.row.dst_catalog, entry.row.dst_schema, entry.row.dst_table_name)


def _read(read: Read, settings: Settings) -> str:
    """Return the table that is read, spelled as the row that makes it does, where one does."""
    if read.maker is not None:
        return _target(read.maker, settings)
    catalog, schema, table = read.parts
    variables = {variable.lower(): variable for variable in settings.catalogs.values()}
    if catalog.startswith("{"):
        variable = variables.get(catalog.strip("{}").lower())
        return f"${{var.{variable}}}.{schema}.{table}" if variable else f"{catalog}.{schema}.{table}"
    return named_table(settings, catalog, schema, table)
