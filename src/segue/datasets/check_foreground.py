"""Checks of data sets with foreground labels."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from segue.datasets import cdnet, sbi
from segue.datasets.checking import CheckedVideo, Inventory, check_headers
from segue.datasets.files import picture_size
from segue.datasets.foreground import ForegroundSequence, subfolders, video_folders
from segue.datasets.isd import INDEX
from segue.datasets.labels import LasiestaLabels
from segue.datasets.lasiesta import VIDEOS as LASIESTA_VIDEOS
from segue.datasets.lasiesta import find_videos, read_lasiesta_video
from segue.datasets.limu import read_limu_video, read_manifest
from segue.errors import DatasetError
from segue.naming import first_few, natural_key


def is_cdnet(root: Path) -> bool:
    """Whether a folder holds categories of videos."""
    return any(video_folders(category) for category in subfolders(cdnet.cdnet_top(root)))


def list_cdnet(root: Path) -> Inventory:
    """Videos of CDnet2014 in a folder."""
    expected = tuple(f"{category}/{name}" for category, names in cdnet.VIDEOS.items() for name in names)
    return Inventory(_cdnet_parts(root), expected)


def is_isd(root: Path) -> bool:
    """Whether a folder holds categories of videos and a list of them."""
    return (root / INDEX).is_file() and is_cdnet(root)


def list_isd(root: Path) -> Inventory:
    """Synthetic scenes in a folder."""
    path = root / INDEX
    parts = _cdnet_parts(root)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            expected = tuple(f"{row['split']}/{row['scene_id']}" for row in csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        return Inventory(parts, problems=(f"{path} is no list of scenes ({error})",))
    return Inventory(parts, expected)


def is_sbi(root: Path) -> bool:
    """Whether a folder holds a video of SBI2015."""
    return any(
        sbi.scene_name(folder) in sbi.VIDEOS and (folder / "input").is_dir() for folder in subfolders(root)
    )


def list_sbi(root: Path) -> Inventory:
    """Videos of SBI2015 in a folder."""
    parts: dict[str, Callable[[], CheckedVideo]] = {}
    for folder in subfolders(root):
        name = sbi.scene_name(folder)
        if name in sbi.VIDEOS:
            parts[name] = partial(_check, name, partial(sbi.read_sbi_video, folder, folder / "groundtruth"))
    return Inventory(parts, sbi.VIDEOS)


def is_lasiesta(root: Path) -> bool:
    """Whether a folder holds a video of LASIESTA."""
    return next(find_videos(root), None) is not None


def list_lasiesta(root: Path) -> Inventory:
    """Videos of LASIESTA in a folder."""
    parts: dict[str, Callable[[], CheckedVideo]] = {}
    twice = []
    for folder in sorted(find_videos(root), key=lambda path: natural_key(path.name)):
        name = f"{folder.name[:4]}/{folder.name}"
        if name in parts:
            twice.append(str(folder))
        else:
            read = partial(read_lasiesta_video, folder, LasiestaLabels())
            parts[name] = partial(_check, name, read, fully_labelled=True)
    problems = (f"videos that are there twice: {first_few(twice)}; keep one",) if twice else ()
    expected = (f"{category}/{name}" for category, names in LASIESTA_VIDEOS.items() for name in names)
    return Inventory(parts, tuple(expected), problems)


def is_limu(root: Path) -> bool:
    """Whether a folder holds a video that the manifest of segue names."""
    return any((root / name / "input").is_dir() for name in read_manifest())


def list_limu(root: Path) -> Inventory:
    """Videos of LIMU in a folder, where the manifest of segue says."""
    manifest = read_manifest()
    parts = {
        name: partial(_check, name, partial(read_limu_video, root, name, entry))
        for name, entry in manifest.items()
        if (root / name).is_dir()
    }
    return Inventory(parts, tuple(manifest))


def _cdnet_parts(root: Path) -> Mapping[str, Callable[[], CheckedVideo]]:
    parts: dict[str, Callable[[], CheckedVideo]] = {}
    for category in subfolders(cdnet.cdnet_top(root)):
        for folder in video_folders(category):
            name = f"{category.name}/{folder.name}"
            read = partial(cdnet.read_cdnet_video, folder, category.name)
            parts[name] = partial(_check, name, read, fully_labelled=True)
    return parts


def _check(name: str, read: Callable[[], ForegroundSequence], fully_labelled: bool = False) -> CheckedVideo:
    """Check one video; ``fully_labelled`` is what the published one is."""
    try:
        video = read()
    except DatasetError as error:
        return CheckedVideo(name, 0, 0, (str(error),))
    size, problems = check_headers(video.frames, "pictures")
    problems += check_headers(video.truths.values(), "labels", size)[1]
    problems += _region_problems(video, size)
    lonely = sorted(set(video.truths) - set(video.numbers))
    if lonely:
        problems.append(f"{len(lonely)} labels have no picture: {first_few(map(str, lonely))}")
    unlabelled = [number for number in video.numbers if number not in video.truths]
    if unlabelled and fully_labelled:
        problems.append(f"{len(unlabelled)} frames have no labels: {first_few(map(str, unlabelled))}")
    if video.temporal_roi is not None:
        first, last = video.temporal_roi
        lacking = last - first + 1 - len(video.scored)
        if lacking:
            problems.append(f"{lacking} of the frames {first} to {last} that count have no labels")
    return CheckedVideo(name, len(video), len(video.labels), tuple(problems))


def _region_problems(video: ForegroundSequence, size: tuple[int, int] | None) -> list[str]:
    if video.roi is None:
        return []
    try:
        found = picture_size(video.roi)
    except DatasetError as error:
        return [str(error)]
    if size in (None, found):
        return []
    return [f"{video.roi.name} is {found[1]}x{found[0]}; it is cropped or extended to the frames"]
