"""How each side is called by its user, and what it leaves: tasks and edges, so that nobody wins by doing less."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.generator.tables import Shape

ROOT = Path(__file__).parents[2]
RIVALS = ROOT / ".venv-rivals" / "bin"
_SCRIPTS = Path(__file__).parent / "rivals"
_LAUNCH = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What the processes of one side took: seconds of wall and processor time, the peak of the largest in MiB."""

    wall: float
    cpu: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One way to the job files. `commands` run one after the other; `made` has the jobs that they left."""

    name: str
    commands: Callable[[Shape], list[list[str]]]
    made: Callable[[Path], Iterable[dict[str, Any]]]


def run(commands: list[list[str]], folder: Path, seconds: float) -> Taken | str:
    """Run the commands in a folder; why they were ended, if they were. Raises SystemExit where one fails."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src"), str(folder)])}
    taken: list[dict[str, Any]] = []
    for command in commands:
        launch = [sys.executable, "-I", "-S", str(_LAUNCH), str(seconds), "output.log", *command]
        done = subprocess.run(launch, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        taken.append(json.loads(done.stdout))
        if taken[-1]["code"] == -signal.SIGKILL:
            return f"ended after {seconds:.0f} s"
        if taken[-1]["code"]:
            raise SystemExit(f"{' '.join(command)} failed:\n{(folder / 'output.log').read_text()[-3000:]}")
    wall, cpu = (sum(one[name] for one in taken) for name in ("wall", "cpu"))
    memory = max(one["memory"] for one in taken)
    return Taken(wall=wall, cpu=cpu, memory=memory)


def prepare(folder: Path) -> None:
    """What the others' projects have beside the tables, and nothing that a side left before."""
    shutil.copy(_SCRIPTS / "load.py", folder / "load.py")
    for left in ("resources", "out_jobs_meta", "out_pydabs.json", "out_dbt.yml"):
        shutil.rmtree(folder / left, ignore_errors=True)
        (folder / left).unlink(missing_ok=True)


def counts(side: Side, folder: Path) -> tuple[int, int]:
    """Tasks that load, and edges, of all jobs that the side made; a summary of ours counts for nothing."""
    tasks = [task for job in side.made(folder) for task in job["tasks"] if task["task_key"] != "run_summary"]
    loads = [task for task in tasks if not task["task_key"].removesuffix("_model").rpartition("gate_")[1]]
    kept = [task for task in loads if "run_job_task" not in task]
    return len(kept), sum(len(task.get("depends_on") or ()) for task in tasks)


def _ours(_: Shape) -> list[list[str]]:
    return [[sys.executable, "-m", "generator", "generate"]]


def _our_jobs(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((folder / "resources").glob("*.job.yml")):
        yield from yaml.load(file.read_text(encoding="utf-8"), yaml.CSafeLoader)["resources"]["jobs"].values()


def _pydabs(_: Shape) -> list[list[str]]:
    files = ["--output", "out_pydabs.json", "--diagnostics", "out_diagnostics.json", "--locations", "out_lines.json"]
    call = [str(RIVALS / "python"), "-m", "databricks.bundles.build", "--phase", "load_resources"]
    return [[*call, "--input", "pydabs_input.json", *files]]


def _pydabs_jobs(folder: Path) -> Iterator[dict[str, Any]]:
    yield from json.loads((folder / "out_pydabs.json").read_text(encoding="utf-8"))["resources"]["jobs"].values()


def _jobs_meta(_: Shape) -> list[list[str]]:
    return [[str(RIVALS / "python"), str(_SCRIPTS / "jobs_meta.py")]]


def _jobs_meta_jobs(folder: Path) -> Iterator[dict[str, Any]]:
    for file in sorted((folder / "out_jobs_meta").glob("*.json")):
        yield json.loads(file.read_text(encoding="utf-8"))


def _factory(shape: Shape) -> list[list[str]]:
    split = ["--split-by-tag", "layer_*"] if shape.layers > 1 else []
    files = ["--dbt-manifest-path", "dbt/target/manifest.json", "--input-job-spec-path", "dbt_job.yml"]
    call = [str(RIVALS / "databricks_dbt_factory"), *files, "--target-job-spec-path", "out_dbt.yml"]
    return [[*call, "--task-type", "dbt", *split]]


def _parse(_: Shape) -> list[list[str]]:
    return [
        [str(RIVALS / "dbt"), "--quiet", "parse", "--no-partial-parse", "--project-dir", "dbt", "--profiles-dir", "dbt"]
    ]


def _factory_jobs(folder: Path) -> Iterator[dict[str, Any]]:
    jobs = yaml.load((folder / "out_dbt.yml").read_text(encoding="utf-8"), yaml.CSafeLoader)["resources"]["jobs"]
    yield from jobs.values()


OURS = "laketasks"
PARSE = "dbt parse"
SIDES = (
    Side(name=OURS, commands=_ours, made=_our_jobs),
    Side(name="PyDABs", commands=_pydabs, made=_pydabs_jobs),
    Side(name="lakeflow-jobs-meta", commands=_jobs_meta, made=_jobs_meta_jobs),
    Side(name=PARSE, commands=_parse, made=lambda _: ()),
    Side(name="dbt-factory", commands=_factory, made=_factory_jobs),
)
