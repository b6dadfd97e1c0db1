"""Results show themselves: their image, what is drawn over it, a slider, and a short line."""

from __future__ import annotations

import json
import pickle
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import segue
from segue.errors import ArgumentError, SegueError, SinkError
from segue.formats.reading import read_labels
from segue.models.stcn import STCNLite
from segue.types import ObjectInfo, Segmentation
from segue.video.sources.images import read_image
from segue_web.video import Video
from tests.clips import clip
from tests.lite import lively_lite
from tests.video.making import write_video

FRAMES, MASKS = clip(5, 6, 48, 64, 2)
IMAGES = list(FRAMES)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


def tracked(source: object, lite: STCNLite, **options: object) -> segue.api.Results[object]:
    return segue.track(source, MASKS[0], model=lite, device="cpu", **options)  # type: ignore[arg-type,return-value,call-overload]


def test_results_of_a_file_read_their_image_again(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    expected = [frame.image for frame in segue.open_source(path)]
    results = list(tracked(path, lite))
    for result, image in zip(results[::-1], expected[::-1], strict=True):
        assert np.array_equal(result.image, image)
    small = list(tracked(segue.open_source(path, max_size=32), lite, fit=True))
    assert small[2].image.shape == (24, 32, 3)


def test_results_of_an_iterator_keep_their_image_where_that_is_asked_for(lite: STCNLite) -> None:
    with pytest.raises(SegueError, match="keep_images"):
        next(tracked(iter(IMAGES), lite)).image  # noqa: B018  a property that raises
    for result, image in zip(tracked(iter(IMAGES), lite, keep_images=True), IMAGES, strict=True):
        assert np.array_equal(pickle.loads(pickle.dumps(result)).image, image)


def test_a_pickled_result_does_not_carry_the_video(lite: STCNLite) -> None:
    result = next(tracked(IMAGES, lite))
    again = pickle.loads(pickle.dumps(result))
    assert again == result
    with pytest.raises(SegueError):
        again.image  # noqa: B018


def test_plot_draws_masks_boxes_and_names_and_leaves_the_rest() -> None:
    mask = np.zeros((240, 320), np.uint8)
    mask[80:160, 40] = mask[159, 40:120] = 1  # an L, whose box has a corner without mask
    result = Segmentation(0, 0.0, mask, (ObjectInfo(1, "dog", 0.9, (40, 80, 120, 160), 159),))
    image = np.full((240, 320, 3), 90, np.uint8)
    with_box, without = (result.plot(image, boxes=boxes, alpha=0) for boxes in (True, False))
    assert with_box.shape == image.shape
    assert not np.array_equal(without[159, 119], image[159, 119]), "the outline"
    assert not np.array_equal(with_box[80, 119], image[80, 119])
    assert np.array_equal(without[80, 119], image[80, 119])
    assert np.array_equal(with_box[:60], image[:60])
    with pytest.raises(ArgumentError):
        result.plot(image[:30])


def test_a_notebook_gets_a_slider_over_all_results(lite: STCNLite) -> None:
    slides = tracked(IMAGES, lite).show()
    page = slides._repr_html_()
    assert len(slides) == page.count("data:image/jpeg") == len(IMAGES)
    assert re.findall(r'max="(\d+)"', page) == [str(len(IMAGES) - 1)]
    few = segue.track(IMAGES * 4, MASKS[0], model=lite, device="cpu").show(most=5)
    shown = re.findall(r'title="frame (\d+)', few._repr_html_())
    assert shown == ["0", "8", "16"]


def test_results_say_what_they_are_in_one_line(lite: STCNLite) -> None:
    results = tracked(IMAGES, lite)
    assert "6 frames" in repr(results)
    result = next(results)
    assert len(repr(result)) < 120
    assert "64x48" in repr(result)
    many = Segmentation(0, 0.0, MASKS[0], tuple(ObjectInfo(i) for i in range(1, 100)))
    assert len(repr(many)) < 160
    assert len(repr(segue.Frame(0, 0.0, IMAGES[0]))) < 80


def test_yolo_is_read_back(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    results = list(segue.track(path, MASKS[0], model=lite, device="cpu"))
    folder = segue.save(results, tmp_path / "out", formats="yolo", source=path)["yolo"]
    assert read_image(folder / "images" / "train" / "00003.jpg").shape == FRAMES[3].shape
    listed = yaml.safe_load((folder / "data.yaml").read_text())
    assert listed == {"train": "images/train", "val": "images/train", "names": {0: "object"}}
    labels = read_labels(folder, Video(path))
    for number, result in enumerate(results):
        found = [mask.sum() for mask in labels.planes(number).values()]
        wanted = [item.area for item in result.objects if item.area]
        assert len(found) == len(wanted)
    with pytest.raises(SinkError):
        segue.save(results, tmp_path / "out", formats="yolo", source=path)
    segue.save(results, tmp_path / "out", formats="yolo", source=path, overwrite=True)
    (tmp_path / "own" / "yolo").mkdir(parents=True)
    (tmp_path / "own" / "yolo" / "thesis.txt").write_text("mine")
    with pytest.raises(SinkError):
        segue.save(results, tmp_path / "own", formats="yolo", source=path, overwrite=True)
    assert (tmp_path / "own" / "yolo" / "thesis.txt").read_text() == "mine"


def test_an_archive_holds_what_a_folder_would(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)

    def saved(name: str, **options: object) -> dict[str, Path]:
        results = segue.track(path, MASKS[0], model=lite, device="cpu")
        return results.save(tmp_path / name, formats=["png", "coco"], **options)  # type: ignore[arg-type]

    saved("out")
    assert saved("out.zip") == {"png": tmp_path / "out.zip", "coco": tmp_path / "out.zip"}
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = {name for name in archive.namelist() if not name.rpartition("/")[2].startswith(".")}
        assert names == {
            *(f"out/masks/{i:05d}.png" for i in range(len(IMAGES))),
            "out/coco.json",
            "out/job.json",
        }
        for name in names - {"out/job.json"}:
            assert archive.read(name) == (tmp_path / name).read_bytes()
    assert {entry.name for entry in tmp_path.iterdir()} == {"v.mp4", "out", "out.zip"}
    with pytest.raises(SinkError):
        saved("out.zip")
    with pytest.raises(ArgumentError):
        saved("new.zip", resume=True)
    results = list(segue.track(path, MASKS[0], model=lite, device="cpu"))
    segue.save(results, tmp_path / "out.zip", overwrite=True)
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert "out/masks/00005.png" in archive.namelist()


def test_coco_of_a_part_of_a_video_names_its_images_and_is_read_back(lite: STCNLite, tmp_path: Path) -> None:
    path = write_video(tmp_path / "v.mp4", IMAGES)
    results = list(segue.track(segue.open_source(path, stride=2), MASKS[0], model=lite, device="cpu"))
    file = segue.save(results, tmp_path / "a.json", formats="coco", source=segue.open_source(path))["coco"]
    images = json.loads(file.read_text())["images"]
    assert [image["file_name"] for image in images] == [f"{result.index:05d}.jpg" for result in results]
    labels = read_labels(file, Video(path))
    for result in results:
        for number, mask in labels.planes(result.index).items():
            assert np.array_equal(mask, result.mask == number)
