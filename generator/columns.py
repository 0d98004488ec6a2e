"""The 17 columns of execution_table, in order: the only place that lists them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """`kind` is the SQL type; `required` means that a row without it cannot be read."""

    name: str
    kind: str
    required: bool = False


COLUMNS = (
    Column(name="src_system", kind="STRING"),
    Column(name="src_catalog", kind="STRING"),
    Column(name="src_schema", kind="STRING"),
    Column(name="src_table_name", kind="STRING"),
    Column(name="load_type", kind="STRING", required=True),
    Column(name="dst_catalog", kind="STRING", required=True),
    Column(name="dst_schema", kind="STRING", required=True),
    Column(name="dst_table_name", kind="STRING", required=True),
    Column(name="layer", kind="STRING", required=True),
    Column(name="is_active_flag", kind="BOOLEAN"),
    Column(name="execution_order", kind="INT", required=True),
    Column(name="execution_pipeline", kind="STRING", required=True),
    Column(name="business_key_columns", kind="ARRAY<STRING>"),
    Column(name="primary_key_columns", kind="ARRAY<STRING>"),
    Column(name="sql_file_path", kind="STRING"),
    Column(name="cdc_source_config", kind="STRING"),
    Column(name="comment", kind="STRING"),
)
BY_NAME = {column.name: column for column in COLUMNS}
