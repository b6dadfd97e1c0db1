"""OpenEXR images are read back by FFmpeg, whose reader is not ours."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from segue.errors import ArgumentError, MissingExtraError
from segue.formats.exr import write_exr
from tests.needs import needs
from tests.segue_web.limited_files import files_limited_to


def read(path: Path, layer: str = "") -> np.ndarray:
    """RGBA (H, W, 4), float16."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"layer": layer} if layer else {}
        [frame] = container.decode(stream)
    assert frame.format.name == "gbrapf16le", "half floats"
    rows = [np.frombuffer(plane, "<f2").reshape(frame.height, -1) for plane in frame.planes]
    green, blue, red, alpha = (plane[:, : frame.width] for plane in rows)
    return np.dstack([red, green, blue, alpha])


@pytest.mark.parametrize("height", [1, 16, 37])
def test_channels_and_layers_come_back(tmp_path: Path, height: int) -> None:
    needs("OpenEXR")
    random = np.random.default_rng(height)
    planes = {letter: random.random((height, 33)).astype(np.float32) for letter in "RGBA"}
    planes["R"][:] = np.arange(33) / 4  # above 1, and what packs well
    layer = {f"Ball_{'x' * 40}.{letter}": plane[::-1].copy() for letter, plane in planes.items()}
    path = tmp_path / "00012.exr"
    write_exr(path, planes | layer, pixel_aspect=2.0, fps=Fraction(25))
    for name, expected in (("", planes), (f"Ball_{'x' * 40}", layer)):
        image = read(path, name)
        for place, letter in enumerate("RGBA"):
            exact = expected[f"{name}.{letter}" if name else letter]
            assert np.array_equal(image[..., place], exact.astype(np.float16)), (name, letter)


def test_names_and_sizes_are_checked(tmp_path: Path) -> None:
    plane = np.zeros((2, 2), np.float32)
    for channels in ({}, {"": plane}, {"R": plane, "G": plane[:1]}):
        with pytest.raises(ArgumentError):
            write_exr(tmp_path / "0.exr", channels)


def test_without_the_extra_the_line_that_installs_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(MissingExtraError, match=r"OpenEXR: pip install"):
        write_exr(tmp_path / "0.exr", {"R": np.zeros((2, 2), np.float32)})


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    needs("OpenEXR")
    noise = np.random.default_rng(0).random((200, 200)).astype(np.float32)
    with files_limited_to(5000), pytest.raises(OSError, match=r"^[^/]+$"):
        write_exr(tmp_path / "a.exr", {"R": noise})
    with pytest.raises(OSError, match=r"^[^/]+$"):
        write_exr(tmp_path / "none" / "a.exr", {"R": noise})
