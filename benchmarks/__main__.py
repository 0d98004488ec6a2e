"""`python -m benchmarks [--rounds N]`: 140 tables by the native job, a thread pool of 5, and a plain loop, in turn.

Each figure is a whole process, engine start included; each round measures all sides, and the ratios are per round.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.project import ORDERS, write_bronze, write_project

_ROOT = Path(__file__).parents[1]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often every side is measured (default 3)")
    rounds = parser.parse_args(arguments).rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder)
        settings = ("--settings", str(folder / "bundle/settings.yml"), "--out", str(folder / "resources"))
        generated = [_seconds("generator", "generate", *settings) for _ in range(max(5, rounds))]
        print(f"generate {sum(ORDERS)} rows: {_spread(generated)}")
        seconds: dict[str, list[float]] = {}
        for number in range(rounds):
            for side, command in _sides(folder / "resources/main.job.yml").items():
                workspace = folder / f"{number}-{side.replace(' ', '-')}"
                write_bronze(workspace)
                seconds.setdefault(side, []).append(_seconds(*command, "--workspace", str(workspace)))
                print(f"round {number + 1}: {side}: {seconds[side][-1]:.1f} s", flush=True)
                if side == "native job":
                    again = _seconds(*command, "--workspace", str(workspace))
                    seconds.setdefault("native job, nothing new", []).append(again)
        print(_table(seconds))
    return 0


def _sides(job_file: Path) -> dict[str, tuple[str, ...]]:
    return {
        "native job": ("localjobs", "run", str(job_file)),
        "thread pool of 5": ("benchmarks.driver", str(job_file), "--threads", "5"),
        "plain loop": ("benchmarks.driver", str(job_file), "--threads", "1"),
    }


def _seconds(module: str, *arguments: str) -> float:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"python -m {module} {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
    return time.monotonic() - started


def _table(seconds: dict[str, list[float]]) -> str:
    base = seconds["native job"]
    lines = ["", f"{'side':26} {'seconds: min, median, max':28} ratio to the native job, median of rounds"]
    for side, figures in seconds.items():
        ratio = median(figure / own for figure, own in zip(figures, base, strict=True))
        lines.append(f"{side:26} {_spread(figures):28} {ratio:.2f}")
    return "\n".join(lines)


def _spread(figures: list[float]) -> str:
    return f"{min(figures):.2f}, {median(figures):.2f}, {max(figures):.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
