import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.jobs_api import derive, load_types, unknown_fields
from generator.settings import check_settings, read_settings
from tests.generator.rows import project, sentences, settings_file

CASES = yaml.safe_load((Path(__file__).parent / "messages" / "settings.yml").read_text(encoding="utf-8"))
VARIABLES = frozenset({"bronze_catalog", "silver_catalog"})


def judged(folder: Path, **settings: object) -> list[str]:
    return sentences(check_settings(settings_file(folder, **settings), load_types(), VARIABLES))


def layer(**fields: object) -> dict[str, object]:
    return {"layers": {"l": fields}}


def test_right_settings(tmp_path: Path) -> None:
    assert judged(tmp_path) == []
    assert (
        judged(
            tmp_path, **layer(edges="gate", max_parallel_tasks=None, task={"timeout_seconds": "${var.bronze_catalog}"})
        )
        == []
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["settings"])[:60])
def test_what_is_wrong_with_settings(tmp_path: Path, case: dict[str, Any]) -> None:
    found, problems = read_settings(project(tmp_path, **case["settings"]).settings, "settings.yml")
    if found is not None:
        problems = tuple(check_settings(found, load_types(), VARIABLES))
    assert [said[: len(case["says"])] for said in sentences(problems)] == [case["says"]]


def test_a_problem_knows_its_line(tmp_path: Path) -> None:
    path = tmp_path / "settings.yml"
    path.write_text("execution_table: a.yml\nrun_log: a.b.c\nlayers:\n  l:\n    task:\n      retries: 1\n")
    found, _ = read_settings(path, "settings.yml")
    assert found is not None
    assert [problem.line for problem in check_settings(found, load_types(), None)] == [6]
    path.write_text("execution_table: a.yml\nnonsense: 1\n")
    assert [(p.line, p.what) for p in read_settings(path, "settings.yml")[1]] == [
        (1, "missing"),
        (2, "unknown setting"),
    ]


def test_the_types_are_derived_from_a_bundle_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    string = {"type": "string"}
    job = {"oneOf": [{"type": "object", "properties": {"name": {"$ref": "#/$defs/string"}}}, string]}
    schema = {"$defs": {"string": string, "github.com": {"databricks": {"cli": {"bundle": {"config": {"x": 1}}}}}}}
    schema["$defs"]["github.com"]["databricks"]["cli"]["bundle"]["config"] = {"resources.Job": job}  # type: ignore[index]
    assert derive(schema) == {"Job": {"name": "string"}}
    (tmp_path / "schema.json").write_text(json.dumps(schema))
    monkeypatch.setenv("LAKETASKS_BUNDLE_SCHEMA", str(tmp_path / "schema.json"))
    assert load_types() == {"Job": {"name": "string"}}


def test_values_are_checked_by_type() -> None:
    types = load_types()
    job = {"tags": {"team": 1}, "queue": {"enabled": "yes"}, "tasks": [{"max_retries": True}], "parameters": {}}
    assert [where for where, _ in unknown_fields(job, "Job", types)] == [
        "queue.enabled",
        "tasks[0].max_retries",
        "parameters",
    ]


def test_a_section_whose_lines_are_all_commented_out_is_not_given(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {"l": None, "m": {"task": None, "job": None, "tables": None}}
    found = settings_file(tmp_path, runners=None, layers=nothing).settings
    assert found.layer("l") == found.layer("m") == found.layer("n")
    assert judged(tmp_path, runners=None, layers=nothing) == []
