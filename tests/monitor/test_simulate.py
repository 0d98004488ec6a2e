"""What a job would take: schedules worked out by hand, job files that the generator made, what a person sees."""

from __future__ import annotations

import doctest
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import monitor.schedule
from generator.lanes import in_lanes
from monitor.cli import main
from monitor.job_file import JobFile, JobTask, read_job_file
from monitor.schedule import Work, critical_path, longest_first, makespan, schedule
from monitor.simulate import BOUND, THREADS, Durations, Simulation, simulate
from tests.monitor.records import element, record
from tests.monitor.test_cli import row, said, workspace

ROOT = Path(__file__).parents[2]
GOLDENS = ROOT / "tests/generator/goldens"


def work(key: str, seconds: float, *after: str) -> Work:
    return Work(key=key, seconds=seconds, after=after)


# --- the clock ---


def test_the_example_is_true() -> None:
    assert doctest.testmod(monitor.schedule).failed == 0


def test_what_waits_starts_with_the_end_of_the_last_it_waits_for() -> None:
    times = schedule([work("a", 3), work("b", 5), work("c", 2, "a", "b"), work("d", 1, "a")])
    assert {key: (span.start, span.end) for key, span in times.items()} == {
        "a": (0, 3),
        "b": (0, 5),
        "c": (5, 7),
        "d": (3, 4),
    }
    assert critical_path(times) == ["b", "c"]


def test_where_only_so_many_run_at_once_the_first_that_is_ready_is_the_first() -> None:
    times = schedule([work("a", 4), work("b", 1), work("c", 1), work("d", 1, "b"), work("e", 1)], at_once=2)
    assert {key: span.start for key, span in times.items()} == {"a": 0, "b": 0, "c": 1, "e": 2, "d": 3}


def test_a_gate_takes_no_place() -> None:
    gate = Work(key="g", seconds=0, after=("a",), is_gate=True)
    times = schedule([work("a", 1), gate, work("b", 1, "g"), work("c", 3)], at_once=2)
    assert (times["g"].start, times["b"].start, makespan(times)) == (1, 1, 3)


@given(st.data())
def test_no_schedule_is_shorter_than_its_bounds_and_none_leaves_a_place_empty(data: st.DataObject) -> None:
    number = data.draw(st.integers(1, 20))
    works = []
    for place in range(number):
        before = data.draw(st.sets(st.integers(0, place - 1), max_size=3)) if place else set()
        works.append(work(str(place), data.draw(st.integers(1, 9)), *map(str, sorted(before))))
    at_once = data.draw(st.integers(1, 5))
    times = schedule(works, at_once)
    longest, whole = makespan(schedule(works)), sum(w.seconds for w in works)
    assert all(times[w.key].start >= max((times[k].end for k in w.after), default=0) for w in works)
    moments = sorted({span.start for span in times.values()})
    for moment in moments:
        busy = sum(span.start <= moment < span.end for span in times.values())
        assert busy <= at_once
        if busy < at_once:  # then nothing that could have run is waiting
            waiting = [w for w in works if times[w.key].start > moment]
            assert all(any(times[k].end > moment for k in w.after) for w in waiting)
    assert max(longest, whole / at_once) <= makespan(times) <= longest + whole / at_once  # Graham 1969


@given(st.dictionaries(st.text("abcd", min_size=1), st.integers(0, 50).map(float), min_size=1), st.integers(1, 6))
def test_lanes_are_those_of_the_generator(seconds: dict[str, float], lanes: int) -> None:
    assert longest_first(seconds, lanes, seconds) == in_lanes([*seconds], lanes, seconds)


# --- job files ---


@pytest.mark.parametrize("golden", ["barrier", "gate", "lanes", "skip", "lineage"])
def test_orders_and_waits_of_generated_files(golden: str) -> None:
    job = read_job_file(GOLDENS / golden / "resources/bronze_to_silver.job.yml")
    orders = {task.key: task.order for task in job.tables}
    assert len(set(orders.values())) > 1
    assert all(
        orders[key] < orders[task.key] or golden == "lanes" for task in job.tables for key in job.waits()[task.key]
    )
    assert job.keeps_orders == (golden != "lineage")
    assert [task.kind for task in job.tasks][-1] == "summary"


def test_child_jobs_stand_in_the_place_of_the_tasks_that_run_them() -> None:
    job = read_job_file(GOLDENS / "split/resources/bronze_to_silver.job.yml")
    assert [task.order for task in job.tables] == [1, 1, 1, 1, 2, 2]
    assert job.keeps_orders
    found = told(job, {task.key: 10.0 for task in job.tables})
    assert found.ways[2].unlimited == 20
    assert str(job.path) in found.ways[2].name  # as long as with barriers
    known = {task.key: 10.0 for task in job.tasks}  # also of the tasks that run a child, whose time is its tables'
    (own,) = (way for way in told(job, known).ways if job.path in way.name and way.name != BOUND)
    assert own.unlimited == 30  # with the summary


def test_a_layer_in_lanes_takes_as_long_as_its_file() -> None:
    """The golden's lanes were divided by durations; with the same ones they are the lanes foretold."""
    job = read_job_file(GOLDENS / "lanes/resources/bronze_to_silver.job.yml")
    taken = {
        key: float(seconds)
        for layer, key, seconds in (
            line.split(",") for line in (GOLDENS / "lanes/bundle/durations.csv").read_text().splitlines()[1:]
        )
        if layer == job.layer
    }
    lanes = yaml.safe_load((GOLDENS / "lanes/bundle/settings.yml").read_text())["layers"]["bronze_to_silver"]
    found = told(job, taken, lanes["max_parallel_tasks"])
    own = next(way for way in found.ways if job.path in way.name)
    assert found.ways[1].limited == (pytest.approx(own.unlimited),)


def test_without_headings_the_order_is_the_longest_chain(tmp_path: Path) -> None:
    tasks = [{"task_key": "c", "depends_on": [{"task_key": "a"}]}, {"task_key": "a"}, {"task_key": "b"}]
    job = read_job_file(job_file(tmp_path, tasks))
    assert {task.key: task.order for task in job.tables} == {"c": 2, "a": 1, "b": 1}
    assert not job.keeps_orders


def job_file(folder: Path, tasks: object, name: str = "little.job.yml") -> Path:
    file = folder / name
    file.write_text(json.dumps({"resources": {"jobs": {"little": {"name": "little", "tasks": tasks}}}}))
    return file


# --- what is said ---


def told(job: JobFile, seconds: dict[str, float], *at_once: int, others: tuple[JobFile, ...] = ()) -> Simulation:
    return simulate([job, *others], Durations(seconds=seconds, source="test"), at_once or (2,))


def made(path: str, rows: dict[str, tuple[int, tuple[str, ...]]]) -> JobFile:
    tasks = (JobTask(key=key, kind="table", order=order, after=after) for key, (order, after) in rows.items())
    return JobFile(path=path, layer="layer", tasks=tuple(tasks))


BARRIERS = made(
    "ordered", {"a": (1, ()), "b": (1, ()), "c": (2, ("a", "b")), "d": (2, ("a", "b")), "e": (3, ("c", "d"))}
)
READS = made("reads", {"a": (1, ()), "b": (1, ()), "c": (2, ("a",)), "d": (2, ()), "e": (3, ("c",))})
SECONDS = {"a": 10.0, "b": 100.0, "c": 20.0, "d": 50.0, "e": 30.0}


def test_each_way_to_run_it() -> None:
    found = told(BARRIERS, SECONDS, 1, 2, others=(READS,))
    ways = {way.name: (*way.limited, way.unlimited) for way in found.ways}
    assert found.work == 210
    assert ways == {
        f"{THREADS}, order by order": (210, 180, None),
        "lanes (max_parallel_tasks)": (210, 180, None),
        "edges: barrier or gate, ordered": (210, 180, 180),
        "reads": (210, 110, 100),
        BOUND: (210, 105, 100),
    }


def test_what_each_boundary_costs_with_reads_and_without() -> None:
    known = told(BARRIERS, SECONDS, others=(READS,))
    assert [(o.order, o.takes, o.slowest, o.rest) for o in known.orders] == [
        (1, 100, "b", 10),
        (2, 50, "d", 20),
        (3, 30, "e", 0),
    ]
    assert [o.costs for o in known.orders] == [50, 30, None]  # d with b; e after c, which is done 30 s before d
    assert [o.costs for o in told(BARRIERS, SECONDS).orders] == [50, 30, None]
    chained = made("reads", {"a": (1, ()), "b": (1, ()), "c": (2, ("a",)), "d": (2, ("b",)), "e": (3, ("d",))})
    assert [o.costs for o in told(BARRIERS, SECONDS, others=(chained,)).orders] == [0, 0, None]


def test_the_row_that_would_gain_is_moved_where_its_reads_let_it() -> None:
    found = told(BARRIERS, SECONDS, others=(READS,))
    (first, *_) = found.moves
    assert (first.key, first.old, first.new, first.gain) == ("b", 1, 2, 40.0)  # 10 + 100 + 30 instead of 100 + 50 + 30
    orders = {task.key: task.order for task in BARRIERS.tables}
    before = 180.0
    for move in found.moves:
        assert orders[move.key] == move.old
        orders[move.key] = move.new
        assert all(orders[key] < orders[other] for other, keys in READS.waits().items() for key in keys)
        now = sum(max(SECONDS[k] for k in orders if orders[k] == order) for order in {*orders.values()})
        assert before - now == pytest.approx(move.gain)
        before = now
    assert not told(BARRIERS, SECONDS).moves  # what nobody knows to be right is not proposed


def test_the_start_of_a_task_counts_where_tasks_are_started() -> None:
    durations = Durations(seconds=SECONDS, source="test", start=2)
    found = simulate([BARRIERS], durations, [2])
    assert (found.work, found.ways[0].limited[0], found.ways[2].unlimited) == (210, 180, 186)


def test_a_table_without_a_duration_counts_as_the_median() -> None:
    found = told(BARRIERS, {key: seconds for key, seconds in SECONDS.items() if key != "b"})
    assert (found.guessed, found.usual, found.ways[2].unlimited) == (("b",), 25, 25 + 50 + 30)


def test_other_tables_are_said_and_tell_no_reads() -> None:
    other = made("other", {"a": (1, ()), "x": (2, ("a",)), "y": (2, ())})
    found = told(BARRIERS, SECONDS, others=(other,))
    assert found.reads == ""
    assert found.notes == ("other is not of the same tables: 2 that ordered does not have, 4 missing",)


def test_a_thousand_tables_take_seconds() -> None:
    """Each waits for all of the order before it: 300,000 edges, one list for each order."""
    chance = random.Random(1)
    names = [tuple(f"t{order}_{n}" for n in range(333)) for order in range(3)]
    rows = {key: (order + 1, names[order - 1] if order else ()) for order in range(3) for key in names[order]}
    seconds = {key: chance.lognormvariate(0, 1) for key in rows}
    found = told(made("ordered", rows), seconds, 5, 50)
    own = sum(max(seconds[key] for key in keys) for keys in names)
    assert found.ways[2].unlimited == pytest.approx(own)


# --- the command ---

EXAMPLE = "resources/bronze_to_silver.job.yml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The golden with barriers, and beside it the same rows by their reads, as a user makes them."""
    folder = tmp_path / "project"
    shutil.copytree(GOLDENS / "lineage", folder)
    monkeypatch.chdir(folder)
    job = read_job_file(folder / EXAMPLE)
    lines = [f"{job.layer},{task.key},{10 * (place + 1)}\n" for place, task in enumerate(job.tables)]
    (folder / "bundle/durations.csv").write_text("layer,task_key,seconds\n" + "".join(lines))
    return folder


def test_a_job_with_what_it_reads(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from generator.cli import main as generate

    settings = yaml.safe_load((project / "bundle/settings.yml").read_text())
    settings["layers"]["bronze_to_silver"] = settings["layers"]["bronze_to_silver"] | {"edges": "barrier"}
    (project / "bundle/barriers.yml").write_text(yaml.safe_dump(settings))
    assert generate(["generate", "--settings=bundle/barriers.yml", "--out=barriers"]) == 0
    capsys.readouterr()
    code, out, err = said(capsys, "simulate", "barriers/bronze_to_silver.job.yml", EXAMPLE, "--at-once", "2,4")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == [
        "bronze_to_silver: 9 tables, 7 min 30 s of work",
        "durations of 9 tables from bundle/durations.csv",
    ]
    (barriers,) = (line.split() for line in lines if "edges: barrier or gate" in line)
    assert barriers[-5:] == ["3", "min", "10", "s", "-58%"]  # 30 + 70 + 90
    assert any(line.startswith("  resources/bronze_to_silver.job.yml") for line in lines)
    assert "what the orders cost: with barriers, as many tables at once as an order has" in lines
    assert f"rows that would gain in another order: by the reads of {EXAMPLE}" in lines


def test_a_run_tells_the_durations_and_what_a_start_adds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = record(
        element("a", seconds=12), element("b", start=12, seconds=22, after=["a"]), run_name="[dev someone] little"
    )
    made = workspace(tmp_path / "w", run, rows=[row("a", 77, seconds=10), row("b", 77, seconds=20)])
    job = job_file(tmp_path, [{"task_key": "a"}, {"task_key": "b", "depends_on": [{"task_key": "a"}]}])
    code, out, err = said(capsys, "simulate", job, "--durations", made)
    assert (code, err) == (0, "")
    assert out.splitlines()[1] == ("durations of 2 tables from run 77 and its run log; the start of a task adds 2.0 s")
    assert "34 s" in next(line for line in out.splitlines() if str(job) in line)
    code, _, err = said(capsys, "simulate", ROOT / EXAMPLE, "--durations", made)
    assert (code, err) == (1, f"{made} is a run of little, the job file is of bronze_to_silver\n")


@pytest.mark.parametrize(
    ("tasks", "problem"),
    [
        ([], "job little has no tasks"),
        ([{"key": "a"}], "task number 1 has no task_key, or its depends_on is no list of {task_key}"),
        ([{"task_key": "a", "depends_on": ["b"]}], "task number 1 has no task_key, or its depends_on is no list"),
        ([{"task_key": "a", "depends_on": [{"task_key": "b"}]}], "a waits for b, which is no task"),
        ([{"task_key": "a", "depends_on": [{"task_key": "a"}]}], "tasks wait for one another: a <- a"),
        ([{"task_key": "a"}, {"task_key": "a"}], "task a stands twice"),
        ([{"task_key": "run_summary"}], "job little has no tables"),
    ],
)
def test_a_file_that_is_no_job(
    tasks: list[Any], problem: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, durations = job_file(tmp_path, tasks), tmp_path / "d.csv"
    durations.write_text("layer,task_key,seconds\nlittle,a,1\n")
    code, out, err = said(capsys, "simulate", file, tmp_path / "missing.yml", "--durations", durations)
    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert first.startswith(f"{file}: {problem}")
    assert second == f"{tmp_path / 'missing.yml'}: cannot be read: No such file or directory"


def test_what_is_not_even_yaml(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {"a.yml": "a: [", "b.yml": "- 1", "c.yml": "\x00", "d.yml": "resources: {jobs: {a: 1}}"}.items():
        (tmp_path / name).write_text(text)
        code, out, err = said(capsys, "simulate", tmp_path / name)
        assert (code, out) == (1, "")
        assert err.startswith(f"{tmp_path / name}: ")


def test_durations_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = job_file(tmp_path, [{"task_key": "a"}])
    code, out, err = said(capsys, "simulate", file)
    assert (code, out) == (2, "")
    assert err.startswith(
        "bundle/durations.csv: no such file; `python -m monitor RUN --durations bundle/durations.csv`"
    )
    (tmp_path / "d.csv").write_text("layer,task_key,seconds\nother,a,1\n")
    code, out, err = said(capsys, "simulate", file, "--durations", tmp_path / "d.csv")
    assert (code, out) == (1, "")
    assert err.startswith(f"{tmp_path / 'd.csv'} has no durations of little; ")
    (tmp_path / "d.csv").write_text("layer,task_key,seconds\nlittle,a,-1\n")
    code, out, err = said(capsys, "simulate", file, "--durations", tmp_path / "d.csv")
    assert (code, out) == (1, "")
    assert "-1 is no number of seconds" in err


@pytest.mark.parametrize("words", [["--at-once", "0"], ["--at-once", "a"], ["--start-seconds", "-1"], []])
def test_wrong_usage(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(job_file(tmp_path, [{"task_key": "a"}]))] if words else []
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", *files, *words])
    assert stopped.value.code == 2
    assert "usage: python -m monitor simulate" in capsys.readouterr().err


def test_the_page_shows_what_the_command_prints() -> None:
    command = [sys.executable, "-m", "benchmarks.night"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    shown = (ROOT / "docs/simulate.md").read_text(encoding="utf-8")
    tables = done.stdout[done.stdout.index("how long it takes") : done.stdout.index("rows that would gain")]
    for line in tables.splitlines():
        assert f"{'    ' if line.strip() else ''}{line.rstrip()}\n" in shown
