"""What a person types and sees: runs of this machine, and words that mean no run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from generator.lanes import read_durations
from laketasks.run_log import COLUMNS
from monitor.cli import main
from monitor.run_log import COUNTS, query
from tests.monitor.records import START, element, record

ROOT = Path(__file__).parents[2]
_ARROW = {"STRING": pa.string(), "INT": pa.int32(), "BIGINT": pa.int64(), "TIMESTAMP": pa.timestamp("us", "UTC")}


def workspace(folder: Path, *documents: dict[str, Any], rows: list[dict[str, Any]] | None = None) -> Path:
    """A workspace of localjobs with these runs, and with a run log if there are rows."""
    for document in documents:
        run = folder / "runs" / str(document["run_id"])
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps(document))
    if rows is not None:
        schema = pa.schema([(name, _ARROW[kind]) for name, kind in COLUMNS.items()])
        full = [dict.fromkeys(COLUMNS) | row for row in rows]
        deltalake.write_deltalake(str(folder / "s" / "m" / "run_log"), pa.Table.from_pylist(full, schema))
    return folder


def row(key: str, run_id: int, read: int = 0, *, at: float = 0, seconds: float = 1, **more: Any) -> dict[str, Any]:
    """A row of the run log as a load writes it; `at` in seconds after the run's start."""
    started = datetime.fromtimestamp(START / 1000 + at, timezone.utc)
    ended = datetime.fromtimestamp(START / 1000 + at + seconds, timezone.utc)
    counts = dict.fromkeys(COUNTS, 0) | {"read": read}
    told = {"job_run_id": str(run_id), "task_key": key, "target": f"s.t.{key}", "execution_pipeline": "scd2"}
    return {**told, "status": "SUCCESS", "attempt": 1, "started_at": started, "ended_at": ended, **counts, **more}


def night_before(*tasks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return record(*tasks, run_id=70, **more) | {"start_time": START - 86_400_000}


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder without job files."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def failed(tmp_path: Path) -> Path:
    """A run in which b failed, after a good one."""
    log = [
        row("a", 70, 900, at=-86_400, seconds=2),
        row("b", 70, 500, at=-86_400, seconds=4),
        row("a", 77, 1000, seconds=3),
        row("b", 77, at=3, status="FAILED", error="LoadError: b has no key", **dict.fromkeys(COUNTS)),
    ]
    good = night_before(element("a"), element("b"))
    bad = record(
        element("a", output_path="a.log"),
        element("b", "FAILED", start=3, output_path="b.log", attempt_number=1, message="exit code 1"),
        element("c", "FAILED", start=3, output_path="c.log", message="exit code 1"),
        element("d", "UPSTREAM_FAILED", after=["b"]),
    )
    made = workspace(tmp_path / "w", good, bad, rows=log)
    output = "=== attempt 1 of c ===\nold\n=== attempt 2 of c ===\nkilled: out of memory\n"
    (made / "runs" / "77" / "c.log").write_text(output)
    return made


def test_a_workspace_means_its_latest_run(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = said(capsys, failed)
    assert (code, err) == (1, "")
    lines = out.splitlines()
    assert lines[0] == "FAILED  bronze_to_silver, run 77: 2 of 4 tables failed: b, c"
    assert lines[1].startswith("processed 4, successful 1, failed 2, skipped 1; started 2026-02-02 02:40:00 UTC")
    assert "b  LoadError: b has no key" in lines
    assert "    FAILED after 1.0 s (attempt 2); last loaded 24 h ago by run 70" in lines
    assert "    holds up 1 table: 1 did not run (d)" in lines
    assert "    killed: out of memory" in lines  # of the last attempt's output, where the log has no row
    assert "    old" not in lines
    assert f"  2. python -m localjobs repair 77 --workspace {failed}" in lines
    assert lines[-4].split() == ["a", "scd2", "SUCCESS", "1000", "1.0", "1.0"]


def test_the_latest_run_is_none_that_a_task_started(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    child = json.loads((failed / "runs" / "70" / "run.json").read_text()) | {"run_id": 78, "trigger": "RUN_JOB_TASK"}
    (failed / "runs" / "78").mkdir()
    (failed / "runs" / "78" / "run.json").write_text(json.dumps(child))
    _, out, _ = said(capsys, failed)
    assert out.startswith("FAILED  bronze_to_silver, run 77")


def test_a_runs_folder_or_its_record_mean_that_run(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (failed / "runs" / "70", failed / "runs" / "70" / "run.json"):
        code, out, _ = said(capsys, path)
        assert (code, out.splitlines()[0]) == (0, "SUCCESS  bronze_to_silver, run 70: all 2 tables loaded")
        assert "no earlier run of this job that succeeded is known here" in out


def test_a_dry_run_loaded_nothing_and_is_no_run_to_compare_with(
    failed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = failed / "runs" / "70" / "run.json"
    dry = {"job_parameters": [{"name": "dry_run", "default": "", "value": "true"}]}
    file.write_text(json.dumps(json.loads(file.read_text()) | dry))
    _, out, _ = said(capsys, file)
    assert out.startswith("SUCCESS  bronze_to_silver, dry run 70: all 2 tables looked at, nothing written\n")
    _, out, _ = said(capsys, failed)
    assert "no earlier run of this job that succeeded is known here" in out


def test_a_childs_run_is_repaired_with_its_parents(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = failed / "runs" / "77" / "run.json"
    child = json.loads(file.read_text()) | {"trigger": "RUN_JOB_TASK", "trigger_info": {"run_id": 760_003}}
    file.write_text(json.dumps(child))
    assert f"python -m localjobs repair 76 --workspace {failed}" in said(capsys, failed / "runs" / "77")[1]


def test_a_repair_of_localjobs_shows_the_last_attempts(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = failed / "runs" / "77" / "run.json"
    document = json.loads(file.read_text())
    document["tasks"] += [
        element("b", attempt_number=2, start=60),
        element("d", after=["b"], attempt_number=1, start=70),
    ]
    document["repair_history"] = [{"type": "ORIGINAL"}, {"type": "REPAIR", "id": 1}]
    file.write_text(json.dumps(document))
    lines = said(capsys, failed)[1].splitlines()
    assert lines[0] == "FAILED  bronze_to_silver, run 77: 1 of 4 tables failed: c"
    assert "repaired 1 time" in lines[1]


def test_a_record_that_stands_alone_is_shown_without_counts(
    failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = tmp_path / "saved.json"
    alone.write_bytes((failed / "runs" / "77" / "run.json").read_bytes())
    code, out, _ = said(capsys, alone)
    assert code == 1
    assert "no counts: the record stands alone" in out


def test_a_run_log_that_is_broken_leaves_the_rest(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for part in (failed / "s" / "m" / "run_log").glob("*.parquet"):
        part.write_bytes(b"nothing")
    code, out, err = said(capsys, failed)
    assert (code, err) == (1, "")
    assert "no counts: the run log at" in out
    assert "cannot be read" in out


def test_a_run_that_was_killed_is_not_taken_for_one_that_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = workspace(tmp_path / "w", record(element("a"), element("b", "running", start=2)))

    def kept_by(process: int) -> None:
        (made / ".lock").write_text(str(process))
        file = made / "runs" / "77" / "run.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"localjobs": {"process": process}}))

    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    kept_by(gone.pid)
    code, out, _ = said(capsys, made)
    assert code == 1
    assert out.startswith("FAILED  bronze_to_silver, run 77 was killed before it ended")
    assert f"python -m localjobs repair 77 --workspace {made}" in out
    kept_by(os.getpid())
    code, out, _ = said(capsys, made)
    assert code == 0
    assert out.startswith("RUNNING  bronze_to_silver, run 77: no table has failed so far")
    (made / ".lock").write_text(str(os.getppid()))
    assert "was killed" in said(capsys, made / "runs" / "77")[1]  # whoever works there keeps another record


def test_the_page_is_written_and_named(failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "run.html"
    code, out, _ = said(capsys, failed, "--html", page)
    assert code == 1
    assert out.startswith("FAILED  bronze_to_silver, run 77")
    assert "critical path" not in out
    assert out.splitlines()[-1].startswith(f"page: {page} (")
    assert page.read_text().startswith("<!doctype html>")
    assert [file.name for file in tmp_path.iterdir()] == ["w", "run.html"] or len([*tmp_path.iterdir()]) == 2


def test_durations_are_medians_of_the_log_merged_into_the_file(
    failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "durations.csv"
    file.write_text("layer,task_key,seconds\nother,x,5.0\nbronze_to_silver,a,99.0\nbronze_to_silver,gone,7.0\n")
    code, out, _ = said(capsys, failed, "--durations", file)
    assert code == 1
    assert f"durations: {file} (2 of layer bronze_to_silver, 4 in all)" in out
    assert read_durations(file, "durations.csv") == (
        {
            ("bronze_to_silver", "a"): 2.5,
            ("bronze_to_silver", "b"): 4.0,
            ("bronze_to_silver", "gone"): 7.0,
            ("other", "x"): 5.0,
        },
        (),
    )


def test_durations_without_a_log_are_those_of_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = workspace(tmp_path / "w", record(element("a", seconds=3), element("b", "FAILED", seconds=1)))
    file = tmp_path / "durations.csv"
    said(capsys, made, "--durations", file)
    assert file.read_text() == "layer,task_key,seconds\nbronze_to_silver,a,3.0\n"


def test_a_durations_file_that_is_none_is_left_alone(
    failed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "durations.csv"
    for text in ("table,seconds\na,1\n", "layer,task_key,seconds\na,b\n", "layer,task_key,seconds\na,b,soon\n"):
        file.write_text(text)
        code, _, err = said(capsys, failed, "--durations", file)
        assert code == 1
        assert err.startswith(f"{file}: ")
        assert file.read_text() == text


@pytest.mark.parametrize(
    ("word", "said_of_it"),
    [
        ("no/such/run.json", "no such file or folder"),
        ("12a", "no run id"),
        ("0", "no run id"),
        ("-1", "no run id"),
        ("99999999999999999999", "no run id"),
        ("https://host.example/jobs/5", "names no run"),
        ("", "holds no run"),
    ],
)
def test_a_word_that_means_no_run_is_wrong_usage(
    word: str, said_of_it: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = said(capsys, word)
    assert (code, out) == (2, "")
    assert said_of_it in err


@pytest.mark.parametrize(
    ("text", "said_of_it"),
    [
        ("", "not valid JSON"),
        ('{"run_id": 1', "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"run_id": 1, "start_time": 2, "tasks": []}', "tasks: expected a list"),
        (json.dumps(record(element("a", after=["b"]), element("b", after=["a"]))), "tasks wait for one another"),
    ],
)
def test_a_file_that_is_no_record_is_a_problem(
    text: str, said_of_it: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.json"
    file.write_text(text)
    code, out, err = said(capsys, file)
    assert (code, out) == (1, "")
    assert err.startswith(f"{file}: is no run record: ")
    assert said_of_it in err


def test_a_page_that_cannot_be_written_is_a_problem(failed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, failed, "--html", failed / "no" / "such" / "run.html")
    assert code == 1
    assert err.endswith("cannot be written: No such file or directory\n")


def test_a_record_cannot_lead_out_of_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "secret.log").write_text("a secret")
    task = element("a", "FAILED", message="m", output_path="../../../secret.log")
    task["python_wheel_task"]["named_parameters"] = {"run_log": "../../../x.y.z"}
    made = workspace(tmp_path / "w", record(task))
    _, out, _ = said(capsys, made)
    assert "a secret" not in out
    assert "is no name of a table" in out


def test_a_name_that_is_no_name_does_not_reach_the_query() -> None:
    asked = query("t", str, [1], ["s.t.good", "s.t.b'ad", "s.t.b\\ad"])
    assert "target IN ('s.t.good')" in asked


def test_the_output_is_plain_where_there_is_no_terminal(failed: Path) -> None:
    """Whatever is set for colours, and in an encoding that has no bars."""
    environment = os.environ | {"FORCE_COLOR": "", "PYTHONIOENCODING": "ascii", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "monitor", str(failed)], capture_output=True, env=environment, cwd=ROOT, check=False
    )
    assert done.returncode == 1
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout
    assert done.stdout.decode("ascii").startswith("FAILED  bronze_to_silver, run 77")


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    text = capsys.readouterr().out
    for word in ("DIR", "FILE", "ID", "URL", "--html", "--durations", "DATABRICKS_WAREHOUSE_ID", "exit code"):
        assert word in text


def test_the_other_rooms_and_the_engines_stay_outside() -> None:
    code = (
        "import sys, monitor.cli; print([m for m in sys.modules if m.split('.')[0] in "
        "('generator', 'localjobs', 'example', 'pyspark', 'pyarrow', 'deltalake', 'databricks')])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
