"""Registries by name, to which other packages can add.

There is one registry for each kind of thing: networks, detectors, prompters, formats, receivers of events,
data sets, metrics, stages and commands.
An entry says of one thing what is needed to choose and to run it; nothing outside the thing's own module asks
for its class. Entries come from three places, which differ in nothing else:

* segue's own, from ``ENTRIES`` of the modules that each registry names;
* installed packages, from the entry point group of the registry (``segue.models`` and so on); the name of an
  entry point is the name of its entry, so that only used entries are imported;
* the running program, from :func:`register`.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path, PurePath
from pkgutil import iter_modules
from typing import Any, Generic, TypeVar

from segue.entries.commands import CommandEntry as CommandEntry
from segue.entries.datasets import DatasetEntry as DatasetEntry
from segue.entries.datasets import MetricEntry as MetricEntry
from segue.entries.detectors import DetectorEntry as DetectorEntry
from segue.entries.detectors import DetectorOptions as DetectorOptions
from segue.entries.detectors import PrompterEntry as PrompterEntry
from segue.entries.detectors import PrompterOptions as PrompterOptions
from segue.entries.events import EventSettings as EventSettings
from segue.entries.events import EventSinkEntry as EventSinkEntry
from segue.entries.formats import Format as Format
from segue.entries.formats import Holds as Holds
from segue.entries.formats import SinkEntry as SinkEntry
from segue.entries.formats import SinkOptions as SinkOptions
from segue.entries.networks import TASKS as TASKS
from segue.entries.networks import Entry as Entry
from segue.entries.networks import NetworkTask as NetworkTask
from segue.entries.networks import PromptKind as PromptKind
from segue.entries.networks import WeightFile as WeightFile
from segue.entries.stages import StageEntry as StageEntry
from segue.errors import ArgumentError, CheckpointError, DatasetError, PromptError, SegueError, SinkError
from segue.utils.inputs import kind_of
from segue.utils.lazy import LazyCallable

AnyEntry = (
    Entry
    | DetectorEntry
    | PrompterEntry
    | SinkEntry
    | EventSinkEntry
    | DatasetEntry
    | MetricEntry
    | StageEntry
    | CommandEntry
)
T = TypeVar("T", bound=AnyEntry)


@dataclass(eq=False)
class Registry(Generic[T]):
    """Entries by name.

    Attributes:
        kind: class of the entries.
        group: entry point group.
        noun: noun for an entry in messages.
        modules: modules of segue with ``ENTRIES``.
        error: raised for names that are unknown.
        older_group: entry point group of before, whose entries are taken as well.
        wrap: converts the object of an entry point to an entry, if it is none.
        describe: creates an entry from a self-explanatory name, or returns None.
        registered: names that :meth:`register` added, which other processes do not know.
    """

    kind: type[T]
    group: str
    noun: str
    modules: tuple[str, ...]
    error: type[SegueError] = SegueError
    older_group: str | None = None
    wrap: Callable[[EntryPoint], T] | None = None
    describe: Callable[[str], T | None] = lambda _: None
    registered: set[str] = field(default_factory=set)

    def register(self, entry: T) -> T:
        """Add an entry to this process.

        Args:
            entry: the entry; its name must be free.

        Returns:
            The entry.

        Raises:
            SegueError: the name is taken.
        """
        if entry.name in self.names:
            raise self.error(f"there is a {self.noun} called {entry.name!r} already")
        self._entries[entry.name] = entry
        self.registered.add(entry.name)
        return entry

    def unregister(self, name: str) -> None:
        """Remove an entry that :meth:`register` added.

        Args:
            name: its name.
        """
        del self._entries[name]
        self.registered.discard(name)

    @property
    def names(self) -> tuple[str, ...]:
        """All names, segue's own first; nothing of other packages is imported."""
        return (*self._entries, *self._points)

    @property
    def added(self) -> tuple[str, ...]:
        """Names of entries added by this process and installed packages."""
        return (*sorted(self.registered), *self._points)

    def find(self, name: str, fitting: Callable[[], Iterable[str]] | None = None) -> T:
        """Find an entry, and import the package that adds it if need be.

        Args:
            name: name of the entry, for a network also ``name.tag``.
            fitting: returns the names that an error lists; by default all.

        Returns:
            The entry.

        Raises:
            SegueError: there is none of that name, or its package cannot be imported.
        """
        if not isinstance(name, str):
            raise self.error(f"{self.noun}: {kind_of(name)}; give a name: {', '.join(self.names)}")
        if name in self._entries:
            return self._entries[name]
        if (described := self.describe(name)) is not None:
            return described
        base, _, tag = name.rpartition(".")
        if name not in self._points and base in self:
            entry = self.find(base)
            if isinstance(entry, Entry) and tag in entry.tags:
                return entry.tagged(tag)  # type: ignore[return-value]
            if isinstance(entry, Entry):
                tags = ", ".join(entry.tags) or "none"
                raise self.error(f"{base} has no weights with the tag {tag!r}; its tags are: {tags}")
        if name not in self._points:
            is_path = self.noun == "network" and (os.sep in name or PurePath(name).suffix in _WEIGHT_SUFFIXES)
            hint = "; give the name of its network, and the file as the weights" if is_path else ""
            names = [*(self.names if fitting is None else fitting())]
            from difflib import get_close_matches  # for errors alone

            close = get_close_matches(name.lower(), names, 1)
            hint += f"; did you mean {close[0]}?" if close else ""
            raise self.error(f"no {self.noun} is called {name!r}{hint}; known are {', '.join(names)}")
        return self._load(self._points[name])

    def __contains__(self, name: object) -> bool:
        if name in self._entries or name in self._points:
            return True
        if isinstance(name, str) and self.describe(name) is not None:
            return True
        base, _, tag = name.rpartition(".") if isinstance(name, str) else ("", "", "")
        entry = self.find(base) if base in self._entries or base in self._points else None
        return isinstance(entry, Entry) and tag in entry.tags

    def __iter__(self) -> Iterator[T]:
        """All entries, segue's own first; those that cannot be imported give a warning."""
        yield from tuple(self._entries.values())
        for name in self._points:
            try:
                yield self.find(name)
            except SegueError as error:
                warnings.warn(str(error), stacklevel=2)

    @cached_property
    def _entries(self) -> dict[str, T]:
        """Entries of segue itself and of this process."""
        return {entry.name: entry for module in self.modules for entry in import_module(module).ENTRIES}

    @cached_property
    def _points(self) -> dict[str, EntryPoint]:
        """Entry points of installed packages by name; a name that is taken keeps its first owner."""
        points: dict[str, EntryPoint] = {}
        groups = [group for group in (self.group, self.older_group) if group]
        installed = _installed(tuple(sys.path))
        for point in (point for group in groups for point in installed.select(group=group)):
            if point.name in self._entries or point.name in points:
                duplicate = f"{_package(point)}: there is a {self.noun} called {point.name!r} already"
                warnings.warn(duplicate, stacklevel=2)
            else:
                points[point.name] = point
        return points

    def _load(self, point: EntryPoint) -> T:
        if self.wrap is not None:
            return self.wrap(point)
        entry = _imported(point, self.error)
        if not isinstance(entry, self.kind) or entry.name != point.name:
            raise self.error(
                f"{point.name} of {_package(point)} ({self.group}) must be an entry of that name, a "
                f"segue.registry.{self.kind.__name__}"
            )
        return entry


@cache
def _installed(_: tuple[str, ...]) -> Any:
    """Entry points of all packages in the folders of a search path, read once for all registries."""
    return entry_points()  # its class depends on the version of Python


def _imported(point: EntryPoint, error: type[SegueError]) -> Any:
    try:
        return point.load()
    except Exception as cause:  # whatever a foreign module runs into while it is imported
        raise error(
            f"{point.name} of {_package(point)} ({point.group}) cannot be imported: "
            f"{type(cause).__name__}: {cause}"
        ) from cause


def _command(point: EntryPoint) -> CommandEntry:
    """A command of another package, described by the summary of the package."""
    summary = None if point.dist is None else point.dist.metadata["Summary"]
    return CommandEntry(
        point.name, summary or f"A command of {_package(point)}.", partial(_imported, point, SegueError)
    )


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _modules_of(package: str) -> list[str]:
    """Names of the modules of a package of segue, which is not imported."""
    folder = Path(__file__).parent.joinpath(*package.split(".")[1:])
    return sorted(each.name for each in iter_modules([str(folder)]))


_WEIGHT_SUFFIXES = frozenset({".safetensors", ".pth", ".pt", ".ckpt", ".pkl", ".npz"})

_NETWORKS = ("segue.weights.catalogue", "segue.sessions.foreground.segmenters.methods")

MODELS = Registry(
    Entry,
    "segue.models",
    "network",
    _NETWORKS,
    CheckpointError,
    describe=LazyCallable("segue.models.hub:video_entry"),
)
DETECTORS = Registry(DetectorEntry, "segue.detectors", "detector", ("segue.prompts.catalogue",), PromptError)
PROMPTERS = Registry(PrompterEntry, "segue.prompters", "prompter", ("segue.prompts.prompters",), PromptError)
_FORMAT_FILES = {
    "png": ("segue.formats.png", "masks"),
    "overlay": ("segue.formats.overlay", "overlay.mp4"),
    "davis": ("segue.formats.davis", "davis"),
    "coco": ("segue.formats.coco", "coco.json"),
    "coco-images": ("segue.formats.coco", "coco"),
    "ytvis": ("segue.formats.coco", "ytvis.json"),
    "coco-polygons": ("segue.formats.coco", "coco-polygons.json"),
    "mot": ("segue.formats.mot", "mot.txt"),
    "mots": ("segue.formats.mot", "mots.txt"),
    "prores": ("segue.formats.cutouts", "cutout.mov"),
    "webm": ("segue.formats.cutouts", "cutout.webm"),
    "cutouts": ("segue.formats.cutouts", "cutouts"),
    "png16": ("segue.formats.cutouts", "cutouts16"),
    "yolo": ("segue.formats.yolo", "yolo"),
    "npz": ("segue.formats.npz", "masks.npz"),
    "cdnet": ("segue.formats.cdnet", "cdnet"),
    "cvat": ("segue.formats.cvat", "cvat.xml"),
    "labelstudio": ("segue.formats.label_studio", "labelstudio"),
    "labelme": ("segue.formats.labelme", "labelme"),
    "via": ("segue.formats.via", "via.json"),
    "exr": ("segue.formats.exr", "exr"),
    "matte": ("segue.formats.mattes", "matte"),
    "events": ("segue.events.entries", "events.csv"),
}
"""Module of each format, which is imported when the format is used, and its file in an output folder."""


class _ImportedEntries(dict[str, T]):
    """Entries by name; those of segue are imported from their modules on first use."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        super().__init__()
        self._modules = dict(modules)
        self.update(dict.fromkeys(modules))  # type: ignore[arg-type]  # None until it is imported

    def __getitem__(self, name: str) -> T:
        if super().__getitem__(name) is None:
            for entry in import_module(self._modules[name]).ENTRIES:
                if super().get(entry.name, entry) is None:
                    self[entry.name] = entry
        return super().__getitem__(name)

    def values(self) -> Any:
        return [self[name] for name in self]


class FormatRegistry(Registry[SinkEntry]):
    """Formats by name; a format of segue is imported when it is used."""

    def files(self) -> Iterator[tuple[str, str]]:
        """Name of each format, and its file or folder in an output folder."""
        for name in self.names:
            if name in _FORMAT_FILES:
                yield name, _FORMAT_FILES[name][1]
        external = [entry for name, entry in self._entries.items() if name not in _FORMAT_FILES]
        external += [entry for name in self._points if (entry := self._importable(name)) is not None]
        yield from ((entry.name, entry.file) for entry in external)

    def _importable(self, name: str) -> SinkEntry | None:
        """Import a format of another package; None with a warning if that fails."""
        try:
            return self.find(name)
        except SegueError as error:
            warnings.warn(str(error), stacklevel=3)
            return None

    @cached_property
    def _entries(self) -> dict[str, SinkEntry]:
        return _ImportedEntries({name: module for name, (module, _) in _FORMAT_FILES.items()})


FORMATS = FormatRegistry(
    SinkEntry,
    "segue.formats",
    "format",
    tuple(dict.fromkeys(module for module, _ in _FORMAT_FILES.values())),
    SinkError,
    older_group="segue.sinks",
)
SINKS = FORMATS
"""The same registry under its earlier name."""

_RECEIVERS = "segue.events.receivers"
EVENT_SINKS = Registry(
    EventSinkEntry,
    "segue.event_sinks",
    "receiver of events",
    tuple(f"{_RECEIVERS}.{name}" for name in _modules_of(_RECEIVERS) if name != "base"),
    SinkError,
)
DATASETS = Registry(DatasetEntry, "segue.datasets", "data set", ("segue.datasets.catalogue",), DatasetError)
METRICS = Registry(MetricEntry, "segue.metrics", "metric", ("segue.metrics.further",), DatasetError)
STAGES = Registry(
    StageEntry, "segue.stages", "stage", ("segue.sessions.foreground.stages.entries",), ArgumentError
)
COMMANDS = Registry(CommandEntry, "segue.commands", "command", ("segue.cli.commands",), wrap=_command)

_REGISTRIES: tuple[Registry[Any], ...] = (
    MODELS,
    DETECTORS,
    PROMPTERS,
    FORMATS,
    EVENT_SINKS,
    DATASETS,
    METRICS,
    STAGES,
    COMMANDS,
)


def register(entry: AnyEntry) -> None:
    """Add a network, a detector, a prompter, a format, a receiver of events, a data set, a metric and so on.

    Packages that are installed use the entry points named above instead, so that the command line knows them.

    Args:
        entry: an entry of :mod:`segue.registry`; its class says what is added, and its ``name`` must be free
            among those of its kind.

    Raises:
        SegueError: the name is taken.
        ArgumentError: it is no entry.

    Example:
        >>> register(Entry("blobs", "track", Blobs, signature="blob.weight", bundled=FILE))
    """
    for registry in _REGISTRIES:
        if isinstance(entry, registry.kind):
            registry.register(entry)
            return
    raise ArgumentError(f"entry: {kind_of(entry)}; give an entry of segue.registry, such as segue.Entry")


B = TypeVar("B", bound=Callable[..., Any])

_INTERFACES: dict[str, tuple[str, tuple[str, ...]]] = {
    "track": ("TrackNetwork", ("tracker",)),
    "foreground": ("ForegroundNetwork", ("encode", "decode")),
    "instances": ("InstanceNetwork", ("encode", "decode", "class_logits", "mask_logits")),
}
"""By task the protocol of its networks, and what a class of one has."""


def register_model(name: str, task: NetworkTask, **described: Any) -> Callable[[B], B]:
    """A decorator that adds a network, or a function that makes one, to this process.

    Args:
        name: the name that users give.
        task: its task; see :class:`Entry`.
        described: further attributes of :class:`Entry`, such as ``signature``, ``bundled`` and ``tags``.

    Returns:
        A decorator that returns the class or function unchanged.

    Raises:
        SegueError: the name is taken.
        ArgumentError: the class lacks methods of the interface of its task.

    Example:
        >>> @register_model("blobs", "track", signature="blob.weight", bundled=FILE)
        ... class Blobs(nn.Module): ...
    """

    def add(build: B) -> B:
        protocol, names = _INTERFACES.get(task, ("", ()))
        missing = [name for name in names if not hasattr(build, name)]
        if isinstance(build, type) and missing and not (task == "foreground" and hasattr(build, "step")):
            raise ArgumentError(
                f"{build.__name__}: has no {', '.join(missing)}; a network for {task} has the interface of "
                f"segue.models.base.{protocol}"
            )
        MODELS.register(Entry(name, task, build, **described))
        return build

    return add
