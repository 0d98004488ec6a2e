"""Notebooks and Python files that import `delta.tables`: they are refused by name before the run.

`DeltaTable` calls Delta's own plugin of a Spark Connect server. Sail has none, and of OSS Delta there is none to fetch
for the Spark of constraints-spark.txt. On Databricks such code works as it is.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from localjobs.job import EachTask, NotebookTask, PythonTask, Task
from localjobs.notebook import NotebookError, cells

_REMEDY = (
    "no engine here has it. Write the statement as SQL, such as spark.sql('MERGE INTO ...'), which runs here and on "
    "Databricks, or leave the task out with --only (docs/migrate.md)"
)
_ABSENT = ("ImportError", "ModuleNotFoundError", "Exception", "BaseException")


def delta_imports(tasks: Iterable[Task]) -> list[str]:
    """Return a problem for each task whose file imports `delta`."""
    problems: list[str] = []
    for task in tasks:
        body = task.body.task.body if isinstance(task.body, EachTask) else task.body
        if isinstance(body, NotebookTask):
            path = body.notebook_path
        elif isinstance(body, PythonTask):
            path = body.python_file
        else:
            continue
        if found := _first_import(Path(path), notebook=isinstance(body, NotebookTask)):
            problems.append(f"task {task.task_key}: {path}:{found[1]} imports {found[0]}: {_REMEDY}")
    return problems


def _first_import(path: Path, *, notebook: bool) -> tuple[str, int] | None:
    """Return the module and its line, where the code needs it and no module beside the file is meant."""
    if (path.parent / "delta").is_dir() or (path.parent / "delta.py").is_file():
        return None
    try:
        text = path.read_text(encoding="utf-8")
        parts = [(c.text, c.line) for c in cells(text) if c.language == "python"] if notebook else [(text, 1)]
    except (OSError, ValueError, NotebookError):  # said elsewhere
        return None
    for code, begin in parts:
        try:
            tree = ast.parse(code)
        except (SyntaxError, ValueError):
            continue
        for module, line in sorted(_imports(tree), key=lambda found: found[1]):
            if module.split(".")[0] == "delta":
                return module, begin + line - 1
    return None


def _imports(node: ast.AST) -> Iterator[tuple[str, int]]:
    if isinstance(node, ast.Import):
        yield from ((alias.name, node.lineno) for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and not node.level:
        yield node.module or "", node.lineno
    for field in ast.iter_child_nodes(node):
        if not (isinstance(node, ast.Try) and field in node.body and _does_without(node)):
            yield from _imports(field)


def _does_without(node: ast.Try) -> bool:
    """Return whether the code goes on where a module is absent."""
    caught = [handler.type for handler in node.handlers]
    return any(kind is None or any(name in ast.unparse(kind) for name in _ABSENT) for kind in caught)
