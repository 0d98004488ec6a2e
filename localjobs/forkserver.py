"""Forks a process for each request that comes over its socket; run as `python -m localjobs.forkserver FD PRELOAD`.

It imports once what every task needs (Spark Connect's client and the entry points in PRELOAD) and never opens
a channel or starts a thread, so a fork costs milliseconds where a fresh interpreter costs a second. When the
other end of the socket closes, however that came, it kills what it started and ends.

    request  {"id", "call": "module:function", "arguments": {...}, "environment": {...}, "log": path}, or {"kill": id}
    answer   {"ready": true}, then for each request {"started", "process"}, and once it has ended
             {"id", "ok", "died", "message", "cpu_seconds"}
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import pkgutil
import selectors
import signal
import socket
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

from localjobs import attempt

_OURS = "laketasks"  # it imports its loaders late; that they can be imported beforehand is known of it alone
_RESULT_BYTES = 60_000  # less than a pipe holds, so that a process can leave its result and end


class ForkServer:
    """The processes of one run: forks, kills and reaps them, and tells how each ended."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._requests = b""
        self._running: dict[int, tuple[int, int]] = {}  # process id -> (request id, read end of its result)

    def serve(self) -> None:
        """Answer requests until the other end closes; then nothing that was started is left."""
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        os.set_blocking(woken, False)
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._connection.setblocking(False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            self._tell({"ready": True})
            while self._listen(selector, woken):
                pass
        for process in self._running:
            _kill_running(process)

    def _listen(self, selector: selectors.BaseSelector, woken: int) -> bool:
        selector.select()
        with contextlib.suppress(BlockingIOError):
            os.read(woken, 4096)
        self._reap()
        for request in (requests := self._received()) or ():
            self._serve_one(request)
        return requests is not None

    def _received(self) -> list[dict[str, Any]] | None:
        try:
            received = self._connection.recv(1 << 20)
        except BlockingIOError:
            return []
        except ConnectionError:
            return None
        if not received:
            return None
        *lines, self._requests = (self._requests + received).split(b"\n")
        return [json.loads(line) for line in lines]

    def _serve_one(self, request: dict[str, Any]) -> None:
        if "kill" in request:
            for process, (number, _) in self._running.items():
                if number == request["kill"]:
                    _kill_running(process)
            return
        readable, writable = os.pipe()
        process = os.fork()
        if process == 0:
            self._become(request, writable)
        os.close(writable)
        self._running[process] = (request["id"], readable)
        self._tell({"started": request["id"], "process": process})

    def _become(self, request: dict[str, Any], result: int) -> None:
        """Turn this forked process into the one that was asked for; never returns."""
        try:
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._connection.close()
            for _, other in self._running.values():
                os.close(other)
            answer = attempt.perform(request)
            os.write(result, json.dumps(answer).encode()[:_RESULT_BYTES])
        finally:
            os._exit(0)  # past exit handlers: a Spark client's would wait for a server that may be gone

    def _reap(self) -> None:
        while self._running:
            process, status, usage = os.wait4(-1, os.WNOHANG)
            if process == 0:
                return
            number, readable = self._running.pop(process)
            _kill_group(process)  # what the task started and left
            with os.fdopen(readable, "rb", 0) as result:
                os.set_blocking(readable, False)
                answer = result.read()
            cpu = round(usage.ru_utime + usage.ru_stime, 3)
            told = json.loads(answer) if answer else {"ok": False, "message": _death(status)}
            self._tell({"id": number, "cpu_seconds": cpu, "died": not answer} | told)

    def _tell(self, answer: dict[str, Any]) -> None:
        self._connection.setblocking(True)
        with contextlib.suppress(ConnectionError):
            self._connection.sendall(json.dumps(answer).encode() + b"\n")
        self._connection.setblocking(False)


def _kill_running(process: int) -> None:
    """End a process that was not reaped yet: one that was forked just now leads no group so far."""
    os.kill(process, signal.SIGKILL)
    _kill_group(process)


def _kill_group(process: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def _death(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"the process exited with code {code} before the task returned"
    hint = "; the machine may have run out of memory" if code == -signal.SIGKILL else ""
    return f"the process was ended by {signal.Signals(-code).name}{hint}"


def preload(entry_points: Iterable[tuple[str, str]]) -> list[str]:
    """Import what the tasks will call; returns what cannot be imported, which its tasks then report themselves."""
    for module in ("pyspark.sql.connect.session", "grpc._channel"):
        import_module(module)
    return [problem for package, name in entry_points if (problem := _import_problem(package, name))]


def _import_problem(package: str, name: str) -> str:
    try:
        attempt.entry_point(package, name)
        if package == _OURS:
            for module in pkgutil.iter_modules(import_module(package).__path__, f"{package}."):
                import_module(module.name)
    except Exception as error:
        return f"{package}.{name}: {error!r}"
    return ""


def main(descriptor: str, entry_points: str) -> None:
    for problem in preload(json.loads(entry_points)):
        sys.stderr.write(f"not imported ahead: {problem}\n")
    gc.collect()
    gc.freeze()  # a collection in a forked process would copy every page it looks at
    ForkServer(socket.socket(fileno=int(descriptor))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
