"""Names of results: what may be called so, and that none lies in another."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from segue.batch.names import TakenNames, check_name, result_name
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


def test_a_film_whose_stem_is_no_name_gets_one() -> None:
    assert [result_name(text) for text in ("..", ".", ".segue-batch", "a/..", "results.json")] == [
        "video..",
        "video.",
        "video.segue-batch",
        "a/video..",
        "videoresults.json",
    ]


def test_no_name_is_a_folder_of_another() -> None:
    taken = TakenNames(["a", "b/c"])

    assert [taken.take(name) for name in ("a", "a/b", "a/c", "b", "b/c", "b/d")] == [
        *("a-2", "a-3/b", "a-3/c", "b-2", "b/c-2", "b/d"),
    ]


PARTS = st.sampled_from(["a", "b", "a-2", "..", ".segue-batch", "x.mp4"])


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=12))
def test_whatever_films_are_called_their_results_lie_apart_and_inside(sources: list[str]) -> None:
    taken = TakenNames()

    names = [PurePosixPath(taken.take(result_name(source))) for source in sources]

    assert len(set(names)) == len(names)
    assert not [(a, b) for a in names for b in names if a != b and b.is_relative_to(a)]
    for name in names:
        check_name(str(name))
