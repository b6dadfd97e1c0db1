"""Entries of formats, and the options of a run for its sinks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from segue.entries.events import EventSettings

if TYPE_CHECKING:
    from datetime import datetime

SQUARE = Fraction(1)
"""Width by height of the pixels of most videos."""


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
    events: EventSettings = field(default_factory=EventSettings)
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
    """Properties of labels that a round trip through a format preserves.

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
