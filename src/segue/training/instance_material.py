"""What video instance networks are trained on: annotated videos and pictures, and their class channels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from segue.datasets.ytvis import CocoImages, YTVISDataset
from segue.errors import DatasetError
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.naming import first_few
from segue.registry import DATASETS
from segue.training.instance_augment import PUBLISHED, Sizes
from segue.training.instance_clips import ClassedFootage, classed_footage, group_channels
from segue.training.ytvis_clips import COCO_TO_2019, COCO_TO_2021, ClipSource, StillClips, VideoClips

CHANNELS = 42
"""Class channels of the published networks."""

_TIMES = re.compile(r"([1-9][0-9]*)@(.+)")


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


def gather_classed(data: list[str]) -> tuple[list[ClassedFootage], list[ClassedFootage]]:
    """Videos and still images that ``--data`` names.

    Raises:
        DatasetError: a layout is unknown, or files are missing or wrong.
    """
    videos: list[ClassedFootage] = []
    stills: list[ClassedFootage] = []
    for text in data:
        match = _TIMES.fullmatch(text)
        times, source = (int(match[1]), match[2]) if match else (1, text)
        dataset = opened(source)
        found = classed_footage(dataset, group_channels(dataset.categories))
        (stills if isinstance(dataset, CocoImages) else videos).extend(found * times)
    return videos, stills


def clip_sources(data: list[str], sizes: Sizes = PUBLISHED) -> tuple[list[ClipSource], dict[int, str]]:
    """What ``--data`` names, in clips of some sizes, and the class names of its videos.

    Raises:
        DatasetError: a layout is unknown, files are missing or wrong, or categories do not fit each other.
    """
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
    """Class channel of each COCO category that is among the classes.

    As published for YouTube-VIS; for other classes those of the same name.

    Args:
        categories: names of COCO's categories by number.
        names: class names by channel.

    Raises:
        DatasetError: there is none.
    """
    for edition, published in ((YOUTUBE_VIS_2019, COCO_TO_2019), (YOUTUBE_VIS_2021, COCO_TO_2021)):
        if names == edition:
            return dict(published)
    by_name = {_plain(name): channel for channel, name in names.items()}
    found = {number: by_name[_plain(name)] for number, name in categories.items() if _plain(name) in by_name}
    if not found:
        raise DatasetError("no category of COCO has the name of a class of the videos; leave it out")
    return found


def _plain(name: str) -> str:
    return name.lower().replace("_", " ")
