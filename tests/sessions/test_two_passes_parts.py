"""The first of two passes: marks of a video, samples of its parts, and where a part ends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError, SourceError
from segue.sessions import two_passes
from segue.sessions.empty_scene import Scene
from segue.sessions.film_scenes import FilmScenes, LearntBackground
from segue.sessions.subtractors import BackgroundDifference
from segue.sessions.two_passes import FilmMarks, SceneLearner, TwoPasses
from tests.sessions.scenes import Bytes, film


def numbered(t: int, height: int = 40, width: int = 48) -> Bytes:
    """An image whose first pixels are its number."""
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[0, :2] = t % 256, t // 256, 0
    return picture


def number(picture: Bytes) -> int:
    return int(picture[0, 0, 0]) + 256 * int(picture[0, 0, 1])


def marked(count: int) -> FilmMarks:
    marks = FilmMarks()
    for frame in film([numbered(t) for t in range(count)]):
        marks.add(frame)
    return marks


@pytest.mark.parametrize(
    ("changed", "noticed"), [(None, None), (0, 15), (15, 15), (16, 31), (31, 31), (32, 36), (36, 36)]
)
def test_another_frame_is_noticed_at_the_next_mark_or_at_the_end(
    changed: int | None, noticed: int | None
) -> None:
    frames = film([numbered(999 if t == changed else t) for t in range(37)])
    if noticed is None:
        assert list(marked(37).compared(frames)) == frames
        return
    with pytest.raises(SourceError, match=f"frame {noticed}: the video has changed"):
        list(marked(37).compared(frames))


@pytest.mark.parametrize("count", [0, 5, 16, 20])
def test_only_the_beginning_is_compared_where_a_pass_goes_on(count: int) -> None:
    frames = film([numbered(t) for t in range(50)])
    assert list(marked(count).compared(frames, whole=False)) == frames
    with pytest.raises(SourceError, match=f"frame {count}: the video has changed since"):
        list(marked(count).compared(frames))
    short = frames[: count - 1] if count else frames[:0]
    if count:
        with pytest.raises(SourceError, match=f"has {count - 1} frames now, {count} in the first pass"):
            list(marked(count).compared(short, whole=False))


class Looking(BackgroundDifference):
    """Looks at the frames before; notes what it is asked, and when it begins anew."""

    def __init__(self, past: tuple[int, ...] = ()) -> None:
        super().__init__()
        self.past = past
        self.restarts = 0

    def restart(self) -> None:
        self.restarts += 1


def learner(past: tuple[int, ...] = (), *, align: bool = False) -> SceneLearner:
    return SceneLearner(Looking(past), short_side=None, without=[] if align else ["align"])


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], int]]:
    """Numbers of the samples of each part that was learnt, and how often the network is asked."""
    seen: list[tuple[list[int], int]] = []

    def estimate(samples: Any, probe: Any, rounds: int) -> Scene:
        seen.append(([number(sample.image) for sample in samples], rounds))
        return Scene.of(samples[0].image, 1)

    monkeypatch.setattr(two_passes, "estimate_scene", estimate)
    return seen


def test_a_pass_is_made_once_and_its_scenes_are_handed_on(parts: list[Any]) -> None:
    frames = film([numbered(t) for t in range(5)])
    first, background = learner(), LearntBackground(FilmScenes())
    passes = TwoPasses(first, lambda: frames, background)
    assert list(passes.learning()) == [1, 2, 3, 4, 5]
    assert background.scenes is first.scenes
    assert background.while_panning is first.while_panning
    assert list(passes.learning()) == []
    assert len(parts) == 1
    other = TwoPasses(learner(), lambda: frames, LearntBackground(FilmScenes()))
    other.restore(passes.state())
    assert list(other.learning()) == []
    assert list(other.second()) == frames


def test_what_cannot_be_learnt_is_refused() -> None:
    blind = Looking()
    blind.uses_background = False
    with pytest.raises(SegueError, match="at which median does not look"):
        SceneLearner(blind, short_side=None, without=["align"])
    deep = Looking()
    deep.extra = "depth"
    with pytest.raises(SegueError, match="know no depth, which median looks at"):
        SceneLearner(deep, short_side=None, without=["align"])
