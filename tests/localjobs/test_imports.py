from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_process_that_runs_the_loop_never_loads_a_spark_client() -> None:
    """It would hold a channel, and the second that its import takes is the fork server's, beside it."""
    code = (
        "import sys, localjobs.cli; print([m for m in sys.modules if m.split('.')[0] in ('pyspark', 'grpc', 'pandas')])"
    )
    root = Path(__file__).parent.parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
