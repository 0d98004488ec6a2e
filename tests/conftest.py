"""One Sail server for the whole test session; each test gets schemas of its own in its own folder.

`spark`      the session; catalogs `dev_bronze` and `dev_silver`
`workspace`  this test's folder, laid out as localjobs does: tables at <workspace>/<catalog>/<schema>/<table>
`schema`     a name that no other test uses; the schema of that name exists in both catalogs
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localjobs.engine import prepare, sail

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CATALOGS = ("dev_bronze", "dev_silver")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """With LAKETASKS_REQUIRE_ALL a test that would be skipped fails, and says what is missing."""
    report = yield
    if report.skipped and os.environ.get("LAKETASKS_REQUIRE_ALL"):
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from pyspark.sql import SparkSession

    with sail(CATALOGS, tmp_path_factory.mktemp("sail") / "sail.log") as engine, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "SPARK_REMOTE", engine.remote)
        session = SparkSession.builder.getOrCreate()
        yield session
        session.stop()  # before the server ends: a client that finds it gone retries for minutes


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def schema(spark: SparkSession, workspace: Path) -> Iterator[str]:
    name = f"s_{uuid.uuid4().hex[:12]}"
    prepare(spark, workspace, [(catalog, name) for catalog in CATALOGS])
    yield name
    for catalog in CATALOGS:
        spark.sql(f"DROP SCHEMA IF EXISTS {catalog}.{name} CASCADE")
