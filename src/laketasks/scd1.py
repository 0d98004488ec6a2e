"""SCD type 1: one row per business key, always the latest state.

Inserts new keys, updates rows that changed and are not older than what is stored, applies deletes and, for a
snapshot, what is configured for keys that vanished. `upsert` has the rules.
"""

from laketasks import upsert
from laketasks.change import Loader

LOADER = Loader(
    keys=lambda spec: spec.business_key_columns,
    system_columns=upsert.system_columns,
    change=upsert.change,
)
