"""Exports of more than 8 bits have the colours of their sources with all bits, read by other libraries."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image

import segue
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import open_source
from tests.needs import needs

SIZE = (24, 128)
RAMP = np.linspace(3000, 9000, SIZE[1]).astype(np.uint16)
"""Dark levels of 16 bits, of which 8 bits have 24."""

WHITE = 4
"""Columns at the right that are white, so that levels are not stretched."""

COUNT = 2


def ramp(index: int) -> np.ndarray:
    """Grey levels, (H, W), that are brighter on later frames."""
    levels = np.broadcast_to(RAMP + np.uint16(200 * index), SIZE).copy()
    levels[:, -WHITE:] = 65535
    return levels


def png_folder(folder: Path) -> Path:
    path = folder / "png"
    path.mkdir()
    for index in range(COUNT):
        cv2.imwrite(str(path / f"{index}.png"), np.dstack([ramp(index)] * 3))
    return path


def tiff_folder(folder: Path) -> Path:
    path = folder / "tiff"
    path.mkdir()
    for index in range(COUNT):
        Image.fromarray(ramp(index)).save(path / f"{index}.tif")
    return path


def stack(folder: Path) -> Path:
    path = folder / "stack.tif"
    first, *rest = (Image.fromarray(ramp(index)) for index in range(COUNT))
    first.save(path, save_all=True, append_images=rest)
    return path


def film(folder: Path) -> Path:
    path = folder / "film.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25, width=SIZE[1], height=SIZE[0], pix_fmt="gbrp12le")
        for index in range(COUNT):
            image = np.dstack([ramp(index)] * 3)
            frame = av.VideoFrame.from_ndarray(image, format="rgb48le").reformat(format="gbrp12le")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def results() -> list[Segmentation]:
    mask = np.ones(SIZE, np.uint8)
    return [Segmentation(i, i / 25, mask, (ObjectInfo(1, "all"),)) for i in range(COUNT)]


def row_of(path: Path, form: str, index: int) -> np.ndarray:
    """The green levels, 0 to 1, in the middle of an exported frame."""
    row = SIZE[0] // 2
    if form == "prores":
        with av.open(str(path)) as container:
            frames = [*container.decode(video=0)]
        return frames[index].to_ndarray(format="rgb48le")[row, :, 1] / 65535
    file = sorted(path.glob("*.png" if form == "png16" else "*.exr"))[index]
    if form == "png16":
        return cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[row, :, 1] / 65535
    with needs("OpenEXR").File(str(file), separate_channels=True) as image:
        linear = image.channels()["G"].pixels[row].astype(float)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("made", [png_folder, tiff_folder, stack, film])
@pytest.mark.parametrize("form", ["png16", "exr", "prores"])
def test_saved_results_have_the_colours_of_the_source(
    made: Callable[[Path], Path], form: str, tmp_path: Path
) -> None:
    if form == "exr":
        needs("OpenEXR")
    source = made(tmp_path)
    written = segue.save(results(), tmp_path / "out", formats=form, source=source)[form]
    for index in range(COUNT):
        row, expected = (
            each[: -2 * WHITE] for each in (row_of(written, form, index), ramp(index)[0] / 65535)
        )
        assert np.abs(row - expected).max() < {"prores": 0.006, "exr": 4e-4}.get(form, 3e-4)
        assert len(np.unique(np.round(row * 1023))) > 60, "no bands; 8 bits have 24 levels"


def test_a_tracked_folder_is_cut_out_with_all_bits(tmp_path: Path) -> None:
    """Through a whole run, also where the network gets reduced frames."""
    source = png_folder(tmp_path)
    segue.track(source, masks=np.ones(SIZE, np.uint8)).save(tmp_path / "out", formats="png16")
    cut = cv2.imread(str(tmp_path / "out" / "cutouts16" / "1.png"), cv2.IMREAD_UNCHANGED)
    inside = cut[..., 3] > 0
    assert inside.mean() > 0.5
    assert np.array_equal(cut[inside][:, 1], ramp(1)[inside])


def test_images_of_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    image = np.broadcast_to(np.arange(128, dtype=np.uint8), SIZE).copy()
    Image.fromarray(image).convert("RGB").save(tmp_path / "0.png")
    frame = next(iter(open_source(tmp_path)))
    assert frame.deep is None
    assert frame.colours is frame.image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colours_are_turned_as_the_image(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    levels = np.arange(12 * 20, dtype=np.uint16).reshape(12, 20) * 257
    Image.fromarray(levels).save(tmp_path / "0.tif", exif=exif)
    with Image.open(tmp_path / "0.tif") as image:
        eight = Image.fromarray((np.array(image) // 257).astype(np.uint8))
        eight.getexif()[0x0112] = orientation
    frame = next(iter(open_source(tmp_path)))
    assert np.array_equal(frame.image, frame.colours // 257)
    assert frame.colours.dtype == np.uint16


def test_deep_colours_have_the_size_of_their_frame(tmp_path: Path) -> None:
    frame = next(iter(open_source(png_folder(tmp_path), max_size=64)))
    assert frame.colours.shape == frame.image.shape == (12, 64, 3)
    assert np.abs(frame.colours / 257 - frame.image).max() < 1
    again: Frame = pickle.loads(pickle.dumps(frame))
    assert again == frame
    assert again.colours is again.image
