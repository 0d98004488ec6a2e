"""SQLMesh's SCD type 2 on DuckDB: the methods of its engine adapter that a model of that kind ends in.

What a plan adds (which interval runs when) is not compared. The calls are those of SQLMesh's SCDType2Strategy: the
first insert truncates, each has its execution time.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from tests.oracles.histories import KEYS, State
from tests.oracles.version import OPEN_END, Version

if TYPE_CHECKING:
    from sqlmesh.core.engine_adapter import EngineAdapter

TYPES = {"history": "BIGINT", "id": "BIGINT", "a": "TEXT", "b": "BIGINT", "c": "TEXT", "updated_at": "TIMESTAMP"}
PERIOD = {"valid_from": "TIMESTAMP", "valid_to": "TIMESTAMP"}


class SqlMeshTables:
    """Both kinds, loaded at each step: by_column on a, b, c; by_time on updated_at."""

    def __init__(self) -> None:
        from sqlmesh.core.config.connection import DuckDBConnectionConfig

        self.adapter: EngineAdapter = DuckDBConnectionConfig().create_engine_adapter()
        self.steps = 0
        for table, columns in self._columns().items():
            self.adapter.create_table(table, columns)

    def step(self, now: datetime, rows: Iterable[State]) -> None:
        import pandas as pd
        from sqlglot import exp

        plain = [(row.history, row.id, *row.values, row.updated_at.replace(tzinfo=None)) for row in rows]
        frame = pd.DataFrame(plain, columns=[*TYPES]).astype({"b": "Int64"})
        columns = self._columns()
        common: dict[str, Any] = {
            "unique_key": [exp.column(key) for key in KEYS],
            "valid_from_col": exp.column("valid_from"),
            "valid_to_col": exp.column("valid_to"),
            "execution_time": now.replace(tzinfo=None),
            "invalidate_hard_deletes": True,
            "truncate": self.steps == 0,
        }
        self.adapter.scd_type_2_by_column(
            target_table="by_column",
            source_table=frame.drop(columns="updated_at"),
            check_columns=[exp.column(name) for name in ("a", "b", "c")],
            execution_time_as_valid_from=True,
            target_columns_to_types=columns["by_column"],
            **common,
        )
        self.adapter.scd_type_2_by_time(
            target_table="by_time",
            source_table=frame,
            updated_at_col=exp.column("updated_at"),
            updated_at_as_valid_from=True,
            target_columns_to_types=columns["by_time"],
            **common,
        )
        self.steps += 1

    def by_column(self) -> list[Version]:
        rows = self.adapter.fetchall("SELECT history, id, valid_from, valid_to, a, b, c FROM by_column")
        return [_version(row) for row in rows]

    def by_time(self) -> dict[Version, datetime]:
        """Each with its updated_at."""
        rows = self.adapter.fetchall("SELECT history, id, valid_from, valid_to, a, b, c, updated_at FROM by_time")
        made = {_version(row[:-1]): _aware(row[-1]) for row in rows}
        assert len(made) == len(rows)
        return made

    def _columns(self) -> dict[str, dict[str, Any]]:
        from sqlglot import exp

        by_time = {name: exp.DataType.build(kind) for name, kind in (TYPES | PERIOD).items()}
        return {"by_time": by_time, "by_column": {k: v for k, v in by_time.items() if k != "updated_at"}}


def _version(row: tuple[Any, ...]) -> Version:
    return Version(*row[:2], _aware(row[2]), _aware(row[3]), *row[4:])


def _aware(moment: datetime | None) -> datetime:
    return OPEN_END if moment is None else moment.replace(tzinfo=timezone.utc)
