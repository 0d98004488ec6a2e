"""The flowchart: what it draws of each mode of edges, safe labels, Mermaid's bounds."""

import re
from pathlib import Path

import pytest

from generator.build import Build, Options, build
from generator.graph import MOST_ARROWS, graph
from generator.problem import sentence
from tests.generator.rows import GOLDENS, made, row, tables

LINES = (
    r"%% .*",
    r"flowchart LR",
    r' *subgraph \w+\["[^"]*"\]',
    r" *end",
    r' *\w+\["[^"]*"\]',
    r' *\w+\(\["run_summary"\]\)',
    r"  \w+ (==>|-->|-\.->) \w+",
    r'  \w+ ==> \w+\{\{"gate_\d+"\}\} ==> \w+',
)


def drawn(built: Build, layer: str | None = None) -> list[str]:
    """The lines, each of a known form, every arrow between things that are drawn."""
    text, problems = graph(built, layer)
    assert problems == ()
    lines = text.splitlines()
    assert all(any(re.fullmatch(form, line) for form in LINES) for line in lines)
    known = set(re.findall(r"^ *(?:subgraph )?(\w+)(?:\[|\(\[)", text, re.MULTILINE))
    for line in lines:
        if arrow := re.fullmatch(r"  (\w+) (?:==>.* )?(?:==>|-->|-\.->) (\w+)", line):
            assert set(arrow.groups()) <= known
    assert sum(line.strip().startswith("subgraph") for line in lines) == sum(line.strip() == "end" for line in lines)
    return lines


def arrows(lines: list[str]) -> list[str]:
    """The arrows between the labels of what they join."""
    label = dict(re.findall(r'^ *(?:subgraph )?(\w+)(?:\[|\(\[)"([^"]*)"', "\n".join(lines), re.MULTILINE))
    named = [re.sub(r"\b([tj]\d+\w*)\b(?!\{)", lambda m: label.get(m[1], m[1]), line.strip()) for line in lines]
    return [re.sub(r"\b\w+\{\{\"(\w+)\"\}\}", r"\1", line) for line in named if "=>" in line or "->" in line]


def golden(case: str) -> Build:
    folder = GOLDENS / case
    built, problems = build(Options(settings=folder / "bundle" / "settings.yml", source=None, out=folder / "resources"))
    assert built is not None, problems
    return built


def test_a_barrier_is_one_arrow_between_two_orders(tmp_path: Path) -> None:
    silver = {"src_catalog": "dev_silver", "src_schema": "core", "src_table_name": "t000"}
    rows = [*tables(1, 1), row(dst_table_name="t002", execution_order=2, **silver)]
    assert drawn(made(tmp_path, rows)) == [
        "flowchart LR",
        '  subgraph j0["bronze_to_silver"]',
        '    subgraph j0o1["order 1"]',
        '      t1["t000 (scd1)"]',
        '      t2["t001 (scd1)"]',
        "    end",
        '    subgraph j0o2["order 2"]',
        '      t3["t002 (scd1)"]',
        "    end",
        '    j0s(["run_summary"])',
        "  end",
        "  j0o1 ==> j0o2",
        "  j0o2 ==> j0s",
        "  t1 -.-> t3",
    ]


def test_gates_stand_between_two_orders(tmp_path: Path) -> None:
    layers = {"bronze_to_silver": {"edges": "gate"}}
    assert arrows(drawn(made(tmp_path, tables(1, 1, 5), layers=layers))) == [
        "order 1 ==> gate_5 ==> order 5",
        "order 5 ==> run_summary",
    ]


def test_lineage_draws_every_wait_and_reads_of_another_job_dotted() -> None:
    found = drawn(golden("lineage"))
    assert sorted(line for line in arrows(found) if "->" in line) == sorted(
        [
            "dim_item (scd1) --> fact_sales (fact_overwrite)",
            "dim_customer (scd1) --> fact_sales (fact_overwrite)",
            "fact_sales (fact_overwrite) --> fact_sales_copy (fact_overwrite)",
            "fact_sales (fact_overwrite) --> fact_sales_daily (fact_overwrite)",
            "dim_customer (scd1) --> fact_sales_daily (fact_overwrite)",
            "dim_store (scd1) --> fact_stock (fact_overwrite)",
            "mart_sales (fact_overwrite) --> mart_top (fact_overwrite)",
            "fact_sales (fact_overwrite) -.-> mart_sales (fact_overwrite)",
            "fact_sales_copy (fact_overwrite) -.-> mart_sales (fact_overwrite)",
        ]
    )
    assert [line for line in arrows(found) if "==>" in line] == [
        "order 1 ==> fact_budget (nb_fact)",
        "order 1 ==> fact_forecast (nb_fact)",
        "order 1 ==> run_summary",
        "order 2 ==> run_summary",
        "order 3 ==> run_summary",
        "order 1 ==> run_summary",
        "order 2 ==> run_summary",
    ]


def test_one_layer_alone() -> None:
    found = drawn(golden("lineage"), "silver_to_gold")
    assert arrows(found) == [
        "order 1 ==> run_summary",
        "order 2 ==> run_summary",
        "mart_sales (fact_overwrite) --> mart_top (fact_overwrite)",
    ]
    text, (problem,) = graph(golden("lineage"), "silver_to_golt")
    assert (text, sentence(problem)) == ("", "no job has the layer 'silver_to_golt'; did you mean silver_to_gold?")


def test_a_label_cannot_break_out(tmp_path: Path) -> None:
    name = 'nb"]; click t1 "x" <b>`#35;`'
    runners = {name: {"notebook_task": {"notebook_path": "x"}}}
    lines = drawn(made(tmp_path, [row(execution_pipeline=name)], runners=runners))
    assert lines[3].strip() == ('t1["dim_customer (nb#34;#93;#59; click t1 #34;x#34; #60;b#62;#96;#35;35#59;#96;)"]')


@pytest.mark.parametrize("edges", ["barrier", "gate", "lineage"])
def test_a_big_job_says_what_mermaid_does_not_draw(tmp_path: Path, edges: str) -> None:
    silver = {"src_catalog": "dev_silver", "src_schema": "core", "src_table_name": "t000"}
    later = [row(dst_table_name=f"u{n:03}", execution_order=2, **silver) for n in range(MOST_ARROWS)]
    lines = drawn(made(tmp_path, [*tables(1), *later], layers={"bronze_to_silver": {"edges": edges}}))
    if edges == "lineage":
        assert lines[0] == "%% 502 arrows: Mermaid draws 500 unless its maxEdges says more."
        assert len(arrows(lines)) == MOST_ARROWS + 2
    else:
        assert lines[0] == "%% The 500 reads are left out: Mermaid draws 500 arrows. `--layer` draws one job."
        assert len(arrows(lines)) == 2
