"""Loads that run at the same time: twice the same one, two of one run log, one whose source is replaced under it."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from deltalake import write_deltalake

from tests.crashes.loads import LOADS, Place
from tests.crashes.rig import Rig, Task
from tests.crashes.trial import DAY, Line, Trial, shown

pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200)]
_FIRST_LOADS = 4  # every so many tries the table is not there yet
_CONFLICT = "ConflictError: "


def test_two_runs_of_one_load(trial: Trial, races: int, note: Callable[[Line], None]) -> None:
    """Both end well, or one with the error that says what to do; the table is that of one run."""
    went: Counter[str] = Counter()
    equal, began, seen = 0, time.monotonic(), len(trial.problems)
    for number in range(races):
        start = trial.start(0 if number % _FIRST_LOADS == _FIRST_LOADS - 1 else DAY)
        place = trial.rig.copy(start.place)
        offset = trial.random.uniform(0, 0.3 * start.usual)
        one = trial.rig.start_load(place, trial.load, run=DAY)
        trial.rig.wait(one, seconds=offset)
        retry = number % 2 == 0
        two = trial.rig.start_load(place, trial.load, run=DAY if retry else DAY + 1, attempt=2 if retry else 1)
        trial.rig.wait(one, two)
        found = [f"failed: {task.message}" for task in (one, two) if not _well(task)]
        if _ended(one) or _ended(two):
            found += trial.differs(start.table, place)
        went[_how(trial, place, one, two)] += 1
        tried = f"race {number}, {offset:.3f} s apart"
        well = trial.judge(tried, place, found)
        equal += trial.settle(start, place, tried, run=DAY + 2, alone=False) and well
        _say(trial.name, "two runs of one load", number + 1, races, equal, went)
    note(Line(trial.name, "two runs at once", races, equal, went, time.monotonic() - began))
    assert trial.problems[seen:] == []


def test_the_source_is_replaced(trial: Trial, races: int, note: Callable[[Line], None]) -> None:
    """The table is the load of the old source or that of the new one, and the next load brings it to the new."""
    start = trial.start()
    new, both = trial.after(start, DAY + 1), trial.after(start, DAY, DAY + 1)
    coming = trial.load.source(DAY + 1)
    went: Counter[str] = Counter()
    equal, began, seen = 0, time.monotonic(), len(trial.problems)
    for number in range(races):
        place = trial.rig.copy(start.place)
        moment = trial.random.uniform(0, start.usual)
        task = trial.rig.start_load(place, trial.load, run=DAY)
        trial.rig.wait(task, seconds=moment)
        write_deltalake(str(place.source_folder), coming, mode="overwrite")
        trial.rig.wait(task)
        found = [] if _ended(task) else [f"failed: {task.message}"]
        rows = place.table()
        was_old = rows.equals(start.table)
        went["the old source" if was_old else "the new source" if rows.equals(new) else "neither"] += 1
        if not was_old:
            found += trial.differs(new, place)
        trial.must(trial.rig.load(place, trial.load, run=DAY + 1))
        found += trial.differs(both if was_old else new, place)
        equal += trial.judge(f"source replaced {number}, after {moment:.3f} s", place, found)
        _say(trial.name, "source replaced", number + 1, races, equal, went)
    note(Line(trial.name, "source replaced", races, equal, went, time.monotonic() - began))
    assert trial.problems[seen:] == []


def test_two_loads_of_one_run_log(shared_rig: Rig, seed: int, races: int, note: Callable[[Line], None]) -> None:
    """Both tables are right and both rows are in the log."""
    name, other = "scd1", "fact_incremental_merge"
    trials = {key: Trial(shared_rig, load, random.Random(seed)) for key, load in (("a", name), ("b", other))}
    starts = {table: trial.start() for table, trial in trials.items()}
    base = starts["a"].place
    went: Counter[str] = Counter()
    equal, began = 0, time.monotonic()
    for number in range(races):
        place = shared_rig.copy(base)
        tasks = [shared_rig.start_load(place, LOADS[name], run=DAY)]
        shared_rig.wait(tasks[0], seconds=trials["a"].random.uniform(0, 0.3 * starts["a"].usual))
        tasks.append(shared_rig.start_load(place, LOADS[other], run=DAY, table="other"))
        shared_rig.wait(*tasks)
        found = [f"failed: {task.message}" for task in tasks if not _ended(task)]
        found += trials["a"].differs(starts["a"].table, place)
        found += trials["b"].differs(trials["b"].start(0).table, place, "other")
        logged = sorted(row["task_key"] for row in place.log() if row["job_run_id"] == str(DAY))
        if logged != ["other", "target"]:
            found.append(f"the log has rows of {logged}")
        went[f"{len(logged)} rows in the log"] += 1
        equal += trials["a"].judge(f"two loads {number}", place, found)
        _say("two loads", "one run log", number + 1, races, equal, went)
    note(Line(f"{name} and {other}", "one run log", races, equal, went, time.monotonic() - began))
    assert trials["a"].problems == []


def _ended(task: Task) -> bool:
    return task.ended is not None and task.ended.ok


def _well(task: Task) -> bool:
    return _ended(task) or task.message.startswith(_CONFLICT)


def _how(trial: Trial, place: Place, one: Task, two: Task) -> str:
    if not (_ended(one) and _ended(two)):
        return "one raised ConflictError"
    return {1: "one wrote", 2: "both wrote"}.get(trial.wrote(place), "neither wrote")


def _say(load: str, kind: str, done: int, tries: int, equal: int, went: Counter[str]) -> None:
    if done % 10 == 0 or done == tries:
        print(f"{load}: {kind} {done} of {tries}, equal {equal}; {shown(went)}", flush=True)
