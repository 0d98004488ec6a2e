from __future__ import annotations

import time
from pathlib import Path

from localjobs.processes import fork_server


def test_a_process_is_killed_as_soon_as_it_was_asked_for(tmp_path: Path) -> None:
    with fork_server([], tmp_path / "forkserver.log") as processes:
        processes.wait_until_ready()
        began = time.monotonic()
        for _ in range(30):
            number = processes.start("subprocess:run", {"args": ["sleep", "20"]}, tmp_path / "task.log", {})
            processes.kill(number)
            assert processes.wait_for(number).died
    assert time.monotonic() - began < 20
