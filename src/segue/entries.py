"""Registry entries of networks, detectors, prompters, formats, data sets, metrics and commands.

See :mod:`segue.registry`, where they are found by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
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

from segue.types import FeatureName, Frame, Image, Refinement, Segmentation

NetworkTask = Literal["track", "foreground", "instances", "prompt", "detect", "features"]

TASKS: Mapping[NetworkTask, str] = {
    "track": "follow objects",
    "foreground": "find foreground",
    "instances": "find and follow instances",
    "prompt": "answer boxes and clicks",
    "detect": "detect objects",
    "features": "describe images by features",
}
"""Descriptions of the tasks of networks."""

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
        """Whether the publisher states a checksum."""
        return self.sha256 is not None or self.md5 is not None


@dataclass(frozen=True, slots=True)
class WeightFile:
    """One of several weight files of a network; see ``tags`` of :class:`Entry`.

    Attributes:
        bundled, sha256, source, remote, licence, threshold: as for :class:`Entry`.
        trained_on: description of its training data.
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
        name: name for users.
        task: its task. The network has the interface of its task: ``track``
            :class:`segue.models.base.TrackNetwork`, ``foreground``
            :class:`segue.models.base.ForegroundNetwork` or, without weights,
            :class:`segue.sessions.foreground.segmenters.base.Segmenter`, ``instances``
            :class:`segue.models.base.InstanceNetwork`, ``prompt`` that of
            :class:`segue.models.segue_prompt.SeguePrompt`; ``detect`` and ``features`` serve detectors.
        build: creates it with random weights; its options are those that training varies.
        paper: its publication, or the publication it derives from.
        licence: terms of the weights.
        commercial: whether these terms allow commercial use.
        signature: a tensor name that only files of this network have; None for a method without weights.
        required_key: a further name in its files, if the signature is not unique.
        shape: shape of the signature, if the names are not unique.
        rename: renames the tensors of the official file, or of a converted file, to the names of the network.
        bundled: weight file in the package, relative to ``assets`` of segue or absolute; None if the weights
            are not included.
        sha256: checksum of the bundled file; None if it is not pinned.
        source: source of the official file; None if none is published.
        remote: the official file, if `segue weights get` can download it.
        trained_by: argument for ``segue train``, if it is not the name.
        threshold: ``threshold`` of a foreground network, or ``score`` of an instance network, with these
            weights, in 0..1; None is the value of its class.
        prompts: kinds of prompts that the network accepts directly, always including masks; other prompts are
            converted to masks.
        prompter: name of the network that converts the other kinds to masks.
        needs_flow: whether it needs optical flow; it then has the interface of
            :class:`segue.models.hofam.HOFAM`.
        rank: among networks with available weights, the lowest rank is the default; segue's own start at 1.
            None: never.
        tags: further weight files by their tags; ``NAME.TAG`` is the network with that file.
        packages: further packages that ``build`` needs.
        folder: finds the folder of another library from which ``build`` creates the network with its weights,
            or raises CheckpointError; None for networks of segue.
    """

    name: str
    task: NetworkTask
    build: Callable[..., Any]
    paper: str = ""
    licence: str = ""
    commercial: bool = False
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
        """The entry of one of the network's further weight files, with the name ``name.tag``."""
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
        """Command that trains the network."""
        return f"segue train {self.trained_by or self.name}"

    @property
    def download_command(self) -> str:
        """Command that downloads the weights, if any."""
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
    """Its labels by class number; empty for a detector without labels."""

    lookahead: int
    """Number of later frames that it needs for a frame."""

    def __call__(self, frame: Frame, *following: Frame) -> Segmentation:
        """Detect the objects of a frame, best first; ``lookahead``: the next frames, fewer at the end."""


@dataclass(frozen=True, slots=True)
class DetectorOptions:
    """Options of a user for a detector; None and empty are the detector's defaults.

    Attributes:
        weights: weight file.
        classes: labels to keep.
        score: minimum score, in 0..1.
        max_objects: maximum number of objects on a frame.
        features, refine, tiles: see :func:`segue.detector`.
        text: phrases to detect.
        device: device; None selects a GPU if there is one.
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
        name: name for users.
        build: creates it.
        supported_options: its options of :class:`DetectorOptions`, in addition to ``max_objects`` and
            ``device``; other options are refused. A detector with ``classes`` but without ``text`` maps a
            text to its classes.
        network: the entry of its network in the registry of networks, if any.
        categories: class names by their numbers in result files; None uses the detector's numbers.
        rank: among detectors with available weights, the lowest rank is the default; segue's own start at 1.
            None: never.
    """

    name: str
    build: Callable[[DetectorOptions], Detector]
    supported_options: frozenset[str] = frozenset()
    network: str | None = None
    categories: Mapping[int, str] | None = None
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class PrompterOptions:
    """Options of a user for a prompter.

    Attributes:
        weights: weight file, or several separated by commas; None uses the prompter's default.
        device: device; None selects a GPU if there is one.
        fast: half precision or 8-bit integers if they are faster on the device; prompters may ignore it.
    """

    weights: str | os.PathLike[str] | None = None
    device: str | int | device | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class PrompterEntry:
    """Converts boxes, clicks and earlier masks on one image to masks.

    Attributes:
        name: name for ``--prompter``.
        build: loads its network and returns a function that creates a ``segue.prompts.ImagePrompter`` for an
            image.
        network: the entry of its network in the registry of networks, if any; a weight file of that network
            instead of a name selects this prompter.
    """

    name: str
    build: Callable[[PrompterOptions], Callable[[Image], Any]]
    network: str | None = None


SQUARE = Fraction(1)
"""Width by height of the pixels of most videos."""


@dataclass(frozen=True, slots=True)
class EventSettings:
    """Settings of a run for the format ``events``.

    Attributes:
        zones: watched regions and lines of the image, each a ``segue.events.zones.Zone``.
        rules: rules for the objects that cause events, a ``segue.events.rules.EventRules``.
        notify: one or several addresses that receive each event, as for ``--notify``.
        snapshots: folder for an image and a clip of each event.
        keep: limits for stored images, a ``segue.events.store.retention.Retention``; None keeps all.
        packets: packets of the stream, a ``segue.video.decoding.packets.PacketBuffer``; with None, clips are
            encoded.
        memory: the camera's memory of its scene, a ``segue.events.scene.memory.SceneMemory``; None starts
            from scratch.
        publisher: the ``segue.events.publisher.EventPublisher`` of a run that detects the events itself; with
            None, the format ``events`` detects them.
        part: name of the part of the run.
        before, after: seconds of a clip before and after the moment at which its event is known.
        page: returns the address of the cameras' page, for links; empty for none.
    """

    zones: tuple[Any, ...] = ()
    rules: Any = None
    notify: str | Sequence[str] | None = None
    snapshots: Path | None = None
    keep: Any = None
    packets: Any = None
    memory: Any = None
    publisher: Any = None
    part: str = ""
    before: float = 3.0
    after: float = 3.0
    page: Callable[[], str] = str


@dataclass(frozen=True, slots=True)
class EventSinkEntry:
    """Something that receives events.

    Attributes:
        name: its name.
        open: opens a ``segue.events.EventReceiver`` with a ``segue.events.receivers.base.ReceiverContext``;
            None if the run has none.
        schemes: schemes of accepted ``--notify`` addresses, such as ``http``; it then has its own
            thread, and gets what it missed in the next run.
        part: whether each part of a run has one of its own, which writes files.
        rank: of those without addresses lower ranks come first.
        check: refuses an address by SinkError, before the run.
        alerts: whether its messages are for people: one of each visit by default, and none while the camera
            is not armed.
        needs_end: whether it gets the last event of each visit of which it has got another, whatever its
            rules say.
    """

    name: str
    open: Callable[[Any], Any]
    schemes: tuple[str, ...] = ()
    part: bool = False
    rank: int = 100
    check: Callable[[str], object] = lambda _: None
    alerts: bool = False
    needs_end: bool = False


@dataclass(frozen=True, slots=True)
class SinkOptions:
    """Options of a run for its sinks.

    Attributes:
        size: height and width of the source, before its images are resized; None if it is not known yet, as
            for a camera before its first frame.
        source_size: returns this size when called; it is known from the first frame on.
        names: name of each frame of the source without extension, if any.
        images: file name of each frame of the source, if frames are files.
        fps: frames per second, if known.
        pixel_aspect: width of a pixel divided by its height, for written videos.
        sound: sound of the source for written videos, a ``segue.video.decoding.sound.Sound``; None without.
        settings: all settings that affect the masks, as JSON values.
        side_by_side: show the original frame next to the overlay.
        whole: write the whole mask of each object, including hidden parts, in formats whose objects may
            overlap.
        overwrite, resume, append: how to handle the output of an earlier run.
        categories: number of each label, for formats with numbered classes.
        begin: start time of written videos in seconds of the source; None is that of the first frame.
        source: name of the source.
        at: returns the date and time of a moment of a camera or live stream in seconds; None for other
            sources.
        live: whether the source is endless; outputs are then written immediately if possible.
        records: returns the entries of a YouTube-VIS result file, if they do not come from the results.
        events: settings for the format ``events``.
        labels: objects, classes and attributes that are known beforehand, a
            ``segue.formats.labels.Labels``, as of a project; None for a run.
        span: frames from the first to the last one that is written; None if not known.
        count: number of frames of the source; None if not known.
        edge_of: returns the edge of an object, a ``segue.masks.Edge``; None: all edges are hard.
        premultiplied: whether colours of cut-outs are multiplied by their opacity; None is the convention of
            the format.
    """

    size: tuple[int, int] | None = None
    source_size: Callable[[], tuple[int, int] | None] = lambda: None
    names: tuple[str, ...] | None = None
    images: tuple[str, ...] | None = None
    fps: float | None = None
    pixel_aspect: Fraction = SQUARE
    sound: Any = None
    settings: Mapping[str, Any] | None = None
    side_by_side: bool = False
    whole: bool = False
    overwrite: bool = False
    resume: bool = False
    append: bool = False
    categories: Mapping[str, int] = field(default_factory=dict)
    begin: float | None = 0.0
    source: str = ""
    at: Callable[[float], datetime | None] = lambda _: None
    live: bool = False
    records: Callable[[], Sequence[Mapping[str, Any]]] | None = None
    events: EventSettings = EventSettings()
    labels: Any = None
    span: range | None = None
    count: int | None = None
    edge_of: Callable[[int], Any] | None = None
    premultiplied: bool | None = None


@dataclass(frozen=True, slots=True)
class SinkEntry:
    """A format that results are written in.

    Attributes:
        name: name for ``--format``.
        file: its file or folder inside the output folder; the extension of a file identifies the format.
        open: creates the sink that writes to a path, a ``segue.sinks.Sink``; None of a format that is only
            read.
        needs_frames: whether it draws on the images.
        appends: whether it can append to the output of an earlier run of a camera.
        only_shows: whether it only displays results; its failure does not end a camera's run.
    """

    name: str
    file: str = ""
    open: Callable[[Path, SinkOptions], Any] | None = None
    needs_frames: bool = False
    appends: bool = False
    only_shows: bool = False

    @property
    def suffix(self) -> str:
        """Extension of its file; empty for a folder."""
        return Path(self.file).suffix


MaskForm = Literal["exact", "visible", "outlines", "boxes"]
"""How a format stores a mask: all pixels, visible pixels, an outline, or a bounding box."""


@dataclass(frozen=True, slots=True)
class Holds:
    """What a round trip through a format preserves.

    The table of formats in the docs is made from it, and one test checks it for each format.

    Attributes:
        masks: how masks are stored; visible masks do not overlap.
        layers: whether the order in which objects lie on one another comes back.
        max_id: largest id of an object that comes back; 0: objects get new ids.
        void_ids: ids that mean void or white there, and do not come back.
        tracks: whether objects are the same on all frames; else the n-th of a class on each frame is one.
        classes, names, colours, scores, attributes, frame_attributes: whether these come back; the class of
            an object stands for its name where ``names`` is False.
        schema: whether classes and kinds of attributes come back, also those without objects.
        keys: whether shapes with keys stay shapes with keys.
        empty: whether frames that show no object come back as such.
    """

    masks: MaskForm = "exact"
    layers: bool = False
    max_id: int = 0
    void_ids: tuple[int, ...] = ()
    tracks: bool = True
    classes: bool = False
    names: bool = False
    colours: bool = False
    scores: bool = False
    attributes: bool = False
    frame_attributes: bool = False
    schema: bool = False
    keys: bool = False
    empty: bool = False


@dataclass(frozen=True, slots=True)
class Format(SinkEntry):
    """A format of files, for runs, the page, scores, training and Python alike.

    Attributes:
        holds: properties that survive a round trip; None if it is not both written and read.
        sniff: how likely files are of this format, from 0 to 1; takes a ``segue.formats.files.Files``.
        read: reads files of a video, a ``segue.formats.labels.Frames``: gives the objects of each frame as
            ``segue.formats.frames.FrameObjects``, or all together as a ``segue.formats.labels.Labels``; None
            of a format that is only written.
        endings: endings of single files that it reads; folders and zip archives are found out by ``sniff``.
        title: its name for people.
        about: short description of its content.
        group: heading on the page; empty: the page does not offer it.
        export: its name for ``--export`` and the page; that for ``--format`` by default.
        known_only: whether frames without annotation can be left out.
        opacity: whether it holds the opacity of objects, with soft edges: alone or with the colours of the
            frame.
        bits: bits of the colours that it holds at most.
        premultiplied: whether colours are multiplied by their opacity by default.
        in_place: whether files appear in its folder as they are written, so that a run can be resumed; else
            the folder appears when it is complete.
    """

    holds: Holds | None = None
    sniff: Callable[[Any], float] | None = None
    read: Callable[[Any, Any], Iterable[Any]] | None = None
    endings: tuple[str, ...] = ()
    title: str = ""
    about: str = ""
    group: str = ""
    export: str = ""
    known_only: bool = False
    opacity: Literal["none", "alone", "with colours"] = "none"
    bits: int = 8
    premultiplied: bool = False
    in_place: bool = False

    @property
    def export_name(self) -> str:
        """Its name for ``--export`` and the page."""
        return self.export or self.name


LabelKind = Literal["masks", "instances", "videos", "stills"]
"""Kinds of labels: index masks, instances, foreground of fixed cameras, and masks of still images."""


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
        about: its first line: the scored results and the measures.
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
        licence: known terms.
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
        job: how to run its videos.
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
        """Kind of labels, which decides how it is run and scored; None without a reader."""
        kinds: tuple[LabelKind, ...] = ("masks", "instances", "videos")
        return self.kind or next((kind for kind in kinds if getattr(self, kind) is not None), None)


@dataclass(frozen=True, slots=True)
class MetricEntry:
    """A measure of masks in addition to those of a protocol.

    Attributes:
        name: the name that users give to ``--metric``, and that of its column.
        measure: gives the value of one object on one frame, of the pixels of the result and of the truth,
            (H, W), bool; NaN where it has none.
        about: description.
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
        name: name after ``segue``.
        help: first line of its help; for commands of other packages the summary of the package.
        load: returns a function for Typer, or a :class:`typer.Typer` with several commands.
    """

    name: str
    help: str
    load: Callable[[], Any]
