"""Videos of a project: masks drawn over the images, and objects cut out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from segue.types import Image, IndexMask
from segue.video import OverlayVideoSink
from segue.video.video_sink import Encoding, transparent_video
from segue_web.exports.matting import soft_cut_out
from segue_web.exports.snapshot import Snapshot, complete_folder
from segue_web.video import Video

PRORES = Encoding("prores_ks", "yuva444p10le", {"profile": "4444"})
VP9 = Encoding(
    "libvpx-vp9",
    "yuva420p",
    # Quality and speed; alternative reference frames do not go with transparency.
    {"crf": "24", "b": "0", "deadline": "realtime", "cpu-used": "6", "auto-alt-ref": "0"},
)


def overlay(video: Video, taken: Snapshot, target: Path) -> Iterator[int]:
    """The video with the masks drawn over it."""
    with OverlayVideoSink(target, video.fps, pixel_aspect=video.pixel_aspect) as sink:
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


def matte(video: Video, taken: Snapshot, target: Path, *, encoding: Encoding) -> Iterator[int]:
    """The objects cut out, as a video with transparency."""
    with transparent_video(target, encoding, video.size, video.fps, video.pixel_aspect) as write:
        for frame, result in taken.results(video):
            write(_cut_out(frame.image, result.mask, taken.soft), frame.time)
            yield frame.index


def _cut_out(image: Image, mask: IndexMask, soft: bool) -> Image:
    """The pixels of the objects, RGBA, (H, W, 4), uint8; all else is transparent and black."""
    if soft:
        return soft_cut_out(image, mask > 0)
    alpha = (mask > 0).astype(np.uint8)
    return np.dstack([image * alpha[..., None], alpha * 255])
