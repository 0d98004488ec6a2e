"""The fixture of the loader tests; `warehouse.py` says what it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from laketasks.run_log import create_run_log
from tests.laketasks.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.conftest import Schemas


@pytest.fixture
def warehouse(spark: SparkSession, workspace: Path, schemas: Schemas) -> Warehouse:
    made = Warehouse(spark=spark, workspace=workspace, bronze=schemas.bronze, silver=schemas.silver)
    create_run_log(spark, made.run_log)
    return made
