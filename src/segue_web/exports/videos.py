"""Videos and sequences of images of a project: masks drawn over the images, objects cut out, and mattes."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from segue.sinks import OverlayVideoSink
from segue.sinks.cutouts import cut_out
from segue.sinks.exr import write_exr
from segue.sinks.overlay import Encoding, RgbaImage, transparent_video
from segue.types import Frame
from segue.utils.arrays import Float32Array
from segue_web.exports.layers import Layer, Levels, as_levels, flattened
from segue_web.exports.snapshot import Snapshot, complete_folder
from segue_web.video import Video


def overlay(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The video with the masks drawn over it."""
    with OverlayVideoSink(target, video.fps, pixel_aspect=video.pixel_aspect) as sink:
        for frame, result in annotations.results(video):
            sink.write(frame, result)
            yield frame.index


def images(
    video: Video, annotations: Snapshot, target: Path, *, depth: type[np.uint8 | np.uint16]
) -> Iterator[int]:
    """The objects cut out, as RGBA images, one a frame."""
    with complete_folder(target) as folder:
        for frame in annotations.images(video):
            cut = _cut_out(frame, annotations, depth)[..., [2, 1, 0, 3]]  # as OpenCV wants it
            (folder / f"{video.frame_name(frame.index)}.png").write_bytes(_png(cut))
            yield frame.index


def mattes(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The opacity of the objects, as grey images of 16 bits, one a frame."""
    with complete_folder(target) as folder:
        for frame in annotations.images(video):
            alpha = flattened(_layers(frame, annotations), video.size, premultiplied=True)[..., 3]
            (folder / f"{video.frame_name(frame.index)}.png").write_bytes(_png(as_levels(alpha, np.uint16)))
            yield frame.index


def exr(video: Video, annotations: Snapshot, target: Path) -> Iterator[int]:
    """The objects cut out, together and each as a layer, in linear light, as OpenEXR images, one a frame."""
    names = annotations.file_names()
    rate = Fraction(video.fps).limit_denominator(1001)
    with complete_folder(target) as folder:
        for frame in annotations.images(video):
            channels: dict[str, Float32Array] = {}
            layers = {i: layer.linear() for i, layer in _layers_by_object(frame, annotations).items()}
            for name, visible in (("", [*layers.values()]), *((f"{names[i]}.", [layers[i]]) for i in names)):
                flat = flattened(visible, video.size, premultiplied=annotations.premultiplied)
                channels |= {f"{name}{letter}": flat[..., place] for place, letter in enumerate("RGBA")}
            path = folder / f"{video.frame_name(frame.index)}.exr"
            write_exr(path, channels, pixel_aspect=float(video.pixel_aspect), fps=rate)
            yield frame.index


def cut_outs(video: Video, annotations: Snapshot, target: Path, *, encoding: Encoding) -> Iterator[int]:
    """The objects cut out, as a video with transparency; its time code begins at its first frame's number."""
    shape = video.size, video.fps, video.pixel_aspect
    with transparent_video(target, encoding, *shape, first=annotations.span.start) as write:
        for frame in annotations.images(video):
            write(_cut_out(frame, annotations, encoding.depth), frame.time)
            yield frame.index


def _cut_out(frame: Frame, annotations: Snapshot, depth: type[np.uint8 | np.uint16]) -> RgbaImage:
    """The objects of a frame, RGBA, (H, W, 4); all else is transparent and black."""
    if not annotations.has_edges:  # as it comes of layers, and faster
        cut = cut_out(frame.image, annotations.mask(frame.index))
        return cut if depth is np.uint8 else cut.astype(np.uint16) * np.uint16(257)
    layers = _layers(frame, annotations)
    return as_levels(flattened(layers, frame.size, premultiplied=annotations.premultiplied), depth)


def _layers(frame: Frame, annotations: Snapshot) -> list[Layer]:
    return [*_layers_by_object(frame, annotations).values()]


def _layers_by_object(frame: Frame, annotations: Snapshot) -> dict[int, Layer]:
    """The layers of a frame, from below; objects that it does not show are empty."""
    planes, nothing = annotations.planes(frame.index), np.zeros(frame.size, np.bool_)
    order = [*planes, *(i for i in annotations.names if i not in planes)]
    return {i: Layer.of(frame.image, planes.get(i, nothing), annotations.edge_of(i)) for i in order}


def _png(image: Levels) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
