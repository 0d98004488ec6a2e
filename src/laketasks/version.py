"""What the versions of an scd2 table are made of, whichever source they come from."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import BooleanType, DataType, StringType, TimestampType

from laketasks.canonical import canonical
from laketasks.change import Load
from laketasks.column import AUDIT, DELETED_AT, IS_CURRENT, IS_DELETED, VALID_FROM, VALID_TO
from laketasks.error import SourceError
from laketasks.source import Source
from laketasks.spec import LoadSpec
from laketasks.sql import quote, text
from laketasks.target import Target


def system_columns(spec: LoadSpec, source: Source, _target: Target) -> dict[str, DataType]:
    """The columns that the loader adds to the source's."""
    surrogate = {name: StringType() for name in spec.primary_key_columns}
    return {
        **surrogate,
        VALID_FROM: TimestampType(),
        VALID_TO: TimestampType(),
        IS_CURRENT: BooleanType(),
        IS_DELETED: BooleanType(),
        DELETED_AT: TimestampType(),
        **AUDIT,
        **source.order_columns,
    }


def tracked_columns(load: Load, source: Source) -> tuple[dict[str, DataType], dict[str, DataType]]:
    """The compared columns, apart: those whose change makes a version, and those updated in place."""
    config = load.config
    named = {name.lower() for name in config.track_history_column_list or config.track_history_except_column_list}
    unknown = named - {name.lower() for name in source.carried}
    if unknown:
        raise SourceError(f"track_history: the source carries no column {', '.join(sorted(unknown))}")
    if not named:
        return source.compared, {}
    keeps = bool(config.track_history_column_list)
    tracked = {name: kind for name, kind in source.compared.items() if (name.lower() in named) is keeps}
    return tracked, {name: kind for name, kind in source.compared.items() if name not in tracked}


def surrogate_key(keys: Mapping[str, DataType], start: str) -> str:
    """The md5 of the business key and the instant that a version begins: the same on every rebuild."""
    parts = [f"{text(key.lower())}, {canonical(quote(key), keys[key])}" for key in sorted(keys, key=str.lower)]
    return f"md5(to_json(named_struct({', '.join(parts)}, '{VALID_FROM}', unix_micros({start}))))"


def surrogates(load: Load, source: Source, start: str) -> dict[str, str]:
    """The value of the surrogate key, where the row names one, of a version that begins at `start`."""
    keys = {key: source.carried[key] for key in load.keys}
    return {name: surrogate_key(keys, start) for name in load.spec.primary_key_columns}
