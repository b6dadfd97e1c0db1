"""The agreement of two people is the IoU of their objects on frames that both have annotated."""

from __future__ import annotations

import numpy as np
import pytest

from segue.formats.labels import Labels
from segue.masks import encode_rle
from segue.metrics import ObjectAgreement, agreement

SIZE = (20, 40)


def person(**objects: dict[int, tuple[int, int]]) -> Labels:
    """Objects by their names, as the columns that they have by frame."""
    labels = Labels(SIZE, dict(enumerate(objects, 1)))
    for number, columns in enumerate(objects.values(), 1):
        for frame, (first, last) in columns.items():
            plane = np.zeros(SIZE, np.bool_)
            plane[:, first:last] = True
            labels.masks.setdefault(frame, {})[number] = encode_rle(plane)["counts"]
    return labels


def test_objects_are_compared_with_those_they_agree_with_best() -> None:
    ann = person(cat={0: (0, 10), 1: (0, 10), 5: (0, 10)}, dog={0: (20, 30), 1: (20, 30)})
    ben = person(hound={0: (20, 30), 1: (25, 35)}, kitten={0: (0, 5), 1: (0, 10), 7: (0, 10)})
    assert agreement(ann, ben) == [
        ObjectAgreement("cat", "kitten", pytest.approx((0.5 + 1) / 2), 2),
        ObjectAgreement("dog", "hound", pytest.approx((1 + 1 / 3) / 2), 2),
    ]


def test_objects_of_one_annotator_only_count_as_disagreement() -> None:
    ann = person(cat={0: (0, 10), 1: (0, 10)}, dog={0: (20, 30)}, bird={9: (0, 2)})
    ben = person(kitten={0: (0, 10)}, fox={1: (36, 40)})
    assert agreement(ann, ben) == [
        ObjectAgreement("cat", "kitten", 0.5, 2),
        ObjectAgreement("dog", None, 0.0, 1),
        ObjectAgreement(None, "fox", 0.0, 1),
    ]
    assert agreement(ann, person(cat={4: (0, 10)})) == []
