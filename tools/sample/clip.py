"""The bundled sample: two koi and a maple leaf in a pond, painted by this folder and nothing else.

The fish swim across each other, bend, and pass under lily pads, which belong to the background; the leaf
drifts and turns on the water above them. The camera pans slowly. All shapes, patterns, light and noise come
from formulas and one seed, so the clip may go wherever segue goes, and its true masks are known.

``python -m tools.sample.clip FOLDER`` writes ``video.mp4`` and ``first.png`` again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

import segue
from segue.masks import write_index_mask
from segue.sinks import OverlayVideoSink
from segue.types import Frame, Segmentation
from tools.sample.noise import Field, mix
from tools.sample.pond import Pond
from tools.sample.sprites import Koi, Layer, Leaf

BUNDLED = Path(segue.__file__).resolve().parent / "assets" / "sample"
"""Folder of the clip inside the package: ``video.mp4`` and ``first.png``."""
FRAMES = 80
FPS = 24
SIZE = (240, 432)
SEED = 7
OBJECTS = 3
SUPERSAMPLING = 2
EXPOSURES = (0.0, 0.4)
"""Moments that one frame averages, in frames: motion blur."""
NOISE = 1.5
"""Standard deviation of the sensor noise, in grey levels."""
SHADOW = 0.5
"""Share of the light that a shadow takes."""


@dataclass(frozen=True, slots=True)
class SampleFrame:
    """One frame of the clip with its truth.

    Attributes:
        frame: the image, (240, 432, 3).
        mask: what is visible, index mask (240, 432), uint8: 1 the red koi, 2 the black one, 3 the leaf.
        whole: the same objects with their hidden parts, (3, 240, 432), bool, in the order of the ids.
    """

    frame: Frame
    mask: npt.NDArray[np.uint8]
    whole: npt.NDArray[np.bool_]


class SampleClip:
    """Renders the frames of the clip; any frame alone, and always the same.

    Another ``seed`` paints other stones, light and patterns; the ways of all that moves stay.
    """

    def __init__(self, seed: int = SEED) -> None:
        self._seed = seed
        rng = np.random.default_rng(seed)
        self._pond = Pond(rng, SIZE, SUPERSAMPLING)
        self._red = Koi(rng, "kohaku", _red_way, length=142, phase=0.1)
        self._black = Koi(rng, "showa", _black_way, length=128, phase=0.6)
        self._leaf = Leaf(rng, _leaf_way, radius=24)

    def __len__(self) -> int:
        return FRAMES

    def __iter__(self) -> Iterator[SampleFrame]:
        return map(self.render, range(FRAMES))

    def render(self, index: int) -> SampleFrame:
        """Render frame ``index``, in 0..79."""
        exposures = [self._expose((index + shift) / FRAMES) for shift in EXPOSURES]
        colours, shares, whole = (np.mean(values, axis=0) for values in zip(*exposures, strict=True))
        noise = np.random.default_rng((self._seed, index)).normal(0, NOISE, colours.shape)
        image = np.clip(colours * 255 + noise, 0, 255).round().astype(np.uint8)
        mask = shares.argmax(axis=0).astype(np.uint8)
        return SampleFrame(Frame(index, index / FPS, image), mask, whole >= 0.5)

    def _expose(self, time: float) -> tuple[npt.NDArray[np.float32], ...]:
        """Image (H, W, 3) in 0..1, visible shares (4, H, W), whole shares (3, H, W) at a moment in 0..1."""
        x, y = _camera(time)
        colours = self._pond.floor(time, x, y)
        shares = np.zeros((OBJECTS + 1, *x.shape), np.float32)
        shares[0] = 1
        near = np.float32(1.12)
        layers: list[tuple[int, Layer]] = [
            (1, self._red.pose(time, x, y)),
            (2, self._black.pose(time, x, y)),
            (0, self._pond.pads(x * near, y * near)),
            (3, self._leaf.pose(time, x, y)),
        ]
        for id, layer in layers:
            colours = mix(colours * _shade(layer)[..., None], layer.colour, layer.alpha)
            shares *= 1 - layer.alpha
            shares[id] += layer.alpha
        whole = np.stack([layer.alpha for id, layer in layers if id > 0])
        return _reduce(colours * _vignette()), _reduce_all(shares), _reduce_all(whole)


def _red_way(time: float) -> npt.NDArray[np.float64]:
    return np.array([172 + 246 * time, 98 + 78 * time - 96 * time**2 + 8 * np.sin(5 * time)])


def _black_way(time: float) -> npt.NDArray[np.float64]:
    return np.array([286 - 212 * time + 20 * time**2, 176 - 60 * time - 62 * time**2])


def _leaf_way(time: float) -> npt.NDArray[np.float64]:
    return np.array([262 - 62 * time + 6 * np.sin(6 * time), 52 + 92 * time])


def _camera(time: float) -> tuple[Field, Field]:
    """Scene coordinates of every painted pixel, two arrays (480, 864)."""
    height, width = SIZE
    y, x = np.mgrid[: height * SUPERSAMPLING, : width * SUPERSAMPLING].astype(np.float32)
    shift_x, shift_y = 26 * time, 5 * np.sin(3 * time)
    return (x + 0.5) / SUPERSAMPLING + np.float32(shift_x), (y + 0.5) / SUPERSAMPLING + np.float32(shift_y)


def _shade(layer: Layer) -> Field:
    """Light left under a layer, (H, W): a soft copy of its outline, away from the light at the upper left."""
    reach = layer.height * SUPERSAMPLING
    shift = np.array([[1, 0, 0.6 * reach], [0, 1, reach]])
    height, width = layer.alpha.shape
    moved = cv2.warpAffine(layer.alpha, shift, (width, height))
    return np.asarray(1 - SHADOW * cv2.GaussianBlur(moved, (0, 0), 0.45 * reach), np.float32)


def _vignette() -> npt.NDArray[np.float32]:
    height, width = (side * SUPERSAMPLING for side in SIZE)
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    return np.asarray(1.08 - 0.11 * (x * x + y * y), np.float32)[..., None]


def _reduce(colours: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    height, width = SIZE
    return np.asarray(cv2.resize(colours, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _reduce_all(fields: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.stack([_reduce(field) for field in fields])


def write_sample(folder: Path) -> None:
    """Write ``video.mp4`` and ``first.png``, the index mask of frame 0, into ``folder``.

    Raises:
        SinkError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clip = SampleClip()
    nothing = np.zeros(SIZE, np.uint8)
    sink = OverlayVideoSink(folder / "video.mp4", FPS, ids=False)
    for item in clip:
        if item.frame.index == 0:
            write_index_mask(folder / "first.png", item.mask)
        sink.write(item.frame, Segmentation(item.frame.index, item.frame.time, nothing))
    sink.close()


if __name__ == "__main__":
    write_sample(Path(sys.argv[1]))
