"""No word of cdc_source_config is taken and does nothing: it changes what is loaded, or it is refused."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from generator.combinations import Case, combination_problems
from laketasks.spec import parse_config
from tests.laketasks.conftest import warehouse  # noqa: F401
from tests.laketasks.warehouse import Warehouse
from tests.words.words import COMMON, WORDS, outcome, pipelines, refusal

# What acts outside the rows, so that its effect is not seen in them: by key, where it is.
ELSEWHERE = {"cluster_by": "the layout of the table: tests/laketasks/test_cluster.py"}
SAYS_WHAT_IS_SO = {("source_mode", "fact_overwrite")}  # which reads a snapshot each time


def configured(*keys: str, without: str = "") -> dict[str, Any]:
    config = dict(COMMON)
    for key in keys:
        config |= WORDS[key].beside
    config |= {key: WORDS[key].value for key in keys}
    if without:
        config.pop(without, None)
    return config


def load_type_of(*keys: str) -> str:
    return "incremental" if any(WORDS[key].load_type == "incremental" for key in keys) else "full"


def differs(house: Warehouse, pipeline: str, key: str, keys: tuple[str, ...]) -> bool:
    """Whether the key makes a difference among the keys, on rows that meet them all."""
    load_type = load_type_of(*keys)
    common = {k: v for k, v in configured(*keys).items() if not takes_none(pipeline, load_type, k)}
    if refusal(pipeline, load_type, common) or key in warned(pipeline, load_type, common):
        return True
    without = {k: v for k, v in common.items() if k != key}
    with_it = outcome(house, pipeline, load_type, keys, common)
    return bool(with_it != outcome(house, pipeline, load_type, keys, without))


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
def test_a_word_changes_what_is_loaded_or_is_refused(warehouse: Warehouse, key: str, pipeline: str) -> None:  # noqa: F811
    if (key, pipeline) in SAYS_WHAT_IS_SO:
        return
    assert differs(warehouse, pipeline, key, (key,)), f"{key} does nothing in {pipeline}"


PAIRS = [pair for pair in itertools.permutations(WORDS, 2) if pair[0] not in ELSEWHERE]


@pytest.mark.words
@pytest.mark.parametrize("pipeline", pipelines())
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_a_word_does_something_beside_another(warehouse: Warehouse, pair: tuple[str, str], pipeline: str) -> None:  # noqa: F811
    if (pair[0], pipeline) in SAYS_WHAT_IS_SO:
        return
    assert differs(warehouse, pipeline, pair[0], pair), f"{pair[0]} does nothing in {pipeline} beside {pair[1]}"
