"""All that is known of one run, wherever it was: what the pictures of it are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.run import Run
from monitor.run_log import Load


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A run, the last good run of its job before it, and what the run log and the tasks' outputs say.

    `loads` None: the run log could not be read, and `without_log` says why. `now` (ms) is when all this was true.
    `killed`: the record says that the run goes on, and nobody works at it.
    By task key, `outputs` are the error texts and `logs` the files of output. `again` are the commands that run again
    what failed; `notes` are for the reader.
    """

    run: Run
    now: int
    good: Run | None = None
    loads: tuple[Load, ...] | None = None
    without_log: str = ""
    killed: bool = False
    outputs: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, str] = field(default_factory=dict)
    again: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
