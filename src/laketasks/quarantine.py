"""The quarantine table of a target: the rows that `expect_or_quarantine` set aside, and when a release settled them.

A row waits until a release settles it. It is added once while it waits, however often it is read. A row that breaks a
rule again after its release is added again. Released rows stay in the table: `_released_as` is `source` where the
source's own row was loaded, `quarantine` where only this table still had the row, and `superseded` where the source or
the target has a newer row of its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType, TimestampType

from laketasks.canonical import row_hash
from laketasks.column import JOB_RUN_ID, SEQUENCE, is_ours, type_text
from laketasks.error import TargetError
from laketasks.source import RawSource, meta_columns
from laketasks.spec import QUARANTINE_SUFFIX, LoadSpec, QuarantineSpec
from laketasks.sql import listed, on, quote, quote_table, same, text
from laketasks.stage import staged
from laketasks.target import Target, create, evolve, fit, locate
from laketasks.widening import converted

SUFFIX = QUARANTINE_SUFFIX
RULES = "_expectations"
HASH = "_row_hash"
RELEASED_AT = "_released_at"
RELEASED_AS = "_released_as"
FROM_SOURCE, FROM_QUARANTINE, SUPERSEDED = "source", "quarantine", "superseded"
WAITS = f"{RELEASED_AT} IS NULL"
SET_ASIDE_AT = "_quarantined_at"
_RELEASED_RUN_ID = "_released_run_id"
_OWN: dict[str, DataType] = {
    RULES: StringType(),
    SET_ASIDE_AT: TimestampType(),
    JOB_RUN_ID: StringType(),
    HASH: StringType(),
    RELEASED_AT: TimestampType(),
    _RELEASED_RUN_ID: StringType(),
    RELEASED_AS: StringType(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """The rows of one target that wait, in all or for one rule; times are in microseconds since the epoch."""

    table: str
    rows: int
    oldest: int
    newest: int
    rules: Mapping[str, Waiting]


def quarantine_of(spark: SparkSession, table: str) -> Target:
    """Return the quarantine table of a target; raises TargetError for a table of that name that is something else."""
    target = locate(spark, table + SUFFIX)
    lacking = [name for name in (RULES, SET_ASIDE_AT, HASH) if target.column(name) is None]
    if target.exists and lacking:
        raise TargetError(
            f"{target.name} is not a quarantine table: it has no column {', '.join(lacking)}. Rows that {table} does "
            "not take are set aside under this name; rename the table that has it"
        )
    return target


def set_aside(
    spark: SparkSession, spec: LoadSpec, job_run_id: str, aside: DataFrame, order: tuple[str, ...] = ()
) -> None:
    """Add the rows to the quarantine table, each distinct row once while it waits; a second time changes nothing.

    `order` are the columns of sequence and watermark: rows that differ in these alone are different rows.
    """
    source = {f.name: f.dataType for f in aside.schema.fields if f.name.lower() not in _OWN}
    identity = {name: kind for name, kind in source.items() if not is_ours(name) or name in order}
    columns = {**source, **_OWN}
    target = quarantine_of(spark, spec.target_table)
    types = fit(target, columns, "add_columns")
    target = evolve(create(target, types, f"Rows that {spec.target_table} did not take"), types)
    made = {
        SET_ASIDE_AT: "current_timestamp()",
        JOB_RUN_ID: text(job_run_id),
        HASH: row_hash(identity),
        RELEASED_AT: "cast(NULL AS TIMESTAMP)",
        _RELEASED_RUN_ID: "cast(NULL AS STRING)",
        RELEASED_AS: "cast(NULL AS STRING)",
    }
    values = (f"{made[name]} AS {name}" if name in made else _as_stored(name, columns, types) for name in columns)
    rows = aside.selectExpr(*values).dropDuplicates([HASH])
    rows = rows.join(target.frame().where(WAITS).select(HASH), HASH, "left_anti")
    if rows.isEmpty():
        return
    with staged(spark, rows, target.name) as name:
        inserted = ", ".join(on("s", column) for column in columns)
        spark.sql(
            f"MERGE INTO {target.quoted} t USING {quote_table(name)} s ON {same([HASH])} AND t.{WAITS} "
            f"WHEN NOT MATCHED THEN INSERT ({listed(columns)}) VALUES ({inserted})"
        ).collect()


def _as_stored(name: str, columns: Mapping[str, DataType], types: Mapping[str, DataType]) -> str:
    return f"{converted(quote(name), columns[name], types[name])} AS {quote(name)}"


def waiting_rows(table: Target) -> DataFrame:
    """Return the rows of a quarantine table that wait, each with the columns that say when and why."""
    return _with_own(table).where(WAITS)


def with_released(spark: SparkSession, raw: RawSource, spec: LoadSpec, keys: tuple[str, ...]) -> RawSource:
    """Return a change source with the rows that were released and that the source itself does not have.

    Each load computes a key again from all of its rows: without them it would take back what the release has loaded.
    """
    if spec.cdc_source_config.source_mode not in ("events", "fivetran_history"):
        return raw
    table = locate(spark, spec.target_table + SUFFIX)
    if table.column(RELEASED_AS) is None:
        return raw
    rows = table.frame().where(f"{RELEASED_AS} = '{FROM_QUARANTINE}'").dropDuplicates([HASH])
    if rows.isEmpty():
        return raw
    point = (*(raw.columns.get(key.lower(), key) for key in keys), SEQUENCE)
    released = as_source_rows(rows, raw.types).selectExpr("*", *meta_columns(raw))
    known = raw.frame.selectExpr("*", *meta_columns(raw)).select(*map(quote, point))
    lost = released.alias("s").join(known.alias("t"), F.expr(same(point)), "left_anti")
    return replace(raw, frame=raw.frame.unionAll(lost.select(*map(quote, raw.frame.columns))))


def as_source_rows(rows: DataFrame, types: Mapping[str, DataType], *more: str) -> DataFrame:
    """Return rows of a quarantine table with the columns that the source has now; a column that is new is NULL."""
    own = {field.name.lower(): field.name for field in rows.schema.fields}
    values = (
        f"cast({quote(own[name.lower()]) if name.lower() in own else 'NULL'} AS {type_text(kind)}) AS {quote(name)}"
        for name, kind in types.items()
    )
    return rows.selectExpr(*values, *more)


def mark_released(table: Target, verdicts: str, job_run_id: str) -> None:
    """Mark the waiting rows that a table of hashes and verdicts settles, in one commit."""
    table = evolve(table, _OWN)
    settled = ", ".join(map(text, (FROM_SOURCE, FROM_QUARANTINE, SUPERSEDED)))
    table.spark.sql(
        f"MERGE INTO {table.quoted} t USING (SELECT {HASH}, min({RELEASED_AS}) AS {RELEASED_AS} "
        f"FROM {quote_table(verdicts)} WHERE {RELEASED_AS} IN ({settled}) GROUP BY {HASH}) s "
        f"ON {same([HASH])} AND t.{WAITS} WHEN MATCHED THEN UPDATE SET {RELEASED_AT} = current_timestamp(), "
        f"{_RELEASED_RUN_ID} = {text(job_run_id)}, {RELEASED_AS} = s.{RELEASED_AS}"
    ).collect()


def waiting_by_table(spark: SparkSession, tables: Iterable[str]) -> list[Waiting]:
    """Return what waits for each of these targets, in all and by rule; none of the targets for which nothing does."""
    found = [locate(spark, name) for name in _quarantines(spark, tables)]
    parts = [
        waiting_rows(own).selectExpr(
            f"{text(own.name.removesuffix(SUFFIX))} AS table",
            f"explode(split(concat_ws(', ', '', {RULES}), ', ')) AS rule",  # '' stands for the row itself
            f"unix_micros({SET_ASIDE_AT}) AS at",
        )
        for own in found
        if own.column(HASH) is not None
    ]
    if not parts:
        return []
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionAll(part)
    counted = rows.groupBy("table", "rule").agg(
        *map(F.expr, ("count(*) AS n", "min(at) AS oldest", "max(at) AS newest"))
    )
    groups: dict[str, dict[str, Waiting]] = {}
    for row in counted.orderBy("table", "rule").collect():
        one = Waiting(table=row["table"], rows=row["n"], oldest=row["oldest"], newest=row["newest"], rules={})
        groups.setdefault(row["table"], {})[row["rule"]] = one
    return [_whole(rules) for rules in groups.values()]


def list_waiting(spark: SparkSession, spec: QuarantineSpec) -> list[str]:
    """Return the lines of `quarantine list`."""
    tables = (*spec.tables, *(table for schema in spec.schemas for table in tables_of(spark, schema)))
    lines = []
    for found in waiting_by_table(spark, tables):
        lines.append(f"{found.table}: {_rows(found)}")
        lines += [f"  {rule}: {_rows(of_rule)}" for rule, of_rule in found.rules.items()]
        lines += [f"  {row}" for row in samples(spark, found.table, spec.samples)]
    return lines or ["no row waits in quarantine"]


def summary_lines(spark: SparkSession, tables: Iterable[str]) -> list[str]:
    """Return what the summary of a run prints of these targets: how many rows of each wait, and since when."""
    found = waiting_by_table(spark, tables)
    head = "Set aside in quarantine (`quarantine list` shows them, the job parameter release_quarantine takes them in):"
    return [head, *(f"  {one.table}: {_rows(one)}, {_days(one)} days ago" for one in found)] if found else []


def _days(found: Waiting) -> int:
    return (datetime.now(timezone.utc) - datetime.fromtimestamp(found.oldest / 1e6, timezone.utc)).days


def tables_of(spark: SparkSession, schema: str) -> list[str]:
    """Return the targets of a schema that have a quarantine table."""
    try:
        rows = spark.sql(f"SHOW TABLES IN {quote_table(schema)}").collect()
    except PySparkException:
        return []
    names = sorted(row["tableName"] for row in rows)
    return [f"{schema}.{name.removesuffix(SUFFIX)}" for name in names if name.endswith(SUFFIX)]


def samples(spark: SparkSession, table: str, most: int) -> list[str]:
    """Return the oldest waiting rows of a target as JSON, without the columns that say when and why."""
    rows = waiting_rows(locate(spark, table + SUFFIX)).orderBy(SET_ASIDE_AT, HASH).limit(most)
    kept = [name for name in rows.columns if name.lower() not in _OWN]
    return [row["row"] for row in rows.selectExpr(f"to_json(struct({listed(kept)})) AS row").collect()]


def _with_own(table: Target) -> DataFrame:
    """Return the rows with every column of ours, NULL where the table was made before it had them."""
    added = (f"cast(NULL AS {type_text(kind)}) AS {name}" for name, kind in _OWN.items() if table.column(name) is None)
    return table.frame().selectExpr("*", *added)


def _rows(found: Waiting) -> str:
    first, last = (datetime.fromtimestamp(at / 1e6, timezone.utc) for at in (found.oldest, found.newest))
    until = "" if first == last else f", the last at {last:%Y-%m-%d %H:%M} UTC"
    return f"{found.rows} rows since {first:%Y-%m-%d %H:%M} UTC{until}"


def _whole(rules: dict[str, Waiting]) -> Waiting:
    own = rules.pop("")
    return Waiting(table=own.table, rows=own.rows, oldest=own.oldest, newest=own.newest, rules=rules)


def _quarantines(spark: SparkSession, tables: Iterable[str]) -> list[str]:
    """Return the quarantine tables of these targets that exist, by one look at each schema."""
    wanted = {table.lower() for table in tables}
    schemas = sorted({table.rpartition(".")[0] for table in wanted})
    return [table + SUFFIX for schema in schemas for table in tables_of(spark, schema) if table.lower() in wanted]
