"""`python -m benchmarks.tasks [--tasks 1000]`: what localjobs adds to a task, process and connection included.

Jobs whose tasks have no order among them: each asks the engine one small question, or does nothing at all. Beside them
the same questions from threads of one process that has everything imported, which is the work itself. Each figure is
that of the tasks beyond the first: (seconds of N tasks - seconds of one) / (N - 1), whole processes. Memory is the
highest of each process while N tasks run, and while a tenth of them do.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median

_ROOT = Path(__file__).parents[1]
_AT_ONCE = 4
_WHEEL = """\
def question():
    from pyspark.sql import SparkSession
    SparkSession.builder.getOrCreate().sql("SELECT 40 + 2 AS answer").collect()

def nothing(): pass
"""
_PROCESSES = {"localjobs": "-m localjobs run", "fork server": "localjobs.forkserver", "Sail": "-m pysail spark server"}


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tasks", description=__doc__)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bench_wheel.py").write_text(_WHEEL, encoding="utf-8")
        rounds = [_round(folder, given.tasks) for _ in range(given.rounds)]
    for side in rounds[0]:
        figures = [1000 * one[side] for one in rounds]
        print(f"{side:42} {min(figures):6.1f} {median(figures):6.1f} {max(figures):6.1f} ms a task")
    added = [1000 * (one["a question, by localjobs"] - one["a question, by threads of a process"]) for one in rounds]
    print(f"{'localjobs adds':42} {min(added):6.1f} {median(added):6.1f} {max(added):6.1f} ms a task")
    return 0


def _round(folder: Path, tasks: int) -> dict[str, float]:
    memory: dict[int, Mapping[str, int]] = {}

    def job(call: str) -> Callable[[int], float]:
        def seconds(count: int) -> float:
            took, memory[count] = _run(folder, call, count)
            return took

        return seconds

    questions = job("question")
    sides = {
        "a question, by localjobs": _each(questions, tasks),
        "a question, by threads of a process": _each(lambda count: _threads(folder, count), tasks),
    }
    questions(tasks // 10)
    for process in _PROCESSES:
        few, many = (memory[count].get(process, 0) for count in (tasks // 10, tasks))
        print(f"{process}: {few} MiB at {tasks // 10} tasks, {many} at {tasks}", flush=True)
    return sides | {"nothing, by localjobs": _each(job("nothing"), tasks)}


def _each(seconds: Callable[[int], float], tasks: int) -> float:
    return (seconds(tasks) - seconds(1)) / (tasks - 1)


def _run(folder: Path, call: str, count: int) -> tuple[float, dict[str, int]]:
    """Seconds of a job's run, and the highest MiB of each of its processes."""
    wheel = {"package_name": "bench_wheel", "entry_point": call}
    tasks = [{"task_key": f"t{number}", "python_wheel_task": wheel} for number in range(count)]
    file = folder / "bench.job.yml"
    file.write_text(json.dumps({"resources": {"jobs": {"bench": {"tasks": tasks}}}}), encoding="utf-8")
    options = [str(file), "--workspace", str(folder / "workspace"), "--max-parallel", str(_AT_ONCE)]
    began, highest = time.monotonic(), dict[str, int]()
    process = subprocess.Popen(
        [sys.executable, "-m", "localjobs", "run", *options],
        cwd=_ROOT,
        env=os.environ | {"PYTHONPATH": str(folder), "BENCH": str(folder)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while process.poll() is None:
        highest |= _memory(f"BENCH={folder}")
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)
    if process.returncode:
        raise SystemExit(f"{count} tasks ended with code {process.returncode}; see {folder}")
    return time.monotonic() - began, highest


def _memory(mark: str) -> dict[str, int]:
    """The highest resident MiB so far of the processes with this in their environment, by name."""
    found: dict[str, int] = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, StopIteration):
            if not entry.name.isdigit() or mark.encode() not in (entry / "environ").read_bytes().split(b"\0"):
                continue
            line = (entry / "cmdline").read_text().replace("\0", " ")
            name = next(name for name, words in _PROCESSES.items() if words in line and "guard.py" not in line)
            lines = dict(word.split(":", 1) for word in (entry / "status").read_text().splitlines() if ":" in word)
            found[name] = max(found.get(name, 0), int(lines["VmHWM"].split()[0]) // 1024)
    return found


def _threads(folder: Path, count: int) -> float:
    """Seconds of a process that starts the engine and asks so many questions from threads."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-m", "benchmarks.tasks", "ask", str(folder), str(count)], cwd=_ROOT, check=True)
    return time.monotonic() - began


def _ask(folder: Path, count: int) -> None:
    from localjobs.sail import sail

    with sail(["dev_silver"], folder, folder / "ask.sail.log") as engine:
        from pyspark.sql import SparkSession

        session = SparkSession.builder.remote(engine.remote).getOrCreate()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda _: session.sql("SELECT 40 + 2 AS answer").collect(), range(count)))
        session.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["ask"]:
        _ask(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main(sys.argv[1:]))
