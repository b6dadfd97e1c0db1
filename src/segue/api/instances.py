"""Video instance segmentation: the function behind ``segue instances``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import torch

from segue.api.results import Colour, Layout, Position, Progress, Results, results_of
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.sessions.detected import DetectionSession
from segue.sessions.instances import InstanceSession
from segue.sessions.networks import check_path
from segue.sessions.official import WholeVideoSession
from segue.utils.keywords import suggests_names
from segue.video import Source
from segue.video.sources.given import SourceLike
from segue.weights.default import default_model


@suggests_names
def instances(
    source: Source | SourceLike,
    *,
    model: str | InstanceNetwork | None = None,
    weights: str | Path | None = None,
    names: Mapping[int, str] | str | Path | None = None,
    classes: Collection[str | int] | str | None = None,
    score: float | None = None,
    top: int = 10,
    window: int | None = None,
    overlap: int = 3,
    short_side: int | None = None,
    whole: bool = False,
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
) -> Results[DetectionSession | InstanceSession | WholeVideoSession]:
    """Detect, classify, segment and track all instances of a video of any length.

    The network reads overlapping windows of frames and matches objects on the shared frames. Memory does not
    grow with the length of the video.

    Args:
        source: any input of :func:`segue.open_source`, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: name for :func:`segue.load`, or a network. ``maskrcnn+stcn-lite`` runs a detector every
            ``window`` frames and tracks its objects with a tracking network. None is
            :func:`segue.weights.default.default_model`.
        weights: weight file for a network by name, or for the detector.
        names: class names by channel number, if the weight file has none; or
            ``ytvis2019``, ``ytvis2021`` or an annotation file.
        classes: names or numbers of the classes to keep, in a list or separated by commas; None keeps all
            classes with a name.
        score: lowest class score in [0, 1]; None is 0.3 for the published networks, 0.5 for detectors, or the
            value of the network.
        top: maximum number of objects per window or detection.
        window: frames per window, or between two detections; None is 10, or 5 with detectors.
        overlap: frames shared by neighbouring windows; not for detectors.
        short_side: resize frames to this short side in pixels; None is the network's value; not for
            detectors.
        whole: process the video as one clip before the first result, as published; memory grows with its
            length. ``save(formats="ytvis")`` writes the ten best pairs of query and class.
        device: for example ``"cpu"`` or ``"cuda:1"``; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; detectors: float32.
        colour: order of the channels of arrays and tensors; ``bgr`` is that of ``cv2.imread``.
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
        in order, at most ``window - 1`` frames after its frame was read. ``label`` of an object is its class.

    Raises:
        SourceError, CheckpointError: as described there.
        PromptError: there is no such class.
        ArgumentError: an argument has the wrong type or range.

    Example:
        >>> for result in segue.instances("street.mp4", classes=["person"]):
        ...     print(result.index, [(item.id, item.label, item.box) for item in result.objects])
    """
    arguments = dict(locals())
    if model is None:
        check_path("weights", weights)
        arguments["model"] = default_model(weights, detectors=not whole)
    return results_of(InstancesJob, arguments)
