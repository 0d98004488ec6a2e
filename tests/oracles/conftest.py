"""The oracles are run by `make oracles`: they take minutes, and environments of their own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.laketasks.conftest import warehouse
from tests.oracles.histories import SEEDS, StateHistories, state_histories

__all__ = ["warehouse"]


@pytest.fixture(params=SEEDS, scope="module")
def histories(request: pytest.FixtureRequest) -> StateHistories:
    return state_histories(request.param)


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Print a line past pytest's capturing: the seed and what was compared are told of tests that pass, too."""

    def line(text: str) -> None:
        with capsys.disabled():
            print(f"\n{request.node.name}: {text}", end="", flush=True)

    return line
