"""UNION ALL of several regions, each read by a watermark of its own: a region that arrives late is not lost."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from tests.laketasks.warehouse import T, Warehouse

COLUMNS = "id bigint, v string, w timestamp"
REGIONS = ["eu", "us", "apac"]


def regions(warehouse: Warehouse, text: str = "") -> tuple[dict[str, Any], dict[str, str]]:
    names = [warehouse.bronze_table(region) for region in REGIONS]
    select = text or " UNION ALL ".join(f"SELECT id, v, w FROM {name}" for name in names)
    path = warehouse.workspace / "regions.sql"
    path.write_text(select, encoding="utf-8")
    row = {"sql_file_path": str(path), "load_type": "incremental", "watermark": "w", "source_name": "none"}
    return row, {"watermark_sources": json.dumps(names), "reads": json.dumps(names), "sql_repeatable": "true"}


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge", "scd2"])
def test_a_late_region_is_read_from_where_it_was_left(warehouse: Warehouse, pipeline: str) -> None:
    row, told = regions(warehouse)
    warehouse.source(COLUMNS, (1, "a", T(1)), name="eu")
    warehouse.source(COLUMNS, (11, "a", T(3)), name="us")
    warehouse.source(COLUMNS, name="apac")
    first = warehouse.load(pipeline, twice=False, context=told, **row)
    marks = {name.rpartition(".")[2]: mark for name, mark in json.loads(first["watermark_to"]).items()}
    assert marks == {"eu": "2024-01-02T00:00:00.000000Z", "us": "2024-01-04T00:00:00.000000Z", "apac": None}
    warehouse.source(COLUMNS, (1, "a", T(1)), (2, "b", T(2)), name="eu")  # behind the watermark of us
    warehouse.source(COLUMNS, (21, "c", T(1)), name="apac")
    second = warehouse.load(pipeline, twice=False, context=told, **row)
    assert (second["read"], second["new"]) == (4, 2)  # and what shares the last watermark of eu and us
    assert warehouse.load(pipeline, twice=False, context=told, **row)["read"] == 0
    assert [row[0] for row in warehouse.rows("id")] == [1, 2, 11, 21]
    again = warehouse.load(pipeline, twice=False, context={**told, "reload_from": "2024-01-03"}, **row)
    assert again["read"] == 3  # rows 2 and 11, and the last one of apac, whose watermark is earlier


def test_a_cte_with_a_lookup(warehouse: Warehouse) -> None:
    names = [warehouse.bronze_table(region) for region in REGIONS]
    union = " UNION ALL ".join(f"SELECT id, v, w FROM {name}" for name in names)
    dim = warehouse.bronze_table("dim")
    text = f"WITH a AS ({union}) SELECT a.id, d.n AS v, a.w FROM a LEFT JOIN {dim} d ON d.v = a.v"
    row, told = regions(warehouse, text)
    warehouse.source("v string, n string", ("a", "A"), ("b", "B"), name="dim")
    for region, day in (("eu", 1), ("us", 3), ("apac", 2)):
        warehouse.source(COLUMNS, (day, "a", T(day)), name=region)
    warehouse.load("scd1", twice=False, context=told, **row)
    warehouse.source(COLUMNS, (1, "a", T(1)), (4, "b", T(1.5)), name="eu")
    warehouse.load("scd1", twice=False, context=told, **row)
    assert warehouse.rows("id", "v") == [(1, "A"), (2, "A"), (3, "A"), (4, "B")]


def test_one_watermark_becomes_several(warehouse: Warehouse) -> None:
    """A log of an older release, or a row that was full: everything is read once."""
    row, told = regions(warehouse)
    for region, day in (("eu", 1), ("us", 3), ("apac", 2)):
        warehouse.source(COLUMNS, (day, "a", T(day)), name=region)
    warehouse.load("scd1", twice=False, **row)
    warehouse.source(COLUMNS, (1, "a", T(1)), (4, "b", T(1)), name="eu")
    assert warehouse.load("scd1", twice=False, context=told, **row)["new"] == 1


NIGHTS = 6
FEW = {"sail": 6, "spark": 2}


def late_at_random(warehouse: Warehouse, number: int) -> None:
    """Each night has a batch of each region, which arrives up to three nights later, in the region's own order."""
    chance = random.Random(number)
    house = Warehouse(
        warehouse.spark, warehouse.workspace, warehouse.bronze, warehouse.silver, f"t{number}", 100 * number
    )
    row, told = regions(house)
    batches = {region: list(batches_of(number, region, chance)) for number, region in enumerate(REGIONS)}
    for night in range(NIGHTS + 3):
        for region, made in batches.items():
            house.source(COLUMNS, *latest(rows for seen, rows in made if seen <= night), name=region)
        house.load("scd1", twice=False, context=told, **row, sequence_by="w")
    expected = [(key, v) for made in batches.values() for key, v, _ in latest(rows for _, rows in made)]
    assert house.rows("id", "v") == sorted(expected), number


def test_regions_that_are_late_at_random_end_as_a_full_read(warehouse: Warehouse, engine: str) -> None:
    for number in range(FEW[engine]):
        late_at_random(warehouse, number)


@pytest.mark.history
@pytest.mark.timeout(6 * 3600)
def test_many_histories_of_late_regions(warehouse: Warehouse, request: pytest.FixtureRequest) -> None:
    first = int(request.config.getoption("--from-sequence"))
    last = first + (request.config.getoption("--sequences") or 200)
    for number in range(first, last):
        late_at_random(warehouse, number)
        if (number + 1 - first) % 20 == 0:
            print(f"{number + 1 - first} of {last - first} histories of late regions", flush=True)


def batches_of(number: int, region: str, chance: random.Random) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
    """The night in which each batch of a region arrives, and its rows."""
    seen = 0
    for night in range(NIGHTS):
        seen = max(seen, night + chance.randint(0, 3))
        keys = {100 * number + chance.randint(1, 6) for _ in range(chance.randint(0, 3))}
        yield seen, [(key, f"{region}{night}", T(night)) for key in sorted(keys)]


def latest(batches: Iterable[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    """The last row of each key, as a source of states has it."""
    return list({row[0]: row for rows in batches for row in rows}.values())
