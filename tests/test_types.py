"""Results are compared by what they say."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from segue.masks import encode_rle
from segue.types import ObjectInfo, Segmentation, visible_in

MASK = np.array([[0, 1], [2, 2]], np.uint8)
OTHER = np.array([[0, 1], [2, 1]], np.uint8)


def test_segmentations_are_equal_if_they_say_the_same() -> None:
    objects = (ObjectInfo(1, "dog", 0.5, (0, 0, 1, 1), 1),)
    one = Segmentation(3, 0.1, MASK, objects)
    assert one == Segmentation(3, 0.1, MASK.copy(), objects)
    assert one == replace(one, _probabilities=lambda: np.zeros((3, 2, 2), np.float32))
    for other in (
        replace(one, index=4),
        replace(one, mask=OTHER),
        replace(one, mask=MASK.astype(np.uint16)),
        replace(one, mask=MASK[:1]),
        replace(one, objects=()),
        "something else",
    ):
        assert one != other
    assert one in [replace(one, mask=OTHER), one]


LEFT, RIGHT = np.zeros((8, 12), np.bool_), np.zeros((8, 12), np.bool_)
LEFT[1:6, 1:8] = True
RIGHT[3:8, 5:11] = True


class ResultSteps(RuleBasedStateMachine):
    """Steps that change a result; none names the whole masks of its objects."""

    def __init__(self) -> None:
        super().__init__()
        records = [{"segmentation": encode_rle(plane), "score": 0.5} for plane in (LEFT, RIGHT)]
        self.result = Segmentation.from_coco(records, LEFT.shape)
        self.whole = {1: LEFT, 2: RIGHT}

    @rule(id=st.sampled_from([1, 2]), new=st.integers(3, 9))
    def rename(self, id: int, new: int) -> None:
        """As a monitor of events gives an object the id that it had before the light changed."""
        if id not in self.whole or new in self.whole:
            return
        table = np.arange(16, dtype=np.uint8)
        table[id] = new
        objects = [replace(item, id=new) if item.id == id else item for item in self.result.objects]
        self.result = replace(self.result, mask=table[self.result.mask], objects=tuple(objects))
        self.whole[new] = self.whole.pop(id)

    @rule()
    def reverse(self) -> None:
        self.result = replace(self.result, objects=self.result.objects[::-1])

    @rule()
    def name(self) -> None:
        objects = (replace(item, label="car", score=0.9) for item in self.result.objects)
        self.result = replace(self.result, objects=tuple(objects))

    @rule()
    def drop(self) -> None:
        self.result = replace(self.result, objects=self.result.objects[:1])
        self.whole = {i: self.whole[i] for i in self.result.ids}

    @rule(column=st.integers(0, 4))
    def cover(self, column: int) -> None:
        """An object is drawn in front of the one that is partly hidden already."""
        mask = self.result.mask.copy()
        mask[:, column] = 15
        self.result = replace(self.result, mask=mask, objects=visible_in(mask, self.result.objects))

    @rule()
    def pickle(self) -> None:
        self.result = pickle.loads(pickle.dumps(self.result))

    @invariant()
    def objects_are_whole(self) -> None:
        for id, mask in zip(self.result.ids, self.result.masks, strict=True):
            np.testing.assert_array_equal(mask, self.whole[id])
        prompts = {prompt.id: prompt.mask for prompt in self.result.prompts}
        for id in self.whole:
            np.testing.assert_array_equal(prompts[id], self.whole[id])


TestResultSteps = ResultSteps.TestCase
TestResultSteps.settings = settings(max_examples=30, stateful_step_count=8, deadline=None)


def test_boxes_areas_and_scores_are_those_of_the_mask() -> None:
    objects = visible_in(MASK, [ObjectInfo(2, "dog", 0.5, (0, 0, 9, 9), 81), ObjectInfo(7, "cat", 0.5)])
    assert objects == (ObjectInfo(2, "dog", 0.5, (0, 1, 2, 2), 2), ObjectInfo(7, "cat", 0.0, None, 0))
