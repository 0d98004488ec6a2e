"""`.ci/tested` for real on a clone: which commits may go to prod. Only `gh` is a double, which knows `run list`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GH = f"""#!{sys.executable}
import argparse, json, os

parser = argparse.ArgumentParser(allow_abbrev=False)
listed = parser.add_subparsers(required=True).add_parser("run").add_subparsers(required=True).add_parser("list")
for option in ("workflow", "event", "branch", "commit", "status", "limit", "json", "jq"):
    listed.add_argument(f"--{{option}}", required=True)
asked = parser.parse_args()
assert (asked.json, asked.jq, asked.limit) == ("databaseId", ".[].databaseId", "1")
key = [asked.workflow, asked.event, asked.branch, asked.status, asked.commit]
print(*(run for known, run in json.loads(os.environ["RUNS"]) if known == key))
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone whose main has two commits, with a branch beside it."""
    folder = tmp_path / "clone"
    for name in ("bin", ".ci"):
        (folder / name).mkdir(parents=True)
    shutil.copy2(ROOT / ".ci" / "tested", folder / ".ci" / "tested")
    (folder / "bin" / "gh").write_text(GH)
    (folder / "bin" / "gh").chmod(0o755)
    git(folder, "init", "-q", "-b", "main")
    for _ in range(2):
        git(folder, "commit", "-q", "--allow-empty", "-m", "main")
    git(folder, "switch", "-q", "-c", "side")
    git(folder, "commit", "-q", "--allow-empty", "-m", "side")
    git(folder, "update-ref", "refs/remotes/origin/main", "main")
    return folder


def git(folder: Path, *words: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *named, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def asked(clone: Path, reference: str, runs: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PATH": f"{clone / 'bin'}:{os.environ['PATH']}",
        "GITHUB_SHA": git(clone, "rev-parse", reference),
        "GITHUB_OUTPUT": str(clone / "output"),
        "RUNS": runs,
    }
    return subprocess.run([".ci/tested"], cwd=clone, env=environment, capture_output=True, text=True, check=False)


def deployed(clone: Path, reference: str, status: str = "success") -> str:
    commit = git(clone, "rev-parse", reference)
    return f'[[["deploy.yml", "push", "main", "{status}", "{commit}"], 41]]'


@pytest.mark.parametrize("reference", ["main", "main~"])
def test_a_commit_of_main_that_dev_has_run(clone: Path, reference: str) -> None:
    done = asked(clone, reference, deployed(clone, reference))
    assert (done.returncode, done.stdout) == (0, "run=41\n"), done.stderr
    assert (clone / "output").read_text() == "run=41\n"


def test_a_commit_that_is_not_on_main(clone: Path) -> None:
    done = asked(clone, "side", deployed(clone, "side"))
    assert (done.returncode, "is not on origin/main: merge it by a pull request" in done.stderr) == (1, True)
    assert not (clone / "output").exists()


@pytest.mark.parametrize("status", ["failure", ""])
def test_a_commit_that_dev_has_not_run_well(clone: Path, status: str) -> None:
    done = asked(clone, "main", deployed(clone, "main", status) if status else deployed(clone, "main~"))
    assert (done.returncode, "no run of deploy.yml has brought" in done.stderr) == (1, True)
