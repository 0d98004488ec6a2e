"""`.ci/propose` for real: a bare repository as the remote, the generator, git. Only `gh` is a double."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import yaml

from tests.generator.rows import row
from tests.github import ROOT, Team, new_team

BRANCH = "metadata/job-files"


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return new_team(tmp_path)


def proposed(team: Team) -> str:
    return team.git("show", f"{BRANCH}:resources/bronze_to_silver.job.yml", folder="remote.git")


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
    assert "task_key: dim_new" in proposed(team)
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
