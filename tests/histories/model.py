"""What a load must do, in plain Python, by what the documentation says.

A load compares all rows of the source with the rows that are stored: an incremental one may read less, but the
histories bring nothing that it would miss. So the model knows no watermarks, and what a watermark passes by is a
difference. The exception is a load that was told by override_guards to keep what another SQL made: then the rows
behind one of `floors` stay.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timezone
from typing import Any

from tests.histories.definition import CONDITIONS, SQL, Row, SourceRow

Stored = dict[str, Any]  # a row of the target, names in lower case, instants in microseconds
OPEN_END = 253_402_214_400_000_000
AUDIT = ("_loaded_at", "_updated_at", "_job_run_id")
SYSTEM = (*AUDIT, "_sequence", "_watermark", "is_deleted", "deleted_at", "valid_from", "valid_to", "is_current")


@dataclass(frozen=True)
class Past:
    """What is known of the stored rows: the loader that made them, the columns that order them, and the log's tale.

    `order` is that of the stored sequences. `last` is the row of the last success that the run log has; `certain` is
    false where it has lost a later one, so that a refusal may be about what the log does not know.
    """

    pipeline: str = ""
    order: str = ""
    keys: tuple[str, ...] = ()
    last: Row | None = None
    certain: bool = True
    touched: bool = True
    last_order: str = ""


@dataclass(frozen=True)
class Asked:
    """The job parameters of a run."""

    override: bool = False
    refresh: str = ""  # named, all or empty
    reconcile: str = ""
    reload: bool = False
    dry_run: bool = False


@dataclass
class Verdict:
    """The tables that may come out, and why the load must, or may, refuse."""

    must: list[str] = field(default_factory=list)
    may: list[str] = field(default_factory=list)
    tables: list[list[Stored]] = field(default_factory=list)
    order: str = ""  # of the sequences that are stored afterwards


@dataclass(frozen=True)
class Situation:
    """All that a load meets. `source` is None where there is no such table; its rows have the values of Python.

    `columns` are those of the source, lower case; `stored` None: there is no target.
    """

    row: Row
    asked: Asked
    source: list[SourceRow] | None
    columns: list[str]
    stored: list[Stored] | None
    target_columns: list[str]
    past: Past
    run_start: int
    floors: tuple[Any, ...] = ()
    target_types: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # of the source's columns


def judge(at: Situation) -> Verdict:
    """What may come of the load."""
    verdict = Verdict(order=at.past.order)
    if at.source is None:
        verdict.must.append("there is no source")
        return verdict
    refreshed = _refreshed(at, verdict)
    first = refreshed or not at.stored
    _refuse_past(at, verdict, first=first)
    _refuse_asked(at, verdict)
    _refuse_columns(at, verdict)
    everything = _read(at)
    arrived, held = _judged(at.row, everything, verdict)
    _refuse_empty(at, verdict, arrived, refreshed=refreshed)
    arrived = _settled(at.row, arrived, verdict)
    _refuse_outside(at.row, verdict, arrived)
    if verdict.must:
        return verdict
    for floor in at.floors if not refreshed else ():
        some = [each for each in arrived if each[at.row.watermark] >= floor]
        verdict.tables.append(_loaded(at, some, everything, held, first, verdict))
    verdict.tables.append(_loaded(at, arrived, everything, held, first, verdict))
    return verdict


# --- refusals ---


def _refreshed(at: Situation, verdict: Verdict) -> bool:
    if not at.asked.refresh:
        return False
    if at.row.pipeline == "scd2":
        if at.asked.refresh == "named":
            verdict.must.append("full_refresh of a history")
        return False
    return True


def _refuse_past(at: Situation, verdict: Verdict, *, first: bool) -> None:
    """docs/changes.md, the rows of the decision table that refuse; and rows that no loader can go on from."""
    row, past = at.row, at.past
    if at.stored and (past.pipeline == "scd2") != (row.pipeline == "scd2"):
        verdict.must.append("a history and a table without one")
    if first:
        return
    stored = at.stored or []
    if row.merges and any(each["_job_run_id"] is None for each in stored):
        verdict.must.append("rows that no loader wrote")
    if row.merges and _doubled(row, stored):
        verdict.must.append("two rows of one key")
    if row.merges and any(key not in at.target_columns for key in row.key_columns):
        verdict.may.append("the table has no such key")
    if past.last is not None:
        _refuse_last(at, past.last, verdict.must if past.certain else verdict.may)
    elif past.keys and sorted(past.keys) != sorted(row.key_columns):
        verdict.may.append("other keys, and the log does not know")
    if row.merges and not at.asked.override:
        _refuse_order(at, verdict)


def _refuse_last(at: Situation, last: Row, refusals: list[str]) -> None:
    """The parts that the log tells of."""
    row, override = at.row, at.asked.override
    if row.merges and last.merges and sorted(last.key_columns) != sorted(row.key_columns):
        refusals.append("other keys")
    if row.history and last.history and row.history != last.history and not override:
        refusals.append("other columns make a version")
    other_sql = row.sql and last.sql and row.statement != last.statement and row.load_type == "incremental"
    if other_sql and not (override or at.asked.reload):
        refusals.append("other SQL")


def _refuse_order(at: Situation, verdict: Verdict) -> None:
    row, past = at.row, at.past
    sequences = any(each.get("_sequence") is not None for each in at.stored or [])
    if past.order and row.order and past.order != row.order and sequences:
        verdict.must.append("stored sequences are of another column")
    elif past.last is not None and past.last_order != row.order:
        verdict.may.append("another order than the last success had")
    elif row.order and _no_row_has_it(at):
        verdict.may.append("no row has its sequence in that column")


def _no_row_has_it(at: Situation) -> bool:
    """Whether no stored row has its sequence in the column of the order: a load that did not carry it left it."""
    both = [(each.get(at.row.order), each.get("_sequence")) for each in at.stored or []]
    known = [pair for pair in both if None not in pair]
    return bool(known) and all(value != sequence for value, sequence in known)


def _refuse_columns(at: Situation, verdict: Verdict) -> None:
    """The columns that cannot be taken, or may not be."""
    row, carried = at.row, at.row.carried(at.columns)
    new = [name for name in carried if name not in at.target_columns]
    if row.get("schema_evolution") == "fail" and at.stored is not None and new:
        verdict.must.append(f"schema_evolution fail and {new} are new")
    drops = [name for name in at.target_columns if name not in (*carried, *SYSTEM)]
    if row.get("schema_evolution") == "drop_columns" and row.get("replace_where") and drops:
        verdict.must.append("drop_columns with replace_where")
    known = at.past.certain and at.past.last is not None
    for system, column in (("_sequence", row.order), ("_watermark", row.watermark)):
        stored_as = at.target_types.get(system)
        if row.merges and not known and stored_as and at.kinds.get(column, "timestamp") != stored_as:
            verdict.may.append(f"{system} is stored as {stored_as}")


def _refuse_empty(at: Situation, verdict: Verdict, arrived: list[SourceRow], *, refreshed: bool) -> None:
    allowed = at.asked.override or at.row.get("on_empty_source", "fail") == "allow"
    counted = [each for each in at.stored or [] if at.row.pipeline != "scd2" or each.get("is_current")]
    if not arrived and counted and not allowed:
        full = refreshed or (at.row.load_type == "full" and at.past.last != at.row)  # the same may have nothing to read
        (verdict.must if full else verdict.may).append("nothing is read")


def _refuse_outside(row: Row, verdict: Verdict, arrived: list[SourceRow]) -> None:
    scope = CONDITIONS[row.get("replace_where")] if row.get("replace_where") else None
    if scope and any(not scope(each) for each in arrived if not _deletes(row, each)):
        verdict.must.append("rows outside of replace_where")


def _doubled(row: Row, stored: list[Stored]) -> bool:
    counted = [each for each in stored if row.pipeline != "scd2" or each.get("is_current")]
    if any(key not in each for each in counted for key in row.key_columns):
        return False
    return any(n > 1 for n in Counter(_key(row, each) for each in counted).values())


def _refuse_asked(at: Situation, verdict: Verdict) -> None:
    row, asked = at.row, at.asked
    senseless = not row.merges or row.get("source_mode") == "snapshot" or bool(row.get("where"))
    if asked.reconcile == "named" and senseless:
        verdict.must.append("reconcile of what cannot be reconciled")
    if asked.reload and row.load_type == "incremental" and _holds_no_time(at):
        verdict.must.append("reload_from of a watermark that holds no time")
    if row.load_type == "incremental" and row.get("lookback") and at.kinds.get(row.watermark) == "bigint":
        verdict.must.append("lookback of a watermark that holds no time")


def _holds_no_time(at: Situation) -> bool:
    return any(isinstance(each[at.row.watermark], int) and each[at.row.watermark] < 10_000 for each in at.source or [])


def _reconciles(at: Situation) -> bool:
    row = at.row
    if not row.merges or row.get("source_mode") == "snapshot" or row.get("where"):
        return False
    return bool(row.get("reconcile") or at.asked.reconcile)


# --- the rows of the source ---


def _read(at: Situation) -> list[SourceRow]:
    """The rows that the row's SQL makes of the source."""
    assert at.source is not None
    if not at.row.sql:
        return at.source
    made = map(SQL[at.row.sql][2], at.source)
    return [each for each in made if each is not None]


def _judged(row: Row, rows: list[SourceRow], verdict: Verdict) -> tuple[list[SourceRow], list[SourceRow]]:
    """The rows that `where` lets through and no expectation sets aside, and those that one does."""
    where = CONDITIONS[row.get("where")] if row.get("where") else None
    rows = [each for each in rows if where is None or where(each)]
    held = []
    if row.get("on_null_key") == "quarantine":
        held = [each for each in rows if any(each[key] is None for key in row.key_columns)]
        rows = [each for each in rows if each not in held]
    for kind, rules in row.get("expectations", {}).items():
        for rule in rules.values():
            broken = [each for each in rows if not CONDITIONS[rule](each)]
            if kind == "expect_or_fail" and broken:
                verdict.must.append("expect_or_fail")
            if kind in ("expect_or_drop", "expect_or_quarantine"):
                held += broken
                rows = [each for each in rows if each not in broken]
    null_keys = [each for each in rows if any(each[key] is None for key in row.key_columns)]
    if null_keys and row.get("on_null_key", "fail") == "fail":
        verdict.must.append("a key is NULL")
    return rows, held


def _settled(row: Row, rows: list[SourceRow], verdict: Verdict) -> list[SourceRow]:
    """One row per key: the latest by sequence."""
    if not row.key_columns:
        return rows
    by_key: dict[tuple[Any, ...], list[SourceRow]] = {}
    for each in rows:
        by_key.setdefault(_key(row, each), []).append(each)
    if all(len(own) == 1 for own in by_key.values()):
        return rows
    if not row.order:
        verdict.may.append("rows of a key without an order")
    return [max(own, key=lambda each: each[row.order]) if row.order else own[0] for own in by_key.values()]


def _deletes(row: Row, each: SourceRow) -> bool:
    condition = row.get("apply_as_deletes")
    return bool(condition) and CONDITIONS[condition](each)


# --- the table ---


def _loaded(
    at: Situation,
    rows: list[SourceRow],
    everything: list[SourceRow],
    held: list[SourceRow],
    first: bool,
    verdict: Verdict,
) -> list[Stored]:
    row, reconciles = at.row, _reconciles(at)
    stored = [] if first else [dict(each) for each in at.stored or []]
    carried = row.carried(at.columns)
    if not row.merges:
        return _overwritten(at, rows, carried, stored)
    forget = at.asked.override and not first and at.past.last is not None and at.past.last_order != row.order
    forget = forget and bool(at.past.last_order)
    if at.asked.override and not first and at.past.order and row.order and at.past.order != row.order:
        forget = True
    if forget:
        for each in stored:
            each["_sequence"] = None
    verdict.order = row.order or ("" if forget or first else at.past.order)
    load = Load(at, carried, first, stored, forget)
    missing = _missing(row, rows, everything, held, stored, reconciles)
    versioned = row.pipeline == "scd2"
    for each in rows:
        (load.version if versioned else load.upsert)(each)
    for key in missing:
        (load.vanish_version if versioned else load.vanish)(key, reconciles)
    return load.stored


def _overwritten(at: Situation, rows: list[SourceRow], carried: list[str], stored: list[Stored]) -> list[Stored]:
    row = at.row
    made = [{name: each[name] for name in carried} for each in rows if not _deletes(row, each)]
    scope = CONDITIONS[row.get("replace_where")] if row.get("replace_where") else None
    kept = [each for each in stored if scope is not None and not scope(each)]
    return [*made, *kept]


def _missing(
    row: Row,
    rows: list[SourceRow],
    everything: list[SourceRow],
    held: list[SourceRow],
    stored: list[Stored],
    reconciles: bool,
) -> list[tuple[Any, ...]]:
    """Keys that the table has and the source does not; one that is set aside is there."""
    snapshot = row.get("source_mode") == "snapshot"
    if not (snapshot or reconciles):
        return []
    there = {_key(row, each) for each in ([*rows, *held] if snapshot else everything)}
    return sorted({_key(row, each) for each in stored} - there, key=str)


@dataclass
class Load:
    """One load of a loader that merges, row by row."""

    at: Situation
    carried: list[str]
    first: bool
    stored: list[Stored]
    forget: bool

    @property
    def row(self) -> Row:
        return self.at.row

    def _sequence(self, each: SourceRow) -> Any:
        return each[self.row.order] if self.row.order else None

    def _watermark(self, each: SourceRow) -> Any:
        return each[self.row.watermark] if self.row.watermark else None

    def _compared(self) -> list[str]:
        order = {self.row.order, self.row.watermark, *self.row.key_columns}
        return [name for name in self.carried if name not in order]

    def _differs(self, each: SourceRow, there: Stored, names: Iterable[str]) -> bool:
        keeps = self.row.get("ignore_null_updates")
        return any(each[n] != there.get(n) and not (keeps and each[n] is None) for n in names)

    def _values(self, each: SourceRow, there: Stored | None) -> Stored:
        keeps = self.row.get("ignore_null_updates") and there is not None
        return {n: there.get(n) if keeps and there and each[n] is None else each[n] for n in self.carried}

    def _meta(self, each: SourceRow, there: Stored | None) -> Stored:
        old = there or {}
        sequence, watermark = self._sequence(each), self._watermark(each)
        return {
            "_sequence": old.get("_sequence") if sequence is None else sequence,
            "_watermark": old.get("_watermark") if watermark is None else watermark,
        }

    # scd1 and fact_incremental_merge

    def upsert(self, each: SourceRow) -> None:
        row, deletes = self.row, _deletes(self.row, each)
        there = next((old for old in self.stored if _key(row, old) == _key(row, each)), None)
        if there is None:
            if not deletes:
                self.stored.append({**self._values(each, None), **self._meta(each, None), "is_deleted": False})
            return
        sequence = self._sequence(each)
        if sequence is not None and there.get("_sequence") is not None and sequence < there["_sequence"]:
            return
        if deletes:
            mode = row.get("delete_mode", "soft")
            if mode == "hard":
                self.stored.remove(there)
            elif mode == "soft" and not there.get("is_deleted"):
                there.update(self._meta(each, there), is_deleted=True)
            return
        reordered = self.forget and sequence is not None
        changed = reordered or there.get("is_deleted") or self._differs(each, there, self._compared())
        if changed and not row.get("insert_only"):
            there.update(self._values(each, there), **self._meta(each, there), is_deleted=False)

    def vanish(self, key: tuple[Any, ...], reconciles: bool) -> None:
        mode = self.row.get("delete_mode", "soft") if reconciles else self.row.get("on_missing", "ignore")
        there = next(old for old in self.stored if _key(self.row, old) == key)
        if mode == "hard" and (not there.get("is_deleted")):
            self.stored.remove(there)
        elif mode == "hard":
            there["_may_go"] = True
        elif mode == "soft":
            there["is_deleted"] = True

    # scd2

    def _versions(self, key: tuple[Any, ...]) -> tuple[Stored | None, Stored | None]:
        """The open version of a key, and the last closed one."""
        own = [old for old in self.stored if _key(self.row, old) == key]
        closed = [old for old in own if not old["is_current"]]
        last = max(closed, key=lambda old: old["valid_to"]) if closed else None
        return next((old for old in own if old["is_current"]), None), last

    def _start(self, each: SourceRow | None, there: Stored | None, closed: Stored | None) -> int:
        run, old = self.at.run_start, there or closed
        sequence = self._sequence(each) if each else None
        at, watermark = instant(sequence), instant(self._watermark(each) if each else None)
        if old is None:
            given = self.row.get("first_version_from")
            if given and self.first:
                return int(datetime.fromisoformat(given).replace(tzinfo=timezone.utc).timestamp()) * 1_000_000
            return run if at is None else at
        after: int = there["valid_from"] if there else old["valid_to"]
        known = there["_sequence"] if there and there["_sequence"] is not None else (closed or {}).get("_sequence")
        if at is not None and (known is None or sequence > known) and at > after:
            return at
        if watermark is not None and watermark > after:
            return watermark
        return run if run > after else after + 1

    def version(self, each: SourceRow) -> None:
        row, deletes = self.row, _deletes(self.row, each)
        there, closed = self._versions(_key(row, each))
        old = there or closed
        sequence = self._sequence(each)
        if old is None:
            if not deletes:
                self._open(each, None, self._start(each, None, None))
            return
        known = there["_sequence"] if there and there["_sequence"] is not None else (closed or {}).get("_sequence")
        if sequence is not None and known is not None and sequence < known:
            return
        start = self._start(each, there, closed)
        if there is None:
            if not deletes:
                self._open(each, None, start)
            return
        if deletes:
            self._end(there, each, start)
            return
        tracked, untracked = self._tracked()
        if there["is_deleted"] or self._differs(each, there, tracked):
            values = self._values(each, there)
            self._close(there, start, deleted=bool(there["is_deleted"]))
            self._open(each, {**there, **values}, start)
        elif (self.forget and sequence is not None) or self._differs(each, there, untracked):
            changed = {n: v for n, v in self._values(each, there).items() if n in untracked}
            there.update(changed, **self._meta(each, there))

    def _end(self, there: Stored, each: SourceRow, start: int) -> None:
        mode = self.row.get("delete_mode", "soft")
        if mode == "ignore" or (mode == "new_record" and there["is_deleted"]):
            return
        kept, meta = {**there}, self._meta(each, there)
        self._close(there, start, deleted=True, meta=meta)
        if mode == "new_record":
            self.stored.append({**kept, **meta, "valid_from": start, "is_deleted": True})

    def vanish_version(self, key: tuple[Any, ...], reconciles: bool) -> None:
        mode = self.row.get("delete_mode", "soft") if reconciles else self.row.get("on_missing", "ignore")
        there, closed = self._versions(key)
        if there is None or there["is_deleted"] or mode == "ignore":
            return
        start = self._start(None, there, closed)
        kept = {**there}
        self._close(there, start, deleted=mode != "close")
        if mode == "new_record":
            self.stored.append({**kept, "valid_from": start, "is_deleted": True})

    def _tracked(self) -> tuple[list[str], list[str]]:
        only = [name.lower() for name in self.row.get("track_history_column_list", [])]
        without = [name.lower() for name in self.row.get("track_history_except_column_list", [])]
        compared = self._compared()
        tracked = [n for n in compared if (n in only if only else n not in without)]
        return tracked, [n for n in compared if n not in tracked]

    def _open(self, each: SourceRow, old: Stored | None, start: int) -> None:
        values = self._values(each, old) if old else self._values(each, None)
        self.stored.append(
            {
                **values,
                **self._meta(each, None),
                "valid_from": start,
                "valid_to": OPEN_END,
                "is_current": True,
                "is_deleted": False,
            }
        )

    @staticmethod
    def _close(there: Stored, start: int, *, deleted: bool, meta: Stored | None = None) -> None:
        there.update(valid_to=start, is_current=False, is_deleted=deleted, **(meta or {}))


def _key(row: Row, each: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(each.get(name) for name in row.key_columns)


def instant(value: Any) -> int | None:
    """A sequence's instant in microseconds; None where it holds no time."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return int(datetime(value.year, value.month, value.day, tzinfo=timezone.utc).timestamp()) * 1_000_000
    return value if isinstance(value, int) and value > 10_000 else None


# --- comparison ---


def compare(at: Situation, verdict: Verdict, found: list[Stored]) -> str:
    """What is wrong with a table; empty where it is one of those that may come out."""
    told = ""
    for expected in verdict.tables:
        wanted, there = _shown(at, expected), _shown(at, found)
        free = [each for each in expected if each.get("_may_go")]
        without = _shown(at, [each for each in expected if not each.get("_may_go")])
        if there == wanted or (free and there == without):
            return ""
        more, missing = there - wanted, wanted - there
        told = f"expected {sorted(map(str, missing.elements()))}, found {sorted(map(str, more.elements()))}"
    return told


def _shown(at: Situation, rows: list[Stored]) -> Counter[tuple[Any, ...]]:
    """The rows, by the columns that the loader answers for."""
    row = at.row
    carried = row.carried(at.columns)
    names = [*carried]
    if row.merges:
        names += [n for n in at.target_columns if n not in names and n not in SYSTEM]
        names += ["_sequence"] if row.order else []
    if row.pipeline == "scd2":
        names += ["valid_from", "valid_to", "is_current"]
    return Counter((*((n, each.get(n)) for n in names), ("is_deleted", bool(each.get("is_deleted")))) for each in rows)
