"""Foreground segmentation: the function behind ``segue foreground``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from segue.api.results import Colour, Layout, Position, Progress, Results, results_of
from segue.entries.detectors import Detector
from segue.flow.providers import FlowName
from segue.jobs.values import ForegroundJob
from segue.models.base import ForegroundNetwork
from segue.models.hofam import HOFAM
from segue.sessions.foreground.segmenters.base import Segmenter
from segue.sessions.foreground.session import ForegroundSession
from segue.types import FollowCamera
from segue.utils.arrays import in_rgb
from segue.utils.keywords import suggests_names
from segue.video import Source
from segue.video.sources.given import SourceLike


@suggests_names
def foreground(
    source: Source | SourceLike,
    *,
    model: str | ForegroundNetwork | HOFAM | Segmenter = "mustan-lite",
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
    stages: Sequence[str] | str | None = None,
    detector: str | Detector | None = "nanodet",
    detector_classes: Sequence[str] | str | None = None,
    follow_camera: FollowCamera | None = None,
    warm_up: int = 0,
    frames: int | None = None,
    fps: float | None = None,
    device: str | int | torch.device | None = None,
    fast: bool = False,
    colour: Colour = "rgb",
    layout: Layout = "thwc",
    max_size: int | None = None,
    start: Position | None = None,
    end: Position | None = None,
    stride: int = 1,
    progress: Progress | None = None,
    keep_images: bool = False,
) -> Results[ForegroundSession]:
    """Segment moving foreground on every frame.

    Args:
        source: any input of :func:`segue.open_source`, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: a name for :func:`segue.load`; ``mog2``, ``knn``, ``median`` (difference to the running median)
            or ``difference`` (to the frame before); a network; or a segmenter of :mod:`segue.sessions`.
        weights: weight file for a network by name.
        flow: optical flow for ``hofam``, ``stam`` and networks trained with flow: ``dis``, ``farneback``,
            ``raft``, or a folder of flow files (:class:`segue.flow.FlowFiles`). None is the flow of the
            training, otherwise ``dis``.
        flow_weights: file of torchvision's ``raft_small``, for ``raft``.
        threshold: probability between 0 and 1 from which a pixel is foreground; None is the model's value.
        roi: region of interest (H, W), non-zero inside: an array, a tensor, a PIL image or a file.
        min_area: remove connected components with fewer pixels; None is 0, or with ``objects`` (shorter
            side / 60)² pixels.
        objects: give each object a constant id from its third frame on; otherwise all foreground is 1.
        shadows: mark shadow as 2 if the model detects it; not with ``objects``.
        scene: background image: ``median`` (running median); your own image as a file or RGB (H, W, 3),
            uint8; or the
            :class:`.video_scenes.VideoScenes` of an earlier run, or their file (.safetensors).
        passes: 2 reads the video twice, first to learn the background of each scene; for models that read a
            background, not for cameras and streams. None is 2 for files and folders with mustan-lite, except
            with a scene, depth or ``follow_camera``; otherwise 1.
        depth: folder of depth maps, one per frame in the order of names, 8 or 16 bits, 0 for unknown; for
            networks trained with ``--depth``.
        short_side: resize larger frames to this short side in pixels; 0 never; None is the model's value,
            mostly 240.
        without: stages to leave out, such as ``["align", "rain"]``; see
            :mod:`segue.sessions.foreground.stage_list`.
        stages: further stages by name, such as those of plug-ins.
        detector: for mustan-lite, the detector with which the stage ``agreement`` compares the foreground: a
            name, or a detector of :func:`segue.detector` whose objects have boxes; None or ``none`` removes
            the stage. See :mod:`segue.sessions.foreground.stages.agreement`.
        detector_classes: classes that this detector looks for; None is people, vehicles, boats and animals.
        follow_camera: for networks with a moving camera: align earlier frames with the current one,
            ``always`` or ``auto`` while the camera pans. None is ``auto`` for mustan-lite in one pass without
            scene and depth; otherwise ``never``. See :class:`.follow.CameraFollower`.
        warm_up: frames at the start of each scene with empty masks.
        frames: window length of mustan2 in frames, an odd number; None is the length of its training.
        fps: read this many frames per second; None is all.
        device: for example ``"cpu"`` or ``"cuda:1"``; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device.
        colour: order of the channels of arrays and tensors, also of ``scene``; ``bgr`` is that of
            ``cv2.imread``.
        layout: axes of arrays and tensors; ``tchw`` has the channels first.
        max_size: maximum longer side in pixels; larger frames are reduced by averaging.
        start: first frame that is read: an int counts frames, a float seconds, a string is either ("250",
            "12.5s", "1:30"). Frames keep the index of the source.
        end: end before this frame, written like ``start``.
        stride: read every ``stride``-th frame.
        progress: called after each result with the number of results so far and the expected number, or None.
        keep_images: keep the image of each result in memory; otherwise :attr:`segue.Segmentation.image` reads
            the frame again if the source allows it.

    Returns:
        An iterator of results with its ``session``, see :class:`segue.api.Results`: one result per frame,
        in order. Networks that read later frames return results some frames later.

    Raises:
        SourceError, PromptError, CheckpointError, FlowError: as described there.
        ArgumentError: an argument has the wrong type, layout or range.
        SegueError: two passes are not possible.

    Example:
        >>> for result in segue.foreground("camera.mp4", objects=True):
        ...     print(result.index, [item.box for item in result.objects])
    """
    arguments = dict(locals())
    if colour == "bgr":
        arguments["scene"] = in_rgb(scene)
    return results_of(ForegroundJob, arguments)
