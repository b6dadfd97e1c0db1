"""Training clips of YouTube-VIS, OVIS and COCO, as in the training of SeqFormer.

Wu et al., "SeqFormer" (ECCV 2022), and its release. An epoch has one clip for every frame of every video,
which is its key frame, and one for every COCO image with one of the classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.errors import DatasetError
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.utils.naming import first_few
from segue_train.data.footage import named_data
from segue_train.data.instance_augment import PUBLISHED, InstanceClip, Sizes, augmented, pseudo_clip
from segue_train.data.warp import Rng
from segue_train.losses.instances import ClipTargets, centred
from segue_train.recipe import Batch, Batches, in_passes

FRAMES = 5  # frames of a clip
NEAREST = 3  # farthest from the key frame that its two neighbours in the clip are taken
MAX_OBJECTS = 25  # objects of a COCO image from which on another one is taken
ATTEMPTS = 1000  # clips without any object in a row after which the data are no good
CHANNELS = 42  # class channels of the published networks
COCO_CHANNELS = 91  # those of their training on COCO: the numbers of its 80 categories go up to 90
MULTIPLE = 32  # sides of a batch are multiples of this

# COCO category: category of YouTube-VIS, as the release maps them (so that computer mice, 74, become foxes in
# the edition of 2019).
COCO_TO_2019: Mapping[int, int] = dict(
    zip(
        (1, 2, 3, 4, 5, 7, 8, 9, 17, 18, 19, 21, 22, 23, 24, 25, 36, 41, 42, 43, 74),
        (1, 21, 6, 21, 28, 17, 29, 34, 14, 8, 18, 15, 32, 20, 30, 22, 33, 5, 27, 40, 24),
        strict=True,
    )
)
COCO_TO_2021: Mapping[int, int] = dict(
    zip(
        (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 18, 19, 21, 22, 23, 24, 25, 36, 41, 42, 43, 74),
        (26, 23, 5, 23, 1, 36, 37, 4, 3, 6, 9, 19, 7, 12, 2, 40, 18, 31, 29, 33, 34, 24),
        strict=True,
    )
)


class ClipSource(Protocol):
    """Videos and images for training clips."""

    frames: int
    """Frames of a clip."""

    sizes: Sizes
    """Sizes to which clips are resized."""

    def __len__(self) -> int:
        """Number of clips in an epoch."""

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        """Draw the augmented clip at a position of the epoch.

        Args:
            rng: random generator.
            place: place in the epoch, from 0.

        Returns:
            The clip; None where it shows too few or too many objects.
        """


class VideoClips:
    """One clip per frame of YouTube-VIS or OVIS; categories are class channels."""

    frames = FRAMES

    def __init__(self, dataset: YTVISDataset, sizes: Sizes = PUBLISHED) -> None:
        self.dataset, self.sizes = dataset, sizes
        self._starts = np.cumsum([0, *(len(video) for video in dataset.videos)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        i = int(np.searchsorted(self._starts, place, side="right")) - 1
        video = self.dataset.videos[i]
        frames = clip_frames(rng, len(video), place - int(self._starts[i]))
        instances = self.dataset.instances(video, frames)
        alone = ~instances.crowd
        if not alone.any():
            return None
        read = {t: self.dataset.read_image(video, t) for t in set(frames)}
        images = [read[t] for t in frames]
        clip = InstanceClip(images, instances.labels[alone], instances.masks[alone], instances.boxes[alone])
        return augmented(rng, clip, colours=True, sizes=self.sizes)


class StillClips:
    """One clip per COCO image with one of the classes, which are ``channels`` by category."""

    def __init__(
        self,
        dataset: YTVISDataset,
        channels: Mapping[int, int],
        sizes: Sizes = PUBLISHED,
        frames: int = FRAMES,
    ) -> None:
        self.dataset, self.sizes, self.frames = dataset, sizes, frames
        self.channels = dict(channels)
        self._images = [
            image
            for image in dataset.videos
            if any(item.category in self.channels and not item.crowd for item in dataset.annotations(image))
        ]

    def __len__(self) -> int:
        return len(self._images)

    def draw(self, rng: Rng, place: int) -> InstanceClip | None:
        image = self._images[place]
        instances = self.dataset.instances(image, [0])
        is_known_class = (
            np.array([label in self.channels for label in instances.labels.tolist()], bool) & ~instances.crowd
        )
        if not is_known_class.any() or (self.frames > 1 and is_known_class.sum() > MAX_OBJECTS):
            return None
        labels = np.array(
            [self.channels[label] for label in instances.labels[is_known_class].tolist()], np.int64
        )
        pixels = self.dataset.read_image(image, 0)
        if self.frames == 1:
            alone = InstanceClip(
                [pixels], labels, instances.masks[is_known_class], instances.boxes[is_known_class]
            )
            return augmented(rng, alone, colours=False, sizes=self.sizes)
        views = pseudo_clip(rng, pixels, instances.masks[is_known_class, 0], labels, self.frames)
        return augmented(rng, views, colours=False, sizes=self.sizes)


def clip_frames(rng: Rng, length: int, key: int) -> list[int]:
    """Choose frames of a clip in order: a key frame, a near one on either side, two farther ones."""
    backward, forward = (int(n) for n in rng.integers(1, NEAREST + 1, 2))
    nearby = [key, max(0, key - backward), min(length - 1, key + forward)]
    # The release counts the last of the near frames among the far ones.
    distant = [*range(min(nearby)), *range(max(nearby), length)]
    if len(distant) <= 2:
        distant = list(range(length))
    more = rng.choice(distant, 2, replace=length < 2)
    return sorted([*nearby, *more.tolist()])


@dataclass(frozen=True)
class ClipBatches(Batches):
    """Batches of shuffled epochs over all clips; see :func:`collate`."""

    sources: Sequence[ClipSource]
    batch: int

    def __post_init__(self) -> None:
        if self.clips == 0:
            raise DatasetError("the data hold no clip with an object; see --data")

    @property
    def clips(self) -> int:
        """Number of clips in an epoch."""
        return sum(map(len, self.sources))

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng((self.seed, 1, number))
        places = in_passes(self.clips, number, self.batch, self.seed, 0)
        return collate([self._draw(rng, place) for place in places])

    def _draw(self, rng: Rng, place: int) -> InstanceClip:
        """Draw the clip at a position, or another one if it shows nothing."""
        for _ in range(ATTEMPTS):
            clip = self._at(place, rng)
            if clip is not None:
                return clip
            place = int(rng.integers(self.clips))
        raise DatasetError(f"{ATTEMPTS} clips in a row hold no object; are these annotations for training?")

    def _at(self, place: int, rng: Rng) -> InstanceClip | None:
        for source in self.sources:
            if place < len(source):
                return source.draw(rng, place)
            place -= len(source)
        raise IndexError(place)


def collate(clips: Sequence[InstanceClip]) -> Batch:
    """Pad clips of different sizes at the right and bottom to one batch."""
    height, width = (-(-max(clip.size[axis] for clip in clips) // MULTIPLE) * MULTIPLE for axis in (0, 1))
    frames, masks, boxes = [], [], []
    for clip in clips:
        h, w = clip.size
        missing = (0, width - w, 0, height - h)
        frames.append(F.pad(torch.from_numpy(np.stack(clip.frames)), (0, 0, *missing)))
        masks.append(F.pad(torch.from_numpy(np.ascontiguousarray(clip.masks)), missing))
        boxes.append(centred(torch.from_numpy(clip.boxes), clip.size))
    return {
        "frames": torch.stack(frames),
        "sizes": torch.tensor([clip.size for clip in clips]),
        "counts": torch.tensor([len(clip.labels) for clip in clips]),
        "labels": torch.from_numpy(np.concatenate([clip.labels for clip in clips])),
        "boxes": torch.cat(boxes),
        "masks": torch.cat(masks),
    }


def clip_targets(batch: Mapping[str, Tensor]) -> list[ClipTargets]:
    """Objects of each clip of a batch of :func:`collate`, without padding."""
    counts = batch["counts"].tolist()
    split = (batch[name].split(counts) for name in ("labels", "boxes", "masks"))
    return [
        ClipTargets(labels, boxes, masks[..., :height, :width])
        for (height, width), labels, boxes, masks in zip(batch["sizes"].tolist(), *split, strict=True)
    ]


def valid_places(sizes: Tensor, height: int, width: int) -> Tensor:
    """Valid regions (N, H, W) of padded frames of clips with heights and widths (N, 2)."""
    rows = torch.arange(height, device=sizes.device) < sizes[:, :1]
    columns = torch.arange(width, device=sizes.device) < sizes[:, 1:]
    return rows[:, :, None] & columns[:, None]


def opened(text: str) -> YTVISDataset:
    """Open the annotated data set of ``LAYOUT=ROOT``."""
    dataset: YTVISDataset = named_data(text, "instances")[1]
    if not dataset.annotated:
        raise DatasetError(f"{dataset.path} has no annotations; give those of the training set")
    return dataset


def clip_sources(data: list[str], sizes: Sizes = PUBLISHED) -> tuple[list[ClipSource], dict[int, str]]:
    """Clips of the data of ``--data``, at some sizes."""
    datasets = [opened(text) for text in data]
    stills = [dataset for dataset in datasets if isinstance(dataset, CocoImages)]
    videos = [dataset for dataset in datasets if not isinstance(dataset, CocoImages)]
    names = _names(videos)
    clips: list[ClipSource] = [VideoClips(dataset, sizes) for dataset in videos]
    clips += [StillClips(dataset, coco_channels(dataset.categories, names), sizes) for dataset in stills]
    return clips, names


def still_sources(data: list[str], sizes: Sizes) -> list[ClipSource]:
    """Images of the COCO data of ``--data``; class channels are category numbers."""
    sources: list[ClipSource] = []
    for text in data:
        dataset = opened(text)
        if not isinstance(dataset, CocoImages):
            raise DatasetError(f"--data {text}: a training on still images takes coco=ROOT")
        beyond = [name for number, name in dataset.categories.items() if not 0 < number < COCO_CHANNELS]
        if beyond:
            raise DatasetError(f"{dataset.path}: categories beyond numbers 1 to 90: {first_few(beyond)}")
        sources.append(StillClips(dataset, {number: number for number in dataset.categories}, sizes, 1))
    return sources


def _names(videos: list[YTVISDataset]) -> dict[int, str]:
    """Category names of the videos, or of YouTube-VIS 2019 without videos."""
    if not videos:
        return dict(YOUTUBE_VIS_2019)
    names = videos[0].categories
    for dataset in videos[1:]:
        if dataset.categories != names:
            raise DatasetError(
                f"{dataset.path} has other categories than {videos[0].path}; train on one of them"
            )
    beyond = [name for channel, name in names.items() if not 0 < channel < CHANNELS]
    if beyond:
        raise DatasetError(
            f"{videos[0].path}: categories beyond numbers 1 to {CHANNELS - 1}: {first_few(beyond)}"
        )
    return dict(names)


def coco_channels(categories: Mapping[int, str], names: Mapping[int, str]) -> dict[int, int]:
    """Class channel by COCO category, for categories among the classes."""
    for edition, published in ((YOUTUBE_VIS_2019, COCO_TO_2019), (YOUTUBE_VIS_2021, COCO_TO_2021)):
        if names == edition:
            return dict(published)

    def plain(name: str) -> str:
        return name.lower().replace("_", " ")

    by_name = {plain(name): channel for channel, name in names.items()}
    channels = {number: by_name[plain(name)] for number, name in categories.items() if plain(name) in by_name}
    if not channels:
        raise DatasetError("no category of COCO has the name of a class of the videos; leave it out")
    return channels
