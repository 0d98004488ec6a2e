from __future__ import annotations

from pathlib import Path

import pytest

from localjobs.bundle import Bundle, read_bundle, read_job_document, read_yaml, runnable_part
from localjobs.problem import ProblemsError

_BUNDLE = """
bundle: {name: shop}
variables:
  catalog: {default: main}
  schema: {description: no default}
  number: {default: 3}
  path: {default: "${workspace.file_path}/sql"}
  loop: {default: "${var.loop}"}
targets:
  dev:
  local: {variables: {catalog: dev_silver, schema: {default: retail}}}
"""


@pytest.fixture
def job_file(tmp_path: Path) -> Path:
    (tmp_path / "databricks.yml").write_text(_BUNDLE)
    (tmp_path / "resources").mkdir()
    return tmp_path / "resources" / "x.job.yml"


def test_a_value_comes_from_the_default_then_the_target_then_the_command_line(job_file: Path) -> None:
    texts = ["${var.catalog}.${var.schema}", "${var.number}", "${bundle.target} ${bundle.name}", "${var.path}"]
    root = str(job_file.parent.parent)
    dev = read_bundle(job_file, "dev", {"schema": "s"})
    assert dev.resolve(texts) == (["main.s", 3, "dev shop", f"{root}/sql"], [])
    local = read_bundle(job_file, "local", {})
    assert local.resolve(texts) == (["dev_silver.retail", 3, "local shop", f"{root}/sql"], [])
    assert read_bundle(job_file, "local", {"catalog": "mine"}).resolve(texts[0]) == ("mine.retail", [])


def test_every_reference_without_a_value_is_said_with_its_place(job_file: Path) -> None:
    tasks = [{"task_key": "a", "k": "${var.schema}"}, {"task_key": "b", "k": "${var.catalogue} ${var.loop}"}]
    _, problems = read_bundle(job_file, "dev", {}).resolve({"tasks": tasks})
    assert problems == [
        "tasks[a].k: ${var.schema} has no value: give its variable a default in databricks.yml, or --var schema=...",
        "tasks[b].k: ${var.catalogue} is not known here; did you mean var.catalog?",
        "tasks[b].k: ${var.loop} refers to itself",
    ]


def test_an_unknown_target_or_variable_is_refused(job_file: Path) -> None:
    with pytest.raises(
        ProblemsError, match=r"has no target locl; did you mean local\? \(--target; it has dev, local\)"
    ):
        read_bundle(job_file, "locl", {})
    with pytest.raises(ProblemsError, match=r"has no variable catlog; did you mean catalog\?"):
        read_bundle(job_file, "dev", {"catlog": "x"})


def test_without_a_bundle_only_what_is_given_has_a_value() -> None:
    bundle = Bundle(file=None, values={"var.a": "1"})
    assert bundle.resolve("${var.a}") == ("1", [])
    assert "there is no databricks.yml" in bundle.resolve("${var.b}")[1][0]


def test_what_does_not_decide_a_run_needs_no_value() -> None:
    job = {
        "name": "n",
        "tags": {"by": "${workspace.current_user.userName}"},
        "tasks": [{"task_key": "a", "libraries": []}],
    }
    assert runnable_part(job) == {"name": "n", "tasks": [{"task_key": "a"}]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "not valid YAML: line 2, column 1: key a stands twice"),
        ("a: [1\n", "not valid YAML: line 2, column 1"),
        ("- 1\n", "expected a mapping, found list"),
        ("", "expected a mapping, found NoneType"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "x.yml"
    file.write_text(text)
    with pytest.raises(ProblemsError) as caught:
        read_yaml(file)
    assert caught.value.problems[0].startswith(f"{file}: {message}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError, match=r"nowhere\.yml: cannot be read: No such file"):
        read_yaml(tmp_path / "nowhere.yml")


def test_a_job_file_holds_one_job(tmp_path: Path) -> None:
    file = tmp_path / "x.job.yml"
    file.write_text("resources: {jobs: {a: {name: x}}}")
    assert read_job_document(file) == ("a", {"name": "x"})
    file.write_text("resources: {jobs: {a: {}, b: {}}}")
    with pytest.raises(ProblemsError, match=r"expected one job under resources\.jobs, found a, b"):
        read_job_document(file)


def test_anchors_are_read(tmp_path: Path) -> None:
    file = tmp_path / "x.yml"
    file.write_text("a: &after [{task_key: x}]\nb: *after\n")
    assert read_yaml(file)["b"] == [{"task_key": "x"}]
