"""The trends as one HTML file: nothing is fetched, and nothing of the run log is taken for markup."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from monitor.html import filled
from monitor.text import day, duration, instant, plural
from monitor.trends import KEPT, Point, RunTrend, TableTrend, Trends

_WIDE, _HIGH = 720, 130  # of the picture of the runs
_CARD, _LOW = 320, 84
_SMALL, _FLAT = 150, 26  # of a table's pictures in its row
_EDGE = 3


def trends_page(found: Trends) -> str:
    """The page; the same trends give the same text."""
    return filled(
        "trends.html",
        styles=("page.css", "trends.css"),
        scripts=("theme.js", "trends.js"),
        title=escape(f"Trends of {found.log}"),
        heading=escape(found.log),
        about=escape(_about(found)),
        runs=_runs(found.runs[-KEPT:]),
        slower="".join(_slower(table) for table in found.slower) or "<p>No table did.</p>",
        stopped="".join(_stopped(table) for table in found.stopped) or "<p>No table did.</p>",
        head="".join(_head()),
        rows="".join(_row(table) for table in found.tables),
    )


def _about(found: Trends) -> str:
    loads = f"{plural(found.loads, 'load')} in {plural(len(found.runs), 'run')}"
    return f"{plural(len(found.tables), 'table')}, {loads}, {day(found.runs[0].start)} to {day(found.runs[-1].end)}"


# --- pictures ---


def _runs(runs: Sequence[RunTrend]) -> str:
    """A bar for each run: as high as it was long; a run with failures says so."""
    most = max(run.seconds for run in runs) or 1
    step = min(40.0, _WIDE / len(runs))
    bars = []
    for place, run in enumerate(runs):
        high = max(1.0, run.seconds / most * _HIGH)
        kind = "failed" if run.failed else "good"
        box = f'x="{place * step + 1:.1f}" y="{_HIGH - high:.1f}" width="{step - 2:.1f}" height="{high:.1f}"'
        failed = f", {run.failed} failed" if run.failed else ""
        told = f"run {run.run_id}, {instant(run.start)}: {duration(run.seconds)}, {plural(run.tables, 'table')}{failed}"
        bars.append(f'<rect class="{kind}" {box}><title>{escape(told)}</title></rect>')
    label = f"How long the last {len(runs)} runs took, at the most {duration(most)}"
    return _svg(label, step * len(runs), _HIGH, bars) + _axis(runs[0].start, runs[-1].end, duration(most))


def _line(points: Sequence[Point], values: Sequence[float], name: str, most: str, size: tuple[int, int]) -> str:
    """A line through the successes, from nothing at the foot to the most on top; a failure is a mark at the foot."""
    width, height = size
    top = max((value for point, value in zip(points, values, strict=True) if point.succeeded), default=0) or 1
    step = (width - 2 * _EDGE) / max(1, len(points) - 1)
    spots = [
        (_EDGE + place * step, height - _EDGE - value / top * (height - 2 * _EDGE), point.succeeded)
        for place, (point, value) in enumerate(zip(points, values, strict=True))
    ]
    drawn = " ".join(f"{x:.0f},{y:.1f}" for x, y, good in spots if good)
    parts = [f'<polyline points="{drawn}"/>']
    parts += [f'<circle class="last" cx="{x:.0f}" cy="{y:.1f}" r="2"/>' for x, y, good in spots[-1:] if good]
    parts += [f'<path class="failed" d="M{x - 2:.0f} {height - 6}l4 4m0 -4l-4 4"/>' for x, _, good in spots if not good]
    return _svg(f"{name} of {plural(len(points), 'load')}, at the most {most}", width, height, parts)


def _svg(label: str, width: float, height: float, parts: Iterable[str]) -> str:
    said = escape(label)
    box = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    return f'<svg role="img" aria-label="{said}" {box}><title>{said}</title>{"".join(parts)}</svg>'


def _axis(start: int, end: int, most: str) -> str:
    return (
        f'<p class="axis quiet"><span>{day(start)}</span><span>at most {escape(most)}</span><span>{day(end)}</span></p>'
    )


# --- what is new ---


def _slower(table: TableTrend) -> str:
    usual, now = table.usual or 0, table.now or 0
    times = f", {now / usual:.1f} times" if usual else ""
    said = f"{duration(now)} now, {duration(usual)} before{times}"
    return _card(table, said, [point.seconds for point in table.points], "Seconds", duration(_most_seconds(table)))


def _stopped(table: TableTrend) -> str:
    last = table.last_change
    since = f", the last change on {day(last.end)}" if last else ""
    said = f"no row changed in {plural(table.quiet, 'load')}{since}"
    values = [point.changed for point in table.points]
    return _card(table, said, values, "Rows changed", f"{max(values):,} rows")


def _card(table: TableTrend, said: str, values: Sequence[float], name: str, most: str) -> str:
    picture = _line(table.points, values, name, most, (_CARD, _LOW))
    axis = _axis(table.points[0].end, table.points[-1].end, most)
    caption = f'<figcaption><b class="name">{escape(table.key)}</b> {escape(said)}</figcaption>'
    return f'<figure class="trend">{caption}{picture}{axis}</figure>'


def _most_seconds(table: TableTrend) -> float:
    return max((point.seconds for point in table.good), default=0.0)


# --- every table ---

_HEADS = ("table", "runner", "seconds", "last", "usual", "rows read", "last", "rows changed", "last", "failed")
_PICTURES = (2, 5, 7)


def _head() -> Iterator[str]:
    for place, name in enumerate(_HEADS):
        number = ' class="number"' if place > 1 and place not in _PICTURES else ""
        inside = (
            f'<span class="plain">{name}</span>' if place in _PICTURES else f'<button type="button">{name}</button>'
        )
        yield f'<th scope="col"{number}>{inside}</th>'


def _row(table: TableTrend) -> str:
    last = table.good[-1] if table.good else None
    size = (_SMALL, _FLAT)
    seconds = _line(table.points, [p.seconds for p in table.points], "Seconds", duration(_most_seconds(table)), size)
    read, changed = ([getattr(p, name) for p in table.points] for name in ("read", "changed"))
    cells = (
        f'<td><span class="name" title="{escape(table.target)}">{escape(table.key)}</span></td>',
        f"<td>{escape(table.pipeline)}</td>",
        f"<td>{seconds}</td>",
        _number(last.seconds if last else None, 1),
        _number(table.usual, 1),
        f"<td>{_line(table.points, read, 'Rows read', f'{max(read):,}', size)}</td>",
        _number(last.read if last else None),
        f"<td>{_line(table.points, changed, 'Rows changed', f'{max(changed):,}', size)}</td>",
        _number(last.changed if last else None),
        _number(table.failed or None),
    )
    return f"<tr>{''.join(cells)}</tr>\n"


def _number(value: float | None, places: int = 0) -> str:
    shown, exact = ("", "") if value is None else (f"{value:,.{places}f}", str(value))
    return f'<td class="number" data-value="{exact}">{shown}</td>'
