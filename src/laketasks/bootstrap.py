"""What has to be there before the first load, made where it is not. Of what is there only properties are set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import SparkSession

from laketasks.error import LoadError
from laketasks.run_log import adjust_run_log, create_run_log
from laketasks.spec import BootstrapSpec, SpecError
from laketasks.sql import fill_catalogs, quote_table

_COMMENT = re.compile(r"^\s*--.*$", re.MULTILINE)
_PART = r"(?:`[^`]+`|\w+)"
_CREATE = re.compile(rf"CREATE\s+TABLE\s+IF\s+NOT\s+EXISTS\s+({_PART}\.{_PART}\.{_PART})\s*\(", re.IGNORECASE)


def bootstrap(spark: SparkSession, spec: BootstrapSpec) -> list[str]:
    """Make schemas, then the run log and the metadata table; a line for each says whether it was there.

    Whoever may not create schemas can run it where they all are there: what exists is looked at, not asked for again.
    """
    statement, execution_table = _metadata_table(spec)
    tables = [spec.run_log, *([execution_table] if execution_table else [])]
    schemas = dict.fromkeys([*spec.schemas, *(table.rpartition(".")[0] for table in tables)])
    said = [_made_schema(spark, schema) for schema in schemas]
    for table in tables:
        there = spark.catalog.tableExists(quote_table(table))
        if not there and table == spec.run_log:
            create_run_log(spark, table)
        elif not there:
            spark.sql(statement).collect()
        adjusted = there and table == spec.run_log and adjust_run_log(spark, table)
        said.append(f"{table}: {'is there' if there else 'made'}{', properties set' if adjusted else ''}")
    return said


def _made_schema(spark: SparkSession, schema: str) -> str:
    there = spark.catalog.databaseExists(quote_table(schema))
    if not there:
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quote_table(schema)}").collect()
    return f"{schema}: {'is there' if there else 'made'}"


def _metadata_table(spec: BootstrapSpec) -> tuple[str, str]:
    """The statement of the file and the table that it makes; raises SpecError for a file that does anything else."""
    if not spec.execution_table_sql:
        return "", ""
    try:
        text = Path(spec.execution_table_sql).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(f"cannot read {spec.execution_table_sql}: {error}") from error
    try:
        statement = fill_catalogs(_COMMENT.sub("", text), spec.catalogs).strip().rstrip(";")
    except KeyError as error:
        known = ", ".join(spec.catalogs) or "none"
        raise SpecError(
            [f"{spec.execution_table_sql}: {{{error.args[0]}}} is none of the catalogs: {known}"]
        ) from error
    found = _CREATE.match(statement)
    if found is None or _statements(statement) > 1:
        what = "expected one CREATE TABLE IF NOT EXISTS catalog.schema.table (...)"
        raise SpecError([f"{spec.execution_table_sql}: {what}"])
    return statement, found[1].replace("`", "")


def _statements(text: str) -> int:
    """How many statements stand in the text: semicolons in literals end none."""
    return 1 + sum(1 for part in _outside_literals(text) if ";" in part)


def _outside_literals(text: str) -> Iterator[str]:
    yield from re.split(r"'(?:[^'\\]|\\.|'')*'", text)
