"""Videos of a project: masks drawn over the images, and objects cut out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2

from segue.sinks import OverlayVideoSink
from segue.sinks.cutouts import cut_out
from segue.sinks.overlay import Encoding, transparent_video
from segue.types import Image, IndexMask
from segue_web.exports.matting import soft_cut_out
from segue_web.exports.snapshot import Snapshot, complete_folder
from segue_web.video import Video


def overlay(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The video with the masks drawn over it."""
    with OverlayVideoSink(target, video.fps, pixel_aspect=video.pixel_aspect) as sink:
        for frame, result in annotations.results(video):
            sink.write(frame, result)
            yield frame.index


def images(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The objects cut out, as RGBA images, one a frame."""
    with complete_folder(target) as folder:
        for frame, result in annotations.results(video):
            cut = cv2.cvtColor(_cut_out(frame.image, result.mask, annotations.soft), cv2.COLOR_RGBA2BGRA)
            (folder / f"{frame.index:05d}.png").write_bytes(cv2.imencode(".png", cut)[1].tobytes())
            yield frame.index


def matte(video: Video, annotations: Snapshot, target: Path, *, encoding: Encoding) -> Iterator[int]:
    """The objects cut out, as a video with transparency."""
    with transparent_video(target, encoding, video.size, video.fps, video.pixel_aspect) as write:
        for frame, result in annotations.results(video):
            write(_cut_out(frame.image, result.mask, annotations.soft), frame.time)
            yield frame.index


def _cut_out(image: Image, mask: IndexMask, soft: bool) -> Image:
    """The pixels of the objects, RGBA, (H, W, 4), uint8; all else is transparent and black."""
    return soft_cut_out(image, mask > 0) if soft else cut_out(image, mask)
