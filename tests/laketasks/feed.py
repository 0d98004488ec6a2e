"""A change source that only grows, for the tests of what many rows per key come to."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.laketasks.warehouse import T, Warehouse

COLUMNS = "id bigint, a string, gone boolean, seq timestamp, arrived timestamp"
EVENTS = {
    "source_mode": "events",
    "sequence_by": "seq",
    "watermark": "arrived",
    "apply_as_deletes": "gone",
    "except_column_list": ["gone", "arrived"],
}
Event = tuple[int, str | None, int]  # id, value, sequence
GONE = "a delete"


def at(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(seconds=seconds)


@dataclass
class Feed:
    """A source that only grows; each batch arrives a day after the last."""

    warehouse: Warehouse
    pipeline: str = "scd2"
    load_type: str = "incremental"
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    batches: int = 0

    def bring(self, *events: Event) -> None:
        self.batches += 1
        for key, value, sequence in events:
            row = (key, None if value == GONE else value, value == GONE, at(sequence), T(self.batches))
            self.rows.append(row)
        self.warehouse.source(COLUMNS, *self.rows)

    def load(self, *events: Event, **config: Any) -> dict[str, Any]:
        self.bring(*events)
        return self.warehouse.load(self.pipeline, load_type=self.load_type, **(EVENTS | config))

    def versions(self, *more: str) -> list[tuple[Any, ...]]:
        rows = [(row[0], row[1], row[-3], row[-2], *row[2:-3]) for row in self.warehouse.history("a", *more)]
        return sorted(rows, key=lambda row: (row[0], row[2]))

    def states(self, *columns: str) -> list[tuple[Any, ...]]:
        return self.warehouse.rows("id", "a", *columns)
