"""What has to be tracked follows from what each mask was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from segue.masks import encode_rle
from segue.sessions.videos.passes import Pass, plan
from segue.sessions.videos.provenance import (
    MadeFrom,
    ObjectMasks,
    Source,
    Sources,
    StoredMask,
    StoredObject,
)
from segue.types import ObjectInfo

FRAMES = range(10)


def stored(pixels: Iterable[int]) -> StoredObject:
    mask = np.zeros((1, 8), np.bool_)
    mask[0, [*pixels]] = True
    return ObjectInfo(1), encode_rle(mask)["counts"], None, None


def tracked(
    masks: ObjectMasks, carried: tuple[Source, ...], frames: Iterable[int], pixels: Iterable[int] = (0,)
) -> None:
    for frame in frames:
        masks.store(frame, StoredMask(stored(pixels), MadeFrom(carried)))


@pytest.fixture
def masks() -> ObjectMasks:
    """Prompted on frame 2 (revision 1), and tracked everywhere."""
    masks = ObjectMasks()
    masks.prompt(2, stored([0]), 1)
    tracked(masks, ((2, 1),), [*range(2), *range(3, 10)])
    return masks


def ways(passes: Iterable[Pass]) -> list[tuple[int, int, bool]]:
    """Start, stop, and whether masks are tracked anew."""
    return [(each.start, each.stop, each.carries is None) for each in passes]


def test_an_object_that_is_new_is_tracked_in_both_directions() -> None:
    masks = ObjectMasks()
    masks.prompt(2, stored([0]), 1)
    masks.prompt(6, stored([1]), 2)
    passes = plan({1: masks}, FRAMES)
    assert ways(passes) == [(2, 9, True), (2, 0, True)]
    made_from = passes[0].made_from[1]
    assert [*made_from] == [3, 4, 5, 7, 8, 9]
    assert (made_from[4], made_from[8]) == (MadeFrom(((2, 1), (6, 2))), MadeFrom(((6, 2),)))


def test_passes_of_objects_whose_ways_meet_are_one(masks: ObjectMasks) -> None:
    early, late = ObjectMasks(), ObjectMasks()
    early.prompt(1, stored([0]), 2)
    late.prompt(5, stored([0]), 3)
    passes = plan({1: masks, 2: early, 3: late}, FRAMES)
    assert ways(passes) == [(1, 9, True), (5, 0, True)]
    assert {i: min(frames) for i, frames in passes[0].made_from.items()} == {2: 2, 3: 6}
    assert ways(plan({2: early, 3: late}, range(1, 10, 2))) == [(1, 9, True), (5, 1, True)]


def test_masks_of_the_present_prompts_are_not_stale(masks: ObjectMasks) -> None:
    assert plan({1: masks}, FRAMES) == []
    masks.prompt(2, stored([0]), 2)
    assert plan({1: masks}, FRAMES) == [], "the same mask again"


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({2: [0, 1]}, [(2, 9), (2, 0)]),
        ({6: [0, 1]}, [(6, 9), (6, 3)]),
        ({6: [0]}, []),  # confirmed
        ({4: [1], 7: [2]}, [(4, 6), (4, 3), (7, 9), (7, 5)]),
        ({0: [1], 9: [1]}, [(0, 1), (9, 3)]),
        ({6: [0], 4: [1]}, [(4, 5), (4, 3)]),
    ],
)
def test_a_changed_prompt_is_carried_to_the_next_ones(
    masks: ObjectMasks, prompts: Mapping[int, list[int]], expected: list[tuple[int, int]]
) -> None:
    for revision, (frame, pixels) in enumerate(prompts.items(), start=2):
        masks.prompt(frame, stored(pixels), revision)
    assert ways(plan({1: masks}, FRAMES)) == [(*way, False) for way in expected]


def test_tracking_may_change_only_pixels_that_a_prompt_changed(masks: ObjectMasks) -> None:
    masks.prompt(6, stored([0, 3]), 2)
    [forwards, back] = plan({1: masks}, FRAMES)
    for each, source in ((forwards, (2, 1)), (back, None)):
        assert each.carries == {1: source}
        changed = masks.difference(each.direction, source, (6, 2), (1, 8))
        assert np.flatnonzero(changed).tolist() == [3]
    tracked(masks, ((2, 1), (6, 2)), [7, 8], [0, 3])  # a pass that was stopped
    masks.prompt(6, stored([0, 4]), 3)
    first, second, back = plan({1: masks}, FRAMES)
    assert [each.carries for each in (first, second)] == [{1: (6, 2)}, {1: (2, 1)}]
    assert ([*first.made_from[1]], [*second.made_from[1]]) == ([7, 8], [9])
    assert np.flatnonzero(masks.difference(1, (6, 2), (6, 3), (1, 8))).tolist() == [3, 4]
    assert np.flatnonzero(masks.difference(1, (2, 1), (6, 3), (1, 8))).tolist() == [4]
    assert back.carries == {1: None}


def test_a_withdrawn_prompt_makes_stale_what_came_from_it(masks: ObjectMasks) -> None:
    masks.prompt(5, stored([0, 3]), 2)
    tracked(masks, ((2, 1), (5, 2)), [3, 4, 6, 7, 8, 9], [0, 3])
    masks.prompt(7, stored([0, 3, 4]), 3)
    tracked(masks, ((2, 1), (5, 2), (7, 3)), [6, 8, 9], [0, 3, 4])
    masks.withdraw(5)
    assert masks.at(3) == masks.at(8) == stored([0]), "those before it are known"
    passes = plan({1: masks}, FRAMES)
    assert ways(passes) == [(7, 9, False), (7, 3, False)]
    assert passes[1].made_from[1] == dict.fromkeys((3, 4, 5, 6), MadeFrom(((2, 1), (7, 3))))
    masks.withdraw(7)
    assert plan({1: masks}, FRAMES) == []


def test_masks_of_which_nothing_before_is_known_are_tracked_anew() -> None:
    masks = ObjectMasks()
    masks.prompt(2, stored([0]), 1)
    masks.prompt(7, stored([1]), 2)
    tracked(masks, ((2, 1), (7, 2)), [3, 4, 5, 6])
    tracked(masks, ((7, 2),), [8, 9])
    tracked(masks, ((2, 1),), [0, 1])
    masks.withdraw(7)
    passes = plan({1: masks}, FRAMES)
    assert ways(passes) == [(2, 9, True)]
    assert [*passes[0].made_from[1]] == [3, 4, 5, 6, 7, 8, 9]
    tracked(masks, ((2, 1), (7, 2)), [5])
    assert masks.tracked_at(5) is not None
    assert ways(plan({1: masks}, FRAMES)) == [(2, 9, True)], "what runs on does not store what was withdrawn"


def test_a_removal_ends_a_way_until_the_next_prompt(masks: ObjectMasks) -> None:
    masks.remove_from(5)
    assert [masks.at(frame) is None for frame in FRAMES] == [False] * 5 + [True] * 5
    assert plan({1: masks}, FRAMES) == []
    masks.prompt(8, stored([1]), 2)
    assert masks.sources(4) == Sources((2, 1), None)
    assert masks.sources(6) == Sources()
    assert ways(plan({1: masks}, FRAMES)) == [(8, 9, False)]
    masks.withdraw(5)
    assert masks.sources(6) == Sources((2, 1), (8, 2))
    masks.remove_from(1)
    assert not masks.prompts


def test_a_part_is_tracked_from_its_first_frame(masks: ObjectMasks) -> None:
    new = ObjectMasks()
    new.prompt(4, stored([0]), 2)
    passes = plan({1: masks, 2: new}, FRAMES, (2, 6))
    assert ways(passes) == [(2, 6, True)]
    assert [*passes[0].made_from[2]] == [3, 5, 6]
    masks.prompt(8, stored([3]), 3)
    assert ways(plan({1: masks}, FRAMES, (2, 6))) == [(8, 3, False)]
    assert ways(plan({1: masks}, FRAMES, (8, 6))) == [(8, 6, False)]
    assert plan({1: masks}, FRAMES, (2, 0)) == []


def test_only_the_newest_mask_per_set_of_prompts_is_kept(masks: ObjectMasks) -> None:
    for revision in range(2, 12):
        masks.prompt(2, stored([revision % 4]), revision)
        tracked(masks, ((2, 1), (2, revision)), [3], [revision % 4])
    assert len(masks.tracked[3]) <= 3
    masks.forget_unused_versions()
    assert len(masks.versions[2]) <= 4


def test_a_prompt_that_kept_a_change_away_counts_while_it_is_there(masks: ObjectMasks) -> None:
    masks.prompt(6, stored([0]), 2)  # confirms what was tracked
    masks.prompt(2, stored([1]), 3)
    [forwards, _] = plan({1: masks}, FRAMES)
    made_from = forwards.made_from[1][5]
    assert made_from == MadeFrom(((2, 1), (2, 3)), ((6, 2),))
    masks.store(5, StoredMask(stored([0]), made_from))  # frame 6 is nearer
    assert 5 not in plan({1: masks}, FRAMES)[0].made_from[1]
    masks.withdraw(6)
    assert 5 in plan({1: masks}, FRAMES)[0].made_from[1]
