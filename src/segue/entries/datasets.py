"""Entries of data sets, and of measures of their results."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from segue.utils.arrays import BoolArray

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

    ``open``, ``evaluate``, ``job`` and ``options`` default to those of its kind of labels, see
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
