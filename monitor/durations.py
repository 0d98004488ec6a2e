"""`durations.csv`: how long each table of a layer takes, which the generator reads to divide an order into lanes."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Mapping
from pathlib import Path

from monitor.evidence import Evidence
from monitor.problem import ProblemsError
from monitor.run_log import History

_COLUMNS = ["layer", "task_key", "seconds"]

Durations = dict[tuple[str, str], float]


def durations_of(evidence: Evidence) -> dict[str, float]:
    """Seconds by task key: the median of the successes in the run log, else what the task took in this run."""
    run = evidence.run
    tables = [task for task in run.tasks if task.kind == "table"]
    ran = {t.key: (t.last.end - t.last.start) / 1000 for t in tables if t.fate == "succeeded" and t.last.end}
    history = History(run_id=str(run.run_id), loads=evidence.loads or ())
    return ran | history.durations([task.key for task in tables])


def merge(file: Path, layer: str, seconds: Mapping[str, float]) -> int:
    """Put a layer's seconds into the file, which keeps what it has of others; how many lines it has then."""
    kept = read(file) if file.exists() else {}
    merged = dict(sorted((kept | {(layer, key): value for key, value in seconds.items()}).items()))
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(_COLUMNS)
    lines.writerows([own, key, f"{value:.1f}"] for (own, key), value in merged.items())
    write(file, text.getvalue())
    return len(merged)


def read(file: Path) -> Durations:
    """Seconds by layer and task key; raises ProblemsError where the file is not of this kind."""
    try:
        rows = list(csv.reader(io.StringIO(file.read_text(encoding="utf-8-sig"), newline=""), strict=True))
        if not rows or rows[0] != _COLUMNS:
            raise ProblemsError([f"{file}: has another header; the columns are {', '.join(_COLUMNS)}"])
        return {(layer, key): _seconds(seconds) for layer, key, seconds in rows[1:]}
    except (OSError, ValueError, csv.Error) as error:
        raise ProblemsError([f"{file}: cannot be read: {error}; nothing was written"]) from None


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < math.inf:
        raise ValueError(f"{text} is no number of seconds")
    return seconds


def write(file: Path, text: str) -> None:
    """Replace a file; whoever reads it meanwhile has the old one."""
    draft = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(file)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ProblemsError([f"{file}: cannot be written: {error.strerror}"]) from None
