"""One set of mutated metadata through the command line, and what must hold whatever it was."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from generator.cli import main

_OLD = "old.job.yml"


@dataclass(frozen=True, slots=True)
class Report:
    """What the command said. `problems` are those of severity error."""

    code: int
    problems: tuple[dict[str, Any], ...]
    trouble: str

    def addresses(self) -> set[tuple[int, str, str]]:
        """Row, column and words of each problem, without what it suggests, which depends on the other rows."""
        return {(p["row"], p["column"], p["what"].split("; did you mean")[0]) for p in self.problems}


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def generate(folder: Path, source: str) -> Report:
    """Run `generate` in the folder. `trouble` says which promise it broke: a trace, a file, no reason."""
    out, err = io.StringIO(), io.StringIO()
    before = _written(folder)
    try:
        with inside(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(_arguments("generate", source))
    except BaseException as error:  # whatever it is, it is what we look for
        return Report(-1, (), f"{type(error).__name__}: {str(error)[:300]}")
    return _judged(folder, source, before, code, out.getvalue(), err.getvalue())


def generate_in_a_process(folder: Path, source: str) -> Report:
    before = _written(folder)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])}
    run = subprocess.run(
        [sys.executable, "-m", "generator", *_arguments("generate", source)],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )
    out, err = run.stdout.decode(errors="replace"), run.stderr.decode(errors="replace")
    if "Traceback" in err:
        return Report(run.returncode, (), err[-300:])
    return _judged(folder, source, before, run.returncode, out, err)


def _arguments(command: str, source: str) -> list[str]:
    return [command, "--source", f"bundle/{source}", "--format", "json"]


def _judged(folder: Path, source: str, before: dict[str, bytes], code: int, out: str, err: str) -> Report:
    found = json.loads(err) if err else []
    each = [problem for entry in found for problem in (entry, *entry["alike"])]
    wrong = tuple(problem for problem in each if problem["severity"] == "error")
    trouble = ""
    if code not in (0, 1):
        trouble = f"exit code {code}"
    elif code == 1 and not wrong:
        trouble = "failed without a reason"
    elif code == 0 and wrong:
        trouble = "succeeded with errors"
    elif code == 1 and out:
        trouble = f"a result on stdout: {out[:100]}"
    elif code == 1 and _written(folder) != before:
        trouble = f"wrote {sorted(_written(folder))}"
    elif code == 0:
        trouble = _not_right(folder, source)
    return Report(code, wrong, trouble)


def _not_right(folder: Path, source: str) -> str:
    """What is wrong with files that were written: they must be YAML of one job, and what `check` expects."""
    for name, content in _written(folder).items():
        job = next(iter(yaml.safe_load(content)["resources"]["jobs"].values())) if name != _OLD else {"tasks": []}
        keys = [task["task_key"] for task in job["tasks"]]
        if len(keys) != len(set(keys)):
            return f"{name}: a task key stands twice"
    err = io.StringIO()
    with inside(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(err):
        code = main(_arguments("check", source))
    wrong = [problem["what"] for problem in json.loads(err.getvalue() or "[]") if problem["severity"] == "error"]
    if code and all("notebook_path" in what for what in wrong):
        return ""  # `generate` warns of the files that runners name, since they may come after it
    return "check does not find what generate wrote" if code else ""


def _written(folder: Path) -> dict[str, bytes]:
    """Every file that is not the metadata itself."""
    names = ("bundle/execution_table.yml", "bundle/execution_table.csv", "bundle/settings.yml", "databricks.yml")
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".sql", ".py"))
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
    return {name: content for name, content in found.items() if name not in names}
