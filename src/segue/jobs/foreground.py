"""Foreground jobs: session, frames and background."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache, partial
from operator import itemgetter
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from segue.errors import ArgumentError, FlowError, SegueError, SinkError, SourceError
from segue.events.images.best_views import Name
from segue.events.scene.blind import Detect, Detection
from segue.flow import FlowFiles
from segue.jobs.ahead import Plan
from segue.jobs.opened import Run, open_video
from segue.jobs.places import OutputPlaces, with_defaults
from segue.jobs.plan import refuse_two_passes
from segue.jobs.values import ForegroundJob
from segue.masks import read_stored_mask
from segue.masks.files import read_levels
from segue.models.base import ForegroundCapabilities
from segue.options import unwrap
from segue.sessions.association import name_object
from segue.sessions.detecting import box_detector
from segue.sessions.foreground.background.base import Background
from segue.sessions.foreground.background.median import MaskedMedian
from segue.sessions.foreground.background.quantiles import Scene
from segue.sessions.foreground.background.video_scenes import LEARNT, LearntBackground, VideoScenes
from segue.sessions.foreground.masks import ForegroundMasks
from segue.sessions.foreground.segmenters.base import Segmenter
from segue.sessions.foreground.segmenters.by_name import foreground_segmenter
from segue.sessions.foreground.session import SHORT_SIDE, ForegroundSession
from segue.sessions.foreground.two_passes import TwoPasses
from segue.types import Box, FlowName, FollowCamera, Frame, Image, Segmentation
from segue.utils.arrays import as_array
from segue.utils.inputs import kind_of
from segue.video import Source
from segue.video.decoding.damage import DamageError
from segue.video.decoding.readers import as_rgb
from segue.video.sources.images import list_images, read_image, write_image

MIN_SCORE, CONFIDENT = 0.3, 0.5
"""Minimum score of a detection to name an object, and to be certain."""

CLOSER, MIN_SIDE = 2.0, 48
"""Side of the view of a second look, in longer sides of the box, and in pixels at least."""

MAX_BLIND = 1000
"""Frames without a known background that are remembered; results are due a few frames later at most."""


def open_foreground(job: ForegroundJob, source: Source | None = None, plan: Plan | None = None) -> Run:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    events = job.event_settings(job.outputs.formats or ())
    source = source or open_video(job.source)
    options, outputs = job.options, job.outputs
    _check_background(job.background, outputs.overwrite or outputs.resume or bool(outputs.append))
    _check_passes(job, source)
    background: Background = MaskedMedian()
    if job.scene != "median":
        background = LearntBackground(_scenes(unwrap(job.scene)))
    segmenter = foreground_segmenter(
        job.model.choice,
        job.model.weights,
        job.flow,
        job.flow_weights,
        device=job.device,
        fast=job.fast,
        frames=options.frames,
    )
    able = segmenter.capabilities
    short_side = able.short_side or SHORT_SIDE
    side = (short_side if options.short_side is None else options.short_side) or None
    flow_files = _flow_files(job, able, source)
    follow, twice = _reading(job, able, source)
    open_frames: Callable[[], Iterable[Frame]] = lambda: source  # noqa: E731
    if job.depth is not None or flow_files is not None:
        open_frames = partial(_with_files, source, job.depth, flow_files)
    source.varies = not twice
    source.poll(options.fps)
    frames: Iterable[Frame] = open_frames()
    if twice:
        background = LearntBackground(VideoScenes(), of_this_video=True)
        frames = TwoPasses(segmenter, open_frames, background, short_side=side, without=options.without)
    session = ForegroundSession(
        segmenter,
        background=background,
        masks=ForegroundMasks(
            threshold=options.threshold,
            roi=_region(unwrap(job.roi)),
            min_area=options.min_area,
            objects=options.objects,
            shadows=options.shadows,
            after=_last_object(job, source),
        ),
        short_side=side,
        without=options.without,
        stages=options.stages,
        follow_camera=follow,
        warm_up=options.warm_up,
        detector=None if options.detector == "none" else unwrap(options.detector),
        detector_classes=options.detector_classes,
        device=job.device,
        fast=job.fast,
    )
    _check_effect(job, segmenter, session)
    total = source.frame_count
    if total is not None and options.fps is not None and source.fps is not None:
        total = round(total * min(1, options.fps / source.fps))
    events = replace(events, rules=events.rules.at_rate(options.fps or source.fps))
    run = ForegroundRun(job, source, session, input_frames=frames, total=total, events=events)
    if job.name_events is not None:
        run.name_object = object_namer(job.name_events, job.device, job.fast)
        run.detect_objects = object_finder(job.name_events, job.device, job.fast)
    elif isinstance(options.detector, str) and session.detector_classes is not None:
        classes = session.detector_classes
        run.detect_objects = object_finder(
            options.detector, job.device, job.fast, classes=classes, labels=False
        )
    return run


def _check_passes(job: ForegroundJob, source: Source) -> None:
    """Raise an error for two passes over a source that can be read once, or with a given scene."""
    if source.once:
        refuse_two_passes(job, source.name)
    if job.options.passes == 2 and job.scene != "median":
        raise SegueError("two passes learn the empty scene: give either passes=2 or a scene")


def _check_effect(job: ForegroundJob, segmenter: Segmenter, session: ForegroundSession) -> None:
    """Raise an error for a background, shadow or detector that the method does not use or find."""
    if job.scene != "median" and not segmenter.uses_background:
        raise SegueError(f"scene: {segmenter.name} does not use the background; leave it out")
    if job.options.shadows and segmenter.channels < 2:
        raise SegueError(f"shadows: {segmenter.name} finds no cast shadow; leave them out")
    fields = type(job.options).model_fields
    asked = [
        name
        for name in ("detector", "detector_classes")
        if getattr(job.options, name) not in (None, "none", fields[name].default)
    ]
    if asked and session.detector_classes is None:
        raise SegueError(f"{asked[0]}: {segmenter.name} does not use a detector here; leave it out")


def _flow_files(job: ForegroundJob, able: ForegroundCapabilities, source: Source) -> FlowFiles | None:
    """Folder of a job's optical flow; None if segue computes it."""
    if job.flow is None:
        return None
    if not (able.flow or able.flow_gaps):
        raise FlowError(f"{job.flow}: only hofam, stam and networks trained with --flow look at flow")
    if job.flow in get_args(FlowName):
        return None
    return FlowFiles(Path(job.flow), able.flow_gaps, source.total)


def _reading(
    job: ForegroundJob, able: ForegroundCapabilities, source: Source
) -> tuple[FollowCamera | None, bool]:
    """Camera motion mode and number of passes; defaults follow the network."""
    follow, passes = job.options.follow_camera, job.options.passes
    if job.scene != "median" or job.depth is not None:
        return follow, passes == 2
    twice = passes == 2
    if passes is None and follow in (None, "never"):
        twice = able.two_passes and not source.once and bool(source.files)
    return "auto" if follow is None and not twice and able.follows_pans else follow, twice


class ForegroundRun(Run):
    """Segments foreground; writes the background at the end if the job asks for it."""

    def __init__(self, *arguments: Any, **kwargs: Any) -> None:
        super().__init__(*arguments, **kwargs)
        self._blind: dict[int, tuple[float, float]] = {}  # motion of the camera by frame

    def step(self, frame: Frame) -> Segmentation | None:
        """Process a frame, and record whether its background is known."""
        result = super().step(frame)
        session = cast(ForegroundSession, self.session)
        self.is_blind_now = session.is_blind
        if self.is_blind_now:
            self._blind[frame.index] = session.camera_motion
            while len(self._blind) > MAX_BLIND:
                del self._blind[next(iter(self._blind))]
        return result

    def is_blind(self, index: int) -> bool:
        """Whether the background of a frame was unknown."""
        return index in self._blind

    def camera_motion(self, index: int) -> tuple[float, float]:
        """Motion of a panning camera to a frame, in parts of the longer side."""
        return self._blind.get(index, (0.0, 0.0))

    def note(self, result: Segmentation) -> str:
        """Foreground share of the image, for the progress."""
        return f"{np.count_nonzero(result.mask != 0) / result.mask.size:.1%} foreground"

    def at_end(self) -> dict[str, Path]:
        """Write the background of the session."""
        return _write_background(cast(ForegroundJob, self.job), cast(ForegroundSession, self.session))


def _last_object(job: ForegroundJob, source: Source) -> int:
    """Last object id of a camera's earlier runs."""
    # Whether an address has an end is known from its first frame on; if so, a table there is an error.
    job = cast(ForegroundJob, with_defaults(job, endless=source.once))
    outputs = job.outputs
    if outputs.overwrite or not (outputs.append or outputs.rotate):
        return 0
    return OutputPlaces.of(job, source.name).last_object(outputs.formats or ())


def _write_background(job: ForegroundJob, session: ForegroundSession) -> dict[str, Path]:
    """Write the session's background at the end if the job asks for it."""
    path, image, scenes = job.background, session.background, session.scenes
    if path is None:
        return {}
    if image is None or scenes is None:
        raise SinkError(f"{path}: {job.model.name} makes no image of the empty scene")
    if path.suffix.lower() == LEARNT:
        scenes.save(path)
    else:
        write_image(path, image)
    return {"background": path}


def object_namer(name: str, device: str | None, fast: bool = False) -> Name:
    """Make a function that labels boxes by a detector, without masks."""
    find = box_detector(name, score=MIN_SCORE, device=device, fast=fast)

    def label(image: Image, box: Box) -> tuple[str, float] | None:
        first = name_object(find, image, box)
        if first is not None and first[1] >= CONFIDENT:
            return first
        closer = name_object(find, *_closer(image, box))  # a second look, at the object itself
        return max((each for each in (first, closer) if each is not None), key=itemgetter(1), default=None)

    return label


def object_finder(
    name: str,
    device: str | None,
    fast: bool = False,
    *,
    classes: Collection[str] | None = None,
    labels: bool = True,
) -> Detect:
    """Make a function that detects objects in an image, without masks; the detector loads on first use.

    ``classes``: those to look for; None for all. ``labels``: tell the class of each object.
    """
    load = cache(partial(box_detector, name, classes, score=MIN_SCORE, device=device, fast=fast))

    def detect(image: Image) -> list[Detection]:
        objects = [item for item in load()(Frame(0, 0.0, image)).objects if item.score >= CONFIDENT]
        return [(item.box, item.label if labels else None, item.score) for item in objects if item.box]

    return detect


def _closer(image: Image, box: Box) -> tuple[Image, Box]:
    """Crop of an image around a box, and the box in the crop."""
    (x0, y0, x1, y1), (height, width) = box, image.shape[:2]
    half = max(CLOSER * max(x1 - x0, y1 - y0), MIN_SIDE) / 2
    across, down = (x0 + x1) / 2, (y0 + y1) / 2
    left, right = max(0, int(across - half)), min(width, int(np.ceil(across + half)))
    top, bottom = max(0, int(down - half)), min(height, int(np.ceil(down + half)))
    part = np.ascontiguousarray(image[top:bottom, left:right])
    return part, (x0 - left, y0 - top, x1 - left, y1 - top)


def _scenes(scene: Any) -> VideoScenes:
    """Background images from an image, a file or an earlier run."""
    if isinstance(scene, (str, os.PathLike)):
        path = Path(scene)
        try:
            scene = VideoScenes.load(path) if path.suffix.lower() == LEARNT else read_image(path)
        except DamageError as error:
            raise SourceError(str(error)) from None
    return scene if isinstance(scene, VideoScenes) else VideoScenes.of(Scene.of(as_rgb(scene, "scene")))


def _region(roi: Any) -> npt.NDArray[Any] | None:
    """Region of interest as an array; a file keeps its stored values."""
    if roi is None:
        return None
    if isinstance(roi, (str, os.PathLike)):
        return read_stored_mask(Path(roi), str(roi))
    values = np.asarray(roi.convert("L")) if isinstance(roi, PillowImage.Image) else as_array(roi)
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise ArgumentError(
            f"roi: {kind_of(roi)}; give an array or tensor (H, W), non-zero where there can be foreground, "
            "or an image file"
        )
    return values


def _with_files(frames: Iterable[Frame], depth: str | Path | None, flow: FlowFiles | None) -> Iterator[Frame]:
    """Add depth maps and flow images to frames."""
    maps = None if depth is None else list_images(Path(depth))
    for frame in frames:
        extended = frame if flow is None else replace(frame, flow=flow(frame.index))
        if maps is not None:
            if frame.index >= len(maps):
                raise SourceError(f"{depth}: {len(maps)} depth maps, none for frame {frame.index}")
            path = maps[frame.index]
            extended = replace(extended, depth=read_levels(path, str(path)))
        yield extended


def _check_background(path: Path | None, replace: bool) -> None:
    if path is None:
        return
    if path.suffix.lower() not in (".png", LEARNT):
        raise SinkError(f"{path}: the background is written as .png or {LEARNT}")
    if path.exists() and not replace:
        raise SinkError(f"{path}: exists already; give --overwrite, or another file")
