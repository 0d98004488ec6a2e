"""Development and production do not share a catalog that nobody has mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator.build import build
from generator.problem import errors, sentence
from tests.generator.rows import made, project, row

TARGETS: dict[str, Any] = {
    "dev": {"mode": "development", "variables": {"bronze_catalog": "dev_bronze", "silver_catalog": "dev_silver"}},
    "prod": {"mode": "production", "variables": {"bronze_catalog": "bronze", "silver_catalog": "silver"}},
}
REMEDY = "under catalogs of the settings, with a bundle variable that each target gives a value"


def said(folder: Path, *rows: dict[str, object], targets: object = TARGETS, **more: Any) -> list[str]:
    sql = more.pop("sql", None)
    default = more.pop("default", {})
    options = project(folder, rows or (row(),), **more)
    variables = {"bronze_catalog": {}, "silver_catalog": {}, "gold_catalog": {}, **default}
    bundle = {"bundle": {"name": "a"}, "variables": variables, "targets": targets}
    (folder / "databricks.yml").write_text(yaml.safe_dump(bundle))
    if sql:
        (folder / "bundle" / "a.sql").write_text(sql)
    return [sentence(problem) for problem in errors(build(options)[1])]


def test_mapped_catalogs_are_right(tmp_path: Path) -> None:
    assert said(tmp_path) == []
    assert said(tmp_path, row(src_catalog="samples")) == []
    assert said(tmp_path, row(dst_catalog="DEV_SILVER")) == []
    assert said(tmp_path, row(is_active_flag=False, dst_catalog="dev_gold"), row()) == []
    assert said(tmp_path, row(dst_catalog="dev_gold"), catalogs={}, run_log="a.b.c") == []


@pytest.mark.parametrize("targets", [{"prod": TARGETS["prod"]}, {"dev": TARGETS["dev"]}, None, [], {"prod": 5}])
def test_without_production_beside_another_target_nothing_is_mixed(tmp_path: Path, targets: object) -> None:
    assert said(tmp_path, row(dst_catalog="dev_gold"), targets=targets) == []


def test_a_catalog_that_is_not_mapped_is_one_error(tmp_path: Path) -> None:
    gold = [row(dst_table_name=f"t{n}", dst_catalog="dev_gold") for n in range(7)]
    assert said(tmp_path, row(), *gold) == [
        (
            "row 2 (t0) dst_catalog: catalog 'dev_gold' has this name on every target, so that prod and the others "
            f"write the same tables (7 rows name it); list dev_gold {REMEDY}"
        )
    ]
    assert said(tmp_path, row(src_catalog="prod_bronze")) == [
        (
            "row 1 (dim_customer) src_catalog: catalog 'prod_bronze' has this name on every target, so that prod and "
            f"the others read the same tables; list prod_bronze {REMEDY}"
        )
    ]
    (found,) = said(tmp_path, row(dst_catalog="dev_sliver"))
    assert "write the same tables; did you mean dev_silver? Else list dev_sliver" in found


def test_catalogs_that_sql_names(tmp_path: Path) -> None:
    select = "SELECT * FROM {} JOIN {{silver_catalog}}.c.d USING (id) JOIN samples.a.b USING (id)"
    sql = row(sql_file_path="a.sql", src_catalog="a label")
    assert said(tmp_path, sql, sql=select.format("{bronze_catalog}.a.b")) == []
    (found,) = said(tmp_path, sql, sql=select.format("prod_bronze.a.b"))
    assert "sql_file_path: catalog 'prod_bronze' has this name on every target" in found
    (found,) = said(tmp_path, sql, sql=select.format("dev_bronze.a.b"))
    assert "a.sql names catalog dev_bronze itself, on every target; write {bronze_catalog}" in found


def test_the_run_log_is_the_target_s_own(tmp_path: Path) -> None:
    assert said(tmp_path, run_log="ops.metadata.run_log") == [
        f"run_log: catalog ops has this name on every target: prod and the others share one run log; list ops {REMEDY}"
    ]


def test_a_catalog_that_settings_name_themselves(tmp_path: Path) -> None:
    update = {"table_names": ["dev_bronze.erp.customer"]}
    body = {"notebook_path": "/dev_bronze/nb", "base_parameters": {"catalog": "dev_silver", "note": "of dev_silver"}}
    layers = {"bronze_to_silver": {"job": {"trigger": {"table_update": update}}}}
    more: dict[str, Any] = {"runners": {"nb": {"notebook_task": body}}, "layers": layers}
    assert said(tmp_path, **more) == [
        (
            "layers.bronze_to_silver.job.trigger.table_update.table_names.0: 'dev_bronze.erp.customer' names catalog "
            "dev_bronze itself, on every target; write ${var.bronze_catalog}.erp.customer"
        ),
        (
            "runners.nb.notebook_task.base_parameters.catalog: 'dev_silver' names catalog dev_silver itself, "
            "on every target; write ${var.silver_catalog}"
        ),
    ]
    assert said(tmp_path, targets={"prod": TARGETS["prod"]}, **more) == []


def test_a_default_that_production_shares(tmp_path: Path) -> None:
    catalogs = {"dev_bronze": "bronze_catalog", "dev_silver": "silver_catalog", "dev_gold": "gold_catalog"}
    more = {"catalogs": catalogs, "default": {"gold_catalog": {"default": "dev_gold"}}}
    gold = row(dst_catalog="dev_gold")
    assert said(tmp_path, gold, **more) == [
        (
            "catalogs.dev_gold: targets prod and dev both take 'dev_gold' for gold_catalog, one of them by its "
            "default, and differ in bronze_catalog; give gold_catalog a value in both targets of databricks.yml"
        )
    ]
    prod = {**TARGETS["prod"], "variables": {**TARGETS["prod"]["variables"], "gold_catalog": {"default": "gold"}}}
    assert said(tmp_path, gold, targets={**TARGETS, "prod": prod}, **more) == []


def test_the_case_of_a_catalog_does_not_matter(tmp_path: Path) -> None:
    (text,) = made(tmp_path, [row(dst_catalog="DEV_SILVER", src_catalog="Dev_Bronze")]).texts.values()
    assert "target_table: ${var.silver_catalog}.core.dim_customer" in text
    assert "source_table: ${var.bronze_catalog}.erp.customer" in text
