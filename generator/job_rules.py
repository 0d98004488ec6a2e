"""The rules about the fields of a job that the settings give: what the CLI takes and the Jobs service does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_TAGS = 25
MAX_ENVIRONMENTS = 10
_STARTS = ("schedule", "trigger", "continuous")
_NAMES = (("parameters", "name", "job parameter"), ("environments", "environment_key", "environment"),
          ("job_clusters", "job_cluster_key", "job cluster"))  # fmt: skip

# (path below the job, what, remedy)
_Words = tuple[tuple[str | int, ...], str, str]


def job_problems(job: Mapping[str, Any]) -> Iterator[_Words]:
    """
    Yield what the Jobs service refuses, with where it stands below the job.

    >>> [what for _, what, _ in job_problems({"parameters": [{"name": "day"}]})]
    ["job parameter 'day' has no default"]
    """
    for rule in RULES:
        yield from rule(job)


def _one_start(job: Mapping[str, Any]) -> Iterator[_Words]:
    given = [field for field in _STARTS if job.get(field) is not None]
    for field in given[1:]:
        yield (field,), f"a job starts by one of {', '.join(_STARTS)}, and {given[0]} stands here too", "keep one"


def _names_once(job: Mapping[str, Any]) -> Iterator[_Words]:
    for field, name, noun in _NAMES:
        counts = Counter(str(item[name]) for item in _mappings(job.get(field)) if name in item)
        for twice in sorted(found for found, count in counts.items() if count > 1):
            yield (field,), f"{noun} {twice!r} stands twice", "keep one of them"
        for index, item in enumerate(job.get(field) or []) if isinstance(job.get(field), list) else ():
            if isinstance(item, Mapping) and not item.get(name):
                yield (field, index), f"{noun} without {name}", f"write {name}: ..."


def _defaults(job: Mapping[str, Any]) -> Iterator[_Words]:
    for parameter in _mappings(job.get("parameters")):
        if parameter.get("name") and parameter.get("default") is None:
            yield ("parameters",), f"job parameter {parameter['name']!r} has no default", 'write default: ""'


def _numbers(job: Mapping[str, Any]) -> Iterator[_Words]:
    for field, most in (("tags", MAX_TAGS), ("environments", MAX_ENVIRONMENTS)):
        count = len(job[field]) if isinstance(job.get(field), (Mapping, list)) else 0
        if count > most:
            yield (field,), f"a job has at most {most} {field}, found {count}", ""


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


RULES: tuple[Callable[[Mapping[str, Any]], Iterator[_Words]], ...] = (
    _one_start,
    _names_once,
    _defaults,
    _numbers,
)
