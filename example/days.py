"""Both days of a table, from what TPC-DS generates and what the story says."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from example import night
from example.pick import Pick, any_of
from example.story import STORIES, Story, Values

SYNCED = "_fivetran_synced"
DELETED = "_fivetran_deleted"


def day_one(name: str, generated: pa.Table) -> pa.Table:
    """The table as the first night leaves it."""
    story = STORIES.get(name, Story())
    absent = _union(generated, (*story.arriving, story.left_out))
    table = _with(generated, [(change.pick, change.before) for change in story.changes], generated)
    table = _with_fivetran(table, night.synced(name, 1, table.num_rows), story.deleted_from_start.mask(generated))
    return table.filter(pc.invert(absent))


def day_two(name: str, generated: pa.Table) -> pa.Table:
    """The table as the second night leaves it; rows that the night did not touch keep the first night's time."""
    story = STORIES.get(name, Story())
    gone = _union(generated, (story.left_out, story.removed))
    table = _with(generated, [(change.pick, change.after) for change in story.changes], generated)
    deleted = _union(generated, (story.deleted, story.deleted_from_start))
    synced = pc.if_else(
        _union(generated, _touched(story)),
        night.synced(name, 2, table.num_rows),
        night.synced(name, 1, table.num_rows),
    )
    table = _with_fivetran(table, synced, deleted)
    twice = pc.and_(_union(generated, story.arriving), story.twice.mask(generated))
    return pa.concat_tables([table.filter(pc.invert(gone)), table.filter(twice)]).combine_chunks()


def is_touched(name: str) -> bool:
    """Whether the second night changes anything in the table."""
    return name in STORIES


def _touched(story: Story) -> tuple[Pick, ...]:
    return (*story.arriving, *(change.pick for change in story.changes), story.bumped, story.deleted)


def _union(table: pa.Table, picks: tuple[Pick, ...]) -> pa.Array:
    return any_of([pick.mask(table) for pick in picks], table.num_rows)


def _with(table: pa.Table, changes: list[tuple[Pick, Values]], generated: pa.Table) -> pa.Table:
    for pick, values in changes:
        for column, new_value in values.items():
            new = pc.if_else(pick.mask(generated), new_value(table[column]), table[column])
            table = table.set_column(table.schema.get_field_index(column), table.schema.field(column), new)
    return table


def _with_fivetran(table: pa.Table, synced: pa.Array, deleted: pa.Array) -> pa.Table:
    return table.append_column(SYNCED, synced).append_column(DELETED, deleted)
