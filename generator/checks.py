"""What must hold for rows before they become a job: every problem of every rule.

A rule about one row sees every row, the inactive ones too; a rule about the table sees the active ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from generator import order_rules, row_rules, sql_rules, table_rules
from generator.context import Context
from generator.model import Entry
from generator.problem import Problem


def check(entries: Sequence[Entry], context: Context) -> tuple[Problem, ...]:
    """Judge the rows one by one and together."""
    return tuple(chain(_each(entries, context), _together(entries, context)))


def _each(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    for entry in entries:
        for rule in row_rules.ROW_RULES:
            yield from rule(entry)
        for rule_in_context in (*row_rules.CONTEXT_RULES, *sql_rules.CONTEXT_RULES):
            yield from rule_in_context(entry, context)


def _together(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    active = [entry for entry in entries if entry.row.is_active_flag]
    for rule in table_rules.ACTIVE_RULES:
        yield from rule(active)
    for rule_in_context in (*table_rules.CONTEXT_RULES, *order_rules.CONTEXT_RULES):
        yield from rule_in_context(active, context)
    yield from sql_rules.one_select_each(entries, context)
    yield from table_rules.settings_match_rows(entries, context)
