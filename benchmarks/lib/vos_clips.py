"""The annotated clips that trackers are scored on, read frame by frame.

``root`` is a folder with ``davis2016_240p``, ``davis2016_480p`` and ``composite2obj_240p``, each in the
layout of DAVIS; the kept videos lie in ``pumavos`` and beside ``root``. The development set are the seven
DAVIS ``val`` sequences that the project tunes on; no training ever sees them. Slow clips, for which the
folders beside ``root`` are needed too, are made from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from segue.datasets.davis import DavisFolder, Sequence
from segue.datasets.files import read_index_mask, read_rgb
from segue.errors import DatasetError
from segue.metrics.davis import SemiSupervised
from segue.types import Frame
from segue.utils.arrays import UInt8Array
from segue.video import open_source
from tools.sample.clip import FRAMES as PAINTED
from tools.sample.clip import SampleClip, SampleFrame

SIZE = (240, 432)
FRAMES = 60
FRAME_RATE = 24.0
NOISE = 1.5
"""Standard deviation of the sensor noise, in grey levels."""

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class CutOut:
    """The object of a sequence, carried over an image that stands still.

    The object keeps its own motion about its centre and goes from ``start`` to ``end``, places in parts of
    the image (x, y), at ``height`` parts of the image's height in its first frame. Its sequence plays to
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
        """The images, made one at a time."""
        for i in range(FRAMES):
            shown = self._ground.astype(np.float32)
            image, alpha = self._moved(i)
            shown += alpha[..., None] * (image - shown)
            shown += np.random.default_rng(i).normal(0, NOISE, shown.shape)
            yield Frame(i, i / FRAME_RATE, np.clip(shown, 0, 255).astype(np.uint8))

    def mask(self, i: int) -> UInt8Array:
        """Index mask of frame ``i``, (H, W)."""
        return np.asarray(self._moved(i)[1] > 0.5, np.uint8)

    @cached_property
    def _moved(self) -> Callable[[int], tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        return lru_cache(maxsize=1)(self._object)

    @cached_property
    def _ground(self) -> Image:
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
        """Image (H, W, 3) and share of the object (H, W) in frame ``i``."""
        turn = i % (2 * len(self.sequence) - 2)
        source = min(turn, 2 * len(self.sequence) - 2 - turn)
        mask = (self.sequence.read_mask(source) == 1).astype(np.float32)
        y, x = (np.flatnonzero(mask.any(axis)).mean() for axis in (1, 0))
        along = np.array(self.start) + (np.array(self.end) - self.start) * i / (FRAMES - 1)
        place = along * SIZE[::-1] - self._scale * np.array([x, y])
        matrix = np.array([[self._scale, 0, place[0]], [0, self._scale, place[1]]])
        image = cv2.warpAffine(self.sequence.read_image(source), matrix, SIZE[::-1], flags=cv2.INTER_AREA)
        alpha = cv2.warpAffine(cv2.GaussianBlur(mask, (0, 0), 0.8), matrix, SIZE[::-1])
        return np.asarray(image, np.float32), np.asarray(alpha, np.float32)


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
        """The images, painted one at a time."""
        return (self._render(i).frame for i in range(len(self)))

    def mask(self, i: int) -> UInt8Array:
        """Index mask of frame ``i``, (H, W): what is visible."""
        return self._render(i).mask


def slow_clips(data: Path) -> tuple[CutOut | Painted, ...]:
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


def other_slow_clips(data: Path) -> tuple[CutOut | Painted, ...]:
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


DEV = (
    "bmx-trees",
    "breakdance",
    "drift-chicane",
    "drift-straight",
    "goat",
    "paragliding-launch",
    "soapbox",
)
MOVERS = ("bottle", "chopper", "cyclists", "ocean", "surfers")
"""Videos of the UCSD background subtraction set in which the same things move from first mask to last;
looked at once for a file that is to ship."""
VALUE_MOVING = 255

LEFT_OUT = ("boat", "mallard-water")
"""Sequences of DAVIS ``train`` that the later trainings left out."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One annotated sequence, at its own size or at half of it.

    Halving averages 2x2 pixels of the image and takes every second row and column of the mask, as the
    240p folder was made.
    """

    sequence: Sequence
    halved: bool = False

    @property
    def name(self) -> str:
        """Name of the sequence."""
        return self.sequence.name

    def __len__(self) -> int:
        return len(self.sequence)

    def frames(self) -> Iterator[Frame]:
        """The images, decoded one at a time."""
        for i in range(len(self)):
            image = self.sequence.read_image(i)
            if self.halved:
                height, width = image.shape[:2]
                smaller = cv2.resize(image, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
                image = np.asarray(smaller, np.uint8)
            yield Frame(i, i / FRAME_RATE, image)

    def mask(self, i: int) -> UInt8Array:
        """Ground truth of frame ``i``, index mask (H, W); 255 is void."""
        mask = self.sequence.read_mask(i)
        return mask[::2, ::2] if self.halved else mask


@dataclass(frozen=True)
class MotionVideo:
    """All that moves in a video with masks for background subtraction, as one object.

    ``folder`` holds ``groundtruth/gtNNNNNN.png`` and an image ``input/inNNNNNN`` for each; the video is what
    has a mask. Only 255 is the object.
    """

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @cached_property
    def _pairs(self) -> tuple[tuple[Path, Path], ...]:
        truth = sorted((self.folder / "groundtruth").glob("gt*.png"))
        if not truth:
            raise DatasetError(f"{self.folder}: no groundtruth/gt*.png; give the folder of one video")
        images = {path.stem: path for path in (self.folder / "input").iterdir()}
        return tuple((images[path.stem.replace("gt", "in")], path) for path in truth)

    def __len__(self) -> int:
        return len(self._pairs)

    def frames(self) -> Iterator[Frame]:
        """The images, decoded one at a time."""
        for i, (image, _) in enumerate(self._pairs):
            yield Frame(i, i / FRAME_RATE, read_rgb(image))

    def mask(self, i: int) -> UInt8Array:
        """Ground truth of frame ``i``, (H, W), 1 where something moves."""
        return np.asarray(read_index_mask(self._pairs[i][1]) == VALUE_MOVING, np.uint8)


class Video(Protocol):
    """What can be followed and scored."""

    @property
    def name(self) -> str:
        """Name in tables."""
        ...

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]:
        """The images, one at a time."""
        ...

    def mask(self, i: int) -> UInt8Array:
        """Ground truth of frame ``i``, index mask (H, W); 255 is void."""
        ...


@dataclass(frozen=True, slots=True)
class ClipSet:
    """Clips that are averaged into one score.

    Attributes:
        title: what the set is, for people.
        protocol: how DAVIS scores it.
        clips: the clips.
    """

    title: str
    protocol: SemiSupervised
    clips: tuple[Video, ...]


def open_set(name: str, root: Path) -> ClipSet:
    """One of :data:`SETS`.

    Raises:
        DatasetError: a folder or sequence is missing.
    """
    return SETS[name](root)


def _dev240(root: Path) -> ClipSet:
    small, large = DavisFolder(root / "davis2016_240p"), DavisFolder(root / "davis2016_480p")
    clips = tuple(
        Clip(small[name]) if name in small.names else Clip(large[name], halved=True) for name in DEV
    )
    halved = ", ".join(clip.name for clip in clips if clip.halved)
    title = f"development set at 240p (DAVIS 2016 protocol; halved from 480p: {halved or 'none'})"
    return ClipSet(title, "2016", clips)


def _dev480(root: Path) -> ClipSet:
    folder = DavisFolder(root / "davis2016_480p")
    present = [name for name in DEV if name in folder.names]
    missing = ", ".join(name for name in DEV if name not in present)
    title = f"development set at 480p (DAVIS 2016 protocol; not there at 480p: {missing or 'none'})"
    return ClipSet(title, "2016", tuple(Clip(folder[name]) for name in present))


def _composites(root: Path) -> ClipSet:
    title = "two cut-outs pasted into a video, 240p (DAVIS 2017 protocol, mean over objects)"
    return ClipSet(title, "2017", tuple(Clip(item) for item in DavisFolder(root / "composite2obj_240p")))


def _slow(root: Path) -> ClipSet:
    return ClipSet("slow objects over a still ground (mean over objects)", "2017", slow_clips(root.parent))


def _held(root: Path) -> ClipSet:
    """What nothing was chosen by: two train sequences that were left out, and slow clips of others."""
    folder = DavisFolder(root / "davis2016_360p_train")
    clips = (*(Clip(folder[name]) for name in LEFT_OUT), *other_slow_clips(root.parent))
    return ClipSet("left-out clips, 360p and slow ones (mean over objects)", "2017", clips)


def _kept(root: Path) -> ClipSet:
    """Videos of other makers, grey, small, that no tracker was trained on, and a reflection in a window."""
    movers = tuple(MotionVideo(root.parent / "foreground" / "ucsd_motion" / name) for name in MOVERS)
    chair = Clip(DavisFolder(root / "pumavos")["chair"])
    return ClipSet("kept videos (mean over videos)", "2017", (*movers, chair))


SETS = {
    "dev240": _dev240,
    "dev480": _dev480,
    "composites": _composites,
    "slow": _slow,
    "held": _held,
    "kept": _kept,
}
