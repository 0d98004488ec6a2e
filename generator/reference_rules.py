"""The rules about what is filled in later: `${...}` by the bundle's CLI, `{{...}}` by the Jobs service.

The CLI validates a job with a reference that it does not know and fails when it deploys it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from unicodedata import category

from generator.problem import shown
from laketasks.spec import JOB_PARAMETERS, did_you_mean

if TYPE_CHECKING:
    from generator.settings import Settings

_BUNDLE = ("var", "variables", "bundle", "workspace", "resources", "artifacts")
_IN_BUNDLE = re.compile(r"\$\{([A-Za-z]\w*)[^{}]*\}")
_IN_JOB = re.compile(r"\{\{\s*(job|task)\.(\w+)(?:\.([\w-]+))?[^{}]*\}\}")
_KNOWN: Mapping[str, tuple[str, ...]] = {
    "job": ("id", "name", "run_id", "repair_count", "start_time", "trigger", "parameters"),
    "task": ("name", "run_id", "execution_count", "notebook_path"),
}

# (path, what, remedy, severity)
_Words = tuple[tuple[object, ...], str, str, str]


def reference_problems(settings: Settings) -> Iterator[_Words]:
    """Yield what will not be filled in, and the characters that the CLI refuses, in runners, job and task fields."""
    everywhere = {name for layer in settings.layers for name in _parameters(settings.layer(layer).job)}
    for name, runner in settings.runners.items():
        yield from _below(("runners", name), runner, everywhere)
    for name in settings.layers:
        layer = settings.layer(name)
        own = _parameters(layer.job)
        yield from _below(("layers", name, "job"), layer.job, own)
        yield from _below(("layers", name, "task"), layer.task, own)
        for key, table in layer.tables.items():
            yield from _below(("layers", name, "tables", key, "task"), table.task, own)


def _below(path: tuple[object, ...], value: object, parameters: set[str]) -> Iterator[_Words]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _below((*path, name), str(name), parameters)
            yield from _below((*path, name), item, parameters)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _below((*path, index), item, parameters)
    elif isinstance(value, str):
        yield from ((path, *words) for words in _text(value, parameters))


def _text(text: str, parameters: set[str]) -> Iterator[tuple[str, str, str]]:
    control = next((c for c in text if category(c) in ("Cc", "Cs") and c not in "\n\t"), "")
    if control:
        yield f"holds the control character {shown(control)}, which the CLI refuses", "remove it", "error"
    for word in sorted(set(_IN_BUNDLE.findall(text)) - {*_BUNDLE}):
        near = did_you_mean(word, _BUNDLE)
        what = f"${{{word}...}} is nothing that a bundle fills in; the CLI validates it and does not deploy it{near}"
        yield what, "a bundle has no way to write ${ itself", "error"
    for space, word, name in sorted(set(_IN_JOB.findall(text))):
        if word not in _KNOWN[space]:
            near = did_you_mean(word, _KNOWN[space])
            yield f"{{{{{space}.{word}}}}} is not known here{near}", f"known are {', '.join(_KNOWN[space])}", "warning"
        elif word == "parameters" and name not in {*JOB_PARAMETERS, *parameters}:
            near = did_you_mean(name, [*JOB_PARAMETERS, *parameters])
            yield f"the job has no parameter {name!r}{near}", "declare it in the layer's job.parameters", "error"


def _parameters(job: Mapping[str, Any]) -> set[str]:
    declared = job.get("parameters")
    return {str(p.get("name")) for p in declared if isinstance(p, Mapping)} if isinstance(declared, list) else set()
