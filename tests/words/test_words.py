"""No word of cdc_source_config is taken and does nothing: it changes what is loaded, or it is refused."""

from __future__ import annotations

import contextlib
import io
import itertools
from pathlib import Path
from typing import Any

import pytest

from generator.combinations import Case, combination_problems
from laketasks.error import GuardError
from laketasks.run_log import create_run_log
from laketasks.spec import parse_config
from tests.conftest import made_schemas, session_of
from tests.laketasks.conftest import warehouse  # noqa: F401
from tests.laketasks.warehouse import Warehouse
from tests.words.words import COLUMNS, COMMON, WORDS, outcome, pipelines, refusal
from tests.words.words import row as given

# What acts outside the rows, so that its effect is not seen in them: by key, where it is.
ELSEWHERE = {"cluster_by": "the layout of the table: tests/laketasks/test_cluster.py"}
# An incremental load asks for it only when it reads everything: the third test of this file
OF_FULL_READS = {"on_empty_source"}
# An overwrite that shrinks, which no rows here make: tests/laketasks/test_facts.py
# Beside a list of columns only a type can change: tests/laketasks/test_types.py
TYPES = {frozenset(("schema_evolution", "column_list")): "schema_evolution"}
SHRINKS = {("max_delete_ratio", "fact_overwrite")}
SAYS_WHAT_IS_SO = {("source_mode", "fact_overwrite")}  # which reads a snapshot each time


def configured(*keys: str, common: bool = True) -> dict[str, Any]:
    config = dict(COMMON) if common else {}
    for key in keys:
        config |= WORDS[key].beside
    config |= {key: WORDS[key].value for key in keys}
    return config


def load_type_of(*keys: str) -> str:
    return "incremental" if any(WORDS[key].load_type == "incremental" for key in keys) else "full"


def dead(house: Warehouse, pipeline: str, *keys: str, common: bool = True) -> list[str]:
    """The keys that make no difference beside the others, on rows that meet them all; without `common`, alone."""
    load_type = load_type_of(*keys)
    config = {k: v for k, v in configured(*keys, common=common).items() if not takes_none(pipeline, load_type, k)}
    if refusal(pipeline, load_type, config):
        return []
    told = warned(pipeline, load_type, config)
    beyond = {*ELSEWHERE, *(OF_FULL_READS if load_type == "incremental" else ())}
    beyond.add(TYPES.get(frozenset(keys), ""))
    tried = [k for k in keys if k not in beyond and (k, pipeline) not in SAYS_WHAT_IS_SO and k not in told]
    with_all = outcome(house, pipeline, load_type, keys, config) if tried else None
    without = {key: {k: v for k, v in config.items() if k != key} for key in tried}
    return [key for key in tried if with_all == outcome(house, pipeline, load_type, keys, without[key])]


def warned(pipeline: str, load_type: str, config: dict[str, Any]) -> str:
    """What `check` warns of: a word that does nothing there is told by name."""
    parsed, _ = parse_config(config)
    case = Case(pipeline=pipeline, load_type=load_type, config=parsed, keys=("id",))
    return " ".join(found.what for found in combination_problems(case) if "does nothing" in found.what)


def takes_none(pipeline: str, load_type: str, key: str) -> bool:
    """Whether a common key is refused by this pipeline by itself, so that it is left out of what is common."""
    return key in COMMON and bool(refusal(pipeline, load_type, {key: COMMON[key]}))


@pytest.mark.parametrize("pipeline", pipelines())
@pytest.mark.parametrize("key", [key for key in WORDS if key not in ELSEWHERE])
def test_a_word_changes_what_is_loaded_or_is_refused(
    warehouse: Warehouse,  # noqa: F811
    key: str,
    pipeline: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert not dead(warehouse, pipeline, key), f"{key} does nothing in {pipeline}"
    capsys.readouterr()
    if (key, pipeline) in SHRINKS:
        return
    for idle in dead(warehouse, pipeline, key, common=False):
        assert f"{idle} does nothing: nothing" in capsys.readouterr().out, f"{key} does nothing in {pipeline}, alone"


@pytest.mark.parametrize("pipeline", ["scd1", "scd2", "fact_incremental_merge"])
def test_an_incremental_load_that_reads_all_may_find_nothing(warehouse: Warehouse, pipeline: str) -> None:  # noqa: F811
    row = {"load_type": "incremental", "sequence_by": "u"}
    warehouse.source(COLUMNS, given(1, 1))
    warehouse.load(pipeline, **row)
    warehouse.source(COLUMNS)
    warehouse.load(pipeline, **row)  # nothing new
    warehouse.refuses(pipeline, GuardError, "the source is empty and the table has 1 rows", **row, where="n > 0")
    assert warehouse.load(pipeline, **row, where="n > 0", on_empty_source="allow")["read"] == 0


@pytest.mark.words
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", list(WORDS)[:-1])
def test_words_do_something_beside_each_other(first: str, engine: str, tmp_path: Path) -> None:
    """Each pair with a later word, of every loader; a server for each word, as Sail keeps memory until it ends."""
    later = list(WORDS)[list(WORDS).index(first) + 1 :]
    found: list[str] = []
    with session_of(engine, tmp_path) as spark, made_schemas(engine, spark, tmp_path, "words") as schemas:
        house = Warehouse(spark=spark, workspace=tmp_path, bronze=schemas.bronze, silver=schemas.silver)
        create_run_log(spark, house.run_log)
        for second, pipeline in itertools.product(later, pipelines()):
            with contextlib.redirect_stdout(io.StringIO()):  # what the loads say
                nothing = dead(house, pipeline, first, second)
            for key in nothing:
                found.append(f"{key} beside {second if key == first else first} does nothing in {pipeline}")
                print(found[-1], flush=True)
    assert not found, "\n".join(found)
