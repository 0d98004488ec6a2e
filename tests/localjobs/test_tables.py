from __future__ import annotations

from laketasks.spec import BootstrapSpec, LoadSpec, RunContext, SummarySpec
from localjobs.job import Task, WheelTask
from localjobs.tables import names_of, wrong_parameters


def _task(key: str, entry_point: str, parameters: dict[str, str], package: str = "laketasks") -> Task:
    body = WheelTask(package_name=package, entry_point=entry_point, named_parameters=parameters)
    return Task(task_key=key, body=body)


def _load(target: str, source: str) -> dict[str, str]:
    spec = LoadSpec(execution_pipeline="scd1", target_table=target, source_table=source)
    context = RunContext(job_run_id="1", task_key="t", run_log="silver.metadata.run_log", catalogs={"x": "ref"})
    return spec.to_parameters() | context.to_parameters()


def test_catalogs_and_schemas_are_those_of_targets_sources_and_run_logs() -> None:
    summary = SummarySpec(job_run_id="1", run_log="silver.metadata.run_log").to_parameters()
    tasks = (
        _task("a", "load", _load("silver.retail.a", "bronze.crm.a")),
        _task("b", "load", _load("silver.retail.b", "a label")),
        _task("s", "summarize", summary),
        _task("other", "load", {"anything": "x"}, package="theirs"),
    )
    names, problems = names_of(tasks)
    assert problems == []
    assert names.catalogs == ("bronze", "ref", "silver")
    assert names.schemas == (("bronze", "crm"), ("silver", "metadata"), ("silver", "retail"))
    assert names.run_logs == ("silver.metadata.run_log",)


def test_a_load_that_cannot_be_read_is_named() -> None:
    _, problems = names_of([_task("a", "load", {"target_table": "x"})])
    assert "task a: --execution_pipeline: required" in problems


def test_job_parameters_that_no_load_can_read_are_refused_once_for_all_tasks() -> None:
    loads = [_task(key, "load", _load("silver.retail.a", "bronze.crm.a")) for key in "ab"]
    wrong = {"reload_from": "2026-13-01", "dry_run": "perhaps", "reconcile": "a", "mine": "x"}
    problems = wrong_parameters(loads, wrong)
    assert [problem.split(":")[0] for problem in problems] == ["--params dry_run", "--params reload_from"]
    assert "found '2026-13-01'" in problems[1]
    assert wrong_parameters([_task("other", "load", {}, package="theirs")], wrong) == []


def test_a_bootstrap_makes_its_run_log_itself_in_schemas_of_the_workspace() -> None:
    spec = BootstrapSpec(run_log="silver.metadata.run_log", schemas=("silver.retail",), catalogs={"x": "ref"})
    names, problems = names_of([_task("b", "bootstrap", spec.to_parameters())])
    assert problems == []
    assert names.catalogs == ("ref", "silver")
    assert names.schemas == (("silver", "metadata"), ("silver", "retail"))
    assert names.run_logs == ()
