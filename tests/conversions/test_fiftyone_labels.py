"""Labels of FiftyOne: read as they are stored, and made of results."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import PromptError
from segue.formats.fiftyone import add_results, detection_values
from segue.types import ObjectInfo, Segmentation

MASK = np.zeros((20, 40), np.uint8)
MASK[2:9, 5:15] = 3
MASK[4, 8] = 0
MASK[10:20, 30:40] = 7
RESULT = Segmentation(
    4,
    0.16,
    MASK,
    (
        ObjectInfo(3, "dog", 0.75, (5, 2, 15, 9), 69),
        ObjectInfo(5, None, 0.0),
        ObjectInfo(7, None, 0.5, (30, 10, 40, 20), 100),
    ),
)


def labels(**changes: Any) -> SimpleNamespace:
    """Detections as FiftyOne holds them."""
    return SimpleNamespace(
        detections=[SimpleNamespace(**{**values, **changes}) for values in detection_values(RESULT)]
    )


def test_written_labels_are_read_back() -> None:
    found = Segmentation.from_fiftyone(labels(), (20, 40), index=4, time=0.16)
    assert np.array_equal(found.mask, MASK)
    assert [(item.id, item.label, item.score) for item in found.objects] == [
        (3, "dog", 0.75),
        (7, "object", 0.5),
    ]
    assert [prompt.id for prompt in found.prompts] == [3, 7]


def test_index_masks_are_read_and_others_are_refused() -> None:
    found = Segmentation.from_fiftyone(SimpleNamespace(get_mask=lambda: MASK), (20, 40))
    assert np.array_equal(found.mask, MASK)
    with pytest.raises(PromptError):
        Segmentation.from_fiftyone(None, (20, 40))
    with pytest.raises(PromptError):
        Segmentation.from_fiftyone(labels(bounding_box=None), (20, 40))
    with pytest.raises(PromptError):
        Segmentation.from_fiftyone(labels(index=2), (20, 40))


def test_fiftyone_takes_the_results_of_a_video(tmp_path: Path) -> None:
    fiftyone = pytest.importorskip("fiftyone", reason="FiftyOne is not installed")
    video = Path(segue.__file__).parent / "assets" / "sample" / "video.mp4"
    sample = fiftyone.Sample(filepath=str(video))
    first = Segmentation(0, 0.0, MASK, RESULT.objects)
    add_results(sample, [first, RESULT])
    assert sorted(sample.frames) == [1, 5]
    stored = sample.frames[5]["segue"]
    assert [item.index for item in stored.detections] == [3, 7]
    assert np.array_equal(Segmentation.from_fiftyone(stored, (20, 40)).mask, MASK)
    whole = Segmentation.from_fiftyone(fiftyone.Segmentation(mask=MASK), (20, 40))
    assert np.array_equal(whole.mask, MASK)
