"""What a change of the rows means for the job, said as a reviewer reads it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from generator.cli import main
from generator.difference import as_markdown, as_text, differences, read_jobs
from tests.generator.rows import made, project, row, tables


def texts(folder: Path, rows: list[dict[str, object]], **layer: object) -> Mapping[str, str]:
    folder.mkdir(exist_ok=True, parents=True)
    return made(folder, rows, **({"layers": {"bronze_to_silver": layer}} if layer else {})).texts


def said(tmp_path: Path, old: list[dict[str, object]], new: list[dict[str, object]], **layer: object) -> list[str]:
    changes = differences(texts(tmp_path / "old", old, **layer), texts(tmp_path / "new", new, **layer))
    return as_text(changes).splitlines()


@pytest.mark.parametrize("edges", ["barrier", "gate"])
def test_a_table_that_comes_and_who_waits_for_it(tmp_path: Path, edges: str) -> None:
    old = tables(1, 2, 2, 3)
    new = [*old, row(dst_table_name="dim_new", execution_order=1)]
    comes = (
        "dim_new (scd1, order 1) into ${var.silver_catalog}.core.dim_new: waits for nothing, 2 tables now wait for it"
    )
    assert said(tmp_path, old, new, edges=edges) == [
        "bronze_to_silver.job.yml: 5 tables, 4 before",
        f"  + {comes}",
    ]
    assert said(tmp_path, new, old, edges=edges)[1] == (
        "  - dim_new (scd1, order 1): 2 tables waited for it; ${var.silver_catalog}.core.dim_new stays as it is"
    )


def test_a_table_that_moves_to_another_order(tmp_path: Path) -> None:
    old = tables(1, 1, 2, 3)
    new = [*old[:1], {**old[1], "execution_order": 2}, *old[2:]]
    assert said(tmp_path, old, new) == ["bronze_to_silver.job.yml: 4 tables", "  ~ t001: order 1 -> 2"]


def test_what_a_row_says_otherwise(tmp_path: Path) -> None:
    old = row(cdc_source_config={"lookback": "1 day", "where": "a > 1"}, load_type="incremental")
    new = row(business_key_columns=["id", "part"], cdc_source_config={"lookback": "2 days"}, load_type="incremental")
    keys = "the keys were id and are now id, part, so that rows would be doubled; run once with full_refresh"
    assert said(tmp_path, [old], [new])[1:] == [
        '  ~ dim_customer: business_key_columns: ["id"] -> ["id", "part"]',
        "  ~ dim_customer: cdc_source_config.lookback: 1 day -> 2 days",
        "  ~ dim_customer: cdc_source_config.where: a > 1 -> not set",
        f"  ~ dim_customer: at the next load: {keys}, or load into a new table",
        "  ~ dim_customer: at the next load: where was a > 1 and is now none: read all of the source once",
    ]


TABLE = "${{var.silver_catalog}}.core.{}"


def renamed(lines: list[str]) -> list[str]:
    return [line.strip() for line in lines if "renamed" in line]


@pytest.mark.parametrize(
    ("pipeline", "lost"),
    [
        ("scd2", "its history stays in the old table"),
        ("scd1", "what its source no longer has is lost"),
        ("fact_incremental_merge", "what its source no longer has is lost"),
        ("fact_overwrite", "its grants and its versions stay with the old table"),
    ],
)
def test_a_table_with_the_source_and_keys_of_one_that_goes_is_perhaps_that(
    tmp_path: Path, pipeline: str, lost: str
) -> None:
    columns = {"execution_pipeline": pipeline}
    if pipeline.startswith("fact"):
        columns |= {"business_key_columns": None, "primary_key_columns": ["id"]}
    old, new = row(**columns), row(dst_table_name="dim_client", comment="Clients", execution_order=2, **columns)
    lines = said(tmp_path, [old], [new])
    run = f"run ALTER TABLE {TABLE.format('dim_customer')} RENAME TO {TABLE.format('dim_client')}"
    assert renamed(lines) == [
        f"~ dim_client: renamed from dim_customer? It has its source and keys: {run} before the deployment, or {lost}"
    ]
    assert [line[2] for line in lines[1:]] == ["+", "~", "-"]


@pytest.mark.parametrize(
    "other",
    [
        {"src_table_name": "client"},
        {"business_key_columns": ["id", "part"]},
        {"execution_pipeline": "fact_overwrite", "business_key_columns": None},
        {"sql_file_path": "a.sql"},
    ],
)
def test_a_table_with_another_source_or_other_keys_is_another(tmp_path: Path, other: dict[str, object]) -> None:
    for folder in ("old", "new"):
        (tmp_path / folder / "bundle").mkdir(parents=True)
        (tmp_path / folder / "bundle" / "a.sql").write_text("SELECT * FROM {bronze_catalog}.erp.customer")
    new = row(**{"execution_pipeline": "scd2", "dst_table_name": "dim_client", **other})
    assert renamed(said(tmp_path, [row(execution_pipeline="scd2")], [new])) == []


def test_several_tables_of_one_source_are_each_renamed_from_the_one_that_is_most_alike(tmp_path: Path) -> None:
    where = ({"where": "region = 'n'"}, {"where": "region = 's'"})
    old = [row(dst_table_name=name, cdc_source_config=w) for name, w in zip("ab", where, strict=True)]
    new = [row(dst_table_name=name, cdc_source_config=w) for name, w in zip("dc", where, strict=True)]
    lines = renamed(said(tmp_path, old, [*new, row(dst_table_name="e")]))
    assert [line.split("?")[0] for line in lines] == ["~ c: renamed from b", "~ d: renamed from a"]


def test_a_table_that_moves_to_another_layer_schema_or_catalog(tmp_path: Path) -> None:
    old, new = row(), row(layer="gold")
    assert renamed(said(tmp_path / "layer", [old], [new])) == []  # the same table, of another job
    (line,) = renamed(said(tmp_path / "schema", [old], [row(dst_schema="gold", layer="gold")]))
    assert f"ALTER TABLE {TABLE.format('dim_customer')} RENAME TO ${{var.silver_catalog}}.gold.dim_customer " in line
    (line,) = renamed(said(tmp_path / "in_place", [old], [row(dst_schema="gold")]))
    assert "~ dim_customer: renamed? It has the same source and keys: run ALTER TABLE " in line
    (line,) = renamed(said(tmp_path / "catalog", [old], [row(dst_catalog="dev_bronze")]))
    assert (
        f"run CREATE TABLE ${{var.bronze_catalog}}.core.dim_customer DEEP CLONE {TABLE.format('dim_customer')} " in line
    )


def test_what_changes_alike_stands_once(tmp_path: Path) -> None:
    rows = tables(1, 1, 1, 1, 2, 2, 2, 2)
    old = texts(tmp_path / "old", rows)
    new = texts(tmp_path / "new", rows, task={"max_retries": 2}, job={"tags": {"team": "core"}})
    assert as_text(differences(old, new)).splitlines() == [
        "bronze_to_silver.job.yml: 8 tables",
        "  ~ 8 tables: max_retries: not set -> 2: t000, t001, t002, t003, t004, t005 ...",
        "  ~ the job: tags.team: not set -> core",
    ]


def test_nothing_and_a_layer_of_its_own(tmp_path: Path) -> None:
    rows = tables(1, 2)
    assert said(tmp_path, rows, rows[::-1]) == ["the rows make the job as it is: no change"]
    first = said(tmp_path, rows, [*rows, row(layer="gold", dst_table_name="g", dst_schema="gold")])
    assert [line.split(":")[0] for line in first] == [
        "gold.job.yml",
        "  + g (scd1, order 1) into ${var.silver_catalog}.gold.g",
    ]


def test_orders_are_those_of_the_rows(tmp_path: Path) -> None:
    job = read_jobs(texts(tmp_path / "p", tables(1, 1, 5, 5, 7)))["bronze_to_silver.job.yml"]
    assert [task.order for task in job.tasks.values()] == [1, 1, 5, 5, 7]
    assert [len(task.waits) for task in job.tasks.values()] == [0, 0, 2, 2, 2]


def test_a_pull_request_shows_every_character(tmp_path: Path) -> None:
    old, new = row(comment="a"), row(comment="a|b *c* <d> `e` @team #1 [x](y)")
    changes = differences(texts(tmp_path / "old", [old]), texts(tmp_path / "new", [new]))
    cells = next(line for line in as_markdown(changes).splitlines() if "comment" in line)
    assert cells.count(" | ") == 2
    for hidden in ("|b", "*c", "<d", "`e", "#1", "[x"):
        assert f"\\{hidden}" in cells
    assert "@team" not in cells


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path, tables(1, 2))
    assert main(["generate"]) == 0
    capsys.readouterr()
    assert main(["diff"]) == 0
    assert capsys.readouterr().out == "the rows make the job as it is: no change\n"
    project(tmp_path, tables(1, 2, 2))
    assert main(["diff", "--format", "json"]) == 0
    change = json.loads(capsys.readouterr().out)[0]
    assert (change["before"], change["after"], [line["sign"] for line in change["lines"]]) == (2, 3, ["+"])
    assert main(["diff", "--format", "markdown"]) == 0
    assert capsys.readouterr().out.startswith("### `bronze_to_silver.job.yml`: 3 tables, 2 before\n")
    project(tmp_path, [row(execution_pipeline="scd9")])
    assert main(["diff"]) == 1
    assert "scd9" in capsys.readouterr().err


def test_against_a_revision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project(tmp_path, tables(1, 2))
    assert main(["generate"]) == 0
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for words in (("init", "-q"), ("add", "."), (*named, "commit", "-qm", "first")):
        subprocess.run(["git", *words], check=True)
    project(tmp_path, tables(1, 2, 3))
    assert main(["generate"]) == 0
    capsys.readouterr()
    assert main(["diff"]) == 0
    assert "no change" in capsys.readouterr().out
    assert main(["diff", "--against", "HEAD"]) == 0
    assert "  + t002 (scd1, order 3)" in capsys.readouterr().out
    assert main(["diff", "--against", "no_such_revision"]) == 1
    assert "Not a valid object name no_such_revision; name a folder, or a revision" in capsys.readouterr().err
