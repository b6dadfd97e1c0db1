"""What jobs are made of: source, model, prompts, outputs, and what a program gave beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from segue.inputs import kind_of
from segue.jobs.options import Value, option
from segue.models.dino import FeatureName
from segue.prompts.detectors import Refinement
from segue.types import Box, Point
from segue.video.identity import SourceIdentity
from segue.video.source import DamagePolicy, WhenLate

DEFAULT_FORMATS = ("png", "overlay")


def _text(value: object) -> str:
    # pydantic refuses what is no valid Unicode, but names of files need not be.
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be a text or a path, not {kind_of(value)}")
    return os.fspath(value) if isinstance(value, str) else str(value)


Text = Annotated[str, PlainValidator(_text)]
"""A text that may be the name of a file."""

FilePath = Annotated[Path, PlainValidator(lambda value: Path(_text(value)))]

Position = str | int | float | None
"""A place in a source: see :func:`segue.open_source`."""

Frame = Annotated[int, Field(ge=0)]
Id = Annotated[int, Field(ge=1, le=65535)]


class Given(Value):
    """An object of a Python program that took part in a job: an array, an iterator, a network, a function.

    JSON does not hold such objects. The record of the job says what they were, and the job can be run again
    by a program that has them.

    Attributes:
        argument: what it was given as: ``source``, ``model``, ``prompter``, ``detector``, ``roi``, ``scene``,
            ``names`` or ``required``.
        type: its class, with the module.
        shape: of an array or tensor; of frames (T, H, W, 3), with those that have a result.
        dtype: of an array or tensor.
        digest: SHA-256, hexadecimal: of an array over its values; of frames over the pixels of those that
            have a result, in order; of a network over its weights, see
            :class:`segue.weights.identity.WeightsIdentity`. None where nobody looked, or it is not known.
    """

    argument: str
    type: str
    shape: tuple[int, ...] | None = None
    dtype: str | None = None
    digest: str | None = None


class VideoSource(Value):
    """Where the frames of a job come from; see :func:`segue.open_source`."""

    place: Text | None = option(..., "Source", "source!")
    """Video, image folder, glob, camera number or address."""

    start: Position = option(None, "Source")
    """First frame: 250, 12.5s or 1:30."""

    end: Position = option(None, "Source")
    """End before this frame."""

    stride: int = option(1, "Source")
    """Take every so many frames from `--start` on; frames keep the index of the source."""

    duration: Position = option(None, "Source")
    """End so long after the first frame that is taken: seconds, or "90s", "10min", "1:30:00"."""

    max_size: int | None = option(None, "Source")
    """Bound on the longer side in pixels; larger frames are reduced by averaging."""

    fps: float | None = None
    """Frames a second of sources that have no clock."""

    on_damage: DamagePolicy = option("stop", "Source")
    """A frame that cannot be read: "stop" ends with an error after the frames before it, "skip" leaves it
    out, "hold" repeats the frame before it; both of these warn."""

    when_late: WhenLate = option("newest", "Source")
    """A camera or live stream that is faster than its frames are taken: "newest" drops the oldest frames that
    wait, "all" takes every frame and falls behind."""

    identity: SourceIdentity | None = None
    """What the source was known by when the job was planned; None where nobody looked."""

    origin: Text | None = None
    """The address that ``place`` was fetched from; None where it was not."""


class Model(Value):
    """The network or method of a job."""

    name: str = option(..., "Model", "model")
    """Network or method by name, as for :func:`segue.load`; of one that a program gave, its class."""

    weights: FilePath | None = option(None, "Model")
    """Weight file, converted or official."""

    digest: str | None = None
    """SHA-256 of the weights when the job was planned; None where nobody looked."""


class MaskFile(Value):
    """Masks in a file: indexed, or binary.

    Attributes:
        frame: frame index; None is the first frame of the source.
        id: of the one object in the file; None takes the ids of the file, or of several files 1, 2, ...
        path: the file.
        digest: SHA-256 of the file when the job was planned; None where nobody looked.
    """

    kind: Literal["file"] = "file"
    frame: Frame | None = None
    id: Id | None = None
    path: Text
    digest: str | None = None


class MaskValue(Value):
    """The mask of one object, as COCO's compressed run lengths.

    Attributes:
        frame: frame index; None is the first frame of the source.
        id: of the object.
        size: height and width.
        counts: run lengths down the columns, see :mod:`segue.masks.rle`.
        iou: what a prompter that made the mask expects of it, in [0, 1]; None where a person gave it.
        label: class or name.
    """

    kind: Literal["mask"] = "mask"
    frame: Frame | None = None
    id: Id = 1
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    counts: str
    iou: Annotated[float, Field(ge=0, le=1)] | None = None
    label: str | None = None


class BoxValue(Value):
    """A box around one object, in pixels of the source; see :class:`segue.BoxPrompt`."""

    kind: Literal["box"] = "box"
    frame: Frame | None = None
    id: Id = 1
    box: Box
    fill: bool = False
    label: str | None = None


class PointValue(Value):
    """Points on one object and beside it, in pixels of the source; see :class:`segue.PointPrompt`."""

    kind: Literal["point"] = "point"
    frame: Frame | None = None
    id: Id = 1
    positive: tuple[Point, ...] = ()
    negative: tuple[Point, ...] = ()
    label: str | None = None


class RemoveValue(Value):
    """The object is followed no longer from this frame on."""

    kind: Literal["remove"] = "remove"
    frame: Frame | None = None
    id: Id


PromptValue = Annotated[
    MaskFile | MaskValue | BoxValue | PointValue | RemoveValue, Field(discriminator="kind")
]
"""The prompts of one object on a frame."""


def _found_names(value: object) -> object:
    """Labels in a list, also as one text with commas."""
    if not isinstance(value, str):
        return value
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    if not names:
        raise ValueError("must be names separated by commas, such as person,car")
    return names


class Finding(Value):
    """What finds objects by itself, and when; see :func:`segue.detector`."""

    name: str | None = option(None, "Objects and events", "with")
    """Detector that finds the objects; `segue detect --help` lists them.  [default: motion]"""

    classes: Annotated[tuple[str, ...] | None, BeforeValidator(_found_names)] = option(
        None, "Objects and events", text=True
    )
    """Labels to keep, such as person,car."""

    score: float | None = option(None, "Objects and events")
    """Least score of an object, in 0..1.  [default: 0.5]"""

    max_objects: int | None = option(None, "Objects and events")
    """Most objects of a frame, at least 1.  [default: 10 with classes, else 1]"""

    every: int | None = option(None, "Objects and events", "auto-every", ge=1)
    """Look for new objects every so many frames.  [default: never]"""

    features: FeatureName | None = option(None)
    """For `lost` and `lost-b16`: `keys`, `queries` or `values` of the last attention.  [default: keys]"""

    refine: Refinement | None = option(None)
    """What draws the mask to the edges; without `--auto`, what makes masks of boxes and points: network
    (segue-prompt) or grabcut.  [default: network; for lost crf]"""

    tiles: int | None = option(None, ge=1)
    """For `nanodet`, 1 to 8: look also at so many overlapping parts a side, for small objects in large
    images.  [default: the whole alone]"""

    weights: FilePath | None = option(None, "Advanced", "detector-weights")
    """Weight file of the detector."""


def _formats(value: object) -> object:
    """Names of formats in a list; each may hold several with commas."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        return value
    return tuple(dict.fromkeys(name.strip() for item in value for name in item.split(",")))


class Outputs(Value):
    """What a job writes, and where."""

    folder: FilePath | None = option(None, "Output", "output,o")
    """Output folder, or the file of a single format.  [default: segue-out/NAME]"""

    formats: Annotated[tuple[str, ...], BeforeValidator(_formats)] = option(
        DEFAULT_FORMATS, "Output", "format"
    )
    """What to write, also several with commas.  [default: png and overlay]"""

    side_by_side: bool = option(False, "Output")
    """Put the plain frame beside the overlay."""

    rotate: str | None = option(None, "Output")
    """Begin new outputs every 90s, 10min, 2h ... of a source without an end."""

    overwrite: bool = option(False, "Output")
    """Replace existing output."""

    resume: bool = option(False, "Output")
    """Continue an interrupted run."""
