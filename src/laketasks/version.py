"""What the versions of an scd2 table are made of, whichever source they come from."""

from __future__ import annotations

from pyspark.sql.types import BooleanType, DataType, TimestampType

from laketasks.change import Load
from laketasks.column import AUDIT, DELETED_AT, IS_CURRENT, IS_DELETED, VALID_FROM, VALID_TO
from laketasks.error import SourceError
from laketasks.source import Source
from laketasks.spec import LoadSpec, did_you_mean
from laketasks.surrogate import surrogate_columns
from laketasks.target import Target

VERSION_COLUMNS: dict[str, DataType] = {
    VALID_FROM: TimestampType(),
    VALID_TO: TimestampType(),
    IS_CURRENT: BooleanType(),
    IS_DELETED: BooleanType(),
    DELETED_AT: TimestampType(),
}


def system_columns(spec: LoadSpec, source: Source, _target: Target) -> dict[str, DataType]:
    """The columns that the loader adds to the source's."""
    return {
        **surrogate_columns(spec),
        **VERSION_COLUMNS,
        **AUDIT,
        **source.order_columns,
    }


def tracked_columns(load: Load, source: Source) -> tuple[dict[str, DataType], dict[str, DataType]]:
    """The compared columns, apart: those whose change makes a version, and those updated in place."""
    config = load.config
    named = {name.lower() for name in config.track_history_column_list or config.track_history_except_column_list}
    carried = {name.lower(): name for name in source.carried}
    unknown = sorted(named - carried.keys())
    if unknown:
        key = "track_history_column_list" if config.track_history_column_list else "track_history_except_column_list"
        hints = ", ".join(f"{name}{did_you_mean(name, carried)}" for name in unknown)
        raise SourceError(
            f"{load.spec.target_table}: {key} names {hints}, which the source does not carry. Write the name that the "
            f"column has now in {key}, or select it under its old name in the row's SQL file; the source carries "
            f"{', '.join(carried.values())}"
        )
    if not named:
        return source.compared, {}
    keeps = bool(config.track_history_column_list)
    tracked = {name: kind for name, kind in source.compared.items() if (name.lower() in named) is keeps}
    return tracked, {name: kind for name, kind in source.compared.items() if name not in tracked}
