"""Two runs of one load at the same moment end as one run would."""

from __future__ import annotations

import threading

import pytest

from laketasks.entry import load_table
from tests.laketasks.warehouse import OPEN, T, Warehouse

SEQ = "id bigint, a string, seq timestamp"
NIGHTS = (
    [(1, "a", T(1)), (2, "b", T(1))],
    [(1, "c", T(2)), (2, "b", T(1)), (3, "d", T(2))],
)


def race(warehouse: Warehouse, pipeline: str) -> list[BaseException]:
    """Run the load twice at once; what the two raised."""
    config = {} if pipeline == "fact_overwrite" else {"sequence_by": "seq"}
    runs = [warehouse.parameters(pipeline, **config) for _ in range(2)]
    raised: list[BaseException] = []
    gate = threading.Barrier(len(runs))

    def load(parameters: dict[str, str]) -> None:
        gate.wait()
        try:
            load_table(parameters)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=load, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


@pytest.mark.parametrize("pipeline", ["scd1", "fact_overwrite", "fact_incremental_merge"])
def test_one_row_for_each_key(warehouse: Warehouse, pipeline: str) -> None:
    for rows in NIGHTS:
        warehouse.source(SEQ, *rows)
        assert race(warehouse, pipeline) == []
        assert warehouse.rows("id", "a") == [row[:2] for row in rows]


def test_one_version_for_each_state(warehouse: Warehouse) -> None:
    for rows in NIGHTS:
        warehouse.source(SEQ, *rows)
        assert race(warehouse, "scd2") == []
    assert warehouse.history("a") == [
        (1, "a", "T1", "T2", "N"),
        (1, "c", "T2", OPEN, "Y"),
        (2, "b", "T1", OPEN, "Y"),
        (3, "d", "T2", OPEN, "Y"),
    ]
