"""Checks of data sets with object masks: DAVIS, YouTube-VOS, YouTube-VIS, OVIS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from segue.datasets.checking import CheckedVideo, Inventory, check_headers
from segue.datasets.davis import RESOLUTIONS, DavisFolder
from segue.datasets.files import PICTURES, files_by_stem
from segue.datasets.foreground import subfolders
from segue.datasets.json_files import entries, read_json_text
from segue.datasets.ytvis import ANNOTATION_FILES, Video, YTVISDataset
from segue.errors import DatasetError
from segue.naming import first_few

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
            names = _described(folder / "meta.json")
        except DatasetError as error:
            problems.append(str(error))
            continue
        for name in names:
            expected.append(f"{prefix}{name}")
            if (folder / "JPEGImages" / name).is_dir():
                parts[f"{prefix}{name}"] = partial(_check_ytvos, folder, name, f"{prefix}{name}")
    return Inventory(parts, tuple(expected), tuple(problems))


def _described(meta: Path) -> list[str]:
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
