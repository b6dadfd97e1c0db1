"""Videos with known objects, ids and classes, for scores of instances over time.

Composites: cut-outs of labelled stills move through a video of DAVIS, whose own object counts too. Two people
cross, one passes behind another, one leaves and comes back, several things move at once. Their paths follow
from the name and the number of frames; nothing is random from run to run.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from segue.arrays import UInt8Array
from segue.datasets.davis import DavisFolder, ImageMaskFolder
from segue.datasets.ytvis import Video, YTVISDataset
from segue.models.detection.classes import COCO_ORDER
from segue.types import Frame, Image
from segue_train.cut_outs import MARGIN, CutOut, cut_outs_of_stills, place
from segue_train.footage import Footage
from segue_train.prompt_samples import left_out

FRAME_RATE = 24.0

DAVIS_CLASSES = {
    "bear": "bear",
    "breakdance": "person",
    "bus": "bus",
    "car-turn": "car",
    "breakdance-flare": "person",
    "dance-jump": "person",
    "drift-turn": "car",
    "elephant": "elephant",
    "flamingo": "bird",
    "hike": "person",
    "lucia": "person",
    "mallard-fly": "bird",
    "train": "train",
}
"""Sequences of DAVIS 2016 whose object is one object of one of COCO's classes."""


@dataclass(frozen=True)
class TrueClip:
    """A video with everything that is to be found in it.

    Attributes:
        name: for people.
        pairs: reads its images and index masks, in order.
        classes: COCO's name of each id.
    """

    name: str
    pairs: Callable[[], Iterator[tuple[Image, UInt8Array]]]
    classes: Mapping[int, str]

    def frames(self) -> Iterator[tuple[Frame, UInt8Array]]:
        """Frames and index masks (H, W), 0 background."""
        for t, (image, mask) in enumerate(self.pairs()):
            yield Frame(t, t / FRAME_RATE, image), mask


@dataclass(frozen=True)
class Walk:
    """How one cut-out goes through a composite.

    Attributes:
        cast: class of the cut-out, and which of that class.
        height: of the object, as a share of the height of the image.
        foot: height of its foot in the image, 0 top, 1 bottom; who stands lower stands in front.
        stops: places of its middle at equal distances of time, as shares of the width; None is out of sight.
    """

    cast: tuple[str, int]
    height: float
    foot: float
    stops: tuple[float | None, ...]

    def at(self, share: float) -> float | None:
        """Where it is at a time in 0..1."""
        position = share * (len(self.stops) - 1)
        before = min(int(position), len(self.stops) - 2)
        first, second = self.stops[before], self.stops[before + 1]
        if first is None or second is None:
            return None
        return first + (second - first) * (position - before)


def _person(number: int, foot: float, *stops: float | None, height: float = 0.55) -> Walk:
    return Walk(("person", number), height, foot, stops)


COMPOSITES: dict[str, tuple[str, tuple[Walk, ...]]] = {
    "cross": ("bear", (_person(0, 0.9, 0.1, 0.9), _person(1, 0.93, 0.9, 0.1))),
    "cross twice": ("mallard-fly", (_person(2, 0.9, 0.2, 0.8, 0.2), _person(3, 0.95, 0.8, 0.2, 0.8))),
    "hide": ("train", (_person(4, 0.88, 0.15, 0.5, 0.5, 0.85), _person(5, 0.95, 0.5, 0.5, height=0.65))),
    "leave": ("elephant", (_person(6, 0.95, 0.7, 1.2, None, 1.2, 0.6), _person(7, 0.9, 0.2, 0.25))),
    "many": (
        "car-turn",
        (
            _person(8, 0.95, 0.1, 0.5, 0.3),
            Walk(("dog", 0), 0.3, 0.97, (0.9, 0.2)),
            Walk(("cat", 0), 0.3, 0.8, (0.3, 0.7)),
            _person(9, 0.85, 0.6, 0.9),
        ),
    ),
}
"""Videos and who walks through them."""


def composites(data: Path, frames: int) -> list[TrueClip]:
    """All composites, each of ``frames`` frames at 240p; ``data`` holds ``vos`` and ``static``."""
    videos = DavisFolder(data / "vos" / "davis2016_240p")
    cast = _cast(data / "static")
    clips = []
    for name, (video, walks) in COMPOSITES.items():
        actors = [(cast[walk.cast[0]][walk.cast[1] % len(cast[walk.cast[0]])], walk) for walk in walks]
        classes = {i: walk.cast[0] for i, walk in enumerate(walks, start=1)}
        read = partial(_composed, Footage(video, videos[video], (0,)), actors, frames)
        clips.append(TrueClip(f"{name} ({video})", read, {**classes, len(walks) + 1: DAVIS_CLASSES[video]}))
    return clips


def davis(data: Path, frames: int) -> list[TrueClip]:
    """The sequences of ``DAVIS_CLASSES`` at 240p, at most ``frames`` frames of each."""
    folder = DavisFolder(data / "vos" / "davis2016_240p")

    def read(name: str) -> Iterator[tuple[Image, UInt8Array]]:
        for t in range(min(frames, len(folder[name]))):
            yield folder[name].read_image(t), (folder[name].read_mask(t) > 0).astype(np.uint8)

    return [TrueClip(name, partial(read, name), {1: label}) for name, label in DAVIS_CLASSES.items()]


def stills(data: Path) -> list[TrueClip]:
    """Stills with classes that segue-prompt was not trained on, each a video of one frame."""
    folder = data / "static"
    names = json.loads((folder / "coco_instance_classes.json").read_text())
    clips = []
    for still in _stills(folder):
        if not left_out(still.name):
            continue

        ids = np.unique(still.read(0)[1])
        labels = names.get(still.name)
        classes = {int(i): COCO_ORDER[labels[i - 1]] if labels else "person" for i in ids if i}
        clips.append(TrueClip(still.name, partial(_still, still), classes))
    return clips


def annotated(file: Path, frames: int) -> list[TrueClip]:
    """Videos of a file in the layout of YouTube-VIS, such as rendered rooms, with names of COCO."""
    dataset = YTVISDataset.open(file)

    def read(video: Video) -> Iterator[tuple[Image, UInt8Array]]:
        for t in range(min(frames, len(video))):
            mask = np.zeros(video.size, np.uint8)
            for number, item in enumerate(dataset.annotations(video), start=1):
                mask[item.masks.decode(t)] = number
            yield dataset.read_image(video, t), mask

    return [
        TrueClip(
            f"video {video.id}",
            partial(read, video),
            {
                number: dataset.categories[item.category].lower().replace("_", " ")
                for number, item in enumerate(dataset.annotations(video), start=1)
            },
        )
        for video in dataset
    ]


def _still(still: Footage) -> Iterator[tuple[Image, UInt8Array]]:
    yield still.read(0)


def _stills(folder: Path) -> list[Footage]:
    """Stills whose objects have classes: those of COCO and of Penn-Fudan."""
    images = ImageMaskFolder(folder / "images", folder / "masks")
    return [
        Footage(path.stem, images, (i,))
        for i, path in enumerate(images.images)
        if path.stem.startswith(("coco_", "penn_"))
    ]


def _cast(folder: Path) -> dict[str, list[CutOut]]:
    """Cut-outs by class, from stills with one object of it, the largest images of each class first."""
    names = json.loads((folder / "coco_instance_classes.json").read_text())
    found: dict[str, list[CutOut]] = {"person": [], "dog": [], "cat": []}
    for still in _stills(folder):
        labels = names.get(still.name)
        if labels is not None and not (len(labels) == 1 and COCO_ORDER[labels[0]] in ("dog", "cat")):
            continue
        label = "person" if labels is None else COCO_ORDER[labels[0]]
        found[label] += [cut for cut in cut_outs_of_stills([still]) if cut.height >= 100]
    for label, cuts in found.items():
        cuts.sort(key=lambda cut: zlib.crc32(cut.alphas[0].tobytes()))
        if not cuts:
            raise SystemExit(f"{folder}: no still with one {label}")
    return found


def _composed(
    video: Footage, actors: Sequence[tuple[CutOut, Walk]], frames: int
) -> Iterator[tuple[Image, UInt8Array]]:
    """The images of a composite; the video runs to and fro."""
    count = len(cast(Sized, video.source))
    there = list(range(count))
    order = itertools.cycle(there + there[-2:0:-1])
    # Who stands lower is nearer.
    drawn = sorted(range(len(actors)), key=lambda i: actors[i][1].foot)
    for t, index in zip(range(frames), order, strict=False):
        image = video.source.read_image(index).copy()
        height, width = image.shape[:2]
        mask = np.where(video.source.read_mask(index) > 0, len(actors) + 1, 0).astype(np.uint8)
        for i in drawn:
            cut, walk = actors[i]
            x = walk.at(t / max(frames - 1, 1))
            if x is not None:
                sway = 0.01 * np.sin(2 * np.pi * (t / 12 + i / 3))
                _paste(
                    image, mask, cut, i + 1, (x * width, (walk.foot + sway) * height), walk.height * height
                )
        yield image, mask


def _paste(
    image: Image, mask: UInt8Array, cut: CutOut, number: int, foot: tuple[float, float], height: float
) -> None:
    """Put a cut-out of a height in pixels with its foot at (x, y) into an image and its mask."""
    scale = height / cut.height
    patch, alpha = cut.images[0], cut.alphas[0]
    rows, columns = alpha.shape
    matrix = np.array(
        [[scale, 0, foot[0] - scale * columns / 2], [0, scale, foot[1] - scale * (rows - MARGIN)]]
    )
    size = image.shape[0], image.shape[1]
    placed, cover = place(patch, matrix, size), place(alpha, matrix, size)
    if placed is None or cover is None:
        return
    where, pixels = placed
    share = cover[1][..., None] / np.float32(255)
    image[where] = np.round(pixels * share + image[where] * (1 - share)).astype(np.uint8)
    mask[where][cover[1] > 127] = number
