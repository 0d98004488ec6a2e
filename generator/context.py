"""What rows are judged against and planned with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from generator.model import Entry
from generator.settings import PLACEHOLDER, SettingsFile
from laketasks.spec import PIPELINES


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rows are judged against; `sql` has the text of each SQL file, None where there is none.

    `durations` has how many seconds a task of a layer took, where that is known. `production` names the production
    targets of the bundle, where it has others, too.
    """

    settings: SettingsFile
    sql: Mapping[str, str | None]
    durations: Mapping[tuple[str, str], float] = field(default_factory=dict)
    production: str = ""

    def runs(self, pipeline: str) -> bool:
        return pipeline in PIPELINES or pipeline in self.settings.settings.runners

    def sql_file(self, path: str) -> str:
        """The SQL file as problems name it: as one would type it where the settings are named."""
        return (PurePosixPath(self.settings.file).parent / path).as_posix()


def task_key(entry: Entry, context: Context) -> str:
    """The key of the row's task by the `task_key` of its layer's settings."""
    template = context.settings.settings.layer(entry.row.layer).task_key
    return PLACEHOLDER.sub(lambda match: str(getattr(entry.row, match[1])), template)
