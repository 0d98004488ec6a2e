"""The page as text, then in a real Chromium: it draws without an error, sorts, searches, obeys the keyboard, prints.

With LAKETASKS_SCREENSHOTS=DIR the pictures of 30, 140 and 1,000 tables are left there, to be looked at.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from monitor.evidence import Evidence
from monitor.page import page
from monitor.report import report_of
from tests.monitor.records import START, element, evidence, gate, load, night, record

if TYPE_CHECKING:
    from playwright.sync_api import Page

EVIL = "</script><script>window.stolen=1</script><img src=x onerror=window.stolen=1>[[script]]&amp;<!--\u2028\ud800"
_OPEN = "() => document.activeElement.closest('dialog') !== null"


def written(made: Evidence) -> str:
    return page(report_of(made))


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script id="data" type="application/json">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    read: dict[str, Any] = json.loads(found[1])
    return read


def evil() -> Evidence:
    """Everything that is text in a record or a run log is an attack."""
    tasks = [
        element(EVIL, "FAILED", message=EVIL, run_page_url='javascript:alert(1)//"><script>window.stolen=1</script>'),
        element(f"{EVIL}2", after=[EVIL]),
    ]
    parameters = [{"name": EVIL, "default": "", "value": EVIL}]
    loads = (load(EVIL, error=EVIL, pipeline=EVIL), load(f"{EVIL}2", pipeline=EVIL, watermark_to=EVIL))
    document = record(*tasks, run_name=EVIL, job_parameters=parameters)
    return evidence(document, loads=loads, notes=(EVIL,), again=(f"python -m {EVIL}",), logs={EVIL: EVIL})


# --- as text ---


def test_nothing_is_fetched_and_nothing_is_markup() -> None:
    text = written(evil())
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "window.stolen=1<" not in text
    data = data_of(text)
    assert data["tasks"][0]["key"] == EVIL.replace("\ud800", "?")
    assert data["tasks"][0]["url"] == ""
    fetched = re.findall(
        r"""(?:src|href|url)\s*[=(]\s*["']?(?!#|data:,)([^"')\s>]+)""", text.replace("url(#hatch)", "")
    )
    assert [address for address in fetched if address.startswith(("http", "/", "."))] == []
    assert "default-src 'none'" in text


def test_the_same_run_gives_the_same_page() -> None:
    assert written(night(30, 1)) == written(night(30, 1))


def test_barriers_are_written_once() -> None:
    """990 tasks that wait for all of the order before are 200,000 edges, in a page of half a megabyte."""
    text = written(night(1000, 25))
    data = data_of(text)
    assert len(data["tasks"]) == 1001
    assert len(data["sets"]) == 4
    assert len(text.encode()) < 2_000_000


def test_errors_that_would_fill_the_page_lose_their_middle() -> None:
    tasks = [element(f"t{n}", "FAILED") for n in range(1000)]
    made = evidence(record(*tasks), outputs={f"t{n}": f"begin {n} " + "x<é" * 7_000 + f" end {n}" for n in range(1000)})
    text = written(made)
    assert len(text.encode()) < 2_000_000
    error = data_of(text)["errors"][7]
    assert error.startswith("begin 7 ")
    assert error.endswith(" end 7")
    assert "characters are left out here" in error


def test_without_scripts_the_first_screen_stands_there_as_text() -> None:
    text = written(night(30, 1))
    plain = text.partition('<div id="plain">')[2].partition("</pre>")[0]
    assert "1 of 30 tables failed" in plain
    assert "what to do" in plain


# --- in a browser ---


Opened = Callable[..., "Page"]


def until(tab: Page, expression: str) -> None:
    """Wait for something to be true; playwright's own way is an eval, which the page's policy refuses."""
    for _ in range(500):
        if tab.evaluate(expression):
            return
        tab.wait_for_timeout(20)
    raise AssertionError(f"never true: {expression}")


@pytest.fixture
def opened(opened_text: Opened) -> Opened:
    """Opens the page of a run, and waits until it is drawn."""

    def show(made: Evidence, **options: Any) -> Page:
        tab = opened_text(written(made), **options)
        if options.get("java_script_enabled", True):
            until(tab, "performance.getEntriesByName('interactive').length")
        return tab

    return show


def rows(tab: Page, column: int = 0) -> list[str]:
    return tab.locator(f"tbody tr:visible td:nth-child({column + 1})").all_inner_texts()


def heads(tab: Page) -> list[str]:
    return tab.locator("thead th button").all_inner_texts()


def test_hostile_names_are_shown_as_they_are(opened: Opened) -> None:
    tab = opened(evil())
    assert tab.evaluate("window.stolen") is None
    assert EVIL[:60] in tab.locator("tbody").inner_text()
    tab.locator("tbody button").first.click()
    assert EVIL[:60] in tab.locator("dialog").inner_text()
    assert tab.locator("img").count() == 0
    assert tab.locator("a[href^=javascript]").count() == 0
    assert tab.evaluate("window.stolen") is None


@pytest.mark.parametrize("tables", [30, 140, 1000])
def test_it_draws_every_task_and_is_ready_in_time(opened: Opened, tables: int) -> None:
    tab = opened(night(tables, {30: 1, 140: 9, 1000: 25}[tables]))
    assert len(rows(tab)) == tables
    assert tab.locator(".chip").count() == tables + 1
    assert tab.locator("#time .bar.link").count() == tables + 1
    ready = tab.evaluate("performance.getEntriesByName('interactive')[0].startTime")
    print(f"{tables} tables: interactive after {ready:.0f} ms")
    assert ready < 2000  # many times what it takes on a quiet machine
    if "LAKETASKS_SCREENSHOTS" in os.environ:
        pictures(tab, Path(os.environ["LAKETASKS_SCREENSHOTS"]) / str(tables))


def pictures(tab: Page, file: Path) -> None:
    """To be looked at: in both themes, and as it is printed."""
    file.parent.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        tab.screenshot(path=f"{file}-{scheme}.png", full_page=True)
    tab.pdf(path=f"{file}.pdf", prefer_css_page_size=True)


def test_the_first_screen_answers_the_three_questions(opened: Opened) -> None:
    tab = opened(night(140, 9, policy="skip"))
    for text in ("9 of 140 tables failed", "holds up 63 tables: 59 did not run", "databricks jobs repair-run 77"):
        box = tab.get_by_text(text).first.bounding_box()
        assert box is not None
        assert box["y"] < 900, text


def test_sorting_goes_by_value_and_what_is_unknown_is_last(opened: Opened) -> None:
    tab = opened(night(30, 2, policy="skip"))
    for name in ("read", "seconds"):
        column = heads(tab).index(name)
        head = tab.locator("thead th").nth(column)
        for direction in ("descending", "ascending"):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == direction
            cells = rows(tab, column)
            known = [float(cell.replace(",", "")) for cell in cells if cell]
            assert known == sorted(known, reverse=direction == "descending")
            assert cells == [*cells[: len(known)], *[""] * (len(cells) - len(known))]
    assert tab.locator('th[aria-sort="none"]').count() == len(heads(tab)) - 1
    tab.locator("thead button", has_text="table").click()
    assert rows(tab) == sorted(rows(tab))


def test_search_and_states_narrow_everything(opened: Opened) -> None:
    tab = opened(night(30, 2, policy="skip"))
    tab.keyboard.press("/")
    tab.keyboard.type("FACT_")
    facts = rows(tab)
    assert facts
    assert all(name.startswith("fact_") for name in facts)
    assert tab.locator("#shown").inner_text() == f"{len(facts)} of 30 tables"
    assert tab.locator(".chip:not(.dim)").count() == len(facts)
    tab.locator("#fates button", has_text="failed").click()
    assert {cell[2:] for cell in rows(tab, heads(tab).index("state"))} <= {"FAILED", "TIMEDOUT"}
    tab.locator("#search").press("Escape")
    assert len(rows(tab)) == 30
    tab.locator("#search").fill("unresolved_column")  # errors are searched too
    assert len(rows(tab)) == 2
    tab.locator("#search").fill("nothing is called so")
    assert rows(tab) == []
    assert "No task that has started is shown" in tab.locator("#time").inner_text()
    tab.get_by_role("button", name="Show all").click()
    assert len(rows(tab)) == 30


def test_the_theme_follows_the_system_until_one_is_chosen(opened: Opened) -> None:
    def paper(tab: Page) -> str:
        return str(tab.evaluate("getComputedStyle(document.body).backgroundColor"))

    tab = opened(night(30, 1), color_scheme="dark")
    assert paper(tab) == "rgb(15, 20, 25)"
    button = tab.get_by_role("button", name="Theme")
    button.click()
    assert (button.inner_text(), paper(tab)) == ("Theme: light", "rgb(255, 255, 255)")
    tab.reload()
    assert paper(tab) == "rgb(255, 255, 255)"
    button.click()
    assert paper(tab) == "rgb(15, 20, 25)"
    tab.emulate_media(color_scheme="light")
    assert paper(tab) == "rgb(15, 20, 25)"
    button.click()
    assert (button.inner_text(), paper(tab)) == ("Theme: auto", "rgb(255, 255, 255)")


def test_everything_can_be_reached_with_the_keyboard(opened: Opened) -> None:
    """The first Tab skips to the tables; the order and the chart are one stop each, arrows go on inside."""
    tab = opened(night(30, 1))
    focus = "document.activeElement"
    tab.keyboard.press("Tab")
    assert tab.evaluate(f"{focus}.textContent") == "Skip to the tables"
    tab.keyboard.press("Enter")
    assert tab.evaluate(f"{focus}.id") == "tables"
    stops = {".chip": 1, "#time .bar.link": 1}
    for selector, expected in stops.items():
        assert tab.locator(f'{selector}[tabindex="0"]').count() == expected
        assert tab.locator(selector).count() == 31
    first = tab.locator(".chip").first
    first.focus()
    assert "SUCCESS" in tab.locator("#tip").inner_text()
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(f"{focus}.getAttribute('aria-label')").startswith(
        data_of(written(night(30, 1)))["tasks"][1]["key"]
    )
    tab.keyboard.press("End")
    assert tab.evaluate(f"{focus}.getAttribute('aria-label')").startswith("run_summary, FAILED")
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate(f"{focus}.getAttribute('aria-label')").startswith("fact_")
    assert tab.locator(".chip.after").count() == 1
    opener = tab.evaluate(f"{focus}.getAttribute('aria-label')")
    tab.keyboard.press("Enter")
    assert tab.evaluate(_OPEN)
    tab.keyboard.press("Escape")
    assert tab.locator("dialog[open]").count() == 0
    assert tab.evaluate(f"{focus}.getAttribute('aria-label')") == opener
    tab.locator("#time .bar.link").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert tab.evaluate(_OPEN)


def test_one_task_in_full(opened: Opened) -> None:
    made = evidence(
        record(
            element("a", "FAILED", seconds=4, run_id=1),
            element(
                "a", "SUCCESS", start=6, seconds=3, attempt_number=1, run_page_url="https://h.example/jobs/1/runs/2"
            ),
            gate("gate_2", ["a"], run_if="ALL_DONE"),
            element("b", start=10, after=["gate_2"]),
        ),
        loads=(
            load("a", 9, run_id=70, start=-86_400, row_hash="one"),
            load("a", 12, watermark_from="2026-01-01", watermark_to="2026-01-02", row_hash="one"),
        ),
    )
    tab = opened(made)
    tab.locator("tbody button", has_text="a").first.click()
    text = tab.locator("dialog").inner_text()
    for part in (
        "2; before: FAILED after 4.0 s",
        "read 12, new 12, rows inserted 12",
        "2026-01-01 to 2026-01-02",
        "s.t.a",
    ):
        assert part in text
    assert not re.search("false|null|undefined|NaN", text)
    assert tab.locator("dialog a").get_attribute("href") == "https://h.example/jobs/1/runs/2"
    tab.locator("dialog button", has_text="b").click()
    assert tab.locator("dialog h2").inner_text() == "b"


def test_zoom_shows_one_level(opened: Opened) -> None:
    tab = opened(night(200, 5))
    tab.get_by_role("button", name="level 3").click()
    assert tab.locator("#time .bar.link").count() == 30
    assert tab.locator("#zoom [aria-pressed=true]").inner_text() == "level 3"
    tab.get_by_role("button", name="whole run").click()
    assert tab.locator("#time .bar.link").count() == 201


def test_names_of_a_large_run_can_be_shown(opened: Opened) -> None:
    tab = opened(night(200, 5))
    name = tab.locator(".chip .name").first
    assert not name.is_visible()
    tab.get_by_label("names").check()
    assert name.is_visible()


def test_a_run_going_on(opened: Opened) -> None:
    document = record(element("a"), element("b", "running", start=5, after=["a"]), element("c", "blocked", after=["b"]))
    tab = opened(evidence(document, now=START + 65_000))
    assert "RUNNING" in tab.locator("h1").inner_text()
    assert rows(tab, heads(tab).index("seconds")) == ["1.0", "60.0", ""]
    assert tab.locator("#time .now").count() == 1


def test_a_run_of_which_nothing_has_started(opened: Opened) -> None:
    tab = opened(evidence(record(element("a", "pending"))))
    assert "No task that has started is shown" in tab.locator("#time").inner_text()


def test_on_paper_everything_is_there(opened: Opened) -> None:
    """Light, without controls, with every error open; and the screen is as it was afterwards."""
    tab = opened(night(140, 9, policy="skip"), color_scheme="dark")
    closed = tab.locator("#failures details:not([open])").count()
    assert closed > 0
    tab.emulate_media(media="print")
    until(tab, "document.querySelectorAll('#failures details:not([open])').length === 0")
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not tab.locator("#filter").is_visible()
    assert tab.locator("th .paper").first.is_visible()
    assert tab.pdf(prefer_css_page_size=True).startswith(b"%PDF")
    tab.emulate_media(media="screen")
    until(tab, f"document.querySelectorAll('#failures details:not([open])').length === {closed}")


def test_text_is_legible_in_both_themes(opened: Opened) -> None:
    """Contrast of 4.5 to 1 and more, the bound of WCAG AA, of every text on what is behind it."""
    for scheme in ("light", "dark"):
        tab = opened(night(30, 3, policy="skip"), color_scheme=scheme)
        assert tab.evaluate(_CONTRAST) == []


def test_every_control_has_a_name(opened: Opened) -> None:
    tab = opened(night(30, 1))
    nameless = """
        [...document.querySelectorAll('button, input, a, [role=button], [role=group], [role=region], dialog')]
        .filter((e) => !(e.textContent.trim() || e.labels?.length || e.matches('[aria-label], [aria-labelledby]')))
        .map((e) => e.outerHTML)"""
    assert tab.evaluate(nameless) == []
    assert tab.evaluate("document.documentElement.lang") == "en"
    ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))


def test_without_scripts_the_text_is_seen(opened: Opened) -> None:
    tab = opened(night(30, 1), java_script_enabled=False)
    assert tab.get_by_text("1 of 30 tables failed").is_visible()
    assert tab.get_by_text("switched off").is_visible()


_CONTRAST = """() => {
  const parse = (c) => (c.match(/[\\d.]+/g) ?? []).map(Number);
  const linear = (v) => (v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const light = (c) => c.slice(0, 3).map(linear)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    const c = parse(getComputedStyle(e).backgroundColor);
    return c.length === 3 || c[3] > 0 ? c : behind(e.parentElement);
  };
  const found = [];
  for (const e of document.querySelectorAll('#page *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || e.closest('svg') || !e.checkVisibility()) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${e.tagName}.${e.className} ${ratio.toFixed(2)} ${e.textContent.slice(0, 30)}`);
  }
  return [...new Set(found)].slice(0, 20);
}"""
