"""Names of results: what may be called so, and that none lies in another."""

from __future__ import annotations

import pytest

from segue.batch.names import check_name, check_names
from segue.errors import SegueError


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a/..",
        "../a",
        "/a",
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "a\0b",
        ".segue-batch",
        "a/.segue.json",
    ],
)
def test_names_that_lead_elsewhere_or_are_segues_own_are_refused(name: str) -> None:
    with pytest.raises(SegueError, match="the name"):
        check_name(name)


@pytest.mark.parametrize("names", [("a", "b", "a"), ("a/b", "a"), ("a/b/c", "x", "a"), ("x", "..")])
def test_names_that_are_equal_or_lie_in_each_other_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(SegueError, match=r"'a'|'\.\.'"):
        check_names(names)


def test_names_that_lie_apart_are_taken() -> None:
    check_names(["a/b/c", "a/b/d", "a/c", "ab", "b.mp4"])
