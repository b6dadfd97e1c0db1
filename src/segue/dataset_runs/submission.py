"""Submissions for evaluation servers: one zip, complete and checked."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segue.dataset_runs.protocols import all_clips, is_clips
from segue.datasets.files import image_size
from segue.datasets.results import open_results
from segue.datasets.ytvis import YTVISDataset, read_results
from segue.datasets.ytvos import wanted_masks
from segue.errors import DatasetError
from segue.masks.files import OtherSizeError
from segue.metrics.data_sets import Request
from segue.registry import DATASETS
from segue.utils.files import replacing
from segue.utils.naming import first_few


def check_served(request: Request) -> None:
    """Raise an error unless a zip can be made for a request."""
    if not request.entry.served:
        served = ", ".join(entry.name for entry in DATASETS if entry.served)
        raise DatasetError(f"--submission is for {served}, not for {request.dataset}; leave it out")
    if request.sequences:
        raise DatasetError("--submission needs all videos; leave out --sequence")


def write_submission(path: Path, request: Request, output: Path) -> None:
    """Pack the results of a run into the zip for its data set's server."""
    check_served(request)
    packed = _tracks(request, output) if is_clips(request.dataset) else _masks(request, output)
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, file in packed:
            # Without the time of writing, so that equal results are equal files.
            member = zipfile.ZipInfo(name)
            member.compress_type = zipfile.ZIP_DEFLATED
            with file.open("rb") as source, archive.open(member, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)


def _masks(request: Request, output: Path) -> Iterator[tuple[str, Path]]:
    """Archive members and files of all masks required by YouTube-VOS; raises for missing ones."""
    part = request.data / (request.subset or ".")
    required, results = wanted_masks(part), open_results(output)
    if missing := [name for name in required if name not in results]:
        raise DatasetError(
            f"{output}: no results of {len(missing)} of {len(required)} videos: {first_few(missing)}"
        )
    frames = [
        f"{name}/{frame}"
        for name, masks in required.items()
        for frame in masks.frames
        if frame not in results.names(name)
    ]
    if frames:
        raise DatasetError(
            f"{output}: no mask of {len(frames)} frames that are asked for: {first_few(frames)}"
        )
    problems: list[str] = []
    for name, masks in required.items():
        size = image_size(part / "Annotations" / name / f"{masks.frames[0]}.png")
        visible: set[int] = set()
        for frame in masks.frames:
            try:
                mask = results.read(name, frame, size)
                visible.update(np.flatnonzero(np.bincount(mask.ravel())).tolist())
            except OtherSizeError as error:
                problems.append(f"{name}/{frame} is {error.size[1]}x{error.size[0]}, not {size[1]}x{size[0]}")
            yield f"Annotations/{name}/{frame}.png", output / name / "masks" / f"{frame}.png"
        problems += [f"{name} never shows object {number}" for number in masks.ids if number not in visible]
        unknown = visible.difference({0}, masks.ids)
        problems += [f"{name} shows {number}, which meta.json does not list" for number in sorted(unknown)]
    if problems:
        raise DatasetError(f"{output}: {first_few(problems)}")


def _tracks(request: Request, output: Path) -> Iterator[tuple[str, Path]]:
    """Result file with the instances of all videos."""
    dataset: YTVISDataset = request.open()
    missing = [video.name for video in dataset if not (output / video.name / "ytvis.json").is_file()]
    if missing:
        raise DatasetError(
            f"{output}: no results of {len(missing)} of {len(dataset)} videos: {first_few(missing)}"
        )
    path = all_clips(request, output)
    for number, instances in read_results(path, dataset).items():
        video = dataset.video(number)
        for item in instances:
            if len(item.masks) != len(video):
                raise DatasetError(
                    f"{path}: {video.name} has {len(video)} frames, a result {len(item.masks)}"
                )
            if item.category not in dataset.categories:
                raise DatasetError(f"{path}: {video.name}: class {item.category} is not in {dataset.path}")
    yield "results.json", path
