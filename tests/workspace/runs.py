"""Runs of a workspace's jobs: each a process of localjobs, with the code of the wheels that the job's settings name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from localjobs.job import job_id as local_id
from tests.workspace.files import Files, Refused

ROOT = Path(__file__).parents[2]
_OURS = ("cpu_seconds", "output_path")  # what localjobs adds to the Jobs API's record
_START_SECONDS = 60


class Runs:
    """`folder` holds what each run was made of, `lake` the tables that they all load."""

    def __init__(self, files: Files, folder: Path, lake: Path) -> None:
        self._files, self._folder, self.lake = files, folder, lake
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._jobs: dict[int, int] = {}  # the number that localjobs has for a job -> the workspace's

    def start(
        self, job: int, jobs: Mapping[int, Mapping[str, Any]], parameters: Mapping[str, str], only: Iterable[str]
    ) -> int:
        """The id of a new run of this job; the other jobs stand beside it for its run_job tasks."""
        made = self._folder / str(len(self._processes) + 1)
        (made / "resources").mkdir(parents=True)
        for number, settings in jobs.items():
            self._jobs[local_id(_key(number))] = number
            document = {"resources": {"jobs": {_key(number): self._mounted(settings)}}}
            (made / "resources" / f"{_key(number)}.job.yml").write_text(yaml.safe_dump(document), encoding="utf-8")
        wheels = sorted({wheel for settings in jobs.values() for wheel in _wheels(settings)} & set(_wheels(jobs[job])))
        self._install(wheels, made / "wheels")
        given = [option for name, value in parameters.items() for option in ("--params", f"{name}={value}")]
        chosen = ["--only", ",".join(only)] if only else []
        file = str(made / "resources" / f"{_key(job)}.job.yml")
        before = set(self._ids())
        with (made / "localjobs.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "localjobs", "run", file, "--workspace", str(self.lake), *chosen, *given],
                cwd=ROOT,  # localjobs is the checkout's; laketasks is what PYTHONPATH comes to first
                env={**os.environ, "PYTHONPATH": str(made / "wheels")},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        run = self._started(process, before, made / "localjobs.log")
        self._processes[run] = process
        return run

    def _started(self, process: subprocess.Popen[bytes], before: set[int], log: Path) -> int:
        give_up = time.monotonic() + _START_SECONDS
        while time.monotonic() < give_up:
            if new := sorted(set(self._ids()) - before):
                return new[0]
            if process.poll() is not None:
                raise Refused(400, "INVALID_PARAMETER_VALUE", log.read_text(encoding="utf-8").strip())
            time.sleep(0.05)
        process.kill()
        raise Refused(500, "INTERNAL_ERROR", f"no run within {_START_SECONDS} s")

    def _install(self, wheels: Iterable[str], into: Path) -> None:
        """As the service does before a task starts: the wheels that were uploaded, and nothing else of theirs."""
        found = [self._files.local(wheel) for wheel in wheels]
        if missing := [wheel for wheel, file in zip(wheels, found, strict=True) if not file.is_file()]:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Library installation failed: no file {', '.join(missing)}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--target", str(into)]
        subprocess.run([*pip, *map(str, found)], check=True, capture_output=True) if found else into.mkdir()

    def _mounted(self, value: Any) -> Any:
        """The settings with `/Workspace` where this machine has it, and jobs by the numbers that localjobs has."""
        if isinstance(value, str):
            return str(self._files.local(value)) if value.startswith("/Workspace/") else value
        if isinstance(value, list):
            return [self._mounted(item) for item in value]
        if isinstance(value, dict):
            return {k: local_id(_key(v)) if k == "job_id" else self._mounted(v) for k, v in value.items()}
        return value

    def _ids(self) -> Iterator[int]:
        return (int(record.parent.name) for record in self.lake.glob("runs/*/run.json"))

    def record(self, run: int) -> dict[str, Any]:
        """What `runs/get` says of a run, all its tasks."""
        file = self.lake / "runs" / str(run) / "run.json"
        if not file.is_file():
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Run {run} does not exist.")
        ended = run in self._processes and self._processes[run].poll() is not None  # before the record is read
        record: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if ended and record["state"]["life_cycle_state"] == "RUNNING":
            record["state"] = {"life_cycle_state": "INTERNAL_ERROR", "result_state": "FAILED", "state_message": "died"}
        record["job_id"] = self._jobs[record["job_id"]]
        record["tasks"] = [{name: v for name, v in task.items() if name not in _OURS} for task in record["tasks"]]
        return record

    def all_of(self, job: int | None) -> list[dict[str, Any]]:
        """The runs of a job, or of all, the newest first."""
        records = [self.record(run) for run in sorted(self._ids(), reverse=True)]
        return [record for record in records if job in (None, record["job_id"])]

    def output(self, task_run: int) -> dict[str, Any]:
        """What `runs/get-output` says of a task's latest attempt."""
        record = self.record(task_run // 10_000)
        tasks = [task for task in record["tasks"] if task["run_id"] == task_run]
        if not tasks:
            raise Refused(400, "INVALID_PARAMETER_VALUE", f"Run {task_run} is no task's; ask for one of its tasks.")
        (task,) = tasks
        if "run_job_output" in task:
            return {"metadata": task, "run_job_output": task["run_job_output"]}
        log = self.lake / "runs" / str(record["run_id"]) / f"{task['task_key']}.log"
        logs = log.read_text(encoding="utf-8") if log.is_file() else ""
        failed = task["state"].get("result_state") == "FAILED"
        error = {"error": task["state"]["state_message"], "error_trace": logs} if failed else {}
        return {"metadata": task, "logs": logs, "logs_truncated": False, **error}

    def close(self) -> None:
        """Cancel what still runs."""
        for process in self._processes.values():
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    process.send_signal(signal.SIGINT)
                process.wait(60)


def _key(number: object) -> str:
    return f"job_{number}"


def _wheels(settings: Mapping[str, Any]) -> list[str]:
    """The wheels that a job's environments and tasks name."""
    specs = [environment.get("spec") or {} for environment in settings.get("environments") or []]
    named = [dependency for spec in specs for dependency in spec.get("dependencies") or []]
    named += [library.get("whl", "") for task in settings["tasks"] for library in task.get("libraries") or []]
    return sorted({name for name in named if name.endswith(".whl")})
