"""Random histories of tables whose rules change and whose quarantined rows are released, compared with a plain model.

50 histories of two keys are the keys of one table. In each of them rows change, are corrected in place, vanish and come
back; the rule and the nights on which rows are released are those of the table.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from laketasks.entry import release_table
from tests.laketasks.warehouse import T, Warehouse

HISTORIES = 50
NIGHTS = 6
KEYS = ["history", "id"]
COLUMNS = "history int, id bigint, a int, u timestamp"
ORDER = {"sequence_by": ["u"], "on_empty_source": "allow", "max_delete_ratio": 1}
Row = tuple[int, float]  # value, sequence


@dataclass
class Key:
    """What the table and its quarantine table should have of one key. `states` are the values in order."""

    states: list[Row] = field(default_factory=list)
    waiting: dict[Row, int] = field(default_factory=dict)

    def stale(self, row: Row, *, equal: bool = False) -> bool:
        return bool(self.states) and (row[1] < self.states[-1][1] or (equal and row[1] == self.states[-1][1]))

    def read(self, row: Row, limit: int, night: int) -> None:
        if row[0] >= limit:
            self.waiting.setdefault(row, night)
        elif not self.stale(row) and (not self.states or self.states[-1][0] != row[0]):
            self.states.append(row)

    def release(self, now: Row | None, limit: int, night: int) -> None:
        if not self.waiting:
            return
        good = now is not None and now[0] < limit
        fed: dict[float, tuple[int, Row]] = {}
        for row, at in list(self.waiting.items()):
            in_source = now is not None and now[1] == row[1]
            if row[0] >= limit:
                if (good and now is not None and now[1] >= row[1]) or self.stale(row, equal=True):
                    del self.waiting[row]
                continue
            del self.waiting[row]
            if not in_source and not self.stale(row, equal=True):
                fed[row[1]] = max(fed.get(row[1], (0, row)), (at, row))
        for _, row in (fed[sequence] for sequence in sorted(fed)):
            self.read(row, limit, night)
        if now is not None:
            self.read(now, limit, night)


def next_state(dice: random.Random, now: Row | None, night: int) -> Row | None:
    """The row of a key on the next night: as it was, gone, corrected in place, or another one."""
    chance = dice.random()
    if now is not None and chance < 0.45:
        return None if chance < 0.1 else (dice.randrange(30), now[1]) if chance < 0.25 else now
    return (dice.randrange(30), float(night)) if chance < 0.9 else now


@pytest.mark.parametrize(
    ("pipeline", "load_type"), [("scd1", "full"), ("scd2", "incremental"), ("fact_incremental_merge", "incremental")]
)
def test_any_history_of_rules_and_releases(
    warehouse: Warehouse, pipeline: str, load_type: str, engine: str, request: pytest.FixtureRequest
) -> None:
    seed = request.config.getoption("--seed") or 15
    print(f"seed {seed}")
    dice = random.Random(seed)
    source: dict[tuple[int, int], Row | None] = {(number, key): None for number in range(HISTORIES) for key in (1, 2)}
    model = {key: Key() for key in source}
    mark, rules = 0.0, 0
    for night in range(1, NIGHTS + 1):
        source = {key: next_state(dice, row, night) for key, row in source.items()}
        rows = [(*key, row[0], T(row[1])) for key, row in source.items() if row is not None]
        warehouse.source(COLUMNS, (HISTORIES, 0, -1, T(night)), *rows)
        limit = dice.choice((10, 15, 30))
        row: dict[str, Any] = {"keys": KEYS, "load_type": load_type, **ORDER}
        row["expectations"] = {"expect_or_quarantine": {"small": f"a < {limit}"}}
        if night > 1 and dice.random() < 0.6:
            for _ in range(2):
                release_table(warehouse.parameters(pipeline, **row))
                for key, expected in model.items():
                    expected.release(source[key], limit, night)
            compare(warehouse, model, pipeline, f"seed {seed}, night {night}, after the release")
        since = mark if load_type == "incremental" and limit == rules else 0.0
        for key, now in source.items():
            if now is not None and now[1] >= since:
                model[key].read(now, limit, night)
        mark, rules = float(night), limit
        warehouse.load(pipeline, twice=False, **row)
        compare(warehouse, model, pipeline, f"seed {seed}, night {night}")


def compare(warehouse: Warehouse, model: dict[tuple[int, int], Key], pipeline: str, when: str) -> None:
    found: dict[tuple[int, int], list[tuple[int, str]]] = {}
    for row in sorted(warehouse.table(), key=lambda row: row.get("valid_from", 0)):
        found.setdefault((row["history"], row["id"]), []).append((row["a"], str(row["_sequence"])))
    aside: dict[tuple[int, int], list[int]] = {}
    table = f"{warehouse.target}_quarantine"
    if warehouse.spark.catalog.tableExists(table):
        for row in warehouse.spark.table(table).where("_released_at IS NULL").collect():
            aside.setdefault((row["history"], row["id"]), []).append(row["a"])
    for key, expected in model.items():
        states = expected.states if pipeline == "scd2" else expected.states[-1:]
        assert [value for value, _ in found.get(key, [])] == [value for value, _ in states], (when, key, expected)
        assert sorted(aside.get(key, [])) == sorted(value for value, _ in expected.waiting), (when, key, expected)
