"""YAML as we read it: every key once, text that looks like a date stays text, and each value knows its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from generator.problem import Problem

_C = yaml.__with_libyaml__
_Safe: Any = yaml.CSafeLoader if _C else yaml.SafeLoader
_TIMESTAMP = "tag:yaml.org,2002:timestamp"
_MERGE = "tag:yaml.org,2002:merge"
_STRING, _MAP, _SEQUENCE = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "map", "seq"))
_SCALARS = {f"tag:yaml.org,2002:{kind}" for kind in ("int", "bool", "null", "float")}


class _Loader(_Safe):  # type: ignore[misc]
    yaml_implicit_resolvers = {  # noqa: RUF012 - the name and the shape are PyYAML's
        first: [entry for entry in entries if entry[0] != _TIMESTAMP]
        for first, entries in _Safe.yaml_implicit_resolvers.items()
    }

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._known: dict[tuple[str, object], str] = {}

    def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
        """The tag of a node; that of a scalar is the same for each that is spelled alike."""
        if kind is not yaml.ScalarNode:
            return super().resolve(kind, value, implicit)
        tag = self._known.get((value, implicit))
        if tag is None:
            tag = self._known[value, implicit] = super().resolve(kind, value, implicit)
        return tag


_MANY_DIGITS = 1000


def _integer(loader: Any, node: Any) -> Any:
    """A number of more digits than Python writes stays text, which is refused where it stands."""
    return node.value if len(node.value) > _MANY_DIGITS else _Safe.construct_yaml_int(loader, node)


_Loader.add_constructor("tag:yaml.org,2002:int", _integer)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A document's value and the nodes that it was made from."""

    value: Any
    node: Any

    def line(self, *path: object) -> int:
        """The line of the key or item at the path, or of the deepest part of it that stands in the file; from 1."""
        node, line = self.node, 1
        for step in path:
            found = _below(node, step)
            if found is None:
                break
            line, node = found
        return line


def parse(text: str, file: str) -> tuple[Parsed, tuple[Problem, ...]]:
    """Read one YAML document. Where a key stands twice the last one counts; text that is not YAML has no node."""
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            problems = tuple(_doubled(node, file)) if node is not None else ()
            if node is not None and not _endless(problems) and "*" in text and _size(node, {}) > _MAX_SIZE:
                problems = (*problems, Problem(file=file, what=_TOO_LARGE, remedy="write it without aliases"))
            value = _constructed(loader, node) if node is not None and not _endless(problems) else None
        finally:
            loader.dispose()
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
    return Parsed(value, node), problems


class _Odd(Exception):  # noqa: N818
    """Raised at a node that is not plain data: a merge key, a tag, a key that is no text."""


def _constructed(loader: _Loader, node: yaml.Node) -> Any:
    """The value: of plain data by one walk, of anything else by PyYAML, which takes three times as long."""
    made: dict[int, Any] = {}

    def value_of(node: Any) -> Any:
        tag = node.tag
        if tag == _STRING:
            return node.value
        if id(node) in made:
            return made[id(node)]
        if tag == _MAP and isinstance(node, yaml.MappingNode):
            value: Any = {key_of(key): value_of(below) for key, below in node.value}
        elif tag == _SEQUENCE and isinstance(node, yaml.SequenceNode):
            value = [value_of(below) for below in node.value]
        elif tag in _SCALARS:
            value = loader.construct_object(node)
        else:
            raise _Odd
        made[id(node)] = value
        return value

    def key_of(key: Any) -> str:
        if key.tag != _STRING:
            raise _Odd
        text: str = key.value
        return text

    try:
        return value_of(node)
    except _Odd:
        return loader.construct_document(node)


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


def _below(node: Any, step: object) -> tuple[int, Any] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return key.start_mark.line + 1, value
    return None
