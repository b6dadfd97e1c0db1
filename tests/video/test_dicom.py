"""DICOM files are videos, and files of other programs are called by what they are."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segue
from segue.errors import MissingExtraError, SourceError
from segue.utils import extras
from segue.video import open_source
from tests.needs import needs


def element(group: int, number: int, kind: str, value: bytes | str) -> bytes:
    """A data element in explicit little endian (PS3.5, 7.1.2)."""
    data = value if isinstance(value, bytes) else value.encode()
    data += (b"\0" if kind in ("UI", "OB", "OW") else b" ") * (len(data) % 2)
    long = kind in ("OB", "OW")
    length = struct.pack("<HI", 0, len(data)) if long else struct.pack("<H", len(data))
    return struct.pack("<HH", group, number) + kind.encode() + length + data


def write_dicom(
    path: Path, frames: np.ndarray, *, photometric: str = "MONOCHROME2", instance: int = 1, time: str = "40"
) -> Path:
    """Frames (T, H, W), uint8 or uint16, that are not compressed."""
    count, height, width = frames.shape
    bits = 8 * frames.itemsize
    meta = element(2, 0x10, "UI", "1.2.840.10008.1.2.1")
    numbers = {2: 1, 0x10: height, 0x11: width, 0x100: bits, 0x101: bits, 0x102: bits - 1, 0x103: 0}
    image = {
        number: element(0x28, number, "US", struct.pack("<H", value)) for number, value in numbers.items()
    }
    image[4] = element(0x28, 4, "CS", photometric)
    image[8] = element(0x28, 8, "IS", str(count))
    path.write_bytes(
        bytes(128)
        + b"DICM"
        + element(2, 0, "UL", struct.pack("<I", len(meta)))
        + meta
        + element(0x18, 0x1063, "DS", time)
        + element(0x20, 0x13, "IS", str(instance))
        + b"".join(image[number] for number in sorted(image))
        + element(0x7FE0, 0x10, "OB" if bits == 8 else "OW", frames.tobytes())
    )
    return path


FRAMES = np.stack([np.full((6, 8), 20 * n, np.uint8) for n in range(1, 5)])


def levels(source: Path) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in open_source(source)]


@pytest.mark.parametrize("name", ["us.dcm", "IM0001"])
def test_a_recording_is_a_video(tmp_path: Path, name: str) -> None:
    needs("pydicom")
    path = write_dicom(tmp_path / name, FRAMES, time="50")
    source = open_source(path)
    assert (source.frame_count, source.size, source.fps) == (4, (6, 8), 20)
    assert levels(path) == [20, 40, 60, 80]
    assert len([*segue.track(path, boxes={1: (1, 1, 5, 4)}, device="cpu")]) == 4


def test_white_may_be_zero_and_values_may_have_16_bits(tmp_path: Path) -> None:
    needs("pydicom")
    assert levels(write_dicom(tmp_path / "a.dcm", FRAMES, photometric="MONOCHROME1")) == [235, 215, 195, 175]
    deep = FRAMES.astype(np.uint16) * 50  # up to 4000: 12 bits
    assert levels(write_dicom(tmp_path / "b.dcm", deep)) == pytest.approx(
        [round(1000 * n * 255 / 4095) for n in range(1, 5)], abs=1
    )
    frames = [*open_source(tmp_path / "b.dcm")]
    assert [int(frame.colours[0, 0, 2]) for frame in frames] == pytest.approx(
        [round(1000 * n * 65535 / 4095) for n in range(1, 5)], abs=1
    )


def test_a_series_is_in_the_order_of_its_instances(tmp_path: Path) -> None:
    needs("pydicom")
    (tmp_path / "series").mkdir()
    for number in range(4):
        write_dicom(tmp_path / f"series/IM{9 - number}", FRAMES[number : number + 1], instance=number + 1)
    assert levels(tmp_path / "series") == [20, 40, 60, 80]
    assert open_source(tmp_path / "series").names == ("IM9", "IM8", "IM7", "IM6")


def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    needs("pydicom")
    path = write_dicom(tmp_path / "a.dcm", FRAMES)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(SourceError, match=r"a\.dcm: a DICOM file that cannot be read"):
        open_source(path)


def test_without_pydicom_the_command_that_installs_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(extras.EXTRAS, "dicom", ("no_such_package",))
    monkeypatch.setitem(__import__("sys").modules, "pydicom", None)
    with pytest.raises(MissingExtraError, match=r"needs no_such_package: pip install .*dicom"):
        open_source(write_dicom(tmp_path / "a.dcm", FRAMES))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x93NUMPY\x01\x00", "a NumPy array, which is no video; give its frames"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (b"ZISRAWFILE", "Zeiss"),
        (b"%PDF-1.7", "a PDF file"),
        (b"\0\0\0\x18ftypheic", "a HEIC image, which is no video; save it as JPEG or PNG"),
    ],
)
def test_a_whole_file_of_another_program_is_not_called_damaged(
    tmp_path: Path, head: bytes, words: str
) -> None:
    (tmp_path / "film.dat").write_bytes(head + bytes(4096))
    with pytest.raises(SourceError, match=rf"film\.dat: .*{words}") as caught:
        open_source(tmp_path / "film.dat")
    assert "cut off" not in str(caught.value)


def test_a_folder_without_images_says_what_is_there(tmp_path: Path) -> None:
    for name in ("a.npy", "b.npy", "c.json"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(
        SourceError, match=r"no images here but 2 \.npy, 1 \.json; segue reads \.bmp, .*\.png"
    ):
        open_source(tmp_path)


def test_an_animation_that_pil_has_open_gives_all_its_frames(tmp_path: Path) -> None:
    pages = [Image.new("RGB", (64, 48), (40 * n, 90, 20)) for n in range(5)]
    pages[0].save(tmp_path / "a.webp", save_all=True, append_images=pages[1:], lossless=True)
    with Image.open(tmp_path / "a.webp") as image:
        assert levels_of(image) == [0, 40, 80, 120, 160]
    assert levels_of(pages[2]) == [80]


def levels_of(image: Image.Image) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in open_source(image)]


def test_masked_pixels_of_a_mask_are_background() -> None:
    frames = np.zeros((2, 48, 64, 3), np.uint8)
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 10:40] = 1
    hidden = np.zeros((48, 64), bool)
    hidden[:, 25:] = True
    first = next(iter(segue.track(frames, np.ma.masked_array(mask, hidden), device="cpu")))
    assert np.array_equal(first.mask > 0, (mask > 0) & ~hidden)
