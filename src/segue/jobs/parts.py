"""What jobs are made of: source, model, prompts, outputs, and what a program gave beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PlainValidator

from segue.inputs import kind_of
from segue.jobs.options import Value
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
    """Where the frames of a job come from.

    Attributes:
        place: file, folder, pattern, address or camera number; None where a program gave pictures in memory,
            which ``given`` of the job describes.
        start, end, stride, duration, max_size, fps, on_damage, when_late: see :func:`segue.open_source`.
        identity: what the source was known by when the job was planned; None where nobody looked.
        origin: the address that ``place`` was fetched from; None where it was not.
    """

    place: Text | None
    start: Position = None
    end: Position = None
    stride: int = 1
    duration: Position = None
    max_size: int | None = None
    fps: float | None = None
    on_damage: DamagePolicy = "stop"
    when_late: WhenLate = "newest"
    identity: SourceIdentity | None = None
    origin: Text | None = None


class Model(Value):
    """The network or method of a job.

    Attributes:
        name: as for :func:`segue.load`; of a network that a program gave, the name of its class.
        weights: weight file; None is the one that the network has by itself.
        digest: SHA-256 of the weights when the job was planned; None where nobody looked.
    """

    name: str
    weights: FilePath | None = None
    digest: str | None = None


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


class Finding(Value):
    """What finds objects by itself, and when; see :func:`segue.detector`.

    Attributes:
        name: of the detector; None is the one that comes with segue.
        weights, classes, score, max_objects, features, refine, tiles: see :func:`segue.detector`.
        every: look for new objects every so many frames; None looks only until the first objects are found.
    """

    name: str | None = None
    weights: FilePath | None = None
    classes: tuple[str, ...] | None = None
    score: float | None = None
    max_objects: int | None = None
    features: FeatureName | None = None
    refine: Refinement | None = None
    tiles: int | None = None
    every: Annotated[int | None, Field(ge=1)] = None


class Outputs(Value):
    """What a job writes, and where.

    Attributes:
        folder: output folder, or the file of a single format; None is ``segue-out/NAME``.
        formats: what to write.
        side_by_side: put the plain frame beside the overlay.
        rotate: begin new outputs every ``90s``, ``10min``, ``2h`` ... of a source without an end.
        overwrite: replace existing output.
        resume: continue an interrupted run.
    """

    folder: FilePath | None = None
    formats: tuple[str, ...] = DEFAULT_FORMATS
    side_by_side: bool = False
    rotate: str | None = None
    overwrite: bool = False
    resume: bool = False
