"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
from types import ModuleType

import pytest

import segue.prompts.annotation
import segue.prompts.parse


@pytest.mark.parametrize("module", [segue.prompts.annotation, segue.prompts.parse])
def test_the_examples_of_the_docstrings_hold(module: ModuleType) -> None:
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0
