"""Videos that the tests of the page are run on."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

SAMPLE = Path(__file__).resolve().parents[2] / "src" / "segue" / "assets" / "sample"


def write_video(
    path: Path,
    frames: npt.NDArray[np.uint8],
    *,
    ticks: list[int] | None = None,
    gap: int = 12,
    form: str = "mp4",
) -> Path:
    """An H.264 video with B-frames of (T, H, W, 3); ``ticks`` are time stamps in thousandths of a second."""
    container = av.open(str(path), "w", format=form)
    stream = container.add_stream("libx264", rate=25)
    stream.height, stream.width, stream.pix_fmt = frames.shape[1], frames.shape[2], "yuv420p"
    stream.codec_context.time_base = Fraction(1, 1000)
    stream.options = {"g": str(gap), "bf": "2", "crf": "10", "preset": "veryfast"}
    for index, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts, frame.time_base = (40 * index if ticks is None else ticks[index]), Fraction(1, 1000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
    container.close()
    return path


def numbered(count: int, size: tuple[int, int] = (48, 64)) -> npt.NDArray[np.uint8]:
    """Frames that tell their number by where a bright bar stands."""
    frames = np.full((count, *size, 3), 60, np.uint8)
    for index in range(count):
        frames[index, :, (index * 3) % size[1] : (index * 3) % size[1] + 3] = 230
        frames[index, : 2 + index // 21 * 8, :8] = 150
    return frames


def cut_of_sample(path: Path, count: int) -> Path:
    """The first ``count`` frames of the bundled sample, copied without encoding them again.

    ``count`` must be 1 more than a multiple of 4: other cuts lose frames that those before them refer to.
    """
    assert count % 4 == 1
    source, target = av.open(str(SAMPLE / "video.mp4")), av.open(str(path), "w", format="mp4")
    stream = source.streams.video[0]
    copy = target.add_stream_from_template(stream)
    end = count * Fraction(1) / stream.average_rate
    for packet in source.demux(stream):
        if packet.pts is not None and packet.pts * packet.time_base < end:
            packet.stream = copy
            target.mux(packet)
    target.close()
    return path
