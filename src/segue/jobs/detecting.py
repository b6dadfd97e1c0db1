"""Jobs that find the objects of one frame."""

from __future__ import annotations

import itertools
import json
from dataclasses import asdict
from pathlib import Path

from segue.detectors import DEFAULT
from segue.errors import SinkError, SourceError
from segue.jobs.observer import Observer
from segue.jobs.opened import open_video
from segue.jobs.running import RunResult
from segue.jobs.values import DetectJob, DetectorConfig
from segue.masks import overlay
from segue.masks.files import encode_index_mask
from segue.prompts.detectors import Detector
from segue.sessions.detecting import detector
from segue.types import Segmentation
from segue.video.images import write_picture
from segue.video.partial import prepare, write_complete

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice where no detector was named."""


def detect(job: DetectJob, observer: Observer) -> RunResult:
    """Find the objects of a frame; write an index mask, an image with it, and a JSON file of its objects."""
    source, finding = open_video(job.source), job.finding
    folder = job.folder or Path("segue-out") / source.name
    paths = {"mask": folder / "mask.png", "overlay": folder / "overlay.png"}
    if job.json_file is not None:
        paths["json"] = job.json_file
    for path in paths.values():
        if path.exists() and not job.overwrite:
            raise SinkError(f"{path}: exists already; give --overwrite or another place")
        prepare(path)
    find = make_detector(finding, job.device)
    if finding.name is None and finding.text is None:
        observer.notice(DEFAULT_NOTICE)
    with source:
        frames = list(itertools.islice(source, 1 + find.lookahead))
    if not frames:
        raise SourceError(f"{source.name}: there is no such frame")
    if len(frames) == 1 and find.lookahead:
        raise SourceError(
            f"{source.name}: to find what moves takes a further frame; "
            "for a still image choose another detector with --with"
        )
    frame, found = frames[0], find(*frames)
    captions = {item.id: f"{item.label} {item.score:.2f}" for item in found.objects if item.label}
    write_complete(paths["mask"], encode_index_mask(found.mask))
    write_picture(paths["overlay"], overlay(frame.image, found.mask, captions=captions))
    if job.json_file is not None:
        values = {"frame": frame.index, "time": frame.time, "objects": [*map(asdict, found.objects)]}
        write_complete(job.json_file, (json.dumps(values, indent=1) + "\n").encode())
    observer.frame(frame, Segmentation(frame.index, frame.time, found.mask, found.objects), "")
    for name, path in paths.items():
        observer.written(name, path)
    return RunResult(paths, 1)


def make_detector(finding: DetectorConfig, device: str | None) -> Detector:
    """The detector of a job."""
    wanted = finding.model_dump(exclude={"every", "frames", "name"})
    return detector(finding.name, **wanted, device=device)
