"""Runs a notebook exported as a `.py` file: its cells in order, with what a notebook finds there on Databricks.

There are `spark`, `display`, `dbutils.widgets` and `dbutils.notebook.exit`. Of the magics `%sql`, `%md` and `%python`
work; a notebook with another is refused by its name before its first cell runs, and so is another part of dbutils when
it is used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HEAD = "# Databricks notebook source"
_CELL = "# COMMAND ----------"
_MAGIC = "# MAGIC"
_RUNS = ("python", "sql", "md")


class NotebookError(Exception):
    """A notebook that cannot run here."""


class _Exit(BaseException):
    """Raised by `dbutils.notebook.exit`: the notebook ends well, past every `except Exception`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A cell's language and text; `line` is where in the file it begins, from 1."""

    language: str
    text: str
    line: int


def cells(text: str) -> list[Cell]:
    r"""The cells of a notebook's file that hold anything; raises NotebookError for what does not run here.

    >>> [(c.language, c.text.strip()) for c in cells("# Databricks notebook source\n# MAGIC %sql SELECT 1")]
    [('sql', 'SELECT 1')]
    """
    lines = text.splitlines()
    if not lines or lines[0].strip() != HEAD:
        raise NotebookError(f"is no notebook exported as .py: its first line is not {HEAD!r}")
    found = [_cell(part, begin) for begin, part in _parts(lines)]
    wrong = [f"%{c.language} (line {c.line})" for c in found if c.language not in _RUNS]
    if wrong:
        runs = ", ".join(f"%{language}" for language in _RUNS)
        raise NotebookError(f"{', '.join(wrong)} does not run here ({runs} do)")
    return [cell for cell in found if cell.text.strip() and cell.language != "md"]


def _parts(lines: list[str]) -> Iterator[tuple[int, list[str]]]:
    """The lines of each cell, and the number of its first one."""
    begin = 1
    for number, line in enumerate([*lines[1:], _CELL], start=2):
        if line.rstrip() == _CELL:
            yield begin + 1, lines[begin : number - 1]
            begin = number


def _cell(lines: list[str], begin: int) -> Cell:
    magic = [line for line in lines if line.startswith(_MAGIC)]
    if not magic:
        return Cell(language="python", text="\n".join(lines), line=begin)
    plain = [line.removeprefix(_MAGIC).removeprefix(" ") if line.startswith(_MAGIC) else "" for line in lines]
    first = next(n for n, line in enumerate(plain) if line.strip())
    word, _, rest = plain[first].strip().partition(" ")
    if not word.startswith("%"):
        raise NotebookError(f"line {begin + first}: expected a magic such as %sql, found {word!r}")
    return Cell(language=word[1:], text="\n".join([*plain[:first], rest, *plain[first + 1 :]]), line=begin)


def run(path: str, parameters: Mapping[str, str], spark: SparkSession) -> None:
    """Run the cells of a notebook; raises what they raise."""
    try:
        found = cells(Path(path).read_text(encoding="utf-8"))
    except NotebookError as error:
        raise NotebookError(f"{path}: {error}") from None
    names = {"__name__": "__main__", "spark": spark, "display": _display, "dbutils": _Utilities(parameters)}
    sys.argv = [path]
    try:
        for cell in found:
            _run_cell(cell, path, names, spark)
    except _Exit as end:
        sys.stdout.write(f"the notebook ended with {end.args[0]!r}\n")


def _run_cell(cell: Cell, path: str, names: dict[str, Any], spark: SparkSession) -> None:
    if cell.language == "sql":
        names["_sqldf"] = spark.sql(cell.text.strip().rstrip(";"))
        _display(names["_sqldf"])
    else:
        exec(compile("\n" * (cell.line - 1) + cell.text, path, "exec"), names)  # noqa: S102 - what was asked for


def _display(value: object, *_: object, **__: object) -> None:
    """A frame as a table of text, everything else as it prints."""
    show: Callable[[], None] | None = getattr(value, "show", None)
    if show:
        show()
    else:
        sys.stdout.write(f"{value}\n")


class _Part:
    """A part of dbutils; what it does not have is refused by its name."""

    name = "dbutils"

    def __getattr__(self, name: str) -> Any:
        raise NotebookError(f"{self.name}.{name} does not work here")


class _Widgets(_Part):
    name = "dbutils.widgets"

    def __init__(self, parameters: Mapping[str, str]) -> None:
        self._given, self._defaults = parameters, dict[str, str]()

    def text(self, name: str, defaultValue: str, label: str = "") -> None:  # noqa: ARG002, N803 - the names of Databricks
        self._defaults[name] = defaultValue

    def dropdown(self, name: str, defaultValue: str, choices: object, label: str = "") -> None:  # noqa: ARG002, N803
        self._defaults[name] = defaultValue

    combobox = multiselect = dropdown

    def removeAll(self) -> None:  # noqa: N802
        self._defaults.clear()

    def get(self, name: str) -> str:
        try:
            return self.getAll()[name]
        except KeyError:
            known = ", ".join(self.getAll()) or "none"
            raise NotebookError(f"no widget and no parameter is called {name} (there are: {known})") from None

    def getAll(self) -> dict[str, str]:  # noqa: N802
        return {**self._defaults, **self._given}


class _Notebook(_Part):
    name = "dbutils.notebook"

    def exit(self, value: object) -> None:
        raise _Exit(value)


class _Utilities(_Part):
    def __init__(self, parameters: Mapping[str, str]) -> None:
        self.widgets = _Widgets(parameters)
        self.notebook = _Notebook()
