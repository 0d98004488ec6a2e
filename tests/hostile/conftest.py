"""The browser that opens a page is the monitor's."""

from __future__ import annotations

import pytest

from tests.hostile.night import Night
from tests.monitor.conftest import browser, opened_text

__all__ = ["browser", "opened_text"]


@pytest.fixture(scope="session")
def night(tmp_path_factory: pytest.TempPathFactory) -> Night:
    """One for all tests of the room that look at what it left."""
    return Night(tmp_path_factory.mktemp("night"))
