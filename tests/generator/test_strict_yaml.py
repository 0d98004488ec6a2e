"""Both ways to read YAML, by the parser's events and by its nodes, give the same values and the same lines."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from generator.plain_yaml import NotPlainError, PlainReader
from generator.strict_yaml import Parsed, _Loader, _parse, parse

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.sampled_from(["yes", "2024-01-01"]),
)
DATA = st.recursive(SCALARS, lambda below: st.one_of(st.lists(below), st.dictionaries(st.text(), below)), max_leaves=20)


def by_events(text: str) -> Parsed:
    return Parsed(*PlainReader(_Loader(text)).document())


def paths(value: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    yield path
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for step, item in below:
        yield from paths(item, (*path, step))


def same(one: Parsed, other: Parsed) -> None:
    assert one.value == other.value
    assert repr(one.value) == repr(other.value)  # 1 and True are equal
    for path in paths(one.value):
        assert one.line(*path) == other.line(*path), path


@given(data=DATA, flow=st.sampled_from([None, False, True]), twice=st.booleans())
def test_any_data_written_in_any_style(data: object, flow: bool | None, twice: bool) -> None:
    text = yaml.safe_dump([data, data] if twice else data, default_flow_style=flow, allow_unicode=True)
    read, problems = _parse(text, "")
    assert problems == ()
    same(by_events(text), read)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "---\n- a: 1\n  b:\n    - x\n    - 'y'\n...\n",
        "- &one {a: [1, ~, no, 1.5, 0x1f, 1_000]}\n- *one\n- {b: *one}\n",
        "a: |\n  text\n   more\nb: >-\n  folded\n  lines\n? c\n: d\n",
        "'yes': 1\n\"no\": 2\n'1': 3\n",
        "2024-01-01: {due: 2024-02-30}\n",
    ],
)
def test_plain_documents(text: str) -> None:
    same(by_events(text), _parse(text, "")[0])


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2\n",
        "a: {b: 1, b: 2}\n",
        "- &x [*x]\n",
        "- {<<: {a: 1}, b: 2}\n",
        "- &x 1\n- &x 2\n",
        "- !!str 1\n",
        "- !!set {a, b}\n",
        "{true: 1}\n",
        "'true': 1\ntrue: 2\n",
        "[1]: 2\n",
        "a: 1\n---\nb: 2\n",
        "%YAML 1.1\n---\na: 1\n",
        "a: *nobody\n",
    ],
)
def test_other_documents_are_read_node_by_node(text: str) -> None:
    with pytest.raises((NotPlainError, yaml.YAMLError)):
        by_events(text)
    read, problems = parse(text, "f.yml")
    assert (repr(read.value), problems) == (repr(_parse(text, "f.yml")[0].value), _parse(text, "f.yml")[1])


def test_where_a_key_stands_twice_the_last_one_counts_and_both_lines_are_told() -> None:
    read, problems = parse("- a: 1\n  b: 2\n  a: 3\n", "f.yml")
    assert read.value == [{"a": 3, "b": 2}]
    assert read.lines(0) == {"a": 3, "b": 2}
    assert [(p.line, p.what) for p in problems] == [(3, "key 'a' stands twice, first in line 1")]


def test_an_alias_of_an_alias_of_an_alias_is_not_written_out() -> None:
    read, problems = parse(_aliases("abcd"), "f.yml")
    assert problems == ()
    assert read.line("d", 3) == 3  # the place of what is meant
    same(by_events(_aliases("abcd")), _parse(_aliases("abcd"), "")[0])
    with pytest.raises(NotPlainError):
        by_events(_aliases("abcdefghi"))


def _aliases(names: str) -> str:
    """A list of ten, then lists of ten aliases of the one before."""
    lines = [f"{names[0]}: &{names[0]} [x, x, x, x, x, x, x, x, x, x]\n"]
    lines += [f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise(names)]
    return "".join(lines)
