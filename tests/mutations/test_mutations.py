"""Thousands of files of metadata with mistakes in them: no trace, no file written, no problem lost.

Seeded: the same `--seed` makes the same files. `make mutations` runs them all, `make test` some.
"""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.mutations.corruptions import DRAFT_CORRUPTIONS, corrupted
from tests.mutations.draft import Draft, write
from tests.mutations.mistakes import Mistake, mistakes
from tests.mutations.trial import Report, generate, generate_in_a_process

SEED = 2026
_FEW, _PROCESSES = 150, 300
_ALONE = 4  # of so many drafts one has each of its mistakes made alone as well

Run = Callable[[Path, str], Report]


def test_right_metadata_is_right(tmp_path: Path) -> None:
    for form in ("yaml", "csv"):
        draft = Draft(form)  # type: ignore[arg-type]
        assert _tried(tmp_path, draft, draft.files()) == Report(0, (), "")


def test_some_mutations(tmp_path: Path, seed: int) -> None:
    _mutate(tmp_path, seed, _FEW)


@pytest.mark.mutation
@pytest.mark.timeout(7200)
def test_all_mutations(tmp_path: Path, seed: int, mutants: int) -> None:
    _mutate(tmp_path, seed, mutants)


@pytest.mark.mutation
@pytest.mark.timeout(7200)
def test_mutations_through_the_command_in_a_process_of_its_own(tmp_path: Path, seed: int, mutants: int) -> None:
    _mutate(tmp_path, seed + 1, min(mutants, _PROCESSES), generate_in_a_process)


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    asked = request.config.getoption("--seed")
    return SEED if asked is None else int(asked)


@pytest.fixture(scope="session")
def mutants(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--mutants"))


def _mutate(folder: Path, seed: int, count: int, run: Run = generate) -> None:
    """Half of the drafts have mistakes that are known, half are damaged somewhere."""
    began, said = time.monotonic(), Counter[str]()
    made, troubles = Counter[str](), []
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        draft = Draft(chance.choice(["yaml", "csv"]))  # type: ignore[arg-type]
        known = mistakes(chance, draft) if number % 2 else []
        files = draft.files() if number % 2 else _damaged(chance, draft)
        report = _tried(folder, draft, files, run)
        troubles += [f"{number}: {report.trouble}"] if report.trouble else []
        troubles += [f"{number}: {lost}" for lost in _lost(report, known)]
        if number % (2 * _ALONE) == 1 and len(known) > 1:
            troubles += [f"{number}: {lost}" for lost in _lost_beside_others(folder, seed, number, report, run)]
        said["refused" if report.code else "accepted"] += 1
        said["problems"] += len(report.problems)
        made.update(mistake.name for mistake in known)
    print(
        f"\n--seed {seed}: {count} files in {time.monotonic() - began:.0f} s, {said['refused']} refused with ", end=""
    )
    print(f"{said['problems']} problems, {said['accepted']} right; {sum(made.values())} mistakes of {len(made)} kinds")
    assert not troubles, "\n".join([f"{len(troubles)}:", *troubles])


def _damaged(chance: random.Random, draft: Draft) -> dict[str, bytes]:
    for _ in range(chance.randint(0, 3)):
        chance.choice(DRAFT_CORRUPTIONS)(chance, draft)
    files = draft.files()
    for _ in range(chance.randint(0, 2)):
        name = chance.choice(sorted(files))
        files[name] = corrupted(chance, files[name])
    return files


def _tried(folder: Path, draft: Draft, files: dict[str, bytes], run: Run = generate) -> Report:
    project = folder / "project"
    shutil.rmtree(project, ignore_errors=True)
    write(project, files)
    return run(project, draft.source)


def _lost(report: Report, known: list[Mistake]) -> list[str]:
    """The mistakes that no problem names, at their address and with their words."""
    found = report.addresses()
    return [
        f"lost: {mistake}"
        for mistake in known
        if not any(
            (row, column) == (mistake.row, mistake.column) and mistake.what in what for row, column, what in found
        )
    ]


def _lost_beside_others(folder: Path, seed: int, number: int, report: Report, run: Run) -> list[str]:
    """What is said of a row that is mistaken alone, at the mistake, and not when others are mistaken too."""
    lost = []
    draft, known = _again(seed, number)
    for mistake in known if draft.settings == Draft(draft.form).settings else ():
        if 0 < mistake.row <= len(Draft(draft.form).rows):  # a row that is added has another number when alone
            rows = [*Draft(draft.form).rows]
            rows[mistake.row - 1] = draft.rows[mistake.row - 1]
            alone = Draft(draft.form, rows=rows, sql=draft.sql, wide=draft.wide & {mistake.row})
            found = _tried(folder, alone, alone.files(), run).addresses()
            here = {address for address in found if address[:2] == (mistake.row, mistake.column)}
            lost += [f"said alone only: {address}" for address in here - report.addresses()]
    return lost


def _again(seed: int, number: int) -> tuple[Draft, list[Mistake]]:
    """The draft of that number and its mistakes, as they were made."""
    chance = random.Random(f"{seed} {number}")
    draft = Draft(chance.choice(["yaml", "csv"]))  # type: ignore[arg-type]
    return draft, mistakes(chance, draft)
