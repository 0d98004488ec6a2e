"""A word that is added to the list of loaders: no command of the generator ends in a traceback."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from generator import combinations
from generator.combinations import Case, combination_problems
from laketasks.spec import CdcSourceConfig
from tests.generator.rows import ROOT, project, row

_COMMANDS = (["generate"], ["check"], ["diff"], ["explain", "dim_customer"], ["graph"])
_CODE = """
import sys, laketasks.spec
laketasks.spec.PIPELINES += ("made_up",)
from generator.cli import main
sys.exit(max(main(command) for command in {commands}))
"""


def test_every_command_takes_a_new_loader(tmp_path: Path) -> None:
    config = {"delete_mode": "hard", "source_mode": "snapshot", "on_missing": "soft", "expectations": {"expect": {}}}
    project(
        tmp_path,
        [row(execution_pipeline="made_up", cdc_source_config=config), row(dst_table_name="b", execution_order=2)],
    )
    run = subprocess.run(
        [sys.executable, "-c", _CODE.format(commands=list(_COMMANDS))],
        cwd=tmp_path,
        env={"PYTHONPATH": f"{ROOT}:{ROOT}/src"},
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in run.stderr
    assert run.returncode == 0, run.stderr
    text = (tmp_path / "resources" / "bronze_to_silver.job.yml").read_text(encoding="utf-8")
    assert "execution_pipeline: made_up" in text


@pytest.mark.parametrize("load_type", ["full", "incremental"])
def test_no_rule_about_combinations_needs_to_know_the_loader(load_type: str) -> None:
    """Each rule gives an answer for a loader that no table of the rules lists."""
    modes = ("state", "events", "snapshot", "cdf", "fivetran_history")
    for mode, missing, delete, reconcile in product(
        modes, combinations._ANY_ON_MISSING, combinations._ANY_DELETE_MODE, (False, True)
    ):
        config = CdcSourceConfig(source_mode=mode, on_missing=missing, delete_mode=delete, reconcile=reconcile)
        case = Case(pipeline="made_up", load_type=load_type, config=config, keys=("id",), surrogate=("sk",))
        assert all(found.what for found in combination_problems(case))
