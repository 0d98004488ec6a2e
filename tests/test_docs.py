"""The pages say what the code has: columns, keys with their defaults, runners, commands."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from generator.columns import BY_NAME
from laketasks.spec import JOB_PARAMETERS, PIPELINES, CdcSourceConfig

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "benchmarks/README.md", *sorted((ROOT / "docs").glob("*.md"))]


def first_cells(text: str, header: str) -> list[str]:
    """The first cells of the table that begins with this header cell, without backticks."""
    lines = iter(text.splitlines())
    for line in lines:
        if line.startswith(f"| {header} |"):
            next(lines)
            break
    rows = []
    for line in lines:
        if not line.startswith("|"):
            break
        rows.append(line.split("|")[1].strip().replace("`", ""))
    return rows


def test_the_readme_is_short_and_its_commands_are_targets() -> None:
    assert len(README.splitlines()) <= 150
    commands = re.findall(r"^    make (\w+)$", README, re.MULTILINE)
    assert commands == ["demo", "test"]
    makefile = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "project.mk"))
    for command in {*commands, *re.findall(r"`make (\w+)`", README)}:
        assert re.search(rf"^{command}:", makefile, re.MULTILINE), command


def test_the_columns_are_the_17() -> None:
    named = [name.strip() for cell in first_cells(README, "column") for name in cell.split(",")]
    assert named == list(BY_NAME)
    assert first_cells((ROOT / "docs/columns.md").read_text(encoding="utf-8"), "column") == list(BY_NAME)


def test_the_runners_are_the_loaders() -> None:
    assert first_cells(README, "`execution_pipeline` | what it does")[: len(PIPELINES)] == list(PIPELINES)


def test_every_key_of_the_configuration_is_explained_with_its_default() -> None:
    text = (ROOT / "docs/cdc_source_config.md").read_text(encoding="utf-8")
    assert first_cells(text, "key") == [f.name for f in fields(CdcSourceConfig)]
    for f in fields(CdcSourceConfig):
        if isinstance(f.default, bool | float) or (isinstance(f.default, str) and f.default):
            shown = f.default if isinstance(f.default, str) else json.dumps(f.default)
            assert f"| {f.name} | `{shown}` |" in text


def test_the_settings_of_the_migration_are_those_of_its_golden() -> None:
    page = (ROOT / "docs/migrate.md").read_text(encoding="utf-8")
    shown = re.findall(r"^```yaml\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    golden = (ROOT / "tests/generator/goldens/notebooks/bundle/settings.yml").read_text(encoding="utf-8")
    assert len(shown) == 1
    assert yaml.safe_load(shown[0])["runners"] == yaml.safe_load(golden)["runners"]


def test_every_job_parameter_is_explained() -> None:
    assert set(first_cells((ROOT / "docs/job.md").read_text(encoding="utf-8"), "parameter")) == set(JOB_PARAMETERS)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / link).exists(), link


def test_the_page_of_paths_names_tests_that_are_there() -> None:
    text = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = re.findall(r"((?:tests/\w+/)?test_\w+\.py)::(test_\w+)", text)
    assert len(named) > 30
    for file, test in named:
        path = ROOT / file if "/" in file else ROOT / "tests/hostile" / file
        assert f"\ndef {test}(" in path.read_text(encoding="utf-8"), f"{file}::{test}"
