"""The field names of the Jobs API: what a job, a task and everything below them may hold.

`jobs_api.json` is derived from the bundle schema of the Databricks CLI:

    databricks bundle schema > bundle.schema.json
    python -m generator.jobs_api bundle.schema.json > generator/jobs_api.json

Where LAKETASKS_BUNDLE_SCHEMA names such a schema, it is read instead: for a CLI that is newer than the list.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from generator.api_limits import ASKED_ELSEWHERE, limit_problems
from laketasks.spec import did_you_mean

# A type is the name of an object, or `string`, `integer`, `number`, `boolean`, `any`, `[T]`, `{T}` or `a|b|c`.
# A `!` at its end marks a field that an object cannot be without.
Types = dict[str, dict[str, str]]

_LIST = Path(__file__).with_name("jobs_api.json")
_SCALARS = {"string": "string", "int": "integer", "int64": "integer", "float64": "number", "bool": "boolean"}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


def load_types() -> Types:
    """The types by name, `Job` and `Task` among them."""
    schema = os.environ.get("LAKETASKS_BUNDLE_SCHEMA")
    if schema:
        return derive(json.loads(Path(schema).read_text(encoding="utf-8")))
    types: Types = json.loads(_LIST.read_text(encoding="utf-8"))
    return types


def task_types(types: Types) -> tuple[str, ...]:
    """The fields of a task that say what it runs: `notebook_task` and its like."""
    return tuple(name for name in types["Task"] if name.endswith("_task"))


def unknown_fields(
    value: object, type_name: str, types: Types, path: str = "", *, partial: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield (path, what is wrong) for every field that the API does not have or misses, and every value it refuses.

    A string with `${` passes as any type: the bundle fills it in. Of a `partial` object the generator writes the rest.
    """
    if value is None or type_name == "any" or (isinstance(value, str) and "${" in value):
        return
    if type_name.startswith("["):
        yield from _items(value, type_name[1:-1], types, path)
    elif type_name.startswith("{"):
        yield from _entries(value, type_name[1:-1], types, path)
    elif type_name in types:
        yield from _object(value, type_name, types, path, partial=partial)
    elif type_name in _PYTHON:
        if not isinstance(value, _PYTHON[type_name]) or (isinstance(value, bool) and type_name != "boolean"):
            yield path, f"expected {_article(type_name)}, found {value!r}"
    elif value not in (words := type_name.split("|")):
        yield path, f"expected one of {', '.join(words)}, found {value!r}{did_you_mean(value, words)}"


def _article(name: str) -> str:
    return f"an {name}" if name == "integer" else f"a {name}"


def _items(value: object, item: str, types: Types, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, list):
        yield path, f"expected a list, found {value!r}"
        return
    for index, entry in enumerate(value):
        yield from unknown_fields(entry, item, types, f"{path}[{index}]")


def _entries(value: object, entry: str, types: Types, path: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, f"expected a mapping, found {value!r}"
        return
    if entry == "string" and all(type(below) is str for below in value.values()):
        return
    for name, below in value.items():
        # The CLI turns the numbers and booleans of a string map into strings.
        if not (entry == "string" and isinstance(below, (bool, int, float))):
            yield from unknown_fields(below, entry, types, f"{path}.{name}")


def _object(value: object, type_name: str, types: Types, path: str, *, partial: bool) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Mapping):
        yield path, f"expected a mapping, found {value!r}"
        return
    known = types[type_name]
    asked = list(ASKED_ELSEWHERE.get(type_name, ()))
    for name, below in value.items():
        if name in known:
            yield from unknown_fields(below, known[name].removesuffix("!"), types, _joined(path, name))
        else:
            near = did_you_mean(name, known)
            yield _joined(path, name), f"the Jobs API has no such field{near}"
            asked += [field for field in known if near.endswith(f" {field}?")]
    for name, kind in known.items():
        if kind.endswith("!") and value.get(name) is None and not partial and name not in asked:
            yield _joined(path, name), "missing, and the Jobs API asks for it"
    yield from ((_joined(path, name), what) for name, what in limit_problems(value, type_name))


def _joined(path: str, name: object) -> str:
    return f"{path}.{name}" if path and name else path or str(name)


def derive(schema: Mapping[str, Any]) -> Types:
    """The types that a job of the bundle schema can reach, sorted by name."""
    types: Types = {}
    waiting = ["#/$defs/github.com/databricks/cli/bundle/config/resources.Job"]
    while waiting:
        reference = waiting.pop()
        name = _name(reference)
        if name in types:
            continue
        body = _body(_resolve(schema, reference))
        fields, required = body.get("properties", {}), body.get("required", ())
        types[name] = {}
        for field, definition in sorted(fields.items()):
            kind, below = _type(schema, definition["$ref"])
            types[name][field] = f"{kind}!" if field in required else kind
            waiting.extend(below)
    return dict(sorted(types.items()))


def _type(schema: Mapping[str, Any], reference: str) -> tuple[str, list[str]]:
    scalar = reference.removeprefix("#/$defs/")
    if scalar in _SCALARS:
        return _SCALARS[scalar], []
    body = _body(_resolve(schema, reference))
    if "enum" in body:
        return "|".join(body["enum"]), []
    if body.get("type") == "array":
        inner, below = _type(schema, body["items"]["$ref"])
        return f"[{inner}]", below
    if isinstance(body.get("additionalProperties"), Mapping):
        inner, below = _type(schema, body["additionalProperties"]["$ref"])
        return f"{{{inner}}}", below
    if body.get("properties"):
        return _name(reference), [reference]
    return "any", []


def _name(reference: str) -> str:
    return reference.rsplit(".", 1)[-1]


def _resolve(schema: Mapping[str, Any], reference: str) -> Mapping[str, Any]:
    found: Any = schema
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    definition: Mapping[str, Any] = found
    return definition


def _body(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """The definition itself, without the alternative that is a reference to a variable."""
    first: Mapping[str, Any] = definition["oneOf"][0] if "oneOf" in definition else definition
    return first


if __name__ == "__main__":
    derived = derive(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    sys.stdout.write(json.dumps(derived, indent=1) + "\n")
