"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest

import segue.prompts.annotation


def test_the_examples_of_the_docstrings_hold() -> None:
    results = doctest.testmod(segue.prompts.annotation)
    assert results.attempted > 0
    assert results.failed == 0
