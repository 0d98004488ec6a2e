"""Tables that another tool has filled are left alone until they are adopted; then loads go on from their rows."""

from __future__ import annotations

import hashlib
import shutil
from typing import Any

import pytest

from laketasks.__main__ import main
from laketasks.entry import adopt_table
from laketasks.error import TargetError
from tests.laketasks.warehouse import OPEN, T, Warehouse

SOURCE = "id bigint, a string, seq timestamp"


def foreign(warehouse: Warehouse, columns: str, *rows: tuple[Any, ...]) -> None:
    """A target that another tool has filled."""
    warehouse.source(columns, *rows, name="foreign")
    frame = warehouse.spark.table(warehouse.bronze_table("foreign"))
    frame.write.format("delta").saveAsTable(warehouse.target)


def adopt(warehouse: Warehouse, pipeline: str, **asked: str) -> None:
    """Carry out the adoption of the target."""
    adopt_table({**warehouse.parameters(pipeline, sequence_by="seq"), "dry_run": "false", **asked})


def adopt_row(warehouse: Warehouse, pipeline: str, row: dict[str, Any], **asked: str) -> None:
    """Carry it out for a row with this configuration."""
    adopt_table({**warehouse.parameters(pipeline, **row), "dry_run": "false", **asked})


@pytest.mark.parametrize("pipeline", ["scd1", "fact_incremental_merge", "fact_overwrite"])
def test_rows_stay_and_the_next_load_goes_on(warehouse: Warehouse, pipeline: str) -> None:
    config = {} if pipeline == "fact_overwrite" else {"sequence_by": "seq"}
    foreign(warehouse, "id bigint, a string, seq timestamp, old string", (1, "a", T(1), "x"), (2, "b", T(1), "y"))
    warehouse.source(SOURCE, (1, "a", T(1)), (2, "c", T(2)), (3, "d", T(2)))
    warehouse.refuses(pipeline, TargetError, r"python -m laketasks adopt --execution_pipeline=", **config)
    adopt_row(warehouse, pipeline, config)
    assert warehouse.rows("id", "a", "old", "_job_run_id") == [(1, "a", "x", "adopted"), (2, "b", "y", "adopted")]
    row = warehouse.load(pipeline, **config)
    assert warehouse.rows("id", "a") == [(1, "a"), (2, "c"), (3, "d")]
    if pipeline != "fact_overwrite":
        assert (row["new"], row["changed"], row["unchanged"]) == (1, 1, 1)
        assert warehouse.rows("id", "old") == [(1, "x"), (2, "y"), (3, None)]


def test_a_history_of_dbt_becomes_ours(warehouse: Warehouse) -> None:
    columns = "id bigint, a string, dbt_scd_id string, dbt_valid_from timestamp, dbt_valid_to timestamp, gone string"
    foreign(
        warehouse,
        columns,
        (1, "a", "h1", T(1), T(2), "False"),
        (1, "b", "h2", T(2), None, "False"),
        (2, "x", "h3", T(1), T(3), "True"),
    )
    mapped = {"valid_from": "dbt_valid_from", "valid_to": "dbt_valid_to", "is_deleted": "gone = 'True'"}
    adopt(warehouse, "scd2", **mapped)
    assert warehouse.history("a", "is_deleted", "deleted_at") == [
        (1, "a", False, None, "T1", "T2", "N"),
        (1, "b", False, None, "T2", OPEN, "Y"),
        (2, "x", True, "T3", "T1", "T3", "N"),
    ]
    warehouse.source(SOURCE, (1, "c", T(5)), (2, "y", T(6)))
    row = warehouse.load("scd2", sequence_by="seq")
    assert warehouse.history("a") == [
        (1, "a", "T1", "T2", "N"),
        (1, "b", "T2", "T5", "N"),
        (1, "c", "T5", OPEN, "Y"),
        (2, "x", "T1", "T3", "N"),
        (2, "y", "T6", OPEN, "Y"),
    ]
    assert row["changed"] == 2


def test_the_surrogate_key_is_the_one_of_a_rebuild(warehouse: Warehouse) -> None:
    warehouse.source(SOURCE, (1, "a", T(1)))
    row = {"sequence_by": "seq", "surrogate": ["sk"]}
    warehouse.load("scd2", **row)
    expected = warehouse.rows("id", "sk")
    warehouse.spark.sql(f"DROP TABLE {warehouse.target}").collect()
    shutil.rmtree(warehouse.target_folder, ignore_errors=True)  # Sail leaves it
    foreign(warehouse, "id bigint, a string, since timestamp", (1, "a", T(1)))
    adopt_row(warehouse, "scd2", row, valid_from="since", valid_to="NULL")
    assert warehouse.rows("id", "sk") == expected


@pytest.mark.parametrize("pipeline", ["scd1", "scd2"])
def test_a_surrogate_key_that_comes_later(warehouse: Warehouse, pipeline: str) -> None:
    """Rows without it would stay without it, so the load is refused until they have it."""
    row: dict[str, Any] = {"sequence_by": "seq", "unknown_member": True}
    keyed = {**row, "surrogate": ["sk"]}
    warehouse.source(SOURCE, (1, "a", T(1)), (2, "b", T(1)))
    warehouse.load(pipeline, **row)
    warehouse.source(SOURCE, (1, "c", T(2)), (2, "b", T(1)))
    warehouse.load(pipeline, **row)
    warehouse.refuses(pipeline, TargetError, r"without the surrogate key sk.*python -m laketasks adopt", **keyed)
    adopt_row(warehouse, pipeline, keyed)
    assert warehouse.load(pipeline, **keyed)["unchanged"] == 2
    for stored in warehouse.table():
        start = f',"valid_from":{stored["valid_from"]}' if pipeline == "scd2" else ""
        made = hashlib.md5(f'{{"id":{stored["id"]}{start}}}'.encode()).hexdigest()
        assert stored["sk"] == ("-1" if stored["id"] == -1 else made)


def test_the_natural_key_needs_no_other(warehouse: Warehouse) -> None:
    warehouse.source(SOURCE, (1, "a", T(1)))
    warehouse.load("scd1", sequence_by="seq", surrogate=["ID"], unknown_member=True)
    assert warehouse.rows("id", "a") == [(-1, None), (1, "a")]


def test_a_second_time_there_is_nothing_to_do(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(warehouse, "id bigint, a string", (1, "a"))
    adopt(warehouse, "scd1")
    commits = warehouse.commits()
    adopt(warehouse, "scd1")
    assert warehouse.commits() == commits
    assert capsys.readouterr().out.splitlines()[-1].endswith("nothing to do")


def test_a_dry_run_shows_the_statements(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(warehouse, "id bigint, a string", (1, "a"))
    commits = warehouse.commits()
    adopt(warehouse, "scd1", dry_run="")
    said = capsys.readouterr().out
    assert "ADD COLUMNS (`_loaded_at` TIMESTAMP, `_updated_at` TIMESTAMP, `_job_run_id` STRING);" in said
    assert "dry run" in said
    assert warehouse.commits() == commits


def test_everything_that_is_wrong_is_said_at_once(warehouse: Warehouse) -> None:
    rows = [
        (1, "a", T(1), T(5)),
        (1, "b", T(3), None),
        (2, "a", T(1), None),
        (2, "b", T(2), None),
        (None, "x", T(1), None),
    ]
    foreign(warehouse, "id bigint, a string, since timestamp, until timestamp", *rows)
    commits = warehouse.commits()
    with pytest.raises(TargetError) as refused:
        adopt(warehouse, "scd2", valid_from="since", valid_to="until")
    said = str(refused.value)
    assert "1 rows have a NULL key" in said
    assert "1 keys have more than one open version, such as (2,)" in said
    assert "2 keys have versions that overlap" in said
    assert warehouse.commits() == commits
    with pytest.raises(TargetError, match=r"expected --valid_from=<SQL .*; expected --valid_to=<SQL"):
        adopt(warehouse, "scd2")


def test_doubled_keys_and_tables_that_are_not_there(warehouse: Warehouse) -> None:
    with pytest.raises(TargetError, match="does not exist; the first load makes it"):
        adopt(warehouse, "scd1")
    foreign(warehouse, "id bigint, a string", (1, "a"), (1, "b"))
    with pytest.raises(TargetError, match=r"1 keys stand twice, such as \(1,\)"):
        adopt(warehouse, "scd1")


def test_as_a_command(warehouse: Warehouse, capsys: pytest.CaptureFixture[str]) -> None:
    foreign(warehouse, "id bigint, a string", (1, "a"))
    arguments = [f"--{name}={value}" for name, value in warehouse.parameters("scd1").items()]
    assert main(["adopt", *arguments]) == 0
    assert warehouse.commits() == 1
    arguments.append("--dry_run=false")
    assert main(["adopt", *arguments]) == 0
    assert main(["adopt", "--target_table=x"]) == 2
    assert "--execution_pipeline: required" in capsys.readouterr().err
