"""Whatever stands in a file: problems are values, and what is written was right."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from generator.build import Options, build
from generator.columns import COLUMNS
from tests.generator.rows import SETTINGS, project, row

WORDS = st.sampled_from(
    ["", "a", "scd1", "scd2", "full", "incremental", "${x}", "{{y}}", "\x00", "\ud800", "é", "run_summary"]
)
SCALARS = st.none() | st.booleans() | st.integers(-1, 3) | st.floats() | WORDS | st.text(max_size=5)
VALUES = st.recursive(
    SCALARS,
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            WORDS | st.sampled_from(["where", "lookback", "source_mode", "task", "job", "edges"]), below, max_size=3
        )
    ),
    max_leaves=5,
)
NAMES = st.sampled_from([column.name for column in COLUMNS])
KEYS = st.sampled_from(["run_log", "catalogs", "runners", "on_unknown_pipeline", "layers"])


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> Options:
    return project(tmp_path_factory.mktemp("any"))


def outcome(options: Options, rows: Any, given_settings: Any) -> None:
    (options.settings.parent / "execution_table.yml").write_text(yaml.safe_dump(rows, allow_unicode=False))
    options.settings.write_text(yaml.safe_dump(given_settings, allow_unicode=False))
    built, problems = build(options)
    assert (built is None) == any(problem.severity == "error" for problem in problems)


@settings(max_examples=30, deadline=None)
@given(changes=st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3))
def test_any_rows(options: Options, changes: list[dict[str, Any]]) -> None:
    outcome(options, [row(**change) for change in changes], dict(SETTINGS))


@settings(max_examples=30, deadline=None)
@given(changes=st.dictionaries(KEYS, VALUES | st.dictionaries(WORDS, VALUES, max_size=2), max_size=3))
def test_any_settings(options: Options, changes: dict[str, Any]) -> None:
    outcome(options, [row()], {**SETTINGS, **changes})


@settings(max_examples=30, deadline=None)
@given(
    layer=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(["edges", "compute", "job", "task", "tables", "task_key"], VALUES)
    )
)
def test_any_layer(options: Options, layer: dict[str, Any]) -> None:
    outcome(options, [row()], {**SETTINGS, "layers": {"bronze_to_silver": layer}})


@settings(max_examples=30, deadline=None)
@given(text=st.text(st.sampled_from("- :{}[]\"'\n\t,&*!|>#%@a1é"), max_size=30))
def test_any_text(options: Options, tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    outcome(options, [row()], dict(SETTINGS))
    folder: Path = options.settings.parent
    for name in ("rows.yml", "rows.csv", "rows.json"):
        (folder / name).write_text(text, encoding="utf-8")
        build(Options(settings=options.settings, source=folder / name, out=options.out))


@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.sampled_from('[]{}":,\\nudD8 1e.-tru\t/é'), max_size=25) | st.sampled_from(["[" * 9999, "1" * 9999])
)
def test_any_json(options: Options, text: str) -> None:
    outcome(options, [row()], dict(SETTINGS))
    path = options.settings.parent / "rows.json"
    for wrapped in (text, f'[{{"comment": {text}}}]', f'{{"comment": "{text}"}}\n{{}}'):
        path.write_text(wrapped, encoding="utf-8")
        built, problems = build(Options(settings=options.settings, source=path, out=options.out))
        assert built is None
        assert problems
