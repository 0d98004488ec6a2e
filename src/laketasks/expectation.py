"""Expectations: conditions that the source's rows should meet, as in Spark Declarative Pipelines.

NULL does not meet one. `expect` counts, `expect_or_drop` leaves the row out, `expect_or_fail` stops the load before it
writes, and `expect_or_quarantine` sets the row aside in `<table>_quarantine`, with the names of what it did not meet.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from laketasks.error import GuardError
from laketasks.quarantine import RULES, quarantine_of
from laketasks.spec import CdcSourceConfig, LoadSpec
from laketasks.sql import all_of, one_expression, quote, text

_NULL_KEY = "key is not null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The rows that go on, those set aside (None: there are none), and how many of each were left out.

    `keys` are those of all rows of a snapshot from which rows were left out: their keys are not missing.
    """

    frame: DataFrame
    keys: DataFrame | None = None
    aside: DataFrame | None = None
    dropped: int = 0
    quarantined: int = 0
    notes: tuple[str, ...] = ()


def judge(frame: DataFrame, spec: LoadSpec, keys: tuple[str, ...]) -> Judged:
    """Count what does not meet its expectations and split the rows; raises GuardError for expect_or_fail."""
    rules = _rules(spec.cdc_source_config, keys)
    if not rules:
        return Judged(frame=frame)
    drop, aside = (_all_met(rules, kind) for kind in ("expect_or_drop", "expect_or_quarantine"))
    each = [F.expr(f"count_if(NOT {_met(rule)}) AS n_{i}") for i, (_, _, rule) in enumerate(rules)]
    sums = [F.expr(f"count_if(NOT {aside}) AS aside"), F.expr(f"count_if({aside} AND NOT {drop}) AS dropped")]
    found = frame.agg(*each, *sums).collect()[0]
    broken = [(kind, name, found[f"n_{i}"]) for i, (kind, name, _) in enumerate(rules) if found[f"n_{i}"]]
    notes = tuple(f"{kind} {name}: {rows} rows do not meet it" for kind, name, rows in broken)
    if any(kind == "expect_or_fail" for kind, _, _ in broken):
        said = "; ".join(note for note in notes if note.startswith("expect_or_fail"))
        raise GuardError(f"{spec.target_table}: {said}. Repair the source, or set the expectation to another kind")
    if found["aside"]:
        quarantine_of(frame.sparkSession, spec.target_table)  # refuses another table, before anything is written
    left_out = spec.cdc_source_config.source_mode == "snapshot" and (found["aside"] or found["dropped"])
    return Judged(
        frame=frame.where(f"{aside} AND {drop}"),
        keys=_all_keys(frame, keys) if left_out else None,
        aside=frame.where(f"NOT {aside}").selectExpr("*", _names_of_broken(rules)) if found["aside"] else None,
        dropped=found["dropped"],
        quarantined=found["aside"],
        notes=notes,
    )


def _all_keys(frame: DataFrame, keys: tuple[str, ...]) -> DataFrame:
    spelled = {name.lower(): name for name in frame.columns}
    return frame.select(*(quote(spelled[key.lower()]) for key in keys)).distinct()


def kept(spec: LoadSpec, keys: tuple[str, ...]) -> str:
    """The condition of the rows that are neither dropped nor set aside."""
    rules = _rules(spec.cdc_source_config, keys)
    return " AND ".join(_all_met(rules, kind) for kind in ("expect_or_drop", "expect_or_quarantine"))


def _rules(config: CdcSourceConfig, keys: tuple[str, ...]) -> list[tuple[str, str, str]]:
    """(kind, name, condition) of every expectation; NULL keys are one where on_null_key is quarantine."""
    rules = [(kind, name, rule) for kind, named in config.expectations.items() for name, rule in named.items()]
    if config.on_null_key == "quarantine" and keys:
        rules.append(("expect_or_quarantine", _NULL_KEY, all_of(f"{quote(key)} IS NOT NULL" for key in keys)))
    return rules


def _names_of_broken(rules: list[tuple[str, str, str]]) -> str:
    names = (f"IF({_met(rule)}, NULL, {text(name)})" for kind, name, rule in rules if kind == "expect_or_quarantine")
    return f"concat_ws(', ', {', '.join(names)}) AS {RULES}"


def _met(rule: str) -> str:
    return f"coalesce({one_expression(rule)}, false)"


def _all_met(rules: list[tuple[str, str, str]], kind: str) -> str:
    return f"({all_of(_met(rule) for own, _, rule in rules if own == kind)})"
