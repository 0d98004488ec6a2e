"""What happens to each table between the first night and the second.

The second day is what TPC-DS generates, the first day is the same warehouse as it was before: customers who have
not moved yet, prices before they rose, sales that have not arrived. Only three things of day 2 are not TPC-DS's own:
new sales are dated to the night they arrive in, deleted rows carry Fivetran's flag, and some arrivals stand twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from example.night import date_sk, evening_of
from example.pick import NOTHING, Pick, rows, value, where

Values = Mapping[str, Callable[[pa.ChunkedArray], pa.ChunkedArray]]

EVENING_DATE_SK = date_sk(evening_of(2).date())
MORNING_DATE_SK = date_sk((evening_of(2) + timedelta(days=1)).date())
LAST_COUNT_DATE_SK = date_sk(date(2002, 12, 26))  # TPC-DS counts the inventory weekly, at every scale until this day


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Rows that differ between the days: `before` makes day 1's values from the generated ones, `after` day 2's."""

    pick: Pick
    before: Values = field(default_factory=dict)
    after: Values = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What happens to the rows of one table; parts may overlap, a row that arrives or goes is never changed on day 1.

    `left_out` is on neither day. `bumped` rows get a new `_fivetran_synced` and nothing else. `removed` rows are gone
    on day 2 without a trace, `deleted` ones carry the flag (`deleted_from_start`: on both days). `twice`: of the rows
    that arrive, those delivered twice.
    """

    arriving: tuple[Pick, ...] = ()
    left_out: Pick = NOTHING
    changes: tuple[Change, ...] = ()
    bumped: Pick = NOTHING
    deleted: Pick = NOTHING
    deleted_from_start: Pick = NOTHING
    removed: Pick = NOTHING
    twice: Pick = NOTHING


def lower(percent: int) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    """Amounts lower by so many percent, rounded to the column's own scale."""
    factor = pa.scalar(Decimal(100 - percent) / 100, pa.decimal128(3, 2))
    return lambda column: pc.round(pc.multiply(column, factor), column.type.scale).cast(column.type)


def minus(number: int) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    """Whole numbers lower by a number."""
    return lambda column: pc.subtract(column, pa.scalar(number, column.type))


def constant(new: object) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    """The same value in every row; None is NULL."""
    return lambda column: pa.chunked_array([pa.array([new] * len(column), column.type)])


def prefixed(text: str) -> Callable[[pa.ChunkedArray], pa.ChunkedArray]:
    """Texts that begin with another text; NULL stays NULL."""
    return lambda column: pc.binary_join_element_wise(pa.scalar(text), column, "")


def _fact(prefix: str, number: str, dated: str, changed: Values) -> Story:
    """Sales: every 100th ticket arrives in the second night, half of them late, with the date they were made at."""
    sold_in_the_evening, sold_after_midnight, late = (
        where(number, 400, 37),
        where(number, 400, 237),
        where(number, 200, 137),
    )
    return Story(
        arriving=(sold_in_the_evening, sold_after_midnight, late),
        changes=(
            Change(pick=sold_in_the_evening, after={dated: constant(EVENING_DATE_SK)}),
            Change(pick=sold_after_midnight, after={dated: constant(MORNING_DATE_SK)}),
            Change(pick=rows(1000, 11, 12, 13), before=changed),
        ),
        bumped=rows(1000, 701, 702),
        deleted=rows(1000, 500),
        deleted_from_start=rows(1000, 999),
        twice=where(f"{prefix}_item_sk", 10, 0),
    )


def _returns(number: str, changed: Values) -> Story:
    """Returns: those of the late sales arrive with them; those of the new sales are not made yet."""
    return Story(
        arriving=(where(number, 200, 137),),
        left_out=where(number, 200, 37),
        changes=(Change(pick=rows(100, 21), before=changed),),
        bumped=rows(100, 71),
        deleted=rows(200, 50),
        twice=where(number, 400, 137),
    )


STORIES: Mapping[str, Story] = {
    "customer": Story(
        arriving=(rows(200, 199),),
        changes=(
            Change(pick=where("c_current_addr_sk", 50, 0), before={"c_current_addr_sk": minus(1)}),  # they move
            Change(pick=rows(50, 7), before={"c_email_address": prefixed("old.")}),
            Change(pick=rows(100, 33), before={"c_last_name": prefixed("Mc")}),
        ),
        bumped=rows(25, 11),
        deleted=rows(100, 17),
        deleted_from_start=rows(500, 250),
    ),
    "customer_address": Story(
        arriving=(where("ca_address_sk", 50, 0),),  # where the movers move to
        changes=(Change(pick=rows(100, 41), before={"ca_street_name": prefixed("Old ")}),),
        bumped=rows(100, 71),
    ),
    "item": Story(
        arriving=(rows(250, 249),),
        changes=(
            Change(pick=rows(50, 5), before={"i_current_price": lower(10)}),
            Change(pick=rows(100, 25), before={"i_item_desc": prefixed("Draft: ")}),
        ),
        bumped=rows(100, 65),
        deleted=rows(100, 85),
    ),
    "store": Story(
        changes=(
            Change(pick=rows(6, 0), before={"s_number_employees": minus(5)}),
            Change(pick=rows(6, 1), after={"s_closed_date_sk": constant(EVENING_DATE_SK)}),
        ),
        deleted=rows(6, 1),
    ),
    "call_center": Story(changes=(Change(pick=rows(6, 0), before={"cc_manager": constant("Ada Park")}),)),
    "web_site": Story(bumped=rows(2, 1)),
    "web_page": Story(changes=(Change(pick=rows(6, 1), before={"wp_link_count": minus(1)}),)),
    "catalog_page": Story(
        arriving=(rows(1000, 900),),
        changes=(Change(pick=rows(100, 3), before={"cp_description": prefixed("Draft: ")}),),
        bumped=rows(100, 4),
        deleted=rows(200, 5),
    ),
    "promotion": Story(
        changes=(Change(pick=rows(3, 1), before={"p_discount_active": constant("Y")}),),
        deleted=rows(3, 2),
    ),
    "reason": Story(
        changes=(Change(pick=rows(75, 10), before={"r_reason_desc": prefixed("(old) ")}),),
        removed=rows(75, 74),
    ),
    "ship_mode": Story(
        arriving=(rows(20, 12),),
        changes=(Change(pick=rows(20, 4), before={"sm_contract": constant("expired")}),),
        removed=rows(20, 19),
    ),
    "warehouse": Story(changes=(Change(pick=rows(6, 0), before={"w_warehouse_sq_ft": minus(1000)}),)),
    "date_dim": Story(
        changes=(
            Change(pick=value("d_date_sk", EVENING_DATE_SK - 1), before={"d_current_day": constant("Y")}),
            Change(pick=value("d_date_sk", EVENING_DATE_SK), after={"d_current_day": constant("Y")}),
        ),
    ),
    "store_sales": _fact("ss", "ss_ticket_number", "ss_sold_date_sk", {"ss_net_paid": lower(10)}),
    "catalog_sales": _fact("cs", "cs_order_number", "cs_sold_date_sk", {"cs_ext_ship_cost": lower(20)}),
    "web_sales": _fact("ws", "ws_order_number", "ws_sold_date_sk", {"ws_quantity": minus(1)}),
    "store_returns": _returns("sr_ticket_number", {"sr_fee": lower(50)}),
    "catalog_returns": _returns("cr_order_number", {"cr_refunded_cash": lower(25)}),
    "web_returns": _returns("wr_order_number", {"wr_return_quantity": minus(1)}),
    "inventory": Story(
        arriving=(value("inv_date_sk", LAST_COUNT_DATE_SK),),
        changes=(Change(pick=rows(1000, 333), before={"inv_quantity_on_hand": minus(7)}),),
        bumped=rows(1000, 334),
        deleted=rows(5000, 335),
    ),
}
"""Tables that are not named stay as they are: no row of theirs is touched on day 2."""
