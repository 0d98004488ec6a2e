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
    """What the workflow runs, with the text of `.ci/propose` in its place."""
    own = (ROOT / ".ci" / "propose").read_text(encoding="utf-8")
    return [own if step["run"] == ".ci/propose" else step["run"] for step in steps(path) if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_the_commands_of_a_workflow_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(scripts(path))
    makefile = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "project.mk"))
    for target in re.findall(r"^make ([\w.-]+)(?=\s|$)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    text = text.replace('"$format"', "text")
    commands = re.findall(r"(?:python -m |^(?:once )?)generator ([a-z][^>|&\n#`]+)", text, re.MULTILINE)
    assert commands or path.stem == "pythons"
    for command in commands:
        with pytest.raises(SystemExit) as left:
            main([*shlex.split(command), "--help"])
        assert left.value.code == 0, command
        assert "usage" in capsys.readouterr().out


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_has_no_secret_and_no_right_that_it_does_not_need(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "secrets." not in text
    needed = {
        "check": {"contents": "read"},
        "pythons": {"contents": "read"},
        "metadata": {"contents": "write", "pull-requests": "write", "id-token": "write"},  # push, propose, log in
    }
    assert yaml.safe_load(text)["permissions"] == needed[path.stem]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_actions_of_github_and_databricks_only_and_ends(path: Path) -> None:
    used = {step["uses"] for step in steps(path) if "uses" in step}
    assert {name.split("/")[0] for name in used} <= {"actions", "databricks"}
    assert all("@" in name for name in used)
    assert all("timeout-minutes" in job for job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].values())


def test_the_hook_runs_when_a_file_is_committed_that_the_job_files_are_made_from() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (hook for repository in config["repos"] for hook in repository["hooks"])
    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == ("make check", "system", False)
    asked = ["bundle/execution_table.yml", "bundle/sql/a.sql", "resources/l.job.yml", "databricks.yml"]
    assert [name for name in [*asked, "README.md", "src/laketasks/load.py"] if re.search(hook["files"], name)] == asked
