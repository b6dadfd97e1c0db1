"""Run a detector on one frame and write its results."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from segue.detectors import DEFAULT
from segue.errors import SourceError
from segue.jobs.parts import Finding
from segue.masks import overlay
from segue.masks.files import encode_index_mask
from segue.prompts.detectors import Detector
from segue.prompts.selection import Found
from segue.sessions.detecting import detector
from segue.types import Frame
from segue.video import Source
from segue.video.images import write_picture
from segue.video.partial import write_complete

DEFAULT_NOTICE = f"looking for what moves (detector {DEFAULT}; --with chooses another)"
"""Notice where no detector was named."""


def detect_first(source: Source, find: Detector) -> tuple[Frame, Found]:
    """The first frame of a source and what a detector finds there."""
    with source:
        frames = list(itertools.islice(source, 1 + find.lookahead))
    if not frames:
        raise SourceError(f"{source.name}: there is no such frame")
    if len(frames) == 1 and find.lookahead:
        raise SourceError(
            f"{source.name}: to find what moves takes a further frame; "
            "for a still image choose another detector with --with"
        )
    return frames[0], find(*frames)


def write_found(frame: Frame, found: Found, targets: Sequence[Path]) -> None:
    """Write what a detector has found: an index mask, an image with it, and JSON files of its objects."""
    captions = {item.id: f"{item.label} {item.score:.2f}" for item in found.objects if item.label}
    write_complete(targets[0], encode_index_mask(found.mask))
    write_picture(targets[1], overlay(frame.image, found.mask, captions=captions))
    for path in targets[2:]:
        values = {"frame": frame.index, "time": frame.time, "objects": [*map(asdict, found.objects)]}
        write_complete(path, (json.dumps(values, indent=1) + "\n").encode())


def make_detector(finding: Finding, device: str | None) -> Detector:
    """The detector of a job."""
    wanted = finding.model_dump(exclude={"every", "frames", "name"})
    return detector(finding.name, **wanted, device=device)
