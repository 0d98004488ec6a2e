"""The steps of histories through our loaders, each load twice."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from tests.laketasks.warehouse import Warehouse
from tests.oracles.histories import KEYS, State, StateHistories, run_start

COLUMNS = "history bigint, id bigint, a string, b bigint, c string, updated_at timestamp"


def load_snapshots(warehouse: Warehouse, histories: StateHistories, **config: Any) -> None:
    """Each step is all rows that the source has: a key that vanished is closed."""
    steps = [[_row(state) for state in states] for states in histories.steps]
    _load(warehouse, COLUMNS, steps, source_mode="snapshot", on_missing="close", **config)


def load_with_tombstones(warehouse: Warehouse, histories: StateHistories, **config: Any) -> None:
    """A key that vanished is there as a row that says so: of even ids with its last values, of odd ones with NULLs."""
    last: dict[tuple[int, int], State] = {}
    steps = []
    for states in histories.steps:
        there = {(state.history, state.id): state for state in states}
        gone = [(*key, *_last_words(state), state.updated_at, True) for key, state in last.items() if key not in there]
        steps.append([(*_row(state), False) for state in states] + gone)
        last |= there
    _load(warehouse, f"{COLUMNS}, gone boolean", steps, apply_as_deletes="gone", **config)


def _load(warehouse: Warehouse, columns: str, steps: Iterable[list[tuple[Any, ...]]], **config: Any) -> None:
    for step, rows in enumerate(steps):
        warehouse.source(columns, *rows)
        warehouse.load("scd2", keys=KEYS, **config)
        assert last_run(warehouse) == run_start(step)


def last_run(warehouse: Warehouse) -> datetime:
    """The start of the last load; its rerun came after it."""
    return run_start((warehouse.runs - 2) // 2)


def _row(state: State) -> tuple[Any, ...]:
    return (state.history, state.id, *state.values, state.updated_at)


def _last_words(state: State) -> tuple[Any, ...]:
    return state.values if state.id % 2 == 0 else (None, None, None)
