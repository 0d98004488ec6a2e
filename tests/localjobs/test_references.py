from __future__ import annotations

from datetime import datetime, timezone

from laketasks.spec import parse_instant
from localjobs.job import ConditionTask, Dependency, Job, Task, WheelTask
from localjobs.references import RunValues, checked, fill, task_names

_START = datetime(2024, 5, 1, 6, 7, 8, 9000, tzinfo=timezone.utc)
_VALUES = RunValues(run_id=7, job_id=3, job_name="nightly", start=_START, parameters={"full_refresh": "all"})


def _wheel(*values: str) -> Task:
    body = WheelTask(package_name="p", entry_point="e", named_parameters={str(n): v for n, v in enumerate(values)})
    return Task(task_key="t", body=body, depends_on=(Dependency(task_key="before"),))


def _filled(*values: str) -> tuple[list[str], list[str]]:
    task = _wheel(*values)
    names = _VALUES.names() | task_names(task, 71, 2, {"before": "SUCCESS"})
    filled, problems = fill(task, names)
    assert isinstance(filled.body, WheelTask)
    return list(filled.body.named_parameters.values()), problems


def test_every_reference_has_its_value() -> None:
    given = {
        "{{job.run_id}}": "7",
        "{{ job.id }}": "3",
        "{{job.name}}": "nightly",
        "{{job.start_time.iso_datetime}}": "2024-05-01T06:07:08.009Z",
        "{{job.start_time.iso_date}}": "2024-05-01",
        "{{job.parameters.full_refresh}}": "all",
        "{{job.repair_count}}": "0",
        "{{job.trigger.type}}": "one_time",
        "{{task.name}}": "t",
        "{{task.run_id}}": "71",
        "{{task.execution_count}}": "2",
        "{{tasks.before.result_state}}": "success",
        "run {{job.run_id}} of {{job.name}}": "run 7 of nightly",
    }
    assert _filled(*given) == (list(given.values()), [])


def test_the_start_can_be_read_by_the_wheel() -> None:
    assert parse_instant(_filled("{{job.start_time.iso_datetime}}")[0][0]) == _START


def test_a_wrong_name_in_a_known_namespace_is_a_problem_and_an_unknown_namespace_stays() -> None:
    values, problems = _filled("{{job.runid}}", "{{tasks.other.result_state}}", "{{jinja}}", "{not one}")
    assert values == ["{{job.runid}}", "{{tasks.other.result_state}}", "{{jinja}}", "{not one}"]
    assert problems == [
        "{{job.runid}} names nothing that a run here has; did you mean job.run_id?",
        "{{tasks.other.result_state}} names nothing that a run here has; did you mean tasks.before.result_state?",
    ]


def test_positional_parameters_and_conditions_are_filled_too() -> None:
    gate = Task(task_key="g", body=ConditionTask(left="{{job.run_id}}", op="EQUAL_TO", right="7"))
    listed = Task(task_key="t", body=WheelTask(package_name="p", entry_point="e", parameters=("{{job.id}}",)))
    job, problems = checked(Job(key="j", name="j", tasks=(gate, listed, _wheel("{{job.zzzzzzz}}"))), _VALUES)
    assert job.tasks[0].body == ConditionTask(left="7", op="EQUAL_TO", right="7")
    assert job.tasks[1].body == WheelTask(package_name="p", entry_point="e", parameters=("3",))
    assert problems == ["task t: {{job.zzzzzzz}} names nothing that a run here has"]
