"""The fixtures of the loader tests; `warehouse.py` and `cases.py` say what they do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from laketasks.run_log import create_run_log
from tests.conftest import made_schemas
from tests.laketasks.cases import Group, Played, play
from tests.laketasks.warehouse import Warehouse

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.conftest import Schemas


@pytest.fixture
def warehouse(spark: SparkSession, workspace: Path, schemas: Schemas) -> Warehouse:
    made = Warehouse(spark=spark, workspace=workspace, bronze=schemas.bronze, silver=schemas.silver)
    create_run_log(spark, made.run_log)
    return made


_TRANSPORT = "Exception deserializing response"
Shared = Callable[[str, Callable[[Warehouse], Any]], Any]


@pytest.fixture(scope="module")
def shared(engine: str, spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """What a function made of a warehouse, once for all tests of the file that name it; when it fails they all do."""
    results: dict[str, Any] = {}
    with ExitStack() as stack:

        def result(name: str, make: Callable[[Warehouse], Any]) -> Any:
            if name not in results:
                workspace = tmp_path_factory.mktemp("shared")
                schemas = stack.enter_context(made_schemas(engine, spark, workspace, f"g_{uuid.uuid4().hex[:12]}"))
                warehouse = Warehouse(spark=spark, workspace=workspace, bronze=schemas.bronze, silver=schemas.silver)
                create_run_log(spark, warehouse.run_log)
                try:
                    results[name] = make(warehouse)
                except BaseException as error:
                    if _TRANSPORT not in str(error):  # which pyproject.toml lets try again
                        results[name] = error
                    raise
            if isinstance(results[name], BaseException):
                pytest.fail(f"{name}: {type(results[name]).__name__}: {results[name]}", pytrace=False)
            return results[name]

        yield result


@pytest.fixture(scope="module")
def played(request: pytest.FixtureRequest, engine: str, shared: Shared) -> Iterator[Callable[[Group], Played]]:
    """What came of a group, loaded when the first of its tests asks.

    On Spark all groups that the file's tests name are loaded then, two at a time: a small load is mostly planning,
    which takes one core.
    """
    ahead: dict[str, Future[Played]] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:

        def result(group: Group) -> Played:
            if engine == "spark" and not ahead:
                for each in _groups(request):
                    ahead[each.name] = pool.submit(shared, each.name, partial(play, each))
            if group.name in ahead:
                wait([ahead[group.name]])
            found: Played = shared(group.name, partial(play, group))
            return found

        yield result


def _groups(request: pytest.FixtureRequest) -> list[Group]:
    """The groups that the selected tests of this file name, each once."""
    items = (item for item in request.session.items if item.path == request.path and hasattr(item, "callspec"))
    named = (item.callspec.params.get("group") for item in items)
    return list({group.name: group for group in named if group is not None}.values())
