"""Sessions that find their objects: when they look, whom they know already, and how they go on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.errors import ArgumentError, CheckpointError, PromptError, SourceError
from segue.models.base import MemoryNetwork
from segue.models.stcn import STCNLite
from segue.prompt_types import MaskPrompt
from segue.sessions import SessionState, TrackSession
from segue.sessions.association import known_as
from segue.sessions.auto import MAX_OBJECTS, PATIENCE, Auto, AutoSession
from segue.types import Frame, ObjectInfo, Segmentation
from tests.clips import clip
from tests.lite import lively_lite
from tests.plugin.package.segue_blobs.trackers import ColourMemory

FRAMES, MASKS = clip(5, 8, 48, 64, 2)

Mask = npt.NDArray[np.uint8]


def frame(t: int) -> Frame:
    return Frame(t, t / 10, FRAMES[t])


class ScriptedDetector:
    """A detector with given finds by frame index, which records its calls."""

    names: Mapping[int, str] = {}

    def __init__(
        self, masks: Mapping[int, Mask], labels: Mapping[int, str] | None = None, lookahead: int = 0
    ):
        self.masks, self.labels, self.lookahead = masks, labels or {}, lookahead
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        self.asked.append((frame.index, *(item.index for item in following)))
        mask = self.masks.get(frame.index, np.zeros(frame.size, np.uint8))
        ids = [int(i) for i in np.unique(mask) if i]
        objects = tuple(ObjectInfo(i, self.labels.get(i), area=int((mask == i).sum())) for i in ids)
        return Segmentation(frame.index, frame.time, mask, objects)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def trained() -> MemoryNetwork:
    if not (Path(segue.__file__).parent / "assets" / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")
    return cast(MemoryNetwork, segue.load("stcn-lite"))


def session(network: MemoryNetwork, detector: ScriptedDetector, every: int | None = None) -> AutoSession:
    return AutoSession(TrackSession(network, device="cpu"), detector, every)


def run(following: AutoSession, first: int = 0, end: int = len(FRAMES)) -> list[Segmentation]:
    results = [following.step(frame(t)) for t in range(first, end)]
    return [*(item for item in results if item is not None), *following.finish()]


def assert_same(results: list[Segmentation], expected: list[Segmentation]) -> None:
    for one, other in zip(results, expected, strict=True):
        assert (one.index, one.objects) == (other.index, other.objects)
        assert np.array_equal(one.mask, other.mask)


def test_found_objects_are_followed_as_if_a_person_had_drawn_them(lite: STCNLite) -> None:
    detector = ScriptedDetector({2: MASKS[2]}, {1: "cat"})
    found = run(session(lite, detector))
    by_hand = TrackSession(lite, device="cpu")
    prompts = [MaskPrompt(1, MASKS[2] == 1, label="cat"), MaskPrompt(2, MASKS[2] == 2)]
    assert_same(found, [by_hand.step(frame(t), prompts if t == 2 else None) for t in range(len(FRAMES))])
    assert detector.asked == [(0,), (1,), (2,)]


def test_newcomers_get_new_ids_and_known_objects_do_not(trained: MemoryNetwork) -> None:
    still = Frame(0, 0.0, FRAMES[0])
    third = np.where(MASKS[0] == 0, 0, MASKS[0]).astype(np.uint8)
    third[:10, :10] = 3
    following = session(trained, ScriptedDetector({0: MASKS[0], 3: third, 6: third}), every=3)
    ids = [following.step(Frame(t, t / 10, still.image)) for t in range(8)]
    assert [item.ids for item in ids if item] == [(1, 2)] * 3 + [(1, 2, 3)] * 5
    assert following.num_found == 3


def test_looking_ahead_delays_results_and_changes_nothing_else(lite: STCNLite) -> None:
    near, far = ScriptedDetector({1: MASKS[1]}), ScriptedDetector({1: MASKS[1]}, lookahead=2)
    following = session(lite, far)
    assert following.lag == 2
    assert following.step(frame(0)) is None
    following.reset()
    assert_same(run(following), run(session(lite, near)))
    assert far.asked == [(0, 1, 2), (1, 2, 3)]


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_saved_session_goes_on_identically(lite: STCNLite, tmp_path: Path, lookahead: int) -> None:
    detector = ScriptedDetector(
        {0: MASKS[0], 4: np.where(MASKS[4] == 1, 1, 0).astype(np.uint8)}, lookahead=lookahead
    )
    whole = run(session(lite, detector, 2))
    first = session(lite, detector, 2)
    before = [item for t in range(5) if (item := first.step(frame(t))) is not None]
    first.state().save(tmp_path / "state")
    second = session(lite, detector, 2)
    second.restore(SessionState.load(tmp_path / "state"))
    assert_same([*before, *run(second, 5)], whole)
    with pytest.raises(CheckpointError):
        session(lite, detector, 3).restore(SessionState.load(tmp_path / "state"))


def test_a_frame_that_cannot_be_taken_leaves_the_session_as_it_was(lite: STCNLite) -> None:
    detector = ScriptedDetector({0: MASKS[0]}, lookahead=1)
    following = session(lite, detector)
    following.step(frame(0))
    following.step(frame(1))
    before = following.state()
    with pytest.raises(SourceError):
        following.step(Frame(2, 0.2, FRAMES[2][:40]))
    with pytest.raises(PromptError):
        following.step(frame(2), MASKS[2])
    again = session(lite, detector)
    again.restore(before)
    expected = run(session(lite, detector))[1:]
    assert_same(run(again, 2), expected)
    assert_same(run(following, 2), expected)


def test_a_frame_whose_detection_fails_can_be_given_again(lite: STCNLite) -> None:
    class Failing(ScriptedDetector):
        fails = True

        def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
            if self.fails:
                raise PromptError("nothing to run on")
            return super().__call__(frame, *following)

    detector = Failing({0: MASKS[0]}, lookahead=1)
    following = session(lite, detector)
    following.step(frame(0))
    with pytest.raises(PromptError):
        following.step(frame(1))
    detector.fails = False
    assert_same(run(following, 1), run(session(lite, ScriptedDetector({0: MASKS[0]}, lookahead=1))))


def test_objects_are_known_by_overlap_and_label() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:10, :10] = 4
    known = Segmentation(0, 0.0, mask, (ObjectInfo(4, "dog", area=100), ObjectInfo(5, "cat", area=0)))
    found = np.zeros((20, 20), bool)
    found[:8, :8] = True
    assert known_as(found, "cat", known)
    found[:] = True
    assert known_as(found, "dog", known)
    assert known_as(found, None, known)
    assert not known_as(found, "cat", known)
    assert not known_as(mask == 0, "dog", known)


def test_the_function_finds_and_follows(lite: STCNLite) -> None:
    detector = ScriptedDetector({0: MASKS[0]}, lookahead=1)
    found = list(segue.track(list(FRAMES), Auto(detector, every=4), model=lite, device="cpu"))
    assert [item.index for item in found] == list(range(8))
    assert detector.asked == [(0, 1), (4, 5)]
    with pytest.raises(ArgumentError):
        Auto(every=0)
    with pytest.raises(ArgumentError):
        segue.track(list(FRAMES), Auto(detector), model=lite, required={0})


def test_a_newcomer_gets_no_pixel_of_the_objects_that_are_followed(trained: MemoryNetwork) -> None:
    """It is found with a part of a known object: that part stays with the known one."""
    newcomer = np.zeros_like(MASKS[0])
    newcomer[:, : MASKS[0].shape[1] // 2] = 1
    newcomer[MASKS[0] > 0] = 0
    rows, columns = np.nonzero(MASKS[0] == 1)
    newcomer[rows[: len(rows) // 4], columns[: len(rows) // 4]] = 1
    following = session(trained, ScriptedDetector({0: MASKS[0], 1: newcomer}), every=1)
    still = [following.step(Frame(t, t / 10, FRAMES[0])) for t in range(2)]
    assert still[0] is not None
    assert still[1] is not None
    assert still[1].ids == (1, 2, 3)
    taken = (newcomer == 1) & (still[0].mask == 1)
    assert taken.sum() > 10
    assert (still[1].mask[taken] == 1).mean() > 0.9


class Passers:
    """A detector that finds a spot of a colour of its own on each frame; none is there for longer."""

    names: Mapping[int, str] = {}
    lookahead = 0

    def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
        mask = (frame.image.max(axis=2) > 0).astype(np.uint8)
        return Segmentation(frame.index, frame.time, mask, (ObjectInfo(1, None, area=int(mask.sum())),))


def colours() -> TrackSession:
    """Follows by colour, quickly."""
    return TrackSession(ColourMemory(), device="cpu")


def passing(count: int) -> Iterator[Frame]:
    """Frames of spots in 216 colours that are far apart, each at another place."""
    for t in range(count):
        image = np.zeros((12, 16, 3), np.uint8)
        row, column = t % 3 * 4, t % 4 * 4
        colour = [40 * (1 + t // 6**power % 6) for power in range(3)]
        image[row : row + 4, column : column + 4] = colour
        yield Frame(t, t / 25, image)


def followed_over(count: int, most: int = MAX_OBJECTS) -> list[int]:
    """Number of objects on every frame of a session that finds a new one on each."""
    following = AutoSession(colours(), Passers(), 1, max_objects=most)
    sizes = []
    for one in passing(count):
        result = following.step(one)
        assert result is not None
        assert len({item.id for item in result.objects}) == len(result.objects)
        sizes.append(len(result.objects))
    assert len(following.state().values["_tracks"]["dict"]) == sizes[-1]
    return sizes


def test_objects_that_are_out_of_sight_for_long_are_followed_no_longer() -> None:
    sizes = followed_over(200)
    assert max(sizes) == PATIENCE + 1
    assert sizes[20:] == [sizes[20]] * 180


def test_an_object_that_comes_back_in_time_keeps_its_id(trained: MemoryNetwork) -> None:
    """Hidden for fewer looks than it takes to be dropped, then for more."""
    black = np.zeros_like(FRAMES[0])
    for hidden, expected in ((PATIENCE - 2, (1, 2)), (PATIENCE + 2, ())):
        shown = [FRAMES[0]] * 2 + [black] * hidden + [FRAMES[0]]
        following = AutoSession(colours(), ScriptedDetector({0: MASKS[0]}), 1)
        results = [following.step(Frame(t, t / 10, image)) for t, image in enumerate(shown)]
        assert results[-1] is not None
        assert results[-1].ids == expected


def test_a_retired_object_is_known_again_by_its_look_also_after_a_restart() -> None:
    def spot(colour: tuple[int, int, int] | None, t: int) -> Frame:
        image = np.zeros((12, 16, 3), np.uint8)
        if colour:
            image[4:8, 6:10] = colour
        return Frame(t, t / 25, image)

    class Spots(Passers):
        def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
            found = super().__call__(frame)
            return found if found.mask.any() else replace(found, objects=())

    red, blue = (200, 40, 40), (40, 40, 200)
    following = AutoSession(colours(), Spots(), 1)
    shown = [red, *[None] * (PATIENCE + 2), blue, *[None] * (PATIENCE + 2)]
    for t, colour in enumerate(shown):
        result = following.step(spot(colour, t))
    assert result is not None
    assert result.objects == ()  # both are retired
    other = AutoSession(colours(), Spots(), 1)
    other.restore(following.state())
    for session, colour, expected in ((following, red, 1), (other, blue, 2)):
        result = session.step(spot(colour, len(shown)))
        assert result is not None
        assert result.ids == (expected,)


def test_newcomers_make_room_where_too_many_are_followed() -> None:
    assert MAX_OBJECTS > 3
    assert max(followed_over(30, most=3)) == 3
