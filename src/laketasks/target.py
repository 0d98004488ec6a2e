"""The table that a load writes: its columns, how it is made, and how it takes new columns."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import (
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructType,
)

from laketasks.column import type_text
from laketasks.error import SchemaError
from laketasks.sql import quote, quote_table, text

_WHOLE = (ByteType, ShortType, IntegerType, LongType)
_PROPERTIES = "TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')"
_DIGITS = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 19}


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A table as it stands, or as it will be made: `exists` False means that `columns` is empty."""

    spark: SparkSession
    name: str
    exists: bool
    columns: dict[str, DataType]

    @property
    def quoted(self) -> str:
        return quote_table(self.name)

    def column(self, name: str) -> str | None:
        """The target's spelling of a column, whatever its case."""
        return next((own for own in self.columns if own.lower() == name.lower()), None)

    def frame(self) -> DataFrame:
        return self.spark.table(self.quoted)

    def with_columns(self, columns: Mapping[str, DataType]) -> DataFrame:
        """The target's rows with the named columns, NULL where the table has no such column yet."""
        if not self.exists:
            return self.spark.createDataFrame([], _schema(columns))
        own = {name: self.column(name) for name in columns}
        return self.frame().selectExpr(
            *(
                f"{quote(spelling)} AS {quote(name)}"
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
    return Target(spark=spark, name=name, exists=True, columns={field.name: field.dataType for field in fields})


def fit(
    target: Target, columns: Mapping[str, DataType], policy: str, *, made: Collection[str] = ()
) -> dict[str, DataType]:
    """The type that each column has in the target, after checking that every one fits; raises SchemaError with all."""
    if not target.exists:
        return {name: column_type(kind) for name, kind in columns.items()}
    problems: list[str] = []
    fitted: dict[str, DataType] = {}
    for name, kind in columns.items():
        own = target.column(name)
        if own is None:
            if policy == "fail" and name not in made:
                problems.append(f"{name} is new in the source and schema_evolution is fail")
            fitted[name] = column_type(kind)
        else:
            fitted[name] = target.columns[own]
            if not _widens(kind, target.columns[own]):
                found, stored = kind.simpleString(), target.columns[own].simpleString()
                problems.append(f"{name} arrives as {found} but is stored as {stored}, which cannot hold it")
    if problems:
        raise SchemaError(
            f"{target.name}: {'; '.join(problems)}. Cast the column in the row's SQL file, or leave it out with "
            "except_column_list"
        )
    return fitted


def column_type(kind: DataType) -> DataType:
    """The type a new column gets: VARCHAR and CHAR become STRING, everything else stays."""
    return StringType() if kind.typeName() in {"varchar", "char"} else kind


def create(target: Target, columns: Mapping[str, DataType], comment: str) -> Target:
    """Make the empty table; every column is nullable. Harmless when another load has just made it.

    Deletion vectors spare a MERGE the rewriting of files of which it changes a few rows.
    """
    if target.exists:
        return target
    body = ", ".join(f"{quote(name)} {type_text(kind)}" for name, kind in columns.items())
    said = f" COMMENT {text(comment)}" if comment else ""
    target.spark.sql(f"CREATE TABLE IF NOT EXISTS {target.quoted} ({body}) USING delta{said} {_PROPERTIES}").collect()
    return locate(target.spark, target.name)


def evolve(target: Target, columns: Mapping[str, DataType]) -> Target:
    """Add the columns that the table lacks, nullable, by an append of no rows: the one way that every engine has."""
    new = {name: kind for name, kind in columns.items() if target.column(name) is None}
    if not new:
        return target
    nothing = target.spark.createDataFrame([], _schema({**target.columns, **new}))
    nothing.write.format("delta").mode("append").option("mergeSchema", "true").saveAsTable(target.quoted)
    return replace(target, columns={**target.columns, **new})


def drop(spark: SparkSession, name: str) -> None:
    """Drop a staging table; a failure leaves it to the sweep."""
    try:
        spark.sql(f"DROP TABLE IF EXISTS {quote_table(name)}").collect()
    except PySparkException:
        return


def _schema(columns: Mapping[str, DataType]) -> StructType:
    schema = StructType()
    for name, kind in columns.items():
        schema = schema.add(name, kind, nullable=True)
    return schema


def _widens(source: DataType, stored: DataType) -> bool:
    """Whether every value of the source's type has a place in the stored one, of the same kind."""
    if source.simpleString().lower() == stored.simpleString().lower() or column_type(source) == stored:
        return True
    if isinstance(stored, DecimalType):
        return _fits_decimal(source, stored)
    if isinstance(source, _WHOLE) and isinstance(stored, _WHOLE):
        return _WHOLE.index(type(source)) <= _WHOLE.index(type(stored))
    return isinstance(source, (FloatType, ByteType, ShortType, IntegerType)) and isinstance(stored, DoubleType)


def _fits_decimal(source: DataType, stored: DecimalType) -> bool:
    """By scale for decimals (the cast itself refuses a value with too many digits), by digits for whole numbers."""
    if isinstance(source, DecimalType):
        return bool(source.scale <= stored.scale)
    return isinstance(source, _WHOLE) and bool(_DIGITS[type(source)] <= stored.precision - stored.scale)
