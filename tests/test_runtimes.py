"""The wheel beside what the runtimes offer, without a server: Python 3.10 and later, Spark from 3.5, which is in
Databricks Runtime 15.4 LTS and serverless environment 3, to the newest.

pyspark ships its types: mypy knows from them whether each call of a loader is one that this version takes. In Spark 3.5
the classes of Spark Connect, which serverless has, are others than the classic ones, with signatures of their own: they
count as a version. From 4.0 both have one parent, and what Connect leaves out of it is seen at its classes only.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WHEEL = ROOT / "src" / "laketasks"
APIS = ROOT / ".venv-apis"
VERSIONS = {"Spark 3.5": "spark-3-5", "Spark 4.0": "spark-4-0", "Spark 4.3": "spark-4-3"}
CONNECT = "Spark 3.5, Connect"
MYPY = """\
[mypy]
python_version = 3.10
follow_imports = silent
ignore_missing_imports = True
check_untyped_defs = True
explicit_package_bases = True
[mypy-pyspark.*]
ignore_errors = True
"""
# Imports every module of the wheel, and tells which names of pyspark.sql that it uses Spark Connect does not make.
LOOK = """\
import ast, json, pathlib, pkgutil
from importlib import import_module
import pyspark, laketasks
from pyspark import sql

used = set()
for module in pkgutil.iter_modules(laketasks.__path__):
    path = pathlib.Path(laketasks.__path__[0], f"{module.name}.py")
    used |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    if module.name != "__main__":  # which runs
        import_module(f"laketasks.{module.name}")

functions = import_module("pyspark.sql.connect.functions")
pairs = [(sql.functions, getattr(functions, "builtin", functions))]
for place, names in {
    "session": ["SparkSession"], "dataframe": ["DataFrame"], "column": ["Column"], "group": ["GroupedData"],
    "readwriter": ["DataFrameReader", "DataFrameWriter"], "catalog": ["Catalog"],
}.items():
    made = import_module(f"pyspark.sql.connect.{place}")
    pairs += [(getattr(sql, name), getattr(made, name)) for name in names]
missing, seen = [], 0
for public, connect in pairs:
    for name in sorted(used & {name for name in dir(public) if not name.startswith("_")}):
        seen += 1
        if getattr(connect, name, None) in (None, getattr(public, name)):  # the parent's own does nothing
            missing.append(f"{public.__name__}.{name}")
print(json.dumps({"version": pyspark.__version__, "missing": missing, "seen": seen}))
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy has read of a version is kept here for the next test."""
    return tmp_path_factory.mktemp("desk")


def api(version: str, desk: Path) -> Path:
    """Where the pyspark of this version is."""
    place = APIS / VERSIONS[version.removesuffix(", Connect")]
    if not place.with_suffix(".stamp").exists():
        pytest.skip(f"the Python of {version} is not installed: make test-apis")
    return _as_connect(place, desk) if version == CONNECT else place


def _as_connect(place: Path, desk: Path) -> Path:
    """A copy whose public names are the classes of Spark Connect."""
    made = desk / "connect"
    if not made.exists():
        shutil.copytree(place, made)
        for name in ("SparkSession", "DataFrame", "Column", "Window"):
            module = name.removeprefix("Spark").lower()
            text = f"from pyspark.sql.connect.{module} import {name} as {name}\n"
            (made / "pyspark" / "sql" / f"{module}.py").write_text(text, encoding="utf-8")
        text = "from pyspark.sql.connect.functions import *\n"
        (made / "pyspark" / "sql" / "functions.py").write_text(text, encoding="utf-8")
    return made


def problems(version: str, source: Path, desk: Path) -> list[str]:
    """What mypy says of the wheel's source with the types of this version: `version: file:line: error: ...`."""
    config = desk / "mypy.ini"
    config.write_text(MYPY, encoding="utf-8")
    options = ["--config-file", config, "--cache-dir", desk / f"cache of {version}", "--package", "laketasks"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, options)],
        cwd=source.parent,
        env={**os.environ, "MYPYPATH": f"{api(version, desk)}{os.pathsep}{source}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return [f"{version}: {line}" for line in done.stdout.splitlines() if ": error: " in line]


@pytest.mark.parametrize("path", sorted(WHEEL.glob("*.py")), ids=lambda path: path.stem)
def test_a_module_is_written_in_python_3_10(path: Path) -> None:
    ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=(3, 10))


@pytest.mark.api
@pytest.mark.parametrize("version", [*VERSIONS, CONNECT])
def test_each_call_is_one_that_the_version_takes(version: str, desk: Path) -> None:
    found = problems(version, ROOT / "src", desk)
    assert not found, "\n".join(found)


@pytest.mark.api
@pytest.mark.parametrize("version", VERSIONS)
def test_the_wheel_can_be_imported_and_connect_makes_what_it_uses(version: str, desk: Path, tmp_path: Path) -> None:
    (tmp_path / "look.py").write_text(LOOK, encoding="utf-8")  # pyspark takes `python -c` for something else
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(api(version, desk)), str(ROOT / "src")])}
    command = [sys.executable, str(tmp_path / "look.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{version}: {done.stderr}"
    found = json.loads(done.stdout)
    assert found["version"].startswith(version.removeprefix("Spark "))
    assert not found["missing"], f"{version}: Spark Connect does not make {', '.join(found['missing'])}"
    assert found["seen"] > 40


@pytest.mark.api
@pytest.mark.parametrize("version", ["Spark 3.5", CONNECT])
def test_a_call_that_a_version_does_not_take_is_named(version: str, desk: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(ROOT / "src", tmp_path / "src"))
    loader = source / "laketasks" / "scd1.py"
    calls = [
        "from pyspark.sql import DataFrame, SparkSession, functions as F",
        "def newer(frame: DataFrame, spark: SparkSession) -> None:",
        '    frame.groupBy("a").agg(F.listagg("b"))',  # from 4.0
        '    frame.mergeInto("t", F.lit(True))',  # from 4.0
        '    frame.select(F.col(name="a"))',  # no such argument
        '    spark.sql("SELECT * FROM {frame}", frame=frame)',  # in 3.5 the classic session only
    ]
    first = len(loader.read_text(encoding="utf-8").splitlines()) + 1
    with loader.open("a", encoding="utf-8") as file:
        file.write("\n".join([*calls, ""]))
    found = problems(version, source, desk)
    wrong = [2, 3, 4, 5] if version == CONNECT else [2, 3, 4]
    at = {line.split(": error: ")[0] for line in found}
    assert at == {f"{version}: src/laketasks/scd1.py:{first + number}" for number in wrong}, "\n".join(found)
