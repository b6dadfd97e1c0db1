"""What an entry says of a network, a detector, a prompter, a format, a data set, a metric or a command.

See :mod:`segue.registry`, where they are found by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    import os
    from collections.abc import Collection
    from datetime import datetime

    from torch import Tensor, device

    from segue.utils.arrays import BoolArray

from segue.types import Box, FeatureName, Frame, Image, Refinement, Segmentation

NetworkTask = Literal["track", "foreground", "instances", "prompt", "detect", "features"]

TASKS: Mapping[NetworkTask, str] = {
    "track": "follow objects",
    "foreground": "find foreground",
    "instances": "find and follow instances",
    "prompt": "answer boxes and clicks",
    "detect": "detect objects",
    "features": "describe images by features",
}
"""What the networks of each task are for, in words."""

PromptKind = Literal["mask", "box", "point"]


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on the network."""

    address: str
    name: str
    sha256: str | None = None
    size: int | None = None
    md5: str | None = None

    @property
    def has_checksum(self) -> bool:
        """Whether the publisher gives one."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One of several weight files of a network; see ``tags`` of :class:`Entry`.

    Attributes:
        bundled, sha256, source, remote, licence, threshold: as those of :class:`Entry`.
        trained_on: what it was trained on, in words.
    """

    bundled: str | None = None
    sha256: str | None = None
    source: str | None = None
    remote: Remote | None = None
    licence: str = ""
    threshold: float | None = None
    trained_on: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A network, or a method without weights.

    Attributes:
        name: the name that users give.
        task: what it is for. The network shows the interface of its task: ``track``
            :class:`segue.models.base.TrackNetwork`, ``foreground``
            :class:`segue.models.base.ForegroundNetwork` or, without weights,
            :class:`segue.sessions.foreground.segmenters.base.Segmenter`, ``instances``
            :class:`segue.models.base.InstanceNetwork`, ``prompt`` that of
            :class:`segue.models.segue_prompt.SeguePrompt`; ``detect`` and ``features`` serve detectors.
        build: makes it with fresh weights; its options, by name, are those that training varies.
        paper: where it was published, or what it derives from.
        licence: terms of the weights.
        signature: a tensor name that files of this network have and files of no other; None for a method
            that has no weights.
        required_key: a further name that its files have, where the signature alone is not enough.
        shape: shape of the signature, where names alone are not enough.
        rename: gives the tensors of the official file, or of a converted one, the names of the network.
        bundled: weight file that comes with the package, relative to ``assets`` of segue or absolute; None
            where the weights are not ours to ship.
        sha256: checksum of the bundled file, or None where it is not pinned.
        source: where the official file comes from, or None where nobody published any.
        remote: the official file, where `segue weights get` can download it.
        trained_by: what to give to ``segue train``, where that is not the name.
        threshold: ``threshold`` of a foreground network, or ``score`` of an instance network, with these
            weights, in 0..1; None is that of its class.
        prompts: kinds of prompts that go into the network as they are; others become masks before. Masks
            always do.
        prompter: the network that makes masks of the other kinds, by its name.
        needs_flow: it looks at optical flow, and shows the interface of :class:`segue.models.hofam.HOFAM`.
        rank: of those whose weights are available, the one of the lowest rank is the default; segue's own
            begin at 1. None never is.
        tags: further weight files by their tags; ``NAME.TAG`` is the network with that file.
        packages: other packages that ``build`` needs, beside those of segue.
        folder: finds the folder of another library from which ``build`` makes the network with its weights,
            or raises CheckpointError; None for networks of segue.
    """

    name: str
    task: NetworkTask
    build: Callable[..., Any]
    paper: str = ""
    licence: str = ""
    signature: str | None = None
    required_key: str | None = None
    shape: tuple[int, ...] | None = None
    rename: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    bundled: str | None = None
    sha256: str | None = None
    source: str | None = None
    remote: Remote | None = None
    trained_by: str | None = None
    threshold: float | None = None
    prompts: frozenset[PromptKind] = frozenset({"mask"})
    prompter: str = "segue-prompt"
    needs_flow: bool = False
    rank: int | None = None
    tags: Mapping[str, WeightFile] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    folder: Callable[[], Path] | None = None

    def tagged(self, tag: str) -> Entry:
        """The entry of one of the network's further weight files, called ``name.tag``."""
        file = self.tags[tag]
        return replace(
            self,
            name=f"{self.name}.{tag}",
            bundled=file.bundled,
            sha256=file.sha256,
            source=file.source,
            remote=file.remote,
            licence=file.licence or self.licence,
            threshold=self.threshold if file.threshold is None else file.threshold,
            rank=None,
            tags={},
        )

    @property
    def training(self) -> str:
        """The command that trains it."""
        return f"segue train {self.trained_by or self.name}"

    @property
    def download_command(self) -> str:
        """The command that downloads its weights, where there is one."""
        return f"segue weights get {self.name}"

    def renamed(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Tensors of a weight file by their names in the network."""
        return tensors if self.rename is None else self.rename(tensors)

    def recognises(self, tensors: Mapping[str, Tensor]) -> bool:
        """Whether tensors, by name, come from a weight file of this network."""
        if self.signature is None:
            return False
        renamed = self.renamed(tensors)
        if self.signature not in renamed or (
            self.required_key is not None and self.required_key not in renamed
        ):
            return False
        return self.shape is None or tuple(renamed[self.signature].shape) == self.shape


class Detector(Protocol):
    """Finds objects in a frame."""

    names: Mapping[int, str]
    """Labels that it gives, by class number; empty where it knows none."""

    lookahead: int
    """Frames after a frame that it looks at as well."""

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        """The objects of a frame, best first; ``lookahead`` frames follow, fewer at the end of a video."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """What a user asks of a detector; None and empty are what suits the detector.

    Attributes:
        weights: weight file.
        classes: labels that are wanted.
        score: least score, in 0..1.
        max_objects: most objects of a frame.
        features, refine, tiles: see :func:`segue.detector`.
        text: phrases to look for.
        device: where it runs; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; detectors may ignore it.
    """

    weights: str | os.PathLike[str] | None = None
    classes: Collection[str] | None = None
    score: float | None = None
    max_objects: int | None = None
    features: FeatureName | None = None
    refine: Refinement | None = None
    tiles: int | None = None
    device: str | int | device | None = None
    text: tuple[str, ...] | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class DetectorEntry:
    """A detector.

    Attributes:
        name: the name that users give.
        build: makes it.
        supported_options: the options of :class:`DetectorOptions` that it understands, in addition to
            ``max_objects`` and ``device``; others are refused. One with ``classes`` alone answers ``text`` by
            its classes.
        network: the entry of its network in the registry of networks, if it has one.
        categories: class names by the numbers that files of results have for them; None are the detector's
            own numbers.
        rank: of those whose weights are available, the one of the lowest rank is the default; segue's own
            begin at 1. None never is.
    """

    name: str
    build: Callable[[DetectorOptions], Detector]
    supported_options: frozenset[str] = frozenset()
    network: str | None = None
    categories: Mapping[int, str] | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class PrompterOptions:
    """What a user asks of a prompter.

    Attributes:
        weights: weight file, or several separated by commas; None is the prompter's own.
        device: where it runs; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; prompters may ignore it.
    """

    weights: str | os.PathLike[str] | None = None
    device: str | int | device | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class PrompterEntry:
    """What makes masks of boxes, clicks and earlier masks on one image.

    Attributes:
        name: the name that users give to ``--prompter``.
        build: makes it, with its network loaded; what it gives makes a ``segue.prompts.ImagePrompter`` of an
            image.
        network: the entry of its network in the registry of networks, if it has one; a weight file of that
            network, given in place of a name, is run by this prompter.
    """

    name: str
    build: Callable[[PrompterOptions], Callable[[Image], Any]]
    network: str | None = None


SQUARE = Fraction(1)
"""Width by height of the pixels of most videos."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """What a run tells the format ``events``.

    Attributes:
        zones: regions and lines of the image that are watched, each a ``segue.events.zones.Zone``.
        rules: which objects and stays are worth an event, a ``segue.events.rules.EventRules``.
        name_object: says what is in a box of an image, label and score, or None.
        notify: address that receives each event, or several, as ``--notify`` takes them.
        snapshots: folder for an image and a clip of each event.
        keep: how long images are kept, a ``segue.events.retention.Retention``; None for ever.
        archive: all parts, a ``segue.events.archive.EventArchive``; None where a run has no other.
        stop_time: says when the run was asked to stop, by ``time.monotonic()``; None while it was not. The
            next one finishes clips that are not complete then, and goes on with objects that stand.
        packets: those of the stream, a ``segue.video.decoding.packets.PacketBuffer``; None has clips encoded.
        memory: what the camera knows of its scene, a ``segue.events.scene.memory.SceneMemory``; None begins
            anew.
        earlier: tables of events of earlier runs, whose objects have left if these runs were killed.
        on_resumed: called with the ``zone-enter`` of objects of an earlier run that go on.
        on_event: called with each :class:`segue.events.sink.Event` as it becomes known.
        on_disk: called with what the disk does not take, ``events`` or ``images``, and why; or an empty text
            where it does again.
        on_clip: called while clips of events are left to encode when all frames are written, see
            :class:`segue.events.images.snapshots.Snapshots`.
    """

    zones: tuple[Any, ...] = ()
    rules: Any = None
    name_object: Callable[[Image, Box], tuple[str, float] | None] | None = None
    notify: str | Sequence[str] | None = None
    snapshots: Path | None = None
    keep: Any = None
    archive: Any = None
    stop_time: Callable[[], float | None] = lambda: None
    packets: Any = None
    memory: Any = None
    earlier: tuple[Path, ...] = ()
    on_resumed: Callable[[Any], None] = lambda _: None
    on_event: Callable[[Any], None] | None = None
    on_disk: Callable[[str, str], None] = lambda *_: None
    on_clip: Callable[[int, int], None] | None = None


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """What a run passes to the sinks that it opens.

    Attributes:
        size: height and width of the source, before its images are reduced; None where it is not known yet,
            as of a camera before its first frame.
        source_size: tells the same when it is called, from the first frame on for every source.
        names: name of each frame of the source without ending, if it has them.
        images: file name of each frame of the source, where these are files.
        fps: frames a second, if known.
        pixel_aspect: width of a pixel by its height, for videos that are written.
        settings: all that the masks depend on, as JSON values.
        side_by_side: show the original frame next to the overlay.
        whole: write the whole mask of each object, also behind others, in formats whose objects may overlap.
        overwrite, resume, append: what to do with the output of an earlier run.
        categories: number of each label, for formats that number classes.
        begin: time in seconds of the source at which videos that are written begin.
        source: name of the source.
        at: tells the date and time of day of a moment of a camera or live stream in seconds; None of others.
        live: the source has no end: what can be written at once is.
        records: gives the entries of a result file of YouTube-VIS, where they are not made of the results.
        events: what concerns the format ``events`` alone.
    """

    size: tuple[int, int] | None = None
    source_size: Callable[[], tuple[int, int] | None] = lambda: None
    names: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    fps: float | None = None
    pixel_aspect: Fraction = SQUARE
    settings: Mapping[str, Any] | None = None
    side_by_side: bool = False
    whole: bool = False
    overwrite: bool = False
    resume: bool = False
    append: bool = False
    categories: Mapping[str, int] = field(default_factory=dict)
    begin: float = 0.0
    source: str = ""
    at: Callable[[float], datetime | None] = lambda _: None
    live: bool = False
    records: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    events: EventSettings = EventSettings()

    def __getattr__(self, name: str) -> Any:
        """What concerns events, by the names that version 0.1.0 documented here."""
        if name not in EventSettings.__dataclass_fields__:
            raise AttributeError(f"{type(self).__name__} has no {name}")
        return getattr(self.events, name)


@dataclass(frozen=True, slots=True)
class SinkEntry:
    """A format of results.

    Attributes:
        name: the name that users give to ``--format``.
        file: its file or folder inside the output folder; the ending of a file tells it from others.
        open: makes the sink that writes to a path, a ``segue.sinks.Sink``.
        needs_frames: whether it draws on the images.
        appends: whether it can go on after what an earlier run of a camera wrote.
        only_shows: whether it only shows results: its failure ends no run of a camera.
    """

    name: str
    file: str
    open: Callable[[Path, SinkOptions], Any]
    needs_frames: bool = False
    appends: bool = False
    only_shows: bool = False

    @property
    def suffix(self) -> str:
        """Ending of its file, or nothing for a folder."""
        return Path(self.file).suffix


LabelKind = Literal["masks", "instances", "videos", "stills"]
"""Kinds of labels: index masks, instances, foreground of still cameras, and masks of still images."""


@dataclass(frozen=True, slots=True)
class DatasetJob:
    """How the videos of a data set are run.

    Attributes:
        command: the command, and kind of job, that runs each video.
        videos: makes a task (``segue.batch.Task``) of each video of a request, with what the data set gives
            of it; regions and links go into the folder.
        model: the network without a name; None is the default of the command.
        format: the format that is scored; None: a video is one clip, and its results are one file.
    """

    command: Literal["track", "foreground", "instances"]
    videos: Callable[[Any, Path, Any], Iterator[Any]]
    model: str | None = None
    format: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreHelp:
    """Help of the command that scores a data set.

    Attributes:
        about: its first line: what is scored, and the measures.
        examples: arguments of the command.
        part: text of the option ``--set``.
        csv: whether it has official result files.
    """

    about: str
    examples: tuple[str, ...] = ()
    part: str | None = None
    csv: bool = False


@dataclass(frozen=True, slots=True)
class DatasetEntry:
    """A data set as its makers publish it, or a layout of folders; segue downloads none of them.

    What ``open``, ``evaluate``, ``job`` and ``options`` leave out is that of its kind of labels, see
    :data:`segue.datasets.catalogue.KINDS`.

    Attributes:
        name: the name that users give.
        title: its name for people.
        address: its page.
        licence: what is known of its terms.
        layout: files that show that a folder holds it.
        fits: whether a folder has them; None: it is no data set that `segue data check` recognises.
        list: what a folder has of it, a
            ``segue.datasets.inventories.Inventory``; None opens it with the reader of its labels.
        videos: opens its videos of still cameras with labels of the foreground, a
            ``segue.datasets.ForegroundFolder``, for ``segue train --data
            NAME=FOLDER`` and ``segue eval NAME``; None where it has none.
        masks: opens its videos with index masks, a ``segue.datasets.files.ByName``, for ``segue run NAME``,
            ``segue eval NAME`` and ``segue train --data NAME=FOLDER`` of networks that follow objects; None
            where it has none.
        instances: opens its training part, videos or images with labelled instances, a
            ``segue.datasets.YTVISDataset``, for the networks of ``segue train`` that find instances, and for
            ``segue run NAME`` and ``segue eval NAME``; None where it has none.
        shadows: whether the labels of ``videos`` tell shadows.
        rendered: whether no camera took the videos.
        kind: labels by which it is run and scored; None: the first of masks, instances and videos that it
            has. Still images are neither run nor scored.
        open: opens the part that a request (``segue.metrics.data_sets.Request``) names.
        evaluate: scores results of a request, and gives a ``segue.metrics.Evaluation``.
        job: how its videos are run.
        options: attributes of a request that mean something to it, apart by spaces.
        expected: names of all its videos, where they are known without its files.
        part: the part that is taken where none is named.
        videos_of: names of the videos of a part of an edition (a year, else empty), and of those that are
            there; None where it has no parts.
        served: a server scores parts of it, whose annotations are not public, and takes a zip of results.
        rules: gives the rules of scoring of ``videos``, see :class:`.cdnet.CdnetProtocol`; None
            are those of CDnet2014.
        help: help of ``segue eval NAME``.
    """

    name: str
    title: str
    address: str
    licence: str
    layout: str
    fits: Callable[[Path], bool] | None = None
    list: Callable[[Path], Any] | None = None
    videos: Callable[[Path], Any] | None = None
    instances: Callable[[Path], Any] | None = None
    masks: Callable[[Path], Any] | None = None
    shadows: bool = False
    rendered: bool = False
    kind: LabelKind | None = None
    open: Callable[[Any], Any] | None = None
    evaluate: Callable[[Path, Any, Callable[[int, int, str], None]], Any] | None = None
    job: DatasetJob | None = None
    options: str | None = None
    expected: tuple[str, ...] = ()
    part: str | None = None
    videos_of: Callable[[Path, str, str], tuple[Sequence[str], Sequence[str]]] | None = None
    served: bool = False
    rules: Callable[[], Any] | None = None
    help: ScoreHelp | None = None

    @property
    def labels(self) -> LabelKind | None:
        """The kind of labels by which it is run and scored; None where it names no reader."""
        kinds: tuple[LabelKind, ...] = ("masks", "instances", "videos")
        return self.kind or next((kind for kind in kinds if getattr(self, kind) is not None), None)


@dataclass(frozen=True, slots=True)
class MetricEntry:
    """A measure of masks beside those of a protocol.

    Attributes:
        name: the name that users give to ``--metric``, and that of its column.
        measure: gives the value of one object on one frame, of the pixels of the result and of the truth,
            (H, W), bool; NaN where it has none.
        about: what it is, in words.
    """

    name: str
    measure: Callable[[BoolArray, BoolArray], float]
    about: str = ""


@dataclass(frozen=True, slots=True)
class StageEntry:
    """A rule of a foreground session around its network.

    Attributes:
        name: the name that users give to ``--stages`` and ``--without``, and that of the stage.
        build: makes it for the segmenter of a session, which has a ``threshold``; gives a
            ``segue.sessions.foreground.stages.base.Stage``.
        of_scene: whether it has no effect on a model that does not look at the empty scene.
    """

    name: str
    build: Callable[[Any], Any]
    of_scene: bool = False


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """A command of ``segue``.

    Attributes:
        name: what is typed after ``segue``.
        help: first line of its help; for commands of other packages the summary of the package.
        load: gives a function for Typer, or a :class:`typer.Typer` with several commands.
    """

    name: str
    help: str
    load: Callable[[], Any]
