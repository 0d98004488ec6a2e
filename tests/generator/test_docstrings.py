"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

import pytest

MODULES = sorted(path.stem for path in (Path(__file__).parents[2] / "generator").glob("*.py") if path.stem[0] != "_")


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(f"generator.{name}")).failed == 0
