"""The rules about the files that runners name: each notebook, Python or SQL file is there, and of its kind."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generator.plan import Load
from generator.problem import Problem, shown

if TYPE_CHECKING:
    from generator.build import Build

# By the field of a task: the field in it that names a file or folder of the bundle.
_NAMED = {"notebook_task": "notebook_path", "spark_python_task": "python_file", "dbt_task": "project_directory"}
_MARKS = {".py": "#", ".r": "#", ".sql": "--", ".scala": "//"}
_NOTEBOOKS = (*_MARKS, ".ipynb")
_OF_THE_WORKSPACE = re.compile(r"/|[A-Za-z]\w+:")  # /Workspace/..., dbfs:/...
_FILES = "${workspace.file_path}/"


@dataclass(frozen=True, slots=True)
class _Use:
    """A file that a task names, with the field that does."""

    field: str
    path: str


def file_problems(made: Build, out: Path, root: Path) -> tuple[Problem, ...]:
    """Return a problem for each file of a runner that is not there, or is none of its kind: the first row names it.

    Paths are relative to the job file, which is in `out`, and stay below `root`, the folder of databricks.yml.
    """
    folder = out.resolve() if out.resolve().is_relative_to(root.resolve()) else root.resolve() / "resources"
    found: dict[_Use, Problem] = {}
    for document in made.documents:
        fields = {task["task_key"]: task for task in document.job["tasks"]}
        from_git = document.job.get("git_source") is not None
        for task in document.plan.tasks:
            if not isinstance(task.action, Load) or task.action.entry.built_in:
                continue
            entry = task.action.entry
            for use in _uses(fields[task.task_key], from_git):
                if use not in found and (words := _wrong(use, folder, root.resolve())):
                    runner = f"runner {entry.row.execution_pipeline}: "
                    found[use] = entry.problem("execution_pipeline", runner + words[0], words[1])
    return tuple(found.values())


def _uses(task: Mapping[str, Any], from_git: bool) -> Iterator[_Use]:
    for kind, field in _NAMED.items():
        body = task.get(kind)
        if isinstance(body, Mapping) and not _is_of_git(body, from_git):
            yield from _use(field, body.get(field))
    sql = task.get("sql_task")
    if isinstance(sql, Mapping) and isinstance(sql.get("file"), Mapping) and not _is_of_git(sql["file"], from_git):
        yield from _use("path", sql["file"].get("path"))
    loop = task.get("for_each_task")
    if isinstance(loop, Mapping) and isinstance(loop.get("task"), Mapping):
        yield from _uses(loop["task"], from_git)


def _use(field: str, path: object) -> Iterator[_Use]:
    """The file, unless it is one of the workspace, or its name is known only when the job is deployed or runs."""
    if not isinstance(path, str) or not path:
        return
    below = path.removeprefix(_FILES)
    if not _OF_THE_WORKSPACE.match(below) and "${" not in below and "{{" not in below:
        yield _Use(field, path)


def _is_of_git(body: Mapping[str, Any], from_git: bool) -> bool:
    source = body.get("source")
    return source == "GIT" or (from_git and source != "WORKSPACE")


def _wrong(use: _Use, folder: Path, root: Path) -> tuple[str, str] | None:
    """What is wrong and what to do about it; None where the file is right."""
    base = root if use.path.startswith(_FILES) else folder
    path = Path(os.path.normpath(base / use.path.removeprefix(_FILES)))
    if not path.is_relative_to(root):
        return f"{use.field} {shown(use.path)} leads out of the bundle", "a bundle deploys what is below databricks.yml"
    if not _is_there(path, use):
        noun = "folder" if use.field == "project_directory" else "file"
        remedy = f"paths are relative to the job file, in {_below(folder, root)}/: add the {noun}, or correct the path"
        return f"{use.field} {shown(use.path)}: no such {noun}{_near(path, use)}", remedy
    if use.field == "notebook_path" and not _is_notebook(path):
        mark = _MARKS.get(path.suffix.lower(), "")
        what = f"{use.field} {shown(use.path)} is not a notebook"
        first = f"begin it with the line `{mark} Databricks notebook source`, or " if mark else ""
        return what, f"{first}run it as spark_python_task: {{python_file: ...}}"
    if use.field == "python_file" and path.suffix.lower() == ".py" and _is_notebook(path):
        return f"{use.field} {shown(use.path)} is a notebook", "run it as notebook_task: {notebook_path: ...}"
    return None


def _is_there(path: Path, use: _Use) -> bool:
    try:
        return path.is_dir() if use.field == "project_directory" else path.is_file()
    except OSError:  # a name that is too long
        return False


def _is_notebook(path: Path) -> bool:
    suffix = path.suffix.lower()
    if suffix not in _MARKS:
        return suffix == ".ipynb"
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.readline().rstrip() == f"{_MARKS[suffix]} Databricks notebook source"
    except OSError:  # the deployment says why
        return True


def _near(path: Path, use: _Use) -> str:
    """A question for the file that was meant: of a name alike, or with the extension that the CLI asks for."""
    try:
        there = sorted(each.name for each in path.parent.iterdir())
    except (OSError, ValueError):
        there = []
    meant = [f"{path.name}{suffix}" for suffix in _NOTEBOOKS if f"{path.name}{suffix}" in there]
    near = [*meant, *get_close_matches(path.name, there, n=1)]
    return f"; did you mean {use.path.removesuffix(path.name)}{near[0]}?" if near else ""


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix()
