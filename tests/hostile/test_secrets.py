"""No secret in a file, a log, a record or a page, whatever refuses the login and however it says so.

The service of these tests is the worst there is: its refusals hold all that was sent to it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from laketasks.entry import _states
from laketasks.redact import redact
from laketasks.spec import SummarySpec
from laketasks.summary import summarize
from tests.generator.rows import ROOT, project
from tests.hostile.canaries import ALL, CLIENT, PASSWORD, PROFILE, PROXY, TOKEN, found_below, found_in

TABLE = "dev_silver.metadata.execution_table"
COMMANDS = {
    "generate": ("generator", "generate", "--source", TABLE),
    "init": ("generator", "init", "dev_bronze.b", "dev_silver.s", "--out", "proposed.yml"),
    "monitor": ("monitor", "512389072345612", "--html", "page.html"),
    "trends": ("monitor", "trends", "dev_silver.metadata.run_log", "--html", "trends.html"),
}
OAUTH = {"DATABRICKS_CLIENT_ID": "0000-1111", "DATABRICKS_CLIENT_SECRET": CLIENT, "DATABRICKS_AUTH_TYPE": "oauth-m2m"}
BASIC = {"DATABRICKS_USERNAME": "ana@example.com", "DATABRICKS_PASSWORD": PASSWORD, "DATABRICKS_AUTH_TYPE": "basic"}
# What is set besides the address, and the status of the refusal.
LOGINS: Mapping[str, tuple[dict[str, str], int]] = {
    "token 401": ({"DATABRICKS_TOKEN": TOKEN}, 401),
    "token 403": ({"DATABRICKS_TOKEN": TOKEN}, 403),
    "profile": ({"DATABRICKS_CONFIG_PROFILE": "daily", "DATABRICKS_HOST": ""}, 403),
    "client secret": (OAUTH, 401),
    "password": (BASIC, 401),
    "two ways": ({"DATABRICKS_TOKEN": TOKEN, **OAUTH, "DATABRICKS_AUTH_TYPE": ""}, 401),
}


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[int]]]:
    """The address of a service that refuses everything by the status in the list, and says what it was sent."""
    status = [401]

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode(errors="replace")
            host = f"http://127.0.0.1:{self.server.server_address[1]}"
            code, said = status[0], f"refused: {self.headers.get('Authorization')} {sent}"
            body = {"error_code": "PERMISSION_DENIED", "message": said, "error": "denied", "error_description": said}
            if "well-known" in self.path:
                code, body = 200, {"oidc_endpoint": f"{host}/oidc", "token_endpoint": f"{host}/oidc/v1/token"}
            text = json.dumps(body).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = _answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", status
    server.shutdown()
    server.server_close()


def environment(folder: Path, host: str, **given: str) -> dict[str, str]:
    """That of a person with this login and no other."""
    config = folder / "home" / ".databrickscfg"
    config.parent.mkdir(exist_ok=True)
    config.write_text(f"[daily]\nhost = {host}\ntoken = {PROFILE}\n", encoding="utf-8")
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("DATABRICKS_", "ARM_", "GOOGLE_"))
    }
    own = {"HOME": str(config.parent), "DATABRICKS_HOST": host, "DATABRICKS_WAREHOUSE_ID": "w1", **given}
    kept |= {"NO_PROXY": "127.0.0.1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
    return kept | {name: value for name, value in own.items() if value}


def run_all(
    folder: Path, given: Mapping[str, str], names: Sequence[str] = tuple(COMMANDS)
) -> dict[str, tuple[int, bytes]]:
    """The exit code and both outputs of each command, run in the folder, all at once."""
    work = folder / "work"
    work.mkdir()
    project(work)
    started = {
        name: subprocess.Popen(
            [sys.executable, "-m", *words], cwd=work, env=dict(given), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for name, words in COMMANDS.items()
        if name in names
    }
    said = {name: process.communicate()[0] for name, process in started.items()}
    return {name: (process.returncode, said[name]) for name, process in started.items()}


@pytest.mark.parametrize("login", LOGINS)
def test_a_login_that_is_refused_tells_no_secret(tmp_path: Path, refusing: tuple[str, list[int]], login: str) -> None:
    host, status = refusing
    given, status[0] = LOGINS[login]
    for name, (code, said) in run_all(tmp_path, environment(tmp_path, host, **given)).items():
        assert code == 1, (name, said)
        assert b"Traceback" not in said, said.decode()
        assert found_in(said) == [], (name, said.decode())
    assert found_below(tmp_path / "work") == []


def test_a_proxy_that_does_not_answer_tells_no_password(tmp_path: Path) -> None:
    proxy = f"http://ana:{quote(PROXY, safe='')}@127.0.0.1:9"
    given = environment(tmp_path, "https://workspace.example", DATABRICKS_TOKEN=TOKEN, HTTPS_PROXY=proxy)
    for name, (code, said) in run_all(tmp_path, {**given, "NO_PROXY": ""}, ("generate", "monitor")).items():
        assert code == 1, (name, said)
        assert found_in(said) == [], (name, said.decode())
    assert found_below(tmp_path / "work") == []


@pytest.mark.parametrize("login", LOGINS)
def test_a_summary_that_may_not_see_its_run_tells_no_secret(
    tmp_path: Path, refusing: tuple[str, list[int]], monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    """What it prints is the task's output, which the workspace, the run's record and the page keep."""
    host, status = refusing
    given, status[0] = LOGINS[login]
    own = environment(tmp_path, host, **given)
    for name in set(os.environ) - set(own):
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    spec = SummarySpec(job_run_id="1", run_log="a.b.c", tables=1)
    states, problem = _states(spec)
    assert states is None
    text = summarize(spec, states, [], states_error=problem).text
    assert "could not be read" in text
    assert found_in(text.encode()) == []


def test_a_task_has_no_login_and_leaves_none(tmp_path: Path) -> None:
    """A task that prints all it finds, and raises it, and asks the SDK for a login."""
    (tmp_path / "leaks.py").write_text(
        "import os\n"
        "from databricks.sdk.core import Config\n"
        "found = dict(os.environ)\n"
        "print(found)\n"
        "try:\n"
        "    print(Config(retry_timeout_seconds=1, http_timeout_seconds=1).as_dict())\n"
        "except ValueError as error:\n"
        "    print('no login:', error)\n"
        "raise RuntimeError(f'cannot go on with {found}')\n",
        encoding="utf-8",
    )
    body = {"python_file": str(tmp_path / "leaks.py")}
    job = {"resources": {"jobs": {"leaks": {"tasks": [{"task_key": "leaks", "spark_python_task": body}]}}}}
    (tmp_path / "leaks.job.yml").write_text(json.dumps(job), encoding="utf-8")
    given = {"DATABRICKS_TOKEN": TOKEN, **OAUTH, **BASIC, "ARM_CLIENT_SECRET": PASSWORD}
    own = environment(tmp_path, "http://127.0.0.1:9", **given, DATABRICKS_CONFIG_PROFILE="daily")
    work = tmp_path / "lake"
    run = ("localjobs", "run", str(tmp_path / "leaks.job.yml"), "--workspace", str(work))
    for words, code in ((run, 1), (("monitor", str(work), "--html", str(work / "page.html")), 1)):
        done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, env=own, capture_output=True, check=False)
        assert done.returncode == code, done.stderr.decode()
        assert found_in(done.stdout + done.stderr) == []
    (log,) = work.glob("runs/*/leaks.log")
    assert "no login: " in log.read_text(encoding="utf-8")
    assert "PYTHONPATH" in (work / "page.html").read_text(encoding="utf-8")  # the error stands in the page
    assert found_below(work) == []


def test_texts_of_the_wheel_lose_what_the_environment_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, secret in (("DATABRICKS_CLIENT_SECRET", CLIENT), ("MY_PASSWORD", PASSWORD), ("SHORT_TOKEN", "a")):
        monkeypatch.setenv(name, secret)
    basic = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
    text = (
        f"{CLIENT} {PASSWORD} Bearer {TOKEN} {PROFILE} Basic {basic} https://me:{quote(PROXY, safe='')}@proxy a banana"
    )
    assert redact(text) == "*** *** *** *** *** https://***proxy a banana"


@pytest.mark.parametrize("secret", ALL)
def test_every_form_of_a_secret_is_found(tmp_path: Path, secret: str) -> None:
    """What searches the files finds what it searches for, so that finding nothing means something."""
    encoded = (base64.b64encode(f"{before}{secret}:x".encode()).decode() for before in ("", "a", "ab", "abc"))
    for text in (secret, quote(secret, safe=""), *encoded):
        (tmp_path / "x.log").write_text(f"a {text} b", encoding="utf-8")
        assert found_below(tmp_path) == [f"{tmp_path / 'x.log'}: {secret}"]
