"""Limits of the Jobs API that its schema does not hold: lengths, ranges, counts, and fields of which one is given.

They are the documented ones; an object is judged by the name of its type wherever it stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any
from zoneinfo import available_timezones

from generator.problem import shown
from generator.quartz import cron_problem

_KEY = r"[A-Za-z0-9_-]{1,100}"
_KEY_WORDS = "1 to 100 letters, digits, _ and -"
# Java takes these besides the names of the time zone database.
_OFFSET = re.compile(r"(GMT|UTC|UT)[+-]\d{1,2}(:?\d{2})?")
_JAVA = re.compile(r"A[CERS]T|AGT|BET|BST|C[ANST]T|CTT|E[ACS]T|I[ES]T|JST|MIT|N[ES]T|P[LNRS]T|SST|VST")

_FILLED_LATER = re.compile(r"\$\{|\{\w+\}")  # by the bundle, or by the row of a runner

# (path below the object, what)
_Found = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The bounds of one field: of a number, of the bytes or characters of a text, or of how many a list or map has."""

    least: int | None = None
    most: int | None = None
    bytes: int | None = None
    characters: int | None = None
    pattern: str = ""
    words: str = ""  # what the pattern takes
    items: int | None = None
    fewest: int = 0
    also: tuple[int, ...] = ()  # numbers outside of the bounds that mean something
    hint: str = ""
    unit: str = ""


_NOT_NEGATIVE = Limit(least=0)
_TASK_TIMES = {
    "timeout_seconds": _NOT_NEGATIVE,
    "max_retries": Limit(least=-1),
    "min_retry_interval_millis": _NOT_NEGATIVE,
    "description": Limit(bytes=1000),
}
_MINUTE = Limit(least=60, unit=" seconds")
_WAITS = {"min_time_between_triggers_seconds": _MINUTE, "wait_after_last_change_seconds": _MINUTE}
_HOOKS = dict.fromkeys(
    (
        "on_start",
        "on_success",
        "on_failure",
        "on_duration_warning_threshold_exceeded",
        "on_streaming_backlog_exceeded",
    ),
    Limit(items=3),
)
LIMITS: Mapping[str, Mapping[str, Limit]] = {
    "Job": {
        "name": Limit(bytes=4096),
        "description": Limit(bytes=27_700),
        "max_concurrent_runs": Limit(least=1, most=1000, hint="; 0 would skip every run"),
        "timeout_seconds": _NOT_NEGATIVE,
        "job_clusters": Limit(items=100),
    },
    "Task": {"task_key": Limit(pattern=_KEY, words=_KEY_WORDS), **_TASK_TIMES},
    "JobCluster": {"job_cluster_key": Limit(pattern=_KEY, words=_KEY_WORDS)},
    "JobEnvironment": {"environment_key": Limit(pattern=_KEY, words=_KEY_WORDS)},
    "JobParameterDefinition": {"name": Limit(pattern=r"[\w.-]{1,200}", words="letters, digits, _, - and .")},
    "ClusterSpec": {
        "num_workers": _NOT_NEGATIVE,
        "autotermination_minutes": Limit(least=10, most=10_000, also=(0,)),
        "custom_tags": Limit(items=45),
        "ssh_public_keys": Limit(items=10),
    },
    "AutoScale": {"min_workers": _NOT_NEGATIVE, "max_workers": Limit(least=1)},
    "AwsAttributes": {
        "ebs_volume_count": Limit(least=0, most=10),
        "ebs_volume_size": Limit(least=100, most=4096),
        "first_on_demand": _NOT_NEGATIVE,
    },
    "AlertTask": {"subscribers": Limit(items=100)},
    "DbtTask": {"commands": Limit(items=10, fewest=1)},
    "ForEachTask": {"concurrency": Limit(least=1, most=100)},
    "JobsHealthRules": {"rules": Limit(items=100, fewest=1)},
    "JobsHealthRule": {"value": Limit(least=0)},
    "PeriodicTriggerConfiguration": {"interval": Limit(least=1)},
    "FileArrivalTriggerConfiguration": _WAITS,
    "TableUpdateTriggerConfiguration": _WAITS,
    "ModelTriggerConfiguration": _WAITS,
    "WebhookNotifications": _HOOKS,
}
FILLED_IN = "table_update"  # of a trigger: the generator writes the tables where it is empty
# Of these fields an object has exactly one.
ONE_OF: Mapping[str, tuple[str, ...]] = {
    "Library": ("whl", "jar", "egg", "pypi", "maven", "cran", "requirements"),
    "SqlTask": ("query", "dashboard", "alert", "file"),
    "TriggerSettings": ("table_update", "file_arrival", "periodic", "model"),
    "GitSource": ("git_branch", "git_tag", "git_commit"),
    "JobRunAs": ("service_principal_name", "user_name", "group_name"),
    "JobPermission": ("service_principal_name", "user_name", "group_name"),
}
# A trigger without `table_names` watches what the rows read; the others are asked for where their names are judged.
ASKED_ELSEWHERE = {
    "TableUpdateTriggerConfiguration": ("table_names",),
    "JobParameterDefinition": ("name", "default"),
    "JobCluster": ("job_cluster_key",),
    "JobEnvironment": ("environment_key",),
    "ForEachTask": ("task",),
    "Task": ("task_key",),
}


def limit_problems(value: Mapping[str, Any], type_name: str) -> Iterator[_Found]:
    """
    Yield (field, what is wrong) for each field of the object that the Jobs service refuses for its size or its value.

    >>> list(limit_problems({"max_concurrent_runs": 0}, "Job"))
    [('max_concurrent_runs', 'expected 1 to 1,000, found 0; 0 would skip every run')]
    """
    for name, limit in LIMITS.get(type_name, {}).items():
        if (found := value.get(name)) is not None and (what := _over(found, limit)):
            yield name, what
    if type_name in ONE_OF:
        yield from _one_of(value, ONE_OF[type_name])
    if type_name == "AutoScale":
        yield from _smaller_first(value)
    if type_name == "Job":
        yield from _tags(value.get("tags"), "tags")
    elif type_name == "ClusterSpec":
        yield from _tags(value.get("custom_tags"), "custom_tags")
        if value.get("autoscale") is not None and value.get("num_workers") is not None:
            yield "num_workers", "a cluster has num_workers or autoscale, and both are given"
    elif type_name in ("CronSchedule", "CronTriggerConfiguration"):
        yield from _schedule(value)


def _over(found: object, limit: Limit) -> str:
    if isinstance(found, str):
        return "" if _FILLED_LATER.search(found) else _text(found, limit)
    if isinstance(found, (list, dict)):
        if limit.items is not None and not limit.fewest <= len(found) <= limit.items:
            bounds = f"at most {limit.items:,}" if not limit.fewest else f"{limit.fewest} to {limit.items:,}"
            return f"takes {bounds}, found {len(found):,}"
        return ""
    if isinstance(found, bool) or not isinstance(found, (int, float)) or found in limit.also:
        return ""
    if (limit.least is not None and found < limit.least) or (limit.most is not None and found > limit.most):
        bounds = f"{limit.least:,} or more" if limit.most is None else f"{limit.least:,} to {limit.most:,}"
        others = "".join(f" or {number}" for number in limit.also)
        bounds = bounds.replace(" or more", f"{limit.unit} or more")
        return f"expected {bounds}{others}, found {found:,}{limit.hint}"
    return ""


def _text(found: str, limit: Limit) -> str:
    size = len(found.encode(errors="replace"))
    if limit.bytes is not None and size > limit.bytes:
        return f"takes {limit.bytes:,} bytes, found {size:,}"
    if limit.pattern and not re.fullmatch(limit.pattern, found):
        return f"expected {limit.words}, found {shown(found)}"
    return ""


def _one_of(value: Mapping[str, Any], fields: tuple[str, ...]) -> Iterator[_Found]:
    given = [field for field in fields if value.get(field) is not None]
    if not given and not (FILLED_IN in fields and FILLED_IN in value):
        yield "", f"expected one of {', '.join(fields)}, found none"
    for field in given[1:]:
        yield field, f"expected one of {', '.join(fields)}, and {given[0]} is given, too"


def _smaller_first(value: Mapping[str, Any]) -> Iterator[_Found]:
    least, most = value.get("min_workers"), value.get("max_workers")
    if isinstance(least, int) and isinstance(most, int) and least > most:
        yield "max_workers", f"expected min_workers ({least:,}) or more, found {most:,}"


def _tags(tags: object, field: str) -> Iterator[_Found]:
    for key, text in tags.items() if isinstance(tags, Mapping) else ():
        if not str(key) or len(str(key)) > 127:
            yield field, f"a key of a tag has 1 to 127 characters, {shown(str(key))} has {len(str(key)):,}"
        elif not str(key).isprintable() or str(key) != str(key).strip():
            yield field, f"{shown(str(key))} is not a key of a tag: blanks at its ends or control characters"
        if isinstance(text, str) and "${" not in text and len(text) > 255:
            yield field, f"a value of a tag has up to 255 characters, that of {shown(str(key))} has {len(text):,}"


def _schedule(value: Mapping[str, Any]) -> Iterator[_Found]:
    cron, zone = value.get("quartz_cron_expression"), value.get("timezone_id")
    if isinstance(cron, str) and "${" not in cron and (what := cron_problem(cron)):
        yield "quartz_cron_expression", what
    if isinstance(zone, str) and "${" not in zone and (what := _zone(zone)):
        yield "timezone_id", what


def _zone(name: str) -> str:
    known = _zones()
    if not known or name in known or _JAVA.fullmatch(name) or _OFFSET.fullmatch(name):
        return ""
    lower = {zone.lower(): zone for zone in known}
    last = {zone.rsplit("/", 1)[-1].lower(): zone for zone in sorted(known)}
    word = name.strip().lower().replace(" ", "_")
    near = next(iter(get_close_matches(word, lower, n=1, cutoff=0.75)), "")
    meant = lower.get(near) or last.get(word.rsplit("/", 1)[-1], "")
    hint = f"; did you mean {meant}?" if meant else ""
    return f"{shown(name)} is not a time zone{hint or '; write a name of the tz database, such as Europe/Berlin'}"


@cache
def _zones() -> frozenset[str]:
    """The names of the time zone database; none where the machine has none, and then no name is judged."""
    return frozenset(available_timezones()) - {"localtime", "posixrules", "Factory"}
