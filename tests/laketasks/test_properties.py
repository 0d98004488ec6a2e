"""What holds of any history, case 96 among it: many random histories are the keys of one table.

Hypothesis draws the seeds of the histories and prints them when a property does not hold; the message then names the
first history and shows its rows. After every load the warehouse sees to it that the counts add up and are those of the
table, that a second run commits nothing, and that no versions overlap (case 75).
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from laketasks.run_log import create_run_log
from tests.conftest import made_schemas
from tests.laketasks.cases import GONE
from tests.laketasks.feed import COLUMNS, EVENTS, at
from tests.laketasks.warehouse import T, Warehouse, check_intervals

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Event = tuple[int, str | None, int]  # id, value, sequence
HISTORIES = 34
EXAMPLES = {"sail": 3, "spark": 1}  # a statement of Spark takes seconds where Sail takes milliseconds
KEYS = ["history", "id"]
SEEDS = st.lists(st.integers(0, 2**32 - 1), min_size=HISTORIES, max_size=HISTORIES, unique=True)
House = Callable[[], Any]


def any_of(engine: str) -> settings:
    """As many examples as the engine affords; they are not shrunk, as each takes many loads."""
    return settings(
        max_examples=EXAMPLES[engine],
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )


@pytest.fixture
def house(engine: str, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> House:
    """Another empty warehouse each time."""

    @contextmanager
    def new() -> Iterator[Warehouse]:
        workspace = tmp_path_factory.mktemp("house")
        with made_schemas(engine, spark, workspace, f"p_{uuid.uuid4().hex[:12]}") as schemas:
            made = Warehouse(spark=spark, workspace=workspace, bronze=schemas.bronze, silver=schemas.silver)
            create_run_log(spark, made.run_log)
            yield made

    return new


def random_events(dice: random.Random) -> list[Event]:
    """Up to 80 events of 5 keys: 20 % deletes, 25 % NULL, 15 % exact duplicates; one value per key and sequence."""
    events: dict[tuple[int, int], Event] = {}
    for _ in range(dice.randint(1, 68)):
        key, sequence = dice.randint(1, 5), dice.randint(1, 40)
        value = GONE if dice.random() < 0.2 else None if dice.random() < 0.25 else dice.choice("abc")
        events.setdefault((key, sequence), (key, value, sequence))
    made = list(events.values())
    return made + [event for event in made if dice.random() < 0.15]


def source_rows(histories: list[list[list[Event]]], batches: int) -> list[tuple[Any, ...]]:
    """The rows of all histories' first batches; each batch arrives a day after the last."""
    return [
        (number, key, None if value == GONE else value, value == GONE, at(sequence), T(arrived))
        for number, history in enumerate(histories)
        for arrived, batch in enumerate(history[:batches], start=1)
        for key, value, sequence in batch
    ]


def load_events(
    warehouse: Warehouse, pipeline: str, histories: list[list[list[Event]]], batches: int, **config: Any
) -> None:
    """Bring the batches one by one, each load incremental and run twice."""
    context = {"override_guards": "all"}
    for count in range(1, batches + 1):
        warehouse.source(f"history int, {COLUMNS}", *source_rows(histories, count))
        warehouse.load(pipeline, keys=KEYS, load_type="incremental", context=context, **EVENTS, **config)
        if pipeline == "scd2":
            check_intervals(warehouse.table(), tuple(KEYS))


def by_history(warehouse: Warehouse) -> dict[int, list[str]]:
    """What the table says of each history, without what tells when a row was written or arrived."""
    told: dict[int, list[str]] = {number: [] for number in range(HISTORIES)}
    own = ("_loaded_at", "_updated_at", "_job_run_id", "_watermark")
    for row in warehouse.table():
        told[row["history"]].append(str({name: value for name, value in row.items() if name not in own}))
    return {number: sorted(rows) for number, rows in told.items()}


@pytest.mark.parametrize("keeps", [False, True], ids=["", "ignore_null_updates"])
@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_96_any_batching_gives_the_same_table(engine: str, house: House, pipeline: str, keeps: bool) -> None:
    @any_of(engine)
    @given(seeds=SEEDS, batches=st.integers(2, 8 if engine == "sail" else 3))
    def holds(seeds: list[int], batches: int) -> None:
        dices = [random.Random(seed) for seed in seeds]
        events = [random_events(dice) for dice in dices]
        shuffled = [dice.sample(history, len(history)) for dice, history in zip(dices, events, strict=True)]
        split = [[history[batch::batches] for batch in range(batches)] for history in shuffled]
        with house() as once, house() as often:
            load_events(
                once,
                pipeline,
                [[sorted(history, key=lambda e: e[2])] for history in events],
                1,
                ignore_null_updates=keeps,
            )
            load_events(often, pipeline, split, batches, ignore_null_updates=keeps)
            at_once, in_batches = by_history(once), by_history(often)
        for number, seed in enumerate(seeds):
            if at_once[number] != in_batches[number]:
                told = {"at once": at_once[number], "in batches": in_batches[number], "batches": split[number]}
                pytest.fail(f"history of seed {seed}: {told}")

    holds()


def random_nights(dice: random.Random, nights: int) -> list[list[tuple[Any, ...]]]:
    """States of 3 keys, night by night: some missing, some deleted, some older than what was loaded."""

    def state(key: int, night: int) -> tuple[Any, ...]:
        older = dice.random() < 0.2
        return (key, dice.choice(["a", "b", None]), dice.random() < 0.15, T(night - (1.5 if older else 0)))

    return [[state(key, night) for key in range(3) if dice.random() < 0.8] for night in range(1, nights + 1)]


def expected_current(nights: list[list[tuple[Any, ...]]]) -> dict[int, str | None]:
    """The value of each key that should be current after the last night; of a snapshot whose vanished keys close.

    A row says nothing, but that its key is there, where it is older than the row that the key was last written with; an
    unchanged row is not written.
    """
    current: dict[int, str | None] = {}
    written: dict[int, Any] = {}
    for night in nights:
        for key, value, gone, sequence in night:
            known, is_open = key in written, key in current
            if (known and sequence < written[key]) or (gone and not is_open):
                continue
            if is_open and not gone and current[key] == value:
                continue
            written[key] = sequence
            current.pop(key, None)
            if not gone:
                current[key] = value
        for key in current.keys() - {row[0] for row in night}:
            del current[key]
    return current


def test_any_nights_make_a_history(engine: str, house: House) -> None:
    config = {
        "source_mode": "snapshot",
        "on_missing": "close",
        "sequence_by": "seq",
        "apply_as_deletes": "gone",
        "except_column_list": ["gone"],
        "max_delete_ratio": 1,
    }

    @any_of(engine)
    @given(seeds=SEEDS, nights=st.integers(2, 5 if engine == "sail" else 3))
    def holds(seeds: list[int], nights: int) -> None:
        told = [random_nights(random.Random(seed), nights) for seed in seeds]
        with house() as warehouse:
            for night in range(nights):
                rows = [(number, *row) for number, history in enumerate(told) for row in history[night]]
                warehouse.source("history int, id bigint, a string, gone boolean, seq timestamp", *rows)
                warehouse.load("scd2", keys=KEYS, **config)
                check_intervals(warehouse.table(), tuple(KEYS))
                for number, seed in enumerate(seeds):
                    own = [row for row in warehouse.table() if row["history"] == number and row["is_current"]]
                    found = {row["id"]: row["a"] for row in own}
                    expected = expected_current(told[number][: night + 1])
                    assert found == expected, f"history of seed {seed}, {told[number][: night + 1]}"

    holds()
