"""Find what moves or does not belong to the scene: the function behind ``segue foreground``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from segue.api.results import Progress, Results, results_of
from segue.flow.providers import FlowName
from segue.jobs.describing import Colour
from segue.jobs.values import ForegroundJob
from segue.models.base import ForegroundNetwork
from segue.sessions.foreground import ForegroundSession
from segue.sessions.networks import check_path
from segue.sessions.segmenters import Segmenter
from segue.types import FollowCamera
from segue.video import Source


def foreground(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | ForegroundNetwork | Segmenter = "mustan-lite",
    weights: str | Path | None = None,
    flow: FlowName | str | Path | None = None,
    flow_weights: str | Path | None = None,
    threshold: float | None = None,
    roi: Any = None,
    min_area: int | None = None,
    objects: bool = False,
    shadows: bool = False,
    scene: Any = "median",
    passes: Literal[1, 2] | None = None,
    depth: str | Path | None = None,
    short_side: int | None = None,
    without: Sequence[str] | str | None = None,
    follow_camera: FollowCamera | None = None,
    warm_up: int = 0,
    fps: float | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
    colour: Colour = "rgb",
    progress: Progress | None = None,
) -> Results[ForegroundSession]:
    """Tell foreground from background on every frame.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: a name for :func:`segue.load`; ``mog2``, ``knn``, ``median`` (difference to the running median)
            or ``difference`` (to the frame before); a network; or a segmenter of :mod:`segue.sessions`.
        weights: weight file for a network by name.
        flow: what gives the optical flow to ``hofam``, ``stam`` and networks that were trained with flow:
            ``dis``, ``farneback`` or ``raft``, or the folder of the flow files of another program, see
            :class:`segue.flow.FlowFiles`. None is what the network learned with, else ``dis``.
        flow_weights: file of torchvision's ``raft_small``, for ``raft``.
        threshold: a pixel is foreground from this probability on; None is that of the model.
        roi: (H, W), non-zero where there can be foreground: an array, a tensor, a PIL picture or a file.
        min_area: connected components with fewer pixels are left out; None is 0, or with ``objects`` the area
            of a square of a sixtieth of the shorter side.
        objects: give every moving object an id that stays the same, from its third frame on; else all
            foreground is 1.
        shadows: mark shadow as 2, where the model distinguishes it; not with ``objects``.
        scene: where the picture of the empty scene comes from: ``median`` (running median), ``mog2`` or
            ``knn`` (the model of that method), a picture of your own: a file, or RGB (H, W, 3), uint8, as an
            array, a tensor or a PIL picture; or the :class:`segue.sessions.film_scenes.FilmScenes` of an
            earlier run, or their file (.safetensors).
        passes: with 2 a film is read once to learn the empty scene of each of its parts, and then
            once more for the masks; for models that look at the empty scene, not for cameras and streams.
            None is 2 for files and folders with mustan-lite, unless a scene, depth or a camera to be followed
            is given; else 1.
        depth: folder of depth maps, one for each frame in the order of their names, 8 or 16 bits, 0 where
            nothing is known; for networks that were trained with ``--depth``.
        short_side: reduce larger frames to this short side, with 0 never; None is what suits the model,
            mostly 240.
        without: names of rules to leave out, such as ``["align", "rain"]``; see
            :mod:`segue.sessions.stage_list`.
        follow_camera: for networks and a camera that pans or is carried: bring what was seen before onto the
            current frame, ``auto`` by ``ecc`` while it pans, ``features`` or ``ecc`` always.
            None is ``auto`` for mustan-lite in one pass, unless a scene or depth is
            given; else ``never``. See :class:`segue.sessions.moving_camera.CameraFollower`.
        warm_up: frames at the beginning of each scene whose masks are empty.
        fps: take this many frames a second; None is all.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it.
        colour: order of the channels of arrays and tensors; ``bgr`` is that of ``cv2.imread``.
        progress: called after each result with the number of results so far and the expected one, or None.

    Returns:
        An iterator of results with its ``session``, see :class:`segue.api.Results`: one result per frame,
        in order; those of networks that look ahead come some frames later.

    Raises:
        SourceError, PromptError, CheckpointError, FlowError: as described there.
        ArgumentError: an argument has the wrong type, layout or range.
        SegueError: two passes are asked for where they cannot be made.

    Example:
        >>> for result in segue.foreground("camera.mp4", objects=True):
        ...     print(result.index, [item.box for item in result.objects])
    """
    given = dict(locals())
    for name in ("flow", "flow_weights", "depth"):
        check_path(name, given[name])
    return results_of(ForegroundJob, given)
