"""What a job would take, run in one way or another, and what its orders cost. Pure.

Nothing fails here and nothing is tried again: every task runs once and takes as long as it usually does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby, pairwise
from statistics import median

from monitor.job_file import JobFile
from monitor.schedule import Work, critical_path, longest_first, makespan, schedule

THREADS, BOUND = "a driver's threads", "at best"
_MOST_MOVES = 5
_SAME = 0.001  # seconds
_WORTH = 0.005  # of the makespan: what a move has to bring to be worth a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Durations:
    """How long tasks take: seconds by key, and what the start of a task adds in a native job; `source` says whence."""

    seconds: Mapping[str, float]
    source: str
    start: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to run the job: what it takes with at most so many tasks at once, and without a limit.

    None where there is no such thing.
    """

    name: str
    limited: tuple[float | None, ...]
    unlimited: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCost:
    """An order with barriers around it; without its slowest table it would take `rest`.

    `costs`: by how much the job would end earlier if the tables of the next order waited for no more of this one than
    they read, or for nothing of it where the reads are not known. None: there is no next.
    """

    order: int
    tables: int
    work: float
    takes: float
    slowest: str
    rest: float
    costs: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A row that would be better in another order: by `gain` seconds, if those before it in the list are moved too."""

    key: str
    old: int
    new: int
    gain: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulation:
    """All that there is to say. `reads` names the file that tells what each table reads, or is empty.

    `guessed` are tables whose duration is not known; they count as the median of the others.
    """

    layer: str
    tables: int
    durations: Durations
    guessed: tuple[str, ...]
    usual: float
    work: float
    at_once: tuple[int, ...]
    ways: tuple[Way, ...]
    reads: str
    orders: tuple[OrderCost, ...]
    moves: tuple[Move, ...]
    path: tuple[tuple[str, float], ...]
    path_of: str
    notes: tuple[str, ...] = ()


def simulate(jobs: Sequence[JobFile], durations: Durations, at_once: Sequence[int]) -> Simulation:
    """The first job in every way, the others as they stand; at least one of its tables has a known duration."""
    first = jobs[0]
    known = [durations.seconds[task.key] for task in first.tables if task.key in durations.seconds]
    usual = median(known)
    orders = {task.key: task.order for task in first.tables}
    reads_file = next((job for job in jobs if _tells_reads(job, orders)), None)
    waits = reads_file.waits() if reads_file else {}
    work = _Timed(durations=durations, usual=usual)
    table = _Table(
        orders=orders,
        seconds={key: work.of_table(key) + durations.start for key in orders},
        reads={key: waits[key] for key in orders} if reads_file else None,
    )
    shown = reads_file or first
    times = schedule([*work.works(shown)])
    path = [key for key in critical_path(times) if times[key].end > times[key].start]
    return Simulation(
        layer=first.layer,
        tables=len(orders),
        durations=durations,
        guessed=tuple(key for key in orders if key not in durations.seconds),
        usual=usual,
        work=sum(work.of_table(key) for key in orders),
        at_once=tuple(at_once),
        ways=tuple(_ways(jobs, work, table, at_once, shown)),
        reads=reads_file.path if reads_file else "",
        orders=tuple(_order_costs(table)),
        moves=tuple(_moves(table)) if reads_file else (),
        path=tuple((key, times[key].end - times[key].start) for key in path),
        path_of=shown.path,
        notes=tuple(_differences(jobs)),
    )


def _tells_reads(job: JobFile, orders: Mapping[str, int]) -> bool:
    """Whether the waits of a job are reads, and not orders; of the same tables."""
    return {task.key for task in job.tables} == orders.keys() and not job.keeps_orders


def _differences(jobs: Sequence[JobFile]) -> Iterator[str]:
    own = {task.key for task in jobs[0].tables}
    for job in jobs[1:]:
        others = {task.key for task in job.tables}
        if others != own:
            more, less = len(others - own), len(own - others)
            yield f"{job.path} is not of the same tables: {more} that {jobs[0].path} does not have, {less} missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Timed:
    """Jobs with the time that their tasks take. Gates take none, a summary what is known of it, else none."""

    durations: Durations
    usual: float

    def of_table(self, key: str) -> float:
        return self.durations.seconds.get(key, self.usual)

    def works(self, job: JobFile) -> Iterator[Work]:
        for task in job.tasks:
            if task.kind == "table":
                yield Work(key=task.key, seconds=self.of_table(task.key) + self.durations.start, after=task.after)
            elif task.kind == "gate":
                yield Work(key=task.key, seconds=0, after=task.after, is_gate=True)
            else:
                yield Work(key=task.key, seconds=self.durations.seconds.get(task.key, 0.0), after=task.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """Orders, seconds and reads of the rows; the reads are None where no file tells them."""

    orders: Mapping[str, int]
    seconds: Mapping[str, float]
    reads: Mapping[str, frozenset[str]] | None = None
    by_order: Mapping[int, list[str]] = field(init=False)

    def __post_init__(self) -> None:
        in_order = sorted(self.orders, key=lambda key: self.orders[key])
        by_order = {order: [*keys] for order, keys in groupby(in_order, key=lambda key: self.orders[key])}
        object.__setattr__(self, "by_order", by_order)

    def barriers(self, opened: int = -1, seconds: Mapping[str, float] | None = None) -> Iterator[Work]:
        """Each order after the one before; those after the `opened` (counted from 0) wait for what they read of it."""
        taken = seconds or self.seconds
        orders = [*self.by_order.values()]
        for place, keys in enumerate(orders):
            before = (_after(place - 1),) if place else ()
            if place and opened == place - 1:
                within, earlier = {*orders[opened]}, (_after(place - 2),) if place > 1 else ()
                for key in keys:
                    read = sorted(self.reads[key] & within) if self.reads else ()
                    yield Work(key=key, seconds=taken[key], after=(*earlier, *read))
            else:
                yield from (Work(key=key, seconds=taken[key], after=before) for key in keys)
            yield Work(key=_after(place), seconds=0, after=(*before, *keys), is_gate=True)

    def lanes(self, number: int) -> Iterator[Work]:
        """Each order in so many chains, as `max_parallel_tasks` makes them."""
        for place, keys in enumerate(self.by_order.values()):
            before = (_after(place - 1),) if place else ()
            divided = longest_first(keys, number, self.seconds)
            for lane in divided:
                yield Work(key=lane[0], seconds=self.seconds[lane[0]], after=before)
                yield from (Work(key=k, seconds=self.seconds[k], after=(other,)) for other, k in pairwise(lane))
            yield Work(key=_after(place), seconds=0, after=tuple(lane[-1] for lane in divided), is_gate=True)


def _after(place: int) -> str:
    """A gate that no task of a job can be called like."""
    return f"| {place}"


def _ways(
    jobs: Sequence[JobFile], work: _Timed, table: _Table, at_once: Sequence[int], shown: JobFile
) -> Iterator[Way]:
    alone = {key: work.of_table(key) for key in table.orders}  # in one process nothing has to be started
    pool, barriers = [*table.barriers(seconds=alone)], [*table.barriers()]
    yield Way(name=f"{THREADS}, order by order", limited=tuple(_takes(pool, number) for number in at_once))
    yield Way(name="lanes (max_parallel_tasks)", limited=tuple(_takes([*table.lanes(number)]) for number in at_once))
    ordered = _way("edges: barrier or gate", barriers, at_once)
    stand = [_way(job.path, [*work.works(job)], at_once) for job in jobs]
    alike = [way for way in stand if _same(way, ordered)]
    yield replace(ordered, name=", ".join([ordered.name, *(way.name for way in alike)]))
    yield from (way for way in stand if way not in alike)
    path, whole = _takes([*work.works(shown)]), sum(table.seconds.values())
    yield Way(name=BOUND, limited=tuple(max(path, whole / number) for number in at_once), unlimited=path)


def _way(name: str, works: Sequence[Work], at_once: Sequence[int]) -> Way:
    return Way(name=name, limited=tuple(_takes(works, number) for number in at_once), unlimited=_takes(works))


def _takes(works: Sequence[Work], at_once: int | None = None) -> float:
    return makespan(schedule(works, at_once))


def _same(one: Way, other: Way) -> bool:
    pairs = zip((*one.limited, one.unlimited), (*other.limited, other.unlimited), strict=True)
    return all(abs((a or 0.0) - (b or 0.0)) < _SAME for a, b in pairs)


def _order_costs(table: _Table) -> Iterator[OrderCost]:
    whole = makespan(schedule([*table.barriers()]))
    last = len(table.by_order) - 1
    for place, (order, keys) in enumerate(table.by_order.items()):
        slowest, *others = sorted(keys, key=lambda key: (-table.seconds[key], key))
        yield OrderCost(
            order=order,
            tables=len(keys),
            work=sum(table.seconds[key] for key in keys),
            takes=table.seconds[slowest],
            slowest=slowest,
            rest=table.seconds[others[0]] if others else 0.0,
            costs=None if place == last else whole - makespan(schedule([*table.barriers(opened=place)])),
        )


def _moves(table: _Table) -> Iterator[Move]:
    """The best move of one row, then the best after it, while they are worth it; orders stay true to the reads."""
    orders = dict(table.orders)
    for _ in range(_MOST_MOVES):
        whole = _with_barriers(orders, table.seconds)
        best = max(_possible(table, orders, whole), key=lambda move: (move.gain, move.key), default=None)
        if best is None or best.gain < max(1.0, _WORTH * whole):
            return
        yield best
        orders[best.key] = best.new


def _possible(table: _Table, orders: Mapping[str, int], whole: float) -> Iterator[Move]:
    """The slowest of an order, in each other order that what it reads, and what reads it, leave open."""
    reads = table.reads or {}
    for order in sorted(set(orders.values())):
        slowest = max((key for key in orders if orders[key] == order), key=lambda key: (table.seconds[key], key))
        above = max((orders[key] for key in reads[slowest]), default=0)
        below = min((orders[key] for key in orders if slowest in reads[key]), default=None)
        for new in table.by_order:
            if new != order and new > above and (below is None or new < below):
                gain = whole - _with_barriers({**orders, slowest: new}, table.seconds)
                yield Move(key=slowest, old=order, new=new, gain=gain)


def _with_barriers(orders: Mapping[str, int], seconds: Mapping[str, float]) -> float:
    """What orders take that wait for one another: the sum of their slowest tables."""
    slowest: dict[int, float] = {}
    for key, order in orders.items():
        slowest[order] = max(slowest.get(order, 0.0), seconds[key])
    return sum(slowest.values())


def unknown(job: JobFile, seconds: Iterable[str]) -> bool:
    """Whether of none of the job's tables it is known how long it takes."""
    return not {task.key for task in job.tables} & {*seconds}
