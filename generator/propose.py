"""A row for a table, from its shape: a proposal, with the reasons for it and what it could not know."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from generator.shape import SchemaName, TableShape, is_key_like
from laketasks.spec import FIVETRAN_ID

LAYER = "bronze_to_silver"
SYNCED, DELETED = "_fivetran_synced", "_fivetran_deleted"
FEW = 20  # rows in which a column is unique by chance
HISTORY = frozenset(("_fivetran_start", "_fivetran_end", "_fivetran_active"))
_DIM_WORDS = ("dim", "dimension")
_FACT_WORDS = ("fact", "facts", "fct")
# Last words of the names of what happened.
_HAPPENED = (
    "sales",
    "returns",
    "transactions",
    "events",
    "clicks",
    "visits",
    "orders",
    "payments",
    "invoices",
    "shipments",
    "bookings",
    "readings",
    "measurements",
    "movements",
    "inventory",
    "balances",
    "snapshots",
    "log",
    "logs",
    "items",
    "lines",
    "entries",
)
_CHANGED = re.compile(
    r"(?i)(last_)?(updated?|modified|changed?)_?(at|on|ts|time|date|timestamp)|modification_(date|time)"
)
_DELETED = re.compile(r"(?i)_*(is_)?(deleted|removed)(_flag|_at|_on)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """`why` are sentences about the table; `gaps` say, by column, what has to be filled in."""

    row: Mapping[str, object]
    why: tuple[str, ...]
    gaps: Mapping[str, str]


def propose(shapes: Sequence[TableShape], source: SchemaName, target: SchemaName) -> tuple[Proposal, ...]:
    """One row per table, in the order given; tables whose short names meet keep their whole names."""
    roles = [_role(shape) for shape in shapes]
    short = [_target_name(shape.name, role, short=True) for shape, (role, _) in zip(shapes, roles, strict=True)]
    times = Counter(name.lower() for name in short)
    return tuple(
        _proposal(
            shape,
            role,
            name if times[name.lower()] == 1 else _target_name(shape.name, role[0], short=False),
            source,
            target,
        )
        for shape, role, name in zip(shapes, roles, short, strict=True)
    )


def _proposal(shape: TableShape, role: tuple[str, str], name: str, source: SchemaName, target: SchemaName) -> Proposal:
    loading, why, gaps = _loading(shape, *role)
    comment = " ".join(shape.comment.split())
    if not comment.isprintable() or "${" in comment or "{{" in comment:
        comment, why = "", (*why, "Its comment holds what cannot travel in a job, and is left out.")
    row: dict[str, object] = {
        "dst_table_name": name,
        "comment": comment,
        "src_system": source.schema,
        "src_catalog": source.catalog,
        "src_schema": source.schema,
        "src_table_name": shape.name,
        "dst_catalog": target.catalog,
        "dst_schema": target.schema,
        "layer": LAYER,
        "is_active_flag": True,
        "execution_order": 1,
        **loading,
    }
    return Proposal(row={column: value for column, value in row.items() if value != ""}, why=why, gaps=gaps)


def _role(shape: TableShape) -> tuple[str, str]:
    """`dim` or `fact`, and why."""
    words = shape.name.lower().split("_")
    key = _key(shape)
    if set(words) & set(_DIM_WORDS):
        return "dim", "by its name"
    if set(words) & set(_FACT_WORDS) or words[-1] in _HAPPENED:
        return "fact", "by its name"
    if len(key) > 1:
        return "fact", f"{len(key)} columns identify its rows"
    if key:
        return "dim", "one column identifies its rows"
    references = sum(map(is_key_like, shape.columns))
    if references >= 3:
        return "fact", f"{references} columns look like references"
    return "dim", "few columns look like references"


def _key(shape: TableShape) -> tuple[str, ...]:
    """The declared key, else the first column that is unique in the rows. The start of a version is not part of it."""
    key = shape.primary_key or shape.unique[:1]
    return tuple(name for name in key if name.lower() not in HISTORY)


_Loading = tuple[dict[str, object], tuple[str, ...], dict[str, str]]


def _loading(shape: TableShape, role: str, because: str) -> _Loading:
    lower = {name.lower() for name in shape.columns}
    first = f"a {'dimension' if role == 'dim' else 'fact'} ({because})."
    if lower >= HISTORY:
        return _history(shape)
    if role == "dim":
        return _dimension(shape, first, SYNCED in lower)
    return _fact(shape, first, SYNCED in lower)


def _history(shape: TableShape) -> _Loading:
    why = ("Fivetran's history mode, its rows are the versions already.", _about_key(shape))
    keys, gaps = _keys("business_key_columns", shape, "scd2")
    loading = {"execution_pipeline": "scd2", "load_type": "full", **keys}
    return {**loading, "cdc_source_config": {"source_mode": "fivetran_history"}}, why, gaps


def _dimension(shape: TableShape, first: str, synced: bool) -> _Loading:
    keys, gaps = _keys("business_key_columns", shape, "scd1")
    loading: dict[str, object] = {
        "execution_pipeline": "scd1",
        "load_type": "incremental" if synced else "full",
        **keys,
    }
    why: tuple[str, ...] = (first, _about_key(shape))
    if [name.lower() for name in _key(shape)] == [FIVETRAN_ID]:
        loading["cdc_source_config"] = {"delete_mode": "hard"}
        why = (
            *why,
            f"{FIVETRAN_ID} is a hash of the row: an update is a new key and a delete, so it can have no history.",
        )
    return loading, (*why, *_about_changes(shape, synced)), gaps


def _fact(shape: TableShape, first: str, synced: bool) -> _Loading:
    if not _key(shape):
        loading: dict[str, object] = {"execution_pipeline": "fact_overwrite", "load_type": "full"}
        return loading, (first, _about_key(shape), *_about_changes(shape, synced)), {}
    keys, gaps = _keys("primary_key_columns", shape, "fact_incremental_merge")
    loading = {"execution_pipeline": "fact_incremental_merge", "load_type": "incremental" if synced else "full", **keys}
    return loading, (first, _about_key(shape), *_about_changes(shape, synced)), gaps


def _keys(column: str, shape: TableShape, runner: str) -> tuple[dict[str, object], dict[str, str]]:
    key = _key(shape)
    if key:
        return {column: list(key)}, {}
    likely = [name for name in shape.columns if is_key_like(name)][:3]
    perhaps = f"; perhaps {', '.join(likely)}" if likely else ""
    return {column: []}, {column: f"{runner} needs the natural key{perhaps}"}


def _about_key(shape: TableShape) -> str:
    if shape.primary_key:
        return f"Its primary key is declared: {', '.join(shape.primary_key)}."
    if shape.rows is None:
        return "No key is declared."
    rows = f"{shape.rows:,} row{'' if shape.rows == 1 else 's'}"
    if not shape.unique:
        return f"No key is declared, and no single column is one in its {rows}."
    if shape.rows < FEW:
        return f"No key is declared; {shape.unique[0]} is unique, but in {rows} only: is it the key?"
    also = f", {shape.unique[1]} too" if len(shape.unique) > 1 else ""
    return f"No key is declared; {shape.unique[0]} is unique in its {rows}{also}."


def _about_changes(shape: TableShape, synced: bool) -> tuple[str, ...]:
    """Columns that may mean something to the loader, where Fivetran's do not say it."""
    changed = [] if synced else [name for name in shape.columns if _CHANGED.fullmatch(name)]
    deleted = [name for name in shape.columns if _DELETED.fullmatch(name) and name.lower() != DELETED]
    return (
        *(
            f"Does every change set {name}? Then sequence_by orders them, and a read can be incremental."
            for name in changed[:1]
        ),
        *(f"Does {name} mark deleted rows? Then name it in apply_as_deletes." for name in deleted[:1]),
    )


def _target_name(name: str, role: str, *, short: bool) -> str:
    """Such as `dim_date` for `date_dim`.

    >>> _target_name("date_dim", "dim", short=True), _target_name("store_sales", "fact", short=True)
    ('dim_date', 'fact_store_sales')
    """
    words = name.split("_")
    if short:
        own = {*_DIM_WORDS, *_FACT_WORDS}
        words = words[1:] if words[0].lower() in own else words[:-1] if words[-1].lower() in own else words
    return re.sub(r"[^A-Za-z0-9_-]", "_", "_".join([role, *(words or [name])]))[:100]
