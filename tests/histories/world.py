"""A source, a target, a run log and a metadata row, and what happens to them between two runs."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from laketasks.entry import load_table
from laketasks.error import EngineError, LoadError
from laketasks.spec import SpecError
from laketasks.sql import micros
from laketasks.sql_fingerprint import fingerprint
from tests.histories.definition import SQL, Row, SourceRow, changed_row, first_row
from tests.histories.model import Asked, Past, Situation, Stored, Verdict, compare, judge
from tests.laketasks.between import insert_by_hand, restore, swap
from tests.laketasks.warehouse import R, T, Warehouse

BY_HAND = 9  # the key that insert_by_hand uses
KINDS = ("timestamp", "timestamp", "date", "bigint")

# Sail 0.7 keeps the schema of a table that was dropped or restored behind its back, and then cannot read the new one.
SAIL_LIMITS = ("is not available in Delta file scan schema", "schema evolution not yet implemented")


@dataclass(frozen=True)
class Truth:
    """Who made the rows of a version of the target, and by which column their sequences are."""

    pipeline: str = ""
    order: str = ""
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class Success:
    """A success that the run log has: its row, and the watermark that it reached."""

    row: Row
    mark: Any


@dataclass
class World:
    warehouse: Warehouse
    dice: random.Random
    late: bool = False
    kind: str = "timestamp"
    offset: int = 49
    row: Row = field(default_factory=lambda: Row("scd1"))
    rows: dict[int | None, SourceRow] = field(default_factory=dict)
    clock: int = 50
    has_x: bool = False
    spelled: dict[str, str] = field(default_factory=dict)
    source_there: bool = False
    logged: list[Success] = field(default_factory=list)  # the successes that the run log has
    certain: bool = True
    truth: Truth = field(default_factory=Truth)
    finals: list[tuple[int, Truth]] = field(default_factory=list)  # versions of the target that may be restored
    floors: list[Any] = field(default_factory=list)  # behind which rows stay as another SQL made them
    refused: bool = False
    inserted: bool = False
    over: bool = False
    told: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    @classmethod
    def begin(cls, warehouse: Warehouse, dice: random.Random) -> World:
        world = cls(warehouse, dice, late=dice.random() < 0.4, kind=dice.choice(KINDS), offset=dice.choice([-49, 49]))
        world.row = first_row(dice, late=world.late)
        for key in range(1, dice.randint(3, 5)):
            world.rows[key] = world._fresh(key)
        world._bring()
        world._tell(f"late {world.late}, {world.kind}, w is u {world.offset:+}; {world.row}")
        return world

    # --- the source ---

    def _stamp(self, clock: int) -> Any:
        moment = T(clock)
        return {"timestamp": micros(moment), "date": moment.date(), "bigint": clock}[self.kind]

    def _times(self, clock: int) -> SourceRow:
        return {"u": self._stamp(clock), "w": self._stamp(clock + self.offset), "arr": micros(T(clock))}

    def _fresh(self, key: int | None, clock: int | None = None) -> SourceRow:
        if clock is None:
            self.clock += 1
        dice = self.dice
        return {
            "id": key,
            "v": dice.choice(["a", "b", "c", None]),
            "r": dice.choice(["N", "N", "S", "W"]),
            "n": dice.choice([1, 3, 7, 9, None]),
            "gone": False,
            "x": dice.choice(["k", "l", None]),
            **self._times(clock or self.clock),
        }

    @property
    def _columns(self) -> list[tuple[str, str]]:
        kinds = {"id": "bigint", "v": "string", "r": "string", "n": "bigint", "u": self.kind, "w": self.kind}
        kinds |= {"arr": "timestamp", "gone": "boolean", **({"x": "string"} if self.has_x else {})}
        return list(kinds.items())

    def _bring(self, name: str = "", commits: int = 1) -> None:
        """Let the source table be the rows; its columns come in any order and case."""
        if not self.spelled or not self.source_there:  # a table that is there keeps its spelling
            order = [c for c, _ in self._columns]
            if self.dice.random() < 0.3:
                self.dice.shuffle(order)
            self.spelled = {c: c.upper() if self.dice.random() < 0.1 else c for c in order}
        kinds = dict(self._columns)
        self.spelled |= {c: c for c in kinds if c not in self.spelled}
        columns = [(c, kinds[c]) for c in self.spelled]
        told = ", ".join(f"{self.spelled[c]} {kind}" for c, kind in columns)
        rows = [tuple(each[c] for c, _ in columns) for each in self.rows.values()]
        for _ in range(commits):
            self.warehouse.source(told, *rows, name=name or self.row.source)
        if not name:
            self.source_there = True

    def _arrive(self) -> str:
        """Change the rows as a source does: what changes has a later watermark than all that came before."""
        dice, done = self.dice, []
        for _ in range(dice.randint(1, 3)):
            live = [key for key in self.rows if key is not None]
            key = dice.choice(live) if live else 1
            there = self.rows.get(key)
            actions = ["insert", "change", "change", "change", "delete", "vanish", "bump", "revive"]
            actions += ["late", "unmoved delete", "unmoved change"] if self.late else []
            actions += ["null key"] if dice.random() < 0.1 else []
            act = dice.choice(actions) if there else "insert"
            if act == "insert":
                key = next(k for k in range(1, 30) if k not in self.rows and k != BY_HAND)
                self.rows[key] = self._fresh(key)
            elif act == "null key":
                self.rows[None] = self._fresh(None)
            elif there is None or act == "vanish":
                self.rows.pop(key, None)
            else:
                self._alter(there, act)
            done.append(f"{act} {key}")
        self.rows.pop(None, None) if dice.random() < 0.5 else None
        return ", ".join(done)

    def _alter(self, there: SourceRow, act: str) -> None:
        before = {"u": there["u"], "w": there["w"]}
        self.clock += 1
        there |= self._times(self.clock)
        if act in ("change", "late", "unmoved change"):
            name = self.dice.choice(["v", "n", "r", "x"])
            there[name] = self._fresh(None, 1)[name]
        if act in ("delete", "unmoved delete"):
            there["gone"] = True
        if act == "revive":
            there["gone"] = False
        if act.startswith("unmoved"):
            there |= before
        if act == "late":
            old = self._times(self.dice.randint(50, self.clock))
            there |= {"u": old["u"], "w": old["w"]}

    def _behind(self) -> None:
        """Change the rows as another table does: what differs has times from long ago."""
        for _ in range(self.dice.randint(1, 3)):
            keys = [k for k in self.rows if k is not None]
            if keys and self.dice.random() < 0.5:
                self.rows[self.dice.choice(keys)]["v"] = self.dice.choice(["p", "q"])
            else:
                key = next(k for k in range(1, 30) if k not in self.rows and k != BY_HAND)
                self.rows[key] = self._fresh(key, 50)

    # --- what happens between two runs ---

    def between(self, runs: int) -> Asked:
        """Let chance do something to each of them, but before the first run; the job parameters of the next."""
        dice = self.dice
        if not runs:
            return Asked()
        if self.refused and dice.random() < 0.7:
            return self._remedied()
        if dice.random() < 0.12:
            self._tell("nothing happens")
            return Asked()
        for _ in range(dice.choice([0, 0, 1, 1, 2])):
            self._change_row()
        if dice.random() < 0.08:
            return self._for_all()
        acts: list[tuple[float, Callable[[], str]]] = [
            (0.1, self._restore),
            (0.04, self._drop_target),
            (0.12, self._edit_target),
            (0.08, self._swap),
            (0.05, self._rename),
            (0.05, self._remake),
            (0.02, self._drop_source),
            (0.04, self._empty_source),
            (0.04, self._add_column),
            (0.06, self._lose_log),
        ]
        if not self.source_there:
            self._bring()
        elif dice.random() < 0.7:
            self._tell(self._arrive())
            self._bring()
        for chance, act in acts:
            if dice.random() < chance:
                self._tell(act())
        return self._parameters()

    def _parameters(self) -> Asked:
        dice = self.dice
        row = self.row
        reconciles = row.merges and row.get("source_mode") != "snapshot" and not row.get("where")
        named = dice.random() < 0.1  # where it makes no sense, too
        return Asked(
            override=dice.random() < 0.08,
            refresh="named" if dice.random() < 0.05 and (row.pipeline != "scd2" or named) else "",
            reconcile="named" if dice.random() < 0.06 and (reconciles or named) else "",
            reload=dice.random() < 0.05 and (self.kind != "bigint" or named),
            dry_run=dice.random() < 0.06,
        )

    def _for_all(self) -> Asked:
        """A run that asks all of its tables for something, whether it makes sense for this one or not."""
        asked = self.dice.choice(["refresh", "reconcile"])
        return Asked(refresh="all" if asked == "refresh" else "", reconcile="all" if asked == "reconcile" else "")

    def _change_row(self) -> None:
        self.row, what = changed_row(self.dice, self.row, late=self.late)
        self._tell(f"{what}: {self.row}")

    def _remedied(self) -> Asked:
        """What a refusal names as its remedy, or the row as it was."""
        dice = self.dice
        if self.inserted and "id" in self._target_columns():
            self._sql(f"DELETE FROM {self.warehouse.target} WHERE id = {BY_HAND}")
            self.inserted = False
            self._tell("what was inserted by hand is deleted")
        if not self.source_there or not self.rows:
            self.rows[1] = self._fresh(1)
            self._bring()
        remedies = ["override", "refresh", "reload"]
        remedy = dice.choice([*remedies, *(["row", "row"] if self.logged else [])])
        if remedy == "row":
            before = self.logged[-1].row
            self.row = replace(before, source=self.row.source)
            self._tell(f"the row as before: {self.row}")
        return Asked(
            override=remedy == "override", refresh="named" if remedy == "refresh" else "", reload=remedy == "reload"
        )

    def _restore(self) -> str:
        latest = max((version for version, _ in self.finals), default=-1)
        older = [final for final in self.finals if final[0] < latest]
        if not older:
            return "nothing to restore"
        version, truth = self.dice.choice(older)
        restore(self.warehouse, version)
        self.truth = truth
        self._keep()
        return f"target restored to version {version}"

    def _drop_target(self) -> str:
        if not self._target_there():
            return "no target to drop"
        self._sql(f"DROP TABLE {self.warehouse.target}")
        shutil.rmtree(self.warehouse.target_folder, ignore_errors=True)
        self.finals, self.truth, self.floors, self.inserted = [], Truth(), [], False
        return "target dropped"

    def _edit_target(self) -> str:
        stored = self._stored()
        if not stored or not {"id", "v"} <= stored[0].keys():
            return "no row to edit"
        key = self.dice.choice([each["id"] for each in stored])
        which = f"id = {key}" if key is not None else "id IS NULL"
        act = self.dice.choice(["insert", "update", "delete", "delete all"])
        if act == "insert" and any(each["id"] == BY_HAND for each in stored):
            return "inserted before"
        if act == "insert":
            insert_by_hand(self.warehouse)
            self.inserted = True
        elif act == "update":
            self._sql(f"UPDATE {self.warehouse.target} SET v = 'by hand' WHERE {which}")
        elif act == "delete":
            self._sql(f"DELETE FROM {self.warehouse.target} WHERE {which}")
        elif self.dice.random() < 0.3:
            self._sql(f"DELETE FROM {self.warehouse.target} WHERE true")
            self.inserted = False
        else:
            return "not edited"
        self._keep()
        return f"target: {act} {key} by hand"

    def _swap(self) -> str:
        if not self.source_there:
            return "no source to swap"
        name = self.row.source
        log = self.warehouse.workspace.joinpath(*self.warehouse.bronze, name, "_delta_log")
        commits = max(1, len(list(log.glob("*.json"))))
        self._behind()
        self._bring("green", commits)
        swap(self.warehouse, name, "green")
        for left in ("green", f"{name}_old"):
            self._sql(f"DROP TABLE IF EXISTS {self.warehouse.bronze_table(left)}")
            if self.warehouse.bronze[0] != "spark_catalog":  # which keeps the folder of a table that it renames
                shutil.rmtree(self.warehouse.workspace.joinpath(*self.warehouse.bronze, left), ignore_errors=True)
        return f"source swapped after {commits} commits"

    def _rename(self) -> str:
        if self.source_there:
            self._drop_source()
        self._behind()
        self.row = replace(self.row, source="other" if self.row.source == "source" else "source")
        self._bring()
        return f"source is {self.row.source} now"

    def _remake(self) -> str:
        if self.source_there:
            self._drop_source()
        self._behind()
        self._bring(commits=self.dice.randint(1, 3))
        return "source dropped and made again"

    def _drop_source(self) -> str:
        if not self.source_there:
            return "no source to drop"
        self._sql(f"DROP TABLE {self.warehouse.bronze_table(self.row.source)}")
        folder = self.warehouse.workspace.joinpath(*self.warehouse.bronze, self.row.source)
        shutil.rmtree(folder, ignore_errors=True)
        self.source_there = False
        return "source dropped"

    def _empty_source(self) -> str:
        if not self.source_there:
            return "no source to empty"
        self.rows.clear()
        self._bring()
        return "source emptied"

    def _add_column(self) -> str:
        self.has_x = True
        if self.source_there:
            for each in self.rows.values():
                self._alter(each, "bump")
            self._bring()
        return "source has x"

    def _lose_log(self) -> str:
        if not self.logged:
            return "no log to lose"
        log, target = self.warehouse.run_log, self.warehouse.target
        if self.dice.random() < 0.5:
            self._sql(f"DELETE FROM {log} WHERE target = '{target}'")
            self.logged, self.certain = [], False
            return "run log lost"
        where = f"status = 'SUCCESS' AND target = '{target}'"
        last_first = f"SELECT job_run_id FROM {log} WHERE {where} ORDER BY ended_at DESC LIMIT 1"
        last = self.warehouse.spark.sql(last_first).collect()[0][0]
        self._sql(f"DELETE FROM {log} WHERE job_run_id = '{last}'")
        self.logged.pop()
        self.certain = False
        return "last row of the run log lost"

    # --- one run ---

    def run(self, asked: Asked) -> str:
        """Load, and compare with the model; what is wrong, or nothing."""
        stored, columns = self._stored(), self._target_columns()
        commits = self.warehouse.commits()
        parameters = self._task(asked)
        at = self._situation(asked, stored, columns, self.warehouse.runs)
        verdict = judge(at)
        self._tell(f"run {self.warehouse.runs}, {asked}, {self.past}, must {verdict.must}, may {verdict.may}")
        try:
            load_table(parameters)
            error = ""
        except Exception as trace:  # of which the reader of the test is to see the history
            error = f"{type(trace).__name__}: {trace}"
            if not isinstance(trace, (LoadError, SpecError)) or isinstance(trace, EngineError):
                return self.stopped(error)
        found = self._stored()
        if error:
            self._tell(f"refused: {error}")
        self._count("refused" if error else "dry" if asked.dry_run else "done")
        if error or asked.dry_run:
            self.refused = bool(error)
            if (found, self.warehouse.commits()) != (stored, commits):
                return "the table was written to by a load that refused, or a dry run"
            return "" if not error or verdict.must or verdict.may else f"refused for no reason: {error}"
        self.refused = False
        if verdict.must:
            return f"not refused although {verdict.must}"
        return self._judge(at, verdict, found or [])

    def stopped(self, error: str) -> str:
        """What an engine did not do is wrong, but for what Sail cannot; that ends the sequence."""
        self.over = any(limit in error for limit in SAIL_LIMITS)
        if not self.over:
            return f"{error}, target {self._target_types()}"
        self._count("ended by Sail")
        return ""

    def _judge(self, at: Situation, verdict: Verdict, found: list[Stored]) -> str:
        logged = self.warehouse.last_row()
        self._tell(f"read {logged['read']} since {logged['watermark_from']}: {logged['decision']}")
        if logged["read"] == 0:
            self._count("of which read nothing")
        if logged["watermark_from"] is None and logged["read"]:
            verdict.tables = verdict.tables[-1:]
            self.floors = []
        wrong = compare(replace(at, target_columns=self._target_columns()), verdict, found)
        self.truth = Truth(self.row.pipeline, verdict.order, self.row.key_columns)
        self.logged.append(Success(self.row, self._mark_of(logged["watermark_to"])))
        self.certain = True
        self._keep()
        return wrong

    def _situation(self, asked: Asked, stored: list[Stored] | None, columns: list[str], run: int) -> Situation:
        source = [name for name, _ in self._columns if not (self.row.sql and name == "x")]
        last = self.logged[-1] if self.logged else None
        if self.row.load_type != "incremental" or (last and last.row.watermark != self.row.watermark):
            self.floors = []
        elif last and last.mark is not None and stored and asked.override and self._other_sql(last.row):
            self.floors = [last.mark, *self._earlier(last.mark)]
        return Situation(
            row=self.row,
            asked=asked,
            source=[dict(each) for each in self.rows.values()] if self.source_there else None,
            columns=source,
            stored=stored,
            target_columns=columns,
            target_types=self._target_types(),
            kinds=dict(self._columns),
            past=self.past,
            run_start=micros(R(run)),
            floors=tuple(self.floors),
        )

    def _other_sql(self, before: Row) -> bool:
        return bool(self.row.sql and before.sql) and self.row.statement != before.statement

    @property
    def past(self) -> Past:
        last = self.logged[-1].row if self.logged else None
        return Past(
            pipeline=self.truth.pipeline,
            order=self.truth.order,
            keys=self.truth.keys,
            last=last,
            certain=self.certain,
            last_order=last.order if last else "",
        )

    def _earlier(self, mark: Any) -> list[Any]:
        """Where a read begins that looks back two days."""
        if self.kind == "bigint" and mark < 10_000:
            return []
        return [mark - (2 * 86_400_000_000 if isinstance(mark, int) else timedelta(days=2))]

    def _mark_of(self, text: str | None) -> Any:
        if text is None or text.isdigit():
            return int(text) if text else None
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return micros(moment) if moment.tzinfo else moment.date()

    def _task(self, asked: Asked) -> dict[str, str]:
        row, warehouse = self.row, self.warehouse
        table = warehouse.bronze_table(row.source)
        given: dict[str, Any] = {"keys": row.keys, "load_type": row.load_type, "source_name": row.source}
        told = {"reads": json.dumps([table]), "sql_repeatable": "true"} if row.sql else {}
        if row.sql:
            text = SQL[row.sql][1].format(table=table)
            path = warehouse.workspace / "row.sql"
            path.write_text(text, encoding="utf-8")
            given["sql_file_path"] = str(path)
            told["sql_fingerprint"] = fingerprint(text)
        words = {"named": warehouse.table_name, "all": "all", "": ""}
        asks = {
            "override_guards": warehouse.table_name if asked.override else "",
            "full_refresh": words[asked.refresh],
            "reconcile": words[asked.reconcile],
            "reload_from": f"{warehouse.table_name}=1900-01-01" if asked.reload else "",
            "dry_run": "true" if asked.dry_run else "",
        }
        told |= {name: value for name, value in asks.items() if value}
        return {**warehouse.parameters(row.pipeline, **given, **row.config), **told}

    # --- the target as it is ---

    def _target_there(self) -> bool:
        return (self.warehouse.target_folder / "_delta_log").is_dir()

    def _stored(self) -> list[Stored] | None:
        """The target's rows, names in lower case; None where there is no target."""
        if not self._target_there():
            return None
        frame = self.warehouse.spark.table(self.warehouse.target)
        select = [
            f"unix_micros(`{name}`) AS `{name.lower()}`" if kind == "timestamp" else f"`{name}` AS `{name.lower()}`"
            for name, kind in frame.dtypes
        ]
        rows = [row.asDict() for row in frame.selectExpr(*select).collect()]
        return sorted(rows, key=str)

    def _target_columns(self) -> list[str]:
        return list(self._target_types())

    def _target_types(self) -> dict[str, str]:
        if not self._target_there():
            return {}
        return {name.lower(): kind for name, kind in self.warehouse.spark.table(self.warehouse.target).dtypes}

    def _keep(self) -> None:
        """Remember the version of the target as one that may be restored."""
        logs = (self.warehouse.target_folder / "_delta_log").glob("*.json")
        version = max((int(path.stem) for path in logs if path.stem.isdigit()), default=-1)
        if version >= 0 and (version, self.truth) not in self.finals:
            self.finals.append((version, self.truth))

    def _sql(self, statement: str) -> None:
        self.warehouse.spark.sql(statement).collect()

    def _tell(self, line: str) -> None:
        self.told.append(line)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1
