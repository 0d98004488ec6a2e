"""`.ci/comment` for real: a clone with two commits, the generator, git. Only `gh` is a double."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.generator.rows import row
from tests.github import Team, new_team

FIRST = [row(), row(dst_table_name="fact", execution_order=2)]
NEW = row(dst_table_name="dim_new", execution_order=1)


@pytest.fixture
def team(tmp_path: Path) -> Team:
    return new_team(tmp_path)


def comment(team: Team, number: str = "7", code: int = 0) -> str:
    """What a run shows."""
    run = team.comment(BASE=team.at("main"), NUMBER=number)
    assert run.returncode == code, run.stderr
    return run.stdout


def test_one_comment_says_what_changes_and_later_pushes_change_it(team: Team) -> None:
    team.rows(*FIRST, NEW)
    shown = comment(team)
    assert "1 table now waits for it" in shown
    (said,) = team.comments
    assert (said["number"], said["by"], said["edits"]) == ("7", "Bot", 0)
    mark, _, text = said["body"].partition("\n")
    assert re.fullmatch("<!-- .+ -->", mark)
    assert text == shown

    team.rows(*FIRST, row(dst_table_name="dim_other", execution_order=1))
    comment(team)
    (said,) = team.comments
    assert said["edits"] == 1
    assert "other" in said["body"]
    assert "new" not in said["body"]

    team.rows(*FIRST)
    comment(team)
    (said,) = team.comments
    assert "no change" in said["body"]


def test_what_the_branch_has_got_since_is_not_said(team: Team) -> None:
    """The base has a table more by now, the pull request was made before: it does not take that table away."""
    team.git("branch", "change")
    team.rows(*FIRST, row(dst_table_name="dim_since", execution_order=1))
    generate = [sys.executable, "-m", "generator", "generate", "--source", "../table.yml"]
    subprocess.run(generate, cwd=team.clone, check=True, capture_output=True)
    team.git("commit", "--quiet", "--all", "--message", "since")
    team.git("switch", "--quiet", "change")
    team.rows(*FIRST, NEW)
    run = team.comment(BASE="main", NUMBER="7")
    assert run.returncode == 0, run.stderr
    assert "dim_new" in run.stdout
    assert "dim_since" not in run.stdout


def test_a_pull_request_that_touches_no_row_is_left_in_peace(team: Team) -> None:
    assert "no change" in comment(team)
    assert team.comments == []


def test_each_pull_request_has_its_own(team: Team) -> None:
    team.rows(*FIRST, NEW)
    comment(team, "7")
    comment(team, "8")
    assert [(said["number"], said["edits"]) for said in team.comments] == [("7", 0), ("8", 0)]


def test_what_a_person_wrote_is_not_changed(team: Team) -> None:
    team.rows(*FIRST, NEW)
    comment(team)
    (said,) = team.comments
    (team.folder / "comments.json").write_text(json.dumps([{**said, "by": "User"}]))
    comment(team)
    assert [(said["by"], said["edits"]) for said in team.comments] == [("User", 0), ("Bot", 0)]


def test_of_a_fork_it_is_only_shown(team: Team) -> None:
    (team.folder / "bin" / "gh").write_text("#!/bin/sh\nexit 1\n")
    team.rows(*FIRST, NEW)
    summary = team.folder / "summary.md"
    summary.write_text("Before.\n")
    run = team.comment(BASE=team.at("main"), NUMBER="", GITHUB_STEP_SUMMARY=str(summary))
    assert run.returncode == 0, run.stderr
    assert "1 table now waits for it" in run.stdout
    assert summary.read_text() == f"Before.\n{run.stdout}"
    assert team.comments == []


def test_rows_with_problems_fail_and_are_said(team: Team) -> None:
    team.rows(*FIRST, NEW)
    comment(team)
    team.rows(row(load_type="ful"))
    comment(team, code=1)
    (said,) = team.comments
    assert said["edits"] == 1
    assert "have problems" in said["body"]


def test_what_could_not_be_asked_is_not_said(team: Team) -> None:
    team.rows(*FIRST, NEW)
    assert team.comment(BASE=team.at("main"), NUMBER="7", PYTHON=str(team.folder / "none")).returncode == 127
    assert team.comments == []


def test_a_request_that_fails_fails(team: Team) -> None:
    (team.folder / "bin" / "gh").write_text("#!/bin/sh\nexit 4\n")
    team.rows(*FIRST, NEW)
    comment(team, code=4)


def test_a_long_difference_fits_into_a_comment(team: Team) -> None:
    team.rows(*(row(dst_table_name=f"dim_{n:04}") for n in range(700)))
    comment(team)
    (said,) = team.comments
    assert 55_000 < len(said["body"].encode()) < 65_536
    assert f"and more: `python -m generator diff --against {team.at('main')}`" in said["body"]
