"""Find what moves or does not belong to the scene: the function behind ``segue foreground``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from segue.api import Results
from segue.errors import FlowError, SegueError, SourceError
from segue.flow import FlowFiles, flow_provider
from segue.flow.providers import FlowName
from segue.masks import read_stored_mask
from segue.models.base import ForegroundNetwork
from segue.naming import natural_key
from segue.registry import MODELS
from segue.sessions.background import MaskedMedian
from segue.sessions.empty_scene import Background, FixedBackground
from segue.sessions.extra_inputs import FlowNetwork
from segue.sessions.foreground import SHORT_SIDE, ForegroundSession
from segue.sessions.foreground_masks import ForegroundMasks
from segue.sessions.moving_camera import Method, MovingCameraSegmenter
from segue.sessions.segmenters import Segmenter
from segue.sessions.subtractors import Subtractor, SubtractorBackground
from segue.types import Frame, Image
from segue.video import Source, open_source
from segue.weights import load_for

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
    roi: npt.NDArray[np.generic] | None = None,
    min_area: int = 0,
    objects: bool = False,
    shadows: bool = False,
    scene: BackgroundModel | Image = "median",
    depth: str | Path | None = None,
    short_side: int | None = None,
    align: bool = True,
    follow_camera: Method | None = None,
    warm_up: int = 0,
    fps: float | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
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
        roi: (H, W), non-zero where there can be foreground.
        min_area: connected pieces with fewer pixels are left out.
        objects: give every connected piece an id that stays the same; else all foreground is 1.
        shadows: mark shadow as 2, where the model tells it; not with ``objects``.
        scene: where the picture of the empty scene comes from: the running median, the model of MOG2 or
            KNN, or a picture of your own, RGB (H, W, 3), uint8.
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

    Yields:
        One result per frame, in order; those of networks that look ahead come some frames later.

    Raises:
        SourceError, PromptError, CheckpointError, FlowError: as described there.
        ValueError: a number is out of range.

    Example:
        >>> for result in segue.foreground("camera.mp4", objects=True):
        ...     print(result.index, [item.box for item in result.objects])
    """
    if fps is not None and not 0 < fps < math.inf:
        raise ValueError(f"fps is {fps}, but must be a number above 0")
    opened = source if isinstance(source, Source) else open_source(source)
    threshold, short_side = preferred(model, threshold, short_side)
    made = make_model(model, weights, flow, flow_weights)
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
    masks = ForegroundMasks(threshold=threshold, roi=roi, min_area=min_area, objects=objects, shadows=shadows)
    session = ForegroundSession(
        made,
        background=_background(scene),
        masks=masks,
        short_side=short_side or None,
        align=align and follow_camera is None,
        warm_up=warm_up,
        device=device,
        fast=fast,
    )
    return Results(session, opened, _chosen_frames(opened, fps, depth, known))


def _background(scene: BackgroundModel | Image) -> Background:
    if not isinstance(scene, str):
        return FixedBackground(np.asarray(scene, np.uint8))
    return MaskedMedian() if scene == "median" else SubtractorBackground(Subtractor(scene))


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


def make_model(
    model: str | ForegroundNetwork | Segmenter,
    weights: str | Path | None = None,
    flow: FlowName | str | Path = "dis",
    flow_weights: str | Path | None = None,
) -> ForegroundNetwork | Segmenter:
    """A model by its name; anything else as it is."""
    if not isinstance(model, str):
        return model
    network = load_for("foreground", model, weights)
    if MODELS.find(model).needs_flow:
        in_files = flow not in get_args(FlowName) and Path(flow).is_dir()
        return FlowNetwork(network, None if in_files else flow_provider(flow, flow_weights))
    return cast("ForegroundNetwork | Segmenter", network)


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
