"""Sessions that find their objects: when they look, whom they know already, and how they go on."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.errors import CheckpointError, PromptError, SourceError
from segue.models.base import MemoryNetwork
from segue.models.stcn_lite import STCNLite
from segue.prompts.selection import Found
from segue.sessions import SessionState, TrackSession
from segue.sessions.auto import Auto, AutoSession, is_known
from segue.types import Frame, MaskPrompt, ObjectInfo, Segmentation
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, MASKS = clip(5, 8, 48, 64, 2)

Mask = npt.NDArray[np.uint8]


def frame(t: int) -> Frame:
    return Frame(t, t / 10, FRAMES[t])


class Told:
    """A detector that finds what it is told, by frame index, and keeps what it was asked."""

    names: Mapping[int, str] = {}

    def __init__(
        self, masks: Mapping[int, Mask], labels: Mapping[int, str] | None = None, lookahead: int = 0
    ):
        self.masks, self.labels, self.lookahead = masks, labels or {}, lookahead
        self.asked: list[tuple[int, ...]] = []

    def __call__(self, frame: Frame, *following: Frame) -> Found:
        self.asked.append((frame.index, *(item.index for item in following)))
        mask = self.masks.get(frame.index, np.zeros(frame.size, np.uint8))
        ids = [int(i) for i in np.unique(mask) if i]
        objects = tuple(ObjectInfo(i, self.labels.get(i), area=int((mask == i).sum())) for i in ids)
        return Found(mask, objects, np.stack([mask == i for i in (0, *ids)])[1:])


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def trained() -> MemoryNetwork:
    if not (Path(segue.__file__).parent / "assets" / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")
    return cast(MemoryNetwork, segue.load("stcn-lite"))


def session(network: MemoryNetwork, detector: Told, every: int | None = None) -> AutoSession:
    return AutoSession(TrackSession(network, device="cpu"), detector, every)


def run(following: AutoSession, first: int = 0, end: int = len(FRAMES)) -> list[Segmentation]:
    results = [following.step(frame(t)) for t in range(first, end)]
    return [*(item for item in results if item is not None), *following.finish()]


def assert_same(results: list[Segmentation], expected: list[Segmentation]) -> None:
    for one, other in zip(results, expected, strict=True):
        assert (one.index, one.objects) == (other.index, other.objects)
        assert np.array_equal(one.mask, other.mask)


def test_found_objects_are_followed_as_if_a_person_had_drawn_them(lite: STCNLite) -> None:
    detector = Told({2: MASKS[2]}, {1: "cat"})
    found = run(session(lite, detector))
    by_hand = TrackSession(lite, device="cpu")
    prompts = [MaskPrompt(1, MASKS[2] == 1, label="cat"), MaskPrompt(2, MASKS[2] == 2)]
    assert_same(found, [by_hand.step(frame(t), prompts if t == 2 else None) for t in range(len(FRAMES))])
    assert detector.asked == [(0,), (1,), (2,)]


def test_newcomers_get_new_ids_and_known_objects_do_not(trained: MemoryNetwork) -> None:
    still = Frame(0, 0.0, FRAMES[0])
    third = np.where(MASKS[0] == 0, 0, MASKS[0]).astype(np.uint8)
    third[:10, :10] = 3
    following = session(trained, Told({0: MASKS[0], 3: third, 6: third}), every=3)
    ids = [following.step(Frame(t, t / 10, still.image)) for t in range(8)]
    assert [item.ids for item in ids if item] == [(1, 2)] * 3 + [(1, 2, 3)] * 5
    assert following.found == 3


def test_looking_ahead_delays_results_and_changes_nothing_else(lite: STCNLite) -> None:
    near, far = Told({1: MASKS[1]}), Told({1: MASKS[1]}, lookahead=2)
    following = session(lite, far)
    assert following.lag == 2
    assert following.step(frame(0)) is None
    following.reset()
    assert_same(run(following), run(session(lite, near)))
    assert far.asked == [(0, 1, 2), (1, 2, 3)]


@pytest.mark.parametrize("lookahead", [0, 1])
def test_a_saved_session_goes_on_identically(lite: STCNLite, tmp_path: Path, lookahead: int) -> None:
    detector = Told({0: MASKS[0], 4: np.where(MASKS[4] == 1, 1, 0).astype(np.uint8)}, lookahead=lookahead)
    whole = run(session(lite, detector, 2))
    first = session(lite, detector, 2)
    before = [item for t in range(5) if (item := first.step(frame(t))) is not None]
    first.state().save(tmp_path / "state")
    second = session(lite, detector, 2)
    second.restore(SessionState.load(tmp_path / "state"))
    assert_same([*before, *run(second, 5)], whole)
    with pytest.raises(CheckpointError, match="every 2, not 3"):
        session(lite, detector, 3).restore(SessionState.load(tmp_path / "state"))


def test_a_frame_that_cannot_be_taken_leaves_the_session_as_it_was(lite: STCNLite) -> None:
    detector = Told({0: MASKS[0]}, lookahead=1)
    following = session(lite, detector)
    following.step(frame(0))
    following.step(frame(1))
    before = following.state()
    following.step(Frame(2, 0.2, FRAMES[2][:40]))
    with pytest.raises(SourceError, match="frame 2 is"):
        following.step(frame(3))
    with pytest.raises(PromptError, match="objects are found here"):
        following.step(frame(2), MASKS[2])
    again = session(lite, detector)
    again.restore(before)
    assert_same(run(again, 2), run(session(lite, detector))[1:])


def test_objects_are_known_by_overlap_and_label() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[:10, :10] = 4
    known = Segmentation(0, 0.0, mask, (ObjectInfo(4, "dog", area=100), ObjectInfo(5, "cat", area=0)))
    found = np.zeros((20, 20), bool)
    found[:8, :8] = True
    assert is_known(found, "cat", known)
    found[:] = True
    assert is_known(found, "dog", known)
    assert is_known(found, None, known)
    assert not is_known(found, "cat", known)
    assert not is_known(mask == 0, "dog", known)


def test_the_function_finds_and_follows(lite: STCNLite) -> None:
    detector = Told({0: MASKS[0]}, lookahead=1)
    found = list(segue.track(list(FRAMES), Auto(detector, every=4), model=lite, device="cpu"))
    assert [item.index for item in found] == list(range(8))
    assert detector.asked == [(0, 1), (4, 5)]
    with pytest.raises(ValueError, match="every is 0"):
        Auto(every=0)
    with pytest.raises(ValueError, match="required"):
        segue.track(list(FRAMES), Auto(detector), model=lite, required={0})
