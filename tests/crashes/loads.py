"""The loads that are killed and raced, and what their tables must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from example.delta import read_table
from laketasks.spec import LoadSpec, RunContext, parse_config
from tests.conftest import CATALOGS
from tests.crashes import days

_AUDIT = ("_loaded_at", "_updated_at", "_job_run_id")
_ROWS = 20_000
_ORDER = {"sequence_by": "seq", "watermark": "arrived", "apply_as_deletes": "gone", "except_column_list": ["gone"]}


@dataclass(frozen=True, kw_only=True)
class Load:
    """One row of execution_table, whichever workspace it runs in; `make` makes so many keys' bronze rows of a day."""

    pipeline: str
    load_type: str
    config: dict[str, Any]
    rows: int
    make: Callable[[int, int], pa.Table]

    @property
    def stages(self) -> bool:
        """Whether rows are staged before they are written; an overwrite, and a first load, needs no staging."""
        return self.pipeline != "fact_overwrite"

    def source(self, day: int) -> pa.Table:
        return self.make(self.rows, day)

    def spec(self, bronze: str, silver: str, table: str) -> LoadSpec:
        config, problems = parse_config(self.config)
        assert not problems
        dimension = self.pipeline in ("scd1", "scd2")
        return LoadSpec(
            execution_pipeline=self.pipeline,
            source_table=f"{bronze}.source",
            target_table=f"{silver}.{table}",
            load_type=self.load_type,
            business_key_columns=("id",) if dimension else (),
            primary_key_columns=("sk",) if self.pipeline == "scd2" else () if dimension else ("id",),
            cdc_source_config=config,
            src_system="test",
        )


LOADS = MappingProxyType(
    {
        "scd1": Load(pipeline="scd1", load_type="full", config=_ORDER, rows=_ROWS, make=days.state),
        "scd2": Load(pipeline="scd2", load_type="full", config=_ORDER, rows=_ROWS, make=days.state),
        "fact_overwrite": Load(
            pipeline="fact_overwrite",
            load_type="full",
            config={"apply_as_deletes": "gone"},
            rows=_ROWS,
            make=days.state,
        ),
        "fact_incremental_merge": Load(
            pipeline="fact_incremental_merge", load_type="incremental", config=_ORDER, rows=_ROWS, make=days.state
        ),
        "scd2_events": Load(
            pipeline="scd2",
            load_type="incremental",
            config=_ORDER | {"source_mode": "events", "except_column_list": ["gone", "arrived"]},
            rows=_ROWS // 10,  # a load of events takes as long as one of ten times as many states
            make=days.events,
        ),
    }
)


@dataclass(frozen=True)
class Place:
    """A workspace of one load: `bronze` and `silver` are catalog and schema."""

    folder: Path
    bronze: tuple[str, str]
    silver: tuple[str, str]

    @classmethod
    def of(cls, engine: str, folder: Path) -> Place:
        bronze, silver = CATALOGS[engine]
        return cls(folder, (bronze, "b"), (silver, "s"))

    @property
    def schemas(self) -> list[tuple[str, str]]:
        return [self.bronze, self.silver]

    @property
    def silver_folder(self) -> Path:
        return self.folder.joinpath(*self.silver)

    @property
    def source_folder(self) -> Path:
        return self.folder.joinpath(*self.bronze, "source")

    def parameters(self, load: Load, run: int, attempt: int = 1, table: str = "target") -> dict[str, str]:
        """The task's named parameters; a retry has the run's id and start, a new run its own."""
        spec = load.spec(".".join(self.bronze), ".".join(self.silver), table)
        context = RunContext(
            job_run_id=str(run),
            task_key=table,
            run_log=".".join((*self.silver, "run_log")),
            attempt=attempt,
            job_start_time=f"2024-06-{run + 1:02}T00:00:00+00:00",
        )
        return {**spec.to_parameters(), **context.to_parameters()}

    def table(self, name: str = "target") -> pa.Table:
        """The table's rows in order, without the columns that tell when and by which run they were written."""
        rows = read_table(self.silver_folder / name)
        kept = [column for column in rows.column_names if column not in _AUDIT]
        plain = {pa.string_view(): pa.string()}  # views cannot be sorted
        rows = rows.select(kept)
        rows = rows.cast(pa.schema([(field.name, plain.get(field.type, field.type)) for field in rows.schema]))
        order = [(column, "ascending") for column in ("id", "valid_from") if column in rows.column_names]
        return rows.sort_by(order).combine_chunks()

    def log(self) -> list[dict[str, Any]]:
        """The run log's rows, oldest first."""
        rows = read_table(self.silver_folder / "run_log").to_pylist()
        return sorted(map(dict, rows), key=lambda row: row["ended_at"])

    def commits(self, name: str) -> int:
        return len(list((self.silver_folder / name / "_delta_log").glob("*[0-9].json")))

    def files(self, name: str) -> int:
        """Files of rows and of deletion vectors in the table's folder, whether they are in a commit or not."""
        return sum(path.suffix in (".parquet", ".bin") for path in (self.silver_folder / name).glob("**/*"))
