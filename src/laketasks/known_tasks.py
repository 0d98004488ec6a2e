"""The task keys of a job, as a job parameter: a load knows by it whether `full_refresh` names a task at all.

Where the keys fit they are a list. Where they do not, a Bloom filter takes their place: base64 of bits, of which each
key sets a few. It knows every key of the job, and takes about one of 300 wrong names for one of them.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from laketasks.spec import JOB_PARAMETERS, did_you_mean, named_tasks

PARAMETER = "task_keys"
_BITS_OF_A_KEY = 12
_MARK = "bloom"


def list_tasks(keys: Sequence[str], most: int) -> str:
    """Return the value of the parameter, in at most so many characters; empty where that is too few.

    >>> list_tasks(["dim_a", "fact_b"], 100)
    'dim_a, fact_b'
    """
    text = ", ".join(sorted(keys))
    if len(text) <= most:
        return text
    size = min(math.ceil(len(keys) * _BITS_OF_A_KEY / 8), (most - len(_MARK) - 5) * 3 // 4)
    if size < len(keys) / 4:
        return ""
    hashes = max(1, round(8 * size / len(keys) * math.log(2)))
    bits = bytearray(size)
    for key in keys:
        for place in _places(key, hashes, size):
            bits[place // 8] |= 1 << place % 8
    return f"{_MARK}:{hashes}:{base64.b64encode(bits).decode().rstrip('=')}"


def listed(text: str) -> tuple[str, ...]:
    """Return the task keys of a value that lists them; none where it does not."""
    return () if text.startswith(f"{_MARK}:") else tuple(key.strip() for key in text.split(",") if key.strip())


def unknown_tasks(parameters: Mapping[str, str]) -> list[str]:
    """Return a problem for each job parameter that names what is not a task of the job, by the job's `task_keys`."""
    text = parameters.get(PARAMETER, "")
    problems = []
    for name in JOB_PARAMETERS if text else ():
        try:
            named = named_tasks(name, parameters.get(name, ""))
        except ValueError:
            continue  # which the parameter's own reader reports
        wrong = sorted(key for key in named if not _knows(text, key))
        problems += [f"{name} names {key}: no such task in this job{did_you_mean(key, listed(text))}" for key in wrong]
    return problems


def unknown_among(parameters: Mapping[str, str], keys: Iterable[str]) -> list[str]:
    """Return the same problems where the task keys are at hand."""
    return unknown_tasks({**parameters, PARAMETER: ", ".join(keys)})


def _knows(text: str, key: str) -> bool:
    if not text.startswith(f"{_MARK}:"):
        return key in listed(text)
    _, hashes, encoded = text.split(":", 2)
    bits = base64.b64decode(encoded + "=" * (-len(encoded) % 4))
    return all(bits[place // 8] >> place % 8 & 1 for place in _places(key, int(hashes), len(bits)))


def _places(key: str, hashes: int, size: int) -> Iterator[int]:
    digest = hashlib.sha256(key.encode()).digest()
    first, step = int.from_bytes(digest[:8], "big"), int.from_bytes(digest[8:16], "big") | 1
    return ((first + number * step) % (8 * size) for number in range(hashes))
