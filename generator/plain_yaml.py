"""YAML that is plain data, read in one walk over the parser's events, which takes less than to make nodes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

_STRING = "tag:yaml.org,2002:str"
_MOST = 10_000_000  # values, with every alias written out: whoever walks them meets each
_SCALARS = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("int", "bool", "null", "float"))


class Place(NamedTuple):
    """Where a mapping or a list stands, and what stands below it. In a mapping the line is that of the key; from 1."""

    line: int
    below: dict[str, Place | int] | list[Place | int]


class NotPlainError(Exception):
    """Raised at anything but one document of mappings, lists and scalars: a tag, a merge, a key that stands twice.

    At aliases that make more than ten million values too.
    """


class PlainReader:
    """Reads the document of a loader. An anchor is known once what it names is read to its end."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._next: Callable[[], Any] = loader.get_event
        self._scalars: dict[str, Any] = {}
        self._keys: dict[str, str] = {}
        self._anchors: dict[str, tuple[Any, Place | int]] = {}
        self._sizes: dict[str, int] = {}  # of what an anchor names
        self._size = 0

    def document(self) -> tuple[Any, Place | int | None]:
        """The value, and where its parts stand; None for a document that is empty. Raises NotPlainError."""
        self._next()
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            return None, None
        value, place = self._read(self._next())
        self._next()
        if start.version or start.tags or not isinstance(self._next(), yaml.StreamEndEvent):
            raise NotPlainError
        return value, place

    def _read(self, event: Any) -> tuple[Any, Place | int]:
        """The value that begins with this event, and its place."""
        kind = event.__class__
        if kind is yaml.AliasEvent:
            return self._named(event.anchor)
        if event.tag is not None:
            raise NotPlainError
        found: tuple[Any, Place | int]
        before = self._size
        self._size += 1
        line = event.start_mark.line + 1
        if kind is yaml.ScalarEvent:
            found = (self._scalar(event), line)
        else:
            value, below = self._mapping() if kind is yaml.MappingStartEvent else self._list()
            found = (value, Place(line, below))
        if event.anchor is not None:
            if event.anchor in self._anchors:
                raise NotPlainError
            self._anchors[event.anchor], self._sizes[event.anchor] = found, self._size - before
        return found

    def _named(self, anchor: str) -> tuple[Any, Place | int]:
        self._size += self._sizes.get(anchor, 0)
        if anchor not in self._anchors or self._size > _MOST:
            raise NotPlainError
        return self._anchors[anchor]

    def _list(self) -> tuple[list[Any], list[Place | int]]:
        values: list[Any] = []
        places: list[Place | int] = []
        while (event := self._next()).__class__ is not yaml.SequenceEndEvent:
            value, place = self._read(event)
            values.append(value)
            places.append(place)
        return values, places

    def _mapping(self) -> tuple[dict[str, Any], dict[str, Place | int]]:
        values: dict[str, Any] = {}
        places: dict[str, Place | int] = {}
        while (event := self._next()).__class__ is not yaml.MappingEndEvent:
            key = self._key(event)
            if key in values:
                raise NotPlainError
            values[key], place = self._read(self._next())
            line = event.start_mark.line + 1
            places[key] = line if place.__class__ is int else Place(line, place.below)  # type: ignore[union-attr]
        return values, places

    def _key(self, event: Any) -> str:
        """A key, one object for all that are spelled alike."""
        if event.__class__ is not yaml.ScalarEvent or event.anchor is not None or event.tag is not None:
            raise NotPlainError
        if not event.implicit[0]:
            return str(event.value)
        known = self._keys.get(event.value)
        if known is None:
            known = self._scalar(event)
            if not isinstance(known, str):
                raise NotPlainError
            self._keys[known] = known
        return known

    def _scalar(self, event: Any) -> Any:
        text = event.value
        if not event.implicit[0]:
            return text
        if text in self._scalars:
            return self._scalars[text]
        tag = self._loader.resolve(yaml.ScalarNode, text, event.implicit)
        if tag == _STRING:
            return text
        if tag not in _SCALARS:
            raise NotPlainError
        value = self._scalars[text] = self._loader.construct_object(yaml.ScalarNode(tag, text))
        return value
