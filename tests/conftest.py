"""A server of the engine that --engine names; each test gets schemas of its own.

`spark`      the session
`workspace`  this test's folder, laid out as localjobs does: tables at <workspace>/<catalog>/<schema>/<table>
`schemas`    two schemas that no other test uses, one for bronze and one for silver; on Spark both are in one catalog
`schema`     their name on Sail, where catalogs `dev_bronze` and `dev_silver` have one each
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from localjobs.engine import prepare
from localjobs.engines import ENGINES
from localjobs.spark import spark as spark_server

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# A worker of xdist runs no file. PySpark takes that for its own doctests, and looks for a Spark to run them.
vars(sys.modules["__main__"]).setdefault("__file__", __file__)

CATALOGS = {"sail": ("dev_bronze", "dev_silver"), "spark": ("spark_catalog", "spark_catalog")}


@dataclass(frozen=True)
class Schemas:
    """Catalog and schema of bronze and of silver."""

    bronze: tuple[str, str]
    silver: tuple[str, str]


def pytest_addoption(parser: pytest.Parser) -> None:
    chosen = os.environ.get("LAKETASKS_ENGINE", "sail")
    parser.addoption("--engine", choices=[*ENGINES], default=chosen, help="what the loaders run on (default: sail)")
    parser.addoption("--mutants", type=int, default=5000, help="files of `-m mutation` (default: 5000)")
    parser.addoption("--driver-tables", type=int, default=13, help="tables of a driver that are adopted (all: 135)")
    crashes = parser.getgroup("crashes", "how often the tests of tests/crashes try, for each load")
    crashes.addoption("--kills", type=int, default=50, help="loads whose process is killed (default: 50)")
    crashes.addoption("--outages", type=int, default=10, help="loads whose engine is killed (default: 10)")
    crashes.addoption("--races", type=int, default=20, help="pairs of loads at once (default: 20)")
    crashes.addoption("--seed", type=int, help="what chance is made of (printed; of the crashes another one each time)")
    histories = parser.getgroup("histories", "how many sequences of runs tests/histories plays")
    histories.addoption("--sequences", type=int, help="sequences of 8 runs (default: 500, on Spark 50)")
    histories.addoption("--from-sequence", type=int, default=0, help="the number of the first of them (default: 0)")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[pytest.TestReport]:
    """With LAKETASKS_REQUIRE_ALL a test that would be skipped fails, and says what is missing."""
    report = yield
    if report.skipped and os.environ.get("LAKETASKS_REQUIRE_ALL"):
        report.outcome = "failed"
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --engine spark, what asks for a session is a test on Spark, unless it is about Sail or a twin."""
    if config.getoption("--engine") != "spark":
        return
    for item in items:
        asked = getattr(item, "fixturenames", [])
        if "spark" in asked and "schema" not in asked and not item.get_closest_marker("twin"):
            item.add_marker("spark")


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.config.getoption("--engine"))


def _server_scope(fixture_name: str, config: pytest.Config) -> Literal["session", "module"]:
    """Sail keeps some megabytes of each operation until it ends (0.7): it is started anew for every file of tests."""
    return "module" if config.getoption("--engine") == "sail" else "session"


@contextmanager
def session_of(engine: str, folder: Path) -> Iterator[SparkSession]:
    """A session on a server of its own, which ends with the block."""
    from pyspark.sql import SparkSession

    catalogs = sorted({*CATALOGS[engine]})
    start = partial(spark_server, small=True) if engine == "spark" else ENGINES[engine]
    with start(catalogs, folder, folder / "server.log") as server, pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "SPARK_REMOTE", server.remote)
        session = SparkSession.builder.getOrCreate()
        try:
            yield session
        finally:
            session.stop()  # before the server ends: a client that finds it gone retries for minutes


@pytest.fixture(scope=_server_scope)
def spark(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    with session_of(engine, tmp_path_factory.mktemp(engine)) as session:
        yield session


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@contextmanager
def made_schemas(engine: str, spark: SparkSession, workspace: Path, name: str) -> Iterator[Schemas]:
    """Two schemas of this name for the block."""
    bronze, silver = CATALOGS[engine]
    made = Schemas(bronze=(bronze, name if bronze != silver else f"{name}_bronze"), silver=(silver, name))
    prepare(spark, workspace, [made.bronze, made.silver])
    yield made
    for catalog, schema in (made.bronze, made.silver):
        spark.sql(f"DROP SCHEMA IF EXISTS {catalog}.{schema} CASCADE")


@pytest.fixture
def schemas(engine: str, spark: SparkSession, workspace: Path) -> Iterator[Schemas]:
    with made_schemas(engine, spark, workspace, f"s_{uuid.uuid4().hex[:12]}") as made:
        yield made


@pytest.fixture
def schema(engine: str, schemas: Schemas) -> str:
    if engine != "sail":
        pytest.skip("needs the two catalogs of Sail: run it without --engine spark")
    return schemas.silver[1]
