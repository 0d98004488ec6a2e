"""The report as one HTML file: nothing is fetched, and nothing of the run is taken for markup."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from html import escape
from typing import TypeVar

from rich.console import Console

from laketasks.counts import LABELS
from monitor.html import as_json, filled
from monitor.report import Report
from monitor.run import Run
from monitor.table import TableReport
from monitor.terminal import first_screen, held_up, path_about
from monitor.text import duration

_ERRORS = 800_000  # bytes of all errors together
_LEAST = 600
T = TypeVar("T")


def page(report: Report) -> str:
    """The page; the same report gives the same text."""
    return filled(
        "page.html",
        styles=("page.css",),
        scripts=("theme.js", "page.js"),
        title=escape(f"{'FAILED' if report.bad else report.run.state.word} {report.run.layer} {report.run.run_id}"),
        plain=escape(_plain(report)),
        data=as_json(_document(report)),
    )


def _plain(report: Report) -> str:
    """The first screen, for a mail program that takes scripts out."""
    console = Console(file=io.StringIO(), width=120, color_system=None, force_terminal=False)
    for part in first_screen(report):
        console.print(part, markup=False, highlight=False)
    written = console.file
    assert isinstance(written, io.StringIO)
    return written.getvalue()


def _document(report: Report) -> dict[str, object]:
    """What the script draws. Times are milliseconds from the run's start; tasks, sets and errors are named by place."""
    run, place = report.run, {task.key: n for n, task in enumerate(report.tasks)}
    sets = _places(task.depends_on for task in report.tasks)
    errors = _places(task.error for task in report.tasks if task.error)
    return {
        "verdict": report.verdict,
        "bad": report.bad,
        "fate": run.state.fate,
        "word": run.state.word,
        "message": run.state.message,
        "name": run.name,
        "id": str(run.run_id),
        "url": run.url,
        "start": run.start,
        "end": max(1, (run.end or report.now) - run.start),
        "going_on": run.going_on,
        "notes": report.notes,
        "figures": _figures(report),
        "to_do": report.to_do,
        "compared": report.compared,
        "changes": report.changes,
        "failures": [
            {
                "tasks": [place[key] for key in failure.keys],
                "facts": failure.facts,
                "held": held_up(failure),
            }
            for failure in report.failures
        ],
        "path": [[place[s.task_key], s.start - run.start, s.end - run.start] for s in report.path],
        "path_about": path_about(report),
        "heads": LABELS,
        "sets": [[place[key] for key in keys] for keys in sets],
        "errors": _shortened([*errors]),
        "tasks": [_task(task, run, sets, errors) for task in report.tasks],
    }


def _places(values: Iterable[T]) -> dict[T, int]:
    """Values that many share, each once, with its place."""
    return {value: n for n, value in enumerate(dict.fromkeys(values))}


def _task(
    task: TableReport, run: Run, sets: Mapping[tuple[str, ...], int], errors: Mapping[str, int]
) -> dict[str, object]:
    return {
        "key": task.key,
        "kind": task.kind,
        "level": task.level,
        "word": task.word,
        "fate": task.fate,
        "start": task.start - run.start if task.start else None,
        "end": task.end - run.start if task.end else None,
        "seconds": task.seconds,
        "attempt": task.attempt,
        "earlier": [[a.start - run.start, (a.end or a.start) - run.start, a.state.word] for a in task.earlier],
        "set": sets[task.depends_on],
        "pipeline": task.pipeline,
        "target": task.target,
        "counts": {name: task.counts.get(name, 0) for name in LABELS} if task.counts else {},
        "watermark": " to ".join(mark for mark in (task.watermark_from, task.watermark_to) if mark),
        "usual": task.usual,
        "error": errors[task.error] if task.error else None,
        "cause": task.cause,
        "url": task.url,
        "log": task.log,
        "last_loaded": task.last_loaded,
        "row_changed": task.row_changed,
        "path": task.on_path,
    }


def _figures(report: Report) -> list[tuple[str, str, str]]:
    """Name, value and state of each figure; states that no table is in are left out where they are news only if not."""
    fates = [table.fate for table in report.tables]
    ahead = [(fate, str(fates.count(fate)), fate) for fate in ("running", "waiting") if fate in fates]
    took = ((report.run.end or report.now) - report.run.start) / 1000
    return [
        ("processed", str(sum(fate not in ("running", "waiting") for fate in fates)), ""),
        ("successful", str(fates.count("succeeded")), "succeeded"),
        ("failed", str(fates.count("failed")), "failed"),
        ("skipped", str(fates.count("skipped")), "skipped"),
        *ahead,
        ("so far" if report.run.going_on else "took", duration(took), ""),
    ]


def _shortened(errors: list[str]) -> list[str]:
    """The texts whole, unless there are so many that the page would not be one that travels."""
    bytes_of = [len(as_json(text).encode("utf-8", "replace")) for text in errors]
    if sum(bytes_of) <= _ERRORS:
        return errors
    room = max(_LEAST, _ERRORS // len(errors))
    pairs = zip(errors, bytes_of, strict=True)
    return [text if size <= room else _without_middle(text, room * len(text) // size) for text, size in pairs]


def _without_middle(text: str, room: int) -> str:
    half = room // 2
    left = len(text) - 2 * half
    return f"{text[:half]}\n... {left:,} characters are left out here; the run log has them ...\n{text[-half:]}"
