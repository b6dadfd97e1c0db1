"""Find what moves or does not belong to the scene: the function behind ``segue foreground``."""

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

from segue.api.results import Progress, Results
from segue.errors import ArgumentError, FlowError, SegueError, SourceError
from segue.flow import FlowFiles
from segue.flow.providers import FlowName
from segue.inputs import exists, kind_of
from segue.jobs.loop import FrameLoop, no_prompts, prompted
from segue.jobs.options import ForegroundOptions, checked
from segue.masks import read_stored_mask
from segue.models.base import ForegroundNetwork
from segue.naming import natural_key
from segue.registry import MODELS
from segue.sessions.background import MaskedMedian
from segue.sessions.empty_scene import Background, FixedBackground
from segue.sessions.extra_inputs import FlowNetwork
from segue.sessions.foreground import SHORT_SIDE, ForegroundSession, as_segmenter
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.moving_camera import Method, MovingCameraSegmenter
from segue.sessions.networks import check_path, foreground_model
from segue.sessions.segmenters import Segmenter
from segue.sessions.subtractors import Subtractor, SubtractorBackground
from segue.sessions.two_passes import LEARNT, FilmScenes, LearntBackground, SceneLearner, TwoPasses
from segue.types import Frame
from segue.video import Source, open_source
from segue.video.images import read_image
from segue.video.readers import DamageError, as_rgb

DEPTH_SUFFIXES = frozenset({".png", ".tif", ".tiff"})

BackgroundModel = Literal["median", "mog2", "knn"]


def foreground(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | ForegroundNetwork | Segmenter = "mustan-lite",
    weights: str | Path | None = None,
    flow: FlowName | str | Path = "dis",
    flow_weights: str | Path | None = None,
    threshold: float | None = None,
    roi: Any = None,
    min_area: int = 0,
    objects: bool = False,
    shadows: bool = False,
    scene: Any = "median",
    passes: Literal[1, 2] = 1,
    depth: str | Path | None = None,
    short_side: int | None = None,
    align: bool = True,
    follow_camera: Method | None = None,
    warm_up: int = 0,
    fps: float | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
    progress: Progress | None = None,
) -> Results[ForegroundSession]:
    """Tell foreground from background on every frame.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: a name for :func:`segue.load`; ``mog2``, ``knn``, ``median`` (difference to the running median)
            or ``difference`` (to the frame before); a network; or a segmenter of :mod:`segue.sessions`.
        weights: weight file for a network by name.
        flow: what gives the optical flow to ``hofam`` and ``stam``: a name, or the folder of the flow files
            of another program, see :class:`segue.flow.FlowFiles`.
        flow_weights: file of torchvision's ``raft_small``, for ``raft``.
        threshold: a pixel is foreground from this probability on; None is that of the model.
        roi: (H, W), non-zero where there can be foreground: an array, a tensor, a PIL picture or a file.
        min_area: connected pieces with fewer pixels are left out.
        objects: give every connected piece an id that stays the same; else all foreground is 1.
        shadows: mark shadow as 2, where the model tells it; not with ``objects``.
        scene: where the picture of the empty scene comes from: ``median`` (running median), ``mog2`` or
            ``knn`` (the model of that method), a picture of your own: a file, or RGB (H, W, 3), uint8, as an
            array, a tensor or a PIL picture; or the :class:`segue.sessions.two_passes.FilmScenes` of an
            earlier run, or their file (.safetensors).
        passes: with 2 a film is gone through once to learn the empty scene of each of its parts, and then
            once more for the masks; for models that look at the empty scene, not for cameras and streams.
        depth: folder of depth maps, one for each frame in the order of their names, 8 or 16 bits, 0 where
            nothing is known; for networks that were trained with ``--depth``.
        short_side: reduce larger frames to this short side, with 0 never; None is what suits the model,
            mostly 240.
        align: hold the picture of a shaken camera still.
        follow_camera: for a camera that pans or is carried: bring what was seen before onto the current
            frame, ``features`` or ``ecc`` finding the motion; for networks. ``align`` does nothing then. See
            :class:`segue.sessions.moving_camera.MovingCameraSegmenter`.
        warm_up: frames at the beginning of each scene whose masks are empty.
        fps: take this many frames a second; None is all.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it.
        progress: called after each result with the number of results so far and the expected one, or None.

    Returns:
        An iterator of results that knows its session, see :class:`segue.api.Results`: one result per frame,
        in order; those of networks that look ahead come some frames later.

    Raises:
        SourceError, PromptError, CheckpointError, FlowError: as described there.
        ArgumentError: an argument has the wrong type, layout or range.
        SegueError: two passes are asked for where they cannot be made.

    Example:
        >>> for result in segue.foreground("camera.mp4", objects=True):
        ...     print(result.index, [item.box for item in result.objects])
    """
    options = checked(
        ForegroundOptions,
        {
            "threshold": threshold,
            "min_area": min_area,
            "objects": objects,
            "shadows": shadows,
            "short_side": short_side,
            "align": align,
            "follow_camera": follow_camera,
            "warm_up": warm_up,
            "fps": fps,
            "passes": passes,
        },
    )
    if fps is not None and fps <= 0:
        raise ArgumentError(f"fps is {fps}, but must be a number above 0")
    for name, value in {
        "weights": weights,
        "flow_weights": flow_weights,
        "depth": depth,
        "flow": flow,
    }.items():
        check_path(name, value)
    opened = source if isinstance(source, Source) else open_source(source)
    if passes == 2:
        _check_passes(opened, scene)
    background, region = _background(scene), _region(roi)
    threshold, short_side = preferred(model, threshold, short_side)
    made = foreground_model(model, weights, flow, flow_weights)
    known = None
    if flow not in get_args(FlowName):
        if not isinstance(made, FlowNetwork):
            raise FlowError(f"{flow}: only hofam and stam look at flow")
        known = FlowFiles(Path(flow), made.gaps, opened.total)
    if follow_camera is not None:
        if not isinstance(made, nn.Module):
            raise SegueError(
                "follow_camera is for networks: mog2, knn, median and difference need a still camera"
            )
        network = cast(ForegroundNetwork, made)
        made = MovingCameraSegmenter(network, follow_camera, device=device, fast=fast)
    masks = ForegroundMasks(
        threshold=threshold, roi=region, min_area=min_area, objects=objects, shadows=shadows
    )
    align = options.align and follow_camera is None
    segmenter = as_segmenter(made, device=device, fast=fast)

    def chosen() -> Iterator[Frame]:
        return _chosen_frames(opened, fps, depth, known)

    frames: Iterable[Frame] = chosen()
    if passes == 2:
        background = LearntBackground(FilmScenes(), of_this_film=True)
        learner = SceneLearner(segmenter, short_side=short_side or None, align=align)
        frames = TwoPasses(learner, chosen, background)
    session = ForegroundSession(
        segmenter,
        background=background,
        masks=masks,
        short_side=short_side or None,
        align=align,
        warm_up=warm_up,
    )
    loop = FrameLoop(session, prompted(session, no_prompts), copies=not opened.files)
    return Results(session, opened, loop.over(frames), frames=frames, progress=progress)


def _check_passes(source: Source, scene: Any) -> None:
    if source.once:
        raise SegueError(
            f"{source.name}: can be gone through only once; two passes are for files and folders"
        )
    if not isinstance(scene, str) or scene != "median":
        raise SegueError("two passes learn the empty scene: give either passes=2 or a scene")


def _background(scene: Any) -> Background:
    """What gives the picture of the empty scene."""
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
            f"{scene}: no such picture; the scene is median, mog2, knn, a picture file or a learnt scene"
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
    values = roi.detach().cpu().numpy() if hasattr(roi, "detach") else roi
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise ArgumentError(
            f"roi: {kind_of(roi)}; give an array or tensor (H, W), non-zero where there can be foreground, "
            "or a picture file"
        )
    return values


def _chosen_frames(
    frames: Iterable[Frame], fps: float | None, depth: str | Path | None, flow: FlowFiles | None
) -> Iterator[Frame]:
    """The frames that are needed, with their depth maps and flow pictures."""
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
