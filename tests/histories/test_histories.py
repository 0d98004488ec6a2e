"""Random sequences of runs, between which everything that a load is made of changes.

After each run the table is what the model says, or the load refused, for a reason that the model knows, and wrote
nothing. `make histories` plays 500 sequences; the seed is printed, and `--seed` plays the same again.
"""

from __future__ import annotations

import contextlib
import io
import random
import sys
import traceback
import uuid
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from laketasks.run_log import create_run_log
from tests.conftest import made_schemas, session_of
from tests.histories.world import World
from tests.laketasks.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RUNS = 8
FEW = {"sail": 12, "spark": 2}
MANY = {"sail": 500, "spark": 50}
OF_ONE_ENGINE = 100  # Sail keeps memory of every operation until it ends


def play(engine: str, spark: SparkSession, folder: Path, seed: int, number: int, counts: Counter[str]) -> str:
    """One sequence; what went wrong in it, or nothing."""
    workspace = folder / f"history_{number}"
    workspace.mkdir()
    with made_schemas(engine, spark, workspace, f"h_{uuid.uuid4().hex[:12]}") as schemas:
        warehouse = Warehouse(spark=spark, workspace=workspace, bronze=schemas.bronze, silver=schemas.silver)
        create_run_log(spark, warehouse.run_log)
        world = World.begin(warehouse, random.Random(f"{seed} {number}"))
        wrong = ""
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                for run in range(RUNS):
                    wrong = wrong or ("" if world.over else world.run(world.between(run)))
        except Exception as error:
            wrong = world.stopped(str(error)) and traceback.format_exc()
        counts.update(world.counts)
    told = "\n  ".join(world.told)
    return f"--seed {seed}, sequence {number}: {wrong}\n  {told}" if wrong else ""


def test_a_few_histories(engine: str, spark: SparkSession, tmp_path: Path) -> None:
    counts: Counter[str] = Counter()
    found = [play(engine, spark, tmp_path, 15, number, counts) for number in range(FEW[engine])]
    assert not any(found), "\n".join(filter(None, found))


@pytest.mark.history
@pytest.mark.timeout(6 * 3600)
def test_many_histories(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    asked, given = request.config.getoption("--sequences"), request.config.getoption("--seed")
    seed = random.randrange(1_000_000) if given is None else int(given)
    first = int(request.config.getoption("--from-sequence"))
    sequences = range(first, first + (MANY[engine] if asked is None else int(asked)))
    print(f"\n--seed {seed}", flush=True)
    counts: Counter[str] = Counter()
    found: list[str] = []
    for begin in sequences[::OF_ONE_ENGINE]:
        folder = tmp_path / str(begin)
        folder.mkdir()
        with session_of(engine, folder) as spark:
            for number in range(begin, min(begin + OF_ONE_ENGINE, sequences.stop)):
                wrong = play(engine, spark, folder, seed, number, counts)
                if wrong:
                    found.append(wrong)
                    print(wrong, file=sys.stderr, flush=True)
        print(f"{number + 1 - first} of {len(sequences)} sequences: {dict(counts)}, {len(found)} wrong", flush=True)
    assert not found, f"{len(found)} of {len(sequences)} sequences"
