"""Runs a command for as long as whoever started this holds the other end of its stdin.

A server that outlives a killed parent holds memory and a port until somebody notices. The kernel closes the
parent's end of the pipe whatever way the parent ends, and that works on every Unix.
Run as a script by `engine.py`; standard library only, so that it starts in milliseconds.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys

_GRACE_SECONDS = 2.0


def main(command: list[str]) -> int:
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: None)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    while server.poll() is None:  # a child that is stopped, not ended, sends SIGCHLD as well
        ready, _, _ = select.select([sys.stdin, wake], [], [])
        if sys.stdin in ready or signal.SIGTERM in os.read(wake, 64):
            break
    if server.poll() is None:
        server.terminate()
    try:
        return server.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        return server.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
