"""Write OpenEXR images of 16-bit floats with layers; needs the extra ``exr``."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from segue.entries.formats import Format, SinkOptions
from segue.errors import ArgumentError
from segue.formats.folders import VIDEOS, FolderWriter
from segue.formats.frames import FrameObjects, frame_name
from segue.formats.layers import flattened, layers_of
from segue.masks import Edge
from segue.types import Frame, Segmentation
from segue.utils.arrays import Float32Array
from segue.utils.extras import requires_extra
from segue.utils.files import writing
from segue.utils.naming import unique_names

MAX_NAME = 255
"""Bytes of the name of a channel, at most."""


def write_exr(
    path: Path,
    channels: Mapping[str, Float32Array],
    *,
    pixel_aspect: float = 1.0,
    fps: Fraction | None = None,
) -> None:
    """Write an OpenEXR image: one part, scan lines, zlib.

    Args:
        path: the file.
        channels: (H, W), of the same size, by their names: ``R``, ``G``, ``B``, ``A``, ``layer.R`` ...
        pixel_aspect: width of a pixel by its height.
        fps: frames a second.

    Raises:
        ArgumentError: there is no channel, they differ in size, or a name has no or more than 255 bytes.
        OSError: the file cannot be written.
        MissingExtraError: the extra is not installed.
    """
    if len({plane.shape for plane in channels.values()}) != 1:
        raise ArgumentError("channels of an image have one size, and there is at least one")
    if not all(0 < len(name.encode()) <= MAX_NAME and "\0" not in name for name in channels):
        raise ArgumentError(f"names of channels have from 1 to {MAX_NAME} bytes, none of them 0")
    with requires_extra("exr"):
        import OpenEXR
    header: dict[str, Any] = {
        "type": OpenEXR.scanlineimage,
        "compression": OpenEXR.ZIP_COMPRESSION,
        "pixelAspectRatio": pixel_aspect,
    }
    if fps is not None:
        header["framesPerSecond"] = fps.limit_denominator(1001)
    half = {name: np.ascontiguousarray(plane, np.float16) for name, plane in channels.items()}
    with OpenEXR.File(header, half) as image:
        try:
            image.write(str(path))
        except RuntimeError as error:  # the reason is the last sentence, after the name of the file
            raise OSError(str(error).rpartition('". ')[2].rstrip(".")) from error


class ExrWriter(FolderWriter):
    """Writes cut-out objects, together and as layers, in linear light, one OpenEXR image per frame.

    Colours are premultiplied, as OpenEXR has them, unless the options say otherwise.

    Args:
        folder: folder to write; it appears when it is complete.
        run: the options. Objects that are not known beforehand are called ``object_3``.
    """

    def __init__(self, folder: Path, run: SinkOptions) -> None:
        super().__init__(folder, r"[^/]+\.exr", marks=run.labels is None)
        self._run = run
        self._premultiplied = run.premultiplied is None or run.premultiplied
        self._layer_names = {} if run.labels is None else unique_names(run.labels.names)
        self._edge_of = run.edge_of or (lambda _: Edge())
        self._rate = Fraction(run.fps).limit_denominator(1001) if run.fps else None

    def write(self, frame: Frame, segmentation: Segmentation) -> None:
        self.add(FrameObjects.of_result(segmentation, frame, frame.size))

    def add(self, objects: FrameObjects) -> None:
        channels: dict[str, Float32Array] = {}
        names = self._layer_names or {i: f"object_{i}" for i in objects.ids}
        layers = {
            i: one.linear() for i, one in layers_of(objects, sorted(names), self._edge_of, deep=True).items()
        }
        for name, visible in (
            ("", [*layers.values()]),
            *((f"{names[i]}.", [layers[i]]) for i in sorted(names)),
        ):
            flat = flattened(visible, objects.size, premultiplied=self._premultiplied)
            channels |= {f"{name}{letter}": flat[..., place] for place, letter in enumerate("RGBA")}
        path = self._partial / f"{frame_name(self._run.names, objects.index)}.exr"
        with writing(self._folder):
            write_exr(path, channels, pixel_aspect=float(self._run.pixel_aspect), fps=self._rate)


ENTRIES = (
    Format(
        "exr",
        "exr",
        ExrWriter,
        needs_frames=True,
        title="Cut-out, OpenEXR",
        bits=16,
        about="half float, linear, one layer per object",
        group=VIDEOS,
        opacity="with colours",
        premultiplied=True,
    ),
)
