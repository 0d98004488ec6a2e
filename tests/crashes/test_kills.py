"""A load that is killed at any moment and run again ends in the table of a load that was not."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.crashes.trial import DAY, PHASES, Line, Trial, shown

pytestmark = [pytest.mark.crash, pytest.mark.timeout(7200)]
_FIRST_LOADS = 5  # every so many tries the table is not there yet
_AIMED_FROM = 3  # a phase that chance hit less often is aimed at
_AIMED = ("staging", "staged", "writing", "committed")
_FINISHED = "of which the engine went on to the commit"


def test_the_task_is_killed(trial: Trial, kills: int, note: Callable[[Line], None]) -> None:
    """The engine goes on with the operation that was in flight, so that the rerun may meet it."""
    _killed(trial, kills, note, "task killed", lambda: None)


def test_the_engine_is_killed(trial: Trial, outages: int, note: Callable[[Line], None]) -> None:
    """A new server takes the workspace over, as localjobs does at the start of a run."""
    _killed(trial, outages, note, "engine killed", trial.rig.kill_engine)


def _killed(trial: Trial, tries: int, note: Callable[[Line], None], kind: str, first: Callable[[], None]) -> None:
    fell: Counter[str] = Counter()
    equal, began = 0, time.monotonic()
    seen = len(trial.problems)
    plan: list[str] = [""] * tries
    number = 0
    while number < len(plan):
        if number % 10 == 9:
            _say(trial, kind, number, len(plan), equal, fell)
            trial.measure(trial.start(DAY))
        where, well, finished = _one(trial, number, plan[number], first)
        fell[where] += 1
        fell[_FINISHED] += finished
        equal += well
        number += 1
        if number == tries:
            aims = _AIMED if trial.load.stages else _AIMED[2:]
            plan += [phase for phase in aims for _ in range(min(_AIMED_FROM, tries) - fell[phase])]
    _say(trial, kind, number, len(plan), equal, fell)
    ordered = {phase: fell[phase] for phase in (*PHASES, *sorted(set(fell) - set(PHASES)))}
    note(Line(trial.name, kind, number, equal, ordered, time.monotonic() - began))
    assert trial.problems[seen:] == []
    assert set(fell) <= {*PHASES, _FINISHED}


def _one(trial: Trial, number: int, aim: str, first: Callable[[], None]) -> tuple[str, bool, bool]:
    """Kill one load, at a random moment or when it has come to a phase, and load again.

    Where it fell, whether all is well, and whether it was the engine that went on and committed.
    """
    start = trial.start(0 if number % _FIRST_LOADS == _FIRST_LOADS - 1 else DAY)
    place = trial.rig.copy(start.place)
    victim = trial.rig.start_load(place, trial.load, run=DAY)
    if aim:
        trial.rig.wait(victim, until=lambda: trial.fell(start, place) == aim)
        moment = 0 if aim == "staging" else trial.random.uniform(0, 0.02)
    else:
        moment = trial.random.uniform(0, start.usual)
    trial.rig.wait(victim, seconds=moment)
    ended = victim.ended is not None
    first()
    trial.rig.kill(victim)
    where = trial.fell(start, place)
    if not trial.rig.serves:
        trial.rig.open(place)
    tried = f"try {number}, {'aimed at ' + aim if aim else f'killed after {moment:.3f} s'} ({where})"
    assert victim.ended is not None
    assert ended or victim.ended.died or victim.ended.ok, "the kill came to nothing"
    if ended and not victim.ended.ok:
        trial.judge(tried, place, [f"the load failed by itself: {victim.message}"])
        return where, False, False
    retry = number % 2 == 0
    well = trial.settle(start, place, tried, run=DAY if retry else DAY + 1, attempt=2 if retry else 1)
    return where, well, where not in ("committed", "logged") and not trial.wrote(place)


def _say(trial: Trial, kind: str, done: int, tries: int, equal: int, fell: Counter[str]) -> None:
    usual = trial.start(DAY).usual
    print(f"{trial.name}: {kind} {done} of {tries}, equal {equal}; {shown(fell)}; a load: {usual:.1f} s", flush=True)
