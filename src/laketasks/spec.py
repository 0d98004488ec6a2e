"""What a task is told: one row of execution_table (LoadSpec) and the run it belongs to (RunContext).

The generator writes these as the named parameters of a `python_wheel_task`, the task reads them back.
Parameters are strings; a list or a map travels as JSON; a value that is its default does not travel.
Standard library only: the generator and localjobs import this module too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from datetime import datetime, timedelta, timezone
from difflib import get_close_matches
from functools import cache
from operator import attrgetter
from typing import Any, TypeAlias, TypeVar

PIPELINES = ("scd1", "scd2", "fact_overwrite", "fact_incremental_merge")
DIMENSIONS = ("scd1", "scd2")  # primary_key_columns is their surrogate key
CHANGE_SOURCES = ("events", "fivetran_history", "cdf")  # source modes with many rows per key
LOAD_TYPES = ("full", "incremental")
EXPECTATION_KINDS = ("expect", "expect_or_drop", "expect_or_fail", "expect_or_quarantine")
QUARANTINE_SUFFIX = "_quarantine"  # after the name of the table whose rows are set aside
FIVETRAN_ID = "_fivetran_id"  # Fivetran's key of a table that has none: a hash of the row
JOB_PARAMETERS = ("dry_run", "full_refresh", "override_guards", "reconcile", "release_quarantine", "reload_from")
ALL = "all"  # in the place of task keys: every task of the run

# What a string parameter holds; the name of the type is the key of its reader.
TaskKeys: TypeAlias = str  # empty, `all`, or task keys separated by commas
Instants: TypeAlias = str  # empty, an instant for every task, or `a,b=instant; c=instant`
Instant: TypeAlias = str  # empty or one instant
Duration: TypeAlias = str  # empty or a number and a unit

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_TASK_KEY = re.compile(r"[\w-]{1,100}")
_UNITS = ("second", "minute", "hour", "day", "week")


class SpecError(ValueError):
    """Parameters or a configuration that cannot be read; `problems` holds every reason."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


# --- values: each reader takes what JSON gave and returns the value, or raises ValueError with what it expected ---


def _one_of(*words: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in words:
            raise ValueError(f"expected one of {', '.join(words)}, found {value!r}{did_you_mean(value, words)}")
        return str(value)

    return read


def _column(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a column name, found {value!r}")
    return value


def _columns(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, (list, tuple)) else [value]
    names = tuple(_column(name) for name in listed)
    doubled = sorted({name for name in names if [n.lower() for n in names].count(name.lower()) > 1})
    if doubled:
        raise ValueError(f"names {', '.join(doubled)} twice")
    return names


def _condition(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"expected a SQL condition, found {value!r}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, found {value!r}")
    return value


def _ratio(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ValueError(f"expected a number from 0 to 1, found {value!r}")
    return float(value)


def _duration(value: object) -> str:
    if not isinstance(value, str) or parse_duration(value) is None:
        raise ValueError(f"expected a number and a unit such as '2 days' or '90 minutes', found {value!r}")
    return value


def _instant(value: object) -> str:
    if not isinstance(value, str) or parse_instant(value) is None:
        raise ValueError(f"expected a timestamp such as '1900-01-01' or '2024-05-01T06:00:00Z', found {value!r}")
    return value


def _expectations(value: object) -> dict[str, dict[str, str]]:
    if not isinstance(value, Mapping):
        raise ValueError(f"expected an object with {', '.join(EXPECTATION_KINDS)}, found {value!r}")
    for kind, rules in value.items():
        if kind not in EXPECTATION_KINDS:
            raise ValueError(f"unknown kind {kind!r}{did_you_mean(kind, EXPECTATION_KINDS)}")
        if not isinstance(rules, Mapping) or not all(isinstance(rule, str) and rule.strip() for rule in rules.values()):
            raise ValueError(f"{kind}: expected an object of name: SQL condition, found {rules!r}")
    return {kind: dict(rules) for kind, rules in value.items()}


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """The nearest of the known words as a question to append to a message, or nothing."""
    near = get_close_matches(str(word).lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {near[0]}?" if near else ""


def parse_duration(text: str) -> timedelta | None:
    """`2 days` as a timedelta; None when it is not `<whole number> <second|minute|hour|day|week>[s]`."""
    match = re.fullmatch(r"(\d{1,9}) (\w+?)s?", text.strip())
    if match is None or match[2] not in _UNITS:
        return None
    return timedelta(**{match[2] + "s": int(match[1])})


def parse_instant(text: str) -> datetime | None:
    """An ISO 8601 date or timestamp in UTC, which is its zone where it names none; None when it is not one."""
    try:
        moment = datetime.fromisoformat(re.sub(r"[zZ]$", "+00:00", text.strip()))
        return moment.astimezone(timezone.utc) if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
    except (ValueError, OverflowError):
        return None


def _key(read: Callable[[object], Any], default: Any) -> Any:
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"read": read})
    return field(default=default, metadata={"read": read})


@dataclass(frozen=True, slots=True, kw_only=True)
class CdcSourceConfig:
    """How a source speaks and what the loader does about it; docs/cdc_source_config.md explains each key.

    An empty tuple or string means "not given": the loader then takes the default that depends on the source.
    """

    source_mode: str = _key(_one_of("state", "snapshot", "fivetran_history", "events", "cdf"), "state")
    sequence_by: tuple[str, ...] = _key(_columns, ())
    watermark: str = _key(_column, "")
    apply_as_deletes: str = _key(_condition, "")
    delete_mode: str = _key(_one_of("soft", "hard", "ignore", "new_record"), "soft")
    on_missing: str = _key(_one_of("ignore", "close", "soft", "hard"), "ignore")
    column_list: tuple[str, ...] = _key(_columns, ())
    except_column_list: tuple[str, ...] = _key(_columns, ())
    track_history_column_list: tuple[str, ...] = _key(_columns, ())
    track_history_except_column_list: tuple[str, ...] = _key(_columns, ())
    ignore_null_updates: bool = _key(_flag, False)
    where: str = _key(_condition, "")
    lookback: str = _key(_duration, "0 seconds")
    on_null_key: str = _key(_one_of("fail", "quarantine", "null_safe"), "fail")
    on_conflict: str = _key(_one_of("fail", "latest"), "fail")
    on_null_sequence: str = _key(_one_of("fail", "include", "exclude"), "fail")
    on_empty_source: str = _key(_one_of("fail", "allow"), "fail")
    max_delete_ratio: float = _key(_ratio, 0.5)
    schema_evolution: str = _key(_one_of("add_columns", "fail", "drop_columns"), "add_columns")
    expectations: dict[str, dict[str, str]] = _key(_expectations, {})  # noqa: RUF009
    first_version_from: str = _key(_instant, "")
    insert_only: bool = _key(_flag, False)
    reconcile: bool = _key(_flag, False)
    replace_where: str = _key(_condition, "")
    cluster_by: tuple[str, ...] = _key(_columns, ())
    unknown_member: bool = _key(_flag, False)

    @property
    def quarantines(self) -> bool:
        """Whether rows may be set aside in a quarantine table."""
        return bool(self.expectations.get("expect_or_quarantine")) or self.on_null_key == "quarantine"

    @property
    def leaves_rows_out(self) -> bool:
        """Whether rows of the source may be dropped or set aside one by one."""
        return bool(self.expectations) or self.on_null_key == "quarantine" or self.on_null_sequence == "exclude"

    def to_dict(self) -> dict[str, object]:
        """The keys that differ from their defaults, by name."""
        return {name: _plain(value) for name, value in _given(self)}


def parse_config(document: object) -> tuple[CdcSourceConfig, list[str]]:
    """Read `cdc_source_config` (JSON text, or the object itself): the configuration, and every problem found.

    A key that has a problem keeps its default in the returned configuration. None and '' mean `{}`.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document, object_pairs_hook=_no_doubles) if document.strip() else {}
        except (ValueError, RecursionError) as error:
            return CdcSourceConfig(), [f"not valid JSON: {error}"]
    if document is None:
        document = {}
    if not isinstance(document, Mapping):
        return CdcSourceConfig(), [f"expected a JSON object, found {type(document).__name__}"]
    readers = {f.name: f.metadata["read"] for f in fields(CdcSourceConfig)}
    values: dict[str, Any] = {}
    problems: list[str] = []
    for key, value in document.items():
        if key not in readers:
            problems.append(f"unknown key {key!r}{did_you_mean(key, readers)}")
        elif value is not None:
            try:
                values[key] = readers[key](value)
            except ValueError as error:
                problems.append(f"{key}: {error}")
    return CdcSourceConfig(**values), problems


def contradictions(config: CdcSourceConfig) -> list[str]:
    """What many rows per key cannot have, one message each."""
    if config.source_mode not in CHANGE_SOURCES:
        return []
    asked = {
        "on_null_sequence: include: a change without a sequence has no place among the others; use fail or exclude": (
            config.on_null_sequence == "include"
        ),
        "insert_only: the row that is inserted would depend on how the changes are batched; use source_mode: state": (
            config.insert_only
        ),
    }
    return [f"source_mode: {config.source_mode} with {what}" for what, used in asked.items() if used]


def _no_doubles(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = [name for name, _ in pairs]
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise ValueError(f"key {', '.join(doubled)} stands twice")
    return dict(pairs)


# --- parameters: dataclass <-> named parameters ---


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One row of execution_table as a task gets it. Table names have three levels, unquoted.

    `skip_on_stale_input` refuses to load from a table of the same job that this run has not loaded. The five before it
    are what the generator finds out: the fingerprint of the SQL file, whether its result depends on
    nothing but the tables that it reads, these tables, those tables of the same job that this load reads, and those
    that the SQL puts together by UNION ALL, each of which is read by a watermark of its own.
    """

    execution_pipeline: str
    target_table: str
    source_table: str = ""
    sql_file_path: str = ""
    load_type: str = "full"
    business_key_columns: tuple[str, ...] = ()
    primary_key_columns: tuple[str, ...] = ()
    cdc_source_config: CdcSourceConfig = field(default_factory=CdcSourceConfig)
    src_system: str = ""
    comment: str = ""
    sql_fingerprint: str = ""
    sql_repeatable: bool = False
    reads: tuple[str, ...] = ()
    upstream_tables: tuple[str, ...] = ()
    watermark_sources: tuple[str, ...] = ()
    skip_on_stale_input: bool = False

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> LoadSpec:
        """Read the spec from a task's named parameters, ignoring names that are not its own; raises SpecError."""
        return _from_parameters(cls, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """The run a load belongs to. `attempt` counts from 1; `catalogs` maps bundle variable -> catalog of the target.

    The last six are job parameters, which the Jobs service adds to every task. `dry_run` stops every load of the run
    before its write.
    """

    job_run_id: str
    task_key: str
    run_log: str
    attempt: int = 1
    job_start_time: Instant = ""
    catalogs: dict[str, str] = field(default_factory=dict)
    dry_run: bool = False
    full_refresh: TaskKeys = ""
    override_guards: TaskKeys = ""
    reconcile: TaskKeys = ""
    release_quarantine: TaskKeys = ""
    reload_from: Instants = ""

    @property
    def reloads_from(self) -> datetime | None:
        """The instant from which `reload_from` asks this task to read again; None where it does not."""
        return instant_for(self.reload_from, self.task_key)

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> RunContext:
        """Read the context from a task's named parameters, ignoring names that are not its own; raises SpecError."""
        return _from_parameters(cls, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class SummarySpec:
    """What `run_summary` is told: its run, how many tables the job loads, and the rows that were left out of it.

    `skipped` maps table -> execution_pipeline that no runner is known for, `children` the task of a child job -> how
    many tables that loads. Rows of the run log that are older than `run_log_retention` are deleted. `task_keys` is a
    job parameter: the tasks that load tables, as `known_tasks` writes them.
    """

    job_run_id: str
    run_log: str
    run_log_retention: Duration = ""
    tables: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    children: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False
    full_refresh: str = ""
    override_guards: str = ""
    reconcile: str = ""
    release_quarantine: str = ""
    reload_from: str = ""
    task_keys: str = ""

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> SummarySpec:
        """Read the spec from a task's named parameters, ignoring names that are not its own; raises SpecError."""
        return _from_parameters(cls, parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptSpec:
    """How tables that another tool filled become ours: SQL over their columns, the view, and which tables.

    `valid_from` and `valid_to` bound a version of an scd2 table; `valid_to` is exclusive, and NULL or a day of the year
    9999 where a version is open. `sequence` is what a row was loaded with. `view` is the name of a view with the old
    columns, in which `{table}` is the table's name. `jobs` are ids of jobs whose loads are adopted, `only` task keys.
    """

    valid_from: str = ""
    valid_to: str = ""
    is_deleted: str = ""
    sequence: str = ""
    view: str = ""
    jobs: str = ""
    only: str = ""
    dry_run: bool = True

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> AdoptSpec:
        """Read the spec from named parameters, ignoring other names and what is empty; raises SpecError."""
        return _from_parameters(cls, {name: value for name, value in parameters.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapSpec:
    """What has to be there before the first load: the schemas (catalog.schema), the run log, the metadata table.

    `execution_table_sql` is the path of a file with its CREATE TABLE IF NOT EXISTS; `catalogs` fills the braces in it.
    """

    run_log: str
    schemas: tuple[str, ...] = ()
    execution_table_sql: str = ""
    catalogs: dict[str, str] = field(default_factory=dict)

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> BootstrapSpec:
        """Read the spec from a task's named parameters, ignoring names that are not its own; raises SpecError."""
        spec = _from_parameters(cls, parameters)
        problems = [] if _levels(spec.run_log) == 3 else [f"--run_log: {_NAME.format('schema.table', spec.run_log)}"]
        wrong = [name for name in spec.schemas if _levels(name) != 2]
        if problems := [*problems, *(f"--schemas: {_NAME.format('schema', name)}" for name in wrong)]:
            raise SpecError(problems)
        return spec


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineSpec:
    """The targets whose waiting rows are listed, by name or by schema, with some of the rows of each."""

    tables: tuple[str, ...] = ()
    schemas: tuple[str, ...] = ()
    samples: int = 3

    def to_parameters(self) -> dict[str, str]:
        return _to_parameters(self)

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, str]) -> QuarantineSpec:
        """Read the spec from named parameters, ignoring names that are not its own; raises SpecError."""
        spec = _from_parameters(cls, parameters)
        problems = [f"--tables: {_NAME.format('schema.table', name)}" for name in spec.tables if _levels(name) != 3]
        problems += [f"--schemas: {_NAME.format('schema', name)}" for name in spec.schemas if _levels(name) != 2]
        if not spec.tables and not spec.schemas:
            problems.append("--schemas or --tables: one of them is required")
        if problems:
            raise SpecError(problems)
        return spec


_NAME = "expected catalog.{}, found {!r}"


def _levels(name: str) -> int:
    """How many parts a dotted name has; 0 where one is empty."""
    parts = name.split(".")
    return len(parts) if all(parts) else 0


# --- job parameters: what one run is asked for ---


def names_task(parameter: TaskKeys, task_key: str) -> bool:
    """Return true if a job parameter names this task, or `all`."""
    named = {key.strip() for key in parameter.split(",")}
    return ALL in named or task_key in named


def named_tasks(parameter: str, value: str) -> frozenset[str]:
    """Return the task keys that the value of a job parameter names, without `all`; raises ValueError for a wrong value.

    >>> sorted(named_tasks("reload_from", "dim_a, fact_b=2024-05-01; dim_c=2024-06-01"))
    ['dim_a', 'dim_c', 'fact_b']
    """
    if parameter == "dry_run":
        return frozenset()
    keys = _instants(value) if parameter == "reload_from" else _task_keys(value)
    return frozenset(keys) - {ALL}


def instant_for(value: Instants, task_key: str) -> datetime | None:
    """Return the instant that `reload_from` has for a task: its own, else the one for all.

    >>> str(instant_for("2024-05-01; dim_a=2024-06-01", "dim_a"))
    '2024-06-01 00:00:00+00:00'
    """
    instants = _instants(value)
    return instants.get(task_key, instants.get(ALL))


def job_parameter_problems(values: Mapping[str, str]) -> list[str]:
    """Return every problem of the values of job parameters, `name: problem`; values of other names are left alone."""
    problems = []
    for f in fields(RunContext):
        if f.name in JOB_PARAMETERS and f.name in values:
            try:
                _READERS[str(f.type)](values[f.name])
            except ValueError as error:
                problems.append(f"{f.name}: {error}")
    return problems


def _task_keys(text: str) -> tuple[str, ...]:
    """Read task keys separated by commas, or `all`; an empty text has none."""
    if not text.strip():
        return ()
    keys = tuple(key.strip() for key in text.split(","))
    wrong = [key for key in keys if not _TASK_KEY.fullmatch(key)]
    if wrong:
        raise ValueError(f"expected task keys separated by commas, or {ALL}, found {wrong[0]!r} in {text!r}")
    if any(key.lower() == ALL for key in keys) and keys != (ALL,):
        raise ValueError(f"expected task keys, or {ALL} by itself, found {text!r}")
    return keys


def _instants(text: str) -> dict[str, datetime]:
    """Read `instant`, or `task,task=instant; task=instant`: task key, or `all`, -> instant."""
    found: dict[str, datetime] = {}
    problems = []
    for group in text.split(";") if text.strip() else ():
        names, named, moment = group.rpartition("=")
        at = parse_instant(moment)
        if at is None:
            expected = "a timestamp such as 2024-05-01 or 2024-05-01T06:00:00Z, or task_key=timestamp"
            problems.append(f"expected {expected}, found {group.strip()!r}")
        try:
            keys = _task_keys(names) if named else (ALL,)
            if not keys:
                raise ValueError(f"expected task keys before the =, found {group.strip()!r}")
        except ValueError as error:
            problems.append(str(error))
            continue
        problems += [f"gives {key} two timestamps" for key in keys if key in found]
        found |= dict.fromkeys(keys, at or _EPOCH)
    if problems:
        raise ValueError("; ".join(problems))
    return found


# --- parameters: text <-> values ---


_T = TypeVar("_T", LoadSpec, RunContext, SummarySpec, AdoptSpec, BootstrapSpec, QuarantineSpec)


def _to_parameters(spec: Any) -> dict[str, str]:
    return {name: _text(value) for name, value in _given(spec)}


def _from_parameters(cls: type[_T], parameters: Mapping[str, str]) -> _T:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for f in fields(cls):
        if f.name in parameters:
            try:
                values[f.name] = _READERS[str(f.type)](parameters[f.name])
            except ValueError as error:
                problems.append(f"--{f.name}: {error}")
        elif _default(f) is MISSING:
            problems.append(f"--{f.name}: required")
    if problems:
        raise SpecError(problems)
    return cls(**values)


def _given(spec: Any) -> Iterable[tuple[str, Any]]:
    """Name and value of each field that is not its default."""
    names, read, defaults = _fields(spec.__class__)
    values = zip(names, read(spec), defaults, strict=True)
    return [(name, value) for name, value, default in values if value != default]


@cache
def _fields(cls: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]], tuple[object, ...]]:
    """The names of the fields, what reads them all, and their defaults."""
    names = tuple(f.name for f in fields(cls))
    return names, attrgetter(*names), tuple(_default(f) for f in fields(cls))


def _default(f: Field[Any]) -> object:
    return f.default_factory() if f.default_factory is not MISSING else f.default


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, CdcSourceConfig):
        value = value.to_dict()
    return json.dumps(_plain(value), ensure_ascii=False, sort_keys=True)


def _read_config(text: str) -> CdcSourceConfig:
    config, problems = parse_config(text)
    if problems:
        raise ValueError("; ".join(problems))
    return config


def _read_names(text: str) -> tuple[str, ...]:
    value = json.loads(text)
    if not isinstance(value, list):
        raise ValueError(f"expected a JSON array of names, found {text!r}")
    return _columns(value)


def _read_map(text: str) -> dict[str, str]:
    value = json.loads(text)
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise ValueError(f"expected a JSON object of strings, found {text!r}")
    return value


def _read_numbers(text: str) -> dict[str, int]:
    value = json.loads(text)
    if not isinstance(value, dict) or not all(type(v) is int for v in value.values()):
        raise ValueError(f"expected a JSON object of whole numbers, found {text!r}")
    return value


def _read_flag(text: str) -> bool:
    return _flag({"true": True, "false": False, "": False}.get(text.lower(), text))


def _read_number(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise ValueError(f"expected a whole number, found {text!r}")
    return int(text)


def _as_it_is(read: Callable[[str], object]) -> Callable[[str], str]:
    """Return a reader that checks a text and keeps it."""

    def check(text: str) -> str:
        read(text)
        return text

    return check


_READERS: dict[str, Callable[[str], object]] = {
    "str": str,
    "int": _read_number,
    "TaskKeys": _as_it_is(_task_keys),
    "Instants": _as_it_is(_instants),
    "Instant": _as_it_is(lambda text: text and _instant(text)),
    "Duration": _as_it_is(lambda text: text and _duration(text)),
    "bool": _read_flag,
    "tuple[str, ...]": _read_names,
    "dict[str, str]": _read_map,
    "dict[str, int]": _read_numbers,
    "CdcSourceConfig": _read_config,
}
