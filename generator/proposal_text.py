"""Proposed rows as a YAML file that a person reads and edits: each row under the reasons for it."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import yaml

from generator.problem import MISLEADING
from generator.propose import LAYER, Proposal
from generator.render import to_yaml
from generator.shape import SchemaName

_WIDTH = 118
# YAML folds a line at the last three; where a name holds one of them, it is written as an escape.
_BREAKS = MISLEADING | set("\x85\u2028\u2029")
GAP = "GAP"
_HEAD = f"""\
Read it, change it, see what it makes: `python -m generator diff --source` and this file. Columns: docs/columns.md.

Seen: names, columns, declared keys (not enforced by Databricks); in a folder the rows. What could not be seen:
- is the table wanted at all? If not, delete its row, or set is_active_flag: false
- is a dimension's history wanted? scd1 keeps the latest state of each key, scd2 every state
- has a fact a key after all? fact_overwrite writes it anew where it differs; with primary_key_columns,
  fact_incremental_merge writes only what is new
- are tables to be joined, renamed, filtered? Name a SELECT in sql_file_path
- does a row read what another one loads? Then its execution_order is larger; here each reads its own, so all are 1
- are the names yours? src_system, dst_table_name, and layer, whose rows make the job {LAYER}"""


def proposal_text(proposals: Sequence[Proposal], source: SchemaName, target: SchemaName) -> str:
    """The file's text; what has to be filled in is marked with GAP."""
    count = f"{len(proposals):,} table{'' if len(proposals) == 1 else 's'}"
    lines = [f"# {count} of {source} into {target}, proposed by `python -m generator init`."]
    lines += [f"# {line}".rstrip() for line in _HEAD.splitlines()]
    return "\n".join([*lines, "", *("\n".join(_row(proposal)) + "\n" for proposal in proposals)])


def _row(proposal: Proposal) -> list[str]:
    why = f"{proposal.row['src_table_name']}: {' '.join(proposal.why)}"
    lines = [f"# {line}" for line in wrap(_printable(why), _WIDTH, break_long_words=False, break_on_hyphens=False)]
    for number, (column, value) in enumerate(proposal.row.items()):
        gap = f"  # {GAP}: {_printable(proposal.gaps[column])}" if column in proposal.gaps else ""
        lines.append(f"{'  ' if number else '- '}{_entry(column, value)}{gap}")
    return lines


def _entry(column: str, value: object) -> str:
    if not isinstance(value, list | dict):
        return f"{column}: {to_yaml(value)}"
    text = _flow(value, allow_unicode=True)
    text = _flow(value, allow_unicode=False) if _BREAKS & set(text) else text
    return f"{column}: {text.rstrip()}"


def _flow(value: object, *, allow_unicode: bool) -> str:
    text: str = yaml.safe_dump(value, allow_unicode=allow_unicode, default_flow_style=True, width=1 << 30)
    return text


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
