"""The table that a load writes: its columns, how it is made, and how it takes new columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DataType, StructType, TimestampNTZType

from laketasks.column import SEQUENCE, WATERMARK, type_text
from laketasks.error import SchemaError
from laketasks.sql import quote, quote_table, text
from laketasks.widening import (
    converted,
    holds,
    is_same,
    lacking_fields,
    plain,
    type_changes,
    widest,
    with_new_fields,
)

_PROPERTIES = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
_FEATURES = {
    "delta.enableTypeWidening": "true",
    "delta.feature.timestampNtz": "supported",
}
_NAMES = {SEQUENCE: "sequence_by", WATERMARK: "watermark"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table as it is, or as it will be made: `exists` False means that `columns` is empty.

    `required` are the columns that are NOT NULL. `commits` counts what a load has committed to give the table its
    columns.
    """

    spark: SparkSession
    name: str
    exists: bool
    columns: dict[str, DataType]
    required: frozenset[str] = frozenset()
    commits: int = 0

    @property
    def quoted(self) -> str:
        return quote_table(self.name)

    def column(self, name: str) -> str | None:
        """The target's spelling of a column, whatever its case."""
        return next((own for own in self.columns if own.lower() == name.lower()), None)

    def frame(self) -> DataFrame:
        return self.spark.table(self.quoted)

    def with_columns(self, columns: Mapping[str, DataType]) -> DataFrame:
        """The target's rows with the named columns and types, NULL where the table has no such column yet."""
        if not self.exists:
            return self.spark.createDataFrame([], _schema(columns))
        own = {name: self.column(name) for name in columns}
        return self.frame().selectExpr(
            *(
                f"{converted(quote(spelling), self.columns[spelling], columns[name])} AS {quote(name)}"
                if spelling
                else f"cast(NULL AS {type_text(columns[name])}) AS {quote(name)}"
                for name, spelling in own.items()
            )
        )


def locate(spark: SparkSession, name: str) -> Target:
    """Look the table up, whoever made it."""
    if not spark.catalog.tableExists(quote_table(name)):
        return Target(spark=spark, name=name, exists=False, columns={})
    fields = spark.table(quote_table(name)).schema.fields
    return Target(
        spark=spark,
        name=name,
        exists=True,
        columns={field.name: field.dataType for field in fields},
        required=frozenset(field.name for field in fields if not field.nullable),
    )


def fit(
    target: Target,
    columns: Mapping[str, DataType],
    policy: str,
    *,
    whole: bool = False,
    made: Collection[str] = (),
) -> dict[str, DataType]:
    """Return the type that each column will have in the target; raises SchemaError with every column that cannot.

    A load that writes the `whole` table gives it the types of the source where the stored ones are too narrow. The
    columns that the loader has `made` are new to no policy.
    """
    if not target.exists:
        return {name: plain(kind) for name, kind in columns.items()}
    problems: list[str] = []
    fitted: dict[str, DataType] = {}
    for name, kind in columns.items():
        own = target.column(name)
        if own is None:
            if policy == "fail" and name not in made:
                problems.append(f"{name} is new in the source and schema_evolution is fail")
            fitted[name] = plain(kind)
            continue
        stored = target.columns[own]
        wider = widest(kind, stored)
        fitted[name] = plain(kind) if whole and wider is not stored else wider or stored
        if not whole and wider is None:
            problems.append(_unfit(name, kind, stored))
        elif wider is not stored and policy == "fail":
            problems.append(f"{_said(name, kind, stored)} and schema_evolution is fail")
    problems += _required(target, columns)
    if problems:
        raise SchemaError(f"{target.name}: {'; '.join(problems)}")
    return fitted


def changes_types(target: Target, types: Mapping[str, DataType]) -> bool:
    """Return whether a column of the table has another type than it is to have."""
    stored = ((target.column(name), kind) for name, kind in types.items())
    return any(own is not None and not is_same(target.columns[own], kind) for own, kind in stored)


def _said(name: str, kind: DataType, stored: DataType) -> str:
    column = f"{name} ({_NAMES[name]})" if name in _NAMES else name
    return f"{column} arrives as {kind.simpleString()} but is stored as {stored.simpleString()}"


def _unfit(name: str, kind: DataType, stored: DataType) -> str:
    gone = lacking_fields(kind, stored)
    why = f"without the field {', '.join(gone)}" if gone else "which cannot hold it"
    cast = f"select it as {type_text(stored)}" if gone else f"cast it to {type_text(stored)}"
    other = "" if name in _NAMES else ", or select it under a new name"
    return (
        f"{_said(name, kind, stored)}, {why}: {cast} in the row's SQL file{other}, or run once with full_refresh, "
        "which gives the table the new type (not for scd2, whose history only the table has)"
    )


def _required(target: Target, columns: Mapping[str, DataType]) -> list[str]:
    """Columns of the table that cannot be NULL and that no row of the source has a value for."""
    given = {name.lower() for name in columns}
    return [
        f"{name} is NOT NULL in the table and the source has no such column: add it in the row's SQL file, or run "
        f"ALTER TABLE {target.quoted} ALTER COLUMN {quote(name)} DROP NOT NULL"
        for name in sorted(target.required)
        if name.lower() not in given
    ]


def create(target: Target, columns: Mapping[str, DataType], comment: str) -> Target:
    """Make the empty table; every column is nullable. Harmless when another load has just made it.

    Deletion vectors spare a MERGE the rewriting of files of which it changes a few rows.
    """
    if target.exists:
        return target
    body = ", ".join(f"{quote(name)} {type_text(kind)}" for name, kind in columns.items())
    said = f" COMMENT {text(comment)}" if comment else ""
    target.spark.sql(f"CREATE TABLE IF NOT EXISTS {target.quoted} ({body}) USING delta{said} {_PROPERTIES}").collect()
    return replace(locate(target.spark, target.name), commits=1)


def evolve(target: Target, columns: Mapping[str, DataType]) -> Target:
    """Add the columns and struct fields that the table lacks, nullable, and widen the types that are too narrow.

    Columns come by an append of no rows, which every engine has; types by Delta's type widening. Raises SchemaError
    where the engine cannot widen one.
    """
    wanted = {target.column(name) or name: kind for name, kind in columns.items()}
    grown = {**target.columns, **wanted}
    grown |= {name: with_new_fields(kind, grown[name]) for name, kind in target.columns.items()}
    if any(name not in target.columns or not is_same(kind, target.columns[name]) for name, kind in grown.items()):
        made = target.commits
        nothing = target.spark.createDataFrame([], _schema(grown, target.required))
        writer = nothing.write.format("delta").mode("append").option("mergeSchema", "true")
        made += save(target, writer, grown)
        target = replace(target, columns=grown, commits=made + 1)
    for name, kind in wanted.items():
        for path, part in type_changes(target.columns[name], kind, quote(name)):
            target = _widen(target, path, part)
        target = replace(target, columns={**target.columns, name: kind})
    return target


def _widen(target: Target, path: str, kind: DataType) -> Target:
    statement = f"ALTER TABLE {target.quoted} ALTER COLUMN {path} TYPE {type_text(kind)}"
    try:
        target.spark.sql(statement).collect()
    except PySparkException:
        features = [name for name in _FEATURES if name != "delta.feature.timestampNtz" or holds(kind, TimestampNTZType)]
        try:
            commits = _allow(target, *features)
            target.spark.sql(statement).collect()
        except PySparkException as error:
            raise SchemaError(
                f"{target.name}: {path} needs the type {type_text(kind)}, and this engine cannot widen it: "
                f"{str(error).partition(chr(10))[0]}. Cast the column in the row's SQL file, or run once with "
                "full_refresh, which gives the table the new type (not for scd2, whose history only the table has)"
            ) from error
        return replace(target, commits=target.commits + commits + 1)
    return replace(target, commits=target.commits + 1)


def save(target: Target, writer: Any, columns: Mapping[str, DataType]) -> int:
    """Write to the table, whose log may have to allow TIMESTAMP_NTZ first; how many commits that takes before it.

    `writer` is a DataFrameWriter, which in Spark 3.5 is another class with Connect.
    """
    try:
        writer.saveAsTable(target.quoted)
    except PySparkException:
        if not any(holds(kind, TimestampNTZType) for kind in columns.values()):
            raise
    else:
        return 0
    before = _allow(target, "delta.feature.timestampNtz")
    writer.saveAsTable(target.quoted)
    return before


def _allow(target: Target, *features: str) -> int:
    """Set table properties, one commit; how many commits that are."""
    body = ", ".join(f"{text(name)} = {text(_FEATURES[name])}" for name in features)
    target.spark.sql(f"ALTER TABLE {target.quoted} SET TBLPROPERTIES ({body})").collect()
    return 1


def drop(spark: SparkSession, name: str) -> None:
    """Drop a staging table; a failure leaves it to the sweep."""
    try:
        spark.sql(f"DROP TABLE IF EXISTS {quote_table(name)}").collect()
    except PySparkException:
        return


def _schema(columns: Mapping[str, DataType], required: frozenset[str] = frozenset()) -> StructType:
    schema = StructType()
    for name, kind in columns.items():
        schema = schema.add(name, kind, nullable=name not in required)
    return schema
