"""Tasks that run once for each input: what the iterations are, and real ones on Sail."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localjobs.iterations import iterations
from localjobs.job import EachTask, Task, WheelTask
from tests.localjobs.test_children import Family
from tests.localjobs.test_run import _PACKAGE, _task, needs_proc

_MORE = """
def odd():
    number = int(sys.argv[1].split("=", 1)[1])
    if number % 2:
        raise ValueError(f"{number} is odd")
def meet():
    here = Path(sys.argv[1].split("=", 1)[1])
    with here.open("a") as file: file.write(f"begin {time.time()}\\n")
    time.sleep(0.4)
    with here.open("a") as file: file.write(f"end {time.time()}\\n")
"""


def _each(key: str, inputs: str, task: dict[str, Any], *before: str, **fields: Any) -> dict[str, Any]:
    concurrency = {"concurrency": fields.pop("concurrency")} if "concurrency" in fields else {}
    task = {name: value for name, value in task.items() if name != "depends_on"}
    body = {"inputs": inputs, "task": task, **concurrency}
    return {"task_key": key, "depends_on": [{"task_key": k} for k in before], "for_each_task": body, **fields}


@pytest.fixture
def family(tmp_path: Path) -> Iterator[Family]:
    (tmp_path / "little_wheel.py").write_text(_PACKAGE + _MORE)
    own = Family(folder=tmp_path)
    yield own
    for process in own.started:
        process.kill()
        process.communicate()


def _names(inputs: str) -> dict[str, dict[str, str]]:
    body = EachTask(inputs=inputs, task=Task(task_key="t", body=WheelTask(package_name="p", entry_point="e")))
    return {key: names for key, (_, names) in iterations(body).items()}


def test_an_input_is_named_by_what_it_is() -> None:
    assert _names('["a", 1, true, null, {"k": "v", "deep": {"n": [1, "é"]}}]') == {
        "t_1": {"input": "a"},
        "t_2": {"input": "1"},
        "t_3": {"input": "true"},
        "t_4": {"input": "null"},
        "t_5": {
            "input": '{"k": "v", "deep": {"n": [1, "é"]}}',
            "input.k": "v",
            "input.deep": '{"n": [1, "é"]}',
            "input.deep.n": '[1, "é"]',
        },
    }


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ("[1,", "no JSON array"),
        ('{"a": 1}', "expected a JSON array"),
        (json.dumps(["a" * 10_000]), "10,004 characters"),
    ],
)
def test_inputs_that_are_none(inputs: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        _names(inputs)


@needs_proc
def test_each_input_has_its_task(family: Family) -> None:
    family.write(
        _task("first", call="arguments"),
        _each(
            "all",
            '[{"of": "{{job.parameters.region}}", "n": 1}, {"of": "south {{not ours}}", "n": 2}]',
            _task(
                "part",
                call="arguments",
                n="{{input.n}}",
                of="{{input.of}}",
                whole="{{input}}",
                run="{{job.run_id}}",
                state="{{tasks.first.result_state}}",
                task="{{task.name}}",
            ),
            "first",
        ),
        _each("again", "[1]", _task("late", call="flaky", max_retries=1, seen=str(family.folder / "seen"))),
        _each("some", "{{job.parameters.numbers}}", _task("number", call="odd", n="{{input}}"), "first", concurrency=4),
        _each("none", "[]", _task("never", call="fail")),
        _each("wrong", "{{job.parameters.region}}", _task("bad", call="fail")),
        _task("behind", "some", call="query"),
        parameters=[{"name": "region", "default": "north"}, {"name": "numbers", "default": "[0, 1, 2, 3, 4]"}],
    )
    done = family.run()
    assert done.returncode == 1
    parent = next(record for record in family.every_record() if record["trigger"] == "ONE_TIME")
    tasks = {task["task_key"]: task for task in parent["tasks"]}
    assert {key: task["state"]["result_state"] for key, task in tasks.items()} == {
        "first": "SUCCESS",
        "all": "SUCCESS",
        "again": "SUCCESS",
        "some": "FAILED",
        "none": "SUCCESS",
        "wrong": "FAILED",
        "behind": "UPSTREAM_FAILED",
    }
    part = family.workspace / "runs" / str(tasks["all"]["for_each_output"]["run_id"])
    run = parent["run_id"]
    assert (
        f"'--n=2', '--of=south {{{{not ours}}}}', '--whole={{\"of\": \"south {{{{not ours}}}}\", \"n\": 2}}', "
        f"'--run={run}', '--state=success', '--task=part_2', '--region=north'"
    ) in (part / "part_2.log").read_text()
    assert "'--of=north'" in (part / "part_1.log").read_text()
    some = tasks["some"]["for_each_output"]["run_id"]
    message = f"run {some} of little: 2 of 5 tasks did not succeed: number_2, number_4"
    assert tasks["some"]["state"]["state_message"] == message
    assert f"FAILED number_4: {family.workspace}/runs/{some}/number_4.log" in done.stdout
    said = "for_each_task inputs: no JSON array: Expecting value: line 1 column 1 (char 0): north"
    assert tasks["wrong"]["state"]["state_message"] == said
    assert "[7/7]" in done.stderr


@needs_proc
@pytest.mark.parametrize("concurrency", [1, 3])
def test_so_many_run_at_once(family: Family, concurrency: int) -> None:
    met = family.folder / "met"
    inputs = json.dumps(list(range(6)))
    family.write(_each("all", inputs, _task("part", call="meet", to=str(met)), concurrency=concurrency))
    assert family.run("--max-parallel=8").returncode == 0
    moments = sorted((float(line.split()[1]), line.split()[0]) for line in met.read_text().splitlines())
    at_once, highest = 0, 0
    for _, what in moments:
        at_once += 1 if what == "begin" else -1
        highest = max(highest, at_once)
    assert (len(moments), highest) == (12, concurrency)


@needs_proc
def test_a_timeout_ends_every_iteration(family: Family) -> None:
    sleeping = _task("part", call="sleep", n="{{input}}")
    family.write(_each("all", "[1, 2, 3]", sleeping, concurrency=2, timeout_seconds=3), _task("after", call="query"))
    began = time.monotonic()
    assert family.run().returncode == 1
    assert time.monotonic() - began < 60
    results = {record["trigger"]: record for record in family.every_record()}
    tasks = {task["task_key"]: task["state"]["result_state"] for task in results["ONE_TIME"]["tasks"]}
    assert tasks == {"all": "TIMEDOUT", "after": "SUCCESS"}
    assert {t["state"]["result_state"] for t in results["RUN_JOB_TASK"]["tasks"]} == {"CANCELED"}


@pytest.mark.parametrize(
    ("task", "said"),
    [
        (_each("all", "[1]", _task("part"), concurrency=0), "concurrency: expected a whole number from 1, found 0"),
        (
            _each("all", "[1]", {"task_key": "q", "sql_task": {}}),
            "for_each_task of what is no wheel, notebook or Python",
        ),
        (_each("all", "[1]", _task("part", n="{{job.nothing}}")), "task all: part: {{job.nothing}} names nothing"),
    ],
)
def test_what_does_not_run_is_refused(family: Family, task: dict[str, Any], said: str) -> None:
    family.write(task)
    done = family.run()
    assert done.returncode == 1
    assert said in done.stderr
