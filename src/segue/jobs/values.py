"""Jobs: runs as values that can be checked, compared, written as JSON and carried out anywhere."""

from __future__ import annotations

import json
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from segue.errors import ArgumentError, PromptError
from segue.inputs import parse_json
from segue.jobs.parts import (
    AnyPrompt,
    FilePath,
    Finding,
    ForegroundOptions,
    FrameIndex,
    Given,
    InstanceOptions,
    Model,
    Names,
    Outputs,
    Text,
    TrackOptions,
    Value,
    VideoSource,
    error_text,
)
from segue.options import option
from segue.types import Refinement


class VideoJob(Value):
    """Shared fields of jobs over the frames of a video."""

    source: VideoSource
    """Where the frames come from."""

    model: Model
    """What takes them."""

    outputs: Outputs = Outputs()
    """What is written."""

    device: str | None = option(None, "Model")
    """Where networks run: cpu, cuda, cuda:1 ...  [default: a GPU if there is one]"""

    fast: bool = option(False, "Model")
    """Use bfloat16 on GPUs and processors that are faster with it."""

    given: tuple[Given, ...] = ()
    """Objects of a program that took part; a job with some is run by a program that has them."""


class TrackJob(VideoJob):
    """Follow objects through a video: ``segue track``, :func:`segue.track`."""

    kind: Literal["track"] = "track"
    prompts: tuple[AnyPrompt, ...] = ()
    """What to follow; empty where the objects are found."""

    finding: Finding | None = None
    """What finds the objects; None where they are given."""

    prompter: Text | None = option(None, "Objects and events")
    """What makes masks of boxes and points: segue-prompt, grabcut, sam2-tiny or another name of the registry,
    a weight file of one of them, or ENCODER.onnx,DECODER.onnx of SAM, SAM 2, MobileSAM or EfficientSAM.
    [default: the model, if it takes boxes and points itself, else segue-prompt]"""

    refine: Refinement | None = None
    """``network`` or ``grabcut`` for the masks of boxes and points."""

    fit: bool = option(False)
    """Resize masks of another size."""

    required: tuple[FrameIndex, ...] | None = None
    """Indices of the frames whose results are wanted, as in YouTube-VOS; None is all of them."""

    options: TrackOptions = TrackOptions()


def check_prompts(job: TrackJob) -> None:
    """See that a job says what to follow: objects are either given or found, and what makes their masks."""
    if job.finding is not None and (job.prompts or job.prompter is not None):
        raise PromptError(
            "--text and --auto find the objects: leave out --mask, --box, --point, --remove and --prompter"
        )
    if job.finding is None and not any(value.kind != "remove" for value in job.prompts):
        raise PromptError("say what to follow: give --mask, --box, --point or --text, or --auto")
    if job.prompter is not None and job.refine not in (None, "network"):
        raise PromptError(f"--prompter says what makes masks; leave out --refine {job.refine}")
    if job.refine not in (None, "network", "grabcut"):
        raise PromptError(f"--refine {job.refine}: boxes and points take network or grabcut")


class ForegroundJob(VideoJob):
    """Find what moves or does not belong to the scene: ``segue foreground``, :func:`segue.foreground`."""

    kind: Literal["foreground"] = "foreground"
    events: FilePath | None = option(None, "Objects and events")
    """Table of objects that come and go, .csv or .json; sets `--objects`."""

    zones: tuple[str, ...] = option((), "Objects and events", "zone")
    """Region or line to watch for events, such as door=10,20 100,20 100,90 in pixels; two points are a line;
    may be given several times."""

    notify: Text | None = option(None, "Objects and events")
    """Address that receives each event as it happens, with the event as JSON: http:// and https:// by POST,
    mqtt:// and mqtts://HOST/TOPIC by MQTT."""

    name_events: str | None = option(None, "Objects and events")
    """Detector that classifies each object, such as nanodet, at most once for each event."""

    snapshots: FilePath | None = option(None, "Objects and events")
    """Folder for an image and a short clip of each event."""

    roi: Text | None = option(None, "Objects and events")
    """Mask of where to look: anything but black."""

    background: FilePath | None = option(None, "Output")
    """Write the background at the end: its image, .png, or all its statistics for `--scene`, .safetensors."""

    explain: FilePath | None = option(None, "Output")
    """Folder for a strip of images for each frame: the frame, the background with its low and high quantiles,
    its features of the past at each scale, the probability."""

    scene: Text = option("median", "Model")
    """Background: median, mog2, knn, an image, or what `--background` has written."""

    flow: Text | None = option(None)
    """For networks with optical flow: dis, farneback, raft, or a folder of files of another program (.flo,
    PNG of KITTI, flow images)."""

    flow_weights: FilePath | None = option(None)
    """File of torchvision's `raft_small`, for `raft`."""

    depth: Text | None = option(None)
    """Folder of depth maps, one for each frame in the order of their names, 8 or 16 bits, 0 where nothing is
    known; for networks that were trained with `--depth`."""

    options: ForegroundOptions = ForegroundOptions()


class InstancesJob(VideoJob):
    """Find, classify, segment and follow all instances: ``segue instances``, :func:`segue.instances`."""

    kind: Literal["instances"] = "instances"
    classes: Names | None = option(None, "Objects and events", text=True)
    """Classes to keep, separated by commas.  [default: all]"""

    explain: FilePath | None = option(None, "Output")
    """Folder for images of each frame: where the network looks for each object, where its encoder looks at
    each scale, and which frames it reads; not for detectors."""

    whole: bool = option(False, "Model")
    """Look at the video as one clip, as published: its ten best pairs of query and class, as results of
    YouTube-VIS."""

    names: Text | None = option(None)
    """Class channels: ytvis2019, ytvis2021, or an annotation file.
    [default: what the weights say]"""

    options: InstanceOptions = InstanceOptions()


class DetectJob(Value):
    """Find the objects of an image, or of one frame of a video: ``segue detect``."""

    kind: Literal["detect"] = "detect"
    source: VideoSource
    """Image or video; its first frame is looked at."""

    finding: Finding = Finding()
    """What finds the objects."""

    folder: FilePath | None = option(None, "Output", "output,o")
    """Output folder.  [default: segue-out/NAME]"""

    json_file: FilePath | None = option(None, "Output", "json")
    """Write the objects as JSON into this file."""

    overwrite: bool = option(False, "Output")
    """Replace existing output."""

    device: str | None = option(None, "Model")
    """Where networks run: cpu, cuda, cuda:1 ...  [default: a GPU if there is one]"""


Job = Annotated[TrackJob | ForegroundJob | InstancesJob | DetectJob, Field(discriminator="kind")]
"""One run of any kind; :func:`segue.jobs.run` carries it out."""

_ANY: TypeAdapter[Job] = TypeAdapter(Job)


def to_json(job: Value) -> str:
    """A job as JSON, one line; :func:`from_json` gives an equal one.

    Args:
        job: a job of any kind.

    Returns:
        A JSON object in ASCII, without a line break at the end.
    """
    return json.dumps(job.model_dump(mode="json"))


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
