"""The wheel as the bundle builds it, alone in an empty environment."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
_LOOK = """\
import importlib.metadata as m, sys
points = {p.name: p.load() for p in m.distribution("laketasks").entry_points}
assert set(points) == {"load", "summarize", "bootstrap", "quarantine", "adopt"}, points
assert not m.requires("laketasks"), m.requires("laketasks")
assert "pyspark" not in sys.modules
named = {"execution_pipeline": "scd1", "target_table": "c.s.t", "job_run_id": "1", "task_key": "t", "run_log": "c.s.l"}
sys.argv = ["load", *[f"--{name}={value}" for name, value in named.items()]]
try:
    points["load"]()
except ModuleNotFoundError as error:
    assert error.name == "pyspark", error
else:
    raise AssertionError("the load started without pyspark")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", "README.md", "LICENSE", "databricks.yml"):
        shutil.copy(ROOT / name, project)
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    build = yaml.safe_load((ROOT / "databricks.yml").read_text())["artifacts"]["default"]["build"]
    command = build.replace("python3", sys.executable, 1)
    subprocess.run(command, shell=True, cwd=project, check=True, capture_output=True, text=True)
    built = list((project / "dist").glob("*.whl"))
    assert len(built) == 1
    return built[0]


def test_it_weighs_little(wheel: Path) -> None:
    """Adoption, release from quarantine and the upkeep of the run log run in the workspace, so the wheel has them."""
    assert wheel.stat().st_size < 200_000


def test_it_stands_alone(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run(
        [python, "-m", "pip", "install", "--quiet", "--no-index", str(wheel)], check=True, capture_output=True
    )
    done = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()[2:]} <= {"laketasks", "pip", "setuptools"}


def test_a_release_has_the_same_code(wheel: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / ".ci" / "release.py"), "build", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (released,) = tmp_path.glob("*.whl")
    assert held(released) == held(wheel)


def held(wheel: Path) -> dict[str, bytes]:
    """Its files but those that name the version of what built it."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(("/WHEEL", "/RECORD"))}


def test_its_command_line_teaches(wheel: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "laketasks", "--help"], capture_output=True, text=True, check=True)
    assert "python -m laketasks load --execution_pipeline=scd1" in done.stdout
    wrong = subprocess.run(
        [sys.executable, "-m", "laketasks", "load", "--target_table=x"], capture_output=True, text=True
    )
    assert wrong.returncode == 2
    assert "--execution_pipeline: required" in wrong.stderr
    assert "--run_log: required" in wrong.stderr
    assert "Traceback" not in wrong.stderr
