"""One customer's history out of silver, as a small table."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from example.delta import read_table
from example.problem import ExampleError

_COLUMNS = (
    "c_customer_sk",
    "c_first_name",
    "c_last_name",
    "ca_street_number",
    "ca_street_name",
    "ca_city",
    "ca_state",
    "ca_zip",
    "valid_from",
    "valid_to",
    "is_current",
)

Version = dict[str, object]


def customer_history(workspace: Path) -> list[str]:
    """The lines of a table: every version of the first customer who moved; raises ExampleError where nobody did."""
    path = workspace / "dev_silver" / "retail" / "dim_customer"
    versions: dict[int, list[Version]] = {}
    for version in read_table(path).select(_COLUMNS).to_pylist():
        versions.setdefault(version["c_customer_sk"], []).append(version)
    movers = [key for key, history in versions.items() if _has_moved(history)]
    if not movers:
        raise ExampleError(f"no customer in {path} has moved; has day 2 been loaded?")
    history = sorted(versions[min(movers)], key=lambda version: str(version["valid_from"]))
    return _table([_shown(version) for version in history])


def _has_moved(history: list[Version]) -> bool:
    """Two complete addresses in two towns, so that the table reads well."""
    complete = all(value is not None for version in history for value in version.values())
    return complete and len({(version["ca_zip"], version["ca_city"]) for version in history}) > 1


def _shown(version: Version) -> dict[str, str]:
    return {
        "customer": f"{version['c_customer_sk']} {version['c_first_name']} {version['c_last_name']}",
        "lives at": f"{version['ca_street_number']} {str(version['ca_street_name']).strip()}, "
        f"{version['ca_city']}, {version['ca_state']} {version['ca_zip']}",
        "valid_from": _instant(version["valid_from"]),
        "valid_to": _instant(version["valid_to"]),
        "is_current": str(version["is_current"]).lower(),
    }


def _instant(value: object) -> str:
    assert isinstance(value, datetime)
    return f"{value:%Y-%m-%d}" if value.time() == datetime.min.time() else f"{value:%Y-%m-%d %H:%M:%S}"


def _table(rows: list[dict[str, str]]) -> list[str]:
    widths = {name: max(len(name), *(len(row[name]) for row in rows)) for name in rows[0]}
    lines = [{name: name for name in widths}, {name: "-" * width for name, width in widths.items()}, *rows]
    return ["  " + "  ".join(line[name].ljust(width) for name, width in widths.items()).rstrip() for line in lines]
