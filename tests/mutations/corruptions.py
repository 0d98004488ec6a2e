"""Damage of any kind, of which it is only known that it must end well: in a message, or in right job files."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from generator.columns import BY_NAME
from tests.mutations.draft import Draft

_WORDS = ("", "a", "${x}", "{{y}}", "\x00", "\ud800", "é", "run_summary", "scd1", "full", "true", "null", "~", "1e400")
_YAML = (
    "!!bool maybe",
    "!!timestamp never",
    "!!int x",
    "!!float x",
    "!!binary x",
    "!!set {a, b}",
    "!!python/object:os.system x",
    "!!omap [a: 1]",
    "&x [*x]",
    "*nowhere",
    "{? [a] : b}",
    "{a: 1, a: 2}",
    "{<<: 5}",
    "{<<: [{a: 1}, 3]}",
    "'",
    '"\\x"',
    "|",
    ">-",
    "- - - - -",
    "%YAML 9.9",
    "---",
    "...",
    "\t",
    "[" * 3000,
    "{a: " * 400,
    "9" * 6000,
    "0x" + "f" * 5000,
    "1:30:00",
    ".nan",
    "-.inf",
    "2026-01-01",
    "\x07",
    "\ufeff",
)
_LAUGHS = "".join(
    ["- &a0 [x, x, x, x, x, x, x, x, x, x]\n"] + [f"- &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 10)]
)


def junk(chance: random.Random, depth: int = 0) -> Any:
    kind = chance.randrange(10 if depth < 3 else 6)
    if kind < 3:
        return chance.choice(_WORDS)
    if kind < 6:
        return chance.choice((None, True, False, 0, -1, 3, 2**70, 1.5, float("nan"), float("inf"), "x" * 20_000))
    if kind < 8:
        return [junk(chance, depth + 1) for _ in range(chance.randrange(4))]
    return {str(junk(chance, 3)): junk(chance, depth + 1) for _ in range(chance.randrange(4))}


def junk_cell(chance: random.Random, draft: Draft) -> None:
    chance.choice(draft.rows)[chance.choice(list(BY_NAME))] = junk(chance)


def swapped_cells(chance: random.Random, draft: Draft) -> None:
    one, other = chance.choice(draft.rows), chance.choice(draft.rows)
    first, second = chance.choice(list(BY_NAME)), chance.choice(list(BY_NAME))
    one[first], other[second] = other.get(second), one.get(first)


def junk_row(chance: random.Random, draft: Draft) -> None:
    draft.rows[chance.randrange(len(draft.rows))] = {
        str(k): v for k, v in zip(_WORDS, [junk(chance)] * 4, strict=False)
    }


def junk_configuration(chance: random.Random, draft: Draft) -> None:
    keys = ("where", "sequence_by", "expectations", "lookback", "column_list", "source_mode", "cluster_by", "watermark")
    chance.choice(draft.rows)["cdc_source_config"] = {chance.choice(keys): junk(chance) for _ in range(2)}


def junk_setting(chance: random.Random, draft: Draft) -> None:
    place: Any = draft.settings
    while isinstance(place, dict) and place and chance.random() < 0.8:
        key = chance.choice(list(place))
        if not isinstance(place[key], dict) or chance.random() < 0.3:
            place[key] = junk(chance)
            return
        place = place[key]
    if isinstance(place, dict):
        place[chance.choice(("task", "job", "tables", "libraries", "notebook_task", "environments", ""))] = junk(chance)


def junk_job(chance: random.Random, draft: Draft) -> None:
    fields = ("parameters", "environments", "job_clusters", "schedule", "trigger", "tags", "queue", "health", "name")
    draft.settings["layers"] = {"bronze_to_silver": {"job": {chance.choice(fields): junk(chance) for _ in range(3)}}}


def junk_loop(chance: random.Random, draft: Draft) -> None:
    loop = chance.choice(
        ({"inputs": "[]", "task": junk(chance)}, {"task": {"task_key": "x", "sql_task": junk(chance)}})
    )
    draft.settings["runners"] = {"notebook": {"for_each_task": loop, chance.choice(("libraries", "x")): junk(chance)}}


def junk_bundle(chance: random.Random, draft: Draft) -> None:
    draft.bundle[chance.choice(("variables", "bundle", "targets"))] = junk(chance)


def junk_sql(chance: random.Random, draft: Draft) -> None:
    pieces = ("SELECT ", "FROM ", "a.b.c ", "{x}", "(", ")", "'", "`", ";", "--", "/*", "*", "\x00", "WITH a AS (", "é")
    draft.sql["sql/t5.sql"] = "".join(chance.choice(pieces) for _ in range(chance.randrange(12)))


DRAFT_CORRUPTIONS: tuple[Callable[[random.Random, Draft], None], ...] = (
    junk_cell,
    swapped_cells,
    junk_row,
    junk_configuration,
    junk_setting,
    junk_job,
    junk_loop,
    junk_bundle,
    junk_sql,
)


def corrupted(chance: random.Random, content: bytes) -> bytes:
    """The bytes of a file with one place damaged."""
    where = chance.randrange(len(content) + 1)
    lines = content.splitlines(keepends=True) or [b""]
    line = chance.randrange(len(lines))
    kind = chance.randrange(9)
    if kind == 0:
        return content[:where]
    if kind == 1:
        return (
            content[:where]
            + chance.choice((b"\x00", b"\xff", b"\x07", b"\r", b"\xed\xa0\x80", b'"', b"\t"))
            + content[where:]
        )
    if kind == 2:
        return content[:where] + chance.choice(_YAML).encode(errors="surrogatepass") + content[where:]
    if kind == 3:
        return b"".join([*lines[:line], lines[line], *lines[line:]])
    if kind == 4:
        return b"".join([*lines[:line], *lines[line + 1 :]])
    if kind == 5:
        key = lines[line].split(b":")[0]
        return b"".join([*lines[:line], key, b": ", chance.choice(_YAML).encode(), b"\n", *lines[line + 1 :]])
    if kind == 6:
        return content.replace(b"\n", b"\r\n") if chance.random() < 0.5 else b"\xef\xbb\xbf" + content
    if kind == 7:
        return chance.choice((b"", b"\n", b"[]", b"{}", b"- 5", b"null", _LAUGHS.encode(), b"a" * 200_000))
    return content[: where // 2] + content[where:]
