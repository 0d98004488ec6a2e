"""Liquid clustering: the columns that `cluster_by` names, where the engine has it.

The columns of a table are compared with those of the row, and changed where they differ; data is laid out by them as it
is written, and wholly by OPTIMIZE, which is for the team to schedule.
"""

from __future__ import annotations

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from laketasks.error import TargetError
from laketasks.sql import listed
from laketasks.target import Target


def can_cluster(spark: SparkSession) -> bool:
    """Whether the engine has CLUSTER BY; it is asked to plan such a statement, which makes nothing."""
    try:
        spark.sql("EXPLAIN CREATE TABLE laketasks_nothing (a INT) USING delta CLUSTER BY (a)").collect()
    except PySparkException:
        return False
    return True


def refuse_unknown(target: Target, columns: tuple[str, ...]) -> None:
    """Raise TargetError for columns that the table does not have."""
    unknown = [name for name in columns if target.column(name) is None]
    if unknown:
        raise TargetError(f"{target.name}: cluster_by: the table has no column {', '.join(unknown)}")


def cluster(target: Target, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Cluster the table by these columns unless it is already; a note where the engine cannot.

    After the write: Delta 4.1 takes an overwrite of all rows for one of the clustering, too. Raises TargetError for a
    table that cannot be clustered.
    """
    if not columns:
        return ()
    if not can_cluster(target.spark):
        return (f"{target.name}: cluster_by is left out: this engine has no CLUSTER BY",)
    names = [str(target.column(name)) for name in columns]
    detail = target.spark.sql(f"DESCRIBE DETAIL {target.quoted}").collect()[0]
    if list(detail["clusteringColumns"]) == names:
        return ()
    try:
        target.spark.sql(f"ALTER TABLE {target.quoted} CLUSTER BY ({listed(names)})").collect()
    except PySparkException as error:
        raise TargetError(f"{target.name}: cannot be clustered by {', '.join(names)}: {error}") from error
    return ()
