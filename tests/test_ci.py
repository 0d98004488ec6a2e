"""The workflows: they are sound, their commands exist, and they hold no secret and no right that they do not need."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.cli import main

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
EACH = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7.12"
# What others decide: names of branches, titles, texts. A shell would run what stands in them.
FOREIGN = re.compile(r"\$\{\{.*?(github\.(event|head_ref|base_ref|ref_name|ref\b|actor)|inputs\.).*?\}\}", re.DOTALL)
OWN = "github.event.pull_request.head.repo.full_name == github.repository"


def read(path: Path) -> dict[Any, Any]:
    workflow: dict[Any, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return workflow


def jobs(path: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = read(path)["jobs"]
    return found


def starts(path: Path) -> dict[str, Any]:
    return dict(read(path)[True])  # YAML reads `on` so


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in jobs(path).values() for step in job["steps"]]


def scripts(path: Path) -> list[str]:
    """What the workflow runs, with the text of the repository's own scripts in their place."""
    runs = [step["run"] for step in steps(path) if "run" in step]
    return [(ROOT / run.split()[0]).read_text(encoding="utf-8") if run.startswith(".ci/") else run for run in runs]


def rights(path: Path) -> dict[str, dict[str, str]]:
    """What the token of each job may do: what the job says, else what the workflow says."""
    workflow = read(path)
    return {name: job.get("permissions", workflow["permissions"]) for name, job in workflow["jobs"].items()}


def test_the_workflows_are_sound() -> None:
    if shutil.which("go") is None:
        pytest.skip("no `go` on the PATH, which builds actionlint: install Go from 1.24")
    command = ["go", "run", ACTIONLINT, "-shellcheck=", "-pyflakes=", *map(str, WORKFLOWS)]  # the same on any machine
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@EACH
def test_the_commands_of_a_workflow_exist(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(scripts(path))
    makefile = "".join((ROOT / name).read_text(encoding="utf-8") for name in ("Makefile", "project.mk"))
    for target in re.findall(r"^make (?:-j\d+ )?([\w.-]+)(?=\s|$)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for own in re.findall(r"^\.ci/\S+", "\n".join(step.get("run", "") for step in steps(path)), re.MULTILINE):
        assert os.access(ROOT / own, os.X_OK), own
    text = text.replace('"$format"', "text")
    commands = re.findall(r'(?:python}?"? -m |^(?:once )?)generator ([a-z][^>|&\n#`]+)', text, re.MULTILINE)
    assert bool(commands) == (path.stem in {"check", "metadata"})
    for command in commands:
        with pytest.raises(SystemExit) as left:
            main([*shlex.split(command), "--help"])
        assert left.value.code == 0, command
        assert "usage" in capsys.readouterr().out


@EACH
def test_a_workflow_has_no_secret_and_no_right_that_it_does_not_need(path: Path) -> None:
    assert "secrets." not in path.read_text(encoding="utf-8")
    assert "permissions" in read(path)  # without it the repository's default counts
    code, log_in = {"contents": "read"}, {"id-token": "write"}
    needed = {
        "check": {"tests": code, "rows": {**code, "pull-requests": "write"}, "bundle": {**code, **log_in}},
        "deploy": {
            "wheel": code,
            "dev": {**code, **log_in},
            "tested": {**code, "actions": "read"},  # find the run whose wheel prod takes
            "prod": {**code, **log_in, "actions": "read"},
        },
        "metadata": {"propose": {"contents": "write", "pull-requests": "write", **log_in}},  # push, propose, log in
        "pythons": {"pythons": code},
        "release": {"build": code, "publish": {"contents": "write"}},
    }
    assert rights(path) == needed[path.stem]


@EACH
def test_a_forks_code_gets_no_token(path: Path) -> None:
    assert not {"pull_request_target", "workflow_run", "issue_comment"} & set(starts(path))
    if "pull_request" not in starts(path):
        return
    for name, job in jobs(path).items():
        if rights(path)[name].get("id-token") == "write":
            assert OWN in job["if"]
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
            if "GH_TOKEN" in step.get("env", {}):
                assert OWN in step["env"]["NUMBER"]  # without a number nothing is written


@EACH
def test_no_script_holds_what_others_wrote(path: Path) -> None:
    for step in steps(path):
        assert not FOREIGN.search(step.get("run", ""))
        assert not FOREIGN.search(str(step.get("with", {}).get("script", "")))


@EACH
def test_a_workflow_uses_actions_of_github_and_databricks_only_and_ends(path: Path) -> None:
    used = re.findall(r"^ *(?:- )?uses: (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(used) == sum("uses" in step for step in steps(path))
    pinned = r"(actions/[a-z-]+|databricks/setup-cli)@[0-9a-f]{40} # v\d+\.\d+\.\d+"  # who owns a tag can move it
    assert all(re.fullmatch(pinned, name) for name in used), used
    assert all(job["timeout-minutes"] <= 120 for job in jobs(path).values())


def test_all_workflows_use_one_version_of_each_action() -> None:
    used = {step["uses"] for path in WORKFLOWS for step in steps(path) if "uses" in step}
    assert len({name.partition("@")[0] for name in used}) == len(used)


def test_prod_is_deployed_for_a_tag_only_and_not_while_a_job_runs() -> None:
    path = ROOT / ".github" / "workflows" / "deploy.yml"
    assert starts(path) == {"push": {"branches": ["main"], "tags": ["v*"]}}
    own = jobs(path)
    for name, before, kind in (("dev", "wheel", "branch"), ("prod", "tested", "tag")):
        job = own[name]
        assert job["needs"] == before  # a job that is left out leaves out what needs it
        assert own[before]["if"] == f"vars.DATABRICKS_HOST != '' && github.ref_type == '{kind}'"
        assert job["environment"] == name
        assert job["concurrency"] == {"group": f"deploy-{name}", "cancel-in-progress": False}
        assert job["env"]["DATABRICKS_AUTH_TYPE"] == "github-oidc"
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert f"databricks bundle deploy --target {name} --fail-on-active-runs" in commands
        assert all({"dev", "prod"} & set(command.split()) == {name} for command in commands)
    named = re.compile(r"databricks bundle (deploy|run|destroy)")
    for other in {*WORKFLOWS} - {path}:
        assert not named.search(other.read_text(encoding="utf-8")), other


def test_who_can_log_in_builds_nothing_and_prod_takes_the_wheel_that_dev_ran() -> None:
    own = jobs(ROOT / ".github" / "workflows" / "deploy.yml")
    for name, job in own.items():
        text = yaml.safe_dump(job)
        logs_in = rights(ROOT / ".github" / "workflows" / "deploy.yml")[name].get("id-token") == "write"
        assert logs_in is (name in ("dev", "prod")) is ("DATABRICKS_CLIENT_ID" in text)
        assert not (logs_in and re.search(r"\bpip\b|python|make ", text)), name
    (kept,) = (step["with"] for step in own["wheel"]["steps"] if "upload-artifact" in step.get("uses", ""))
    for name in ("dev", "prod"):
        (taken,) = (step["with"] for step in own[name]["steps"] if "download-artifact" in step.get("uses", ""))
        assert (taken["name"], own[name]["env"]["LAKETASKS_WHEEL"]) == (kept["name"], taken["path"])
    assert taken["run-id"] == "${{ needs.tested.outputs.run }}"
    build = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))["artifacts"]["default"]["build"]
    assert build.startswith('test -n "$LAKETASKS_WHEEL" || (')
    subprocess.run(build, shell=True, cwd=ROOT / "docs", env={**os.environ, "LAKETASKS_WHEEL": "dist"}, check=True)


def test_a_release_is_made_of_a_commit_of_main() -> None:
    build = jobs(ROOT / ".github" / "workflows" / "release.yml")["build"]["steps"]
    assert 'git merge-base --is-ancestor "$GITHUB_SHA" origin/main' in [step.get("run") for step in build]
    assert build[0]["with"]["fetch-depth"] == 0


@EACH
def test_what_pull_requests_install_is_cached_and_what_is_published_uses_no_cache(path: Path) -> None:
    """A cache is written by whoever runs first, a pull request among them; what is published is installed afresh."""
    for job in jobs(path).values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/setup-python@"):
                assert (step["with"].get("cache") == "pip") is (path.stem not in ("deploy", "release"))
                assert path.stem in ("deploy", "release") or "constraints*.txt" in step["with"]["cache-dependency-path"]


def test_a_pull_request_installs_all_that_is_needed_once() -> None:
    own = jobs(ROOT / ".github" / "workflows" / "check.yml")
    installs = {name: "\n".join(step.get("run", "") for step in job["steps"]) for name, job in own.items()}
    full = [
        name for name, text in installs.items() if ".ci/run" in text or re.search(r"\.venv/(run|test|project)", text)
    ]
    assert full == ["tests"]
    assert "make .venv/generator.stamp" in installs["rows"]


def test_the_rows_of_a_table_are_read_only_where_a_warehouse_can_be_asked() -> None:
    (job,) = jobs(ROOT / ".github" / "workflows" / "metadata.yml").values()
    assert job["if"] == "vars.DATABRICKS_WAREHOUSE_ID != ''"


def test_dependabot_moves_the_hashes() -> None:
    config = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text(encoding="utf-8"))
    assert [update["package-ecosystem"] for update in config["updates"]] == ["github-actions"]


def test_what_is_foreign_is_known() -> None:
    foreign = ["event.pull_request.title", "head_ref", "ref_name", "event.issue.body"]
    assert all(FOREIGN.search(f"echo ${{{{ github.{name} }}}}") for name in foreign)
    assert not FOREIGN.search("echo ${{ github.token }} ${{ vars.A }} ${{ github.repository }}")


def test_the_hook_runs_when_a_file_is_committed_that_the_job_files_are_made_from() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = (hook for repository in config["repos"] for hook in repository["hooks"])
    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == ("make check", "system", False)
    asked = ["bundle/execution_table.yml", "bundle/sql/a.sql", "resources/l.job.yml", "databricks.yml"]
    assert [name for name in [*asked, "README.md", "src/laketasks/load.py"] if re.search(hook["files"], name)] == asked
