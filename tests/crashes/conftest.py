"""The rig of a file of tests, one trial per load, and the table of what was tried at the end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest

from tests.crashes.loads import LOADS
from tests.crashes.rig import Rig, rig
from tests.crashes.trial import Line, Trial, shown

_LINES = pytest.StashKey[list[Line]]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One load after the other: what a load's tries start with is made once."""
    order = list(LOADS)
    here = [item for item in items if "trial" in getattr(item, "fixturenames", ())]
    assert all(item.get_closest_marker("crash") for item in here)
    here.sort(key=lambda item: order.index(item.callspec.params["trial"]))  # type: ignore[attr-defined]
    others = [item for item in items if item not in here]
    items[:] = [*others, *here]


@pytest.fixture(scope="session")
def shared_rig(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with rig(engine, tmp_path_factory.mktemp("crashes")) as made:
        yield made


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    asked = request.config.getoption("--seed")
    chosen = random.randrange(1_000_000) if asked is None else int(asked)
    print(f"\n--seed {chosen}", flush=True)
    return chosen


@pytest.fixture(scope="session")
def kills(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--kills"))


@pytest.fixture(scope="session")
def outages(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--outages"))


@pytest.fixture(scope="session")
def races(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--races"))


@pytest.fixture(scope="session", params=list(LOADS))
def trial(request: pytest.FixtureRequest, shared_rig: Rig, seed: int) -> Trial:
    return Trial(shared_rig, request.param, random.Random(f"{seed} {request.param}"))


@pytest.fixture
def note(request: pytest.FixtureRequest) -> Callable[[Line], None]:
    """Keeps a line for the table at the end."""
    return request.config.stash.setdefault(_LINES, []).append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    lines = config.stash.get(_LINES, [])
    if not lines:
        return
    terminalreporter.section("crashes and races")
    terminalreporter.write_line("| load | kind | tries | equal | where it fell, or how it went | seconds |")
    terminalreporter.write_line("|---|---|---|---|---|---|")
    for line in lines:
        cells = (line.load, line.kind, line.tries, line.equal, shown(line.fell), f"{line.seconds:.0f}")
        terminalreporter.write_line(f"| {' | '.join(map(str, cells))} |")
