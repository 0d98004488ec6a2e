"""A server of the engine for one side, and the memory that it takes.

One server each: Sail keeps memory of what it did until it ends, and Spark what its compiler learned.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from localjobs.engine import prepare
from localjobs.engines import ENGINES

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALOG = "spark_catalog"  # a name that every engine can have


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A session on a server of its own, and the server's process."""

    spark: SparkSession
    process: int


@contextmanager
def serve(engine: str, workspace: Path, schemas: list[str]) -> Iterator[Served]:
    """Start a server that knows the tables of these schemas of the workspace."""
    from pyspark.sql import SparkSession

    before = os.environ.get("SPARK_REMOTE")
    with ENGINES[engine]([CATALOG], workspace, workspace / "server.log") as server:
        os.environ["SPARK_REMOTE"] = server.remote
        spark = SparkSession.builder.getOrCreate()
        spark.client.set_retry_policies([])  # a server that was ended does not come back
        try:
            prepare(spark, workspace, [(CATALOG, schema) for schema in schemas])
            yield Served(spark=spark, process=server.server.pid)
        finally:
            spark.stop()
            os.environ.pop("SPARK_REMOTE")
            if before is not None:
                os.environ["SPARK_REMOTE"] = before
