"""Case 96: the same events in any order and any batches give the same table; the seed is printed."""

from __future__ import annotations

import random

import pytest

from tests.laketasks.feed import GONE, Event, Feed
from tests.laketasks.warehouse import Warehouse


def _random_events(dice: random.Random) -> list[Event]:
    """Up to 80 events of 5 keys: 20 % deletes, 25 % NULL, 15 % exact duplicates; one value per key and sequence."""
    events: dict[tuple[int, int], Event] = {}
    for _ in range(dice.randint(20, 68)):
        key, sequence = dice.randint(1, 5), dice.randint(1, 40)
        value = GONE if dice.random() < 0.2 else None if dice.random() < 0.25 else dice.choice("abc")
        events.setdefault((key, sequence), (key, value, sequence))
    made = list(events.values())
    return made + [event for event in made if dice.random() < 0.15]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_96_any_batching_gives_the_same_table(warehouse: Warehouse, pipeline: str, seed: int) -> None:
    dice = random.Random(seed)
    print(f"seed {seed}")
    events = _random_events(dice)
    state = ("id", "a", "seq", "_sequence", "is_deleted", "deleted_at")
    columns = (*state, "valid_from", "valid_to", "is_current") if pipeline == "scd2" else state
    Feed(warehouse=warehouse, pipeline=pipeline).load(*sorted(events, key=lambda event: event[2]))
    at_once = warehouse.rows(*columns)
    warehouse.spark.sql(f"DELETE FROM {warehouse.target}").collect()
    dice.shuffle(events)
    feed, batches = Feed(warehouse=warehouse, pipeline=pipeline), dice.randint(4, 8)
    for batch in range(batches):
        feed.load(*events[batch::batches], max_delete_ratio=1, twice=False)
    assert warehouse.rows(*columns) == at_once
