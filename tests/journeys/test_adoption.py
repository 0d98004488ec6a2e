"""The tables of a driver notebook are adopted by one command; the nights after that are right, old names included.

`make adoption` does it with all 135 tables.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.journeys.driver_night import History, Night, drive, loaded, rows_of_the_driver, session, synced
from tests.journeys.project import Finished, Project

_OPEN = datetime.fromisoformat("9999-12-31T00:00:00+00:00")


class Team:
    """A project whose tables the driver has loaded for two nights, then was adopted and loaded by its job for two."""

    def __init__(self, folder: Path, tables: int, size: int) -> None:
        self.rows = rows_of_the_driver(tables)
        self.nights = [Night(row["dst_table_name"], size) for row in self.rows]
        self.histories = {night.name: History() for night in self.nights}
        self.project = Project(folder)
        self.project.write(self.rows)
        assert self.project.generate().code == 0
        self.seconds: dict[str, float] = {}
        for day in (0, 1):
            self._pass_day(day)
            with session(self.project, self.rows) as spark:
                for row in self.rows:
                    drive(spark, row, loaded(day))
            self._take(at=loaded(day))
        self.refused = self.project.run("--only", self.rows[0]["dst_table_name"])
        self.commits = self.project.commits()
        self.dry = self._timed("dry run", "--dry_run", "true")
        self.untouched = self.project.commits() == self.commits
        self.adopted = self._timed("adoption", "--dry_run", "false")
        self.again = self._timed("again", "--dry_run", "false")
        self.after_adoption = self._read("SELECT * FROM {}")
        self.done = []
        for day in (2, 3):
            self._pass_day(day)
            begin = time.monotonic()
            self.done.append(self.project.run())
            self.seconds[f"night {day - 1}"] = time.monotonic() - begin
            self._take()
        self.loaded = self._read("SELECT * FROM {}")
        (view,) = re.findall(r"^ +(SELECT .* AS `start_date`.*) FROM `dev_silver`\.", self.dry.out, re.MULTILINE)
        self.seen = self._read(f"{view} FROM {{}}", "scd2")

    def _pass_day(self, day: int) -> None:
        for night in self.nights:
            night.pass_day(day)
            self.project.bronze(night.name, night.table())

    def _take(self, at: datetime | None = None) -> None:
        for night in self.nights:
            self.histories[night.name].take(night, at=at)

    def _timed(self, what: str, *more: str) -> Finished:
        begin = time.monotonic()
        done = self.project.adopt(*more)
        self.seconds[what] = time.monotonic() - begin
        return done

    def _read(self, select: str, pipeline: str = "") -> dict[str, list[dict[str, Any]]]:
        wanted = [row["dst_table_name"] for row in self.rows if pipeline in ("", row["execution_pipeline"])]
        with session(self.project, self.rows) as spark:
            return {name: spark.sql(select.format(f"dev_silver.s.{name}")).toArrow().to_pylist() for name in wanted}

    def of(self, *pipelines: str) -> list[str]:
        return [row["dst_table_name"] for row in self.rows if row["execution_pipeline"] in pipelines]


@pytest.fixture(scope="module")
def team(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Team:
    tables = request.config.getoption("--driver-tables")
    return Team(tmp_path_factory.mktemp("team"), tables, 2000 if tables == 135 else 60)


def test_loads_are_refused_before(team: Team) -> None:
    assert team.refused.code == 1
    assert "python -m laketasks adopt" in team.refused.out


def test_one_plan_for_all_tables(team: Team) -> None:
    count = len(team.rows)
    assert team.dry.code == 0, team.dry
    assert f"{count} tables: {count} to adopt (" in team.dry.out
    scd2 = len(team.of("scd2"))
    assert re.search(rf"^{scd2} tables of scd2, [\d,]+ rows: ", team.dry.out, re.MULTILINE)
    assert "guessed from the columns: valid_from = start_date, valid_to = end_date" in team.dry.out
    assert "dry run, nothing done" in team.dry.out
    assert team.untouched


def test_one_command_adopts_them(team: Team) -> None:
    count = len(team.rows)
    assert team.adopted.code == 0, team.adopted
    assert f"[{count}/{count}] " in team.adopted.out
    assert f"{count} tables: 0 to adopt (0 rows), {count} with nothing to do" in team.again.out
    assert team.again.code == 0


def test_system_columns_are_filled_in_every_row(team: Team) -> None:
    for name in team.of("scd1", "scd2", "fact_incremental_merge"):
        for row in team.after_adoption[name]:
            assert row["is_deleted"] is False
            assert row["_sequence"] == row["_watermark"] == row["_fivetran_synced"]
            assert None not in (row["_loaded_at"], row["_updated_at"], row["_job_run_id"])


def test_two_nights_are_loaded(team: Team) -> None:
    assert [done.code for done in team.done] == [0, 0], team.done
    print({what: round(seconds, 1) for what, seconds in team.seconds.items()})


def test_histories_go_on(team: Team) -> None:
    """In the loaders' columns: a change begins at its sequence, and a delete ends a version."""
    for name in team.of("scd2"):
        versions = team.histories[name].versions
        found = sorted(
            (r["id"], r["valid_from"], r["amount"], r["valid_to"], r["is_current"], r["is_deleted"])
            for r in team.loaded[name]
        )
        expected = sorted((v.id, v.start, v.amount, v.end or _OPEN, v.end is None, v.deleted) for v in versions)
        assert found == expected
        assert any(v.end == synced(day) for v in versions for day in (2, 3))


def test_histories_go_on_under_the_old_names(team: Team) -> None:
    """By the view that the plan prints."""
    for name in team.of("scd2"):
        found = sorted(
            (r["id"], r["start_date"], r["amount"], str(r["end_date"]), r["is_current"]) for r in team.seen[name]
        )
        versions = team.histories[name].versions
        assert found == sorted((v.id, v.start, v.amount, str(v.end), v.end is None) for v in versions)
        assert None not in {r["_fivetran_synced"] for r in team.seen[name]}


def test_the_latest_state_of_other_tables(team: Team) -> None:
    """Deleted keys are marked, those that the driver had deleted are not there."""
    for night in team.nights:
        rows = {r["id"]: r for r in team.loaded[night.name]}
        live = {i: r["amount"] for i, r in night.bronze.items() if not r["_fivetran_deleted"]}
        if night.name in team.of("fact_overwrite"):
            assert {i: r["amount"] for i, r in rows.items()} == live
        elif night.name in team.of("scd1", "fact_incremental_merge"):
            assert {i: r["amount"] for i, r in rows.items() if not r["is_deleted"]} == live
            assert {r["is_deleted"] for r in rows.values()} <= {True, False}
