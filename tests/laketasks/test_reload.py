"""The job parameter reload_from: from which instant one run reads again, table by table."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from laketasks.entry import load_table
from laketasks.error import GuardError
from laketasks.spec import SpecError
from tests.laketasks.warehouse import T, Warehouse

ROW: dict[str, Any] = {"load_type": "incremental", "sequence_by": "u"}


@pytest.mark.parametrize(
    ("value", "since"),
    [
        ("2024-01-02", "2024-01-02T00:00:00.000000Z"),
        ("target=2024-01-02", "2024-01-02T00:00:00.000000Z"),
        ("other,target=2024-01-02; else=2020-01-01", "2024-01-02T00:00:00.000000Z"),
        ("2020-01-01; target=2024-01-02", "2024-01-02T00:00:00.000000Z"),
        ("other=2024-01-02", "2024-01-05T00:00:00.000000Z"),
        ("target=2024-02-01", "2024-01-05T00:00:00.000000Z"),
    ],
)
def test_a_table_is_read_again_from_its_own_instant(warehouse: Warehouse, value: str, since: str) -> None:
    warehouse.source("id int, v string, u timestamp", (1, "a", T(1)), (2, "b", T(4)))
    warehouse.load("scd1", twice=False, **ROW)
    warehouse.touch()
    assert warehouse.load("scd1", twice=False, context={"reload_from": value}, **ROW)["watermark_from"] == since


def test_a_value_that_cannot_be_read_stops_the_load_before_it_reads(warehouse: Warehouse) -> None:
    parameters = warehouse.parameters("scd1", **ROW)  # there is no source to read
    with pytest.raises(SpecError, match=r"--reload_from: expected a timestamp .* found '2026-13-01'"):
        load_table({**parameters, "reload_from": "2026-13-01"})


@pytest.mark.parametrize(("kind", "values"), [("int", (1, 2)), ("string", ("a", "b"))])
def test_a_watermark_without_time_is_refused_by_name_and_noted_for_all(
    warehouse: Warehouse, kind: str, values: tuple[Any, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    warehouse.source(f"id int, u {kind}", *enumerate(values))
    warehouse.load("fact_incremental_merge", twice=False, **ROW)
    with pytest.raises(GuardError, match=r"reload_from: its watermark is \w+, which holds no time"):
        load_table({**warehouse.parameters("fact_incremental_merge", **ROW), "reload_from": "target=2024-01-01"})
    warehouse.load("fact_incremental_merge", twice=False, context={"reload_from": "2024-01-01"}, **ROW)
    assert "not reloaded: its watermark is" in capsys.readouterr().out


def test_a_date_goes_back_to_the_day_of_the_instant(warehouse: Warehouse) -> None:
    warehouse.source("id int, u date", (1, date(2024, 1, 2)), (2, date(2024, 1, 5)))
    warehouse.load("scd1", twice=False, **ROW)
    row = warehouse.load("scd1", twice=False, context={"reload_from": "target=2024-01-03T18:00:00Z"}, **ROW)
    assert (row["watermark_from"], row["read"]) == ("2024-01-03", 1)
