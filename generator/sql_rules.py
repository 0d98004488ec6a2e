"""The rules about SQL files: there, below the settings, one SELECT, names that mean the same on every target."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from generator.conflicts import conflict_line, conflict_problem
from generator.context import Context
from generator.model import Entry
from generator.problem import Problem, shown
from generator.sql_parse import ONE_SELECT, parse_sql
from generator.sql_text import DECLARATION, SqlText, read_sql_text
from generator.sql_union import UnionSources, union_sources
from laketasks.spec import did_you_mean

_SAY = f"say what it reads in a line `{DECLARATION}`"


def sql_file(entry: Entry, context: Context) -> Iterator[Problem]:
    path = entry.row.sql_file_path
    if not path or not entry.built_in:
        return
    if not is_below(path):
        remedy = "write a path relative to the settings, such as sql/dim_customer.sql"
        yield entry.problem("sql_file_path", f"{shown(path)} does not stay below the settings' folder", remedy)
        return
    text = context.sql[path]
    if text is None:
        near = did_you_mean(path, [known for known, found in context.sql.items() if found is not None])
        remedy = "paths are relative to the settings; add the file or clear the column"
        yield entry.problem("sql_file_path", f"no such file (UTF-8 text): {shown(path)}{near}", remedy)
        return
    if conflict_line(text):  # which `one_select_each` says, once for each file
        return
    found = read_sql_text(text)
    yield from _catalogs(entry, text, context)
    yield from _watermark(entry, found)
    yield from _union(entry, text)
    yield from _names(entry, text, context)


def is_below(path: str) -> bool:
    """Whether a relative path in POSIX form stays inside its folder."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path


def _catalogs(entry: Entry, text: str, context: Context) -> Iterator[Problem]:
    file, found = entry.row.sql_file_path, read_sql_text(text)
    catalogs = context.settings.settings.catalogs
    for variable in found.variables:
        if variable not in catalogs.values():
            what = f"{file} holds {{{variable}}}, which is no bundle variable of the settings' catalogs"
            near = did_you_mean(variable, catalogs.values())
            yield entry.problem("sql_file_path", what + near, "" if near else "add it there or write the name")
    named = {name.parts[0].lower() for name in parse_sql(text).tables if len(name.parts) == 3}
    for catalog, variable in catalogs.items():
        if catalog.lower() in named:
            what = f"{file} names catalog {catalog} itself, on every target"
            severity = "error" if context.production else "warning"
            yield entry.problem("sql_file_path", what, f"write {{{variable}}}", severity)


def _watermark(entry: Entry, found: SqlText) -> Iterator[Problem]:
    if entry.row.load_type == "incremental" and "join" in found.words and "greatest" not in found.words:
        what = f"{entry.row.sql_file_path} joins tables and load_type is incremental: a change of the other is not seen"
        remedy = "make the watermark the greatest(...) of theirs, or load_type full"
        yield entry.problem("load_type", what, remedy, "warning")


def _union(entry: Entry, text: str) -> Iterator[Problem]:
    """Each source of a UNION has a watermark of its own; SQL that looks at several at once cannot be read so."""
    found = union_sources(text) if entry.row.load_type == "incremental" else UnionSources()
    if found.reason:
        file, tables = entry.row.sql_file_path, ", ".join(".".join(table) for table in found.tables)
        what = f"{file} puts {tables} together, and a source that arrives late would be lost: {found.reason}"
        yield entry.problem("load_type", what, "set load_type full, or put the UNION ALL last in the SQL")


def _names(entry: Entry, text: str, context: Context) -> Iterator[Problem]:
    """A table that is not named in full cannot be found among the destinations; `edges: lineage` depends on it."""
    by_reads = context.settings.settings.layer(entry.row.layer).edges == "lineage"
    severity = "error" if by_reads else "warning"
    parsed = parse_sql(text)
    for name in {str(name): name for name in reversed(parsed.tables) if len(name.parts) < 3}.values():
        what = f"names {name} without its {'catalog' if len(name.parts) == 2 else 'catalog and schema'}"
        remedy = "write {catalog_variable}.schema.table: else the session decides which table it is"
        yield _in_file(entry, context, Problem(what=what, remedy=remedy, line=name.line, severity=severity))
    if read_sql_text(text).declared is None:
        for line in parsed.late[:1]:
            what = "reads a table whose name is known only when it runs"
            yield _in_file(entry, context, Problem(what=what, remedy=_SAY, line=line, severity=severity))


def one_select_each(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """Every file once, however many rows name it. What only the parser refuses passes where its reads are declared."""
    seen: set[str] = set()
    for entry in sorted(entries, key=lambda entry: entry.is_draft):  # a file of an active row is judged as that
        path = entry.row.sql_file_path
        text = context.sql.get(path) if entry.built_in and is_below(path) else None
        if text is None or path in seen:
            continue
        seen.add(path)
        if merged := conflict_problem(text, ""):
            yield _in_file(entry, context, merged)
            continue
        found, trouble = read_sql_text(text), parse_sql(text).trouble
        if not found.words:
            yield entry.problem("sql_file_path", f"{path} holds no SQL", "write a SELECT")
            continue
        for word, line in found.misdeclared:
            remedy = "write catalog.schema.table, with commas between tables, or `nothing`"
            yield _in_file(entry, context, Problem(what=f"{shown(word)} names no table", remedy=remedy, line=line))
        if trouble is None:
            continue
        severity, remedy = "error", ONE_SELECT
        if trouble.syntax:
            remedy = f"correct it, or, if Databricks takes it, {_SAY}"
            if found.declared is not None:
                severity, remedy = "hint", "what it reads is what it declares"
        at = Problem(what=trouble.what, remedy=remedy, line=trouble.line, position=trouble.position, severity=severity)
        yield _in_file(entry, context, at)


def _in_file(entry: Entry, context: Context, problem: Problem) -> Problem:
    """The problem with the row's address and the place in its SQL file."""
    at = entry.problem("sql_file_path", problem.what, problem.remedy, problem.severity)
    file = context.sql_file(entry.row.sql_file_path)
    return replace(at, file=file, line=problem.line, position=problem.position)


CONTEXT_RULES: tuple[Callable[[Entry, Context], Iterator[Problem]], ...] = (sql_file,)
