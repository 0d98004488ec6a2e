"""What a loader says: which rows of the target change, and by which statement. `merge.py` says how it is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame
from pyspark.sql.types import DataType

from laketasks.column import ACT
from laketasks.source import Source
from laketasks.spec import CdcSourceConfig, LoadSpec, RunContext
from laketasks.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """One load with everything that its loader may ask. `run_start` is one instant per job run, kept across retries."""

    spec: LoadSpec
    context: RunContext
    run_start: datetime
    now: datetime
    keys: tuple[str, ...]
    first: bool  # the target has no rows yet, or is written anew
    closed: bool  # the target has rows that are not current
    forget_order: bool = False  # the stored sequences are of another column: they count as NULL and are replaced
    few: bool = False  # the read has few rows beside the target's, and the same ones whenever it is read

    @property
    def config(self) -> CdcSourceConfig:
        return self.spec.cdc_source_config


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """One MERGE: `match` are the columns it matches on, `clauses` its WHEN clauses over `t` and `s`.

    `steps` is what the staged rows become before they meet the target, a SELECT: one row each per match. The staged
    table's name stands between its parts.
    """

    match: tuple[str, ...]
    clauses: tuple[str, ...]
    steps: tuple[str, ...] = ("SELECT * FROM ", f" WHERE {ACT} IS NOT NULL")


@dataclass(frozen=True, slots=True, kw_only=True)
class Replace:
    """The staged rows take the place of all rows, or of those that meet the condition."""

    where: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The rows that a load changes.

    `rows` has at most one row for each value of the `grain`, with a fate for every source row that is left after
    de-duplication, an act (NULL: nothing to do) and the values of every target column. `tally` has one row per fate,
    with `rows`, where the fates are not those of `rows`; of an overwrite it has the acts as well. `examples` has the
    rows that a dry run shows, where they are not those of `rows`. `remarks` has what to say of the rows of a fate that
    is none of the source's rows.
    """

    rows: DataFrame
    write: Merge | Replace
    columns: tuple[str, ...]
    grain: tuple[str, ...] = ()
    tally: DataFrame | None = None
    examples: DataFrame | None = None
    remarks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loader:
    """One value of execution_pipeline: what it matches on, the columns it adds, and what it changes."""

    keys: Callable[[LoadSpec], tuple[str, ...]]
    system_columns: Callable[[LoadSpec, Source, Target], dict[str, DataType]]
    change: Callable[[Load, Source, Target], Change]
    merges: bool = True  # by keys, so that a key has one row (or one open version)
    current: str = ""  # the condition of the rows that count as current, where closed ones are kept
