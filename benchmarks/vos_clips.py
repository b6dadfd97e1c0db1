"""The annotated clips that trackers are scored on, read frame by frame.

``root`` is a folder with ``davis2016_240p``, ``davis2016_480p`` and ``composite2obj_240p``, each in the
layout of DAVIS; the kept films lie in ``pumavos`` and beside ``root``. The development set are the seven
DAVIS ``val`` sequences that the project tunes on; no training ever sees them. Calm clips, for which the
folders beside ``root`` are needed too, are made from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from calm_clips import FRAME_RATE, calm_clips, other_calm_clips
from segue.arrays import UInt8Array
from segue.datasets.davis import DavisFolder, Sequence
from segue.datasets.files import read_index_mask, read_rgb
from segue.errors import DatasetError
from segue.metrics.davis import SemiSupervised
from segue.types import Frame

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
"""Films of the UCSD background subtraction set in which the same things move from the first mask to the last;
looked at once for a file that is to ship."""
VALUE_MOVING = 255

LEFT_OUT = ("boat", "mallard-water")
"""Sequences of DAVIS ``train`` that the later trainings left out."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One annotated sequence, at its own size or at half of it.

    Halving averages 2x2 pixels of the picture and takes every second row and column of the mask, as the
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
        """The pictures, decoded one at a time."""
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
class MotionFilm:
    """All that moves in a film with masks for background subtraction, as one object.

    ``folder`` holds ``groundtruth/gtNNNNNN.png`` and a picture ``input/inNNNNNN`` for each; the film is what
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
            raise DatasetError(f"{self.folder}: no groundtruth/gt*.png; give the folder of one film")
        pictures = {path.stem: path for path in (self.folder / "input").iterdir()}
        return tuple((pictures[path.stem.replace("gt", "in")], path) for path in truth)

    def __len__(self) -> int:
        return len(self._pairs)

    def frames(self) -> Iterator[Frame]:
        """The pictures, decoded one at a time."""
        for i, (picture, _) in enumerate(self._pairs):
            yield Frame(i, i / FRAME_RATE, read_rgb(picture))

    def mask(self, i: int) -> UInt8Array:
        """Ground truth of frame ``i``, (H, W), 1 where something moves."""
        return np.asarray(read_index_mask(self._pairs[i][1]) == VALUE_MOVING, np.uint8)


class Film(Protocol):
    """What can be followed and scored."""

    @property
    def name(self) -> str:
        """Name in tables."""
        ...

    def __len__(self) -> int: ...

    def frames(self) -> Iterator[Frame]:
        """The pictures, one at a time."""
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
    clips: tuple[Film, ...]


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
    title = "composites of two objects at 240p (DAVIS 2017 protocol, mean over objects)"
    return ClipSet(title, "2017", tuple(Clip(item) for item in DavisFolder(root / "composite2obj_240p")))


def _calm(root: Path) -> ClipSet:
    return ClipSet("slow objects over a still ground (mean over objects)", "2017", calm_clips(root.parent))


def _held(root: Path) -> ClipSet:
    """What nothing was chosen by: two train sequences that were left out, and calm clips of others."""
    folder = DavisFolder(root / "davis2016_360p_train")
    clips = (*(Clip(folder[name]) for name in LEFT_OUT), *other_calm_clips(root.parent))
    return ClipSet("left-out clips, 360p and calm ones (mean over objects)", "2017", clips)


def _kept(root: Path) -> ClipSet:
    """Films of other makers, grey and small, that no tracker was trained on, and a reflection in a window."""
    movers = tuple(MotionFilm(root.parent / "foreground" / "ucsd_motion" / name) for name in MOVERS)
    chair = Clip(DavisFolder(root / "pumavos")["chair"])
    return ClipSet("kept films (mean over films)", "2017", (*movers, chair))


SETS = {
    "dev240": _dev240,
    "dev480": _dev480,
    "composites": _composites,
    "calm": _calm,
    "held": _held,
    "kept": _kept,
}
