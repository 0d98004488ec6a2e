"""The rules about the targets of the bundle: no target reads or writes the catalog of another by accident.

A catalog that is not mapped to a bundle variable has one name on every target. Where no catalog is mapped, that is
meant so; where others are, it is a row that nobody has thought of.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from generator.context import Context
from generator.model import Entry
from generator.problem import Problem, shown
from generator.settings import SettingsFile
from generator.sql_parse import parse_sql
from generator.strict_yaml import parse

# The same or the workspace's own wherever a job runs.
_OF_EVERY_WORKSPACE = ("system", "samples", "hive_metastore", "spark_catalog")


@dataclass(frozen=True, slots=True)
class Target:
    """A target of databricks.yml: the values that it gives to variables, and those that it gets by default."""

    name: str
    production: bool
    given: Mapping[str, str]
    default: Mapping[str, str]

    def value(self, variable: str) -> str:
        return self.given.get(variable, self.default.get(variable, ""))


def read_targets(path: Path) -> tuple[Target, ...]:
    """The targets of databricks.yml, or () where it declares none that can be read."""
    try:
        content = _mapping(parse(path.read_text(encoding="utf-8-sig"), "")[0].value)
    except (OSError, UnicodeDecodeError):
        return ()
    default = _values(content.get("variables"))
    return tuple(
        Target(str(name), body.get("mode") == "production", _values(body.get("variables")), default)
        for name, body in ((name, _mapping(body)) for name, body in _mapping(content.get("targets")).items())
    )


def production_of(targets: Sequence[Target]) -> str:
    """The names of the production targets; "" where there are none, or no others."""
    names = [target.name for target in targets if target.production]
    return " and ".join(names) if len(names) < len(targets) else ""


def target_problems(found: SettingsFile, targets: Sequence[Target]) -> Iterator[Problem]:
    """Yield what the settings themselves leave to be shared by production and other targets."""
    production, catalogs = production_of(targets), found.settings.catalogs
    if not production or not catalogs:
        return
    catalog = found.settings.run_log.split(".")[0]
    if not _is_mapped(catalog, found.settings.catalogs):
        what = f"catalog {catalog} has this name on every target: {production} and the others share one run log"
        yield found.problem(("run_log",), what, _REMEDY.format(catalog=catalog))
    yield from _named_in_settings(found)
    pairs = [(one, other) for one in targets if one.production for other in targets if not other.production]
    for catalog, variable in catalogs.items():
        for one, other in pairs:
            alone = [v for v in catalogs.values() if one.value(v) and one.value(v) != other.value(v)]
            shared = one.value(variable) and one.value(variable) == other.value(variable)
            if shared and alone and not (variable in one.given and variable in other.given):
                what = (
                    f"targets {one.name} and {other.name} both take {one.value(variable)!r} for {variable}, "
                    f"one of them by its default, and differ in {alone[0]}"
                )
                remedy = f"give {variable} a value in both targets of databricks.yml"
                yield found.problem(("catalogs", catalog), what, remedy)


def _named_in_settings(found: SettingsFile) -> Iterator[Problem]:
    """A text of a runner, a job or a task that is a mapped catalog, or a table of one, by its name in the rows."""
    settings = found.settings
    parts: list[tuple[tuple[object, ...], object]] = [
        (("runners", name), body) for name, body in settings.runners.items()
    ]
    for name in settings.layers:
        layer = settings.layer(name)
        parts += [(("layers", name, "job"), layer.job), (("layers", name, "task"), layer.task)]
        parts += [(("layers", name, "tables", key, "task"), table.task) for key, table in layer.tables.items()]
    for path, text in (each for place, body in parts for each in _texts(place, body)):
        names = text.split(".")
        for catalog, variable in settings.catalogs.items():
            if names[0].lower() == catalog.lower() and len(names) in (1, 3) and text == text.strip():
                what = f"{shown(text)} names catalog {catalog} itself, on every target"
                yield found.problem(path, what, f"write {'.'.join([f'${{var.{variable}}}', *names[1:]])}")


def _texts(path: tuple[object, ...], value: object) -> Iterator[tuple[tuple[object, ...], str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, (dict, list)):
        for step, below in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _texts((*path, step), below)


_REMEDY = "list {catalog} under catalogs of the settings, with a bundle variable that each target gives a value"


def unmapped_catalogs(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A catalog of rows or SQL that is the same on every target, while others are mapped: one problem for each."""
    catalogs = context.settings.settings.catalogs
    if not context.production or not catalogs:
        return
    found: dict[str, list[tuple[Entry, str, str]]] = {}
    for entry in active:
        for column, catalog in _catalogs(entry, context):
            if catalog and not _is_mapped(catalog, catalogs):
                found.setdefault(catalog.lower(), []).append((entry, column, catalog))
    for uses in found.values():
        entry, column, catalog = next((use for use in uses if use[1] == "dst_catalog"), uses[0])
        near = next(iter(get_close_matches(catalog.lower(), catalogs, n=1, cutoff=0.85)), "")
        does = "write" if column == "dst_catalog" else "read"
        rows = len({use[0].source.number for use in uses})
        more = f" ({rows:,} rows name it)" if rows > 1 else ""
        what = f"catalog {shown(catalog)} has this name on every target, so that {context.production} and the others"
        what = f"{what} {does} the same tables{more}{f'; did you mean {near}?' if near else ''}"
        yield entry.problem(column, what, _REMEDY.format(catalog=catalog))


def _catalogs(entry: Entry, context: Context) -> Iterator[tuple[str, str]]:
    """The catalogs that a row names, by the column that does; beside SQL and for runners `src_catalog` is a label."""
    yield "dst_catalog", entry.row.dst_catalog
    text = context.sql.get(entry.row.sql_file_path) if entry.built_in else None
    if text is not None:
        for name in parse_sql(text).tables:
            if len(name.parts) == 3 and not name.parts[0].startswith("{"):
                yield "sql_file_path", name.parts[0]
    elif entry.built_in and not entry.row.sql_file_path:
        yield "src_catalog", entry.row.src_catalog


def _is_mapped(catalog: str, catalogs: Mapping[str, str]) -> bool:
    return catalog.lower() in (*_OF_EVERY_WORKSPACE, *(name.lower() for name in catalogs))


def _values(variables: object) -> dict[str, str]:
    """Variable -> the text that it is given, by itself or as its default; none where a lookup finds it."""
    found: dict[str, str] = {}
    for name, body in _mapping(variables).items():
        value = body.get("default") if isinstance(body, dict) else body
        if isinstance(value, str) and value and "${" not in value:
            found[str(name)] = value
    return found


def _mapping(value: object) -> Mapping[Any, Any]:
    return value if isinstance(value, dict) else {}
