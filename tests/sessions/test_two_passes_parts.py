"""The first of two passes: marks of a film, samples of its parts, and where a part ends."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError, SourceError
from segue.sessions import two_passes
from segue.sessions.empty_scene import Scene
from segue.sessions.film_scenes import STEPS, FilmScenes, LearntBackground, unpacked
from segue.sessions.scene_estimation import ROUNDS, Sample
from segue.sessions.stages import Change
from segue.sessions.subtractors import BackgroundDifference
from segue.sessions.two_passes import KEEP, MARK_EVERY, QUIET, FilmMarks, SceneLearner, TwoPasses
from segue.types import Frame
from tests.sessions.scenes import Bytes, film, wall


def numbered(t: int, height: int = 40, width: int = 48) -> Bytes:
    """A picture whose first pixels are its number."""
    picture = np.full((height, width, 3), 100, np.uint8)
    picture[0, :2] = t % 256, t // 256, 0
    return picture


def number(picture: Bytes) -> int:
    return int(picture[0, 0, 0]) + 256 * int(picture[0, 0, 1])


def test_marks_are_chained_checksums_of_every_sixteenth_pixel() -> None:
    marks, expected, noted = FilmMarks(), 0, []
    rng = np.random.default_rng(0)
    for t in range(3 * MARK_EVERY - 1):
        image = rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)
        marks.add(Frame(t, t / 25, image))
        pixels = np.ascontiguousarray(image[::16, ::16]).tobytes()
        expected = zlib.crc32(pixels, zlib.crc32(b"(40, 50, 3)", expected))
        if t % 16 == 15:
            noted.append(expected)
    assert (marks._sum, marks._marks, marks.count) == (expected, noted, 47)
    copy = marks.copy()
    copy.add(Frame(47, 0, image))
    assert (marks.count, len(marks._marks)) == (47, 2)
    assert (copy.count, len(copy._marks)) == (48, 3)


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
    with pytest.raises(SourceError, match=f"frame {noticed}: the film has changed"):
        list(marked(37).compared(frames))


@pytest.mark.parametrize("count", [0, 5, 16, 20])
def test_only_the_beginning_is_compared_where_a_pass_goes_on(count: int) -> None:
    frames = film([numbered(t) for t in range(50)])
    assert list(marked(count).compared(frames, whole=False)) == frames
    with pytest.raises(SourceError, match=f"frame {count}: the film has changed since"):
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


def test_samples_are_thinned_out_when_there_are_too_many(parts: list[Any]) -> None:
    first = learner()
    for frame in film([numbered(t) for t in range(4 * KEEP + 1)]):
        first.take(frame)
    first.finish()
    assert parts == [(list(range(0, 4 * KEEP + 1, 8)), ROUNDS)]
    assert first.done
    few = learner()
    for frame in film([numbered(t) for t in range(KEEP)]):
        few.take(frame)
    few.finish()
    assert parts[1][0] == list(range(KEEP))


def test_samples_bring_the_frames_before_them() -> None:
    first = learner((-1, -3))
    for frame in film([numbered(t) for t in range(7)]):
        first.take(frame)
    first._end_piece()
    contexts = [
        {offset: number(image) for offset, image in sample.context.items()} for sample in first._samples
    ]
    assert contexts[0] == {-1: 0, -3: 0}
    assert contexts[2] == {-1: 1, -3: 0}
    assert contexts[6] == {-1: 5, -3: 3}
    assert len(first._recent) == 4
    plain = learner()
    for frame in film([numbered(t) for t in range(4)]):
        plain.take(frame)
    plain._end_piece()
    assert [sample.context.keys() for sample in plain._samples] == [{-1: 0}.keys()] * 4
    assert number(plain._samples[3].context[-1]) == 2


def test_a_long_part_is_learnt_in_pieces(parts: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_passes, "LONGEST", 20)
    first = learner()
    for frame in film([numbered(t) for t in range(45)]):
        first.take(frame)
    first.finish()
    assert [samples for samples, _ in parts] == [list(range(20)), list(range(20, 40)), list(range(40, 45))]
    assert [first.scenes.number_at(index) for index in (19, 20, 39, 40)] == [0, 1, 1, 2]
    assert [first.scenes.begun_by(i) for i in range(3)] == [Change.none] * 3
    segmenter = first._segmenter
    assert isinstance(segmenter, Looking)
    assert segmenter.restarts == 6, "before and after it was asked"


def cut_film(*lengths: int) -> list[Bytes]:
    """Parts that look different."""
    return [picture for i, length in enumerate(lengths) for picture in [wall(i, 60, 80)] * length]


@pytest.mark.parametrize(
    ("lengths", "begins"),
    [
        ((20, 20), [0, 20]),
        ((QUIET, QUIET), [0, QUIET]),
        ((QUIET - 1, 20), [0, QUIET - 1]),  # at the beginning nothing has changed yet
        ((20, QUIET - 1, 20), [0]),  # two changes within twelve frames are none
        ((20, QUIET, 20), [0, 20, 20 + QUIET]),
        ((20, 5), [0, 20]),  # a film may end soon after a cut
        ((20, 3, 3, 20), [0]),
        ((20, 3, 20, 20), [0, 43]),
    ],
)
def test_a_cut_has_twelve_quiet_frames_on_either_side(
    lengths: tuple[int, ...], begins: list[int], parts: list[Any]
) -> None:
    first = learner()
    for frame in film(cut_film(*lengths)):
        first.take(frame)
    first.finish()
    assert first.scenes._firsts == begins
    assert [first.scenes.begun_by(i) for i in range(len(begins))] == [
        Change.none,
        *[Change.scene] * (len(begins) - 1),
    ]


def test_in_another_light_the_picture_is_held_as_before_and_after_a_cut_anew(parts: list[Any]) -> None:
    lamp, place = wall(0, 60, 80, light=1.5), wall(5, 60, 80)
    for other, change, held in ((lamp, Change.light, 35), (place, Change.scene, 15)):
        first = learner(align=True)
        for frame in film([wall(0, 60, 80)] * 20 + [other] * 15):
            first.take(frame)
        first.finish()
        assert first.scenes._firsts == [0, 20]
        assert first.scenes.begun_by(1) is change
        assert first._aligner is not None
        assert first._aligner._seen == held


@pytest.mark.parametrize(("count", "kept"), [(5, 5), (6, 0), (7, 1)])
def test_a_piece_of_a_film_is_kept_as_it_was_taken(
    count: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_passes, "PIECE", 6)
    first = learner()
    for frame in film([numbered(t) for t in range(count)]):
        first.take(frame)
    assert list(first._piece) == list(range(count - kept, count))
    assert len(first._samples) == count - kept


def test_where_the_camera_pans_the_network_is_not_asked_for_the_scene(
    parts: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[list[int]] = []

    class Near:
        def __init__(self, frames: Any, probe: Any, past: Any) -> None:
            seen.append([number(frame) for frame in frames])
            assert past == (-2,)
            assert probe(Sample(frames[1], {}), Scene.of(frames[1])).shape == (40, 48)

        def foreground(self) -> list[Any]:
            return [np.full((40, 48), (t + len(seen)) / 20, np.float32) for t in seen[-1]]

    monkeypatch.setattr(two_passes, "Nearby", Near)
    monkeypatch.setattr(two_passes, "PIECE", 6)
    monkeypatch.setattr(two_passes, "BESIDE", 2)
    monkeypatch.setattr(two_passes.PanDetector, "look", lambda _, image: number(image) == 8)
    first = learner((-2,))
    for frame in film([numbered(t) for t in (8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12)]):
        first.take(frame)
    assert list(first._before) == [8, 9, 10, 11], "twice two frames of the piece before"
    first.finish()
    assert seen == [[8, 1, 2, 3, 4, 5], [2, 3, 4, 5, 6, 7, 8, 9, 10, 11]], "the last piece is at rest"
    assert parts == [([8, *range(1, 12)], 0), ([12], two_passes.ROUNDS)]
    known = {t: float(unpacked(each, (40, 48))[0, 0]) for t, each in first.while_panning.items()}
    once, again = {0: 8, 1: 1, 2: 2, 3: 3}, {4: 4, 5: 5, 6: 6, 7: 7, 8: 8, 9: 9, 10: 10, 11: 11}
    expected = {t: (v + 1) / 20 for t, v in once.items()} | {t: (v + 2) / 20 for t, v in again.items()}
    assert known == pytest.approx(expected, abs=0.51 / STEPS)
    assert (first._piece, first._before, first._pans) == ({}, {}, False)


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


def test_frames_are_reduced_to_the_short_side() -> None:
    first = SceneLearner(Looking(), short_side=20, without=["align"])
    first.take(Frame(0, 0.0, numbered(0)))
    assert first._piece[0].shape == (20, 24, 3)
