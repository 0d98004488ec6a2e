"""Fragments of SQL, without an engine."""

from __future__ import annotations

import doctest

import pytest
from pyspark.sql.types import ArrayType, DoubleType, LongType, MapType, StringType, StructType, TimestampType

import laketasks.sql as subject
from laketasks.canonical import canonical, comparable, differs


def test_the_examples_in_the_docstrings() -> None:
    assert doctest.testmod(subject).failed == 0


@pytest.mark.parametrize(
    ("statement", "filled"),
    [
        ("FROM {b}.s.t JOIN {b}.s.u", "FROM `dev`.s.t JOIN `dev`.s.u"),
        ("SELECT '{b}', \"{b}\" FROM {b}.s.t", "SELECT '{b}', \"{b}\" FROM `dev`.s.t"),
        ("SELECT 'it''s {b}', 'a\\'{b}' FROM {b}.s.t", "SELECT 'it''s {b}', 'a\\'{b}' FROM `dev`.s.t"),
        ("-- of {b}\nFROM {b}.s.t /* {b} */", "-- of {b}\nFROM `dev`.s.t /* {b} */"),
        ("FROM `{b}`.s.t", "FROM `dev`.s.t"),
        ("SELECT named_struct('a', 1)", "SELECT named_struct('a', 1)"),
    ],
)
def test_catalogs_are_filled_in_outside_literals(statement: str, filled: str) -> None:
    assert subject.fill_catalogs(statement, {"b": "dev"}) == filled


def test_an_unknown_catalog_is_an_error() -> None:
    with pytest.raises(KeyError, match="c"):
        subject.fill_catalogs("FROM {c}.s.t", {"b": "dev"})


def test_names_are_quoted_wherever_they_stand() -> None:
    assert subject.quote_table("a-b.c.d`e") == "`a-b`.`c`.`d``e`"
    assert subject.same(["a", "b`"]) == "t.`a` <=> s.`a` AND t.`b``` <=> s.`b```"


def test_only_what_needs_it_is_rewritten() -> None:
    assert canonical("x", LongType()) == "x"
    assert canonical("x", TimestampType()) == "unix_micros(x)"
    assert canonical("x", ArrayType(StringType())) == "x"
    assert canonical("x", ArrayType(TimestampType())) == "transform(x, e0 -> unix_micros(e0))"
    assert comparable("x", DoubleType()) == "x"
    assert comparable("x", MapType(StringType(), LongType())).startswith("array_sort(")
    nested = StructType().add("m", MapType(StringType(), LongType()))
    assert "array_sort(" in comparable("x", ArrayType(nested))
    assert differs({}) == "false"
