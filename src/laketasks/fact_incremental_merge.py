"""Facts by their primary key: rows that arrived since the watermark are merged, one row per key.

A row that moves between partitions stays one row, because the key alone decides. `upsert` has the rules.
"""

from laketasks import upsert
from laketasks.change import Loader

LOADER = Loader(
    keys=lambda spec: spec.primary_key_columns,
    system_columns=upsert.system_columns,
    change=upsert.change,
)
