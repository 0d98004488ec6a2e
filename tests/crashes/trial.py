"""What every try begins with, and what must hold after it."""

from __future__ import annotations

import random
import re
import statistics
import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from tests.crashes.loads import LOADS, Load, Place
from tests.crashes.rig import Rig, Task

DAY = 2  # the day whose load is killed or raced; the days before it are loaded, or it is the first
PHASES = ("planning", "created", "staging", "staged", "writing", "committed", "logged")
_STAGING = re.compile(r"(target|other)__laketasks_stage_\d{10}_[0-9a-f]{8}")
_OPEN = pa.scalar(253_402_214_400_000_000, pa.int64())  # 9999-12-31 00:00:00 UTC


@dataclass(frozen=True)
class Line:
    """One line of the table at the end."""

    load: str
    kind: str
    tries: int
    equal: int
    fell: dict[str, int]
    seconds: float


@dataclass
class Start:
    """A workspace to copy, and what one undisturbed load of the day makes of it."""

    place: Place
    commits: dict[str, int]  # of the target and of the run log
    files: int  # of the target
    table: pa.Table
    marks: tuple[Any, Any]
    seconds: list[float]

    @property
    def usual(self) -> float:
        """How long the load takes, lately."""
        return statistics.median(self.seconds[-5:])


@dataclass
class Trial:
    """One load on one rig: where its tries start, and the problems that they had."""

    rig: Rig
    name: str
    random: random.Random
    problems: list[str] = field(default_factory=list)
    _starts: dict[int, Start] = field(default_factory=dict)

    @property
    def load(self) -> Load:
        return LOADS[self.name]

    def start(self, loaded: int = DAY) -> Start:
        """The workspace in which the first so many days are loaded, and the day itself has come to bronze."""
        if loaded not in self._starts:
            place = self.rig.new(f"{self.name}_{loaded}")
            self.bring(place, DAY if not loaded else 0)
            self.rig.open(place)
            self.rig.perform("localjobs.attempt:bootstrap", {"run_log": ".".join((*place.silver, "run_log"))})
            for day in range(loaded):
                self.bring(place, day)
                self.must(self.rig.load(place, self.load, run=day))
            self.bring(place, DAY)
            self._starts[loaded] = self._measured(self.rig.kept(place))
        return self._starts[loaded]

    def bring(self, place: Place, day: int) -> None:
        """Let the source be that of the day."""
        place.source_folder.mkdir(parents=True, exist_ok=True)
        write_deltalake(str(place.source_folder), self.load.source(day), mode="overwrite")

    def after(self, start: Start, *days: int) -> pa.Table:
        """The table after undisturbed loads of these days' sources."""
        place = self.rig.copy(start.place)
        for run, day in enumerate(days):
            self.bring(place, day)
            self.must(self.rig.load(place, self.load, run=DAY + run))
        return place.table()

    def must(self, task: Task) -> None:
        assert task.ended is not None
        assert task.ended.ok, f"{self.name}: {task.message}\n{task.log.read_text()}"

    def measure(self, start: Start) -> None:
        """Load once more undisturbed: how long it takes now, and that it gives the same again."""
        place = self.rig.copy(start.place)
        task = self.rig.load(place, self.load, run=DAY)
        self.must(task)
        assert place.table().equals(start.table), f"{self.name}: two undisturbed loads differ"
        start.seconds.append(task.seconds)

    def fell(self, start: Start, place: Place) -> str:
        """How far a load that was stopped had come, by what it left in the files."""
        logged = place.commits("run_log") > start.commits["run_log"]
        first = start.commits["target"] == 0
        committed = place.commits("target") - start.commits["target"] - first > 0
        if logged:
            return "logged" if committed else "logged without commit"
        if committed:
            return "committed"
        if place.files("target") > start.files:
            return "writing"
        staged = [folder for folder in place.silver_folder.iterdir() if "__laketasks_stage_" in folder.name]
        if staged:
            return "staged" if any(list((folder / "_delta_log").glob("*.json")) for folder in staged) else "staging"
        return "created" if first and place.commits("target") else "planning"

    def wrote(self, place: Place) -> int:
        """How many loads of the day logged that they wrote."""
        return sum(_effect(row) > 0 for row in self._day(place) if row["status"] == "SUCCESS")

    def settle(self, start: Start, place: Place, tried: str, *, run: int, attempt: int = 1, alone: bool = True) -> bool:
        """Load again, and once more: the first must bring the table to what it should be, the second write nothing.

        Of two that were not alone, the second may have come too late: it logs what it had planned, and changes nothing.
        """
        found: list[str] = []
        again = self.rig.load(place, self.load, run=run, attempt=attempt)
        if not (again.ended and again.ended.ok):
            found.append(f"the rerun failed: {again.message}")
        found += self.differs(start.table, place)
        commits = place.commits("target")
        once_more = self.rig.load(place, self.load, run=run + 1)
        if not (once_more.ended and once_more.ended.ok):
            found.append(f"the second rerun failed: {once_more.message}")
        if place.commits("target") != commits:
            found.append("the second rerun, or what was left of the first load, wrote to the target")
            found += self.differs(start.table, place)
        found += self._log_problems(start, place, alone=alone)
        found += self._leftovers(place)
        return self.judge(tried, place, found)

    def judge(self, tried: str, place: Place, found: list[str]) -> bool:
        """Keep the problems of a try and say them at once; whether there were none."""
        if found:
            self.problems.append(f"{tried} in {place.folder}: {'; '.join(found)}")
            sys.stdout.write(f"\n{self.name} {self.problems[-1]}\n")
        return not found

    def differs(self, expected: pa.Table, place: Place, table: str = "target") -> list[str]:
        """What is wrong with the rows of a table."""
        rows = place.table(table)
        wrong = _interval_problems(rows) if "valid_from" in rows.column_names else []
        if rows.equals(expected):
            return wrong
        return [*wrong, f"the table is not that of an undisturbed run: {_difference(expected, rows)}"]

    def _measured(self, place: Place) -> Start:
        commits = {table: place.commits(table) for table in ("target", "run_log")}
        copy = self.rig.copy(place)
        task = self.rig.load(copy, self.load, run=DAY)
        self.must(task)
        last = copy.log()[-1]
        assert copy.commits("target") == commits["target"] + (1 if commits["target"] else 2), "the day changes nothing"
        marks = (last["watermark_to"],)
        made = Start(
            place=place,
            commits=commits,
            files=place.files("target"),
            table=copy.table(),
            marks=marks,
            seconds=[task.seconds],
        )
        assert not _interval_problems(made.table)
        self.measure(made)
        self.measure(made)
        made.seconds.pop(0)  # the first of a session is slower
        return made

    def _log_problems(self, start: Start, place: Place, *, alone: bool) -> list[str]:
        """Every logged write is a commit, the last row wrote nothing and has the marks of an undisturbed run."""
        rows, wrote = self._day(place), self.wrote(place)
        commits = place.commits("target") - start.commits["target"] - (start.commits["target"] == 0)
        problems = []
        if alone and wrote > commits:
            problems.append(f"{wrote} loads logged that they wrote, and there are {commits} commits")
        if not rows or rows[-1]["status"] != "SUCCESS" or _effect(rows[-1]):
            problems.append(f"the last row of the log is {rows[-1:]}")
        elif (rows[-1]["watermark_to"],) != start.marks:
            problems.append(f"the log's watermark is {rows[-1]['watermark_to']}, not {start.marks[0]}")
        return problems

    def _day(self, place: Place) -> list[dict[str, Any]]:
        return [row for row in place.log() if int(row["job_run_id"]) >= DAY]

    def _leftovers(self, place: Place) -> list[str]:
        told = self.rig.sweep(place)
        staging = [name for name in told["before"] if _STAGING.fullmatch(name)]
        kept = [name for name in told["before"] if name not in staging]
        problems = []
        if kept != ["run_log", "target"]:
            problems.append(f"unknown tables were left: {kept}")
        if [name.rpartition(".")[2] for name in told["swept"]] != staging or told["after"] != kept:
            problems.append(f"the sweep took {told['swept']} of {staging} and left {told['after']}")
        folders = {folder.name for folder in place.silver_folder.iterdir()} - {"run_log", "target"}
        unknown = [name for name in sorted(folders) if not _STAGING.fullmatch(name)]
        if unknown:
            problems.append(f"unknown folders were left: {unknown}")
        return problems


def _effect(row: dict[str, Any]) -> int:
    return int(row["rows_inserted"] or 0) + int(row["rows_updated"] or 0) + int(row["rows_deleted"] or 0)


def _difference(expected: pa.Table, found: pa.Table) -> str:
    """Some of the rows that only one side has."""
    wanted, there = ({tuple(row.values()) for row in rows.to_pylist()} for rows in (expected, found))
    doubled = found.num_rows - len(there)
    missing, more = sorted(wanted - there, key=str), sorted(there - wanted, key=str)
    return f"{len(missing)} rows missing {missing[:3]}, {len(more)} too many {more[:3]}, {doubled} doubled"


def _interval_problems(rows: pa.Table) -> list[str]:
    """Versions that overlap or are empty, keys with two open ones, current ones that are not open."""
    if "valid_from" not in rows.column_names:
        return []
    ids = rows["id"].to_numpy()
    begin = rows["valid_from"].cast(pa.int64()).to_numpy()
    end = rows["valid_to"].cast(pa.int64()).to_numpy()
    current = rows["is_current"].to_numpy()
    same = ids[1:] == ids[:-1]
    checks = {
        "empty versions": begin >= end,
        "overlapping versions": same & (end[:-1] > begin[1:]),
        "current versions that are not open, or open ones that are not current": current != (end == _OPEN.as_py()),
        "keys with two current versions": np.unique(ids[current], return_counts=True)[1] > 1,
    }
    return [f"{wrong.sum()} {what}" for what, wrong in checks.items() if wrong.any()]


def shown(fell: dict[str, int]) -> str:
    return ", ".join(f"{where} {times}" for where, times in fell.items() if times)
