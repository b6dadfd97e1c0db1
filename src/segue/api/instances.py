"""Find, classify, segment and follow all instances: the function behind ``segue instances``."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch

from segue.api.results import Progress, Results
from segue.jobs.describing import Colour, described, model_value, opened_source, source_value
from segue.jobs.instances import as_class_names, default_model, prepare_instances
from segue.jobs.options import InstanceOptions, checked
from segue.jobs.prepared import Objects
from segue.jobs.values import InstancesJob
from segue.models.base import InstanceNetwork
from segue.sessions.detected import DetectionSession
from segue.sessions.detecting import as_classes
from segue.sessions.instances import InstanceSession
from segue.sessions.networks import check_path
from segue.video import Source


def instances(
    source: Source | str | Path | int | Iterable[Any],
    *,
    model: str | InstanceNetwork | None = None,
    weights: str | Path | None = None,
    names: Mapping[int, str] | str | Path | None = None,
    classes: Collection[str] | str | None = None,
    score: float | None = None,
    top: int = 10,
    window: int | None = None,
    overlap: int = 3,
    short_side: int | None = None,
    device: str | torch.device | None = None,
    fast: bool = False,
    colour: Colour = "rgb",
    progress: Progress | None = None,
) -> Results[DetectionSession | InstanceSession]:
    """Find every instance of a video of any length, say what it is, and follow it.

    The video is looked at in windows of frames that overlap; on the frames that two windows share, objects
    are known again. Memory does not grow with the video.

    Args:
        source: anything :func:`segue.open_source` takes, such as a file, a folder, a camera's number or
            address, or a list of RGB arrays.
        model: name for :func:`segue.load`, or a network. ``maskrcnn+stcn-lite`` has a detector look every
            ``window`` frames, and a network for tracking follow what it finds. None is what
            :func:`segue.jobs.instances.default_model` names.
        weights: weight file for a network by name, or for the detector.
        names: names of the class channels, where the weight file does not have them: by number, or
            ``ytvis2019``, ``ytvis2021`` or an annotation file.
        classes: names or numbers of the classes to keep, in a list or separated by commas; None is
            all that have a name.
        score: least class score of an object, in 0..1; None is what suits the network, 0.3 for the published
            ones, and for detectors 0.5.
        top: most objects of a window, or of a detection.
        window: frames that are processed together, or from one detection to the next; None is 10, of
            detectors 5.
        overlap: frames that neighbouring windows share; not for detectors.
        short_side: pictures are resized to this short side for the network, None is the one that it was made
            for; not for detectors.
        device: for example ``"cpu"`` or ``"cuda:1"``; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it; a detector itself stays in float32.
        colour: order of the channels of arrays and tensors; ``bgr`` is that of ``cv2.imread``.
        progress: called after each result with the number of results so far and the expected one, or None.

    Returns:
        An iterator of results with its ``session``, see :class:`segue.api.Results`: one result per frame,
        in order, ``window - 1`` frames or less after its frame was read. The objects carry their class as
        label.

    Raises:
        SourceError, CheckpointError: as described there.
        PromptError: there is no such class.
        ArgumentError: an argument has the wrong type or range.

    Example:
        >>> for result in segue.instances("street.mp4", classes=["person"]):
        ...     print(result.index, [(item.id, item.label, item.box) for item in result.objects])
    """
    given = {"score": score, "top": top, "window": window, "overlap": overlap, "short_side": short_side}
    options = checked(InstanceOptions, given)
    opened = opened_source(source, colour)
    if model is None:
        check_path("weights", weights)
        model = default_model(weights)
    place, frames = source_value(opened)
    named, network = model_value(model, weights)
    known = names if isinstance(names, Mapping) else None
    objects = Objects(source=opened, model=None if isinstance(model, str) else model, names=known)
    wanted = as_classes(classes)
    as_class_names(names)
    job = checked(
        InstancesJob,
        {
            "source": place,
            "model": named,
            "names": None if known is not None else names,
            "classes": None if wanted is None else tuple(wanted),
            "options": options,
            "device": None if device is None else str(device),
            "fast": fast,
            "given": (*frames, *network, *described(names=known)),
        },
    )
    prepared = prepare_instances(job, objects)
    session = cast("DetectionSession | InstanceSession", prepared.session)
    return Results(job, session, prepared, objects, progress=progress)
