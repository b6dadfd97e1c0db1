"""Calm clips: objects that move slowly over a ground that stands still, with their true masks.

On such films a tracker that trusts its own last mask too much leaves trails: what an object uncovers was
never seen before and looks most like the same place one frame earlier. Real sequences with a still camera and
masks are rare, so these are made: objects of DAVIS sequences that stcn-lite was not trained on, cut out and
brought along a slow way over one picture of another film; and the bundled painted pond, also from other
seeds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from segue.arrays import UInt8Array
from segue.datasets.davis import DavisFolder, Sequence
from segue.types import Frame
from segue.video import open_source

sys.path.append(str(Path(__file__).resolve().parents[1]))
from tools.sample.clip import FRAMES as PAINTED
from tools.sample.clip import SampleClip, SampleFrame

SIZE = (240, 432)
FRAMES = 60
FRAME_RATE = 24.0
NOISE = 1.5
"""Standard deviation of the sensor noise, in grey levels."""

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CutOut:
    """The object of a sequence, carried over a picture that stands still.

    The object keeps its own motion about its centre and goes from ``start`` to ``end``, places in parts of
    the picture (x, y), at ``height`` parts of the picture's height in its first frame. Its sequence plays to
    and fro where it is too short.
    """

    sequence: Sequence
    backdrop: Path
    height: float
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def name(self) -> str:
        """Sequence and backdrop."""
        path = self.backdrop.parent if self.backdrop.name == "input" else self.backdrop
        return f"{self.sequence.name} over {path.stem}"

    def __len__(self) -> int:
        return FRAMES

    def frames(self) -> Iterator[Frame]:
        """The pictures, made one at a time."""
        for i in range(FRAMES):
            shown = self._ground.astype(np.float32)
            picture, alpha = self._moved(i)
            shown += alpha[..., None] * (picture - shown)
            shown += np.random.default_rng(i).normal(0, NOISE, shown.shape)
            yield Frame(i, i / FRAME_RATE, np.clip(shown, 0, 255).astype(np.uint8))

    def mask(self, i: int) -> UInt8Array:
        """Index mask of frame ``i``, (H, W)."""
        return np.asarray(self._moved(i)[1] > 0.5, np.uint8)

    @cached_property
    def _moved(self) -> Callable[[int], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        return lru_cache(maxsize=1)(self._object)

    @cached_property
    def _ground(self) -> Picture:
        first = next(iter(open_source(self.backdrop))).image
        height, width = first.shape[:2]
        scale = max(SIZE[0] / height, SIZE[1] / width)
        rows, columns = round(height * scale), round(width * scale)
        larger = cv2.resize(first, (columns, rows), interpolation=cv2.INTER_AREA)
        top, left = (rows - SIZE[0]) // 2, (columns - SIZE[1]) // 2
        return np.asarray(larger[top : top + SIZE[0], left : left + SIZE[1]], np.uint8)

    @cached_property
    def _scale(self) -> float:
        rows = np.flatnonzero((self.sequence.read_mask(0) == 1).any(1))
        return self.height * SIZE[0] / (np.ptp(rows) + 1)

    def _object(self, i: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Picture (H, W, 3) and share of the object (H, W) in frame ``i``."""
        turn = i % (2 * len(self.sequence) - 2)
        source = min(turn, 2 * len(self.sequence) - 2 - turn)
        mask = (self.sequence.read_mask(source) == 1).astype(np.float32)
        y, x = (np.flatnonzero(mask.any(axis)).mean() for axis in (1, 0))
        along = np.array(self.start) + (np.array(self.end) - self.start) * i / (FRAMES - 1)
        place = along * SIZE[::-1] - self._scale * np.array([x, y])
        matrix = np.array([[self._scale, 0, place[0]], [0, self._scale, place[1]]])
        picture = cv2.warpAffine(self.sequence.read_image(source), matrix, SIZE[::-1], flags=cv2.INTER_AREA)
        alpha = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 0.8), matrix, SIZE[::-1])
        return np.asarray(picture, np.float32), np.asarray(alpha, np.float32)


@dataclass(frozen=True)
class Painted:
    """The bundled sample with another seed: other stones, light and patterns, the same ways."""

    seed: int

    @property
    def name(self) -> str:
        """What it shows."""
        return f"pond {self.seed}"

    @cached_property
    def _render(self) -> Callable[[int], SampleFrame]:
        return lru_cache(maxsize=1)(SampleClip(self.seed).render)

    def __len__(self) -> int:
        return PAINTED

    def frames(self) -> Iterator[Frame]:
        """The pictures, painted one at a time."""
        return (self._render(i).frame for i in range(len(self)))

    def mask(self, i: int) -> UInt8Array:
        """Index mask of frame ``i``, (H, W): what is visible."""
        return self._render(i).mask


def calm_clips(data: Path) -> tuple[CutOut | Painted, ...]:
    """The clips that weights are chosen by; ``data`` is the folder above the DAVIS-style ones.

    Raises:
        DatasetError: a folder or sequence is missing.
    """
    small, large = (DavisFolder(data / "vos" / name) for name in ("davis2016_240p", "davis2016_480p"))
    cdnet, clips = data / "foreground" / "cdnet2014" / "baseline", data / "clips"
    return (
        CutOut(small["goat"], clips / "dog_1280x720.mp4", 0.35, (0.2, 0.7), (0.75, 0.6)),
        CutOut(small["soapbox"], cdnet / "office" / "input", 0.4, (0.75, 0.6), (0.3, 0.65)),
        CutOut(small["breakdance"], clips / "people_640x480.mp4", 0.5, (0.75, 0.55), (0.35, 0.5)),
        CutOut(large["drift-chicane"], clips / "juggle_1280x720.mp4", 0.2, (0.3, 0.8), (0.8, 0.7)),
        CutOut(large["bmx-trees"], cdnet / "highway" / "input", 0.5, (0.7, 0.5), (0.4, 0.55)),
        Painted(7),
        Painted(11),
    )


def other_calm_clips(data: Path) -> tuple[CutOut | Painted, ...]:
    """Clips of the same kinds that nothing is chosen by, with sequences that were left out of the trainings.

    Raises:
        DatasetError: a folder or sequence is missing.
    """
    train = DavisFolder(data / "vos" / "davis2016_360p_train")
    clips = data / "clips"
    return (
        CutOut(train["boat"], clips / "chair_720x480.mp4", 0.35, (0.7, 0.5), (0.35, 0.6)),
        CutOut(train["mallard-water"], clips / "coffee_1280x720.mp4", 0.3, (0.25, 0.75), (0.7, 0.7)),
        Painted(23),
    )
