"""HDR video as SDR: values of closed formulas, and files of 10 bits with tags of colour."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from segue.video import open_source
from segue.video.decoding.hdr import PEAK, WHITE, hlg_to_light, light_to_pq, pq_to_light, to_sdr, tone_curve


@pytest.mark.parametrize(("nits", "signal"), [(0.1, 0.0623), (100, 0.5081), (203, 0.5807), (1000, 0.7518)])
def test_pq_is_that_of_bt_2100(nits: float, signal: float) -> None:
    assert light_to_pq(np.array(nits)) == pytest.approx(signal, abs=1e-3)
    assert pq_to_light(np.array(signal)) == pytest.approx(nits, rel=0.02)


def test_hlg_is_that_of_bt_2100() -> None:
    assert hlg_to_light(np.array([0, 0.5, 0.75, 1])) == pytest.approx([0, 1 / 12, 0.26496, 1], abs=1e-3)


def test_the_tone_curve_is_linear_below_its_knee_and_ends_at_white() -> None:
    light = np.linspace(0, PEAK, 500)
    shown = tone_curve(light)
    assert shown[light < 50] == pytest.approx(light[light < 50], rel=1e-3, abs=1e-3)
    assert shown[-1] == pytest.approx(WHITE, rel=0.01)
    assert (np.diff(shown) > 0).all()


def signal(nits: float, hlg: bool) -> float:
    """The signal of a grey of a brightness on a display of 1000 cd/m²."""
    if not hlg:
        return float(light_to_pq(np.array(nits)))
    levels = np.linspace(0, 1, 100_001)
    return float(levels[np.abs(PEAK * hlg_to_light(levels) ** 1.2 - nits).argmin()])


@pytest.mark.parametrize("hlg", [False, True])
@pytest.mark.parametrize("nits", [5, 20, 60, 203, 1000])
def test_grey_has_the_level_of_the_formula(nits: float, hlg: bool) -> None:
    image = np.full((4, 4, 3), round(65535 * signal(nits, hlg)), np.uint16)
    expected = 255 * (float(tone_curve(np.array(float(nits)))) / WHITE) ** (1 / 2.4)
    assert to_sdr(image, hlg=hlg, kind=np.uint8).astype(float) == pytest.approx(
        np.full((4, 4, 3), expected), abs=1.5
    )


@pytest.mark.parametrize(("transfer", "hlg"), [(16, False), (18, True)])
def test_a_tagged_video_of_10_bits_is_mapped(tmp_path: Path, transfer: int, hlg: bool) -> None:
    path = tmp_path / "hdr.mkv"
    level = round(64 + 876 * signal(60, hlg))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 32, 48, "yuv420p10le"
        stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, 9
        stream.codec_context.colorspace = 9
        stream.codec_context.options = {"qp": "4"}
        for _ in range(2):
            frame = av.VideoFrame(48, 32, "yuv420p10le")
            for plane, value in zip(frame.planes, (level, 512, 512), strict=True):
                plane.update(np.full(plane.buffer_size // 2, value, "<u2").tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    frame = next(iter(open_source(path)))
    expected = 255 * (60 / WHITE) ** (1 / 2.4)
    assert np.abs(frame.image.astype(float) - expected).max() <= 4
    assert np.abs(frame.colours / 257 - frame.image).max() <= 0.51, "the same with more bits"
