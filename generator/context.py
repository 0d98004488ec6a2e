"""What rows are judged against and planned with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from generator.model import Entry
from generator.settings import PLACEHOLDER, SettingsFile
from laketasks.spec import PIPELINES


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rows are judged against; `sql` has the text of each SQL file, None where there is none."""

    settings: SettingsFile
    sql: Mapping[str, str | None]

    def runs(self, pipeline: str) -> bool:
        return pipeline in PIPELINES or pipeline in self.settings.settings.runners


def task_key(entry: Entry, context: Context) -> str:
    """The key of the row's task by the `task_key` of its layer's settings."""
    template = context.settings.settings.layer(entry.row.layer).task_key
    return PLACEHOLDER.sub(lambda match: str(getattr(entry.row, match[1])), template)
