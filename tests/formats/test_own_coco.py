"""COCO files that segue writes are read by what programs do with them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import segue
from segue.errors import ArgumentError, DatasetError, PromptError
from segue.types import ObjectInfo, Segmentation
from tests.video.making import write_video

SIZE = (48, 64)


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, Path]:
    """A video, and the COCO file of two named objects in it."""
    video = write_video(tmp_path / "v.mp4", [np.full((*SIZE, 3), 9 * index, np.uint8) for index in range(4)])
    results = []
    for index in range(4):
        mask = np.zeros(SIZE, np.uint8)
        mask[10:20, 5 + index : 15 + index], mask[30:40, 20:40] = 3, 7
        objects = (ObjectInfo(3, "dog"), ObjectInfo(7, "ball"))
        results.append(Segmentation(index, index / 25, mask, objects))
    return video, segue.save(results, tmp_path / "coco.json", source=str(video))["coco"]


def content(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text()))


def test_images_of_a_video_have_file_names(written: tuple[Path, Path]) -> None:
    names = [image["file_name"] for image in content(written[1])["images"]]
    assert names == ["00000.jpg", "00001.jpg", "00002.jpg", "00003.jpg"]


def test_the_content_of_a_file_gives_the_objects_of_a_frame_with_their_names(
    written: tuple[Path, Path],
) -> None:
    found = Segmentation.from_coco(content(written[1]), index=2)
    assert {item.id: item.label for item in found.objects} == {3: "dog", 7: "ball"}
    assert found.index == 2
    assert found.mask.shape == SIZE
    assert found.mask[12, 7:17].tolist() == [3] * 10
    with pytest.raises(DatasetError, match="has no image 9; it has 4"):
        Segmentation.from_coco(content(written[1]), index=9)
    with pytest.raises(DatasetError, match="is no COCO file"):
        Segmentation.from_coco({"images": [{}]})
    with pytest.raises(ArgumentError, match="size: give height and width"):
        Segmentation.from_coco([])


def test_a_file_of_a_whole_video_as_a_prompt_says_how(written: tuple[Path, Path]) -> None:
    video, path = written
    with pytest.raises(PromptError, match=r"give that of a frame: segue\.Segmentation\.from_coco\("):
        list(segue.track(str(video), str(path)))
    first = Segmentation.from_coco(content(path))
    found = next(segue.track(str(video), first.prompts))
    assert {item.label for item in found.objects} == {"dog", "ball"}


@pytest.mark.parametrize("indices", [(0, 1, 2, 3), (0, 1), (1, 3), (2,)])
@pytest.mark.parametrize("form", ["coco", "ytvis"])
def test_results_of_some_frames_are_read_on_these_frames(
    form: str, indices: tuple[int, ...], tmp_path: Path
) -> None:
    video = write_video(tmp_path / "v.mp4", [np.full((*SIZE, 3), 9 * index, np.uint8) for index in range(4)])
    results = []
    for index in indices:
        mask = np.zeros(SIZE, np.uint16)
        mask[10:20, 5 + index : 15 + index], mask[30:40, 20:40] = 300, 7
        results.append(Segmentation(index, index / 25, mask, (ObjectInfo(7, "ball"), ObjectInfo(300, "dog"))))
    path = segue.save(results, tmp_path / "out.json", formats=form, source=str(video))[form]
    labels = segue.read_labels(path, video)
    assert sorted(labels.masks) == [*indices]
    for result in results:
        np.testing.assert_array_equal(labels.mask(result.index), result.mask)
