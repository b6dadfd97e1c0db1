"""Folders, patterns and single files of still images as a source."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.errors import SourceError
from segue.video import open_source
from tests.video.making import drawn_image, level


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images 1, 2, 10 and 11, so that order by letters and by number differ."""
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in (10, 2, 11, 1):
        Image.fromarray(drawn_image(number)).save(folder / f"f{number}.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image either")
    return folder


def levels(source: object) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in source]


def test_a_folder_is_read_in_natural_order(folder: Path) -> None:
    source = open_source(folder)
    assert levels(source) == [level(n) for n in (1, 2, 10, 11)]
    assert source.names == ("f1", "f2", "f10", "f11")
    assert (source.name, source.frame_count, source.size, source.fps) == ("walk", 4, (48, 64), 25.0)


def test_a_pattern_selects_images(folder: Path) -> None:
    source = open_source(f"{folder}/f1*.png")
    assert source.names == ("f1", "f10", "f11")
    assert source.name == "walk"


def test_every_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    grey = np.full((4, 6), 0x8040, np.uint16)
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(np.full((4, 6), 128, np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.full((4, 6, 4), 128, np.uint8)).save(tmp_path / "2.png")
    Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).quantize().save(tmp_path / "3.png")
    for number, suffix in enumerate(("jpg", "jpeg", "webp", "bmp"), start=4):
        Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).save(tmp_path / f"{number}.{suffix}")
    assert open_source(tmp_path).frame_count == 8
    for frame in open_source(tmp_path):
        assert (frame.image == 128).all(), frame.index
        assert frame.image.shape == (4, 6, 3)


def test_a_photo_is_turned_upright_as_its_camera_says(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    frame = next(iter(open_source(tmp_path)))
    assert np.array_equal(frame.image, np.rot90(image, -1))


def test_an_empty_folder_and_a_pattern_without_match_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no images here"):
        open_source(tmp_path)
    with pytest.raises(SourceError, match="no images here"):
        open_source(f"{tmp_path}/*.png")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_an_unreadable_image_can_be_held(folder: Path) -> None:
    damage(folder / "f10.png")
    messages: list[str] = []
    frames = list(open_source(folder, on_damage="hold", warn=messages.append))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames[2].time == pytest.approx(2 / 25)
    assert np.array_equal(frames[2].image, frames[1].image)
    assert len(messages) == 1


def test_images_of_two_sizes_are_an_error_that_tells_both(folder: Path) -> None:
    Image.fromarray(drawn_image(0, (20, 30))).save(folder / "f3.png")
    with pytest.raises(SourceError, match=r"frame 2 is 30x20, .* 64x48"):
        list(open_source(folder))


def test_a_header_that_claims_an_absurd_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 70000 70000 255\n" + bytes(100))
    with pytest.raises(SourceError, match=r"a\.ppm"):
        list(open_source(tmp_path))


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tiff"])
def test_an_animation_is_a_video(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(drawn_image(i)) for i in range(4)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=200, lossless=True)
    source = open_source(tmp_path / name, fps=5)
    assert (source.frame_count, source.size, source.name) == (4, (48, 64), "a")
    assert levels(source) == [level(i) for i in range(4)]
    assert [frame.time for frame in source] == pytest.approx([0, 0.2, 0.4, 0.6])


def test_an_animation_among_images_is_reported(folder: Path) -> None:
    frames = [Image.fromarray(drawn_image(i)) for i in range(2)]
    frames[0].save(folder / "f3.webp", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(SourceError, match=r"f3\.webp: "):
        levels(open_source(folder))


def test_a_format_that_nobody_asked_for_is_not_opened(tmp_path: Path) -> None:
    """Pillow would hand it to Ghostscript."""
    Image.fromarray(drawn_image(0)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").replace(tmp_path / "a.png")
    with pytest.raises(SourceError, match=r"a\.png: "):
        levels(open_source(tmp_path / "a.png"))
