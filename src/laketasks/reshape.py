"""Give a table other columns or types in one commit, with its comments, partitions and clustering as they were.

The table keeps its name, grants, properties and Delta history. Rows that stay are written again: use it where no
statement changes the columns alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from laketasks.change import Load
from laketasks.column import SYSTEM, type_text
from laketasks.error import SchemaError
from laketasks.sql import listed, quote, text
from laketasks.target import Target, locate, save
from laketasks.widening import converted, widest


def dropped_columns(load: Load, target: Target, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of the table that `schema_evolution: drop_columns` lets go, as the source lacks them."""
    given = {name.lower() for name in (*columns, *SYSTEM)}
    gone = tuple(name for name in target.columns if name.lower() not in given)
    if not target.exists or load.config.schema_evolution != "drop_columns":
        return ()
    if gone and load.config.replace_where:
        raise SchemaError(
            f"{target.name}: {', '.join(gone)} cannot be dropped while replace_where keeps rows with values there. "
            "Load once without replace_where, or set schema_evolution: add_columns"
        )
    return gone


def drop_columns(target: Target, names: tuple[str, ...], as_found: str) -> Target:
    """Drop columns: by ALTER TABLE where the table has column mapping, else by writing its rows without them.

    Fails unless the table is `as_found`. Raises SchemaError for a column that the table is partitioned by.
    """
    if not names:
        return target
    kept = {name: kind for name, kind in target.columns.items() if name not in names}
    partitions = [name for name in partitioned_by(target) if name in names]
    if partitions:
        raise SchemaError(
            f"{target.name}: {', '.join(partitions)} cannot be dropped, as the table is partitioned by it. Select it "
            "in the row's SQL file, or set schema_evolution: add_columns"
        )
    try:
        target.spark.sql(f"ALTER TABLE {target.quoted} DROP COLUMNS ({listed(names)})").collect()
    except PySparkException:
        rows = f"SELECT {listed(kept)} FROM {target.quoted}"
        _overwrite(target, f"SELECT r.* FROM ({rows}) {as_found}")
    return replace(target, columns=kept, commits=target.commits + 1)


def reshape(target: Target, columns: Mapping[str, DataType], select: str) -> int:
    """Replace all rows and the columns of a table by those of a SELECT; how many commits that takes besides.

    Before the new rows comes a SELECT of the table that has none: the columns take their comments from the first part
    of a UNION. Its condition is one that no optimizer folds.
    """
    stored = locate(target.spark, target.name)
    values = ", ".join(f"{_as(stored, name, kind)} AS {quote(name)}" for name, kind in columns.items())
    union = f"SELECT {values} FROM {target.quoted} WHERE rand() < 0 UNION ALL {select}"
    return _overwrite(replace(target, columns=dict(columns)), union)


def partitioned_by(target: Target) -> tuple[str, ...]:
    """Return the columns that a table is partitioned by, as far as the engine tells."""
    return _detail(target)[0]


def _as(stored: Target, name: str, kind: DataType) -> str:
    """The stored column as another type, where that has its values: an engine may cast before it filters."""
    own = stored.column(name)
    before = stored.columns[own] if own else None
    if own is None or before is None or not (before == kind or widest(before, kind) is kind):
        return f"cast(NULL AS {type_text(kind)})"
    return converted(quote(own), before, kind)


def _overwrite(target: Target, select: str) -> int:
    partitions, clustering = _detail(target)
    frame = _commented(target, target.spark.sql(select))
    writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
    writer = writer.option("partitionOverwriteMode", "static")
    before = save(target, writer.partitionBy(*partitions) if partitions else writer, target.columns)
    kept = [
        name for name in clustering if name.lower() in {n.lower() for n in target.spark.table(target.quoted).columns}
    ]
    if kept and list(_detail(target)[1]) != kept:
        target.spark.sql(f"ALTER TABLE {target.quoted} CLUSTER BY ({listed(kept)})").collect()
    return before


def _commented(target: Target, frame: DataFrame) -> DataFrame:
    """The frame with the comments of the table's columns; those of a cast are lost else. Sail tells none."""
    fields = target.spark.table(target.quoted).schema.fields
    comments = {field.name.lower(): field.metadata["comment"] for field in fields if "comment" in field.metadata}
    if not comments:
        return frame
    columns = []
    for name in frame.columns:
        comment = comments.get(name.lower())
        column = F.col(quote(name))
        columns.append(column.alias(name, metadata={"comment": comment}) if comment else column)
    return frame.select(*columns)


def _detail(target: Target) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Partition and clustering columns; Sail tells those of a partition in its catalog."""
    try:
        detail = target.spark.sql(f"DESCRIBE DETAIL {target.quoted}").collect()[0].asDict()
    except PySparkException:
        columns = target.spark.catalog.listColumns(target.quoted)
        return tuple(column.name for column in columns if column.isPartition), ()
    return tuple(detail["partitionColumns"]), tuple(detail.get("clusteringColumns") or ())


def follow_comment(target: Target, comment: str) -> Target:
    """Give the table this comment unless it has it."""
    if not comment or target.spark.catalog.getTable(target.quoted).description == comment:
        return target
    try:
        target.spark.sql(f"COMMENT ON TABLE {target.quoted} IS {text(comment)}").collect()
    except PySparkException:  # Sail 0.7 has properties only
        target.spark.sql(f"ALTER TABLE {target.quoted} SET TBLPROPERTIES ('comment' = {text(comment)})").collect()
    return replace(target, commits=target.commits + 1)
