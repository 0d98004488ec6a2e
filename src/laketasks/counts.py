"""What a load did, in rows. The fates of the source's rows add up to `read`; the effects are rows of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

# Of an attempt in the run log; a dry run may have an error. A release of quarantined rows reads some keys only.
SUCCESS, FAILED, DRY_RUN, RELEASED = "SUCCESS", "FAILED", "DRY_RUN", "RELEASED"
FATES = ("new", "changed", "deleted", "unchanged", "duplicates", "stale", "ignored", "dropped", "quarantined")
EFFECTS = ("rows_inserted", "rows_updated", "rows_deleted", "keys_missing")
# Every count, in the order in which it is shown, with the heading of its column.
LABELS = {
    "read": "read",
    "new": "new",
    "changed": "changed",
    "deleted": "deleted",
    "unchanged": "same",
    "duplicates": "dupl.",
    "stale": "stale",
    "ignored": "ignored",
    "dropped": "dropped",
    "quarantined": "quar.",
    "keys_missing": "missing",
    "rows_inserted": "+rows",
    "rows_updated": "~rows",
    "rows_deleted": "-rows",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Rows of one load; `keys_missing` counts keys of the target that a snapshot no longer holds."""

    read: int = 0
    new: int = 0
    changed: int = 0
    deleted: int = 0
    unchanged: int = 0
    duplicates: int = 0
    stale: int = 0
    ignored: int = 0
    dropped: int = 0
    quarantined: int = 0
    rows_inserted: int = 0
    rows_updated: int = 0
    rows_deleted: int = 0
    keys_missing: int = 0

    @property
    def writes(self) -> bool:
        """Whether the target changes at all."""
        return bool(self.rows_inserted or self.rows_updated or self.rows_deleted)

    @property
    def unaccounted(self) -> int:
        """Source rows without a fate; anything but 0 is a source that changed while it was read."""
        return self.read - sum(int(getattr(self, fate)) for fate in FATES)

    def to_dict(self) -> Mapping[str, int]:
        return asdict(self)
