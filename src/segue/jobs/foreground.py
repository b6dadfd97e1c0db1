"""Jobs that find foreground: the session that a job asks for, and the frames that it is given."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image as PillowImage
from torch import nn

from segue.arrays import as_array
from segue.errors import ArgumentError, FlowError, PromptError, SegueError, SinkError, SourceError
from segue.flow import FlowFiles
from segue.inputs import exists, kind_of
from segue.jobs.opened import Inputs, OpenJob, open_video
from segue.jobs.options import ForegroundOptions
from segue.jobs.values import ForegroundJob
from segue.masks import read_stored_mask
from segue.models.base import ForegroundNetwork, foreground_capabilities
from segue.naming import natural_key
from segue.registry import DETECTORS, MODELS
from segue.sessions.background import MaskedMedian
from segue.sessions.backgrounds import Background, FixedBackground
from segue.sessions.detecting import detector
from segue.sessions.film_scenes import LEARNT, FilmScenes, LearntBackground
from segue.sessions.foreground import SHORT_SIDE, ForegroundSession, as_segmenter
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.naming import ObjectNamer
from segue.sessions.networks import check_path, foreground_model
from segue.sessions.segmenters import Segmenter
from segue.sessions.subtractors import Subtractor, SubtractorBackground
from segue.sessions.two_passes import SceneLearner, TwoPasses
from segue.types import BackgroundModel, FlowName, Frame, Refinement, Segmentation
from segue.video import Source
from segue.video.images import IMAGE_SUFFIXES, read_image, write_picture
from segue.video.readers import DamageError, as_rgb
from segue.video.zones import Zone

DEPTH_SUFFIXES = frozenset({".png", ".tif", ".tiff"})


def foreground_session(
    source: Source,
    model: str | ForegroundNetwork | Segmenter,
    options: ForegroundOptions,
    *,
    weights: str | Path | None = None,
    flow: FlowName | str | Path | None = None,
    flow_weights: str | Path | None = None,
    roi: Any = None,
    scene: Any = "median",
    depth: str | Path | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
) -> tuple[ForegroundSession, Iterable[Frame]]:
    """A session that finds foreground as options ask for, and the frames of a source that it is given.

    Takes the arguments of :func:`segue.foreground`.

    Lengths are in pixels, thresholds are probabilities in [0, 1].
    """
    fps = options.fps
    paths = {"weights": weights, "flow_weights": flow_weights, "depth": depth, "flow": flow}
    for name, value in paths.items():
        check_path(name, value)
    if options.passes == 2:
        _check_passes(source, scene)
    background, region = _background(scene), _region(roi)
    threshold, short_side = preferred(model, options.threshold, options.short_side)
    made = foreground_model(model, weights, flow, flow_weights)
    known = None
    if flow is not None and flow not in get_args(FlowName):
        gaps = foreground_capabilities(made).flow_gaps if isinstance(made, nn.Module) else ()
        if not gaps:
            raise FlowError(f"{flow}: only hofam, stam and networks trained with --flow look at flow")
        known = FlowFiles(Path(flow), gaps, source.total)
    masks = ForegroundMasks(
        threshold=threshold,
        roi=region,
        min_area=options.min_area,
        objects=options.objects,
        shadows=options.shadows,
    )
    plain = depth is None and isinstance(scene, str) and scene == "median"
    twice = _twice(options, source, made, plain=plain)
    follow = options.follow_camera
    if follow is None and plain and not twice and isinstance(made, nn.Module):
        follow = "auto" if foreground_capabilities(made).follows_pans else None
    segmenter = as_segmenter(made, device=device, fast=fast)

    def chosen() -> Iterator[Frame]:
        return _chosen_frames(source, fps, depth, known)

    frames: Iterable[Frame] = chosen()
    if twice:
        background = LearntBackground(FilmScenes(), of_this_film=True)
        learner = SceneLearner(segmenter, short_side=short_side or None, without=options.without)
        frames = TwoPasses(learner, chosen, background)
    session = ForegroundSession(
        segmenter,
        background=background,
        masks=masks,
        short_side=short_side or None,
        without=options.without,
        follow_camera=follow,
        warm_up=options.warm_up,
    )
    return session, frames


def _twice(options: ForegroundOptions, source: Source, model: object, *, plain: bool) -> bool:
    """Whether there are two passes: as asked for, or where they were measured to be better.

    ``plain`` says that neither depth nor a scene is given.
    """
    if options.passes is not None:
        return options.passes == 2
    given = not plain or options.follow_camera not in (None, "never")
    if given or not isinstance(model, nn.Module) or source.once or not source.files:
        return False
    return foreground_capabilities(model).two_passes


def _check_passes(source: Source, scene: Any) -> None:
    if source.once:
        raise SegueError(f"{source.name}: can be iterated only once; two passes are for files and folders")
    if not isinstance(scene, str) or scene != "median":
        raise SegueError("two passes learn the empty scene: give either passes=2 or a scene")


def open_foreground(job: ForegroundJob, inputs: Inputs) -> OpenJob:
    """Open the source and load the network of a job; see :func:`segue.jobs.running.open_job`."""
    zones = tuple(Zone.parse(text) for text in job.zones)
    if len({zone.name for zone in zones}) < len(zones):
        raise SegueError("two zones have one name; give each a name of its own")
    needs_events = zones or job.notify or job.snapshots or job.name_events
    if needs_events and job.events is None and "events" not in job.outputs.formats:
        raise SegueError("zones, messages, names and snapshots need events; add --events FILE")
    source = inputs.get("source") or open_video(job.source)
    _check_composites(source)
    _check_background(job.background, job.outputs.overwrite or job.outputs.resume)
    session, frames = foreground_session(
        source,
        inputs.get("model", job.model.name),
        job.options,
        weights=job.model.weights,
        flow=job.flow,
        flow_weights=job.flow_weights,
        roi=inputs.get("roi", job.roi),
        scene=inputs.get("scene", job.scene),
        depth=job.depth,
        device=job.device,
        fast=job.fast,
    )

    source.varies = not isinstance(frames, TwoPasses)

    def finish() -> dict[str, Path]:
        if job.background is None:
            return {}
        _write_background(job.background, session, job.model.name)
        return {"background": job.background}

    total = _expected(source, job.options.fps)
    return OpenJob(
        job,
        session,
        source,
        frames,
        share,
        total=total,
        saves=session.restorable,
        zones=zones,
        name_object=None if job.name_events is None else object_namer(job.name_events, job.device),
        inputs=inputs,
        finish=finish,
    )


def object_namer(name: str, device: str | None) -> ObjectNamer:
    """The labeller of objects by a detector; it computes no masks."""
    entry = DETECTORS.find(name)
    if "classes" not in entry.supported_options:
        classed = ", ".join(other.name for other in DETECTORS if "classes" in other.supported_options)
        raise PromptError(f"{name} knows no classes; events are named by {classed}")
    boxes: Refinement | None = "none" if "refine" in entry.supported_options else None
    return ObjectNamer(detector(name, refine=boxes, device=device))


def _write_background(path: Path, session: ForegroundSession, model: str) -> None:
    picture, scenes = session.background, session.scenes
    if picture is None or scenes is None:
        raise SinkError(f"{path}: {model} makes no image of the empty scene")
    if path.suffix.lower() == LEARNT:
        scenes.save(path)
    else:
        write_picture(path, picture)


def share(result: Segmentation) -> str:
    """Share of foreground in an image, in words."""
    return f"{float((result.mask > 0).mean()):.1%} foreground"


def _background(scene: Any) -> Background:
    """The source of the background image."""
    if isinstance(scene, FilmScenes):
        return LearntBackground(scene)
    if isinstance(scene, str) and scene == "median":
        return MaskedMedian()
    if isinstance(scene, str) and scene in get_args(BackgroundModel):
        return SubtractorBackground(Subtractor(cast("Literal['mog2', 'knn']", scene)))
    if not isinstance(scene, (str, os.PathLike)):
        return FixedBackground(as_rgb(scene, "scene"))
    path = Path(scene)
    if not exists(path):
        raise SourceError(
            f"{scene}: no such image; the scene is median, mog2, knn, an image file or a learnt scene"
        )
    if path.suffix.lower() == LEARNT:
        return LearntBackground(FilmScenes.load(path))
    try:
        return FixedBackground(read_image(path))
    except DamageError as error:
        raise SourceError(str(error)) from None


def _region(roi: Any) -> npt.NDArray[Any] | None:
    """The region of interest as an array; of a file the values that it stores."""
    if roi is None:
        return None
    if isinstance(roi, (str, os.PathLike)):
        return read_stored_mask(Path(roi), str(roi))
    if isinstance(roi, PillowImage.Image):
        return np.asarray(roi.convert("L"))
    values = as_array(roi)
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise ArgumentError(
            f"roi: {kind_of(roi)}; give an array or tensor (H, W), non-zero where there can be foreground, "
            "or an image file"
        )
    return values


def _chosen_frames(
    frames: Iterable[Frame], fps: float | None, depth: str | Path | None, flow: FlowFiles | None
) -> Iterator[Frame]:
    """The frames that are needed, with their depth maps and flow images."""
    maps = None if depth is None else _depth_maps(Path(depth))
    for frame in frames if fps is None else at_rate(frames, fps):
        chosen = frame if flow is None else replace(frame, flow=flow(frame.index))
        if maps is not None:
            if frame.index >= len(maps):
                raise SourceError(f"{depth}: {len(maps)} depth maps, none for frame {frame.index}")
            path = maps[frame.index]
            chosen = replace(chosen, depth=read_stored_mask(path, str(path)))
        yield chosen


def _depth_maps(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder of depth maps")
    maps = (path for path in folder.iterdir() if path.suffix.lower() in DEPTH_SUFFIXES)
    return sorted(maps, key=lambda path: natural_key(path.name))


def preferred(model: object, threshold: float | None, short_side: int | None) -> tuple[float | None, int]:
    """Threshold and short side as asked for, or else as the entry of the model says.

    A threshold of None is that which the network itself names.
    """
    if isinstance(model, str):
        entry = MODELS.find(model)
        threshold = entry.threshold if threshold is None else threshold
        short_side = entry.short_side if short_side is None else short_side
    return threshold, SHORT_SIDE if short_side is None else short_side


def at_rate(frames: Iterable[Frame], fps: float) -> Iterator[Frame]:
    """The frames that are needed for ``fps`` frames a second, by their time stamps."""
    due, before = -math.inf, -math.inf
    for frame in frames:
        if frame.time < before:  # the clock has been set back, as by a camera that starts anew
            due = frame.time
        before = frame.time
        if frame.time + 1e-6 >= due:
            yield frame
            due = due + 1 / fps if due + 1 / fps > frame.time else frame.time + 1 / fps


def _check_composites(source: Source) -> None:
    """Refuse HOFAM's composites, whose flow and labels would be taken for parts of the scene.

    One is known by its first image: 768 x 256 pixels, of which the right third is a grey label.
    """
    if source.size != (256, 768) or not source.files or source.files[0].suffix.lower() not in IMAGE_SUFFIXES:
        return
    try:
        label = read_image(source.files[0])[:, 512:]
    except DamageError:  # reported when the frame is wanted
        return
    grey = bool((label == label[..., :1]).all())
    if grey and float(np.isin(label[..., 0], (0, 255)).mean()) > 0.9:
        raise SourceError(
            f"{source.files[0]}: a composite of HOFAM (frame, flow and label side by side) is no frame; "
            "give the frames, or the folder to `segue run hofam`"
        )


def _check_background(path: Path | None, replace: bool) -> None:
    if path is None:
        return
    if path.suffix.lower() not in (".png", LEARNT):
        raise SinkError(f"{path}: the background is written as .png or {LEARNT}")
    if path.exists() and not replace:
        raise SinkError(f"{path}: exists already; give --overwrite, or another file")


def _expected(source: Source, fps: float | None) -> int | None:
    """Number of frames, for the progress."""
    count = source.frame_count
    if count is None or fps is None or source.fps is None or fps >= source.fps:
        return count
    return round(count * fps / source.fps)
