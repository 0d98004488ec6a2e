"""`init`: from the tables of a schema to rows that `generate` takes, or that say what is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import write_deltalake
from hypothesis import given
from hypothesis import strategies as st

from generator import workspace
from generator.cli import main
from generator.columns import BY_NAME
from generator.proposal_text import GAP, proposal_text
from generator.propose import propose
from generator.shape import SchemaName, TableShape
from generator.yaml_rows import read_yaml
from tests.generator.loopback import TOKEN, Answer, log_in, minilake, service
from tests.generator.rows import project

BRONZE, SILVER = SchemaName("dev_bronze", "erp"), SchemaName("dev_silver", "core")
FIVETRAN = ("_fivetran_synced", "_fivetran_deleted")
HISTORY = ("_fivetran_start", "_fivetran_end", "_fivetran_active")


def proposed(*columns: str, name: str = "customer", **known: Any) -> Mapping[str, object]:
    (proposal,) = propose([TableShape(name=name, columns=columns, **known)], BRONZE, SILVER)
    return {**proposal.row, "why": " ".join(proposal.why), "gaps": dict(proposal.gaps)}


def test_a_table_with_a_key_of_one_column_is_a_dimension() -> None:
    row = proposed("id", "name", *FIVETRAN, primary_key=("id",), comment="All  customers\n")
    assert {column: row[column] for column in row if column not in ("why", "gaps")} == {
        "dst_table_name": "dim_customer",
        "comment": "All customers",
        "src_system": "erp",
        "src_catalog": "dev_bronze",
        "src_schema": "erp",
        "src_table_name": "customer",
        "dst_catalog": "dev_silver",
        "dst_schema": "core",
        "layer": "bronze_to_silver",
        "is_active_flag": True,
        "execution_order": 1,
        "execution_pipeline": "scd1",
        "load_type": "incremental",
        "business_key_columns": ["id"],
    }
    assert row["why"] == "a dimension (one column identifies its rows). Its primary key is declared: id."
    assert row["gaps"] == {}


@pytest.mark.parametrize(
    ("name", "columns", "known", "runner", "load_type", "keys"),
    [
        (
            "order_lines",
            ("order_id", "line", *FIVETRAN),
            {"primary_key": ("order_id", "line")},
            "fact_incremental_merge",
            "incremental",
            ["order_id", "line"],
        ),
        (
            "prices",
            ("item", "day"),
            {"primary_key": ("item", "day")},
            "fact_incremental_merge",
            "full",
            ["item", "day"],
        ),
        ("store_sales", ("a_id", "b_id", *FIVETRAN), {}, "fact_overwrite", "full", None),
        ("cube", ("a_id", "b_id", "c_id", "x"), {"rows": 9}, "fact_overwrite", "full", None),
        ("date_dim", ("d_sk", "d_id", "y_id"), {"rows": 99, "unique": ("d_sk", "d_id")}, "scd1", "full", ["d_sk"]),
        ("plain", ("a", "b"), {}, "scd1", "full", []),
        ("kept", ("id", *HISTORY), {"primary_key": ("id", "_fivetran_start")}, "scd2", "full", ["id"]),
        (
            "loose",
            ("_fivetran_id", "a", *FIVETRAN),
            {"primary_key": ("_fivetran_id",)},
            "scd1",
            "incremental",
            ["_fivetran_id"],
        ),
    ],
)
def test_the_runner_goes_by_the_shape(
    name: str, columns: tuple[str, ...], known: dict[str, Any], runner: str, load_type: str, keys: list[str] | None
) -> None:
    row = proposed(*columns, name=name, **known)
    assert (row["execution_pipeline"], row["load_type"]) == (runner, load_type)
    assert row.get("business_key_columns", row.get("primary_key_columns")) == keys
    assert bool(row["gaps"]) == (keys == [])


def test_the_reasons() -> None:
    seen = proposed("a_sk", "a_id", name="date_dim", rows=1200, unique=("a_sk", "a_id"))["why"]
    assert seen == "a dimension (by its name). No key is declared; a_sk is unique in its 1,200 rows, a_id too."
    few = str(proposed("id", rows=1, unique=("id",))["why"])
    assert few.endswith("No key is declared; id is unique, but in 1 row only: is it the key?")
    told = proposed("id", "last_updated_at", "is_deleted", primary_key=("id",))
    assert "Does every change set last_updated_at?" in str(told["why"])
    assert "Does is_deleted mark deleted rows?" in str(told["why"])
    assert told["load_type"] == "full"
    assert proposed("name", "customer_id", "region_id")["gaps"] == {
        "business_key_columns": "scd1 needs the natural key; perhaps customer_id, region_id"
    }
    assert "comment" not in proposed("id", comment="for ${user}")


def test_names_that_would_meet() -> None:
    shapes = [TableShape(name=name, columns=("a",)) for name in ("date_dim", "dim_date", "fact", "größe")]
    names = [proposal.row["dst_table_name"] for proposal in propose(shapes, BRONZE, SILVER)]
    assert names == ["dim_date_dim", "dim_dim_date", "fact_fact", "dim_gr__e"]


NAMES = st.text(min_size=1, max_size=8)
SHAPES = st.builds(
    TableShape,
    name=NAMES,
    columns=st.lists(NAMES | st.sampled_from([*FIVETRAN, *HISTORY, "id"])).map(tuple),
    primary_key=st.lists(NAMES, max_size=2).map(tuple),
    comment=st.text(max_size=20),
    rows=st.none() | st.integers(0, 10**6),
    unique=st.lists(NAMES, max_size=2).map(tuple),
)


@given(shapes=st.lists(SHAPES, max_size=3))
def test_whatever_the_tables_are_the_file_holds_the_rows(shapes: list[TableShape]) -> None:
    proposals = propose(shapes, BRONZE, SILVER)
    text = proposal_text(proposals, BRONZE, SILVER)
    rows, problems = read_yaml(text, "rows.yml")
    if shapes:
        assert problems == ()
    assert [dict(row.values) for row in rows] == [dict(proposal.row) for proposal in proposals]
    assert all(set(row.values) <= set(BY_NAME) for row in rows)


# --- a folder of localjobs -------------------------------------------------------------------------------------------


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    project(tmp_path)
    return tmp_path


def land(folder: Path, name: str, columns: Mapping[str, list[Any]]) -> None:
    write_deltalake(str(folder / "ws" / "dev_bronze" / "erp" / name), pa.table(columns))


def test_a_workspace_of_localjobs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = list(range(30))
    land(here, "customer", {"name": ["x"] * 30, "customer_id": ids, "region_id": [1] * 30, "code": [None, *ids[1:]]})
    land(here, "sales", {"sold_no": [1] * 30, "amount": [1.5] * 30})
    land(here, "customer__laketasks_stage_1", {"a": [1]})
    assert main(["init", "dev_bronze.erp", "dev_silver.core", "--workspace", "ws"]) == 0
    out = capsys.readouterr().out
    assert out == (
        "bundle/execution_table.erp.yml: 2 tables of dev_bronze.erp: 1 fact_overwrite, 1 scd1\n"
        "read it, change it, and see what it makes: python -m generator diff --source bundle/execution_table.erp.yml\n"
    )
    rows = yaml.safe_load((here / "bundle" / "execution_table.erp.yml").read_text())
    assert [(row["dst_table_name"], row.get("business_key_columns")) for row in rows] == [
        ("dim_customer", ["customer_id"]),
        ("fact_sales", None),
    ]
    assert main(["generate", "--source", "bundle/execution_table.erp.yml"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["diff", "--source", "bundle/execution_table.erp.yml"]) == 0


def test_gaps_are_marked_and_reported(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    land(here, "customer", {"name": ["x", "x"], "region_id": [1, 1]})
    land(here, "empty", {"id": pa.array([], pa.int32())})
    assert main(["init", "dev_bronze.erp", "dev_silver.core", "--workspace", "ws", "--out", "new/rows.yml"]) == 0
    assert "2 scd1; 2 gaps to fill, marked GAP" in capsys.readouterr().out
    text = (here / "new" / "rows.yml").read_text()
    assert f"  business_key_columns: []  # {GAP}: scd1 needs the natural key; perhaps region_id\n" in text
    lines = [number for number, line in enumerate(text.splitlines(), 1) if GAP in line]
    assert main(["check", "--source", "new/rows.yml"]) == 1
    assert capsys.readouterr().err.splitlines()[:2] == [
        f"new/rows.yml:{line}: row {n} ({name}) business_key_columns: required for scd1; name the natural key"
        for n, (line, name) in enumerate(zip(lines, ("dim_customer", "dim_empty"), strict=True), 1)
    ]


def test_a_file_that_is_there_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    land(here, "customer", {"id": [1]})
    (here / "mine.yml").write_text("mine")
    assert main(["init", "dev_bronze.erp", "dev_silver.core", "--workspace", "ws", "--out", "mine.yml"]) == 1
    assert capsys.readouterr() == (
        "",
        "mine.yml: is there already; move it away, or name another file with --out\n1 problem; nothing was written\n",
    )
    assert (here / "mine.yml").read_text() == "mine"


def test_what_init_cannot_read(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    land(here, "customer", {"id": [1]})
    torn = here / "ws" / "dev_bronze" / "erp" / "torn" / "_delta_log"
    torn.mkdir(parents=True)
    (torn / f"{0:020}.json").write_text("{")
    assert main(["init", "dev_bronze.none", "dev_silver.core", "--workspace", "ws"]) == 1
    assert "dev_bronze.none: no Delta table in ws/dev_bronze/none; " in capsys.readouterr().err
    assert main(["init", "dev_bronze.erp", "dev_silver.core", "--workspace", "ws"]) == 1
    assert "dev_bronze.erp: torn: cannot be read as a Delta table: " in capsys.readouterr().err
    assert not (here / "bundle" / "execution_table.erp.yml").exists()
    with pytest.raises(SystemExit) as ended:
        main(["init", "erp", "dev_silver.core"])
    assert ended.value.code == 2


# --- Unity Catalog ---------------------------------------------------------------------------------------------------


def test_unity_catalog_on_minilake(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with minilake(here) as url:
        log_in(monkeypatch, here, url)
        from databricks.sdk import WorkspaceClient

        client = WorkspaceClient()
        warehouse = str(client.warehouses.create(name="w", cluster_size="2X-Small").response.id)
        client.catalogs.create(name="dev_bronze")
        client.schemas.create(name="erp", catalog_name="dev_bronze")
        for text in ("customer (id INT, name VARCHAR)", "sales (sold_no INT, amount DOUBLE)"):
            client.statement_execution.execute_statement(f"CREATE TABLE dev_bronze.erp.{text}", warehouse)
        capsys.readouterr()
        assert main(["init", "dev_bronze.erp", "dev_silver.core"]) == 0
        assert "2 tables of dev_bronze.erp: 1 fact_overwrite, 1 scd1; 1 gap to fill" in capsys.readouterr().out
        text = (here / "bundle" / "execution_table.erp.yml").read_text()
        assert (
            "business_key_columns: []  # GAP: scd1 needs the natural key; perhaps id" in text
        )  # it knows no constraints
        assert main(["init", "dev_bronze.none", "dev_silver.core"]) == 1
        assert "dev_bronze.none: no table that you may see; check the name" in capsys.readouterr().err


def table(name: str, kind: str = "MANAGED", **more: Any) -> dict[str, Any]:
    full = f"dev_bronze.erp.{name}"
    return {
        "name": name,
        "full_name": full,
        "catalog_name": "dev_bronze",
        "schema_name": "erp",
        "table_type": kind,
        **more,
    }


def columns(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "position": n, "type_text": "string"} for n, name in enumerate(names)][::-1]


def key(*names: str) -> dict[str, Any]:
    return {"primary_key_constraint": {"name": "pk", "child_columns": list(names)}}


REFERENCE = {
    "foreign_key_constraint": {"name": "fk", "child_columns": ["a"], "parent_table": "t", "parent_columns": ["a"]}
}
TABLES = {
    "customer": table(
        "customer", columns=columns("id", *FIVETRAN), table_constraints=[REFERENCE, key("id")], comment="C"
    ),
    "bookings": table("bookings", "EXTERNAL", columns=columns("b", "n", "x"), table_constraints=[key("b", "n")]),
    "feed": table("feed", "STREAMING_TABLE", columns=columns("a", "b")),
}


@pytest.fixture
def told(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[str], Answer]], None]]:
    running = []

    def start(answers: Callable[[str], Answer]) -> None:
        opened = service(lambda method, path, body: answers(path))
        running.append(opened)
        log_in(monkeypatch, here, opened.__enter__()[0])

    monkeypatch.setattr(workspace, "RETRY_SECONDS", 1)
    yield start
    for opened in running:
        opened.__exit__(None, None, None)


def listing(path: str) -> Answer:
    """As the API does: pages, no constraints in the list, views among the tables."""
    if "/tables/dev_bronze.erp." in path:
        return 200, TABLES[path.rsplit(".", 1)[1].split("?")[0]]
    bare = [{k: v for k, v in made.items() if k != "table_constraints"} for made in TABLES.values()]
    if "page_token=two" in path:
        return 200, {"tables": [*bare[1:], table("seen", "VIEW")]}
    return 200, {"tables": bare[:1], "next_page_token": "two"}


def test_declared_keys_of_every_page(here: Path, told: Any, capsys: pytest.CaptureFixture[str]) -> None:
    told(listing)
    assert main(["init", "dev_bronze.erp", "dev_silver.core"]) == 0
    assert "3 tables of dev_bronze.erp: 1 fact_incremental_merge, 2 scd1; 1 gap to fill" in capsys.readouterr().out
    rows = yaml.safe_load((here / "bundle" / "execution_table.erp.yml").read_text())
    picked = ("src_table_name", "business_key_columns", "primary_key_columns", "load_type")
    assert [tuple(map(row.get, picked)) for row in rows] == [
        ("bookings", None, ["b", "n"], "full"),
        ("customer", ["id"], None, "incremental"),
        ("feed", [], None, "full"),
    ]
    assert rows[1]["comment"] == "C"


REFUSED, SEEN = "the workspace refuses: ", "; check the name, and ask for USE CATALOG"


@pytest.mark.parametrize(
    ("status", "code", "message", "expected"),
    [
        (404, "SCHEMA_DOES_NOT_EXIST", "Schema 'erp' does not exist.", f"{REFUSED}Schema 'erp' does not exist{SEEN}"),
        (403, "PERMISSION_DENIED", "User lacks USE SCHEMA", f"{REFUSED}User lacks USE SCHEMA{SEEN}"),
        (
            401,
            "UNAUTHENTICATED",
            f"{TOKEN} expired",
            "the workspace refuses the credentials: *** expired; log in again",
        ),
        (200, "", "", f"no table that you may see{SEEN}"),
    ],
)
def test_refusals_are_messages(
    here: Path, told: Any, status: int, code: str, message: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told(lambda path: (status, {"error_code": code, "message": message} if code else {}))
    assert main(["init", "dev_bronze.erp", "dev_silver.core"]) == 1
    assert capsys.readouterr().err.startswith(f"dev_bronze.erp: {expected}")
    assert not (here / "bundle" / "execution_table.erp.yml").exists()
