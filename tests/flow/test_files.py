"""Flow that another program wrote, and which files of it are refused."""

from __future__ import annotations

import struct
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from segue.errors import FlowError
from segue.flow import FlowFiles, read_flow, read_flow_image
from tests.flow.files import save_flo, save_kitti

HEIGHT, WIDTH = 6, 8


def motion(right: float, down: float) -> npt.NDArray[np.float64]:
    return np.broadcast_to(np.array([right, down]), (HEIGHT, WIDTH, 2)).copy()


def test_both_formats_are_read_with_what_they_do_not_know_at_rest(tmp_path: Path) -> None:
    flow = np.random.default_rng(0).integers(-640, 640, (HEIGHT, WIDTH, 2)) / 64
    save_flo(tmp_path / "a.flo", flow)
    save_kitti(tmp_path / "a.png", flow)
    for name in ("a.flo", "a.png"):
        found = read_flow(tmp_path / name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, flow.astype(np.float32))
    known = np.ones((HEIGHT, WIDTH), np.bool_)
    known[2, 3] = known[4, 5] = False
    flow[2, 3], flow[4, 5] = (1.7e9, 1.7e9), (np.nan, 1)
    save_flo(tmp_path / "b.flo", flow)
    save_kitti(tmp_path / "b.png", np.where(known[..., None], flow, 7), known)
    for name in ("b.flo", "b.png"):
        found = read_flow(tmp_path / name)
        assert not found[~known].any()
        np.testing.assert_array_equal(found[known], flow[known].astype(np.float32))


def test_flow_images_are_taken_as_they_are(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 200, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), image[..., ::-1])
    np.testing.assert_array_equal(FlowFiles(tmp_path, (1, 3, 5), 2)(1), image)
    np.testing.assert_array_equal(FlowFiles(tmp_path, (1,), 2)(0), image[..., :1])


def test_each_distance_has_its_folder_and_the_first_frames_are_at_rest(tmp_path: Path) -> None:
    for gap in (1, 3):
        for index in range(gap, 10):
            save_flo(tmp_path / str(gap) / f"f{index}.flo", motion((index + gap) * WIDTH / 256, 0))
    files = FlowFiles(tmp_path, (1, 3), 10)
    shown = [files(index)[0, 0].tolist() for index in (0, 2, 9)]
    grey = [round(255 * length / 20) for length in (3, 12, 10)]
    assert shown == [[0, 0], [0, grey[0]], grey[1:]]


def test_flow_files_that_do_not_fit_the_video_are_reported_beforehand(tmp_path: Path) -> None:
    with pytest.raises(FlowError):
        FlowFiles(tmp_path / "none", (1,))
    with pytest.raises(FlowError):
        FlowFiles(tmp_path, (1,))
    for index in range(4):
        save_flo(tmp_path / f"{index}.flo", motion(1, 1))
    with pytest.raises(FlowError):
        FlowFiles(tmp_path, (1,), 6)
    files = FlowFiles(tmp_path, (1,))
    with pytest.raises(FlowError, match="frame 4"):
        files(4)
    with pytest.raises(FlowError):
        FlowFiles(tmp_path, (1, 3, 5), 4)(0)
    for gap in (1, 3, 5):
        save_flo(tmp_path / str(gap) / "0.flo", motion(1, 1) if gap < 5 else np.ones((2, 2, 2)))
    with pytest.raises(FlowError):
        FlowFiles(tmp_path, (1, 3, 5), 1)(0)
    (tmp_path / "3/0.flo").unlink()
    cv2.imwrite(str(tmp_path / "3/0.png"), np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    with pytest.raises(FlowError):
        FlowFiles(tmp_path, (1, 3, 5), 1)(0)


def header(width: int, height: int) -> bytes:
    return struct.pack("<fii", 202021.25, width, height)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.flo", b"PIEH", "no .flo file of Middlebury"),
        ("a.flo", b"\0" * 40, "no .flo file of Middlebury"),
        ("a.flo", header(2**31 - 1, 2**31 - 1), "is refused"),
        ("a.flo", header(-4, 4) + b"\0" * 128, "is refused"),
        ("a.flo", header(4, 4) + b"\0" * 100, "112 bytes, which is not flow of 4x4"),
        ("a.png", b"\x89PNG", "no PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBB", 2**31, 2**31, 16, 2), "is refused"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBB", 4, 4, 16, 2), "damaged PNG"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBB", 4, 4, 8, 0), "has three channels"),
    ],
)
def test_headers_are_not_trusted(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FlowError, match=message):
        read_flow_image(tmp_path / name)


def test_a_colour_wheel_tells_no_lengths(tmp_path: Path) -> None:
    wheel = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    wheel[0] = (255, 120, 0)
    cv2.imwrite(str(tmp_path / "a.png"), wheel)
    with pytest.raises(FlowError):
        read_flow_image(tmp_path / "a.png")
    with pytest.raises(FlowError):
        read_flow(tmp_path / "a.png")
