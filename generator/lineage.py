"""What every row reads, from its source columns or its SQL file, and which row loads it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from generator.context import Context
from generator.model import Entry
from generator.sql_parse import parse_sql
from generator.sql_text import Name, read_sql_text

# A table as rows and SQL texts agree on it: lower case, and a mapped catalog is its variable in braces.
_Key = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A table that a row reads, as it is written there; `maker` is the active row that loads it, if one does."""

    table: str
    parts: tuple[str, ...]
    file: str
    line: int
    maker: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The reads of each row, by the row's number, in the order of its text; each table once."""

    reads: Mapping[int, tuple[Read, ...]]

    def of(self, entry: Entry) -> tuple[Read, ...]:
        return self.reads[entry.source.number]

    def waits(self, entry: Entry) -> tuple[tuple[Read, Entry], ...]:
        """The reads that another row of the same layer loads, with that row.

        A load that reads its own table sees it as it was before: that is no reason to wait.
        """
        return tuple(
            (read, read.maker)
            for read in self.of(entry)
            if read.maker is not None and read.maker is not entry and read.maker.row.layer == entry.row.layer
        )


def knows_reads(entry: Entry) -> bool:
    """Whether the row says what it reads: a notebook may read anything."""
    return entry.built_in


def read_lineage(active: Sequence[Entry], context: Context) -> Lineage:
    """Join what the rows read with what they load."""
    catalogs = _catalogs(context)
    makers = {_key(_destination(entry), catalogs): entry for entry in active}
    return Lineage(reads={entry.source.number: tuple(_reads(entry, context, catalogs, makers)) for entry in active})


def table_key(parts: Sequence[str], context: Context) -> tuple[str, ...]:
    """Return the name of a table as all who name it agree on it; a catalog may be its variable in braces."""
    return _key(parts, _catalogs(context))


def _catalogs(context: Context) -> dict[str, str]:
    return {name.lower(): f"{{{variable.lower()}}}" for name, variable in context.settings.settings.catalogs.items()}


def _reads(entry: Entry, context: Context, catalogs: Mapping[str, str], makers: Mapping[_Key, Entry]) -> Iterator[Read]:
    first: dict[_Key, tuple[Name, str]] = {}
    for name, file in _named(entry, context):
        first.setdefault(_key(name.parts, catalogs), (name, file))
    for key, (name, file) in first.items():
        yield Read(table=str(name), parts=name.parts, file=file, line=name.line, maker=makers.get(key))


def _named(entry: Entry, context: Context) -> Iterable[tuple[Name, str]]:
    row, source = entry.row, entry.source
    if not knows_reads(entry):
        return ()
    if not row.sql_file_path:
        line = source.lines.get("src_table_name", source.line)
        return ((Name(parts=(row.src_catalog, row.src_schema, row.src_table_name), line=line), source.file),)
    text = context.sql.get(row.sql_file_path)
    if text is None:
        return ()
    file = context.sql_file(row.sql_file_path)
    names = (*parse_sql(text).tables, *(read_sql_text(text).declared or ()))
    return [(name, file) for name in names if len(name.parts) == 3]


def _key(parts: Sequence[str], catalogs: Mapping[str, str]) -> _Key:
    """Unity Catalog does not tell upper from lower case."""
    catalog, *rest = (part.lower() for part in parts)
    return catalogs.get(catalog, catalog), *rest


def _destination(entry: Entry) -> tuple[str, str, str]:
    return entry.row.dst_catalog, entry.row.dst_schema, entry.row.dst_table_name
