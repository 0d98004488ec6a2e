"""The identity of a load: what a load was made of, part by part, and what a difference to the last success means.

Each success writes its identity into the run log. The next load compares its own with it, and the decision table below
says for each part that differs: go on from the last success, read all of the source once, or refuse. The generator
compares what two versions of a row say, by the same table, and prints the decision before the change is merged.
Standard library only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from laketasks.spec import CHANGE_SOURCES, CdcSourceConfig, LoadSpec

CONTRACT = 1  # raise it when a release makes other rows of the same source rows
Identity = Mapping[str, Any]


class Decision(str, Enum):
    """What a load does about a part that is not that of the last success."""

    GO_ON = "go on"
    READ_ALL = "read all of the source once"
    REFUSE = "refuse"


GO_ON, READ_ALL, REFUSE = Decision


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of an identity and the row of the decision table that belongs to it.

    `full` and `incremental` are the decisions by load_type; a change feed is incremental. `overridable`: a run with
    override_guards goes on all the same. `differs` compares two values; None: they differ unless they are equal.
    `subject` begins the sentence of a message; by default the name.
    """

    name: str
    meaning: str
    subject: str = ""
    full: Decision
    incremental: Decision
    overridable: bool = False
    differs: Callable[[Any, Any], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A part that differs, with both values in words, and what the load does about it."""

    part: str
    subject: str
    before: str
    now: str
    decision: Decision
    remedy: str = ""
    overridden: bool = False

    @property
    def matters(self) -> bool:
        """Whether the load does anything else for it than go on."""
        return self.decision is not GO_ON

    def __str__(self) -> str:
        if self.part == "SQL":
            changed = "the SQL is another one"  # of which fingerprints tell a reader nothing
            return f"{changed}: {'let pass' if self.overridden else self.remedy or self.decision.value}"
        verbs = ("were", "are") if self.subject.endswith("s") or " columns " in self.subject else ("was", "is")
        changed = f"{self.subject} {verbs[0]} {self.before} and {verbs[1]} now {self.now}"
        if self.overridden:
            return f"{changed}: let pass by override_guards"
        if self.decision is REFUSE and self.remedy.startswith("so that"):
            return f"{changed}, {self.remedy}"
        return f"{changed}: {self.remedy if self.decision is REFUSE else self.decision.value}"


def _columns_added(before: Any, now: Any) -> bool:
    return not {str(name).lower() for name in now} <= {str(name).lower() for name in before}


def _other_tables(before: Any, now: Any) -> bool:
    """Whether a table that both name has another id, or a table came in; an id that is not known tells nothing."""
    known = {name: id_ for name, id_ in before.items() if id_ is not None}
    swapped = any(id_ not in (None, known[name]) for name, id_ in now.items() if name in known)
    return swapped or bool(now.keys() - before.keys())


def _set_and_other(before: Any, now: Any) -> bool:
    """Whether there was a value and it is another one now; a value that is new has nothing to contradict."""
    return bool(before) and before != now


def _both_and_other(before: Any, now: Any) -> bool:
    return bool(before) and bool(now) and before != now


PARTS: tuple[Part, ...] = (
    Part(
        name="pipeline",
        meaning="`execution_pipeline`, between a history (`scd2`) and a table without one",
        full=REFUSE,
        incremental=REFUSE,
        differs=lambda before, now: bool(before) and (before == "scd2") != (now == "scd2"),
    ),
    Part(
        name="keys",
        meaning="the keys that the loader merges on",
        subject="the keys",
        full=REFUSE,
        incremental=REFUSE,
        differs=_both_and_other,
    ),
    Part(
        name="history",
        meaning="the columns whose change makes a new version (`track_history_*`)",
        subject="the columns that make a version",
        full=REFUSE,
        incremental=REFUSE,
        overridable=True,
        differs=_both_and_other,
    ),
    Part(
        name="sequence_by",
        meaning="the columns that order the rows of a key, and their types",
        full=REFUSE,
        incremental=REFUSE,
        overridable=True,
        differs=_set_and_other,
    ),
    Part(
        name="SQL",
        subject="the SQL",
        meaning="the SQL file (its tokens: comments, layout and case do not count)",
        full=GO_ON,
        incremental=REFUSE,
        overridable=True,
        differs=_both_and_other,
    ),
    Part(
        name="source",
        meaning="the name of the source table, or SQL in its place",
        full=GO_ON,
        incremental=READ_ALL,
    ),
    Part(
        name="source tables",
        subject="the source tables",
        meaning="the ids of the tables that are read: one was swapped, or dropped and made again",
        full=GO_ON,
        incremental=READ_ALL,
        differs=_other_tables,
    ),
    Part(name="source_mode", meaning="`source_mode`", full=GO_ON, incremental=READ_ALL),
    Part(name="watermark", meaning="the watermark column and its type", full=GO_ON, incremental=READ_ALL),
    Part(name="where", meaning="`where`", full=GO_ON, incremental=READ_ALL),
    Part(name="apply_as_deletes", meaning="`apply_as_deletes`", full=GO_ON, incremental=READ_ALL),
    Part(
        name="columns",
        subject="the columns",
        meaning="a column that is carried for the first time (by the row, the SQL or the source)",
        full=GO_ON,
        incremental=READ_ALL,
        differs=_columns_added,
    ),
    Part(
        name="rules",
        meaning="a key of `cdc_source_config` that decides which rows come in and what they become",
        full=GO_ON,
        incremental=READ_ALL,
    ),
    Part(name="load_type", meaning="`load_type`", full=GO_ON, incremental=GO_ON),
    Part(
        name="target table",
        subject="the target",
        meaning="the target: dropped and made again, restored, or changed by somebody else",
        full=GO_ON,
        incremental=READ_ALL,
    ),
    Part(
        name="contract",
        meaning="a release that makes other rows of the same source rows",
        full=GO_ON,
        incremental=READ_ALL,
    ),
)
_RULES = (
    "delete_mode",
    "on_missing",
    "ignore_null_updates",
    "insert_only",
    "on_null_key",
    "on_null_sequence",
    "on_conflict",
    "expectations",
    "replace_where",
    "first_version_from",
)


def row_identity(spec: LoadSpec, keys: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts that the row alone decides; a load adds what it finds out about its source and target."""
    config = spec.cdc_source_config
    return {
        "contract": CONTRACT,
        "pipeline": spec.execution_pipeline,
        "keys": keys_of(spec, keys),
        "history": history_of(spec),
        "source": spec.source_table or "SQL",
        "SQL": spec.sql_fingerprint,
        "source_mode": config.source_mode,
        "sequence_by": ", ".join(config.sequence_by),
        "watermark": config.watermark,
        "where": config.where,
        "apply_as_deletes": config.apply_as_deletes,
        "columns": list(config.column_list),
        "rules": _rules_of(config),
        "load_type": spec.load_type,
    }


def keys_of(spec: LoadSpec, keys: tuple[str, ...]) -> str:
    """Return the keys in one form; empty for fact_overwrite, which merges on none."""
    return _listed(keys) if spec.execution_pipeline != "fact_overwrite" else ""


def history_of(spec: LoadSpec) -> str:
    """Return which columns make a version, in one form; empty for loaders that keep no history."""
    if spec.execution_pipeline != "scd2":
        return ""
    config = spec.cdc_source_config
    if config.track_history_column_list:
        return f"only {_listed(config.track_history_column_list)}"
    if config.track_history_except_column_list:
        return f"all except {_listed(config.track_history_except_column_list)}"
    return "all"


def row_differences(
    before: LoadSpec, now: LoadSpec, keys: tuple[tuple[str, ...], tuple[str, ...]]
) -> tuple[Difference, ...]:
    """Compare two versions of a row, as far as the rows alone tell; `keys` are those of both."""
    old, new = row_identity(before, keys[0]), row_identity(now, keys[1])
    listed = (before.cdc_source_config.column_list, now.cdc_source_config.column_list)
    dropped = (set(before.cdc_source_config.except_column_list), set(now.cdc_source_config.except_column_list))
    if bool(listed[0]) != bool(listed[1]) or not listed[0]:  # which columns there are only the source tells
        more = (bool(listed[0]) and not listed[1]) or bool(dropped[0] - dropped[1])
        old["columns"], new["columns"] = [], ["columns that were left out"] if more else []
    return differences(old, new, now)


def differences(before: Identity, now: Identity, spec: LoadSpec, *, overridden: bool = False) -> tuple[Difference, ...]:
    """Return the parts of `now` that differ from the last success, in the order of the table, with the decisions.

    A part that the last success did not record tells nothing, except that its contract was another one.
    """
    found = []
    for part in PARTS:
        old, new = before.get(part.name), now.get(part.name)
        if part.name == "contract":
            old = old or 0
        if old is None or new is None or not (part.differs or _unequal)(old, new):
            continue
        decision = _decision(part, spec)
        passes = overridden and decision is REFUSE and _may_override(part, spec)
        found.append(
            Difference(
                part=part.name,
                subject=part.subject or part.name,
                before=shown(old),
                now=shown(new),
                decision=decision,
                remedy=_remedy(part, spec) if decision is REFUSE else "",
                overridden=passes,
            )
        )
    return tuple(found)


def _unequal(before: Any, now: Any) -> bool:
    return bool(before != now)


def _decision(part: Part, spec: LoadSpec) -> Decision:
    if spec.execution_pipeline == "fact_overwrite" and part.name == "sequence_by":
        return GO_ON  # every load replaces the rows and their order
    if part.name == "source_mode" and spec.cdc_source_config.source_mode == "cdf":
        return READ_ALL
    return part.incremental if spec.load_type == "incremental" else part.full


def _may_override(part: Part, spec: LoadSpec) -> bool:
    """Return whether override_guards lets a difference pass; events cannot be put in order without the stored one."""
    by_changes = spec.cdc_source_config.source_mode in CHANGE_SOURCES
    return part.overridable and not (part.name == "sequence_by" and by_changes)


def _remedy(part: Part, spec: LoadSpec) -> str:
    """Return what helps against a refusal, for this loader; each of these was tried."""
    versioned = spec.execution_pipeline == "scd2"
    rebuild = "load into a new table" if versioned else "run once with full_refresh, or load into a new table"
    override = "run once with override_guards"
    if part.name == "pipeline":
        if versioned:
            return "its rows have no versions; adopt the table, or load into a new one"
        return "it would lose the history that only this table has; load into a new table"
    if part.name == "keys":
        return f"so that rows would be doubled; {rebuild}"
    if part.name == "history":
        return f"if that is meant, {override}: the stored versions stay as they are, new ones follow the new rule"
    if part.name == "sequence_by":
        if not _may_override(part, spec):
            return f"the stored order cannot be compared with the new one; {rebuild}"
        return f"the stored order cannot be compared with the new one; {override} to forget it, or {rebuild}"
    refresh = "" if versioned else "full_refresh makes the table again, "
    return (
        f"an incremental read leaves the loaded rows as the old SQL made them; run once with one of these: {refresh}"
        "reload_from reads all again from a time, override_guards keeps the loaded rows as they are"
    )


def shown(value: Any) -> str:
    """Return a part's value in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} ({id_ or 'unknown id'})" for name, id_ in sorted(value.items())) or "none"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value) or "none"


def table() -> str:
    """Return the decision table as Markdown, for the documentation."""
    head = ["part", "what differs", "`full`", "`incremental`, `cdf`", "`override_guards` lets it pass"]
    lines = [head, ["---"] * len(head)]
    for part in PARTS:
        refuses = REFUSE in (part.full, part.incremental)
        passes = "yes" if part.overridable else "no" if refuses else ""
        lines.append([part.name, part.meaning, part.full.value, part.incremental.value, passes])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def encode(identity: Identity) -> str:
    """Return the text that the run log keeps."""
    return json.dumps(identity, sort_keys=True, ensure_ascii=False)


def decode(text: str | None) -> dict[str, Any]:
    """Read the run log's text; empty where there is none, or where it is not an identity."""
    try:
        value = json.loads(text or "{}")
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def metadata_hash(spec: LoadSpec) -> str:
    """Return 32 hexadecimal digits for what the metadata row says, and for the contract that carries it out."""
    told = {**spec.to_parameters(), "": str(CONTRACT)}
    told.pop("comment", None)
    return hashlib.md5(json.dumps(told, sort_keys=True).encode(), usedforsecurity=False).hexdigest()


def _rules_of(config: CdcSourceConfig) -> str:
    given = config.to_dict()
    rules = {name: given[name] for name in _RULES if name in given}
    if rules.get("delete_mode") != "ignore":
        rules.pop("delete_mode", None)  # a delete that was applied stays applied in the old way
    return json.dumps(rules, sort_keys=True) if rules else ""


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(sorted(name.strip("`").lower() for name in names))
