"""Still images in the COCO format are videos of one frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.datasets.ytvis import CocoImages

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

HEIGHT, WIDTH = 4, 6


def content() -> dict[str, Any]:
    """One image with a square given as polygon and a crowd in the first column."""
    square = {"segmentation": [[2, 1, 4, 1, 4, 3, 2, 3]], "iscrowd": 0, "area": 4.0}
    crowd = {"segmentation": {"size": [HEIGHT, WIDTH], "counts": [0, 4, 20]}, "iscrowd": 1, "area": 4}
    return {
        "images": [{"id": 9, "height": HEIGHT, "width": WIDTH, "file_name": "000009.png"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 18, **square},
            {"id": 2, "image_id": 9, "category_id": 1, **crowd},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 18, "name": "dog"}],
    }


def write(root: Path, value: Any) -> Path:
    path = root / "annotations" / "instances_val2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(value))
    return path


def test_an_image_is_a_video_of_one_frame(tmp_path: Path) -> None:
    write(tmp_path, content())
    (tmp_path / "val2017").mkdir()
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 7, np.uint8)).save(tmp_path / "val2017" / "000009.png")
    dataset = CocoImages.open(tmp_path, "val2017")
    (image,) = dataset
    clip = dataset.instances(image, [0])
    assert len(image) == 1
    assert dataset.read_image(image, 0).mean() == 7
    assert clip.labels.tolist() == [18, 1]
    assert clip.crowd.tolist() == [False, True]
    np.testing.assert_array_equal(clip.boxes[:, 0], [[2, 1, 4, 3], [0, 0, 1, 4]])
    assert clip.masks.sum(axis=(2, 3)).tolist() == [[4], [4]]
