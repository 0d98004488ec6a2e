"""A read of few rows looks up their keys instead of joining the whole table; the table comes out the same.

Small tables never have reads that are few, so here every read is, that of the first load aside.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from laketasks import latest, missing, timeline
from laketasks import load as loads
from laketasks.change import Load
from laketasks.source import Source
from tests.laketasks import test_events, test_facts, test_fivetran_history, test_scd1, test_scd2
from tests.laketasks.cases import Group, check_counts, play
from tests.laketasks.warehouse import T, Warehouse

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ON_SPARK = [test_events.LATEST["hard"], test_events.COUNTED[1], test_facts.ARRIVALS]
GROUPS = [
    *ON_SPARK,
    test_events.LATEST["soft"],
    test_events.HISTORIES[1],
    test_fivetran_history.HISTORIES["soft"],
    test_scd1.SOFT,
    test_scd1.NULL_SAFE,
    test_scd2.STATE,
    test_scd2.DELETED,
]
ORDERED = {"load_type": "incremental", "watermark": "ts", "sequence_by": "ts"}
ROWS = "id bigint, a string, ts timestamp"


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each look at the stored rows, whether few rows were read."""
    found: list[bool] = []
    of_read = missing.of_read

    def noticed(load: Load, source: Source, stored: DataFrame) -> DataFrame:
        found.append(load.few)
        return of_read(load, source, stored)

    for module in (missing, timeline, latest):
        monkeypatch.setattr(module, "of_read", noticed)
    return found


@pytest.mark.parametrize(
    "group", [pytest.param(g, id=g.name, marks=[] if g in ON_SPARK else pytest.mark.twin) for g in GROUPS]
)
def test_every_case_of(group: Group, warehouse: Warehouse, reads: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loads, "_FEW", 1e-6)
    played = play(group, warehouse)
    for case in group.cases:
        played.check(case)
    if group.fates(0) is not None:
        check_counts(played)
    assert any(reads)


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_incremental_merge"])
def test_few_are_a_quarter_of_the_table_at_most(warehouse: Warehouse, reads: list[bool], pipeline: str) -> None:
    """Each load also reads the rows at the watermark that the last one reached: one, then two."""
    rows = {key: (key, "a", T(0 if key < 16 else 1)) for key in range(1, 17)}
    for new, few in (([], False), ([1, 17], True), ([2, 3, 4], False)):
        reads.clear()
        rows |= {key: (key, "b", T(2 + len(new))) for key in new}
        warehouse.source(ROWS, *rows.values())
        assert warehouse.load(pipeline, twice=False, **ORDERED)["read"] == {0: 16, 2: 3, 3: 5}[len(new)]
        assert {*reads} == {few}, new


def test_what_may_have_other_rows_when_it_is_read_again_is_never_few(
    warehouse: Warehouse, reads: list[bool], tmp_path: Path
) -> None:
    rows = [(key, "a", T(key)) for key in range(1, 17)]
    sql = tmp_path / "source.sql"
    sql.write_text(f"SELECT * FROM {{bronze_catalog}}.{warehouse.bronze[1]}.source")
    for more in ([], [(17, "b", T(17))]):
        rows += more
        warehouse.source(ROWS, *rows)
        warehouse.load("fact_incremental_merge", twice=False, sql_file_path=str(sql), **ORDERED)
    assert {*reads} == {False}
    assert warehouse.last_row()["read"] == 2
