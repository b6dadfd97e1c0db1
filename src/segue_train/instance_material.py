"""What video instance networks are trained on: annotated videos and pictures, and their class channels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.errors import DatasetError
from segue.models.seqformer.names import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.naming import first_few
from segue.registry import DATASETS
from segue_train.footage import Footage
from segue_train.instance_augment import PUBLISHED, Sizes
from segue_train.instance_clips import UNKNOWN, ClassedFootage, NamedFootage, coco_number
from segue_train.ytvis_clips import COCO_TO_2019, COCO_TO_2021, ClipSource, StillClips, VideoClips

CHANNELS = 42
"""Class channels of the published networks."""


def opened(text: str) -> YTVISDataset:
    """The annotated data set that ``LAYOUT=ROOT`` names.

    Raises:
        DatasetError: the layout is unknown, or files are missing or wrong.
    """
    layout, _, root = text.partition("=")
    entry = DATASETS.find(layout) if layout in DATASETS and root else None
    if entry is None or entry.instances is None:
        known = ", ".join(sorted(other.name for other in DATASETS if other.instances))
        raise DatasetError(f"--data {text}: write LAYOUT=ROOT with LAYOUT one of {known}")
    dataset = entry.instances(Path(root))
    if not dataset.annotated:
        raise DatasetError(f"{dataset.path} has no annotations; give those of the training set")
    return dataset


@dataclass(frozen=True, slots=True)
class ClassNames:
    """What objects of footage are called, by names of COCO's categories.

    Attributes:
        names: by the name of a video or still image, or by its kind, which is the beginning of the name up
            to an underscore: one name for all its objects, or a list with that of object 1, 2, ...
    """

    names: Mapping[str, str | tuple[str, ...]]

    @classmethod
    def read(cls, path: Path | None) -> ClassNames:
        """From a JSON object of such entries; None has no entries.

        Raises:
            DatasetError: the file cannot be read, is no such object, or names no category of COCO.
        """
        if path is None:
            return cls({})
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(f"{path}: cannot be read as JSON: {error}") from None
        if not isinstance(content, dict):
            raise DatasetError(f"{path}: a JSON object was expected")
        found: dict[str, str | tuple[str, ...]] = {}
        for key, value in content.items():
            each = [value] if isinstance(value, str) else value
            if not isinstance(each, list) or not all(isinstance(name, str) for name in each):
                raise DatasetError(f"{path}: {key}: a name or a list of names was expected")
            unknown = [name for name in each if coco_number(name) == UNKNOWN]
            if unknown:
                raise DatasetError(f"{path}: {key}: COCO has no category {first_few(unknown)}")
            found[key] = value if isinstance(value, str) else tuple(value)
        return cls(found)

    def of(self, footage: Footage) -> NamedFootage:
        """Footage with what its objects are called."""
        kind = footage.name.split("_")[0]
        return NamedFootage(footage, self.names.get(footage.name, self.names.get(kind)))


def annotated_footage(text: str) -> list[ClassedFootage]:
    """All of an annotated data set that shows an object; ``text`` as for :func:`opened`."""
    dataset = opened(text)
    return [ClassedFootage(dataset, video) for video in dataset.videos if dataset.annotations(video)]


def clip_sources(data: list[str], sizes: Sizes = PUBLISHED) -> tuple[list[ClipSource], dict[int, str]]:
    """What ``--data`` names, in clips of some sizes, and the class names of its videos."""
    datasets = [opened(text) for text in data]
    stills = [dataset for dataset in datasets if isinstance(dataset, CocoImages)]
    videos = [dataset for dataset in datasets if not isinstance(dataset, CocoImages)]
    names = _names(videos)
    clips: list[ClipSource] = [VideoClips(dataset, sizes) for dataset in videos]
    clips += [StillClips(dataset, coco_channels(dataset.categories, names), sizes) for dataset in stills]
    return clips, names


def _names(videos: list[YTVISDataset]) -> dict[int, str]:
    """Categories of the videos; those of YouTube-VIS 2019 where there are only pictures."""
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
    """Class channel of each COCO category, by number, that is among the classes, by channel.

    As published for YouTube-VIS; for other classes those of the same name.
    """
    for edition, published in ((YOUTUBE_VIS_2019, COCO_TO_2019), (YOUTUBE_VIS_2021, COCO_TO_2021)):
        if names == edition:
            return dict(published)

    def plain(name: str) -> str:
        return name.lower().replace("_", " ")

    by_name = {plain(name): channel for channel, name in names.items()}
    found = {number: by_name[plain(name)] for number, name in categories.items() if plain(name) in by_name}
    if not found:
        raise DatasetError("no category of COCO has the name of a class of the videos; leave it out")
    return found
