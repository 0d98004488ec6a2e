"""From a word of the command line to the run that it means."""

from __future__ import annotations

import re
from pathlib import Path

from monitor import local, workspace
from monitor.evidence import Evidence
from monitor.problem import UsageError


def collect(run: str) -> Evidence:
    """Find the run that a word means and gather what is known of it."""
    if re.match(r"https?://", run):
        return workspace.collect(workspace.run_id_of(run), run)
    path = Path(run)
    if path.exists():
        return local.collect(local.record_file(path))
    if re.fullmatch(r"[1-9]\d{0,18}", run):
        return workspace.collect(int(run))
    raise UsageError([f"{run}: no such file or folder, and no run id; `python -m monitor --help` says what RUN may be"])
