"""What the tests of this room share: a browser that opens a page, and a workspace that answers on this machine.

`opened_text`  opens the text of a page in a real Chromium; nothing may be fetched, nothing may stand in the console
`service`      a workspace that the SDK finds as its own
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitor import workspace as room
from tests.monitor.service import TOKEN, Workspace, serving

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("gpu", "quic", "background-networking", "component-update", "sync")


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = chromium()
    if found is None:
        pytest.skip("no Chromium or Chrome on PATH (Debian, Ubuntu: apt install chromium); or name one in CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-first-run", *(f"--disable-{flag}" for flag in FLAGS)]
        started = playwright.chromium.launch(executable_path=found, args=flags, chromium_sandbox=False)
        yield started
        started.close()


@pytest.fixture
def opened_text(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Page]]:
    said: list[str] = []
    asked: list[str] = []
    contexts = []

    def show(text: str, **options: Any) -> Page:
        file = tmp_path / f"page{len(contexts)}.html"
        file.write_text(text, encoding="utf-8")
        options = {"viewport": {"width": 1400, "height": 900}, "timezone_id": "UTC"} | options
        contexts.append(browser.new_context(**options))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(file.as_uri())
        return tab

    yield show
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:,"))] == []


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Workspace]:
    for name in [name for name in os.environ if name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "databrickscfg"))
    monkeypatch.setattr(room, "_RETRY_SECONDS", 2)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Workspace()) as workspace:
        monkeypatch.setenv("DATABRICKS_HOST", workspace.host)
        monkeypatch.setenv("DATABRICKS_TOKEN", TOKEN)
        yield workspace
