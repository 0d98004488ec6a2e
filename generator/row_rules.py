"""The rules about one row: each yields what is wrong with it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from functools import cache
from unicodedata import category

from generator.columns import COLUMNS
from generator.combinations import Case, combination_problems
from generator.context import Context, task_key
from generator.filling import filling_problems
from generator.model import Entry
from generator.problem import MISLEADING, Problem, shown
from generator.settings import identifier_problem
from generator.sql_text import condition_problem
from laketasks.spec import DIMENSIONS, LOAD_TYPES, PIPELINES, contradictions, did_you_mean

_LARGEST_INT = 2**31 - 1  # the column is an INT
RESERVED_KEYS = ("run_summary",)
RESERVED_PREFIX = "gate_"
_TASK_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}")
LAYER = re.compile(r"[A-Za-z0-9_-]{1,100}")


def required(entry: Entry) -> Iterator[Problem]:
    for column in COLUMNS:
        absent = not getattr(entry.row, column.name) and entry.source.values.get(column.name) != 0
        if column.required and absent and column.name not in entry.unreadable:
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


def execution_order_from_1(entry: Entry) -> Iterator[Problem]:
    order = entry.row.execution_order
    if order < 0 or entry.source.values.get("execution_order") == 0:
        yield entry.problem("execution_order", f"expected an integer, 1 or larger, found {order}", "1 runs first")
    elif order > _LARGEST_INT:
        what = f"expected an integer up to {_LARGEST_INT:,}, found one of {len(str(order))} digits"
        yield entry.problem("execution_order", what, "1 runs first")


def text_without_control(entry: Entry) -> Iterator[Problem]:
    """The CLI and the Jobs service substitute `${` and `{{` in any value, and the CLI refuses control characters."""
    texts = {column: list(_texts([value])) for column, value in entry.row if not isinstance(value, (bool, int))}
    if entry.built_in:  # JSON escapes hide what the task would get
        texts["cdc_source_config"] = list(_texts(entry.config.to_dict().values()))
    if not _forbidden("".join([text for found in texts.values() for text in found]), several_lines=False):
        return
    for column, found in texts.items():
        if bad := next((bad for text in found if (bad := _forbidden(text, column in _SEVERAL_LINES))), ""):
            yield entry.problem(column, f"holds {bad}, which cannot travel in a job", "remove it")


_SEVERAL_LINES = ("cdc_source_config", "comment")


def _forbidden(text: str, several_lines: bool) -> str:
    for bad in ("${", "{{"):
        if bad in text:
            return shown(bad)
    if text.isprintable():
        return ""
    allowed = "\n\t" if several_lines else ""
    bad = next((c for c in text if c not in allowed and (category(c) in _CONTROL or c in MISLEADING)), "")
    return f"the control character {shown(bad)}" if bad else ""


_CONTROL = ("Cc", "Cs", "Zl", "Zp")


def _texts(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            yield from _texts([*value, *value.values()])
        elif isinstance(value, (list, tuple)):
            yield from _texts(value)


def names(entry: Entry) -> Iterator[Problem]:
    """Catalogs, schemas and tables are Unity Catalog names. Beside SQL the `src_*` columns are labels."""
    read = () if entry.row.sql_file_path or not entry.built_in else ("src_catalog", "src_schema", "src_table_name")
    for column in (*read, "dst_catalog", "dst_schema", "dst_table_name"):
        name = getattr(entry.row, column)
        if name and (problem := identifier_problem(name)):
            yield entry.problem(column, problem, "use letters, digits and _")


def layer_name(entry: Entry) -> Iterator[Problem]:
    if entry.row.layer and not LAYER.fullmatch(entry.row.layer):
        what = f"{shown(entry.row.layer)} cannot be the name of a job and its file"
        yield entry.problem("layer", what, "use up to 100 letters, digits, _ and -")


def load_type(entry: Entry) -> Iterator[Problem]:
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
        yield from _as_meant(entry, next(iter(get_close_matches(word.lower(), known, n=1)), ""))
    elif entry.row.is_active_flag:
        yield entry.problem("execution_pipeline", what, "the row is left out of the job", "warning")


def _as_meant(entry: Entry, near: str) -> Iterator[Problem]:
    """What else is wrong with a row whose loader is misspelled, so that it need not be asked twice."""
    if near in PIPELINES:
        meant = replace(entry, row=entry.row.model_copy(update={"execution_pipeline": near}))
        said = {problem for rule in ROW_RULES for problem in rule(entry)}
        yield from (problem for rule in ROW_RULES for problem in rule(meant) if problem not in said)


_KEYS = {
    "scd1": ("business_key_columns", "name the natural key"),
    "scd2": ("business_key_columns", "name the natural key"),
    "fact_incremental_merge": ("primary_key_columns", "name the columns that make a row unique"),
}


def keys(entry: Entry) -> Iterator[Problem]:
    row, pipeline = entry.row, entry.row.execution_pipeline
    if pipeline in _KEYS:
        column, remedy = _KEYS[pipeline]
        if not getattr(row, column) and column not in entry.unreadable:
            yield entry.problem(column, f"required for {pipeline}", remedy)
    if pipeline in DIMENSIONS and len(row.primary_key_columns) > 1:
        what = f"a dimension has one surrogate key, found {len(row.primary_key_columns)} columns"
        remedy = "name one column, which the loader makes; the natural key goes to business_key_columns"
        yield entry.problem("primary_key_columns", what, remedy)


def column_names(entry: Entry) -> Iterator[Problem]:
    for column in ("business_key_columns", "primary_key_columns"):
        listed: tuple[str, ...] = getattr(entry.row, column)
        lower = [name.lower() for name in listed]
        for name in listed:
            if not name.strip() or len(name) > 255 or name != name.strip():
                yield entry.problem(column, f"{shown(name)} is not a column's name")
            elif lower.count(name.lower()) > 1:
                yield entry.problem(column, f"names {name} twice", "name each column once")
                break


def source_given(entry: Entry) -> Iterator[Problem]:
    if not entry.built_in or entry.row.sql_file_path or "sql_file_path" in entry.unreadable:
        return
    for column in ("src_catalog", "src_schema", "src_table_name"):
        if not getattr(entry.row, column) and column not in entry.unreadable:
            yield entry.problem(column, "required without sql_file_path", "name the source table, or a SQL file")


def config(entry: Entry) -> Iterator[Problem]:
    """A row of another runner may use words of its own; it is only asked to be JSON."""
    if entry.built_in:
        for what in entry.config_problems:
            yield entry.problem("cdc_source_config", what)
        for what in contradictions(entry.config):
            yield entry.problem("cdc_source_config", what)
    elif entry.row.cdc_source_config.strip() and not _is_object(entry.row.cdc_source_config):
        yield entry.problem("cdc_source_config", "not a JSON object", 'write {} or {"key": value}')


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def config_columns(entry: Entry) -> Iterator[Problem]:
    if not entry.built_in:
        return
    for key in _COLUMN_KEYS:
        named = getattr(entry.config, key)
        for column in (named,) if isinstance(named, str) else named:
            if column != column.strip() or len(column) > 255:
                yield entry.problem("cdc_source_config", f"{key}: {shown(column)} is not a column's name")


_COLUMN_KEYS = (
    "sequence_by",
    "watermark",
    "column_list",
    "except_column_list",
    "track_history_column_list",
    "track_history_except_column_list",
    "cluster_by",
)


def config_conditions(entry: Entry) -> Iterator[Problem]:
    """A condition stands inside a statement of the loader, so it has to end where it begins."""
    if not entry.built_in:
        return
    found = entry.config
    conditions = {key: getattr(found, key) for key in ("apply_as_deletes", "where", "replace_where")}
    for kind, rules in found.expectations.items():
        conditions |= {f"expectations.{kind}.{name}": condition for name, condition in rules.items()}
    for key, condition in conditions.items():
        if what := condition_problem(condition):
            yield entry.problem("cdc_source_config", f"{key}: {what}", "write one SQL condition")


def combinations(entry: Entry) -> Iterator[Problem]:
    if not entry.built_in:
        return
    row = entry.row
    case = Case(
        pipeline=row.execution_pipeline,
        load_type=row.load_type,
        config=entry.config,
        keys=row.business_key_columns if row.execution_pipeline in DIMENSIONS else row.primary_key_columns,
        surrogate=row.primary_key_columns,
        sql=bool(row.sql_file_path),
    )
    for found in combination_problems(case):
        yield entry.problem(found.column, found.what, found.remedy, found.severity)


def near_names(entry: Entry, context: Context) -> Iterator[Problem]:
    """A catalog that the settings do not name is taken as it is, and is most often one that they do."""
    settings = context.settings.settings
    if context.production and entry.row.is_active_flag:
        return  # unmapped_catalogs reports it
    sourced = ("src_catalog",) if entry.built_in and not entry.row.sql_file_path else ()
    for column in (*sourced, "dst_catalog"):
        if near := _near(getattr(entry.row, column), tuple(settings.catalogs)):
            what = f"{shown(getattr(entry.row, column))} is no catalog of the settings; did you mean {near}?"
            yield entry.problem(column, what, "list it under catalogs, so that each target has its own", "warning")


@cache
def _near(name: str, known: tuple[str, ...]) -> str:
    """The known name that the name differs from by a slip of the pen, or nothing."""
    return "" if name in known else next(iter(get_close_matches(name, known, n=1, cutoff=0.85)), "")


def task_key_form(entry: Entry, context: Context) -> Iterator[Problem]:
    key = task_key(entry, context)
    if not entry.row.dst_table_name or identifier_problem(entry.row.dst_table_name):
        return
    if not _TASK_KEY.fullmatch(key):
        what = f"task key {shown(key)} is not 1 to 100 letters, digits, _ and -"
        yield entry.problem(
            "dst_table_name", what, f"rename the table, or set task_key of the layer in {context.settings.file}"
        )
    elif key in RESERVED_KEYS or key.startswith(RESERVED_PREFIX):
        way = f'task_key: "{{dst_schema}}__{{dst_table_name}}" for layer {entry.row.layer}'
        remedy = f"rename the table, or set {way} in {context.settings.file}"
        yield entry.problem("dst_table_name", f"task key {key!r} is reserved for the job's own tasks", remedy)


def runner_texts(entry: Entry, context: Context) -> Iterator[Problem]:
    """What a row's values make of the texts of its runner."""
    body = context.settings.settings.runners.get(entry.row.execution_pipeline, {})
    for column, what in filling_problems(body, entry.row):
        yield entry.problem(column, what, "change the value")


ROW_RULES: tuple[Callable[[Entry], Iterator[Problem]], ...] = (
    required,
    execution_order_from_1,
    text_without_control,
    names,
    layer_name,
    load_type,
    keys,
    column_names,
    source_given,
    config,
    config_columns,
    config_conditions,
    combinations,
)
CONTEXT_RULES: tuple[Callable[[Entry, Context], Iterator[Problem]], ...] = (
    known_pipeline,
    near_names,
    task_key_form,
    runner_texts,
)
