"""The columns that loaders add, and the names that a source's columns are left out for unless they are listed.

What a load records about itself (`_loaded_at`, `_sequence`, ...) is left out of a source that is a table of ours. Names
that say something of the row itself (`valid_from`, `is_deleted`, ...) are carried, unless the loader makes them: then
they are refused.
"""

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType, TimestampType

from laketasks.sql import quote

LOADED_AT = "_loaded_at"
UPDATED_AT = "_updated_at"
JOB_RUN_ID = "_job_run_id"
SEQUENCE = "_sequence"
WATERMARK = "_watermark"
IS_DELETED = "is_deleted"
DELETED_AT = "deleted_at"
VALID_FROM = "valid_from"
VALID_TO = "valid_to"
IS_CURRENT = "is_current"

AUDIT: dict[str, DataType] = {
    LOADED_AT: TimestampType(),
    UPDATED_AT: TimestampType(),
    JOB_RUN_ID: StringType(),
}
_RECORDED = (*AUDIT, SEQUENCE, WATERMARK)
SYSTEM = (*_RECORDED, IS_DELETED, DELETED_AT, VALID_FROM, VALID_TO, IS_CURRENT)

# What a change feed says of each change; Delta keeps these names for itself.
CHANGE_TYPE = "_change_type"
COMMIT_VERSION = "_commit_version"
COMMIT_TIMESTAMP = "_commit_timestamp"
_FEED = (CHANGE_TYPE, COMMIT_VERSION, COMMIT_TIMESTAMP)

# Names inside a plan only; they never reach a target.
DELETE = "_laketasks_delete"
READ = "_laketasks_read"  # a row of the source's history is one of this read
LATE = "_laketasks_late"  # a watermark would pass the row by; NULL where it would not
ENDS_AT = "_laketasks_ends_at"  # when a history row ends; NULL where it is open
FATE = "_laketasks_fate"
ACT = "_laketasks_act"
AT = "_laketasks_at"
OLD_FROM = "_laketasks_old_from"
INTERNAL_PREFIX = "_laketasks_"


def is_ours(name: str) -> bool:
    """Whether a source column of this name is left out unless column_list names it."""
    lowered = name.lower()
    return lowered in (*_RECORDED, *_FEED) or lowered.startswith(("_fivetran_", INTERNAL_PREFIX))


def type_text(kind: DataType) -> str:
    """The type as SQL writes it, the names in it quoted, which `simpleString` leaves as the source has them.

    >>> type_text(StructType().add("a`b:INT>", "int").add("c", "array<string>"))
    'STRUCT<`a``b:INT>`: INT, `c`: ARRAY<STRING>>'
    """
    if isinstance(kind, StructType):
        return f"STRUCT<{', '.join(f'{quote(field.name)}: {type_text(field.dataType)}' for field in kind.fields)}>"
    if isinstance(kind, ArrayType):
        return f"ARRAY<{type_text(kind.elementType)}>"
    if isinstance(kind, MapType):
        return f"MAP<{type_text(kind.keyType)}, {type_text(kind.valueType)}>"
    return str(kind.simpleString()).upper()
