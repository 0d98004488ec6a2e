"""Which words of cdc_source_config go together, with which runner and which load_type; all else is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from laketasks.spec import DIMENSIONS, FIVETRAN_ID, CdcSourceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A combination that has no meaning, or one that deserves a second look (`warning`)."""

    what: str
    remedy: str
    column: str = "cdc_source_config"
    severity: str = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What a rule looks at."""

    pipeline: str
    load_type: str
    config: CdcSourceConfig
    keys: tuple[str, ...] = ()
    surrogate: tuple[str, ...] = ()
    sql: bool = False  # the source is read through a SQL file


# Keys that mean something to some runners only.
ONLY_FOR = {
    "track_history_column_list": ("scd2",),
    "track_history_except_column_list": ("scd2",),
    "first_version_from": ("scd2",),
    "unknown_member": DIMENSIONS,
    "insert_only": ("fact_incremental_merge",),
    "ignore_null_updates": (*DIMENSIONS, "fact_incremental_merge"),
    "replace_where": ("fact_overwrite",),
}
EITHER = (
    ("column_list", "except_column_list"),
    ("track_history_column_list", "track_history_except_column_list"),
)
ON_MISSING: Mapping[str, tuple[str, ...]] = {
    "scd1": ("ignore", "soft", "hard"),
    "scd2": ("ignore", "close", "soft"),
    "fact_overwrite": ("ignore",),
    "fact_incremental_merge": ("ignore",),
}
DELETE_MODE: Mapping[str, tuple[str, ...]] = {
    "fact_overwrite": ("soft",),
    "scd1": ("soft", "hard", "ignore"),
    "scd2": ("soft", "ignore", "new_record"),
    "fact_incremental_merge": ("soft", "hard", "ignore"),
}
# A loader that is not listed takes every word until its rules are written here.
_ANY_ON_MISSING = tuple(dict.fromkeys(word for words in ON_MISSING.values() for word in words))
_ANY_DELETE_MODE = tuple(dict.fromkeys(word for words in DELETE_MODE.values() for word in words))
HISTORY_START = "_fivetran_start"
MAX_CLUSTER_COLUMNS = 4
INCREMENTAL_MODES = ("state", "events", "cdf", "fivetran_history")
OVERWRITE_MODES = ("state", "snapshot")

Rule = Callable[[Case], Iterator[Refusal]]


def combination_problems(case: Case) -> Iterator[Refusal]:
    """Every combination of the case that is refused, or worth a warning.

    >>> config = CdcSourceConfig(insert_only=True)
    >>> [refusal.what for refusal in combination_problems(Case(pipeline="scd1", load_type="full", config=config))]
    ['insert_only is not for scd1']
    """
    for rule in RULES:
        yield from rule(case)


def _keys_of_another_runner(case: Case) -> Iterator[Refusal]:
    given = case.config.to_dict()
    for key, pipelines in ONLY_FOR.items():
        if key in given and case.pipeline not in pipelines:
            remedy = f"remove it; it is for {' and '.join(pipelines)}"
            yield Refusal(what=f"{key} is not for {case.pipeline}", remedy=remedy)


def _one_of_two(case: Case) -> Iterator[Refusal]:
    for one, other in EITHER:
        if getattr(case.config, one) and getattr(case.config, other):
            yield Refusal(what=f"{one} and {other} exclude each other", remedy="keep one of them")


def _columns_left_out(case: Case) -> Iterator[Refusal]:
    """A key is always carried, and only what is carried has a history."""
    config, keys = case.config, _lower(case.keys)
    for key in sorted(keys & _lower(config.except_column_list)):
        what = f"except_column_list names {key}, which is a key and always carried"
        yield Refusal(what=what, remedy="remove it from the list")
    for word in ("track_history_column_list", "track_history_except_column_list"):
        named = _lower(getattr(config, word)) - keys
        left_out = named & _lower(config.except_column_list)
        if config.column_list:
            left_out |= named - _lower(config.column_list)
        for column in sorted(left_out):
            remedy = "carry it, or remove it from the list"
            yield Refusal(what=f"{word} names {column}, which is not carried", remedy=remedy)


def _lower(names: tuple[str, ...]) -> set[str]:
    return {name.lower() for name in names}


def _missing_keys(case: Case) -> Iterator[Refusal]:
    word, mode = case.config.on_missing, case.config.source_mode
    if word == "ignore":
        return
    if mode != "snapshot":
        remedy = "set source_mode: snapshot if the source has every key each time, else remove on_missing"
        yield Refusal(what=f"on_missing: {word} needs a snapshot, source_mode is {mode}", remedy=remedy)
    yield from _word("on_missing", word, case.pipeline, ON_MISSING.get(case.pipeline, _ANY_ON_MISSING))
    if case.config.where:
        what = f"where with on_missing: {word}: a filtered row would count as vanished"
        yield Refusal(what=what, remedy="filter in the SQL of the source, or remove one of them")


def _deletes(case: Case) -> Iterator[Refusal]:
    words = DELETE_MODE.get(case.pipeline, _ANY_DELETE_MODE)
    yield from _word("delete_mode", case.config.delete_mode, case.pipeline, words)


def _word(key: str, word: str, pipeline: str, words: tuple[str, ...]) -> Iterator[Refusal]:
    if word not in words:
        remedy = f"use {' or '.join(words)}" if len(words) > 1 else "remove it"
        yield Refusal(what=f"{key}: {word} is not for {pipeline}", remedy=remedy)


def _drop_columns(case: Case) -> Iterator[Refusal]:
    if case.config.schema_evolution == "drop_columns" and case.config.replace_where:
        what = "schema_evolution: drop_columns with replace_where, which keeps rows that have those columns"
        yield Refusal(what=what, remedy="use add_columns or fail, or remove replace_where")


def _modes(case: Case) -> Iterator[Refusal]:
    mode = case.config.source_mode
    if case.pipeline == "fact_overwrite" and mode not in OVERWRITE_MODES:
        remedy = "use fact_incremental_merge, or remove source_mode"
        yield Refusal(what=f"source_mode: {mode} is not for fact_overwrite, which replaces all rows", remedy=remedy)
    if case.load_type != "incremental":
        return
    if case.pipeline == "fact_overwrite":
        remedy = "set load_type full, or use fact_incremental_merge"
        yield Refusal(column="load_type", what="fact_overwrite reads the whole source each time", remedy=remedy)
    elif mode not in INCREMENTAL_MODES:
        what = f"incremental with source_mode: {mode}: a key that was not read would count as vanished"
        yield Refusal(column="load_type", what=what, remedy="set load_type full, or source_mode state")
    elif mode == "fivetran_history" and not case.config.reconcile:
        what = "incremental with fivetran_history misses ended rows, whose _fivetran_synced stays"
        yield Refusal(column="load_type", what=what, remedy="add reconcile: true, or set load_type full")


def _change_feed(case: Case) -> Iterator[Refusal]:
    """The loader refuses the same."""
    config = case.config
    if config.source_mode != "cdf" or case.pipeline == "fact_overwrite":
        return
    if case.load_type == "full":
        what = "source_mode: cdf reads what has changed since the last load"
        yield Refusal(column="load_type", what=what, remedy="set load_type incremental")
    if case.sql:
        what = "source_mode: cdf reads the change feed of a table, which SQL has not"
        yield Refusal(column="sql_file_path", what=what, remedy="name the table instead, or use source_mode: state")
    for key in ("sequence_by", "watermark"):
        if getattr(config, key):
            yield Refusal(what=f"{key} with source_mode: cdf, which is in the order of its commits", remedy="remove it")
    if config.lookback != CdcSourceConfig().lookback:
        remedy = "remove it"
        yield Refusal(what="lookback does nothing with source_mode: cdf", remedy=remedy, severity="warning")


def _history_order(case: Case) -> Iterator[Refusal]:
    given = tuple(name.lower() for name in case.config.sequence_by)
    if case.config.source_mode == "fivetran_history" and given not in ((), (HISTORY_START,)):
        what = f"a Fivetran history is ordered by {HISTORY_START}, not by {', '.join(given)}"
        yield Refusal(what=what, remedy="remove sequence_by")


def _no_watermark(case: Case) -> Iterator[Refusal]:
    if case.load_type == "full" and case.config.lookback != CdcSourceConfig().lookback:
        remedy = "remove it, or set load_type incremental"
        yield Refusal(what="lookback does nothing in a full read", remedy=remedy, severity="warning")


def _nothing_to_act_on(case: Case) -> Iterator[Refusal]:
    """Yield a warning for each key about deletes, orders or business keys in a row without them.

    `guard.idle_words` has the keys whose effect depends on the columns of the source.
    """
    config, given = case.config, case.config.to_dict()
    overwrites = case.pipeline == "fact_overwrite"
    vanishes = config.source_mode == "snapshot" and config.on_missing != "ignore"
    idle = {
        "max_delete_ratio": (
            not overwrites and config.delete_mode == "ignore" and not vanishes,
            "delete_mode: ignore deletes no row",
        ),
        "on_null_sequence": (config.source_mode == "cdf", "a change feed is in the order of its commits"),
        "on_null_key": (overwrites and not case.keys, "the row names no key"),
        "on_conflict": (overwrites and not case.keys, "the row names no key"),
    }
    for key, (is_idle, why) in idle.items():
        if key in given and is_idle:
            yield Refusal(what=f"{key} does nothing: {why}", remedy=f"remove {key}", severity="warning")


def _clustering(case: Case) -> Iterator[Refusal]:
    columns = case.config.cluster_by
    if len(columns) > MAX_CLUSTER_COLUMNS:
        what = f"cluster_by takes up to {MAX_CLUSTER_COLUMNS} columns, found {len(columns)}"
        yield Refusal(what=what, remedy="keep those that queries filter by")


def _surrogate(case: Case) -> Iterator[Refusal]:
    """The loader makes the surrogate key, so it is no column of the source."""
    own = _lower(case.surrogate) if case.pipeline in DIMENSIONS else set()
    if case.pipeline == "scd1" and own == _lower(case.keys):
        return  # the primary key of a table with one row per business key
    for name in sorted(own & _lower(case.keys)):
        what = f"{name} is the natural key as well, and a surrogate key is made by the loader"
        remedy = "give the surrogate key a name of its own, or clear the column"
        yield Refusal(column="primary_key_columns", what=what, remedy=remedy)


def _reconciled(case: Case) -> Iterator[Refusal]:
    """The loader refuses the same of a run that is asked to reconcile such a table by name."""
    if not case.config.reconcile:
        return
    if case.pipeline == "fact_overwrite":
        yield Refusal(what="reconcile is not for fact_overwrite, which reads the whole source", remedy="remove it")
    elif case.config.source_mode == "snapshot":
        what = "reconcile with source_mode: snapshot, which compares all keys each time"
        yield Refusal(what=what, remedy="remove it; on_missing says what a vanished key does")
    elif case.config.where:
        what = "where with reconcile: a filtered row would count as deleted"
        yield Refusal(what=what, remedy="filter in the SQL of the source, or remove one of them")


def _row_identity(case: Case) -> Iterator[Refusal]:
    """Where the source has no key, Fivetran writes an update as a new row and a deleted one: there is no history."""
    if case.pipeline == "scd2" and FIVETRAN_ID in {key.lower() for key in case.keys}:
        what = f"scd2 with key {FIVETRAN_ID}: an update makes a new key, so no row would have a history"
        remedy = "name the natural key, or use scd1 with delete_mode: hard"
        yield Refusal(column="business_key_columns", what=what, remedy=remedy)


def _unseen_deletes(case: Case) -> Iterator[Refusal]:
    config = case.config
    unseen = case.load_type == "incremental" and not config.reconcile and config.source_mode != "cdf"
    if unseen and config.apply_as_deletes:
        what = "apply_as_deletes in an incremental read: deletes that leave the watermark as it is are not seen"
        remedy = "add reconcile: true, or set load_type full where such deletes happen"
        yield Refusal(what=what, remedy=remedy, severity="warning")


def _forgotten_deletes(case: Case) -> Iterator[Refusal]:
    """A row that is removed leaves no sequence behind: an older state that arrives later looks like a new key."""
    config = case.config
    if case.load_type == "incremental" and config.source_mode == "state" and config.delete_mode == "hard":
        what = (
            "delete_mode: hard in an incremental read: an older row that arrives after the delete brings the key back"
        )
        remedy = "use delete_mode: soft, or source_mode: events where the source keeps the deletes"
        yield Refusal(what=what, remedy=remedy, severity="warning")


RULES: tuple[Rule, ...] = (
    _keys_of_another_runner,
    _one_of_two,
    _columns_left_out,
    _missing_keys,
    _deletes,
    _drop_columns,
    _modes,
    _change_feed,
    _history_order,
    _no_watermark,
    _nothing_to_act_on,
    _clustering,
    _surrogate,
    _reconciled,
    _row_identity,
    _unseen_deletes,
    _forgotten_deletes,
)
