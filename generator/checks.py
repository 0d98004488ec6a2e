"""What must hold for rows before they become a job: a tuple of rules, each of which yields located problems.

A rule about one row sees every row, the inactive ones too; a rule about the table sees the active ones.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import PurePosixPath
from unicodedata import category

from generator.columns import COLUMNS
from generator.combinations import combination_problems
from generator.model import Entry
from generator.problem import Problem, shown
from generator.settings import PLACEHOLDER, SettingsFile, identifier_problem
from laketasks.spec import LOAD_TYPES, PIPELINES, did_you_mean

RESERVED_KEYS = ("run_summary",)
RESERVED_PREFIX = "gate_"
_TASK_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
_LAYER = re.compile(r"[A-Za-z0-9_-]{1,100}")
# In Spark SQL: literals, comments, quoted names (which may hold a placeholder), placeholders.
_SQL_PARTS = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|--[^\n]*|/\*.*?\*/|(?P<code>`?\{\w+\}`?|[\w.]+|.)""", re.DOTALL
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What the rows are judged against; `sql` has the text of each SQL file, None where there is none."""

    settings: SettingsFile
    sql: Mapping[str, str | None]

    def runs(self, pipeline: str) -> bool:
        return pipeline in PIPELINES or pipeline in self.settings.settings.runners


def check(entries: Sequence[Entry], context: Context) -> tuple[Problem, ...]:
    """Every problem of every rule."""
    of_rows = (rule(entry, context) for entry in entries for rule in ROW_RULES)
    active = [entry for entry in entries if entry.row.is_active_flag]
    of_table = (rule(active, context) for rule in TABLE_RULES)
    return tuple(chain.from_iterable(chain(of_rows, of_table, (settings_match_rows(entries, context),))))


def task_key(entry: Entry, context: Context) -> str:
    """The key of the row's task by the `task_key` of its layer's settings."""
    template = context.settings.settings.layer(entry.row.layer).task_key
    return PLACEHOLDER.sub(lambda match: str(getattr(entry.row, match[1])), template)


# --- rules about one row ---


def required(entry: Entry, context: Context) -> Iterator[Problem]:
    for column in COLUMNS:
        if column.required and column.name not in entry.unreadable and not getattr(entry.row, column.name):
            if entry.source.values.get(column.name) != 0:
                yield entry.problem(column.name, "required", _REQUIRED[column.name])
    if "is_active_flag" not in entry.source.values and "is_active_flag" not in entry.unreadable:
        remedy = "true loads the table, false or null leaves it out"
        yield entry.problem("is_active_flag", "missing", remedy)


_REQUIRED = {
    "load_type": "full reads all of the source, incremental what is new",
    "dst_catalog": "name the catalog of the table to load",
    "dst_schema": "name the schema of the table to load",
    "dst_table_name": "name the table to load",
    "layer": "name the job that loads it, such as bronze_to_silver",
    "execution_order": "1 runs first",
    "execution_pipeline": f"name what loads it: {', '.join(PIPELINES)}",
}


def execution_order_from_1(entry: Entry, context: Context) -> Iterator[Problem]:
    order = entry.row.execution_order
    if order < 0 or entry.source.values.get("execution_order") == 0:
        yield entry.problem("execution_order", f"expected an integer, 1 or larger, found {order}", "1 runs first")


def text_without_control(entry: Entry, context: Context) -> Iterator[Problem]:
    """The CLI and the Jobs service substitute `${` and `{{` in any value, and the CLI refuses control characters."""
    for column in COLUMNS:
        value = getattr(entry.row, column.name)
        texts = [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) else []
        if column.name == "cdc_source_config" and entry.built_in:
            texts = list(_texts(entry.config.to_dict().values()))  # JSON escapes hide what the task would get
        bad = next((found for text in texts if (found := _forbidden(text, column.name in _SEVERAL_LINES))), "")
        if bad:
            yield entry.problem(column.name, f"holds {bad}, which cannot travel in a job", "remove it")


_SEVERAL_LINES = ("cdc_source_config", "comment")


def _forbidden(text: str, several_lines: bool) -> str:  # noqa: FBT001
    for bad in ("${", "{{"):
        if bad in text:
            return shown(bad)
    if text.isprintable():
        return ""
    allowed = "\n\t" if several_lines else ""
    bad = next((c for c in text if category(c) in ("Cc", "Zl", "Zp") and c not in allowed), "")
    return f"the control character {shown(bad)}" if bad else ""


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts([*value, *value.values()])
        elif isinstance(value, list):
            yield from _texts(value)


def names(entry: Entry, context: Context) -> Iterator[Problem]:
    """Catalogs, schemas and tables are Unity Catalog names. Beside SQL the `src_*` columns are labels."""
    read = () if entry.row.sql_file_path or not entry.built_in else ("src_catalog", "src_schema", "src_table_name")
    for column in (*read, "dst_catalog", "dst_schema", "dst_table_name"):
        name = getattr(entry.row, column)
        if name and (problem := identifier_problem(name)):
            yield entry.problem(column, problem, "use letters, digits and _")


def layer_name(entry: Entry, context: Context) -> Iterator[Problem]:
    if entry.row.layer and not _LAYER.fullmatch(entry.row.layer):
        what = f"{shown(entry.row.layer)} cannot be the name of a job and its file"
        yield entry.problem("layer", what, "use up to 100 letters, digits, _ and -")


def load_type(entry: Entry, context: Context) -> Iterator[Problem]:
    word = entry.row.load_type
    if word and entry.built_in and word not in LOAD_TYPES:
        what = f"expected full or incremental, found {shown(word)}{did_you_mean(word, LOAD_TYPES)}"
        yield entry.problem("load_type", what)


def known_pipeline(entry: Entry, context: Context) -> Iterator[Problem]:
    """Under `on_unknown_pipeline: skip` the row is left out of the job and said so."""
    word = entry.row.execution_pipeline
    if not word or context.runs(word):
        return
    known = (*PIPELINES, *context.settings.settings.runners)
    what = f"unknown {shown(word)}{did_you_mean(word, known)}"
    if context.settings.settings.on_unknown_pipeline == "error":
        remedy = f"use one of {', '.join(known)}, or define a runner in {context.settings.file}"
        yield entry.problem("execution_pipeline", what, remedy)
    elif entry.row.is_active_flag:
        yield entry.problem("execution_pipeline", what, "the row is left out of the job", "warning")


_KEYS = {
    "scd1": ("business_key_columns", "name the natural key"),
    "scd2": ("business_key_columns", "name the natural key"),
    "fact_incremental_merge": ("primary_key_columns", "name the columns that make a row unique"),
}
_DIMENSIONS = ("scd1", "scd2")


def keys(entry: Entry, context: Context) -> Iterator[Problem]:
    row, pipeline = entry.row, entry.row.execution_pipeline
    if pipeline in _KEYS:
        column, remedy = _KEYS[pipeline]
        if not getattr(row, column) and column not in entry.unreadable:
            yield entry.problem(column, f"required for {pipeline}", remedy)
    if pipeline in _DIMENSIONS and len(row.primary_key_columns) > 1:
        what = f"a dimension has one surrogate key, found {len(row.primary_key_columns)} columns"
        remedy = "name one column, which the loader makes; the natural key goes to business_key_columns"
        yield entry.problem("primary_key_columns", what, remedy)


def column_names(entry: Entry, context: Context) -> Iterator[Problem]:
    for column in ("business_key_columns", "primary_key_columns"):
        listed: tuple[str, ...] = getattr(entry.row, column)
        lower = [name.lower() for name in listed]
        for name in listed:
            if not name.strip() or len(name) > 255 or name != name.strip():  # noqa: PLR2004
                yield entry.problem(column, f"{shown(name)} is not a column's name")
            elif lower.count(name.lower()) > 1:
                yield entry.problem(column, f"names {name} twice", "name each column once")
                break


def source_given(entry: Entry, context: Context) -> Iterator[Problem]:
    if not entry.built_in or entry.row.sql_file_path or "sql_file_path" in entry.unreadable:
        return
    for column in ("src_catalog", "src_schema", "src_table_name"):
        if not getattr(entry.row, column) and column not in entry.unreadable:
            yield entry.problem(column, "required without sql_file_path", "name the source table, or a SQL file")


def sql_file(entry: Entry, context: Context) -> Iterator[Problem]:
    path = entry.row.sql_file_path
    if not path or not entry.built_in:
        return
    if not is_below(path):
        remedy = "write a path relative to the settings, such as sql/dim_customer.sql"
        yield entry.problem("sql_file_path", f"{shown(path)} does not stay below the settings' folder", remedy)
        return
    text = context.sql[path]
    if text is None:
        near = did_you_mean(path, [known for known, found in context.sql.items() if found is not None])
        remedy = "paths are relative to the settings; add the file or clear the column"
        yield entry.problem("sql_file_path", f"no such file (UTF-8 text): {shown(path)}{near}", remedy)
    else:
        yield from _sql_text(entry, text, context)


def is_below(path: str) -> bool:
    """Whether a relative path in POSIX form stays inside its folder."""
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and "\\" not in path and ":" not in path


def _sql_text(entry: Entry, text: str, context: Context) -> Iterator[Problem]:
    catalogs = context.settings.settings.catalogs
    code = [match["code"] for match in _SQL_PARTS.finditer(text) if match["code"]]
    if not any(part.strip() for part in code):
        yield entry.problem("sql_file_path", f"{entry.row.sql_file_path} holds no SQL", "write a SELECT")
    words = [part.strip("`").lower() for part in code]
    for word in sorted({word[1:-1] for word in (part.strip("`") for part in code) if word.startswith("{") and word != "{"}):
        if word not in catalogs.values():
            what = f"{entry.row.sql_file_path} holds {{{word}}}, which is no bundle variable of the settings' catalogs"
            near = did_you_mean(word, catalogs.values())
            yield entry.problem("sql_file_path", what + near, "" if near else "add it there or write the name")
    for catalog, variable in catalogs.items():
        if any(word.startswith(f"{catalog.lower()}.") for word in words):
            what = f"{entry.row.sql_file_path} names catalog {catalog} itself, on every target"
            yield entry.problem("sql_file_path", what, f"write {{{variable}}}", "warning")
    if entry.row.load_type == "incremental" and "join" in words and "greatest" not in words:
        what = f"{entry.row.sql_file_path} joins tables and load_type is incremental: a change of the other is not seen"
        remedy = "make the watermark the greatest(...) of theirs, or load_type full"
        yield entry.problem("load_type", what, remedy, "warning")


def config(entry: Entry, context: Context) -> Iterator[Problem]:
    """A row of another runner may use words of its own; it is only asked to be JSON."""
    if entry.built_in:
        for what in entry.config_problems:
            yield entry.problem("cdc_source_config", what)
    elif entry.row.cdc_source_config.strip() and not _is_object(entry.row.cdc_source_config):
        yield entry.problem("cdc_source_config", "not a JSON object", 'write {} or {"key": value}')


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def config_columns(entry: Entry, context: Context) -> Iterator[Problem]:
    found = entry.config
    listed = {"sequence_by": found.sequence_by, "watermark": (found.watermark,), "cluster_by": found.cluster_by}
    for key, columns in listed.items():
        for column in columns:
            if column != column.strip() or len(column) > 255:  # noqa: PLR2004
                yield entry.problem("cdc_source_config", f"{key}: {shown(column)} is not a column's name")


def combinations(entry: Entry, context: Context) -> Iterator[Problem]:
    if not entry.built_in:
        return
    for found in combination_problems(entry.row.execution_pipeline, entry.row.load_type, entry.config):
        yield entry.problem(found.column, found.what, found.remedy, found.severity)


def task_key_form(entry: Entry, context: Context) -> Iterator[Problem]:
    key = task_key(entry, context)
    if not entry.row.dst_table_name or identifier_problem(entry.row.dst_table_name):
        return
    if not _TASK_KEY.fullmatch(key):
        what = f"task key {shown(key)} is not 1 to 100 letters, digits, _ and -"
        yield entry.problem("dst_table_name", what, f"rename the table, or set task_key of the layer in {context.settings.file}")
    elif key in RESERVED_KEYS or key.startswith(RESERVED_PREFIX):
        remedy = f'rename the table, or set task_key of the layer in {context.settings.file}: "{{dst_schema}}__{{dst_table_name}}"'
        yield entry.problem("dst_table_name", f"task key {key!r} is reserved for the job's own tasks", remedy)


Rule = Callable[[Entry, Context], Iterator[Problem]]
ROW_RULES: tuple[Rule, ...] = (
    required,
    execution_order_from_1,
    text_without_control,
    names,
    layer_name,
    load_type,
    known_pipeline,
    keys,
    column_names,
    source_given,
    sql_file,
    config,
    config_columns,
    combinations,
    task_key_form,
)


# --- rules about the active rows together ---


def one_row_per_destination(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    for same in _groups(active, _destination):
        for entry in same[1:]:
            what = f"{'.'.join(_written_destination(entry))} is loaded by row {same[0].source.number} already"
            yield entry.problem("dst_table_name", what, "keep one row active for each table")


def one_row_per_task_key(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    for same in _groups(active, lambda entry: (entry.row.layer, task_key(entry, context))):
        for entry in same[1:]:
            if _destination(entry) == _destination(same[0]):
                continue  # one_row_per_destination says it
            what = f"task key {task_key(entry, context)!r} is that of row {same[0].source.number} too"
            remedy = (
                f'set task_key: "{{dst_schema}}__{{dst_table_name}}" for layer {entry.row.layer} '
                f"in {context.settings.file}"
            )
            yield entry.problem("dst_table_name", what, remedy)


def layers_differ_by_more_than_case(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    first: dict[str, Entry] = {}
    for entry in active:
        other = first.setdefault(entry.row.layer.lower(), entry)
        if other.row.layer != entry.row.layer:
            what = f"{entry.row.layer!r} and {other.row.layer!r} of row {other.source.number} differ by case only"
            yield entry.problem("layer", what, "write both alike")


def sources_come_first(active: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A row that reads a table of its own layer waits for it only where that has a smaller order."""
    loads = {(entry.row.layer, *_destination(entry)): entry for entry in active}
    for entry in active:
        row = entry.row
        read = (row.layer, row.src_catalog.lower(), row.src_schema.lower(), row.src_table_name.lower())
        if row.sql_file_path or not entry.built_in or read not in loads or min(row.execution_order, loads[read].row.execution_order) < 1:
            continue
        made_by = loads[read]
        if made_by.row.execution_order >= row.execution_order:
            what = (
                f"reads {made_by.row.dst_table_name}, which row {made_by.source.number} "
                f"loads in order {made_by.row.execution_order}"
            )
            remedy = f"give it an order larger than {made_by.row.execution_order}"
            if made_by is entry:
                what, remedy = "reads the table that it loads", "name another source"
            yield entry.problem("execution_order", what, remedy)


TABLE_RULES: tuple[Callable[[Sequence[Entry], Context], Iterator[Problem]], ...] = (
    one_row_per_destination,
    one_row_per_task_key,
    layers_differ_by_more_than_case,
    sources_come_first,
)


def settings_match_rows(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    """A layer or table that the settings name and no row has is a slip of the pen that would go unnoticed."""
    keys_of: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        keys_of[entry.row.layer].add(task_key(entry, context))
    for name, layer in context.settings.settings.layers.items():
        if name not in keys_of:
            what = f"no row has this layer{did_you_mean(name, keys_of)}"
            yield context.settings.problem(("layers", name), what, "rename or remove it")
            continue
        for key in layer.tables:
            if key not in keys_of[name]:
                what = f"no row of the layer has this task key{did_you_mean(key, keys_of[name])}"
                yield context.settings.problem(("layers", name, "tables", key), what, "rename or remove it")


def _groups(entries: Sequence[Entry], key: Callable[[Entry], tuple[str, ...]]) -> list[list[Entry]]:
    groups: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.row.dst_table_name:
            groups[key(entry)].append(entry)
    return [group for group in groups.values() if len(group) > 1]


def _written_destination(entry: Entry) -> tuple[str, str, str]:
    return entry.row.dst_catalog, entry.row.dst_schema, entry.row.dst_table_name


def _destination(entry: Entry) -> tuple[str, ...]:
    """Unity Catalog does not tell upper from lower case."""
    return tuple(part.lower() for part in _written_destination(entry))
