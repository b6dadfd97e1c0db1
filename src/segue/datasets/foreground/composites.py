"""Composite images as the programs of HOFAM read them: frame, hierarchical flow and truth side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from segue.datasets.foreground.folder import ForegroundSequence
from segue.datasets.foreground.labels import MOTION
from segue.errors import SinkError
from segue.flow.providers import SIDE, FlowImages
from segue.types import Image
from segue.video.sources.images import write_image


def write_composites(
    video: ForegroundSequence, folder: Path, flow: FlowImages, max_frames: int | None = None
) -> Iterator[Path]:
    """Write a composite of each labelled frame of a video, 768 by 256 pixels.

    Args:
        video: the video.
        folder: folder for the images, ``<video>_<number>.png``.
        flow: makes the panel of the flow, of frames of 256 by 256 pixels.
        max_frames: maximum number of frames, evenly spaced; None is all.

    Yields:
        The path of each image when it is written.

    Raises:
        SinkError: an image exists already.
        DatasetError: a frame or its labels cannot be read.
    """
    place_of = {number: place for place, number in enumerate(video.numbers)}
    numbers = [number for number in video.scored if number in place_of]
    if max_frames is not None and len(numbers) > max_frames:
        numbers = [numbers[i] for i in np.linspace(0, len(numbers) - 1, max_frames).round().astype(int)]
    for number in numbers:
        place = place_of[number]
        path = folder / f"{video.key.replace('/', '-')}_{number:06d}.png"
        if path.exists():
            raise SinkError(f"{path}: exists already; give another folder")
        write_image(path, composite_of(video, place, flow))
        yield path


def composite_of(video: ForegroundSequence, place: int, flow: FlowImages) -> Image:
    """Create the composite of a frame, (256, 768, 3); labelled motion is white in the last panel."""
    frame = _square(video.read_image(place))
    earlier = [_square(video.read_image(max(place - gap, 0))) for gap in flow.gaps]
    truth = (video.read_labels(place) == MOTION).astype(np.uint8) * 255
    truth = np.asarray(cv2.resize(truth, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST), np.uint8)
    return np.concatenate([frame, flow(frame, earlier), truth[..., None].repeat(3, axis=2)], axis=1)


def _square(image: Image) -> Image:
    """An image at the size of a panel, averaged over the pixels that become one."""
    if image.shape[:2] == (SIDE, SIDE):
        return image
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
