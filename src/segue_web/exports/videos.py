"""Videos of a project: masks drawn over the images, and objects cut out."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.frame import VideoFrame

from segue.types import Image, IndexMask
from segue.video import OverlayVideoSink
from segue.video.partial import replacing
from segue.video.video_sink import encoding, even_sides
from segue_web.exports.matting import soft_cut_out
from segue_web.exports.snapshot import Snapshot, complete_folder
from segue_web.video import Video

PRORES: dict[str, Any] = {
    "codec": "prores_ks",
    "pixels": "yuva444p10le",
    "options": {"profile": "4444"},
}
VP9: dict[str, Any] = {
    "codec": "libvpx-vp9",
    "pixels": "yuva420p",
    # Quality and speed; alternative reference frames do not go with transparency.
    "options": {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"},
}


def overlay(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """The video with the masks drawn over it."""
    with OverlayVideoSink(target, video.fps) as sink:
        for frame, result in taken.results(video):
            sink.write(frame, result)
            yield frame.index


def images(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """The objects cut out, as RGBA images, one a frame."""
    with complete_folder(target) as folder:
        for frame, result in taken.results(video):
            cut = cv2.cvtColor(_cut_out(frame.image, result.mask, taken.soft), cv2.COLOR_RGBA2BGRA)
            (folder / f"{frame.index:05d}.png").write_bytes(cv2.imencode(".png", cut)[1].tobytes())
            yield frame.index


def matte(
    video: Video, taken: Snapshot, target: Path, *, codec: str, pixels: str, options: dict[str, str]
) -> Iterator[int]:
    """The objects cut out, as a video with transparency."""
    form = target.suffix.removeprefix(".")
    with (
        replacing(target) as path,
        encoding(target),
        av.open(f"file:{path}", "w", format=form) as container,
    ):
        stream: Any = container.add_stream(codec, rate=Fraction(video.fps).limit_denominator(1001))
        stream.height, stream.width = (side + side % 2 for side in video.size)
        stream.pix_fmt, stream.options = pixels, options
        for frame, result in taken.results(video):
            cut = even_sides(_cut_out(frame.image, result.mask, taken.soft), cv2.BORDER_CONSTANT)
            raw = VideoFrame.from_ndarray(cut, format="rgba")
            raw.pts = None
            container.mux(stream.encode(raw.reformat(format=pixels)))
            yield frame.index
        container.mux(stream.encode(None))


def _cut_out(image: Image, mask: IndexMask, soft: bool) -> Image:
    """The pixels of the objects, RGBA, (H, W, 4), uint8; all else is transparent and black."""
    if soft:
        return soft_cut_out(image, mask > 0)
    alpha = (mask > 0).astype(np.uint8)
    return np.dstack([image * alpha[..., None], alpha * 255])
