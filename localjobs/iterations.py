"""The iterations of a for_each_task: one task for each element of its inputs, which `{{input}}` stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace

from localjobs.job import EachTask, Task

_MOST_CHARACTERS = 10_000  # of inputs, as the Jobs service takes them


def iterations(body: EachTask) -> dict[str, tuple[Task, dict[str, str]]]:
    """By its key, each iteration and what its `{{input}}` references name; raises ValueError for inputs that are none.

    The references of the inputs are replaced by now. Of an object, `{{input.key}}` is its element, at any depth.
    """
    if len(body.inputs) > _MOST_CHARACTERS:
        raise ValueError(
            f"for_each_task inputs: {len(body.inputs):,} characters, the service takes {_MOST_CHARACTERS:,}"
        )
    try:
        elements = json.loads(body.inputs)
    except ValueError as error:
        raise ValueError(f"for_each_task inputs: no JSON array: {error}: {body.inputs[:100]}") from None
    if not isinstance(elements, list):
        raise ValueError(f"for_each_task inputs: expected a JSON array, found {body.inputs[:100]}")
    keys = [f"{body.task.task_key}_{number}" for number in range(1, len(elements) + 1)]
    return {
        key: (replace(body.task, task_key=key), dict(_names("input", element)))
        for key, element in zip(keys, elements, strict=True)
    }


def _names(name: str, element: object) -> Iterator[tuple[str, str]]:
    yield name, element if isinstance(element, str) else json.dumps(element, ensure_ascii=False)
    if isinstance(element, Mapping):
        for key, value in element.items():
            yield from _names(f"{name}.{key}", value)
