"""Which masks of an earlier tracking a tracking from a correction replaces."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from segue.flow.change_regions import ChangeRegion
from segue.masks import encode_rle
from segue.masks.unsure import unsure_bits
from segue.sessions.videos.corrections import ConditioningFrame, Layer, propagate, to_rle
from segue.sessions.videos.provenance import MadeFrom, StoredMask
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray

SIZE = (96, 160)
IMAGE = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8).repeat(4, 0).repeat(4, 1)


def square(left: int) -> BoolArray:
    mask = np.zeros(SIZE, np.bool_)
    mask[40:60, left : left + 20] = True
    return mask


def result(
    index: int, planes: Mapping[int, BoolArray], score: float, unsure: BoolArray | None
) -> Segmentation:
    """Objects of one score, of which a tracker is not sure in some pixels."""
    mask = np.zeros(SIZE, np.uint8)
    for number, plane in planes.items():
        mask[plane] = number
    probability = np.where(np.zeros(SIZE, np.bool_) if unsure is None else unsure, 0.6, 0.9)
    objects = tuple(ObjectInfo(number, score=score) for number in planes)
    return Segmentation(index, index / 25, mask, objects, _unsure=unsure_bits(probability.astype(np.float32)))


class Scripted:
    """A session whose results are known."""

    def __init__(self, results: Mapping[int, Segmentation]) -> None:
        self._results, self.ids = results, (1,)
        self.taken: list[int] = []

    def step(self, frame: Frame, *_: object, **__: object) -> Segmentation:
        self.taken.append(frame.index)
        return self._results[frame.index]


def tracked(
    earlier: Segmentation,
    new: Segmentation,
    *,
    other: int | None = None,
    known: bool = True,
    is_source: bool = True,
) -> Segmentation:
    """What frame 4 shows after the square of frame 0 was corrected from 50 to 40.

    ``is_source``: whether the masks before were made from the other corrected frame.
    """
    corrected = ConditioningFrame(
        square(40).astype(np.uint8), frozenset({1}), changed=square(40) ^ square(50)
    )
    conditioning = {0: corrected}
    if other is not None:
        conditioning[other] = ConditioningFrame(square(50).astype(np.uint8), frozenset({1}))
    sources = MadeFrom(((0, 1), *(((other, 2),) if other is not None and is_source else ())))
    stored = [StoredMask(each, sources) for each in to_rle(earlier, {1, 2})]
    if not known:
        stored = [StoredMask((*each[:3], None), sources) for each, _ in stored]
    results = {index: new if index else result(0, {1: square(40)}, 1.0, None) for index in range(5)}
    layer = Layer(Scripted(results), conditioning, {4: stored})  # type: ignore[arg-type]
    frames = [Frame(index, index / 25, IMAGE) for index in range(5)]
    *_, (last,) = propagate([layer], frames, dict.fromkeys(range(5), 0.0), 0)
    return last


BEFORE, AFTER = result(4, {1: square(50)}, 0.8, None), result(4, {1: square(40)}, 0.8, None)


@pytest.mark.parametrize(
    ("new", "other", "known", "is_new"),
    [
        (AFTER, None, True, True),
        (result(4, {1: square(40)}, 0.6, None), None, True, False),  # the score falls
        (result(4, {1: square(40)}, 0.8, square(40) | square(50)), None, True, False),  # less sure
        (AFTER, 7, True, False),  # the other corrected frame is nearer
        (AFTER, 8, True, True),
        (AFTER, 7, False, True),  # masks of earlier versions: where it was not sure is not known
    ],
)
def test_a_mask_is_replaced_unless_something_speaks_against_it(
    new: Segmentation, other: int | None, known: bool, is_new: bool
) -> None:
    last = tracked(BEFORE, new, other=other, known=known)
    np.testing.assert_array_equal(last.mask == 1, square(40 if is_new else 50))
    assert last.objects[0].score == (new if is_new else BEFORE).objects[0].score


def test_a_corrected_frame_keeps_only_masks_that_were_made_from_it() -> None:
    last = tracked(BEFORE, AFTER, other=7, is_source=False)
    np.testing.assert_array_equal(last.mask == 1, square(40))


def test_unsure_pixels_are_kept_in_the_unchanged_part() -> None:
    before = result(4, {1: square(50)}, 0.8, square(50))
    last = tracked(before, AFTER)
    np.testing.assert_array_equal(last.mask == 1, square(40))
    [(*_, unsure)] = to_rle(last, {1})
    assert unsure == encode_rle(square(50) & square(40))["counts"], "where both masks are the same"


def test_an_object_whose_score_falls_keeps_its_pixels_from_others() -> None:
    earlier = result(4, {1: square(50), 2: square(90)}, 0.8, None)
    new = result(4, {1: square(40), 2: square(90)}, 0.8, None)
    objects = (ObjectInfo(1, score=0.5), ObjectInfo(2, score=0.8))
    last = tracked(earlier, Segmentation(4, 0.16, new.mask, objects, _unsure=new._unsure))
    np.testing.assert_array_equal(last.mask, earlier.mask)


@pytest.mark.parametrize(
    ("lacking", "others", "taken"),
    [
        ((), {}, [0]),
        ((2,), {}, [0, 1, 2]),  # an object without a mask before
        ((), {3: frozenset({1, 2})}, [0]),  # a corrected frame keeps its masks
        ((), {2: frozenset({2})}, [0]),  # the object beside a corrected one keeps its mask
    ],
)
def test_no_network_runs_where_nothing_is_left_of_a_correction(
    lacking: tuple[int, ...], others: Mapping[int, frozenset[int]], taken: list[int]
) -> None:
    planes = {1: square(50), 2: square(120)}
    given = {i: ConditioningFrame.of({}, SIZE, checked) for i, checked in others.items()}
    for number, checked in others.items():
        of_frame = {i: encode_rle(planes[i])["counts"] for i in checked}
        given[number] = ConditioningFrame.of(of_frame, SIZE, checked)
    nothing = np.zeros(SIZE, np.bool_)
    given[0] = ConditioningFrame.of(
        {i: encode_rle(plane)["counts"] for i, plane in planes.items()},
        SIZE,
        frozenset({1, 2}),
        changed=nothing,
    )
    before = result(1, planes, 0.8, square(50))
    stored = [StoredMask(each, MadeFrom(((0, 1),))) for each in to_rle(before, {1, 2})]
    previous = {i: stored[: 1 if i in lacking else 2] for i in range(1, 5)}
    new = {i: result(i, {1: square(40), 2: square(130)}, 0.9, None) for i in range(5)}
    session = Scripted(new)
    layer = Layer(session, given, previous)  # type: ignore[arg-type]
    read = []

    def frames() -> Iterator[Frame]:
        for index in range(5):
            read.append(index)
            yield Frame(index, index / 25, IMAGE)

    times = {index: index / 25 for index in range(5)}
    results = {each.index: each for (each,) in propagate([layer], frames(), times, 0)}
    assert session.taken == read == taken
    assert [*results] == [1, 2, 3, 4]
    for index in range(1, 5) if taken == [0] else (1, 4):
        np.testing.assert_array_equal(results[index].mask, before.mask)
    for index in (1, 4):
        unchanged = to_rle(results[index], {1, 2})
        assert [(item.id, item.score) for item, *_ in unchanged] == [(1, 0.8), (2, 0.8)]
        assert [(counts, unsure) for _, counts, _, unsure in unchanged] == [
            (counts, unsure) for _, counts, _, unsure in to_rle(before, {1, 2})
        ]
        assert not any(whole for _, _, whole, _ in unchanged), "nothing hides them"


@pytest.mark.parametrize("ends", [True, False])
def test_an_object_that_a_corrected_one_covers_keeps_its_score(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tracker that is shown the corrected one expects little of the other one there."""
    if not ends:
        monkeypatch.setattr(ChangeRegion, "is_gone", False)
    of_both, of_second = (
        {i: encode_rle(square(30 + 20 * i))["counts"] for i in ids} for ids in ((1, 2), (2,))
    )
    of_second[2] = encode_rle(square(60))["counts"]
    both, nothing = frozenset({1, 2}), np.zeros(SIZE, np.bool_)
    given = {
        0: ConditioningFrame.of(of_both, SIZE, both, changed=nothing),
        3: ConditioningFrame.of(of_second, SIZE, frozenset({2})),
    }
    before = result(1, {1: square(50), 2: square(70)}, 0.8, nothing)
    stored = [StoredMask(each, MadeFrom(((0, 1),))) for each in to_rle(before, both)]
    new = dict.fromkeys(range(5), before) | {3: result(3, {1: square(50), 2: square(60)}, 0.75, nothing)}
    layer = Layer(Scripted(new), given, dict.fromkeys(range(1, 5), stored))  # type: ignore[arg-type]
    frames = [Frame(index, index / 25, IMAGE) for index in range(5)]
    results = propagate([layer], frames, {frame.index: frame.time for frame in frames}, 0)
    [covered] = [each for (each,) in results if each.index == 3]
    np.testing.assert_array_equal(covered.mask == 1, square(50) & ~square(60))
    [(info, *_)] = to_rle(covered, {1})
    assert info.score == 0.8


def test_a_further_correction_on_the_way_is_tracked() -> None:
    of = {1: encode_rle(square(50))["counts"]}
    given = {
        0: ConditioningFrame.of(of, SIZE, frozenset({1}), changed=np.zeros(SIZE, np.bool_)),
        2: ConditioningFrame.of(of, SIZE, frozenset({1}), changed=square(50)),
    }
    stored = [StoredMask(each, MadeFrom(((0, 1),))) for each in to_rle(BEFORE, {1})]
    session = Scripted(dict.fromkeys(range(5), BEFORE))
    layer = Layer(session, given, dict.fromkeys(range(1, 5), stored))  # type: ignore[arg-type]
    frames = [Frame(index, index / 25, IMAGE) for index in range(5)]
    assert len([*propagate([layer], frames, {frame.index: frame.time for frame in frames}, 0)]) == 4
    assert session.taken == [0, 1, 2, 3, 4]
