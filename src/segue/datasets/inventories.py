"""What a folder holds of each data set, and checks of its videos."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from segue.datasets import cdnet
from segue.datasets.davis import RESOLUTIONS, DavisFolder
from segue.datasets.files import PICTURES, files_by_stem, picture_size
from segue.datasets.foreground import ForegroundSequence, subfolders, video_folders
from segue.datasets.foreground_sets import (
    LASIESTA_VIDEOS,
    SBI_VIDEOS,
    find_videos,
    read_lasiesta_video,
    read_limu_video,
    read_manifest,
    read_sbi_video,
    scene_name,
)
from segue.datasets.isd import INDEX
from segue.datasets.json_files import entries, read_json_text
from segue.datasets.labels import LasiestaLabels
from segue.datasets.ytvis import ANNOTATION_FILES, Video, YTVISDataset
from segue.errors import DatasetError
from segue.naming import first_few, natural_key

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, slots=True)
class CheckedVideo:
    """One video of a data set.

    Attributes:
        name: its name in the data set.
        frames: number of its pictures.
        labelled: number of its frames with labels.
        problems: what is wrong with it.
    """

    name: str
    frames: int
    labelled: int
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is to check.

    Attributes:
        parts: a check of each video by its name.
        expected: names of the videos of the complete data set, as far as known.
        problems: what is wrong with the data set as a whole.
    """

    parts: Mapping[str, Callable[[], CheckedVideo]]
    expected: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def check_headers(
    pictures: Iterable[Path], kind: str, size: Size | None = None
) -> tuple[Size | None, list[str]]:
    """Read the headers of pictures that should have one size.

    Args:
        pictures: their files.
        kind: what they are, in the plural, for messages.
        size: the size that they should have; default: that of most of them.

    Returns:
        The size, or None if no picture is readable, and what is wrong.
    """
    sizes: dict[Path, Size] = {}
    damaged = []
    for path in pictures:
        try:
            sizes[path] = picture_size(path)
        except DatasetError:
            damaged.append(path.name)
    problems = [f"{len(damaged)} {kind} are not readable: {first_few(damaged)}"] if damaged else []
    if not sizes:
        return size, problems
    if size is None:
        size = Counter(sizes.values()).most_common(1)[0][0]
    odd = [path.name for path, found in sizes.items() if found != size]
    if odd:
        problems.append(f"{len(odd)} {kind} are not {size[1]}x{size[0]}: {first_few(odd)}")
    return size, problems


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
        scene_name(folder) in SBI_VIDEOS and (folder / "input").is_dir() for folder in subfolders(root)
    )


def list_sbi(root: Path) -> Inventory:
    """Videos of SBI2015 in a folder."""
    parts: dict[str, Callable[[], CheckedVideo]] = {}
    for folder in subfolders(root):
        name = scene_name(folder)
        if name in SBI_VIDEOS:
            parts[name] = partial(_check, name, partial(read_sbi_video, folder, folder / "groundtruth"))
    return Inventory(parts, SBI_VIDEOS)


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


SPLITS = ("train", "valid", "test")
"""Parts of YouTube-VIS and OVIS."""

_Parts = dict[str, Callable[[], CheckedVideo]]


def is_davis(root: Path) -> bool:
    """Whether a folder holds pictures and masks side by side."""
    return (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir()


def list_davis(root: Path) -> Inventory:
    """Sequences of a DAVIS folder and of the splits that it names."""
    images = root / "JPEGImages"
    shared = (name for name in RESOLUTIONS if (images / name).is_dir())
    resolution = next(shared, None)
    folders = subfolders(images / resolution if resolution else images)
    parts: _Parts = {folder.name: partial(_check_davis, root, folder.name) for folder in folders}
    splits = sorted((root / "ImageSets").glob("*/*.txt"))
    names = [name for split in splits for name in _lines(split)]
    problems = (
        () if splits else ("there is no ImageSets/<year>/<split>.txt, so no split can be chosen by name",)
    )
    return Inventory(parts, tuple(dict.fromkeys(names)), problems)


def _lines(path: Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]


def _check_davis(root: Path, name: str) -> CheckedVideo:
    try:
        sequence = DavisFolder(root, [name])[name]
    except DatasetError as error:
        return CheckedVideo(name, 0, 0, (str(error),))
    lacking = len(sequence) - len(sequence.annotations)
    problems = []
    if lacking and len(sequence.annotations) > 1:  # one mask alone is the given one of a test set
        problems.append(f"{lacking} frames have no mask")
    return _check_files(name, list(sequence.frames), list(sequence.annotations.values()), problems)


def _check_files(name: str, frames: list[Path], masks: list[Path], problems: list[str]) -> CheckedVideo:
    """Add what the headers show to the problems of a video."""
    size, damaged = check_headers(frames, "pictures")
    damaged += check_headers(masks, "masks", size)[1]
    return CheckedVideo(name, len(frames), len(masks), (*problems, *damaged))


def is_ytvos(root: Path) -> bool:
    """Whether a folder or one below it holds masks and ``meta.json``."""
    return next(_ytvos_parts(root), None) is not None


def _ytvos_parts(root: Path) -> Iterator[Path]:
    for folder in (root, *subfolders(root)):
        if (folder / "meta.json").is_file() and (folder / "Annotations").is_dir():
            yield folder


def list_ytvos(root: Path) -> Inventory:
    """Videos that the descriptions of YouTube-VOS name."""
    parts: _Parts = {}
    expected, problems = [], []
    for folder in _ytvos_parts(root):
        prefix = "" if folder == root else f"{folder.name}/"
        try:
            names = described_videos(folder / "meta.json")
        except DatasetError as error:
            problems.append(str(error))
            continue
        for name in names:
            expected.append(f"{prefix}{name}")
            if (folder / "JPEGImages" / name).is_dir():
                parts[f"{prefix}{name}"] = partial(_check_ytvos, folder, name, f"{prefix}{name}")
    return Inventory(parts, tuple(expected), tuple(problems))


def described_videos(meta: Path) -> list[str]:
    """Names of the videos of a ``meta.json`` that stay inside their folder."""
    top = {key: value for key, place, _, value in entries(read_json_text(meta), meta) if place < 0}
    videos = top.get("videos")
    if not isinstance(videos, dict):
        raise DatasetError(f"{meta} describes no videos")
    return [name for name in videos if Path(name).name == name and name != ".."]


def _check_ytvos(folder: Path, name: str, title: str) -> CheckedVideo:
    try:
        frames = files_by_stem(folder / "JPEGImages" / name, PICTURES)
        masks = files_by_stem(folder / "Annotations" / name, {".png"})
    except DatasetError as error:
        return CheckedVideo(title, 0, 0, (str(error),))
    lonely = [stem for stem in masks if stem not in frames]
    problems = [f"{len(lonely)} masks have no picture: {first_few(lonely)}"] if lonely else []
    return _check_files(title, list(frames.values()), list(masks.values()), problems)


def is_ytvis(root: Path) -> bool:
    """Whether a folder holds annotations of a split of YouTube-VIS or OVIS."""
    return bool(_annotated_splits(root))


def is_ovis(root: Path) -> bool:
    """Whether a folder holds annotations in the layout of YouTube-VIS and is named after OVIS."""
    return "ovis" in root.resolve().name.lower() and is_ytvis(root)


def _annotated_splits(root: Path) -> list[str]:
    named = [name for name in ANNOTATION_FILES if "{split}" in name]
    return [split for split in SPLITS if any((root / name.format(split=split)).is_file() for name in named)]


def list_ytvis(root: Path) -> Inventory:
    """Videos that the annotation files of YouTube-VIS or OVIS name."""
    parts: _Parts = {}
    problems = []
    for split in _annotated_splits(root):
        try:
            data = YTVISDataset.open(root, split)
        except DatasetError as error:
            problems.append(str(error))
            continue
        if data.images is None:
            problems.append(f"{data.path}: its pictures are not there")
        for video in data.videos:
            labelled = len(video) if data.annotated else 0
            parts[f"{split}/{video.name}"] = partial(_check_ytvis, split, video, data.images, labelled)
    absent = [split for split in SPLITS if split not in _annotated_splits(root)]
    if absent:
        problems.append(f"no annotations of {', '.join(absent)}")
    return Inventory(parts, problems=tuple(problems))


def _check_ytvis(split: str, video: Video, images: Path | None, labelled: int) -> CheckedVideo:
    name = f"{split}/{video.name}"
    if images is None:
        return CheckedVideo(name, 0, labelled)
    files = [images / file for file in video.file_names]
    there = [file for file in files if file.is_file()]
    _, problems = check_headers(there, "pictures", video.size)
    if len(there) < len(files):
        absent = [file.name for file in files if not file.is_file()]
        problems.insert(0, f"{len(absent)} pictures are missing: {first_few(absent)}")
    return CheckedVideo(name, len(there), labelled, tuple(problems))
