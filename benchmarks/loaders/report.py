"""The table of a run: each phase with all its sides, and what the goals come to."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from benchmarks.loaders.measure import Measure
from benchmarks.loaders.side import PHASES

OURS = "laketasks"
FLOOR = "floor: files only"
_MIB = 1 << 20


def table(measures: list[Measure]) -> str:
    """A row for each side of each phase; ratios are of the same round, the other side's figure by ours."""
    head = "| loader | phase | side | seconds (min, median, max) | / ours | CPU s | / ours | peak MiB | files | MiB |"
    lines = [head, "|" + "---|" * head.strip("|").count("|") + "---|"]
    for loader in _ordered(m.loader for m in measures):
        for phase in PHASES:
            of_phase = [m for m in measures if (m.loader, m.phase) == (loader, phase)]
            lines += [_row(loader, phase, side, of_phase) for side in _ordered(m.side for m in of_phase)]
    return "\n".join(lines)


def goals(measures: list[Measure]) -> list[str]:
    """The best other side of each phase, the rerun against the first load, and the distance from the floor."""
    lines = []
    for loader in _ordered(m.loader for m in measures):
        own = [m for m in measures if m.loader == loader]
        for phase in PHASES:
            of_phase = [m for m in own if m.phase == phase]
            others = [side for side in _ordered(m.side for m in of_phase) if side not in (OURS, FLOOR)]
            parts = [_best(of_phase, others, "seconds", "time"), _best(of_phase, others, "worked", "processor time")]
            if floor := _ratios(of_phase, FLOOR):
                parts.append(f"ours is {median(1 / ratio for ratio in floor if ratio):.1f} times the floor's time")
            lines.append(f"{loader}, {phase}: {'; '.join(part for part in parts if part)}")
        reruns = _by_round([m for m in own if m.phase == PHASES[2]], OURS)
        firsts = _by_round([m for m in own if m.phase == PHASES[0]], OURS)
        shares = [reruns[n] / firsts[n] for n in reruns if n in firsts]
        if shares:
            lines.append(f"{loader}: the unchanged rerun takes {median(shares):.2f} of the first load")
    return lines


def _best(of_phase: list[Measure], others: list[str], figure: str, called: str) -> str:
    rated = sorted((median(ratios), side) for side in others if (ratios := _ratios(of_phase, side, figure)))
    return f"least {called} of the others: {rated[0][1]}, {rated[0][0]:.2f} of ours" if rated else ""


def growth(measures: list[Measure]) -> list[str]:
    """How the medians grow from the fewest to the most rows of the run."""
    sizes = sorted({m.rows for m in measures})
    lines = []
    for loader in _ordered(m.loader for m in measures):
        for phase in PHASES:
            for side in _ordered(m.side for m in measures if m.loader == loader):
                small, large = (
                    [
                        m.seconds
                        for m in measures
                        if (m.loader, m.phase, m.side, m.rows) == (loader, phase, side, size) and m.seconds
                    ]
                    for size in (sizes[0], sizes[-1])
                )
                if small and large and sizes[0] != sizes[-1]:
                    lines.append(f"{loader}, {phase}, {side}: {median(large) / median(small):.1f} times the time")
    return lines


def spread(figures: list[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in (min(figures), median(figures), max(figures)))


def _row(loader: str, phase: str, side: str, of_phase: list[Measure]) -> str:
    own = [m for m in of_phase if m.side == side]
    seconds = [m.seconds for m in own if m.seconds is not None]
    if not seconds:
        why = own[0].error if own[0].error.startswith("ended") else f"not on {own[0].engine}: {own[0].error}"
        return f"| {loader} | {phase} | {side} | {why} | | | | | | |"
    peak = max(m.peak or 0 for m in own) // _MIB
    wrong = next((f" **{m.wrong}**" for m in own if m.wrong), "")
    worked = f"{median([m.worked for m in own if m.worked is not None]):.1f}"
    written = f"{max(m.files for m in own)} | {max(m.bytes for m in own) / _MIB:.0f}"
    cells = (
        spread(seconds),
        _rated(of_phase, side, "seconds"),
        worked,
        _rated(of_phase, side, "worked"),
        peak,
        written,
    )
    return f"| {loader} | {phase} | {side}{wrong} | {' | '.join(map(str, cells))} |"


def _rated(of_phase: list[Measure], side: str, figure: str) -> str:
    ratios = _ratios(of_phase, side, figure)
    if not ratios:
        return ""
    return f"{median(ratios):.2f}" + (f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else "")


def _ratios(of_phase: list[Measure], side: str, figure: str = "seconds") -> list[float]:
    ours, theirs = _by_round(of_phase, OURS, figure), _by_round(of_phase, side, figure)
    return [theirs[number] / ours[number] for number in theirs if ours.get(number)]


def _by_round(measures: list[Measure], side: str, figure: str = "seconds") -> dict[int, float]:
    return {m.round: value for m in measures if m.side == side and (value := getattr(m, figure)) is not None}


def _ordered(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
