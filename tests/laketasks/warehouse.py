"""A warehouse of one source and one target, in which every load is run twice: the second must change nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deltalake import DeltaTable

from laketasks.entry import load_table
from laketasks.spec import LoadSpec, RunContext, parse_config
from laketasks.sql import micros

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPEN = "∞"
FATES = ("new", "changed", "deleted", "unchanged", "duplicates", "stale", "ignored", "dropped", "quarantined")
_TOLD = "numTargetRowsInserted"
EFFECTS = ("rows_inserted", "rows_updated", "rows_deleted")


def T(n: float) -> datetime:  # noqa: N802
    """The n-th instant of a source's sequence."""
    return datetime(2024, 1, 1, tzinfo=timezone.utc) + timedelta(days=n)


def R(n: float) -> datetime:  # noqa: N802
    """The start of the n-th run."""
    return datetime(2024, 6, 1, tzinfo=timezone.utc) + timedelta(days=n)


@dataclass
class Warehouse:
    spark: SparkSession
    workspace: Path
    bronze: tuple[str, str]  # catalog and schema
    silver: tuple[str, str]
    table_name: str = "target"
    runs: int = 0
    again: dict[str, Any] = field(default_factory=dict)  # the counts of the last load's second run
    _read: tuple[int, list[dict[str, Any]]] = (0, [])  # commits, and the rows that the table had then

    @property
    def target(self) -> str:
        return self.silver_table(self.table_name)

    @property
    def run_log(self) -> str:
        return self.silver_table("run_log")

    @property
    def target_folder(self) -> Path:
        return self.workspace.joinpath(*self.silver, self.table_name)

    def bronze_table(self, name: str) -> str:
        return ".".join((*self.bronze, name))

    def silver_table(self, name: str) -> str:
        return ".".join((*self.silver, name))

    def source(self, columns: str, *rows: tuple[Any, ...], name: str = "source") -> None:
        """Replace the source table; datetimes are instants."""
        table = self.bronze_table(name)
        parts = [part.rsplit(" ", 1) for part in columns.split(", ")]
        plain = ", ".join(f"{column} {'bigint' if kind == 'timestamp' else kind}" for column, kind in parts)
        data = [tuple(micros(v) if isinstance(v, datetime) else v for v in row) for row in rows]
        select = [f"timestamp_micros({c}) AS {c}" if kind == "timestamp" else c for c, kind in parts]
        frame = self.spark.createDataFrame(data, plain).selectExpr(*select)
        if self.spark.catalog.tableExists(table):
            frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true").saveAsTable(table)
        else:
            frame.write.format("delta").saveAsTable(table)

    def load(
        self, pipeline: str, *, twice: bool = True, context: dict[str, str] | None = None, **row: Any
    ) -> dict[str, Any]:
        """Load the target, then once more; the counts of the first, from the run log."""
        before, committed = self.table(), self.commits()
        first = self._once(pipeline, row, context or {})
        if pipeline != "fact_overwrite" and "full_refresh" not in (context or {}):
            self._check_effects(_identity(pipeline, row), before, first)
            self._check_metrics(first, committed)
        if twice:
            commits, rows = self.commits(), self.everything()
            self.touch(row.get("source_name", "source"))
            self.again = self._once(pipeline, row, {})
            assert self.commits() == commits, f"the rerun committed: {self.again}"
            assert self.everything() == rows
            assert [self.again[effect] for effect in EFFECTS] == [0, 0, 0]
        return first

    def touch(self, name: str = "source") -> None:
        """Commit to the source without changing a row, where a load would otherwise see that nothing has changed."""
        folder = self.workspace.joinpath(*self.bronze, name)
        if (folder / "_delta_log").is_dir():
            DeltaTable(folder).alter.set_table_properties({"touched": str(self.runs)}, raise_if_not_exists=False)

    def refuses(self, pipeline: str, error: type[Exception], match: str, **row: Any) -> None:
        """The load fails with this message and leaves the target as it was."""
        commits, rows = self.commits(), self.everything()
        with pytest.raises(error, match=match):
            self._once(pipeline, row, {})
        assert self.commits() == commits
        assert self.everything() == rows
        assert self.last_row()["status"] == "FAILED"

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """The target's rows, sorted; instants as T1, R2 or ∞, seconds near the epoch as numbers."""
        return in_order(tuple(shown(row[column]) for column in columns) for row in self.table())

    def history(self, *attributes: str) -> list[tuple[Any, ...]]:
        """SCD2 rows as the cases write them: id, attributes, from, to, current."""
        check_intervals(self.table(), ("id",))
        found = self.rows("id", "valid_from", *attributes, "valid_to", "is_current")
        return [(row[0], *row[2:-2], row[1], row[-2], "Y" if row[-1] else "N") for row in found]

    def table(self) -> list[dict[str, Any]]:
        """The target's rows by column, instants as `Instant`; read anew when there has been a commit."""
        commits = self.commits()
        if self._read[0] != commits:
            frame = self.spark.table(self.target)
            stamps = {name for name, kind in frame.dtypes if kind == "timestamp"}
            quoted = (f"`{name}`" for name in frame.columns)
            select = [f"unix_micros({q}) AS {q}" if q[1:-1] in stamps else q for q in quoted]
            rows = [row.asDict() for row in frame.selectExpr(*select).collect()]
            self._read = (
                commits,
                [{n: Instant(v) if n in stamps and v is not None else v for n, v in row.items()} for row in rows],
            )
        return self._read[1]

    def commits(self) -> int:
        """Commits of the target's Delta log; 0 when it does not exist."""
        return len(list((self.target_folder / "_delta_log").glob("*.json")))

    def files(self) -> set[str]:
        """Every data file that the target's folder holds."""
        return {path.name for path in self.target_folder.glob("*.parquet")}

    def merges(self, after: int = 0) -> list[dict[str, int]]:
        """The rows that each MERGE since a commit says it wrote, of those that say so; DESCRIBE HISTORY's numbers."""
        metrics = [info["operationMetrics"] for info in self._commit_infos(after) if info.get("operation") == "MERGE"]
        return [{e: int(m[f"numTargetRows{e[5:].title()}"]) for e in EFFECTS} for m in metrics if _TOLD in m]

    def updated(self, after: int) -> int:
        """The rows that UPDATEs since a commit say they wrote."""
        metrics = [i.get("operationMetrics", {}) for i in self._commit_infos(after) if i.get("operation") == "UPDATE"]
        return sum(int(m.get("numUpdatedRows", m.get("num_updated_rows", 0))) for m in metrics)

    def _commit_infos(self, after: int) -> list[dict[str, Any]]:
        logs = sorted((self.target_folder / "_delta_log").glob("*.json"))[after:]
        return [json.loads(line).get("commitInfo", {}) for log in logs for line in log.read_text().splitlines()]

    def everything(self) -> list[str]:
        return sorted(map(str, self.table()))

    def last_row(self) -> dict[str, Any]:
        rows = self.spark.table(self.run_log).where(f"job_run_id = '{self.runs}'").collect()
        assert len(rows) == 1
        return dict(rows[0].asDict())

    def leftovers(self) -> list[str]:
        """Staging tables that were not dropped."""
        tables = self.spark.sql(f"SHOW TABLES IN {'.'.join(self.silver)}").collect()
        return [row["tableName"] for row in tables if "__laketasks_" in row["tableName"]]

    def parameters(self, pipeline: str, **row: Any) -> dict[str, str]:
        """The named parameters of the next run's task; what is no column of the row is a key of its configuration."""
        self.runs += 1
        columns = ("keys", "load_type", "sql_file_path", "surrogate", "source_name")
        config, problems = parse_config({name: value for name, value in row.items() if name not in columns})
        assert not problems
        spec = _spec(self, pipeline, {name: row[name] for name in columns if name in row}, config)
        run = RunContext(
            job_run_id=str(self.runs),
            task_key=self.table_name,
            run_log=self.run_log,
            job_start_time=R(self.runs).isoformat(),
            catalogs={"bronze_catalog": self.bronze[0], "silver_catalog": self.silver[0]},
        )
        return {**spec.to_parameters(), **run.to_parameters()}

    def _once(self, pipeline: str, row: dict[str, Any], context: dict[str, str]) -> dict[str, Any]:
        load_table({**self.parameters(pipeline, **row), **context})
        assert not self.leftovers()
        logged = self.last_row()
        assert logged["read"] == sum(logged[fate] for fate in FATES)
        return logged

    def _check_effects(self, identity: tuple[str, ...], before: list[dict[str, Any]], log: dict[str, Any]) -> None:
        """The effects that were logged are those seen in the table."""
        old, new = (_by(identity, rows) for rows in (before, self.table()))
        changed = sum(old[key] != new[key] for key in old.keys() & new.keys())
        seen = [len(new.keys() - old.keys()), changed, len(old.keys() - new.keys())]
        assert [log[effect] for effect in EFFECTS] == seen

    def _check_metrics(self, log: dict[str, Any], after: int) -> None:
        """Case 126, after every load: the effects are those that the engine tells of its MERGE, where it does."""
        for told in self.merges(after):
            told["rows_updated"] += self.updated(after)
            assert {effect: log[effect] for effect in EFFECTS} == told


class Instant(int):
    """Microseconds since the epoch."""


def check_intervals(rows: list[dict[str, Any]], keys: tuple[str, ...]) -> None:
    """Case 75, after every look: no overlap, at most one open version, from < to, current means open."""
    by_key: dict[Any, list[tuple[int, int, bool]]] = {}
    for row in rows:
        version = (row["valid_from"], row["valid_to"], row["is_current"])
        by_key.setdefault(tuple(row[key] for key in keys), []).append(version)
    for key, versions in by_key.items():
        versions.sort()
        assert all(start < end for start, end, _ in versions), (key, versions)
        assert all(left[1] <= right[0] for left, right in pairwise(versions)), (key, versions)
        assert all(current is (shown(end) == OPEN) for _, end, current in versions), (key, versions)


def in_order(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Rows sorted column by column, NULL first."""
    return sorted(
        rows, key=lambda row: [(v is not None, isinstance(v, str), v if isinstance(v, int) else str(v)) for v in row]
    )


def _by(identity: tuple[str, ...], rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], str]:
    """The rows by identity, as text without NULLs: a row with a new column that is NULL is the row it was."""
    named = [[(name, value) for name, value in row.items() if value is not None] for row in rows]
    keys = [tuple(value for name, value in row.items() if name.lower() in identity) for row in rows]
    return dict(zip(keys, map(str, named), strict=True))


def _identity(pipeline: str, row: dict[str, Any]) -> tuple[str, ...]:
    keys = tuple(key.lower() for key in row.get("keys", ("id",)))
    return (*keys, "valid_from") if pipeline == "scd2" else keys


def _spec(warehouse: Warehouse, pipeline: str, named: dict[str, Any], config: Any) -> LoadSpec:
    keys = tuple(named.get("keys", () if pipeline == "fact_overwrite" else ("id",)))
    dimension = pipeline in ("scd1", "scd2")
    sql = named.get("sql_file_path", "")
    return LoadSpec(
        execution_pipeline=pipeline,
        target_table=warehouse.target,
        source_table="" if sql else warehouse.bronze_table(named.get("source_name", "source")),
        sql_file_path=sql,
        load_type=named.get("load_type", "full"),
        business_key_columns=keys if dimension else (),
        primary_key_columns=tuple(named.get("surrogate", ())) if dimension else keys,
        cdc_source_config=config,
        src_system="test",
        comment="the target's comment",
    )


def shown(value: Any) -> Any:
    """A value as the cases write it: instants as T1, R2 or ∞, or as seconds where they are near the epoch."""
    if not isinstance(value, Instant):
        return value
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=value)
    if moment.year == 9999:
        return OPEN
    if moment.year == 1970:
        return int(moment.timestamp())
    name, base = ("R", R(0)) if moment >= R(0) else ("T", T(0))
    days = (moment - base) / timedelta(days=1)
    return f"{name}{days:g}" if days == round(days, 2) and 0 <= days < 500 else moment.isoformat()
