"""A warehouse of one source and one target, in which every load is run twice: the second must change nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from laketasks.entry import load_table
from laketasks.spec import LoadSpec, RunContext, parse_config
from laketasks.sql import micros

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

OPEN = "∞"


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
    runs: int = 0
    labels: dict[int, str] = field(default_factory=dict)

    @property
    def target(self) -> str:
        return self.silver_table("target")

    @property
    def run_log(self) -> str:
        return self.silver_table("run_log")

    @property
    def target_folder(self) -> Path:
        return self.workspace.joinpath(*self.silver, "target")

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
        first = self._once(pipeline, row, context or {})
        if twice:
            commits, rows = self.commits(), self.everything()
            again = self._once(pipeline, row, {})
            assert self.commits() == commits, f"the rerun committed: {again}"
            assert self.everything() == rows
            assert (again["rows_inserted"], again["rows_updated"], again["rows_deleted"]) == (0, 0, 0)
        return first

    def refuses(self, pipeline: str, error: type[Exception], match: str, **row: Any) -> None:
        """The load fails with this message and leaves the target as it was."""
        commits, rows = self.commits(), self.everything()
        with pytest.raises(error, match=match):
            self._once(pipeline, row, {})
        assert self.commits() == commits
        assert self.everything() == rows
        assert self.last_row()["status"] == "FAILED"

    def rows(self, *columns: str) -> list[tuple[Any, ...]]:
        """The target's rows, sorted; instants as T1, R2 or ∞."""
        kinds = dict(self.spark.table(self.target).dtypes)
        select = [f"unix_micros({c}) AS {c}" if kinds[c] == "timestamp" else f"`{c}`" for c in columns]
        found = self.spark.table(self.target).selectExpr(*select).collect()
        stamps = {i for i, c in enumerate(columns) if kinds[c] == "timestamp"}
        found.sort(
            key=lambda row: [(value is not None, value if isinstance(value, int) else str(value)) for value in row]
        )
        return [tuple(_label(v) if i in stamps else v for i, v in enumerate(row)) for row in found]

    def history(self, *attributes: str) -> list[tuple[Any, ...]]:
        """SCD2 rows as the cases write them: id, attributes, from, to, current."""
        self._check_intervals()
        found = self.rows("id", "valid_from", *attributes, "valid_to", "is_current")
        return [(row[0], *row[2:-2], row[1], row[-2], "Y" if row[-1] else "N") for row in found]

    def commits(self) -> int:
        """Commits of the target's Delta log; 0 when it does not exist."""
        return len(list((self.target_folder / "_delta_log").glob("*.json")))

    def files(self) -> set[str]:
        """Every data file that the target's folder holds."""
        return {path.name for path in self.target_folder.glob("*.parquet")}

    def everything(self) -> list[str]:
        if not self.spark.catalog.tableExists(self.target):
            return []
        return sorted(map(str, self.spark.table(self.target).collect()))

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
        columns = ("keys", "load_type", "sql_file_path", "surrogate")
        config, problems = parse_config({name: value for name, value in row.items() if name not in columns})
        assert not problems
        spec = _spec(self, pipeline, {name: row[name] for name in columns if name in row}, config)
        run = RunContext(
            job_run_id=str(self.runs),
            task_key="target",
            run_log=self.run_log,
            job_start_time=R(self.runs).isoformat(),
            catalogs={"bronze_catalog": self.bronze[0], "silver_catalog": self.silver[0]},
        )
        return {**spec.to_parameters(), **run.to_parameters()}

    def _once(self, pipeline: str, row: dict[str, Any], context: dict[str, str]) -> dict[str, Any]:
        load_table({**self.parameters(pipeline, **row), **context})
        assert not self.leftovers()
        logged = self.last_row()
        fates = ("new", "changed", "deleted", "unchanged", "duplicates", "stale", "ignored", "dropped", "quarantined")
        assert logged["read"] == sum(logged[fate] for fate in fates)
        return logged

    def _check_intervals(self) -> None:
        """Case 75, after every look: no overlap, at most one open version, from < to, current means open."""
        by_key: dict[Any, list[tuple[int, int, bool]]] = {}
        frame = self.spark.table(self.target)
        for row in frame.selectExpr(
            "id", "unix_micros(valid_from) f", "unix_micros(valid_to) t", "is_current c"
        ).collect():
            by_key.setdefault(row["id"], []).append((row["f"], row["t"], row["c"]))
        for versions in by_key.values():
            versions.sort()
            assert all(start < end for start, end, _ in versions)
            assert all(left[1] <= right[0] for left, right in pairwise(versions))
            assert all(current is (_label(end) == OPEN) for _, end, current in versions)


def _spec(warehouse: Warehouse, pipeline: str, named: dict[str, Any], config: Any) -> LoadSpec:
    keys = tuple(named.get("keys", () if pipeline == "fact_overwrite" else ("id",)))
    dimension = pipeline in ("scd1", "scd2")
    sql = named.get("sql_file_path", "")
    return LoadSpec(
        execution_pipeline=pipeline,
        target_table=warehouse.target,
        source_table="" if sql else warehouse.bronze_table("source"),
        sql_file_path=sql,
        load_type=named.get("load_type", "full"),
        business_key_columns=keys if dimension else (),
        primary_key_columns=tuple(named.get("surrogate", ())) if dimension else keys,
        cdc_source_config=config,
        src_system="test",
        comment="the target's comment",
    )


def _label(value: int | None) -> str | None:
    if value is None:
        return None
    moment = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=value)
    if moment.year == 9999:
        return OPEN
    name, base = ("R", R(0)) if moment >= R(0) else ("T", T(0))
    days = (moment - base) / timedelta(days=1)
    return f"{name}{days:g}" if days == round(days, 2) and 0 <= days < 500 else moment.isoformat()
