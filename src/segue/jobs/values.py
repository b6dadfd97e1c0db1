"""Jobs as values: checked, compared, written as JSON and run anywhere."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from numbers import Integral
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from segue.errors import ArgumentError, CheckpointError, PromptError
from segue.events.options import EventOptions
from segue.options import FilePath, OptionModel, RuntimeObject, Text, by_commas, option
from segue.prompt_inputs.texts import PROMPT_FORMS
from segue.prompt_types import AnyPrompt
from segue.registry import MODELS
from segue.types import FeatureName, FlowName, FollowCamera, MemoryPolicy, Refinement
from segue.utils.inputs import kind_of, parse_json
from segue.video.sources.identity import VideoSource as VideoSource
from segue.weights.default import commercial_model

V = TypeVar("V", bound=OptionModel)


SettingValue = str | int | float | bool | None


def _settings(value: object) -> object:
    """Settings as a mapping, also from texts ``NAME=VALUE``."""
    if value is None or isinstance(value, Mapping):
        return value or {}
    if not isinstance(value, Sequence) or not all(isinstance(text, str) for text in value):
        raise ValueError("must be a mapping from names to values")
    pairs = [text.partition("=") for text in value]
    if wrong := [name for name, sign, _ in pairs if not (name and sign)]:
        raise ValueError(f"must be NAME=VALUE; {wrong[0]} has no value")
    return {name: setting_of(text) for name, _, text in pairs}


def setting_of(text: str) -> SettingValue:
    """Parse the value of a setting: a number, true, false, none, or text."""
    try:
        value = parse_json({"none": "null"}.get(text.lower(), text.lower()))
    except ValueError:
        return text
    return value if value is None or isinstance(value, (bool, int, float)) else text


def _as_names(value: object) -> object:
    """Convert names and numbers of a list to names."""
    if not isinstance(value, Collection) or isinstance(value, (str, Mapping)):
        return by_commas(value)
    return by_commas([str(each) if isinstance(each, Integral) else each for each in value])


Names = Annotated[tuple[str, ...], BeforeValidator(_as_names), Field(min_length=1)]
"""Names in a list, also as one text with commas; numbers count as names."""


FrameIndex = Annotated[int, Field(ge=0)]


class Model(OptionModel):
    """Network or method of a job."""

    name: str = option(..., "Model", "model")
    """Network or method by name, as for :func:`segue.load`; for tracking also hf:OWNER/NAME of the Hugging
    Face Hub. For a network of a program, its class."""

    weights: FilePath | None = option(None, "Model")
    """Weight file, converted or official."""

    network: RuntimeObject | None = None
    """Network of a program; ``name`` is then its class."""

    digest: str | None = None
    """SHA-256 of the weights when the job was planned; None if not computed."""

    @classmethod
    def of(cls, network: Any, weights: Path | None = None) -> Model:
        """Make a model from a name or a network.

        Args:
            network: a name for :func:`segue.load`, or a network.
            weights: weight file for a name; None uses the default.

        Returns:
            The model; that of a network has the name of its class.
        """
        if isinstance(network, str):
            return checked(cls, {"name": network, "weights": weights})
        return cls(name=type(network).__name__, network=RuntimeObject.of(network))

    @property
    def choice(self) -> Any:
        """The network object if there is one, otherwise the name."""
        return self.name if self.network is None else self.network.value


class DetectorConfig(OptionModel):
    """Automatic detection and its interval; see :func:`segue.detector`."""

    name: str | None = option(None, "Objects and events", "with")
    """Detector that finds the objects; `segue detect --help` lists them.  [default: motion; with `--text`
    nanodet, or an open-vocabulary detector in the user's cache]"""

    text: Names | None = option(None, "Objects and events", text=True)
    """Phrases to detect every 5 frames (see `--auto-every`), such as "person, red car"."""

    frames: Annotated[tuple[FrameIndex, ...] | None, BeforeValidator(by_commas)] = option(
        None, "Objects and events", "text-at", text=True
    )
    """Detect the text only on these frames, such as 0,120."""

    classes: Names | None = option(None, "Objects and events", text=True)
    """Labels to keep, such as person,car."""

    score: float | None = option(None, "Objects and events", ge=0, le=1)
    """Minimum score of an object, in 0..1.  [default: 0.5; open-vocabulary detectors have other defaults]"""

    max_objects: int | None = option(None, "Objects and events", ge=1)
    """Maximum number of objects on a frame.  [default: 10 with classes or text, otherwise 1]"""

    every: int | None = option(None, "Objects and events", "auto-every", ge=1)
    """Detect new objects every N frames.  [default: never]"""

    features: FeatureName | None = option(None, "Advanced")
    """For `lost` and `lost-b16`: `keys`, `queries` or `values` of the last attention.  [default: keys]"""

    refine: Refinement | None = option(None, "Advanced")
    """Method that refines the mask: network (segue-prompt) or none for box detectors, crf or none for lost.
    [default: network; for lost crf]"""

    tiles: int | None = option(None, "Advanced", ge=1, le=8)
    """For `nanodet`: also run on N x N overlapping tiles, N from 1 to 8, for small objects in large images.
    [default: only the whole image]"""

    weights: FilePath | None = option(None, "Advanced", "detector-weights")
    """Weight file of the detector."""

    detector: RuntimeObject | None = None
    """Detector of a program, instead of a name."""


DEFAULT_FORMATS = ("png", "overlay")


def _by_ending(values: Any) -> Any:
    """Choose the format from the ending of an output file, unless formats are given."""
    if isinstance(values, Mapping) and values.get("formats") is None:
        from segue.sinks.outputs import format_of  # it opens decoders

        folder = values.get("folder")
        file_format = format_of(folder) if isinstance(folder, (str, os.PathLike)) else None
        values = {name: value for name, value in values.items() if name != "formats"}
        return values if file_format is None else {**values, "formats": (file_format,)}
    return values


class Outputs(OptionModel):
    """Outputs of a job."""

    _formats = model_validator(mode="before")(_by_ending)

    folder: FilePath | None = option(None, "Output", "output,o")
    """Output folder, or the file of a single format.  [default: segue-out/NAME]"""

    formats: Annotated[tuple[str, ...] | None, BeforeValidator(by_commas)] = option(None, "Output", "format")
    """Formats to write, separated by commas.  [default: png and overlay; for a file, the format of its
    extension; for a camera or live stream with `--events`, only the events with images]"""

    side_by_side: bool = option(False, "Output")
    """Show the original frame next to the overlay."""

    whole: bool = option(False, "Output", "whole-masks")
    """Write the whole mask of each object, including hidden parts, in coco, coco-polygons, ytvis, mot and
    yolo. Other formats contain only the visible part.  [default: the visible part]"""

    sound: bool = option(True, "Output")
    """Copy the sound of a video file into overlays and cut-out videos, and that of a camera into clips."""

    rotate: str | None = option(None, "Output")
    """Start new outputs every 90s, 10min, 2h ...; for live sources."""

    append: bool | None = option(None, "Output")
    """Continue after earlier runs of a camera or live stream: new events and images are appended, and other
    outputs get a folder named by the start time.  [default: on if only `--events` is written]"""

    overwrite: bool = option(False, "Output")
    """Replace existing output."""

    resume: bool = option(False, "Output")
    """Continue an interrupted run."""

    if TYPE_CHECKING:  # callers may have texts and lists

        def __init__(
            self,
            *,
            folder: str | os.PathLike[str] | None = None,
            formats: str | Sequence[str] | None = None,
            side_by_side: bool = False,
            whole: bool = False,
            sound: bool = True,
            rotate: str | None = None,
            append: bool | None = None,
            overwrite: bool = False,
            resume: bool = False,
        ) -> None: ...


class TrackOptions(OptionModel):
    """Options of tracking; None is the published value of the network."""

    mem_every: int | None = option(None, "Model", ge=1)
    """Interval between memory frames.  [default: set by the network]"""

    top_k: Annotated[
        Annotated[int, Field(ge=1)] | Literal["published"] | None,
        BeforeValidator(lambda value: value or None),
    ] = option("published", "Model")
    """Memory positions that each query reads; 0 reads all.  [default: set by the network]"""

    include_last: bool | None = option(None, "Model")
    """Read the previous frame as well.  [default: as published]"""

    memory_frames: int | None = option(None, "Model", ge=1)
    """Maximum number of memory frames.  [default: set by the network]"""

    memory_policy: MemoryPolicy | None = option(None, "Model")
    """`usage` evicts the least read frame first, `fifo` the oldest; `all` keeps all frames.
    [default: set by the network]"""

    max_jump: float | None = option(None, "Advanced", "max-jump,reach", ge=0, lt=1)
    """Remove small pieces farther from an object's last mask than this share of the diagonal; 0 keeps them.
    [default: set by the network]"""

    short_side: int | None = option(None, "Model", ge=0)
    """Resize larger images to this short side for the network; 0 keeps their size.
    [default: set by the network]"""

    flip_tta: bool = option(False, "Advanced", "flip-tta,careful")
    """Also track in the mirrored image, and average both; doubles the time."""

    reverse: bool = option(False, "Objects and events")
    """Also track each object backwards, from its first prompt to the first frame."""

    settings: Annotated[Mapping[str, SettingValue], BeforeValidator(_settings)] = option(
        None, "Advanced", "setting", default_factory=dict
    )
    """Further setting of the network; `segue weights list MODEL` lists the settings. NAME=VALUE"""


class ForegroundOptions(OptionModel):
    """Options of foreground segmentation."""

    objects: bool = option(False, "Objects and events")
    """Give every moving object a constant id from its third frame on. Without it, all foreground is 1."""

    min_area: int | None = option(None, "Objects and events", ge=0)
    """Remove connected components with fewer pixels.
    [default: 0; with `--objects` (shorter side / 60)² pixels]"""

    shadows: bool = option(False, "Objects and events")
    """Mark shadow as 2 if the model detects shadow; not with `--objects`."""

    threshold: float | None = option(None, "Model", gt=0, lt=1)
    """Pixels with at least this probability, between 0 and 1, are foreground.  [default: set by the model]"""

    passes: int | None = option(None, "Model", ge=1, le=2)
    """2 first learns the background of the whole video.  [default: 2 for mustan-lite with files]"""

    short_side: int | None = option(None, "Model")
    """Resize larger frames to this short side; 0 keeps their size.
    [default: depends on the model, mostly 240]"""

    without: Annotated[tuple[str, ...], BeforeValidator(lambda value: by_commas(value or ""))] = option(
        (), "Advanced", text=True
    )
    """Stages to remove, separated by commas, such as align,rain,shadows."""

    stages: Annotated[tuple[str, ...], BeforeValidator(lambda value: by_commas(value or ""))] = option(
        (), "Advanced", text=True
    )
    """Stages to add, separated by commas, such as those of plug-ins."""

    detector: Text | RuntimeObject | None = option("nanodet", "Advanced")
    """Detector with which the stage agreement compares the foreground of mustan-lite; none removes it."""

    detector_classes: Annotated[
        tuple[str, ...] | None, BeforeValidator(lambda value: by_commas(value) if value else None)
    ] = option(None, "Advanced", text=True)
    """Classes that this detector looks for, separated by commas.
    [default: people, vehicles, boats and animals]"""

    follow_camera: FollowCamera | None = option(None, "Advanced")
    """For networks: compensate camera motion never, always, or (auto) during pans.
    [default: auto for mustan-lite in one pass]"""

    warm_up: int = option(0, "Advanced", ge=0)
    """Number of frames at the start of each scene with empty masks."""

    frames: int | None = option(None, "Advanced", ge=3)
    """Window length of mustan2 in frames.  [default: as in its training]"""

    fps: float | None = option(None, "Source", gt=0)
    """Process this many frames per second.  [default: all]"""


class InstanceOptions(OptionModel):
    """Options of instance segmentation; None is the default of the network."""

    score: float | None = option(None, "Objects and events", ge=0, le=1)
    """Minimum class score of an object.  [default: 0.3; msstsvis-lite 0.35, detectors 0.5]"""

    top: int = option(10, "Objects and events", ge=1)
    """Maximum number of objects in a window or detection."""

    window: int | None = option(None, "Model", ge=1)
    """Frames in a window, or between detections.  [default: 10; detectors 5]"""

    overlap: int = option(3, "Model", ge=0)
    """Frames shared by neighbouring windows; not for detectors."""

    short_side: int | None = option(None, "Model", ge=1)
    """Resize images to this short side for the network.  [default: 360; msstsvis-lite 320]"""


class VideoJob(OptionModel):
    """Shared fields of jobs over the frames of a video."""

    kind: Literal["track", "foreground", "instances"]
    source: VideoSource
    """Source of the frames."""

    model: Model
    """Network or method that processes them."""

    outputs: Outputs = Outputs()
    """Files to write."""

    device: str | None = option(None, "Model")
    """Device for networks: cpu, cuda, cuda:1 ...  [default: a GPU if there is one]"""

    fast: bool = option(False, "Model")
    """Use half precision or 8-bit integers if they are faster on the device."""

    forms: str | None = None
    """Digest of the layer algorithms used on a CPU; None before the job has run."""


Licence = Literal["any", "commercial"]
"""Terms that weights must have."""


def _commercial(values: Any) -> Any:
    """Restrict a tracking job to networks for commercial use if its ``licence`` asks for it."""
    if not isinstance(values, Mapping) or values.get("licence") != "commercial" or "model" not in values:
        return values
    model_value = values["model"]
    model = model_value if isinstance(model_value, Model) else Model.model_validate(model_value)
    prompter = values.get("prompter")
    is_custom = prompter is not None and (not isinstance(prompter, str) or prompter not in MODELS)
    if model.network is not None or model.weights is not None or is_custom:
        raise CheckpointError(
            "licence: the terms of your own networks and weight files are not known; leave out licence"
        )
    if values.get("finding") is not None:
        raise CheckpointError(
            "licence: no detector has weights that allow commercial use for boxes and masks; give prompts"
        )
    entry = MODELS.find(commercial_model(model.name))
    kinds = {item["kind"] if isinstance(item, Mapping) else item.kind for item in values.get("prompts", ())}
    if prompter is None and kinds - entry.prompts - {"remove"}:
        prompter = None if MODELS.find(entry.prompter).commercial else entry.prompter
    replaced = {"prompter": None if prompter is None else commercial_model(prompter)}
    return {**values, "model": model.model_copy(update={"name": entry.name}), **replaced}


class TrackJob(VideoJob):
    """Track objects through a video: ``segue track``, :func:`segue.track`."""

    _terms = model_validator(mode="before")(_commercial)

    kind: Literal["track"] = "track"
    prompts: tuple[Annotated[AnyPrompt, Field(discriminator="kind")], ...] = ()
    """Prompts of the objects; empty if a detector finds them."""

    finding: DetectorConfig | None = None
    """Detector that finds the objects; None if they have prompts."""

    prompter: Text | RuntimeObject | None = option(None, "Objects and events")
    """Network that segments boxes and points: segue-prompt, sam2-tiny or another name of the registry, or a
    weight file of such a network.
    [default: the model if it accepts boxes and points, otherwise segue-prompt]"""

    licence: Licence = option("any", "Model")
    """Terms of the weights: any or commercial. Commercial replaces networks by the same networks with weights
    that allow commercial use, such as stcn-lite-free; without such weights, the job is refused."""

    fit: bool = option(False, "Advanced")
    """Resize masks that differ in size from the video."""

    required: (
        Annotated[tuple[FrameIndex, ...], AfterValidator(lambda frames: tuple(sorted(frames)))] | None
    ) = None
    """Indices of the frames whose results are required, as in YouTube-VOS; None for all frames."""

    options: TrackOptions = TrackOptions()


def check_prompts(job: TrackJob) -> None:
    """Raise PromptError unless a job has either prompts or a detector."""
    if job.finding is not None and (job.prompts or job.prompter is not None):
        raise PromptError(
            "--text and --auto find the objects: leave out "
            f"{', '.join(f'--{kind}' for kind in PROMPT_FORMS)} and --prompter"
        )
    if job.finding is None and not any(value.kind != "remove" for value in job.prompts):
        kinds = ", ".join(f"--{kind}" for kind in PROMPT_FORMS if kind != "remove")
        raise PromptError(f"say what to follow: give {kinds} or --text, or --auto")


class ForegroundJob(EventOptions, VideoJob):
    """Find what moves or is not background: ``segue foreground``, :func:`segue.foreground`."""

    kind: Literal["foreground"] = "foreground"
    roi: Text | RuntimeObject | None = option(None, "Objects and events")
    """Mask of the region to process; black pixels are ignored."""

    background: FilePath | None = option(None, "Output")
    """Save the background at the end: its image (.png) or all its statistics for `--scene` (.safetensors)."""

    explain: FilePath | None = option(None, "Output")
    """Folder for a strip of images per frame: the frame, the background with its low and high quantiles, the
    temporal features at each scale, the probability."""

    scene: Text | Literal["median"] | RuntimeObject = option("median", "Model")
    """Background: median, an image, or a file saved by `--background`."""

    flow: Text | FlowName | None = option(None, "Advanced")
    """For networks with optical flow: dis, farneback, raft, or a folder of flow files (.flo, KITTI PNG, flow
    images)."""

    flow_weights: FilePath | None = option(None, "Advanced")
    """File of torchvision's `raft_small`, for `raft`."""

    depth: Text | None = option(None, "Advanced")
    """Folder of depth maps, one per frame in the order of their names, with 8 or 16 bits and 0 for unknown
    depth; for networks trained with `--depth`."""

    options: ForegroundOptions = ForegroundOptions()


def _clip_format(values: Any) -> Any:
    """Choose the result format of YouTube-VIS for a JSON file of a whole-clip job."""
    if not (isinstance(values, Mapping) and values.get("whole") and values.get("outputs")):
        return values
    outputs = values["outputs"]
    by_ending = Outputs(folder=dict(outputs).get("folder")).formats
    # Outputs that were made before had their format filled in.
    unsaid = by_ending if isinstance(outputs, Outputs) else None
    if by_ending != ("coco",) or dict(outputs).get("formats") != unsaid:
        return values
    return {**values, "outputs": {**dict(outputs), "formats": ("ytvis",)}}


class InstancesJob(VideoJob):
    """Find, classify, segment and track all instances: ``segue instances``, :func:`segue.instances`."""

    _format = model_validator(mode="before")(_clip_format)

    kind: Literal["instances"] = "instances"
    classes: Names | None = option(None, "Objects and events", text=True)
    """Classes to keep, separated by commas.  [default: all]"""

    explain: FilePath | None = option(None, "Output")
    """Folder for an image of each frame with the network's sampling points for each object; not for
    detectors."""

    whole: bool = option(False, "Model")
    """Process the video as one clip, as published, and keep the ten best pairs of query and class. Without
    `--format`, YouTube-VIS results are written; other formats show the confident results."""

    names: Text | Literal["ytvis2019", "ytvis2021"] | RuntimeObject | None = option(None, "Advanced")
    """Class channels: ytvis2019, ytvis2021, or an annotation file.
    [default: from the weights]"""

    options: InstanceOptions = InstanceOptions()


Job = Annotated[TrackJob | ForegroundJob | InstancesJob, Field(discriminator="kind")]
"""One run of any kind; :func:`segue.jobs.run` carries it out."""

_ANY: TypeAdapter[Job] = TypeAdapter(Job, config=ConfigDict(defer_build=True))


def checked(kind: type[V], values: Mapping[str, Any], names: Mapping[str, str] | None = None) -> V:
    """Validate options; ``names`` map fields to the caller's names, such as ``options.fps``."""
    try:
        return kind(**values)
    except ValidationError as errors:
        wrong = PromptError if errors.errors()[0]["loc"][:1] == ("prompts",) else ArgumentError
        raise wrong(error_text(errors, names or {}).removeprefix("options.")) from None


def error_text(errors: ValidationError, names: Mapping[str, str] = MappingProxyType({})) -> str:
    """Text of pydantic's first error: field, value and expectation.

    ``names`` are those of fields, where they are not called by their place.
    """
    first = errors.errors(include_url=False)[0]
    place = place_text(first["loc"])
    place, value = names.get(place, place), first["input"]
    if first["type"] == "union_tag_invalid":
        expected = first["ctx"]["expected_tags"].replace("'", "")
        return f"{place}{place and ': '}kind is {first['ctx']['tag']!r}, but must be one of {expected}"
    if first["type"] == "union_tag_not_found":
        return f"{place}{place and ': '}kind: is missing"
    if not place:
        return f"{kind_of(value)}; give a JSON object"
    if first["type"] == "extra_forbidden":
        return f"{place}: there is no such field"
    if first["type"] == "missing":
        return f"{place}: is missing"
    value_text = (
        repr(value) if isinstance(value, (str, int, float)) and len(repr(value)) < 60 else kind_of(value)
    )
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input ").removeprefix("Value ")
    message = message.partition(", unable")[0].partition(" after validation")[0]
    if first["type"] == "value_error" and isinstance(value, Mapping):  # the message names what it is about
        return message
    text = f"{place} is {value_text}, but {message}".replace("should be", "must be")
    return text.replace("greater than or equal to", "at least").replace("less than or equal to", "at most")


_KINDS = frozenset({"track", "foreground", "instances"})
_TRIED = ("literal[", "function-", "constrained-", "int")
"""Prefixes that pydantic adds to the location of errors in fields of several types."""


def place_text(loc: Sequence[int | str]) -> str:
    """Location of an invalid value as text: ``source.stride``, ``prompts[0]: frame``."""
    parts = [part for part in loc if not str(part).startswith(_TRIED)]
    if len(parts) > 1 and parts[0] in _KINDS:
        parts = parts[1:]
    numbers = [place for place, part in enumerate(parts) if isinstance(part, int)]
    if not numbers:
        return ".".join(map(str, parts))
    last = numbers[-1]
    item = f"{'.'.join(map(str, parts[:last]))}[{parts[last]}]"
    fields = parts[last + 1 :]
    if len(fields) > 1:  # the first is the kind of the item
        fields = fields[1:]
    return f"{item}: {'.'.join(map(str, fields))}" if fields else item


def to_json(job: OptionModel) -> str:
    """Convert a job to one line of JSON; :func:`from_json` restores an equal job.

    Args:
        job: a job of any kind.

    Returns:
        A JSON object in ASCII, without a line break at the end.
    """
    return json.dumps(job.model_dump(mode="json"))


def from_json(text: str) -> Job:
    """Read a job from :func:`to_json`; the text may be untrusted.

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
