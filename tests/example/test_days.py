"""Both days of bronze are what the story promises, and the same on every run."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable

from example import tpcds
from example.cli import main
from example.days import DELETED, SYNCED, day_one, day_two, is_touched
from example.delta import read_table
from example.night import date_sk, evening_of
from example.story import EVENING_DATE_SK, MORNING_DATE_SK, STORIES

KEYS = {
    "customer": ("c_customer_sk",),
    "item": ("i_item_sk",),
    "store": ("s_store_sk",),
    "store_sales": ("ss_item_sk", "ss_ticket_number"),
    "catalog_sales": ("cs_item_sk", "cs_order_number"),
    "web_sales": ("ws_item_sk", "ws_order_number"),
    "store_returns": ("sr_item_sk", "sr_ticket_number"),
    "inventory": ("inv_date_sk", "inv_item_sk", "inv_warehouse_sk"),
}
Rows = dict[tuple[object, ...], dict[str, object]]


@pytest.fixture(scope="module")
def generated() -> dict[str, pa.Table]:
    return tpcds.generate(0.01)


def by_key(name: str, table: pa.Table) -> Rows:
    return {tuple(row[key] for key in KEYS[name]): row for row in table.to_pylist()}


def values(row: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in row.items() if not name.startswith("_fivetran")}


def test_the_24_tables_are_there_and_come_out_the_same_again(generated: dict[str, pa.Table]) -> None:
    again = tpcds.generate(0.01)
    assert set(generated) == set(tpcds.TABLES)
    assert len(tpcds.TABLES) == 24
    for name, table in generated.items():
        assert table.equals(again[name]), name
        assert day_one(name, table).equals(day_one(name, again[name])), name
        assert day_two(name, table).equals(day_two(name, again[name])), name


def test_demographics_are_those_that_others_refer_to(generated: dict[str, pa.Table]) -> None:
    kept = set(generated["customer_demographics"]["cd_demo_sk"].to_pylist())
    assert set(generated["customer"]["c_current_cdemo_sk"].drop_null().to_pylist()) <= kept
    assert set(generated["store_sales"]["ss_cdemo_sk"].drop_null().to_pylist()) <= kept


@pytest.mark.parametrize("name", tpcds.TABLES)
def test_each_night_has_its_own_times(generated: dict[str, pa.Table], name: str) -> None:
    first, second = day_one(name, generated[name]), day_two(name, generated[name])
    spread = pc.min_max(first[SYNCED]).as_py()
    assert evening_of(1) <= spread["min"] <= spread["max"] < evening_of(1) + timedelta(hours=8)
    if first.num_rows > 1:
        assert spread["min"] < spread["max"]
    new = second.filter(pc.greater_equal(second[SYNCED], pa.scalar(evening_of(2), second[SYNCED].type)))
    assert (new.num_rows > 0) == is_touched(name)
    assert new.num_rows < first.num_rows or first.num_rows < 3
    if new.num_rows:
        assert pc.max(new[SYNCED]).as_py() < evening_of(2) + timedelta(hours=8)


@pytest.mark.parametrize("name", KEYS)
def test_what_differs_was_synced_in_the_second_night(generated: dict[str, pa.Table], name: str) -> None:
    first, second = (by_key(name, day(name, generated[name])) for day in (day_one, day_two))
    for key, row in second.items():
        before = first.get(key)
        if before is None or values(row) != values(before) or row[DELETED] != before[DELETED]:
            assert row[SYNCED] >= evening_of(2)  # type: ignore[operator]
        elif row[SYNCED] < evening_of(2):  # type: ignore[operator]
            assert row[SYNCED] == before[SYNCED]
    assert first.keys() <= second.keys()


@pytest.mark.parametrize("name", ["customer", "item", "store_sales", "inventory"])
def test_some_rows_only_get_a_new_time(generated: dict[str, pa.Table], name: str) -> None:
    first, second = (by_key(name, day(name, generated[name])) for day in (day_one, day_two))
    bumped = [
        key
        for key in first
        if values(first[key]) == values(second[key])
        and first[key][DELETED] == second[key][DELETED]
        and first[key][SYNCED] != second[key][SYNCED]
    ]
    assert len(bumped) >= len(first) // 1000


def test_customers_move_to_addresses_that_arrive_with_them(generated: dict[str, pa.Table]) -> None:
    first, second = (by_key("customer", day("customer", generated["customer"])) for day in (day_one, day_two))
    moved = {
        second[key]["c_current_addr_sk"]
        for key in first
        if first[key]["c_current_addr_sk"] != second[key]["c_current_addr_sk"]
    }
    known = set(day_one("customer_address", generated["customer_address"])["ca_address_sk"].to_pylist())
    arrived = set(day_two("customer_address", generated["customer_address"])["ca_address_sk"].to_pylist()) - known
    assert len(moved) >= 10
    assert moved <= arrived
    assert {row["c_current_addr_sk"] for row in first.values()} <= known


def test_prices_rise_and_a_store_closes(generated: dict[str, pa.Table]) -> None:
    first, second = (by_key("item", day("item", generated["item"])) for day in (day_one, day_two))
    changed = [k for k in first if first[k]["i_current_price"] != second[k]["i_current_price"]]
    assert len(changed) == 40
    assert all(first[k]["i_current_price"] < second[k]["i_current_price"] for k in changed)  # type: ignore[operator]
    open_, closed = (by_key("store", day("store", generated["store"])) for day in (day_one, day_two))
    assert not any(row[DELETED] for row in open_.values())
    assert [row["s_closed_date_sk"] for row in closed.values() if row[DELETED]] == [EVENING_DATE_SK]


@pytest.mark.parametrize("name", ["store_sales", "catalog_sales", "web_sales"])
def test_sales_arrive_new_late_and_twice(generated: dict[str, pa.Table], name: str) -> None:
    first, second = day_one(name, generated[name]), day_two(name, generated[name])
    known = by_key(name, first)
    dated = second.column_names[0]
    arrived = [row for row in second.to_pylist() if tuple(row[key] for key in KEYS[name]) not in known]
    dates = [row[dated] for row in arrived]
    assert dates.count(EVENING_DATE_SK) > 10
    assert dates.count(MORNING_DATE_SK) > 10
    assert sum(date is not None and date < EVENING_DATE_SK for date in dates) > 10
    assert len(arrived) > len({tuple(row[key] for key in KEYS[name]) for row in arrived})
    assert len({tuple(row.values()) for row in arrived}) == len(
        {tuple(row[key] for key in KEYS[name]) for row in arrived}
    )


@pytest.mark.parametrize("name", tpcds.TABLES)
def test_deletes_stay_far_below_the_guard_where_it_applies(generated: dict[str, pa.Table], name: str) -> None:
    first, second = day_one(name, generated[name]), day_two(name, generated[name])
    if first.num_rows >= 100:
        assert pc.sum(second[DELETED]).as_py() < first.num_rows / 10


def test_reference_rows_vanish_without_a_trace(generated: dict[str, pa.Table]) -> None:
    for name, key in (("reason", "r_reason_sk"), ("ship_mode", "sm_ship_mode_sk")):
        before, after = (set(day(name, generated[name])[key].to_pylist()) for day in (day_one, day_two))
        assert len(before - after) == 1


def test_date_sk_is_that_of_tpcds(generated: dict[str, pa.Table]) -> None:
    dates = generated["date_dim"]
    assert [date_sk(day) for day in dates["d_date"].to_pylist()] == dates["d_date_sk"].to_pylist()
    assert set(STORIES) <= set(tpcds.TABLES)


def test_days_land_as_versions_and_a_repeated_day_is_harmless(
    tmp_path: Path, generated: dict[str, pa.Table], capsys: pytest.CaptureFixture[str]
) -> None:
    for day, version in (("1", 0), ("2", 1), ("2", 1), ("1", 1)):
        assert main(["day", day, "--workspace", str(tmp_path)]) == 0
        table = DeltaTable(str(tmp_path / "dev_bronze" / "tpcds" / "customer"))
        assert table.version() == version
    assert "nothing to do" in capsys.readouterr().out
    assert table.protocol().min_reader_version == 1
    assert (
        read_table(tmp_path / "dev_bronze" / "tpcds" / "customer").num_rows
        == day_two("customer", generated["customer"]).num_rows
    )
    assert DeltaTable(str(tmp_path / "dev_bronze" / "tpcds" / "time_dim")).version() == 0
    assert main(["day", "2", "--workspace", str(tmp_path), "--scale-factor", "0.02"]) == 1
    assert "scale factor 0.01" in capsys.readouterr().err


def test_day_2_first_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["day", "2", "--workspace", str(tmp_path)]) == 1
    assert "run day 1 first" in capsys.readouterr().err


def test_a_missing_generator_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("example.tpcds.shutil.which", lambda *_, **__: None)
    assert main(["day", "1", "--workspace", str(tmp_path)]) == 1
    assert "tpcgen-cli" in capsys.readouterr().err


def test_the_demo_leaves_a_folder_of_others_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    assert main(["demo", "--workspace", str(tmp_path)]) == 1
    assert "something else" in capsys.readouterr().err
    assert (tmp_path / "mine.txt").exists()
