"""List the parts of data sets in a folder and check their videos."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from segue.datasets.davis import DAVIS_2016_VAL, DAVIS_VAL, RESOLUTIONS, DavisFolder
from segue.datasets.davis import Sequence as LabelledSequence
from segue.datasets.files import IMAGE_SUFFIXES, files_by_stem, image_size, subfolders
from segue.datasets.foreground.cdnet import CDNET
from segue.datasets.foreground.folder import ForegroundSequence, VideoLayout
from segue.datasets.foreground.isd import INDEX
from segue.datasets.stills import StillImages, open_stills
from segue.datasets.ytvis import ANNOTATION_FILES, YTVISDataset, YTVISVideo
from segue.datasets.ytvos import YtvosFolder, all_frames_folder
from segue.errors import DatasetError
from segue.utils.json_files import read_members
from segue.utils.naming import first_few

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True, slots=True)
class CheckedVideo:
    """A video of a data set: numbers of images and labelled frames, and its problems."""

    name: str
    frames: int
    labelled: int
    problems: tuple[str, ...] = ()


class _NamedFrames(Protocol):
    """A video with image files."""

    @property
    def name(self) -> str:
        """Its name in the data set."""

    @property
    def frames(self) -> Sequence[Path]:
        """Its images, in order of time."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """Checks of a data set: one per video, expected names, and problems of the whole."""

    parts: Mapping[str, Callable[[], CheckedVideo]]
    expected: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


_Parts = dict[str, Callable[[], CheckedVideo]]


def check_headers(images: Iterable[Path], kind: str, size: Size | None) -> tuple[Size | None, list[str]]:
    """Check that the headers of images have one size."""
    sizes: dict[Path, Size] = {}
    damaged = []
    for path in images:
        try:
            sizes[path] = image_size(path)
        except DatasetError:
            damaged.append(path.name)
    problems = [f"{len(damaged)} {kind} are not readable: {first_few(damaged)}"] if damaged else []
    if not sizes:
        return size, problems
    if size is None:
        size = Counter(sizes.values()).most_common(1)[0][0]
    deviating = [path.name for path, image_size in sizes.items() if image_size != size]
    if deviating:
        problems.append(f"{len(deviating)} {kind} are not {size[1]}x{size[0]}: {first_few(deviating)}")
    return size, problems


def _check_files(name: str, frames: list[Path], masks: list[Path], problems: list[str]) -> CheckedVideo:
    size, damaged = check_headers(frames, "images", None)
    damaged += check_headers(masks, "masks", size)[1]
    return CheckedVideo(name, len(frames), len(masks), (*problems, *damaged))


def list_videos(layout: VideoLayout, root: Path) -> Inventory:
    """List videos with foreground labels in a folder."""
    parts: _Parts = {}
    twice = []
    for name, folder in layout.find(root):
        if name in parts:
            twice.append(str(folder))
        else:
            parts[name] = partial(_check_video, name, folder, layout)
    problems = (f"videos that are there twice: {first_few(twice)}; keep one",) if twice else ()
    return Inventory(parts, problems=problems)


def is_isd(root: Path) -> bool:
    """Whether a folder holds categories of videos and a list of them."""
    return (root / INDEX).is_file() and CDNET.fits(root)


def list_isd(root: Path) -> Inventory:
    """List synthetic scenes in a folder."""
    path = root / INDEX
    inventory = list_videos(CDNET, root)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            expected = tuple(f"{row['split']}/{row['scene_id']}" for row in csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError) as error:
        return replace(inventory, problems=(f"{path} is no list of scenes ({error})",))
    return replace(inventory, expected=expected)


def _check_video(name: str, folder: Path, layout: VideoLayout) -> CheckedVideo:
    video = layout.read(folder)
    size, problems = check_headers(video.frames, "images", None)
    problems += check_headers(video.truths.values(), "labels", size)[1]
    if video.roi is not None:
        problems += _region_problems(video.roi, size)
    if lonely := sorted(set(video.truths) - set(video.numbers)):
        problems.append(f"{len(lonely)} labels have no image: {first_few(map(str, lonely))}")
    unlabelled = [number for number in video.numbers if number not in video.truths]
    if unlabelled and layout.whole:
        problems.append(f"{len(unlabelled)} frames have no labels: {first_few(map(str, unlabelled))}")
    if video.temporal_roi is not None:
        first, last = video.temporal_roi
        if lacking := last - first + 1 - len(video.scored):
            problems.append(f"{lacking} of the frames {first} to {last} that count have no labels")
    return CheckedVideo(name, len(video), len(video.labels), tuple(problems))


def _region_problems(region: Path, size: Size | None) -> list[str]:
    try:
        region_size = image_size(region)
    except DatasetError as error:
        return [str(error)]
    if size in (None, region_size):
        return []
    return [f"{region.name} is {region_size[1]}x{region_size[0]}; it is cropped or extended to the frames"]


def is_davis(root: Path) -> bool:
    """Whether a folder holds images and masks side by side."""
    return (root / "JPEGImages").is_dir() and (root / "Annotations").is_dir()


def list_davis(root: Path) -> Inventory:
    """List the sequences of a DAVIS folder and of its splits."""
    images = root / "JPEGImages"
    resolution = next((name for name in RESOLUTIONS if (images / name).is_dir()), ".")
    parts: _Parts = {
        folder.name: partial(_check_davis, root, folder.name) for folder in subfolders(images / resolution)
    }
    splits = sorted((root / "ImageSets").glob("*/*.txt"))
    lines = [line.strip() for path in splits for line in path.read_text("utf-8", "replace").splitlines()]
    problems = ("there is no ImageSets/<year>/<split>.txt, so no split can be chosen by name",)
    return Inventory(parts, tuple(dict.fromkeys(filter(None, lines))), () if splits else problems)


def _check_davis(root: Path, name: str) -> CheckedVideo:
    sequence = DavisFolder(root, [name])[name]
    lacking = len(sequence) - len(sequence.annotations)
    problems = []
    if lacking and len(sequence.annotations) > 1:  # one mask alone is the given one of a test set
        problems.append(f"{lacking} frames have no mask")
    return _check_files(name, list(sequence.frames), list(sequence.annotations.values()), problems)


def davis_videos(root: Path, part: str, year: str) -> tuple[list[str], list[str]]:
    """Names of the sequences of a split, and of all present ones; ``val`` needs no ``ImageSets``."""
    file, available = root / "ImageSets" / year / f"{part}.txt", list(list_davis(root).parts)
    if file.is_file():
        return list(filter(None, map(str.strip, file.read_text("utf-8", "replace").splitlines()))), available
    if part != "val":
        raise DatasetError(f"no part {part!r}: {file} does not exist; give sequence names")
    return sorted(DAVIS_2016_VAL if year == "2016" else DAVIS_VAL), available


def is_ytvos(root: Path) -> bool:
    """Whether a folder or one below it holds masks and ``meta.json``."""
    return any(True for _ in _ytvos_parts(root))


def _ytvos_parts(root: Path) -> Iterator[Path]:
    for folder in (root, *subfolders(root)):
        if (folder / "meta.json").is_file() and (folder / "Annotations").is_dir():
            yield folder


def list_ytvos(root: Path) -> Inventory:
    """List the videos of YouTube-VOS by their descriptions."""
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


def ytvos_videos(root: Path, part: str, _: str) -> tuple[list[str], list[str]]:
    """Names of the videos of a part of YouTube-VOS, and of the present ones."""
    images = all_frames_folder(root / part) or root / part / "JPEGImages"
    described = described_videos(root / part / "meta.json")
    return described, [name for name in described if (images / name).is_dir()]


def isd_videos(root: Path, part: str, _: str) -> tuple[list[str], list[str]]:
    """Names of the scenes of a part of rendered scenes, and of the present ones."""
    inventory, begin = list_isd(root), f"{part}/"
    described, available = (
        filter(lambda name: name.startswith(begin), x) for x in (inventory.expected, inventory.parts)
    )
    return list(described), list(available)


def described_videos(meta: Path) -> list[str]:
    """Names of the videos in a ``meta.json``; names with paths are dropped."""
    videos = read_members(meta).get("videos")
    if not isinstance(videos, dict):
        raise DatasetError(f"{meta} describes no videos")
    return [name for name in videos if Path(name).name == name and name != ".."]


def _check_ytvos(folder: Path, name: str, title: str) -> CheckedVideo:
    frames = files_by_stem(folder / "JPEGImages" / name, IMAGE_SUFFIXES)
    masks = files_by_stem(folder / "Annotations" / name, {".png"})
    problems = []
    try:
        YtvosFolder(folder, videos=[name])
    except DatasetError as error:
        problems.append(str(error))
    return _check_files(title, list(frames.values()), list(masks.values()), problems)


SPLITS = ("train", "valid", "test")
"""Parts of YouTube-VIS and OVIS."""


def is_ytvis(root: Path) -> bool:
    """Whether a folder holds annotations of a split of YouTube-VIS or OVIS."""
    return bool(_annotated_splits(root))


def is_ovis(root: Path) -> bool:
    """Whether a folder has the layout of YouTube-VIS and a name of OVIS."""
    return "ovis" in root.resolve().name.lower() and is_ytvis(root)


def _annotated_splits(root: Path) -> list[str]:
    templates = [name for name in ANNOTATION_FILES if "{split}" in name]
    return [
        split for split in SPLITS if any((root / name.format(split=split)).is_file() for name in templates)
    ]


def list_ytvis(root: Path) -> Inventory:
    """List the videos of annotation files of YouTube-VIS or OVIS."""
    parts: _Parts = {}
    problems = []
    splits = _annotated_splits(root)
    for split in splits:
        try:
            data = YTVISDataset.open(root, split)
        except DatasetError as error:
            problems.append(str(error))
            continue
        if data.images is None:
            problems.append(f"{data.path}: its images are not there")
        for video in data.videos:
            name, labelled = f"{split}/{video.name}", len(video) if data.annotated else 0
            parts[name] = partial(_check_ytvis, name, video, data.images, labelled)
    if absent := [split for split in SPLITS if split not in splits]:
        problems.append(f"no annotations of {', '.join(absent)}")
    return Inventory(parts, problems=tuple(problems))


def _check_ytvis(name: str, video: YTVISVideo, images: Path | None, labelled: int) -> CheckedVideo:
    if images is None:
        return CheckedVideo(name, 0, labelled)
    files = [images / file for file in video.file_names]
    existing = [file for file in files if file.is_file()]
    problems = check_headers(existing, "images", video.size)[1]
    if absent := [file.name for file in files if not file.is_file()]:
        problems.insert(0, f"{len(absent)} images are missing: {first_few(absent)}")
    return CheckedVideo(name, len(existing), labelled, tuple(problems))


def list_stills(root: Path) -> Inventory:
    """List still images with masks as one part."""
    try:
        stills = open_stills(root)
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory({"images": partial(check_stills, stills)})


def check_stills(stills: StillImages) -> CheckedVideo:
    """Check still images with masks as one video."""
    wrong = []
    for i, name in enumerate(stills.names):
        try:
            stills.check(i)
        except DatasetError as error:
            wrong.append(f"{name} ({error})")
    problems = (f"{len(wrong)} images are wrong: {first_few(wrong)}",) if wrong else ()
    return CheckedVideo("images", len(stills.names), len(stills.names) - len(wrong), problems)


def list_opened(
    open_folder: Callable[[Path], Iterable[LabelledSequence | ForegroundSequence]], root: Path
) -> Inventory:
    """List videos of a reader with one mask file per labelled frame."""
    try:
        videos = list(open_folder(root))
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory({video.name: partial(_check_opened, video) for video in videos})


def _check_opened(video: LabelledSequence | ForegroundSequence) -> CheckedVideo:
    labels = video.annotations if isinstance(video, LabelledSequence) else video.labels
    frames, masks = list(video.frames), list(labels.values())
    absent = [path.name for path in (*frames, *masks) if not path.is_file()]
    problems = [f"{len(absent)} files are missing: {first_few(absent)}"] if absent else []
    images, labelled = ([path for path in paths if path.is_file()] for paths in (frames, masks))
    return _check_files(video.name, images, labelled, problems)


def list_instances(open_folder: Callable[[Path], YTVISDataset], root: Path) -> Inventory:
    """List videos of a reader with labels in the form of YouTube-VIS."""
    try:
        data = open_folder(root)
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory(
        {
            video.name: partial(_check_ytvis, video.name, video, data.images, len(video))
            for video in data.videos
        }
    )


def list_videos_by_name(open_folder: Callable[[Path], Iterable[_NamedFrames]], root: Path) -> Inventory:
    """List videos of a reader without label files of their own."""
    try:
        videos = list(open_folder(root))
    except DatasetError as error:
        return Inventory({}, problems=(str(error),))
    return Inventory({video.name: partial(_check_by_name, video) for video in videos})


def _check_by_name(video: _NamedFrames) -> CheckedVideo:
    _, problems = check_headers(video.frames, "images", None)
    return CheckedVideo(video.name, len(video.frames), len(video.frames), tuple(problems))
