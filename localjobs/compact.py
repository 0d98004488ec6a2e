"""Compaction of a run log for Sail, which has no OPTIMIZE: few files to read, a checkpoint, and no old commits to list.

Writers may be at work: delta-rs commits as they do, an append never conflicts with a compaction, and only commits and
files are removed that are older than the table's retention (a week).
"""

from __future__ import annotations

import sys
from pathlib import Path

MANY = 200


def compact(folder: str) -> None:
    """Compact the table in a folder if it has many commits and many files; never fails."""
    if sum(1 for _ in Path(folder, "_delta_log").glob("*.json")) < MANY:
        return
    try:
        from deltalake import DeltaTable

        table = DeltaTable(folder)
        if len(table.file_uris()) < MANY:
            return
        found = table.optimize.compact()
        table.create_checkpoint()
        table.cleanup_metadata()
        table.vacuum(dry_run=False)
    except Exception as error:  # another writer's commit, a table of another engine: a run does not need this
        sys.stderr.write(f"{folder}: not compacted: {type(error).__name__}: {error}\n")
    else:
        sys.stdout.write(f"{folder}: {found['numFilesRemoved']} files compacted to {found['numFilesAdded']}\n")
