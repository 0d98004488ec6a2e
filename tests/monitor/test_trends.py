"""The run log over time: what got slower and what stopped, in the terminal and in a real Chromium."""

from __future__ import annotations

import doctest
import io
import os
import random
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import monitor.trends_cli
from monitor.cli import main
from monitor.run_log import COUNTS, Load
from monitor.trends import KEPT, TableTrend, Trends, trends_of
from monitor.trends_page import trends_page
from tests.monitor.records import START, element, record
from tests.monitor.test_cli import row, said, workspace
from tests.monitor.test_page import EVIL, Opened, pictures
from tests.monitor.test_workspace import COLUMNS
from tests.monitor.test_workspace import row as sent

DAY = 86_400_000


def load(key: str, night: int, seconds: float = 10, changed: int = 1, read: int = 100, **more: Any) -> Load:
    given = {"run_id": str(night), "succeeded": True, "attempt": 1, "target": f"s.t.{key}", "pipeline": "scd2"} | more
    start = START + night * DAY
    counts = {"read": read, "rows_inserted": changed, "rows_updated": 0, "rows_deleted": 0}
    return Load(task_key=key, start=start, end=start + round(seconds * 1000), counts=counts, **given)


def trend(*loads: Load) -> TableTrend:
    (table,) = trends_of("c.s.run_log", loads).tables
    return table


@pytest.mark.parametrize(
    ("seconds", "slower"),
    [
        ([10] * 5 + [15] * 3, True),
        ([10] * 5 + [14.9] * 3, False),  # less than 1.5 times
        ([4] * 5 + [8] * 3, False),  # less than 5 s
        ([10] * 5 + [10, 90, 10], False),  # one bad night
        ([10] * 5 + [90, 10, 90], True),
        ([900] + [10] * 6 + [15] * 3, True),  # the first load read everything
        ([10] * 4 + [90] * 3, False),  # too few to know what was usual
    ],
)
def test_what_got_slower(seconds: list[float], slower: bool) -> None:
    table = trend(*(load("a", night, taken) for night, taken in enumerate(seconds)))
    assert table.slower == slower


@pytest.mark.parametrize(
    ("changed", "stopped"),
    [
        ("111100000", True),
        ("11110000", False),  # four loads are no time
        ("110000000", False),  # it hardly ever changed
        ("1110000000", True),
        ("11100010000000", True),  # seven quiet loads after three at the most
        ("1110000100000", False),  # five after four: its way
        ("111111111", False),
        ("000000000", False),
    ],
)
def test_what_stopped_changing(changed: str, stopped: bool) -> None:
    table = trend(*(load("a", night, changed=int(one)) for night, one in enumerate(changed)))
    assert (table.stopped, table.quiet) == (stopped, len(changed) - len(changed.rstrip("0")))


def test_failures_are_no_durations_and_no_quiet_loads() -> None:
    loads = [load("a", night) for night in range(8)] + [load("a", night, 500, 0, succeeded=False) for night in (8, 9)]
    table = trend(*loads)
    assert (table.now, table.usual, table.slower, table.quiet, table.failed) == (10, 10, False, 0, 2)


def test_the_last_attempt_of_a_run_counts() -> None:
    failed = load("a", 1, succeeded=False, attempt=1)
    table = trend(load("a", 0), failed, load("a", 1, 12, attempt=2))
    assert [(point.run_id, point.succeeded, point.seconds) for point in table.points] == [
        ("0", True, 10),
        ("1", True, 12),
    ]


def test_runs_are_from_the_first_start_to_the_last_end() -> None:
    found = trends_of("c.s.l", [load("a", 0, 10), load("b", 0, 30), load("a", 1, 10, succeeded=False)])
    assert [(run.run_id, run.seconds, run.work, run.tables, run.failed) for run in found.runs] == [
        ("0", 30, 40, 2, 0),
        ("1", 10, 10, 1, 1),
    ]


def test_the_example_is_true() -> None:
    assert doctest.testmod(monitor.trends_cli).failed == 0


# --- the command ---


def nights(folder: Path, number: int) -> Path:
    """A workspace whose run log has nights, of which the last ones are not as usual."""
    rows = []
    for night in range(number):
        at, late = night * 86_400, night >= number - 5
        rows += [
            row("calm", night, 1000, at=at, seconds=10, rows_updated=5),
            row("slow", night, 2000, at=at, seconds=40 if late else 12, rows_updated=7),
            row("dead", night, 0 if late else 30, at=at, seconds=3, rows_inserted=0 if late else 30),
        ]
    rows.append(
        row("bad", number - 1, at=(number - 1) * 86_400, status="FAILED", error="x", **dict.fromkeys(COUNTS[1:]))
    )
    wheel = {"package_name": "laketasks", "entry_point": "load"}
    task = element("calm", python_wheel_task=wheel | {"named_parameters": {"run_log": "s.m.run_log"}})
    return workspace(folder / "w", record(task, run_id=number - 1), rows=rows)


def test_a_workspace_over_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, "trends", nights(tmp_path, 12))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "s.m.run_log: 4 tables, 37 loads in 12 runs, 2026-02-02 to 2026-02-13"
    assert lines[1] == "runs    ▃▃▃▃▃▃▃█████  the last 40 s, the longest 40 s"
    slow = next(line for line in lines if line.startswith("  slow"))
    assert slow.split() == ["slow", "▃▃▃▃▃▃▃█████", "40", "s", "12", "s", "3.3"]
    dead = next(line for line in lines if line.startswith("  dead"))
    assert dead.split() == ["dead", "███████▁▁▁▁▁", "5", "2026-02-08", "changed", "in", "7", "of", "7", "loads"]
    about = "tables: the newest 30 loads of each, or what there is room for, the oldest first; ✕ failed"
    table = [line.split() for line in lines[lines.index(about) + 2 :]]
    assert table[0] == ["bad", "✕", "✕", "✕", "1"]
    assert table[1] == ["calm", "█" * 12, "10.0", "10.0", "█" * 12, "1,000", "█" * 12, "5"]


@pytest.mark.parametrize(
    ("width", "loads", "headings"),
    [
        (200, 30, ["seconds", "last", "usual", "rows read", "last", "rows changed", "last", "failed"]),
        (100, 17, ["seconds", "last", "usual", "rows read", "last", "rows changed", "last", "failed"]),
        (60, 14, ["seconds", "last", "rows changed", "last", "failed"]),
        (40, 25, ["seconds", "last"]),
    ],
)
def test_a_narrow_terminal_shows_fewer_loads(width: int, loads: int, headings: list[str], tmp_path: Path) -> None:
    console = Console(width=width, record=True, file=io.StringIO(), color_system=None)
    options = monitor.trends_cli.parser().parse_args(["trends-are-here"])
    options.log = str(nights(tmp_path, KEPT))
    monitor.trends_cli.command(console, options)
    lines = console.export_text().splitlines()
    head, _, calm, *_ = table = lines[next(n for n, line in enumerate(lines) if line.startswith("table ")) :]
    assert all(len(line) <= width for line in table)
    assert re.split(r"  +", head.strip())[1:] == headings
    assert calm.split()[1] == "█" * loads


def test_only_the_newest_loads_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = said(capsys, "trends", nights(tmp_path, KEPT + 9))
    assert out.startswith(f"s.m.run_log: 4 tables, {3 * KEPT + 1} loads in {KEPT} runs")


def test_what_is_no_run_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "trends", tmp_path) == (
        2,
        "",
        f"{tmp_path}: none of its runs names a run log; expected a workspace of localjobs\n",
    )
    code, out, err = said(capsys, "trends", tmp_path / "nothing")
    assert (code, out) == (2, "")
    assert err.endswith("no such folder, and no name of a table (catalog.schema.table)\n")
    empty = workspace(tmp_path / "w", record(element("a")), rows=[])
    assert said(capsys, "trends", empty) == (
        1,
        "",
        "s.m.run_log: has no rows yet; the first run of a job writes them\n",
    )
    gone = workspace(tmp_path / "v", record(element("a")))
    assert said(capsys, "trends", gone) == (1, "", f"there is no run log at {gone / 's/m/run_log'}\n")
    with pytest.raises(SystemExit) as stopped:
        main(["trends"])
    assert stopped.value.code == 2


def test_a_run_log_of_the_workspace(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = said(capsys, "trends", "silver.metadata.run_log")
    assert (code, out) == (1, "")
    assert "DATABRICKS_WAREHOUSE_ID" in err
    monkeypatch.setenv("DATABRICKS_WAREHOUSE_ID", "w1")
    service.columns = COLUMNS
    service.rows = [sent("a", 900, run_id=1), sent("b", 100, run_id=1), sent("a", 950, run_id=2)]
    code, out, err = said(capsys, "trends", "silver.metadata.run_log")
    assert (code, err) == (0, "")
    assert out.startswith("silver.metadata.run_log: 2 tables, 3 loads in 2 runs, ")


# --- the page ---


def many(tables: int, seed: int = 3) -> Trends:
    """Nights of log-normal loads; one table in 40 got slower, one in 50 stopped, one load in 100 failed."""
    chance = random.Random(seed)
    loads = []
    usual = {f"{'dim' if n % 3 else 'fact'}_{n:03}": chance.lognormvariate(3, 1) for n in range(tables)}
    for night in range(KEPT):
        for n, (key, seconds) in enumerate(usual.items()):
            taken = seconds * chance.uniform(0.85, 1.2) * (2.2 if n % 40 == 7 and night > KEPT - 9 else 1)
            changed = 0 if n % 50 == 11 and night > KEPT - 12 else chance.randint(1, 5000)
            good = chance.random() > 0.01
            loads.append(
                load(key, night, taken, changed, changed * 3, succeeded=good, pipeline=chance.choice(("scd1", "scd2")))
            )
    return trends_of("silver.metadata.run_log", loads)


def test_nothing_of_the_log_is_markup() -> None:
    loads = [
        load(EVIL, night, 10 + 30 * (night > 6), target=EVIL, pipeline=EVIL, run_id=f"{EVIL}{night}")
        for night in range(10)
    ]
    text = trends_page(trends_of(EVIL, loads))
    assert text.count("<script") == 1
    assert "<img" not in text
    assert "default-src 'none'" in text
    assert trends_page(trends_of(EVIL, loads)) == text


@pytest.mark.parametrize("tables", [30, 1000])
def test_the_page_in_a_browser(tables: int, opened_text: Opened) -> None:
    found = many(tables)
    text = trends_page(found)
    assert len(text.encode()) < 2_000 * tables + 30_000
    tab = opened_text(text)
    if "LAKETASKS_SCREENSHOTS" in os.environ:
        pictures(tab, Path(os.environ["LAKETASKS_SCREENSHOTS"]) / f"trends-{tables}")
    assert tab.locator("#runs rect").count() == KEPT
    assert tab.locator("#slower figure").count() == len(found.slower)
    assert tab.locator("#stopped figure").count() == len(found.stopped)
    assert tab.locator("tbody tr").count() == tables
    tab.keyboard.press("/")
    tab.keyboard.type("dim_001")
    assert tab.locator("tbody tr:visible").count() == 1
    assert tab.locator("#shown").inner_text() == f"1 of {tables} tables"
    tab.fill("#search", "")
    tab.locator("th button", has_text="last").first.click()
    seconds = [table.good[-1].seconds for table in found.tables]
    assert tab.locator("tbody tr").first.locator("td").nth(3).inner_text() == f"{max(seconds):,.1f}"
    tab.locator("th button", has_text="table").click()
    assert tab.locator("tbody tr").first.locator("td").first.inner_text() == min(t.key for t in found.tables)
    tab.locator("#theme").click()
    assert tab.locator("#theme").inner_text() == "Theme: light"


def test_dates_are_those_of_the_loads() -> None:
    first = datetime.fromtimestamp(START / 1000, timezone.utc)
    assert f"<span>{first:%Y-%m-%d}</span>" in trends_page(many(1))
