"""Sizes that files say are compared with that of the video before a pixel is decoded."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from segue.datasets.foreground.labels import read_grey
from segue.datasets.results import open_results
from segue.errors import SegueError
from segue.formats.label_studio import encode_brush
from segue.formats.reading import read_labels
from segue.masks import encode_rle
from segue.masks.files import OtherSizeError

SIZE = (48, 64)
VIDEO: Any = SimpleNamespace(
    size=SIZE, count=2, names=None, name="film", fps=10.0, time=lambda index: index / 10
)
SIDE = 9400


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """A PNG of a few KiB with 88 million pixels."""
    data = io.BytesIO()
    Image.new("L", (SIDE, SIDE), 1).save(data, "PNG", optimize=True)
    assert len(data.getvalue()) < 120 << 10
    return data.getvalue()


@pytest.fixture(scope="module")
def tiff() -> bytes:
    data = io.BytesIO()
    pages = [Image.new("L", (SIDE, SIDE), 1)] * 2
    pages[0].save(data, "TIFF", save_all=True, append_images=pages[1:], compression="tiff_lzw")
    return data.getvalue()


@pytest.fixture(autouse=True)
def _nothing_is_decoded(monkeypatch: pytest.MonkeyPatch, bomb: bytes, tiff: bytes) -> None:
    def refuse(image: Image.Image, *_: object) -> None:
        raise AssertionError(f"{image.size} was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", refuse)


def packed(path: Path, **files: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def png(folder: Path, bomb: bytes, _: bytes) -> Path:
    (folder / "a.png").write_bytes(bomb)
    return folder / "a.png"


def folder_of_masks(folder: Path, bomb: bytes, _: bytes) -> Path:
    for index in range(2):
        (folder / f"{index:05d}.png").write_bytes(bomb)
    return folder


def zipped(folder: Path, bomb: bytes, _: bytes) -> Path:
    return packed(folder / "a.zip", **{f"masks/{index:05d}.png": bomb for index in range(2)})


def of_objects(folder: Path, bomb: bytes, _: bytes) -> Path:
    names = [f"masks/{number:03d}/{index:05d}.png" for number in range(2) for index in range(2)]
    return packed(folder / "a.zip", **dict.fromkeys(names, bomb))


def stack(folder: Path, _: bytes, tiff: bytes) -> Path:
    (folder / "a.tif").write_bytes(tiff)
    return folder / "a.tif"


def records(folder: Path, bomb: bytes, _: bytes) -> Path:
    place = folder / "masks"
    place.mkdir()
    (place / "00000.png").write_bytes(bomb)
    objects = [{"id": 1, "label": None, "score": 1.0}]
    (place / ".segue.jsonl").write_text(
        json.dumps({"file": "00000.png", "index": 0, "time": 0.0, "objects": objects}) + "\n"
    )
    return place


def labelme(folder: Path, bomb: bytes, _: bytes) -> Path:
    mask = {"label": "a", "points": [[0, 0], [9, 9]], "shape_type": "mask"}
    mask["mask"] = base64.b64encode(bomb).decode()
    content = {"imagePath": "00000.jpg", "imageHeight": 48, "imageWidth": 64, "shapes": [mask]}
    (folder / "a.json").write_text(json.dumps(content))
    return folder / "a.json"


@pytest.mark.parametrize(
    "make",
    [png, folder_of_masks, zipped, of_objects, stack, records, labelme],
    ids=lambda make: make.__name__,
)
def test_a_mask_of_another_size_is_not_decoded(
    make: Callable[[Path, bytes, bytes], Path], tmp_path: Path, bomb: bytes, tiff: bytes
) -> None:
    with pytest.raises(SegueError, match=f"{SIDE}x{SIDE}"):
        read_labels(make(tmp_path, bomb, tiff), VIDEO)


def test_results_that_are_scored_are_not_decoded_either(tmp_path: Path, bomb: bytes) -> None:
    results = open_results(packed(tmp_path / "a.zip", **{"film/00000.png": bomb}))
    with pytest.raises(OtherSizeError, match=f"{SIDE}x{SIDE}"):
        results.read("film", "00000", SIZE)
    (tmp_path / "bin000001.png").write_bytes(bomb)
    with pytest.raises(OtherSizeError, match=f"{SIDE}x{SIDE}"):
        read_grey(tmp_path / "bin000001.png", size=SIZE)


HEIGHT, WIDTH = 48 * 100, 64 * 100
"""Of the shape of the video."""


def coco() -> dict[str, Any]:
    counts = f"{HEIGHT * WIDTH - 5}5"
    return {
        "images": [{"id": 1, "file_name": "00000.jpg", "height": HEIGHT, "width": WIDTH}],
        "categories": [{"id": 1, "name": "a"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1,
             "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}}
        ],
    }  # fmt: skip


def tasks() -> list[dict[str, Any]]:
    brush = encode_brush(np.ones((2, 2), np.bool_))
    region = {
        "id": "r", "type": "brushlabels", "original_height": HEIGHT, "original_width": WIDTH,
        "value": {"rle": brush, "brushlabels": ["a"]},
    }  # fmt: skip
    return [{"id": 1, "data": {"image": "00000.jpg"}, "annotations": [{"result": [region]}]}]


@pytest.mark.parametrize("content", [coco(), tasks()], ids=["coco", "label studio"])
def test_an_annotated_image_of_any_size_that_a_file_says_is_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(SegueError, match=f"{WIDTH}x{HEIGHT}"):
        read_labels(tmp_path / "a.json", VIDEO)


def test_so_are_those_of_cvat_and_mots(tmp_path: Path) -> None:
    mask = f"<mask label='a' left='0' top='0' width='{WIDTH}' height='{HEIGHT}' rle='0, {HEIGHT * WIDTH}'/>"
    image = f"<image id='0' name='00000.jpg' width='{WIDTH}' height='{HEIGHT}'>{mask}</image>"
    (tmp_path / "a.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    counts = encode_rle(np.ones(SIZE, np.bool_))["counts"]
    (tmp_path / "a.txt").write_text(f"1 1001 1 {HEIGHT} {WIDTH} {counts}\n")
    for path in (tmp_path / "a.xml", tmp_path / "a.txt"):
        with pytest.raises(SegueError, match=f"{WIDTH}x{HEIGHT}"):
            read_labels(path, VIDEO)
