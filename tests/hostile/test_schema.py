"""A schema that somebody else controls: what `init` makes of its names and comments is rows, and nothing besides."""

from __future__ import annotations

import re
from pathlib import Path

import deltalake
import pytest
import yaml

from generator.cli import main
from generator.proposal_text import proposal_text
from generator.propose import propose
from generator.shape import SchemaName, TableShape
from tests.hostile.night import COLUMNS, NAME, TERMINAL, TEXT, WORKFLOW, source
from tests.hostile.test_from_row_to_page import harmless

TABLE = f"x{TERMINAL}{NAME}{WORKFLOW}- dst_table_name: mine"
COMMENT = f"{TEXT}{TERMINAL}{WORKFLOW}${{var.x}}"
BRONZE, SILVER = SchemaName("dev_bronze", "b"), SchemaName("dev_silver", "s")


def test_names_and_comments_of_a_schema_are_values_of_the_proposal() -> None:
    shape = TableShape(name=TABLE, columns=COLUMNS, comment=COMMENT, primary_key=(NAME,))
    text = proposal_text(propose([shape], BRONZE, SILVER), BRONZE, SILVER)
    assert harmless(text)
    (row,) = yaml.safe_load(text)
    assert row["src_table_name"] == TABLE
    assert row["business_key_columns"] == [NAME]
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,100}", row["dst_table_name"])
    assert "comment" not in row  # it holds what cannot travel in a job


def test_init_and_generate_say_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "lake" / "dev_bronze" / "b" / "order_items"
    deltalake.write_deltalake(str(folder), source(), description=TEXT)
    out, settings = tmp_path / "rows.yml", tmp_path / "settings.yml"
    words = ("dev_bronze.b", "dev_silver.s", "--workspace", str(tmp_path / "lake"), "--out", str(out))
    assert main(["init", *words]) == 0
    (row,) = yaml.safe_load(out.read_text(encoding="utf-8"))
    assert row["comment"] == TEXT
    out.write_text(yaml.safe_dump([{**row, "src_table_name": TABLE}]), encoding="utf-8")
    settings.write_text("execution_table: rows.yml\nrun_log: a.b.c\n", encoding="utf-8")
    assert main(["generate", "--settings", str(settings), "--out", str(tmp_path / "resources")]) == 1
    said = capsys.readouterr()
    assert "src_table_name: holds the control character" in said.err
    assert harmless(said.out + said.err)
    assert not (tmp_path / "resources").exists()
