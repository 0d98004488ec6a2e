"""What the processes of a run find in their environment: all that this one has but what logs in to a workspace.

A run here needs no workspace, and a task of one has no token of its author's either: what a task prints goes to its
log, and a notebook or a wheel of somebody else's may print, or send, whatever it finds.
"""

from __future__ import annotations

import os

_LOGS_IN = ("DATABRICKS_", "ARM_", "GOOGLE_CREDENTIALS", "ACTIONS_ID_TOKEN_")


def inherited() -> dict[str, str]:
    """The environment without credentials of a workspace; the SDK finds no profile of the Databricks CLI either."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LOGS_IN)}
    return kept | {"DATABRICKS_CONFIG_FILE": os.devnull}
