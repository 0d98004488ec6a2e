"""The columns is_deleted and deleted_at: those in which a loader marks deleted rows, or those that a source carries.

One table has one kind or the other. A source's columns of these names are carried like any others where the loader
marks nothing; where it marks, they are refused, and so is a change from one kind to the other.
"""

from __future__ import annotations

from collections.abc import Iterable

from laketasks.column import DELETED_AT, IS_CURRENT, IS_DELETED
from laketasks.spec import LoadSpec
from laketasks.target import Target

MARKS = (IS_DELETED, DELETED_AT)


def has_marks(target: Target, carried: Iterable[str]) -> bool:
    """Return true if the target has the loader's marks: both columns, and not both from a source that carries these."""
    return all(target.column(name) for name in MARKS) and not {name.lower() for name in carried} >= set(MARKS)


def live_rows(target: Target, spec: LoadSpec, columns: Iterable[str]) -> str:
    """The condition of the target's rows that are neither closed nor marked; `columns` are the source's."""
    config = spec.cdc_source_config
    listed, dropped = ({name.lower() for name in names} for names in (config.column_list, config.except_column_list))
    carried = {name.lower() for name in columns} & (listed or {name.lower() for name in columns}) - dropped
    versioned = spec.execution_pipeline == "scd2"
    marks = [IS_CURRENT] if versioned and target.column(IS_CURRENT) else []
    if target.column(IS_DELETED) and (versioned or has_marks(target, carried)):
        marks.append(f"NOT coalesce({IS_DELETED}, false)")
    return " AND ".join(marks) or "true"
