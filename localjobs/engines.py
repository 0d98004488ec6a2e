"""The engines by name, and what differs between them for a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import MappingProxyType

from localjobs.engine import Engine
from localjobs.sail import sail
from localjobs.spark import CATALOG, spark

# What runs a server for the block: with these catalogs, for this workspace, its output in this log.
ENGINES: Mapping[str, Callable[[Sequence[str], Path, Path], AbstractContextManager[Engine]]] = MappingProxyType(
    {"sail": sail, "spark": spark}
)
ONLY_CATALOG = MappingProxyType({"spark": CATALOG})  # the one that an engine has, where it cannot take any
