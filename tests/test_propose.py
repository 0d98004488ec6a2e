"""`.ci/propose` for real: a bare repository as the remote, the generator, git. Only `gh` is a double.

The double keeps its pull requests in a file and knows the options that `gh pr` has, and no others.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.generator.rows import SETTINGS, row

ROOT = Path(__file__).parents[1]
BRANCH = "metadata/job-files"
GH = f"""#!{sys.executable}
import argparse, json, os, pathlib, subprocess, sys

parser = argparse.ArgumentParser(allow_abbrev=False)
commands = parser.add_subparsers(dest="group", required=True).add_parser("pr").add_subparsers(dest="command")
options = {{
    "list": ["head", "base", "state", "json", "jq"],
    "create": ["base", "head", "title", "body-file"],
    "edit": ["body-file"],
    "close": ["comment"],
}}
for name, given in options.items():
    command = commands.add_parser(name, allow_abbrev=False)
    if name in ("edit", "close"):
        command.add_argument("number", type=int)
    if name == "close":
        command.add_argument("--delete-branch", action="store_true")
    for option in given:
        command.add_argument(f"--{{option}}", required=True)
asked = parser.parse_args()
place = pathlib.Path(os.environ["FAKE_GH"])
pulls = json.loads(place.read_text()) if place.exists() else []
if asked.command == "list":
    assert (asked.json, asked.jq) == ("number", ".[].number")
    for pull in pulls:
        if (pull["head"], pull["base"], pull["state"]) == (asked.head, asked.base, asked.state):
            print(pull["number"])
elif asked.command == "create":
    body = pathlib.Path(asked.body_file).read_text()
    pull = dict(head=asked.head, base=asked.base, title=asked.title, body=body, state="open", edits=0)
    pulls.append(pull | dict(number=len(pulls) + 1))
elif asked.command == "edit":
    pull = pulls[asked.number - 1]
    pull |= dict(body=pathlib.Path(asked.body_file).read_text(), edits=pull["edits"] + 1)
else:
    pulls[asked.number - 1] |= dict(state="closed", comment=asked.comment)
    subprocess.run(["git", "push", "-q", "origin", "--delete", pulls[asked.number - 1]["head"]], check=True)
place.write_text(json.dumps(pulls))
"""


@dataclass(frozen=True)
class Team:
    """A clone of a bare repository. The rows stand outside, as in a table of the workspace."""

    folder: Path

    @property
    def clone(self) -> Path:
        return self.folder / "clone"

    @property
    def pulls(self) -> list[dict[str, Any]]:
        place = self.folder / "pulls.json"
        return json.loads(place.read_text()) if place.exists() else []

    def rows(self, *rows: dict[str, object]) -> None:
        (self.folder / "table.yml").write_text(yaml.safe_dump(list(rows)), encoding="utf-8")

    def git(self, *arguments: str, folder: str = "clone") -> str:
        named = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main")
        run = subprocess.run(["git", *named, *arguments], cwd=self.folder / folder, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    def propose(self, **environment: str) -> subprocess.CompletedProcess[str]:
        who = {
            f"GIT_{who}_{what}": f"a@{what}.example" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        own = {"PATH": path, "PYTHON": sys.executable, "FAKE_GH": str(self.folder / "pulls.json"), **who}
        outside = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_", "GITHUB_"))}
        return subprocess.run(
            [".ci/propose", "--source", "../table.yml"],
            cwd=self.clone,
            env={**outside, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def at(self, reference: str) -> str:
        """The commit of a branch in the remote; "" where there is none."""
        return self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{reference}", folder="remote.git")

    def proposed(self) -> str:
        return self.git("show", f"{BRANCH}:resources/bronze_to_silver.job.yml", folder="remote.git")


@pytest.fixture
def team(tmp_path: Path) -> Team:
    made = Team(tmp_path)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(GH)
    (tmp_path / "bin" / "gh").chmod(0o755)
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", tmp_path / "remote.git"], check=True)
    made.clone.mkdir()
    for part in ("generator", "bundle/templates"):
        shutil.copytree(ROOT / part, made.clone / part, ignore=shutil.ignore_patterns("__pycache__"))
    (made.clone / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "propose", made.clone / ".ci" / "propose")
    (made.clone / ".gitignore").write_text("__pycache__/\n")
    (made.clone / "bundle" / "settings.yml").write_text(yaml.safe_dump(dict(SETTINGS)))
    made.rows(row(), row(dst_table_name="fact", execution_order=2))
    for words in (("init", "-q", "-b", "main"), ("remote", "add", "origin", "../remote.git")):
        made.git(*words)
    generate = [sys.executable, "-m", "generator", "generate", "--source", "../table.yml"]
    subprocess.run(generate, cwd=made.clone, check=True, capture_output=True)
    for words in (("add", "."), ("commit", "-qm", "first"), ("push", "-q", "origin", "main")):
        made.git(*words)
    return made


NEW = row(dst_table_name="dim_new", execution_order=1)


def test_nothing_happens_when_nothing_changed(team: Team) -> None:
    run = team.propose()
    assert (run.returncode, run.stdout.splitlines()[-1]) == (
        0,
        "nothing to propose: the job files are what the rows make",
    )
    assert (team.pulls, team.at(BRANCH)) == ([], "")


def test_a_new_row_is_one_pull_request_that_later_runs_update(team: Team) -> None:
    base = team.at("main")
    team.rows(row(), row(dst_table_name="fact", execution_order=2), NEW)
    assert team.propose().returncode == 0
    (pull,) = team.pulls
    assert (pull["base"], pull["head"], pull["state"]) == ("main", BRANCH, "open")
    assert "| + | `dim\\_new` |" in pull["body"] or "| + | `dim_new` |" in pull["body"]
    assert "1 table now waits for it" in pull["body"]
    assert "task_key: dim_new" in team.proposed()
    assert team.at("main") == base
    assert team.git("branch", "--show-current") == "main"
    assert team.git("status", "--porcelain") == ""

    first = team.at(BRANCH)
    run = team.propose()
    assert run.stdout.splitlines()[-1] == "proposed already: #1"
    assert (team.at(BRANCH), team.pulls) == (first, [pull])

    team.rows(row(), row(dst_table_name="fact", execution_order=3), NEW)
    assert team.propose().returncode == 0
    assert [(found["number"], found["edits"]) for found in team.pulls] == [(1, 1)]
    assert "order 2 -\\> 3" in team.pulls[0]["body"]
    assert team.git("rev-parse", f"{BRANCH}~", folder="remote.git") == base  # one commit, made anew


def test_a_proposal_stands_while_others_commit_elsewhere(team: Team) -> None:
    team.rows(row(), NEW)
    team.propose()
    first = team.at(BRANCH)
    (team.clone / "README.md").write_text("more\n")
    for words in (("add", "."), ("commit", "-qm", "more"), ("push", "-q", "origin", "main")):
        team.git(*words)
    assert team.propose().stdout.splitlines()[-1] == "proposed already: #1"
    assert team.at(BRANCH) == first

    merged = (("merge", "-q", "--no-edit", f"origin/{BRANCH}"), ("push", "-q", "origin", "main"))
    team.git("fetch", "-q")
    for words in merged:
        team.git(*words)
    team.rows(row(), NEW, row(dst_table_name="later", execution_order=2))
    assert team.propose().returncode == 0
    assert team.git("rev-parse", f"{BRANCH}~", folder="remote.git") == team.at("main")


def test_rows_that_return_close_the_proposal(team: Team) -> None:
    team.rows(row(), NEW)
    team.propose()
    team.rows(row(), row(dst_table_name="fact", execution_order=2))
    assert team.propose().returncode == 0
    assert [pull["state"] for pull in team.pulls] == ["closed"]
    assert team.at(BRANCH) == ""
    team.rows(row(), NEW)
    assert team.propose().returncode == 0
    assert [pull["state"] for pull in team.pulls] == ["closed", "open"]


def test_wrong_rows_are_annotations_and_no_proposal(team: Team) -> None:
    team.rows(row(load_type="ful"), NEW, row(dst_table_name="b", execution_pipeline="scd3"))
    run = team.propose(FORMAT="github")
    assert run.returncode == 1
    said = [line for line in run.stderr.splitlines() if line.startswith("::error ")]
    assert len(said) == 2
    assert re.match(r"::error file=.*table\.yml,line=\d+::row 1 \(dim_customer\) load_type: ", said[0])
    assert (team.pulls, team.at(BRANCH), team.git("status", "--porcelain")) == ([], "", "")


def test_a_warning_is_said_once(team: Team) -> None:
    team.rows(row(cdc_source_config={"lookback": "1 day"}), NEW)
    run = team.propose(FORMAT="github")
    assert run.returncode == 0
    assert (run.stdout + run.stderr).count("lookback does nothing") == 1


def test_work_in_hand_is_left_alone(team: Team) -> None:
    (team.clone / "bundle" / "settings.yml").write_text("half done")
    run = team.propose()
    assert run.returncode == 2
    assert "commit or stash" in run.stderr
    assert (team.clone / "bundle" / "settings.yml").read_text() == "half done"


def test_a_long_difference_fits_into_a_pull_request(team: Team) -> None:
    team.rows(*(row(dst_table_name=f"dim_{n:04}") for n in range(700)))
    assert team.propose().returncode == 0
    body = team.pulls[0]["body"]
    assert 55_000 < len(body.encode()) < 65_536
    assert "and more: `python -m generator diff --against main`" in body


def test_the_workflow_runs_it() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/metadata.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["propose"]["steps"]
    (step,) = [step for step in steps if step.get("run") == ".ci/propose"]
    assert (step["env"]["FORMAT"], step["env"]["DATABRICKS_AUTH_TYPE"]) == ("github", "github-oidc")
    assert workflow["permissions"] == {"contents": "write", "pull-requests": "write", "id-token": "write"}
    assert os.access(ROOT / ".ci" / "propose", os.X_OK)
