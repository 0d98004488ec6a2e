"""A night of 140 tables, to see what each way to run them would take: `python -m benchmarks.night [FOLDER]`.

No load runs. The rows read one another as the tables of a warehouse do: a table of order 2 reads two to five of order
1, one of order 3 two or three of order 2; one in eight stands in a later order than it needs. Seconds are log-normal,
as they are where a few tables are large and most are small, and make 2.5 hours together. Prints what
`python -m monitor simulate` says of it.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

from benchmarks.project import ORDERS, write_bundle

SEED = 2026
HOURS = 2.5
_SIGMA = 1.2  # of the logarithm: the slowest tenth of the tables takes half of the time
_LATE = 1 / 8  # of the tables: in a later order than they need
_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Write the night, render it with barriers and by its reads, simulate it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.night", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="where to leave rows, job files and durations")
    parser.add_argument("--seed", type=int, default=SEED, help="what chance is made of (%(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        write_night(folder, random.Random(options.seed))
        barriers = render(folder, "barrier")
        lineage = render(folder, "lineage")
        sys.stdout.write(f"seed {options.seed}\n")
        sys.stdout.flush()
        return subprocess.call(
            [sys.executable, "-m", "monitor", "simulate", barriers, lineage, "--at-once", "5,10,20"],
            cwd=folder,
            env=_environment(),
        )


def write_night(folder: Path, chance: random.Random) -> None:
    """Rows, SQL and durations; the settings are `render`'s."""
    write_bundle(folder)
    sql = folder / "bundle/sql"
    sql.mkdir(exist_ok=True)
    names = [[f"t{order}_{number:02}" for number in range(tables)] for order, tables in enumerate(ORDERS, start=1)]
    rows = []
    for order, keys in enumerate(names, start=1):
        for key in keys:
            read = _reads(order, names, chance)
            if read:
                joined = " CROSS JOIN ".join(f"{{silver_catalog}}.s.{other}" for other in read)
                (sql / f"{key}.sql").write_text(f"SELECT {read[0]}.* FROM {joined}\n", encoding="utf-8")
            rows.append(_row(key, order, by_sql=bool(read)))
    (folder / "bundle/execution_table.yml").write_text(yaml.safe_dump(rows), encoding="utf-8")
    seconds = {key: chance.lognormvariate(0, _SIGMA) for keys in names for key in keys}
    scale = HOURS * 3600 / sum(seconds.values())
    lines = [f"bronze_to_silver,{key},{taken * scale:.1f}\n" for key, taken in seconds.items()]
    (folder / "bundle/durations.csv").write_text("layer,task_key,seconds\n" + "".join(lines), encoding="utf-8")


def _reads(order: int, names: list[list[str]], chance: random.Random) -> list[str]:
    before = order - 2 - (chance.random() < _LATE)  # the place of the order that the table reads
    if before < 0:
        return []
    return chance.sample(names[before], chance.randint(2, 5 if order == 2 else 3))


def _row(key: str, order: int, *, by_sql: bool) -> dict[str, object]:
    source = {"sql_file_path": f"sql/{key}.sql"} if by_sql else {"src_catalog": "dev_bronze", "src_schema": "b"}
    return {
        "src_system": "night",
        **source,
        "src_table_name": key,
        "load_type": "full",
        "dst_catalog": "dev_silver",
        "dst_schema": "s",
        "dst_table_name": key,
        "layer": "bronze_to_silver",
        "is_active_flag": True,
        "execution_order": order,
        "execution_pipeline": "fact_overwrite",
    }


def render(folder: Path, edges: str) -> str:
    """The job file with these edges, relative to the folder."""
    settings = yaml.safe_load((folder / "bundle/settings.yml").read_text(encoding="utf-8"))
    settings["layers"] = {"bronze_to_silver": {"edges": edges}}
    file = folder / f"bundle/settings.{edges}.yml"
    file.write_text(yaml.safe_dump(settings), encoding="utf-8")
    command = [sys.executable, "-m", "generator", "generate", f"--settings=bundle/{file.name}", f"--out={edges}"]
    done = subprocess.run(command, cwd=folder, env=_environment(), capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return f"{edges}/bronze_to_silver.job.yml"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(_ROOT)}


if __name__ == "__main__":
    sys.exit(main())
