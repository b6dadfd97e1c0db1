"""What names of images and pages of files say: order, series, previews, edited copies."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from segue.errors import SourceError
from segue.video import open_source
from segue.video.sources.images import write_image
from tests.video.making import write_video

HEIGHT, WIDTH = 12, 16


def save(folder: Path, *names: str) -> Path:
    for index, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, np.full((HEIGHT, WIDTH, 3), 10 * index, np.uint8))
    return folder


def levels(source: Path) -> list[int]:
    with open_source(str(source)) as frames:
        return [round(float(frame.image.mean()) / 10) for frame in frames]


@pytest.mark.parametrize(
    "names",
    [
        ("cam_11-00-00 AM", "cam_12-00-00 PM", "cam_1-00-00 PM", "cam_2-30-00 PM"),
        ("Shot 2026-11-09 at 9.59.58 AM", "Shot 2026-11-09 at 12.00 PM", "Shot 2026-11-09 at 1.00\u202fPM"),
        ("12-05-00am", "1-00-00am", "11-59-59am", "12-00-00pm"),
        ("2026-Nov-30", "2026-Dec-01", "2027-Jan-02"),
        ("30 November 2026", "1 December 2026", "12 December 2026"),
        ("30-11-2026 23-59", "01-12-2026 00-00", "02-12-2026 00-01"),
        ("31.12.2025_7", "1.1.2026_3"),
        ("30-11-2026 1-00-00 PM", "01-12-2026 2-00-00 AM", "01-12-2026 1-00-00 PM"),
    ],
)
def test_dates_in_names_decide_the_order_where_the_names_contradict_them(
    names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert levels(save(tmp_path, *(f"{name}.png" for name in names))) == [*range(len(names))]
    assert f"{names[0]}.png is the first frame" in capsys.readouterr().err


@pytest.mark.parametrize(
    "names",
    [
        ("2026-11-30 10-00", "2026-11-30 11-00", "2026-12-01 09-00"),
        ("01-02-2026", "02-01-2026", "03-01-2026"),  # a month or a day
        ("march1", "march2", "may1"),
        ("a 1", "a 2", "b 1 PM"),
    ],
)
def test_names_without_such_dates_are_in_natural_order(
    names: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert levels(save(tmp_path, *(f"{name}.png" for name in names))) == [*range(len(names))]
    assert capsys.readouterr().err == ""


def test_two_series_in_one_folder_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "cams", *(f"cam{number}_{index:03d}.png" for number in (1, 2) for index in range(4)))
    levels(tmp_path / "cams")
    assert "2 series (cam1, cam2), and all are frames; for one" in capsys.readouterr().err
    assert levels(tmp_path / "cams" / "*cam2*.png") == [4, 5, 6, 7]
    names = [f"s_t{t:02d}_z{z}_c{c}.png" for t in range(5) for z in range(2) for c in range(2)]
    levels(save(tmp_path / "stack", *names))
    assert "2 series (z0, z1)" in capsys.readouterr().err
    names = [f"cam1_{hour:02d}-{minute}.png" for hour in range(3) for minute in (0, 30)]
    levels(save(tmp_path / "one", *names))
    assert capsys.readouterr().err == ""


def test_previews_and_edited_copies_beside_their_images_are_no_frames(tmp_path: Path) -> None:
    assert levels(save(tmp_path / "a", "IMG_0001.png", "IMG_0002.png", "IMG_0001_thumb.png")) == [0, 1]
    assert levels(save(tmp_path / "b", "IMG_0001.png", "IMG_0002.png", "IMG_E0002.png")) == [0, 1]
    assert levels(save(tmp_path / "c", "IMG_E0001.png", "IMG_E0002.png")) == [0, 1]


def test_videos_beside_images_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, "IMG_0001.png", "IMG_0002.png")
    write_video(tmp_path / "VID_0003.mp4", [np.zeros((48, 64, 3), np.uint8)] * 3)
    assert levels(tmp_path) == [0, 1]
    assert "1 video left out (VID_0003.mp4)" in capsys.readouterr().err


def test_live_photos_say_that_their_images_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "IMG_0001.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    (tmp_path / "IMG_0001.MOV").write_bytes(b"")
    with pytest.raises(SourceError, match=r"1 \.heic are not read, convert them to JPEG"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("name", ["shot.####.png", "shot.$F4.png", "shot.%04d.png"])
def test_places_for_numbers_of_other_programs_lead_to_a_pattern(tmp_path: Path, name: str) -> None:
    save(tmp_path, "shot.0001.png")
    with pytest.raises(SourceError, match=r"for numbered images give the pattern '.*shot\.\*\.png'"):
        open_source(str(tmp_path / name))


def tiff(path: Path, pages: list[tuple[npt.NDArray[np.uint8], bool]]) -> Path:
    """A TIFF file of grey pages, each with whether it says that it is a reduced copy."""
    data, link = bytearray(b"II*\0\0\0\0\0"), 4
    for image, is_reduced in pages:
        (height, width), start = image.shape, len(data)
        data += image.tobytes() + b"\0" * (image.size % 2)
        tags = [(254, is_reduced), (256, width), (257, height), (258, 8), (259, 1), (262, 1), (273, start)]
        tags += [(277, 1), (278, height), (279, image.size)]
        data[link : link + 4] = struct.pack("<I", len(data))
        data += struct.pack("<H", len(tags)) + b"".join(struct.pack("<HHII", tag, 4, 1, v) for tag, v in tags)
        link = len(data)
        data += b"\0\0\0\0"
    path.write_bytes(bytes(data))
    return path


@pytest.mark.parametrize("form", ["pyramid", "preview first"])
def test_reduced_pages_of_a_stack_are_no_frames(tmp_path: Path, form: str) -> None:
    whole = [np.full((HEIGHT, WIDTH), 10 * index, np.uint8) for index in range(4)]
    pages = [(whole[0][::2, ::2].copy(), True), *((page, False) for page in whole)]
    if form == "pyramid":
        pages = [each for page in whole for each in ((page, False), (page[::2, ::2].copy(), True))]
    path = tiff(tmp_path / "a.tif", pages)
    assert levels(path) == [0, 1, 2, 3]
    with open_source(str(path)) as frames:
        assert round(float(frames.frame(2).image.mean())) == 20
