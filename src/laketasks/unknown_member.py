"""The unknown member of a dimension: one row for key -1, which facts point to until the real one arrives.

It is added when it is missing and never counted as a source row. A snapshot that does not have it does not close it.
Source for the practice: Kimball's late-arriving dimensions.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import DataType, DecimalType, NumericType, StringType

from laketasks.change import Change, Load
from laketasks.column import (
    ACT,
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
from laketasks.sql import OPEN_END, on, quote, text
from laketasks.sql import instant as instant_of
from laketasks.surrogate import surrogate_columns
from laketasks.target import Target

KEY = "-1"
_SINCE = "timestamp_micros(-2208988800000000)"  # 1900-01-01 00:00:00 UTC


def is_unknown(load: Load, side: str) -> str:
    """The condition that a stored row is the unknown member; false where the row asks for none."""
    if not load.config.unknown_member:
        return "false"
    return " AND ".join(f"coalesce(cast({on(side, key)} AS STRING), '') = '{KEY}'" for key in load.keys)


def add_unknown_member(load: Load, source: Source, target: Target, change: Change) -> Change:
    """The change with the unknown member's row, unless the table has it; raises SourceError for keys that cannot."""
    if not load.config.unknown_member or _is_there(load, source, target):
        return change
    values = {
        FATE: "'unknown'",
        ACT: "'open'" if VALID_FROM in change.columns else "'insert'",
        **{key: f"cast('{KEY}' AS {_key_type(load, source, key)})" for key in load.keys},
        **dict.fromkeys(surrogate_columns(load.spec), f"'{KEY}'"),
        VALID_FROM: _SINCE,
        VALID_TO: OPEN_END,
        IS_CURRENT: "true",
        IS_DELETED: "false",
        LOADED_AT: instant_of(load.now),
        UPDATED_AT: instant_of(load.now),
        JOB_RUN_ID: text(load.context.job_run_id),
    }
    columns = [
        f"{values.get(field.name, f'cast(NULL AS {type_text(field.dataType)})')} AS {quote(field.name)}"
        for field in change.rows.schema.fields
    ]
    one = target.spark.range(1)
    return replace(change, rows=change.rows.unionByName(one.selectExpr(*columns)))


def _is_there(load: Load, source: Source, target: Target) -> bool:
    stored = target.with_columns({key: source.carried[key] for key in load.keys})
    return not stored.alias("t").where(is_unknown(load, "t")).isEmpty()


def _key_type(load: Load, source: Source, key: str) -> str:
    kind: DataType = source.carried[key]
    if not isinstance(kind, (NumericType, DecimalType, StringType)):
        raise SourceError(
            f"{load.spec.target_table}: unknown_member needs keys that can be -1; {key} is {kind.simpleString()}"
        )
    return str(kind.simpleString())
