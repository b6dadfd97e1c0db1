"""Parts of jobs: source, model, prompts, outputs, and Python objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainValidator

from segue.inputs import kind_of
from segue.jobs.options import Names, Value, by_commas
from segue.options import option
from segue.types import (
    BoxPrompt,
    DamagePolicy,
    FeatureName,
    MaskPrompt,
    PointPrompt,
    Refinement,
    RemovePrompt,
    WhenLate,
)
from segue.video.identity import SourceIdentity

DEFAULT_FORMATS = ("png", "overlay")


def _text(value: object) -> str:
    # pydantic refuses what is no valid Unicode, but names of files need not be.
    if not isinstance(value, (str, os.PathLike)):
        raise ValueError(f"must be a text or a path, not {kind_of(value)}")
    return os.fspath(value) if isinstance(value, str) else str(value)


Text = Annotated[str, PlainValidator(_text)]
"""A text that may be the name of a file."""

FilePath = Annotated[Path, PlainValidator(lambda value: Path(_text(value)))]

SourcePosition = str | int | float | None
"""A place in a source: see :func:`segue.open_source`."""

FrameIndex = Annotated[int, Field(ge=0)]


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
    """Source of the frames of a job; see :func:`segue.open_source`."""

    place: Text | None = option(..., "Source", "source!")
    """Video, image folder, glob, camera number or address."""

    start: SourcePosition = option(None, "Source")
    """First frame: 250, 12.5s or 1:30."""

    end: SourcePosition = option(None, "Source")
    """End before this frame."""

    stride: int = option(1, "Source")
    """Take every so many frames from `--start` on; frames keep the index of the source."""

    duration: SourcePosition = option(None, "Source")
    """End so long after the first frame that is taken: seconds, or "90s", "10min", "1:30:00"."""

    max_size: int | None = option(None, "Source", ge=1)
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
    """Identity of the source when the job was planned, or None."""

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


AnyPrompt = Annotated[MaskPrompt | BoxPrompt | PointPrompt | RemovePrompt, Field(discriminator="kind")]
"""Prompt of one object on a frame, in pixels of the source."""


class Finding(Value):
    """Automatic detection and its interval; see :func:`segue.detector`."""

    name: str | None = option(None, "Objects and events", "with")
    """Detector that finds the objects; `segue detect --help` lists them.  [default: motion; with `--text`
    nanodet, or an open-vocabulary detector of the user's cache]"""

    text: Names | None = option(None, "Objects and events", text=True)
    """Phrases to look for every 5 frames (see `--auto-every`), such as "person, red car"."""

    frames: Annotated[tuple[FrameIndex, ...] | None, BeforeValidator(by_commas)] = option(
        None, "Objects and events", "text-at", text=True
    )
    """Look for the text on these frames only, such as 0,120."""

    classes: Names | None = option(None, "Objects and events", text=True)
    """Labels to keep, such as person,car."""

    score: float | None = option(None, "Objects and events", ge=0, le=1)
    """Least score of an object, in 0..1.  [default: 0.5; of open-vocabulary detectors their own]"""

    max_objects: int | None = option(None, "Objects and events", ge=1)
    """Most objects of a frame, at least 1.  [default: 10 with classes or text, else 1]"""

    every: int | None = option(None, "Objects and events", "auto-every", ge=1)
    """Look for new objects every so many frames.  [default: never]"""

    features: FeatureName | None = option(None)
    """For `lost` and `lost-b16`: `keys`, `queries` or `values` of the last attention.  [default: keys]"""

    refine: Refinement | None = option(None)
    """What draws the mask to the edges; without `--auto`, what makes masks of boxes and points: network
    (segue-prompt) or grabcut.  [default: network; for lost crf]"""

    tiles: int | None = option(None, ge=1, le=8)
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
    """Outputs of a job."""

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
