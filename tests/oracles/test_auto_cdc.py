"""scd1 and scd2 of change sources beside Spark's AUTO CDC, type 1 and type 2."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from tests.laketasks.warehouse import T, Warehouse
from tests.oracles.auto_cdc import run_auto_cdc
from tests.oracles.histories import KEYS, SEEDS, EventHistories, event_histories
from tests.oracles.version import OPEN_END, Version, assert_equal, ours

pytestmark = [pytest.mark.oracle, pytest.mark.timeout(3600)]
COLUMNS = "history bigint, id bigint, a string, b bigint, c string, gone boolean, seq timestamp"
EVENTS: dict[str, Any] = {
    "keys": KEYS,
    "load_type": "incremental",
    "source_mode": "events",
    "sequence_by": "seq",
    "watermark": "arrived",
    "apply_as_deletes": "gone",
    "except_column_list": ["gone", "seq", "arrived"],
    "max_delete_ratio": 1,
}


@pytest.fixture(params=SEEDS, scope="module")
def histories(request: pytest.FixtureRequest) -> EventHistories:
    return event_histories(request.param)


@pytest.fixture(scope="module")
def auto_cdc(histories: EventHistories, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what AUTO CDC made of the histories."""
    folder = tmp_path_factory.mktemp("auto_cdc")
    for number, events in enumerate(histories.batches):
        _write(folder / "batches" / str(number), [event.row for event in events])
    print(run_auto_cdc(folder))
    return folder


def load(warehouse: Warehouse, pipeline: str, histories: EventHistories, **config: Any) -> None:
    """Each batch arrives a day after the last, in a source that only grows."""
    rows: list[tuple[Any, ...]] = []
    for number, events in enumerate(histories.batches):
        rows += [(*event.row, T(number)) for event in events]
        warehouse.source(f"{COLUMNS}, arrived timestamp", *rows)
        warehouse.load(pipeline, **EVENTS, **config)


@pytest.mark.parametrize("delete_mode", ["hard", "soft"])
def test_type_1(
    warehouse: Warehouse, histories: EventHistories, auto_cdc: Path, delete_mode: str, say: Callable[[str], None]
) -> None:
    load(warehouse, "scd1", histories, delete_mode=delete_mode)
    alive = "NOT is_deleted" if delete_mode == "soft" else "true"
    rows = warehouse.spark.table(warehouse.target).where(alive).selectExpr(*KEYS, "a", "b", "c").collect()
    found = [_state(*row) for row in rows]
    theirs = [_state(*row) for row in _read(auto_cdc / "scd1", [*KEYS, "a", "b", "c"])]
    tied = histories.deleted_when_changed()
    found, theirs = ([row for row in rows if row.key not in tied] for rows in (found, theirs))
    say(histories.summary())
    say(f"{assert_equal(found, theirs, histories.story)} rows; {len(tied)} keys end with a change and a delete at once")


def test_type_2(warehouse: Warehouse, histories: EventHistories, auto_cdc: Path, say: Callable[[str], None]) -> None:
    load(warehouse, "scd2", histories)
    rows = _read(auto_cdc / "scd2", [*KEYS, "__START_AT", "__END_AT", "a", "b", "c"])
    theirs = [Version(*row[:2], _aware(row[2]), _aware(row[3]), *row[4:]) for row in rows]
    late = histories.changed_after_its_delete()
    found, theirs = ([row for row in rows if row.key not in late] for rows in (ours(warehouse), theirs))
    say(
        f"{assert_equal(found, theirs, histories.story)} versions; {len(late)} keys with a change that came after a "
        "delete of its instant"
    )


def _state(history: int, i: int, *values: Any) -> Version:
    """A row of type 1 has no period."""
    return Version(history, i, T(0), OPEN_END, *values)


def _write(folder: Path, rows: list[tuple[Any, ...]]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = [pa.int64(), pa.int64(), pa.string(), pa.int64(), pa.string(), pa.bool_(), pa.timestamp("us", "UTC")]
    names = [column.split(" ")[0] for column in COLUMNS.split(", ")]
    columns = [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)]
    folder.mkdir(parents=True)
    pq.write_table(pa.Table.from_arrays(columns, names), folder / "events.parquet")


def _read(folder: Path, columns: list[str]) -> list[tuple[Any, ...]]:
    import pyarrow.parquet as pq

    return [tuple(row[name] for name in columns) for row in pq.read_table(folder).to_pylist()]


def _aware(moment: datetime | None) -> datetime:
    """Parquet's instant, as the plain datetime that it is."""
    return OPEN_END if moment is None else datetime.fromtimestamp(moment.timestamp(), tz=timezone.utc)
