"""YAML as we read it: every key once, text that looks like a date stays text, and each value knows its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from generator.conflicts import conflict_problem
from generator.plain_yaml import NotPlainError, Place, PlainReader
from generator.problem import Problem

_C = yaml.__with_libyaml__
_Safe: Any = yaml.CSafeLoader if _C else yaml.SafeLoader
_MERGE = "tag:yaml.org,2002:merge"
_T = TypeVar("_T")


# The scalars of YAML 1.2, by the characters that one can begin with. YAML 1.1, which PyYAML reads, also takes `yes` and
# `on` for true, `010` for 8, `1:30` for 90 and `1_000` for 1000. Numbers that begin with 0 or 0x, whose value the
# versions of YAML do not agree on, are text here, which is refused where a number belongs.
_FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
_NO_NUMBER = r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
_SCALARS = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    ("float", f"{_FLOAT}|{_NO_NUMBER}", "-+.0123456789"),
    ("merge", r"<<", "<"),
)


class _Loader(_Safe):  # type: ignore[misc]
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the name and the shape are PyYAML's


for _kind, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_kind}", re.compile(rf"(?:{_pattern})\Z"), list(_first))

_MANY_DIGITS = 1000


def _integer(loader: Any, node: Any) -> Any:
    """A number of more digits than Python writes stays text, which is refused where it stands."""
    text = loader.construct_scalar(node)
    if len(text) > _MANY_DIGITS:
        return text
    if not re.fullmatch(r"[-+]?[0-9]+", text):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's value, and where its parts stand."""

    value: Any
    place: Place | int | None

    def line(self, *path: object) -> int:
        """The line of the key or item at the path, or of the deepest part of it that stands in the file; from 1."""
        place: Place | int = self.place or 1
        for step in path:
            found = _below(place, step)
            if found is None:
                break
            place = found
        return place if isinstance(place, int) else place.line

    def lines(self, index: int) -> dict[str, int]:
        """The line of each key of the mapping that is this item of the document's list."""
        found = _below(self.place or 1, index)
        below = found.below if isinstance(found, Place) and isinstance(found.below, dict) else {}
        return {key: place if isinstance(place, int) else place.line for key, place in below.items()}


def parse(text: str, file: str) -> tuple[Parsed, tuple[Problem, ...]]:
    """Read one YAML document. Where a key stands twice the last one counts; text that is not YAML has no place."""
    try:
        return Parsed(*_read(text, lambda loader: PlainReader(loader).document())), ()
    except (NotPlainError, yaml.YAMLError, ValueError, RecursionError):
        merged = conflict_problem(text, file)
        return (Parsed(None, None), (merged,)) if merged else _parse(text, file)


def _read(text: str, read: Callable[[_Loader], _T]) -> _T:
    loader = _Loader(text)
    try:
        return read(loader)
    finally:
        loader.dispose()


def _parse(text: str, file: str) -> tuple[Parsed, tuple[Problem, ...]]:
    """Read a document of any kind, node by node, and say what is wrong with it."""
    problems: tuple[Problem, ...] = ()

    def document(loader: _Loader) -> Parsed:
        nonlocal problems
        node = loader.get_single_node()
        problems = tuple(_doubled(node, file)) if node is not None else ()
        if node is not None and not _endless(problems) and "*" in text and _size(node, {}) > _MAX_SIZE:
            problems = (*problems, Problem(file=file, what=_TOO_LARGE, remedy="write it without aliases"))
        if node is None or _endless(problems):
            return Parsed(None, None)
        return Parsed(loader.construct_document(node), _place(node, node.start_mark.line + 1, {}))

    try:
        return _read(text, document), problems
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = f"not valid YAML: {error.problem or error.context}"
        return Parsed(None, None), (Problem(file=file, line=mark.line + 1 if mark else 0, what=what),)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[0]
        return Parsed(None, None), (Problem(file=file, what=f"not valid YAML: {first}"),)
    except Exception as error:
        # PyYAML takes for granted that a value is what its tag says, such as `!!bool maybe`.
        return Parsed(None, None), (
            Problem(file=file, what=f"not valid YAML: {type(error).__name__} in a tagged value"),
        )


def _place(node: Any, line: int, known: dict[int, Any]) -> Place | int:
    """Where a node stands whose key, if it has one, stands in this line."""
    if isinstance(node, yaml.ScalarNode):
        return line
    if id(node) not in known:
        if isinstance(node, yaml.MappingNode):
            keyed = [(key.value, below, key.start_mark.line + 1) for key, below in node.value]
            known[id(node)] = {key: _place(n, at, known) for key, n, at in keyed if isinstance(key, str)}
        else:
            known[id(node)] = [_place(below, below.start_mark.line + 1, known) for below in node.value]
    return Place(line, known[id(node)])


_ENDLESS = "an alias that contains itself"
_TOO_LARGE = "its aliases make more than ten million values of it"
_MAX_SIZE = 10_000_000


def _endless(problems: tuple[Problem, ...]) -> bool:
    return any(problem.what in (_ENDLESS, _TOO_LARGE) for problem in problems)


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many nodes there are with every alias written out."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = 1 + sum(_size(child, known) for child in _children(node))
    return known[id(node)]


def _doubled(root: yaml.Node, file: str) -> Iterator[Problem]:
    """Every key that its mapping has twice, and every alias of a node inside itself."""
    done: set[int] = set()
    above: list[yaml.Node] = []

    def walk(node: yaml.Node) -> Iterator[Problem]:
        if isinstance(node, yaml.ScalarNode) or id(node) in done:
            return
        if any(node is ancestor for ancestor in above):
            yield Problem(file=file, line=node.start_mark.line + 1, what=_ENDLESS)
            return
        above.append(node)
        if isinstance(node, yaml.MappingNode):
            yield from _twice(node, file)
        for child in _children(node):
            yield from walk(child)
        above.pop()
        done.add(id(node))

    yield from walk(root)


def _twice(node: yaml.MappingNode, file: str) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
            continue
        line = key.start_mark.line + 1
        if key.value in seen:
            what = f"key {key.value!r} stands twice, first in line {seen[key.value]}"
            yield Problem(file=file, line=line, what=what, remedy="keep one of them")
        seen.setdefault(key.value, line)


def _children(node: Any) -> list[yaml.Node]:
    return [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else list(node.value)


def _below(place: Place | int, step: object) -> Place | int | None:
    if isinstance(place, int):
        return None
    if isinstance(place.below, dict):
        return place.below.get(step) if isinstance(step, str) else None
    return place.below[step] if isinstance(step, int) and step < len(place.below) else None
