"""What must hold for rows before they become a job: every problem of every rule.

A rule about one row sees every row, the inactive ones too; a rule about the table sees the active ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

from generator import order_rules, row_rules, sql_rules, table_rules, target_rules
from generator.context import Context
from generator.model import Entry
from generator.problem import Problem


def check(entries: Sequence[Entry], context: Context, *, complete: bool = True) -> tuple[Problem, ...]:
    """Judge the rows one by one and together; where they are not complete, what is missing is no problem."""
    found = chain(check_alone(entries), _each(entries, context), _together(entries, context))
    unmatched = table_rules.settings_match_rows(entries, context) if complete else ()
    return tuple(chain(found, unmatched))


def check_alone(entries: Sequence[Entry]) -> Iterator[Problem]:
    """What is wrong with the rows whatever the settings are."""
    for entry in entries:
        for rule in row_rules.ROW_RULES:
            yield from rule(entry)
    for rule_together in table_rules.ACTIVE_RULES:
        yield from rule_together(_active(entries))


def _each(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    for entry in entries:
        for rule in (*row_rules.CONTEXT_RULES, *sql_rules.CONTEXT_RULES):
            yield from rule(entry, context)


def _together(entries: Sequence[Entry], context: Context) -> Iterator[Problem]:
    for rule in (*table_rules.CONTEXT_RULES, target_rules.unmapped_catalogs, *order_rules.CONTEXT_RULES):
        yield from rule(_active(entries), context)
    yield from sql_rules.one_select_each(entries, context)


def _active(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.row.is_active_flag]
