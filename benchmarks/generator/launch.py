"""Runs a command and prints what it took, as JSON: `launch.py SECONDS LOG COMMAND...`.

In a process of its own that holds next to nothing, since the peak of a process is at least what its parent holds when
it starts. A command that takes longer than SECONDS is ended.
"""

import json
import os
import signal
import subprocess
import sys
import time

seconds, log, *command = sys.argv[1:]
began = time.monotonic()
with open(log, "wb") as output:
    process = subprocess.Popen(command, stdout=output, stderr=output)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.setitimer(signal.ITIMER_REAL, float(seconds))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
wall = time.monotonic() - began
cpu = usage.ru_utime + usage.ru_stime
print(json.dumps({"code": process.returncode, "wall": wall, "cpu": cpu, "memory": usage.ru_maxrss // 1024}))
