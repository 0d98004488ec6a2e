"""`.ci/smoke` for real, over job files of the generator. Only `databricks` is a double, which knows `bundle run`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from laketasks.spec import JOB_PARAMETERS

ROOT = Path(__file__).parents[1]
GOLDENS = ROOT / "tests" / "generator" / "goldens"
DATABRICKS = f"""#!{sys.executable}
import argparse, json, os, pathlib, sys

if sys.argv[1:3] == ["api", "get"]:
    path = sys.argv[3]
    state = lambda result: {{"life_cycle_state": "TERMINATED", "result_state": result}}
    if "get-output" in path:
        told = "1 of 101 tables FAILED: a\\n\\n    GuardError: empty\\nTraceback (most recent call last)"
        print(json.dumps({{"logs": told}}))
    elif "page_token" in path:
        print(json.dumps({{"tasks": [{{"task_key": "run_summary", "run_id": 9, "state": state("FAILED")}}]}}))
    else:
        assert "run_id=4711" in path, path
        tasks = [{{"task_key": "a", "run_id": 8, "state": state("FAILED")}}]
        print(json.dumps({{"tasks": tasks, "next_page_token": "x"}}))
    sys.exit()
parser = argparse.ArgumentParser(allow_abbrev=False)
run = parser.add_subparsers(required=True).add_parser("bundle").add_subparsers(required=True).add_parser("run")
run.add_argument("job")
run.add_argument("--target", required=True)
run.add_argument("--params", required=True)
asked = parser.parse_args()
with pathlib.Path(os.environ["RAN"]).open("a") as file:
    print(asked.job, asked.target, asked.params, file=file)
print("Run URL: https://workspace.example/?o=1#job/1/run/4711", file=sys.stderr)
sys.exit(asked.job in os.environ["FAIL"].split())
"""


def smoke(
    folder: Path, golden: str, arguments: Sequence[str] = ("dev",), fail: str = ""
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """A run over the golden's job files and those written by hand, and what was run."""
    for name in (".ci", "resources", "bin"):
        (folder / name).mkdir()
    for name in ("smoke", "why"):
        shutil.copy2(ROOT / ".ci" / name, folder / ".ci" / name)
    shutil.copy(ROOT / "resources" / "bootstrap.job.yml", folder / "resources")
    for file in (GOLDENS / golden / "resources").glob("*.yml"):
        shutil.copy(file, folder / "resources")
    (folder / "bin" / "databricks").write_text(DATABRICKS)
    (folder / "bin" / "databricks").chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "RAN": str(folder / "ran"), "FAIL": fail}
    done = subprocess.run(
        [folder / ".ci" / "smoke", *arguments], env=environment, capture_output=True, text=True, check=False
    )
    return done, (folder / "ran").read_text().splitlines() if (folder / "ran").exists() else []


@pytest.mark.parametrize("golden", sorted(path.name for path in GOLDENS.iterdir()))
def test_the_job_of_each_layer_runs_once_without_writing(golden: str, tmp_path: Path) -> None:
    done, ran = smoke(tmp_path, golden)
    assert done.returncode == 0, done.stderr
    files = (GOLDENS / golden / "resources").glob("*.job.yml")
    layers = sorted(name for name in (file.name.removesuffix(".job.yml") for file in files) if "__order_" not in name)
    assert ran == [f"{layer} dev dry_run=true" for layer in layers]
    assert "dry_run" in JOB_PARAMETERS


def test_a_job_that_fails_stops_no_other_and_fails_the_run(tmp_path: Path) -> None:
    done, ran = smoke(tmp_path, "layers", fail="bronze_to_silver")
    assert (done.returncode, len(ran)) == (1, 2)
    assert done.stderr.splitlines()[-1] == "smoke: failed in dev: bronze_to_silver"
    assert "== run_summary FAILED\n1 of 101 tables FAILED: a\n\n    GuardError: empty\n" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_a_folder_without_a_layer_is_no_success(tmp_path: Path) -> None:
    done, ran = smoke(tmp_path, "none")
    assert (done.returncode, ran) == (2, [])
    assert "no job file" in done.stderr


def test_the_target_must_be_named(tmp_path: Path) -> None:
    done, ran = smoke(tmp_path, "layers", arguments=())
    assert done.returncode != 0
    assert ran == []
    assert "usage" in done.stderr
