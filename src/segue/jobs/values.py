"""Jobs: runs as values that can be checked, compared, written as JSON and carried out anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from segue.errors import ArgumentError
from segue.inputs import parse_json
from segue.jobs.options import ForegroundOptions, InstanceOptions, TrackOptions, Value, error_text
from segue.jobs.parts import FilePath, Finding, Frame, Given, Model, Outputs, PromptValue, Text, VideoSource
from segue.prompts.detectors import Refinement


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
    """Annotate in the browser: ``segue annotate``.

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
    """A job as values of JSON."""
    found: dict[str, Any] = _plain(job.model_dump())
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, os.PathLike) else value
