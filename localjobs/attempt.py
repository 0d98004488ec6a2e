"""What happens inside the process of one attempt, forked from the fork server."""

from __future__ import annotations

import os
import runpy
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib import import_module, metadata
from pathlib import Path
from types import TracebackType
from typing import Any, cast

_MESSAGE_CHARACTERS = 4_000


def perform(request: Mapping[str, Any]) -> dict[str, Any]:
    """Call what the request names, with its environment and its output in its log; how that went."""
    os.environ.update(request["environment"])
    _redirect(request["log"])
    try:
        module, function = request["call"].split(":")
        getattr(import_module(module), function)(**request["arguments"])
    except BaseException as error:
        sys.stderr.write("".join(traceback.format_exception(type(error), error, _foreign(error.__traceback__))))
        return {"ok": False, "message": _message(error)}
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return {"ok": True, "message": ""}


def _redirect(log: str) -> None:
    """Let stdin be empty, and everything that this process and its children print go to the log's end."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding="utf-8", buffering=1, closefd=False)


def _foreign(frames: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the task's own code."""
    while frames and Path(frames.tb_frame.f_code.co_filename) == Path(__file__):
        frames = frames.tb_next
    return frames


def _message(error: BaseException) -> str:
    text = f"{type(error).__name__}: {error}".strip().removesuffix(":")
    if isinstance(error, SystemExit):
        text = f"the task called sys.exit({error.code!r}); a task ends by returning or by an exception"
    return text if len(text) <= _MESSAGE_CHARACTERS else text[:_MESSAGE_CHARACTERS] + " ..."


# --- what a request may call ---


def wheel(package_name: str, entry_point_name: str, argv: list[str], tag: str) -> None:
    """Call a wheel's entry point with these arguments; what it returns is ignored, as the service does."""
    function = entry_point(package_name, entry_point_name)
    sys.argv = [entry_point_name, *argv]
    _tag_operations(tag)
    function()


def notebook(path: str, parameters: Mapping[str, str], tag: str) -> None:
    """Run a notebook exported as `.py`."""
    from pyspark.sql import SparkSession

    from localjobs.notebook import run

    _tag_operations(tag)
    run(path, parameters, SparkSession.builder.getOrCreate())


def python_file(path: str, argv: list[str], tag: str) -> None:
    """Run a Python file as a script; it finds `spark`, as on Databricks, and modules beside itself."""
    from pyspark.sql import SparkSession

    _tag_operations(tag)
    sys.argv = [path, *argv]
    sys.path.insert(0, str(Path(path).parent))
    runpy.run_path(path, {"spark": SparkSession.builder.getOrCreate()}, "__main__")


def entry_point(package_name: str, name: str) -> Callable[[], object]:
    """The function behind an entry point of any group, else the package's function of that name."""
    try:
        found = [e for e in metadata.distribution(package_name).entry_points if e.name == name]
    except metadata.PackageNotFoundError:
        found = []
    if found:
        return cast("Callable[[], object]", found[0].load())
    module = import_module(package_name.replace("-", "_"))
    if not hasattr(module, name):
        raise LookupError(f"package {package_name} has neither an entry point {name} nor a function of that name")
    return cast("Callable[[], object]", getattr(module, name))


def bootstrap(run_log: str) -> None:
    """Let the wheel create its run log where there is none."""
    code = import_module("laketasks.__main__").main(["bootstrap", f"--run_log={run_log}"])
    if code:
        raise RuntimeError(f"bootstrap of {run_log} ended with code {code}")


def adopt(tables: Mapping[str, Mapping[str, str]], options: Mapping[str, str]) -> None:
    """Let the wheel plan the adoption of the tables, and carry it out where the options say so."""
    import_module("laketasks.entry").adopt_tables(tables, options)


def _tag_operations(tag: str) -> None:
    """Mark every operation of this process, so that the engine can be told to interrupt them.

    Here and not through `SparkSession.addTag`: that holds for one thread, and opens a channel that a task
    may not need.
    """
    from pyspark.sql.connect.client import SparkConnectClient

    own = SparkConnectClient.get_tags
    SparkConnectClient.get_tags = lambda client: own(client) | {tag}
