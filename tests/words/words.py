"""One value for each key of cdc_source_config, and the rows that it needs to make a difference."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from generator.combinations import Case, combination_problems
from laketasks.entry import load_table
from laketasks.error import LoadError
from laketasks.load import LOADERS
from laketasks.spec import CdcSourceConfig, LoadSpec, SpecError, parse_config
from tests.laketasks.warehouse import T, Warehouse

COLUMNS = "id bigint, v string, w string, n bigint, region string, gone boolean, u timestamp, arr timestamp"
COMMON: dict[str, Any] = {"sequence_by": "u", "watermark": "arr", "apply_as_deletes": "gone"}
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A key with a value that is not its default.

    `beside` is what it needs to act, `nights` the rows, by night; the rows that are `refused` come in a last night.
    """

    value: Any
    beside: dict[str, Any] = field(default_factory=dict)
    nights: tuple[tuple[Row, ...], ...] = ()
    refused: tuple[Row, ...] = ()
    extra_column: bool = False
    load_type: str = ""


def row(key: int | None, day: float, *, v: str | None = "a", w: str = "b", gone: bool = False, **more: Any) -> Row:
    given = {"n": key, "region": "S" if key in OTHER_REGION else "N", "u": T(day), "arr": T(day), **more}
    return (key, v, w, given["n"], given["region"], gone, given["u"], given["arr"])


OTHER_REGION = (2, 30)
MANY = tuple(row(100 + i, 1) for i in range(120))
WORDS: dict[str, Word] = {
    "source_mode": Word(value="snapshot", nights=((row(20, 1),), ())),
    "sequence_by": Word(
        value="u",
        nights=((row(21, 2),), (row(21, 1, v="old", arr=T(5)), row(21, 1.5, v="late", arr=T(1)))),
    ),
    "watermark": Word(value="arr", nights=((row(22, 1, arr=T(3)),), (row(22, 2, arr=T(6)),)), load_type="incremental"),
    "apply_as_deletes": Word(value="gone", nights=((row(23, 1),), (row(23, 4, gone=True),))),
    "delete_mode": Word(value="ignore", nights=((row(24, 1),), (row(24, 4, gone=True),))),
    "on_missing": Word(value="soft", beside={"source_mode": "snapshot"}, nights=((row(25, 1),), ())),
    "column_list": Word(value=["v", "n", "region"]),
    "except_column_list": Word(value=["w"]),
    "track_history_column_list": Word(value=["v"], nights=((row(26, 1),), (row(26, 4, n=99),))),
    "track_history_except_column_list": Word(value=["n", "u", "arr"], nights=((row(27, 1),), (row(27, 4, n=99),))),
    "ignore_null_updates": Word(value=True, nights=((row(28, 1),), (row(28, 4, v=None),))),
    "where": Word(value="region = 'N'", nights=((row(30, 1),), ())),
    "lookback": Word(
        value="3 days",
        beside={"watermark": "arr"},
        nights=((row(31, 4),), (row(31, 4), row(32, 2.5))),
        load_type="incremental",
    ),
    "on_null_key": Word(value="quarantine", nights=((), (row(None, 4, region="N"),))),
    "on_conflict": Word(value="latest", nights=((), (row(33, 4, v="x"), row(33, 4, v="y")))),
    "on_null_sequence": Word(value="exclude", nights=((), (row(35, 4, u=None),))),
    "on_empty_source": Word(value="allow", nights=((), (), ())),
    "max_delete_ratio": Word(value=1.0, nights=(MANY, tuple(row(int(r[0]), 4, gone=True) for r in MANY))),
    "schema_evolution": Word(value="fail", extra_column=True),
    "expectations": Word(value={"expect_or_drop": {"n": "n <> 37"}}, nights=((row(37, 1),), (row(37, 4),))),
    "first_version_from": Word(value="1990-01-01"),
    "insert_only": Word(value=True, nights=((row(39, 1),), (row(39, 4, v="new"),))),
    "reconcile": Word(value=True, nights=((row(40, 1),), (row(41, 0.5),))),
    "replace_where": Word(value="n >= 0", refused=(row(43, 5, n=-1),)),
    "cluster_by": Word(value=["n"]),
    "unknown_member": Word(value=True),
}
assert WORDS.keys() == set(CdcSourceConfig.__dataclass_fields__)


def refusal(pipeline: str, load_type: str, config: dict[str, Any]) -> str:
    """Why the generator or the loader refuses the combination before anything is read; '' where they take it."""
    parsed, problems = parse_config(config)
    case = Case(pipeline=pipeline, load_type=load_type, config=parsed, keys=("id",))
    problems += [found.what for found in combination_problems(case) if found.severity == "error"]
    return "; ".join(problems)


def nights_of(keys: Iterable[str]) -> list[list[Row]]:
    """The rows of each night: some that every word meets, and those of the words."""
    words = [WORDS[key] for key in keys]
    nights = [
        [row(1, 1), row(2, 1), row(3, 1, v="x")],
        [row(1, 4, v="c"), row(2, 1), row(3, 4, v="x", w="d"), row(5, 4)],
    ]
    for word in words:
        for night, rows in zip(nights, word.nights, strict=False):
            night += rows
    return [*nights, []] if any(len(word.nights) > 2 for word in words) else nights


NUMBER = itertools.count()


def outcome(warehouse: Warehouse, pipeline: str, load_type: str, keys: Iterable[str], config: dict[str, Any]) -> Any:
    """What the loads of these nights make: rows, counts and refusals; of times and names nothing.

    The source gets its extra column, and rows that are refused, in a night of their own.
    """
    number = next(NUMBER)
    schemas = (warehouse.bronze, warehouse.silver)
    house = Warehouse(warehouse.spark, warehouse.workspace, *schemas, f"t{number}", 10 * number)
    source, found = f"s{number}", []
    spec_keys = {"business_key_columns": ("id",)} if pipeline in ("scd1", "scd2") else {"primary_key_columns": ("id",)}
    parsed, _ = parse_config(config)
    nights = nights_of(keys)
    grows = any(WORDS[key].extra_column for key in keys)
    refused = [row for key in keys for row in WORDS[key].refused]
    for night, rows in enumerate([*nights, nights[1] + refused] if grows or refused else nights):
        extra = grows and night == len(nights)
        house.source(COLUMNS + (", x string" if extra else ""), *((*r, "x") if extra else r for r in rows), name=source)
        spec = LoadSpec(
            execution_pipeline=pipeline,
            target_table=house.target,
            source_table=house.bronze_table(source),
            load_type=load_type,
            cdc_source_config=parsed,
            **spec_keys,  # type: ignore[arg-type]
        )
        house.runs += 1
        run = {
            "job_run_id": str(house.runs),
            "task_key": house.table_name,
            "run_log": house.run_log,
            "job_start_time": f"2024-02-0{night + 1}T00:00:00Z",
        }
        try:
            load_table({**spec.to_parameters(), **run})
        except (LoadError, SpecError) as error:
            found.append(f"{type(error).__name__}: {str(error).replace(house.target, '')}")
            continue
        logged = house.last_row()
        counts = {name: logged[name] for name in ("read", "new", "changed", "deleted", "unchanged", "dropped", "stale")}
        found.append((data(house), counts, logged["quarantined"], logged["keys_missing"]))
    return found


def data(house: Warehouse) -> list[str]:
    if not house.commits():
        return []
    times = ("_loaded_at", "_updated_at", "_job_run_id")
    rows = ({name: value for name, value in each.items() if name not in times} for each in house.table())
    return sorted(str(sorted(each.items())) for each in rows)


def pipelines() -> tuple[str, ...]:
    return tuple(LOADERS)
