"""The workflows: their commands exist, and they hold no secret and no right that they do not need."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli import main

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_commands_of_a_workflow_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(scripts(path))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([\w.-]+)(?=\s|$)", text):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    commands = re.findall(r"python -m generator ([^>|&\n]+)", text)
    assert commands
    for command in commands:
        with pytest.raises(SystemExit) as left:
            main([*shlex.split(command), "--help"])
        assert left.value.code == 0, command
        assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_secret_and_no_right_that_it_does_not_need(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    assert yaml.safe_load(text)["permissions"] in ({}, {"contents": "read"})
