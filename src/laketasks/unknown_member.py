"""The unknown member of a dimension: one row for key -1, which facts point to until the real one arrives.

It is added when it is missing, restored when it was closed or deleted while the row did not ask for it, and never
counted as a source row. A snapshot that does not have it does not close it.
Source for the practice: Kimball's late-arriving dimensions.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, DecimalType, NumericType, StringType, TimestampType

from laketasks.change import Change, Load, Merge
from laketasks.column import (
    ACT,
    DELETED_AT,
    FATE,
    IS_CURRENT,
    IS_DELETED,
    JOB_RUN_ID,
    LOADED_AT,
    UPDATED_AT,
    VALID_FROM,
    VALID_TO,
    type_text,
)
from laketasks.error import SourceError
from laketasks.source import Source
from laketasks.sql import OPEN_END, all_of, on, quote, text
from laketasks.sql import instant as instant_of
from laketasks.surrogate import surrogate_columns
from laketasks.target import Target

KEY = "-1"
_SINCE = "timestamp_micros(-2208988800000000)"  # 1900-01-01 00:00:00 UTC


def is_unknown(load: Load, side: str) -> str:
    """The condition that a stored row is the unknown member; false where the row asks for none."""
    if not load.config.unknown_member:
        return "false"
    return all_of(f"coalesce(cast({on(side, key)} AS STRING), '') = '{KEY}'" for key in load.keys)


def add_unknown_member(load: Load, source: Source, target: Target, change: Change) -> Change:
    """The change with the unknown member's row, unless the table has it; raises SourceError for keys that cannot."""
    if not load.config.unknown_member:
        return change
    made = set(change.columns) - set(source.carried)
    ended, is_live = _stored(load, source, target, made)
    if is_live:
        return change
    values = {
        **{key: f"cast('{KEY}' AS {_key_type(load, source, key)})" for key in load.keys},
        **dict.fromkeys(surrogate_columns(load.spec), f"'{KEY}'"),
        VALID_FROM: f"timestamp_micros({ended})" if ended is not None and VALID_FROM in made else _SINCE,
        VALID_TO: OPEN_END,
        IS_CURRENT: "true",
        IS_DELETED: "false",
        LOADED_AT: instant_of(load.now),
        UPDATED_AT: instant_of(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
    }
    act = "restore" if ended is not None else "open" if VALID_FROM in made else "insert"
    values = {name: value for name, value in values.items() if name in made or name in load.keys}
    values |= {FATE: "'unknown'", ACT: f"'{act}'"}
    columns = [
        f"{values.get(field.name, f'cast(NULL AS {type_text(field.dataType)})')} AS {quote(field.name)}"
        for field in change.rows.schema.fields
    ]
    one = target.spark.range(1)
    rows = change.rows.unionByName(one.selectExpr(*columns))
    write = change.write
    if ended is not None and isinstance(write, Merge):
        write = replace(write, clauses=(*write.clauses, _restore(made)))
    return replace(change, rows=rows, write=write)


def _stored(load: Load, source: Source, target: Target, made: set[str]) -> tuple[int | None, bool]:
    """When the stored unknown member begins (0 without versions, None where there is none), and whether it is live."""
    kinds = {VALID_FROM: TimestampType(), IS_CURRENT: BooleanType(), IS_DELETED: BooleanType()}
    columns = {key: source.carried[key] for key in load.keys} | {n: k for n, k in kinds.items() if n in made}
    stored = target.with_columns(columns).alias("t").where(is_unknown(load, "t"))
    live = [IS_CURRENT] if IS_CURRENT in made else []
    live += [f"NOT coalesce({IS_DELETED}, false)"] if IS_DELETED in made else []
    begin = f"max(unix_micros({VALID_FROM}))" if VALID_FROM in made else "IF(count(*) > 0, 0L, NULL)"
    row = stored.agg(
        F.expr(f"{begin} AS begin"), F.expr(f"count_if({' AND '.join(live) or 'true'}) AS live")
    ).collect()[0]
    return row["begin"], bool(row["live"])


def _restore(made: set[str]) -> str:
    """The clause that makes the stored row live again; its values stay."""
    names = (VALID_TO, IS_CURRENT, IS_DELETED, DELETED_AT, UPDATED_AT, JOB_RUN_ID)
    sets = ", ".join(f"{name} = s.{name}" for name in names if name in made)
    return f"WHEN MATCHED AND s.{ACT} = 'restore' THEN UPDATE SET {sets}"


def _key_type(load: Load, source: Source, key: str) -> str:
    kind: DataType = source.carried[key]
    if not isinstance(kind, (NumericType, DecimalType, StringType)):
        raise SourceError(
            f"{load.spec.target_table}: unknown_member needs keys that can be -1; {key} is {kind.simpleString()}"
        )
    return str(kind.simpleString())
