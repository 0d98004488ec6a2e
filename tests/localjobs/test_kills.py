"""Runs of the four loaders that are killed at any moment; then the run is repaired, or the next one works."""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from tests.journeys.project import ROOT, Finished, Project, row
from tests.localjobs.test_run import needs_proc

_TABLES = ("one", "two", "three", "four")
_FEW, _MANY = 3, 50
_SEED = 20240501


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    for table in _TABLES:
        made.bronze(table, pa.table({"id": [1, 2, 3], "a": ["x", "y", "z"]}))
    rows = [
        row("one", 1, "scd1", business_key_columns=["id"]),
        row("two", 1, "scd2", business_key_columns=["id"]),
        row("three", 2, "fact_overwrite"),
        row("four", 2, "fact_incremental_merge", primary_key_columns=["id"]),
    ]
    made.write(rows, layers={"main": {"on_upstream_failure": "skip"}})
    assert made.generate().code == 0
    return made


@needs_proc
def test_a_few_runs_that_are_killed(project: Project) -> None:
    _trial(project, _FEW, random.Random(_SEED))


@pytest.mark.kill
@pytest.mark.timeout(3600)
@needs_proc
def test_many_runs_that_are_killed(project: Project) -> None:
    told = _trial(project, _MANY, random.Random(_SEED + 1))
    print(f"\n{_MANY} runs killed: {', '.join(f'{what} {times}' for what, times in sorted(told.items()))}")
    assert told["repaired"] > _MANY / 4
    assert told["next run"] > _MANY / 4


def _trial(project: Project, kills: int, chance: random.Random) -> Counter[str]:
    """Kill so many runs, each at a moment drawn evenly over an undisturbed run's time; what was done after them."""
    began = time.monotonic()
    assert project.run().code == 0
    whole = time.monotonic() - began
    told: Counter[str] = Counter()
    for number in range(kills):
        known = _records(project)
        _killed(project, chance.uniform(0, whole))
        new = _records(project) - known
        told["killed before its record"] += not new
        if new and number % 2 == 0:
            told[_repaired(project, new.pop())] += 1
        else:
            assert project.run().code == 0
            told["next run"] += 1
        assert set(project.states().values()) == {"SUCCESS"}
        assert [project.silver(table).num_rows for table in _TABLES] == [3, 3, 3, 3]
    return told


def _records(project: Project) -> set[Path]:
    return set((project.workspace / "runs").glob("*/run.json"))


def _repaired(project: Project, record: Path) -> str:
    ended = json.loads(record.read_text())["state"].get("result_state")  # the record is whole whatever happened
    done = _localjobs(project, "repair", record.parent.name)
    if ended == "SUCCESS":
        assert (done.code, done.err.split(": ")[1]) == (2, "every task succeeded\n")
        return "had ended"
    assert done.code == 0, done.out + done.err
    assert json.loads(record.read_text())["repair_history"][-1]["state"]["result_state"] == "SUCCESS"
    return "repaired"


def _localjobs(project: Project, command: str, what: str) -> Finished:
    arguments = [sys.executable, "-m", "localjobs", command, what, "--workspace", str(project.workspace)]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    return Finished(code=done.returncode, out=done.stdout, err=done.stderr)


def _killed(project: Project, after: float) -> None:
    """Start a run, kill it, and see that all it started ends."""
    file = str(project.folder / "resources" / "main.job.yml")
    mark = f"KILLED_RUN={project.folder}"
    process = subprocess.Popen(
        [sys.executable, "-m", "localjobs", "run", file, "--workspace", str(project.workspace)],
        cwd=ROOT,
        env=os.environ | {"KILLED_RUN": str(project.folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(after)
    process.kill()
    process.wait()
    _until(lambda: not _alive(mark))


def _alive(mark: str) -> list[str]:
    """The processes that have this in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text())
    return [line for line in found if line]


def _until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, f"not so within {seconds} s"
        time.sleep(0.05)
