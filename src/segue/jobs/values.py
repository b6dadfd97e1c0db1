"""Jobs: runs as values that can be checked, compared, written as JSON and carried out anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, TypeAdapter, ValidationError, ValidationInfo, field_validator

from segue.errors import ArgumentError
from segue.inputs import kind_of, parse_json
from segue.jobs.options import ForegroundOptions, InstanceOptions, TrackOptions, Value, error_text
from segue.models.dino import FeatureName
from segue.prompts.detectors import Refinement
from segue.types import Box, Point
from segue.video.identity import SourceIdentity
from segue.video.source import DamagePolicy

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
        start, end, stride, duration, max_size, fps, on_damage: see :func:`segue.open_source`.
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
        label: class or name.
    """

    kind: Literal["mask"] = "mask"
    frame: Frame | None = None
    id: Id = 1
    size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]]
    counts: str
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
        every: look for newcomers every so many frames; None looks only until the first objects are found.
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


class VideoJob(Value):
    """What jobs over the frames of a video have in common.

    Attributes:
        source: where the frames come from.
        model: what takes them.
        outputs: what is written.
        device: where networks run; None takes a GPU if there is one.
        fast: bfloat16 where the hardware has it.
        given: objects of a program that took part; a job with some is run by a program that has them.
    """

    source: VideoSource
    model: Model
    outputs: Outputs = Outputs()
    device: str | None = None
    fast: bool = False
    given: tuple[Given, ...] = ()


class TrackJob(VideoJob):
    """Follow objects through a video: ``segue track``, :func:`segue.track`.

    Attributes:
        prompts: what to follow; empty where the objects are found.
        finding: what finds the objects; None where they are given.
        prompter: what makes masks of boxes and points: a name of the registry, a weight file or ONNX files;
            None is the model, if it takes them itself, else what goes with it: segue-prompt for most.
        refine: ``network`` or ``grabcut`` for the masks of boxes and points.
        fit: resize masks of another size.
        required: indices of the frames whose results are wanted, as in YouTube-VOS; None is all of them.
        options: see :func:`segue.track`.
    """

    kind: Literal["track"] = "track"
    prompts: tuple[PromptValue, ...] = ()
    finding: Finding | None = None
    prompter: Text | None = None
    refine: Refinement | None = None
    fit: bool = False
    required: tuple[Frame, ...] | None = None
    options: TrackOptions = TrackOptions()


class ForegroundJob(VideoJob):
    """Find what moves or does not belong to the scene: ``segue foreground``, :func:`segue.foreground`.

    Attributes:
        flow: what gives optical flow, or a folder of flow files; None is what the network learned with.
        flow_weights: weights of the flow.
        roi: mask file of where to look.
        scene: ``median``, ``mog2``, ``knn`` or a picture file.
        depth: folder of depth maps.
        events: table of objects that come and go.
        zones: regions and lines that are watched for events, see :class:`segue.video.zones.Zone`.
        notify: address that receives each event.
        name_events: detector that says what the object of each event is; None leaves it open.
        snapshots: folder for a picture and a clip of each event.
        background: where the picture of the empty scene goes.
        explain: folder for a strip of pictures for each frame.
        options: see :func:`segue.foreground`.
    """

    kind: Literal["foreground"] = "foreground"
    flow: Text | None = None
    flow_weights: FilePath | None = None
    roi: Text | None = None
    scene: Text = "median"
    depth: Text | None = None
    events: FilePath | None = None
    zones: tuple[str, ...] = ()
    notify: Text | None = None
    name_events: str | None = None
    snapshots: FilePath | None = None
    background: FilePath | None = None
    explain: FilePath | None = None
    options: ForegroundOptions = ForegroundOptions()


class InstancesJob(VideoJob):
    """Find, classify, segment and follow all instances: ``segue instances``, :func:`segue.instances`.

    Attributes:
        names: what the class channels are: ``ytvis2019``, ``ytvis2021`` or an annotation file.
        classes: names or numbers of the classes that are wanted.
        whole: look at the video as one clip, as published.
        explain: folder for a strip of pictures for each frame.
        options: see :func:`segue.instances`.
    """

    kind: Literal["instances"] = "instances"
    names: Text | None = None
    classes: tuple[str, ...] | None = None
    whole: bool = False
    explain: FilePath | None = None
    options: InstanceOptions = InstanceOptions()


Setting = str | int | float | bool | None | tuple[str, ...]


class TrainJob(Value):
    """Train a network: ``segue train``.

    It runs in a process of its own, since a training on several devices starts its program once for each.

    Attributes:
        network: the recipe, as after ``segue train``.
        settings: options of the recipe and the run by their names on the command line; texts become what the
            recipe declares, and what it does not declare or take is refused.
        folder: where the weights go.
        overwrite: replace what is there.
        resume: continue an interrupted training.
    """

    kind: Literal["train"] = "train"
    network: str
    settings: Mapping[str, Setting] = Field(default_factory=dict)
    folder: FilePath
    overwrite: bool = False
    resume: bool = False

    @field_validator("settings")
    @classmethod
    def _declared(cls, settings: Mapping[str, Setting], info: ValidationInfo) -> Mapping[str, Setting]:
        checked: Any = resolve_name("segue_train.running:checked_settings")  # recipes are not in this package
        found: Mapping[str, Setting] = checked(info.data["network"], settings)
        return found


class ExportJob(Value):
    """Write a network as graphs that run without PyTorch: ``segue export``.

    Attributes:
        model: the network.
        folder: where the files go.
        to: format of the graphs.
        overwrite: replace files in the folder.
    """

    kind: Literal["export"] = "export"
    model: Model
    folder: FilePath
    to: Literal["onnx"] = "onnx"
    overwrite: bool = False


class AnnotateJob(Value):
    """Point, look and correct in the browser: ``segue annotate``.

    Attributes:
        film: video file or folder of pictures.
        project: project folder; None is ``segue-out/NAME.project``.
        imports: masks, COCO, YouTube-VIS or CVAT to begin with.
        model: what tracks.
        prompter: what makes masks of clicks: a name of the registry, or a weight file; None is what goes with
            the model.
        device: where networks run.
        port: of the page; 0 takes a free one.
        browser: open the page in the browser.
        classes: what an object may be; empty where it may be anything.
    """

    kind: Literal["annotate"] = "annotate"
    film: FilePath
    project: FilePath | None = None
    imports: tuple[FilePath, ...] = ()
    model: Model = Model(name="stcn-lite")
    prompter: Text | None = None
    device: str | None = None
    port: Annotated[int, Field(ge=0, le=65535)] = 0
    browser: bool = True
    classes: tuple[str, ...] = ()


Job = Annotated[
    TrackJob | ForegroundJob | InstancesJob | TrainJob | ExportJob | AnnotateJob,
    Field(discriminator="kind"),
]
"""One run of any kind; :func:`segue.jobs.run` carries it out."""

_ANY: TypeAdapter[Job] = TypeAdapter(Job)


def to_json(job: Value) -> str:
    """A job as JSON, one line; :func:`from_json` gives an equal one.

    Args:
        job: a job of any kind.

    Returns:
        A JSON object in ASCII, without a line break at the end.
    """
    return json.dumps(values_of(job))


def from_json(text: str) -> Job:
    """The job that :func:`to_json` wrote; the text may come from anywhere.

    Args:
        text: JSON object; its field ``kind`` says which kind of job it is.

    Returns:
        The job, all fields checked, of the class that ``kind`` names.

    Raises:
        ArgumentError: it is no job; the message names the field.
    """
    try:
        return _ANY.validate_python(parse_json(text))
    except ValidationError as errors:
        raise ArgumentError(f"job: {error_text(errors)}") from None
    except ValueError as error:
        raise ArgumentError(f"job: no JSON ({error})") from None


def values_of(job: Value) -> dict[str, Any]:
    """A job as values of JSON.

    Args:
        job: the job.

    Returns:
        Dictionaries, lists, texts, numbers, truth values and None.
    """
    found: dict[str, Any] = _plain(job.model_dump())
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, os.PathLike) else value
