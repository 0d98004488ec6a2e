"""What silver must hold after each day, computed by DuckDB from bronze and execution_table.yml alone.

This is the design's rules written a second time, in other words and on another engine, as plainly as they go:
one function per runner, one CASE for the fates. It covers what the example's rows use and refuses the rest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import yaml

from laketasks.spec import CdcSourceConfig, parse_config, parse_duration

ROOT = Path(__file__).parents[2]
FATES = ("new", "changed", "deleted", "unchanged", "duplicates", "ignored")
OPEN = "TIMESTAMPTZ '9999-12-31 00:00:00+00'"
_CATALOGS = {"bronze_catalog": "dev_bronze", "silver_catalog": "dev_silver"}
_OURS = ("_fivetran_", "_laketasks_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of execution_table, as far as this test needs it."""

    name: str
    source: str
    runner: str
    incremental: bool
    keys: tuple[str, ...]
    surrogate: str
    config: CdcSourceConfig


def read_rows(path: Path = ROOT / "bundle" / "execution_table.yml") -> list[Row]:
    """The active rows by execution_order."""
    rows = [row for row in yaml.safe_load(path.read_text()) if row["is_active_flag"]]
    return [_row(row, path.parent) for row in sorted(rows, key=lambda row: row["execution_order"])]


def _row(row: dict[str, Any], bundle: Path) -> Row:
    config, problems = parse_config(row.get("cdc_source_config"))
    assert not problems, problems
    dimension = str(row["execution_pipeline"]).startswith("scd")
    primary: tuple[str, ...] = tuple(row.get("primary_key_columns") or ())
    return Row(
        name=str(row["dst_table_name"]),
        source=_statement(row, bundle),
        runner=str(row["execution_pipeline"]),
        incremental=row["load_type"] == "incremental",
        keys=tuple(row["business_key_columns"]) if dimension else primary,
        surrogate=primary[0] if dimension and primary else "",
        config=config,
    )


def _statement(row: dict[str, Any], bundle: Path) -> str:
    if not row.get("sql_file_path"):
        return f"SELECT * FROM {row['src_catalog']}.{row['src_schema']}.{row['src_table_name']}"
    return (bundle / str(row["sql_file_path"])).read_text().format(**_CATALOGS)


@dataclass(slots=True)
class Warehouse:
    """DuckDB with bronze as it is on a day and silver as it must be after the loads so far."""

    connection: duckdb.DuckDBPyConnection = field(default_factory=duckdb.connect)
    watermarks: dict[str, datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.run("SET TimeZone = 'UTC'")
        for catalog, schema in (("dev_bronze", "tpcds"), ("dev_silver", "retail")):
            self.run(f"ATTACH ':memory:' AS {catalog}; CREATE SCHEMA {catalog}.{schema}")

    def run(self, statement: str) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = self.connection.execute(statement).fetchall()
        return rows

    def number(self, statement: str) -> int:
        return int(self.run(statement)[0][0])

    def columns(self, relation: str) -> list[str]:
        return [name for name, *_ in self.run(f"DESCRIBE {relation}")]

    def put(self, table: str, rows: pa.Table) -> None:
        """Make a bronze table hold these rows."""
        self.connection.register("arriving_rows", rows)
        self.run(f"CREATE OR REPLACE TABLE dev_bronze.tpcds.{table} AS SELECT * FROM arriving_rows")
        self.connection.unregister("arriving_rows")

    def load(self, row: Row) -> dict[str, int]:
        """Load one row as the design says; what the run log must say about it."""
        first = row.name not in self._silver_tables()
        carried = self._stage(row)
        runners = {"scd1": self._merge, "fact_incremental_merge": self._merge, "scd2": self._version}
        fates = (
            self._overwrite(row, carried, first)
            if row.runner == "fact_overwrite"
            else runners[row.runner](row, carried, first)
        )
        read = self.number("SELECT count(*) FROM arrived")
        duplicates = read - self.number("SELECT count(*) FROM latest")
        return dict.fromkeys(FATES, 0) | fates | {"read": read, "duplicates": duplicates}

    def _silver_tables(self) -> set[str]:
        return {name for (name,) in self.run("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'retail'")}

    def _stage(self, row: Row) -> list[str]:
        """Make `arrived` (what the load reads) and `latest` (one row per key); the columns that are carried."""
        config = row.config
        assert config.source_mode in {"state", "snapshot"}
        assert not any((config.column_list, config.replace_where, config.insert_only, config.unknown_member))
        self.run(f"CREATE OR REPLACE TEMP VIEW source AS {row.source}")
        columns = self.columns("source")
        synced = "_fivetran_synced" if "_fivetran_synced" in columns else "NULL::TIMESTAMPTZ"
        flag = config.apply_as_deletes or ("_fivetran_deleted" if "_fivetran_deleted" in columns else "false")
        conditions = [config.where or "true"]
        if row.incremental and row.name in self.watermarks:
            reached = self.watermarks[row.name] - (parse_duration(config.lookback) or timedelta())
            conditions.append(f"{synced} >= TIMESTAMPTZ '{reached.isoformat()}'")
        self.run(
            f"CREATE OR REPLACE TEMP TABLE arrived AS SELECT *, {synced} AS _laketasks_seq, "
            f"coalesce({flag}, false) AS _laketasks_del FROM source WHERE ({') AND ('.join(conditions)})"
        )
        self.run(
            "CREATE OR REPLACE TEMP TABLE latest AS SELECT * FROM arrived "
            f"QUALIFY row_number() OVER (PARTITION BY {', '.join(row.keys)} ORDER BY _laketasks_seq DESC) = 1"
        )
        ((newest,),) = self.run("SELECT max(_laketasks_seq) FROM arrived")
        if newest is not None:
            self.watermarks[row.name] = max(newest, self.watermarks.get(row.name, newest))
        return [c for c in columns if not c.startswith(_OURS) and c not in config.except_column_list]

    def _merge(self, row: Row, carried: list[str], first: bool) -> dict[str, int]:
        table = f"dev_silver.retail.{row.name}"
        if first:
            self.run(
                f"CREATE TABLE {table} AS SELECT {', '.join(carried)}, false AS is_deleted, _laketasks_seq "
                "FROM latest LIMIT 0"
            )
        removed = {"soft": "IF(t.is_deleted, 'unchanged', 'deleted')", "hard": "'deleted'", "ignore": "'ignored'"}
        self._judge(
            row,
            table,
            f"CASE WHEN t.is_deleted IS NULL THEN IF(s._laketasks_del, 'ignored', 'new') "
            f"WHEN s._laketasks_del THEN {removed[row.config.delete_mode]} "
            f"WHEN t.is_deleted OR {_differ(carried)} THEN 'changed' ELSE 'unchanged' END",
        )
        on, judged = _same(row.keys, "t", "j"), "SELECT 1 FROM judged AS j WHERE {on} AND j.fate IN ({fates})"
        soft = row.config.delete_mode == "soft"
        gone = judged.format(on=on, fates="'changed'" if soft else "'changed', 'deleted'")
        if soft:
            marked = judged.format(on=on, fates="'deleted'")
            self.run(f"UPDATE {table} AS t SET is_deleted = true WHERE EXISTS ({marked})")
        self.run(f"DELETE FROM {table} AS t WHERE EXISTS ({gone})")
        self.run(
            f"INSERT INTO {table} SELECT {', '.join(carried)}, false, _laketasks_seq FROM judged "
            "WHERE fate IN ('new', 'changed')"
        )
        return self._fates() | self._missing(
            row, table, "UPDATE {table} AS t SET is_deleted = true", "NOT t.is_deleted"
        )

    def _version(self, row: Row, carried: list[str], first: bool) -> dict[str, int]:
        table = f"dev_silver.retail.{row.name}"
        names = ", ".join(carried)
        if first:
            self.run(
                f"CREATE TABLE {table} AS SELECT {names}, _laketasks_seq AS valid_from, {OPEN} AS valid_to, "
                "true AS is_current, false AS is_deleted, _laketasks_seq AS _watermark FROM latest LIMIT 0"
            )
        config = row.config
        if config.track_history_column_list:
            tracked = list(config.track_history_column_list)
        else:
            tracked = [c for c in carried if c not in config.track_history_except_column_list]
        self._judge(
            row,
            f"(SELECT * FROM {table} QUALIFY "
            f"row_number() OVER (PARTITION BY {', '.join(row.keys)} ORDER BY valid_from DESC) = 1)",
            "CASE WHEN t.is_current IS NULL THEN IF(s._laketasks_del, 'ignored', 'new') "
            "WHEN s._laketasks_del THEN IF(t.is_deleted, 'unchanged', 'deleted') "
            f"WHEN NOT t.is_current OR t.is_deleted OR {_differ(tracked)} THEN 'changed' "
            f"WHEN {_differ(carried)} THEN 'in place' ELSE 'unchanged' END",
        )
        self._close(row, table, carried)
        start = (
            f"TIMESTAMPTZ '{config.first_version_from}'" if first and config.first_version_from else "_laketasks_seq"
        )
        self.run(
            f"INSERT INTO {table} BY NAME SELECT {names}, IF(fate = 'new', {start}, _laketasks_seq) AS valid_from, "
            f"{OPEN} AS valid_to, true AS is_current, false AS is_deleted, _laketasks_seq AS _watermark "
            "FROM judged WHERE fate IN ('new', 'changed')"
        )
        missing = self._missing(row, table, f"UPDATE {table} AS t SET is_current = false", "t.is_current")
        self._add_surrogate(row, table)
        return self._fates() | missing

    def _close(self, row: Row, table: str, carried: list[str]) -> None:
        """End or update the open versions; under `new_record` a delete adds a version that is current and deleted."""
        judged = f"FROM judged AS j WHERE {_same(row.keys, 't', 'j')} AND t.is_current"
        self.run(
            f"CREATE OR REPLACE TEMP TABLE ended AS SELECT {', '.join(f't.{c}' for c in carried)}, "
            f"j._laketasks_seq AS valid_from, {OPEN} AS valid_to, true AS is_current, true AS is_deleted, "
            "j._laketasks_seq AS _watermark "
            f"FROM {table} AS t, judged AS j WHERE {_same(row.keys, 't', 'j')} AND t.is_current AND j.fate = 'deleted'"
        )
        self.run(
            f"UPDATE {table} AS t SET valid_to = j._laketasks_seq, is_current = false, "
            "is_deleted = (j.fate = 'deleted'), _watermark = IF(j.fate = 'deleted', j._laketasks_seq, t._watermark) "
            f"{judged} AND j.fate IN ('changed', 'deleted')"
        )
        values = ", ".join([*(f"{c} = j.{c}" for c in carried), "_watermark = j._laketasks_seq"])
        self.run(f"UPDATE {table} AS t SET {values} {judged} AND j.fate = 'in place'")
        if row.config.delete_mode == "new_record":
            self.run(f"INSERT INTO {table} BY NAME SELECT * FROM ended")

    def _add_surrogate(self, row: Row, table: str) -> None:
        """Any text that tells versions apart will do: only who refers to whom is compared."""
        if not row.surrogate:
            return
        self.run(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {row.surrogate} VARCHAR")
        made = f"concat({row.keys[0]}, ' from ', epoch_us(valid_from))"
        self.run(f"UPDATE {table} SET {row.surrogate} = {made}")

    def _overwrite(self, row: Row, carried: list[str], first: bool) -> dict[str, int]:
        table, names = f"dev_silver.retail.{row.name}", ", ".join(carried)
        self.run(f"CREATE OR REPLACE TEMP TABLE arriving AS SELECT {names} FROM latest WHERE NOT _laketasks_del")
        stored = "arriving WHERE false" if first else table
        added = self.number(f"SELECT count(*) FROM (FROM arriving EXCEPT ALL SELECT {names} FROM {stored})")
        rows = self.number("SELECT count(*) FROM arriving")
        self.run(f"CREATE OR REPLACE TABLE {table} AS FROM arriving")
        return {
            "new": added,
            "unchanged": rows - added,
            "ignored": self.number("SELECT count(*) FROM latest WHERE _laketasks_del"),
        }

    def _judge(self, row: Row, stored: str, fate: str) -> None:
        self.run(
            f"CREATE OR REPLACE TEMP TABLE judged AS SELECT s.*, {fate} AS fate "
            f"FROM latest AS s LEFT JOIN {stored} AS t ON {_same(row.keys, 's', 't')}"
        )

    def _fates(self) -> dict[str, int]:
        counted = self.run("SELECT IF(fate = 'in place', 'changed', fate), count(*) FROM judged GROUP BY 1")
        return {str(fate): int(rows) for fate, rows in counted}

    def _missing(self, row: Row, table: str, update: str, current: str) -> dict[str, int]:
        """Keys that a snapshot no longer holds; when they ended is the run's own time and is not compared."""
        if row.config.source_mode != "snapshot":
            return {"keys_missing": 0}
        condition = f"{current} AND NOT EXISTS (SELECT 1 FROM latest AS s WHERE {_same(row.keys, 's', 't')})"
        keys = self.number(f"SELECT count(*) FROM {table} AS t WHERE {condition}")
        if row.config.on_missing != "ignore":
            self.run(f"{update.format(table=table)} WHERE {condition}")
        return {"keys_missing": keys}


def _same(keys: tuple[str, ...], left: str, right: str) -> str:
    return " AND ".join(f"{left}.{key} IS NOT DISTINCT FROM {right}.{key}" for key in keys)


def _differ(columns: list[str]) -> str:
    return "(" + " OR ".join(f"s.{c} IS DISTINCT FROM t.{c}" for c in columns) + ")"
