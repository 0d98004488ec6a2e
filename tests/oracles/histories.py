"""Random histories of small sources: many at once, so that one load brings the next step of all of them.

A key is (history, id). Each history is drawn by itself and its steps stand beside those of the others, so an oracle
takes as many loads as one history has steps. The same seed gives the same histories.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tests.laketasks.warehouse import R, T

SEEDS = [int(seed) for seed in os.environ.get("LAKETASKS_SEEDS", "1 2").split()]
KEYS = ["history", "id"]
VALUES = {"a": (None, "", "x", "y"), "b": (None, 0, 1), "c": (None, "", "x", "y")}


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What a source says of a key, and since when."""

    history: int
    id: int
    a: str | None
    b: int | None
    c: str | None
    updated_at: datetime

    @property
    def values(self) -> tuple[str | None, int | None, str | None]:
        return (self.a, self.b, self.c)


@dataclass(frozen=True, slots=True, kw_only=True)
class StateHistories:
    """For each step all rows of the source, in no order; some come twice."""

    seed: int
    steps: list[list[State]]
    drawn: Counter[str]

    def story(self, history: int) -> str:
        lines = []
        for step, rows in enumerate(self.steps):
            lines.append(f"step {step}, run at {run_start(step):%m-%d %H:%M}")
            mine = sorted((row for row in rows if row.history == history), key=lambda row: row.id)
            lines += [f"    id {row.id} {row.values} updated {row.updated_at:%m-%d %H:%M}" for row in mine]
        return "\n".join(lines)

    def touched_then_late(self) -> set[tuple[int, int]]:
        """Keys of which a row is shown that is older than one before it, yet newer than the start of its version.

        There must have been a row between that only touched the key, or came back to the values of before.
        """
        found = set()
        shown: dict[tuple[int, int], tuple[State, datetime]] = {}  # the newest state, and since when its values hold
        for rows in self.steps:
            there = {(row.history, row.id): row for row in rows}
            for key, row in there.items():
                newest, since = shown.get(key, (row, row.updated_at))
                if row.updated_at >= newest.updated_at:
                    shown[key] = (row, since if row.values == newest.values else row.updated_at)
                elif row.updated_at > since:
                    found.add(key)
        return found

    def summary(self) -> str:
        return f"seed {self.seed}: {len(self.steps)} steps, " + ", ".join(
            f"{n} {what}" for what, n in self.drawn.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What a change source says happened to a key."""

    history: int
    id: int
    a: str | None
    b: int | None
    c: str | None
    gone: bool
    sequence: datetime

    @property
    def row(self) -> tuple[int, int, str | None, int | None, str | None, bool, datetime]:
        return (self.history, self.id, self.a, self.b, self.c, self.gone, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHistories:
    """The events in the batches that they arrive in; any of them may be late, and any may come again."""

    seed: int
    batches: list[list[Event]]
    drawn: Counter[str]

    def story(self, history: int) -> str:
        lines = []
        for number, events in enumerate(self.batches):
            lines.append(f"batch {number}")
            mine = sorted((event for event in events if event.history == history), key=lambda e: (e.id, e.sequence))
            lines += [
                f"    id {e.id} {'deleted' if e.gone else (e.a, e.b, e.c)} at {e.sequence:%m-%d %H:%M}" for e in mine
            ]
        return "\n".join(lines)

    def deleted_when_changed(self) -> set[tuple[int, int]]:
        """Keys whose last instant has a change and a delete: which of them type 1 of AUTO CDC takes is not said."""
        last: dict[tuple[int, int], tuple[datetime, set[bool]]] = {}
        for event in (event for events in self.batches for event in events):
            key = (event.history, event.id)
            at, kinds = last.get(key, (event.sequence, set()))
            if event.sequence >= at:
                last[key] = (event.sequence, {event.gone} | (kinds if event.sequence == at else set()))
        return {key for key, (_, kinds) in last.items() if len(kinds) == 2}

    def changed_after_its_delete(self) -> set[tuple[int, int]]:
        """Keys with an instant whose change arrives, for the first time or again, in a later batch than its delete."""
        arrived: dict[tuple[int, int, datetime], tuple[set[int], set[int]]] = {}
        for batch, events in enumerate(self.batches):
            for event in events:
                arrived.setdefault((event.history, event.id, event.sequence), (set(), set()))[event.gone].add(batch)
        return {
            (history, i)
            for (history, i, _), (changes, deletes) in arrived.items()
            if deletes and any(batch > min(deletes) for batch in changes - deletes)
        }

    def summary(self) -> str:
        return f"seed {self.seed}: {len(self.batches)} batches, " + ", ".join(f"{n} {k}" for k, n in self.drawn.items())


def event_histories(seed: int, *, histories: int = 500, ids: int = 4, batches: int = 7) -> EventHistories:
    """Up to 16 events of a key on 30 instants; the last batch but one is the whole of an earlier one again."""
    dice = random.Random(seed)
    arriving: list[list[Event]] = [[] for _ in range(batches - 1)]
    drawn = Counter({"histories": histories, "keys": histories * ids})
    for history in range(histories):
        for i in range(ids):
            for event in _events(dice, history, i, drawn):
                due = (event.sequence - T(0)).days * len(arriving) // 30
                late = dice.random() < 0.25
                batch = dice.randrange(due, len(arriving)) if late else due
                drawn["late events"] += batch > due
                arriving[batch].append(event)
                if dice.random() < 0.15:
                    drawn["repeated events"] += 1
                    arriving[dice.randrange(batch, len(arriving))].append(event)
    arriving.insert(batches - 2, [*arriving[dice.randrange(batches - 3)]])
    for events in arriving:
        dice.shuffle(events)
    drawn["rows"] = sum(map(len, arriving))
    return EventHistories(seed=seed, batches=arriving, drawn=drawn)


def _events(dice: random.Random, history: int, i: int, drawn: Counter[str]) -> Iterable[Event]:
    """One row for each instant, but that a delete may come at the instant of a change; it wins."""
    before: Event | None = None
    for day in sorted(dice.sample(range(30), dice.randint(1, 16))):
        gone = dice.random() < 0.2
        same = before is not None and not before.gone and dice.random() < 0.15
        a, b, c = (before.a, before.b, before.c) if before and same else map(dice.choice, VALUES.values())
        if gone and dice.random() < 0.5:
            a = b = c = None
        event = Event(history=history, id=i, a=a, b=b, c=c, gone=gone, sequence=T(day))
        drawn["events"] += 1
        drawn["deletes"] += gone
        drawn["returns"] += before is not None and before.gone and not gone
        drawn["events without a change"] += same and not gone
        drawn["NULL payloads"] += not gone and None in (a, b, c)
        yield event
        if not gone and dice.random() < 0.04:
            drawn["deletes at the instant of a change"] += 1
            event = replace(event, gone=True)
            yield event
        before = event


def run_start(step: int) -> datetime:
    """When step n is loaded; the reruns of a Warehouse take every other instant."""
    return R(2 * step + 1)


def state_histories(seed: int, *, histories: int = 500, ids: int = 4, steps: int = 8) -> StateHistories:
    dice = random.Random(seed)
    keys = [_Key(dice, history, i) for history in range(histories) for i in range(ids)]
    made: list[list[State]] = []
    for step in range(steps):
        rows = [row for key in keys for row in key.step(step)]
        dice.shuffle(rows)
        made.append(rows)
    drawn = Counter({"histories": histories, "keys": sum(bool(key.past) for key in keys)})
    drawn["rows"] = sum(map(len, made))
    for key in keys:
        drawn.update(key.drawn)
    return StateHistories(seed=seed, steps=made, drawn=drawn)


class _Key:
    """One key on its way: `past` is every state that it had, the last one is true now."""

    def __init__(self, dice: random.Random, history: int, i: int) -> None:
        self.dice, self.history, self.id = dice, history, i
        self.past: list[State] = []
        self.present = False
        self.drawn: Counter[str] = Counter()

    def step(self, step: int) -> Iterable[State]:
        if not self.past:
            if self.dice.random() < (0.8 if step == 0 else 0.4):
                self.present = True
                self._becomes(step, self._other_values())
        elif not self.present:
            if self.dice.random() < 0.4:
                self._returns(step)
        elif (row := self._goes_on(step)) is not None:
            return [row]
        if not self.present:
            return []
        repeated = self.dice.random() < 0.05
        self.drawn["repeated rows"] += repeated
        return [self.past[-1]] * (1 + repeated)

    def _goes_on(self, step: int) -> State | None:
        """The next turn of a key that is there; an earlier state of it where that is what the source shows late."""
        turn = self.dice.choices(["vanishes", "changes", "twice", "touched", "late", "stays"], [12, 32, 8, 8, 7, 33])[0]
        if turn == "vanishes":
            self.drawn["vanished"] += 1
            self.present = False
        elif turn == "changes":
            self.drawn["changes"] += 1
            self._becomes(step, self._other_values())
        elif turn == "twice":
            self.drawn["changes that no load sees"] += 1
            before = self.past[-1].values
            self._becomes(step, self._other_values(), hours=(11, 20))
            self._becomes(step, self.dice.choice([before, self._other_values()]), hours=(1, 10))
        elif turn == "touched":
            self.drawn["touched without a change"] += 1
            self._becomes(step, self.past[-1].values)
        elif turn == "late" and len(self.past) > 1:
            self.drawn["late rows"] += 1
            return self.dice.choice(self.past[:-1])
        return None

    def _returns(self, step: int) -> None:
        self.present = True
        how = self.dice.choice(["as it was", "touched", "other"])
        self.drawn["returns"] += 1
        if how == "as it was":
            self.drawn["returns with the old sequence"] += 1
        else:
            self._becomes(step, self.past[-1].values if how == "touched" else self._other_values())

    def _becomes(
        self, step: int, values: tuple[str | None, int | None, str | None], hours: tuple[int, int] = (1, 20)
    ) -> None:
        if self.past:
            pairs = list(zip(self.past[-1].values, values, strict=True))
            self.drawn["NULL to value"] += sum(old is None and new is not None for old, new in pairs)
            self.drawn["value to NULL"] += sum(old is not None and new is None for old, new in pairs)
        a, b, c = values
        at = run_start(step) - timedelta(hours=self.dice.randint(*hours))
        self.past.append(State(history=self.history, id=self.id, a=a, b=b, c=c, updated_at=at))

    def _other_values(self) -> tuple[str | None, int | None, str | None]:
        """Other values than now: one column changed, all drawn anew, or a and c swapped, where a NULL may move."""
        before = self.past[-1].values if self.past else None
        while True:
            drawn = tuple(self.dice.choice(choices) for choices in VALUES.values())
            how = self.dice.choice(["one", "all", "swapped"]) if before else "all"
            if how == "one":
                changed = self.dice.randrange(3)
                drawn = tuple(drawn[i] if i == changed else before[i] for i in range(3))
            elif how == "swapped":
                drawn = (before[2], before[1], before[0])
            if drawn != before:
                return drawn
