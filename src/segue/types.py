"""Frames and segmentations."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from segue.errors import ArgumentError, SegueError
from segue.prompt_types import MaskPrompt, check_count
from segue.utils import arrays
from segue.utils.arrays import same_values
from segue.utils.inputs import user_path
from segue.utils.lazy import LazyCallable

if TYPE_CHECKING:
    import pandas
    from supervision import Detections

    from segue.masks.measure import Boxes, Composed

_FROM_COCO = LazyCallable("segue.formats.coco:from_coco")
_FROM_FIFTYONE = LazyCallable("segue.formats.fiftyone:from_fiftyone")
_FROM_SUPERVISION = LazyCallable("segue.formats.supervision:from_supervision")
_TO_FIFTYONE = LazyCallable("segue.formats.fiftyone:to_fiftyone")
_TO_SUPERVISION = LazyCallable("segue.formats.supervision:to_supervision")
_TABLE_OF = LazyCallable("segue.formats.tables:table_of")
_YOLO_TEXT = LazyCallable("segue.formats.yolo:yolo_text")
"""By their names: formats stand above results."""

_DECODE_RLE = LazyCallable("segue.masks.rle:decode_rle")
_MEASURE = LazyCallable("segue.masks.measure:measure")
"""By their names: frames are read without them."""

Image = arrays.Image
"""RGB image, (H, W, 3), uint8."""

IndexMask = arrays.IndexMask
"""Index mask, (H, W), any integer type: 0 is background, every other value is an object id."""

Box = arrays.Box
"""``(x0, y0, x1, y1)`` in pixels; ``x1`` and ``y1`` are exclusive."""

Point = arrays.Point
"""``(x, y)`` in pixels."""

SupportsArray = arrays.SupportsArray

BoxLike = arrays.BoxLike
"""A box as an argument: four numbers in a sequence, an array or a tensor."""

BoxesLike = arrays.BoxesLike
"""Boxes of several objects: by id, or in a sequence, an array or a tensor (N, 4) for the ids 1 to N."""

PointLike = arrays.PointLike
"""A point as an argument: two numbers in a sequence, an array or a tensor."""

PointsLike = arrays.PointsLike
"""One point or several, in a sequence, an array or a tensor (N, 2)."""

LabelsLike = arrays.LabelsLike
"""1 or 0 for each of several points, in a sequence, an array or a tensor (N,)."""

DamagePolicy = Literal["stop", "skip", "hold"]
"""Handling of a frame that cannot be read: raise, skip it, or repeat the previous frame."""


WhenLate = Literal["newest", "all"]
"""Handling of a live source that is faster than its reader: process the newest frames, or all."""

FeatureName = Literal["keys", "queries", "values"]
"""Part of the last attention of a vision transformer that is used as dense feature."""

MemoryPolicy = Literal["usage", "fifo", "all"]
"""Frames to evict first from a full memory: the least used, the oldest, or none."""

Refinement = Literal["crf", "network", "none"]
"""Method that refines the mask of an object; ``network`` is segue-prompt."""

FlowName = Literal["dis", "farneback", "raft"]
"""Optical flow that segue computes."""

FollowCamera = Literal["never", "auto", "always"]
"""When a foreground session compensates camera motion: ``never``; ``auto``, during pans; ``always``."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a video.

    Attributes:
        index: position in the source, from 0; a stride leaves gaps.
        time: presentation time in seconds from the start of the source.
        image: RGB, (H, W, 3), uint8.
        depth: distance from the camera, (H, W), in any unit, 0 if unknown; None without a depth map, as in
            most videos.
        flow: flow image of :class:`segue.flow.FlowFiles`, (H, W, gaps), uint8, if the optical flow is known
            in advance; otherwise None.
        deep: gives the image with all bits of a source of more than 8, RGB, (H, W, 3), uint16, where 65535 is
            white; None of other sources. It is neither compared nor pickled.
    """

    index: int
    time: float
    image: Image
    depth: npt.NDArray[np.generic] | None = None
    flow: npt.NDArray[np.uint8] | None = None
    deep: Callable[[], arrays.UInt16Array] | None = field(default=None, compare=False)

    __eq__ = same_values

    def __reduce__(self) -> tuple[Any, ...]:
        return Frame, (self.index, self.time, self.image, self.depth, self.flow)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        return f"Frame(index={self.index}, time={self.time:.6g}, image={width}x{height})"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.image.shape[:2]
        return height, width

    @property
    def colours(self) -> Image | arrays.UInt16Array:
        """Image at the source's bit depth, RGB, (H, W, 3), uint8 or uint16; decoded at each call."""
        return self.image if self.deep is None else self.deep()


ATTENTION_BELOW = 0.7
"""Expected IoU of a tracked mask below which a person should review it; docs/tracking.md has the figures."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """Properties of one object on one frame.

    Attributes:
        id: value of the object in the index mask; constant throughout the video.
        label: class or name, if any.
        score: quality of the mask, in [0, 1]; 0 if the object is not visible. In tracking, it is the
            network's prediction (SAM 2) or the expected IoU with the ground truth, see
            :func:`segue.sessions.track_results.expected_overlap`.
        box: tight ``(x0, y0, x1, y1)`` around the visible part, or None if the object is not visible.
        area: number of visible pixels.
        whole: COCO's run lengths (``counts``) of the whole mask, if one was given or stored. It counts more
            than maps, and is not compared.
    """

    id: int
    label: str | None = None
    score: float = 1.0
    box: Box | None = None
    area: int = 0
    whole: str | None = field(default=None, repr=False, compare=False)

    @property
    def needs_attention(self) -> bool:
        """Whether a person should review this mask of a track: it is visible, and its score is low."""
        return 0 < self.score < ATTENTION_BELOW


def visible_in(mask: IndexMask, objects: Iterable[ObjectInfo]) -> tuple[ObjectInfo, ...]:
    """Measure objects in an index mask.

    Args:
        mask: index mask (H, W).
        objects: the objects.

    Returns:
        The objects with their boxes and areas; those without a pixel have the score 0 and no box.
    """
    extents = _MEASURE(mask)
    return tuple(
        replace(item, box=extents[item.id].box, area=extents[item.id].area)
        if item.id in extents
        else replace(item, score=0.0, box=None, area=0)
        for item in objects
    )


MANY = 5
"""Objects that the short form of a result names."""

MIN_PROBABILITY = 1e-7
"""Probabilities are clipped to this and 1 minus it before they become log-odds."""


@dataclass(frozen=True, slots=True)
class ObjectMaps:
    """Maps of the objects of a result, computed on access; it can be pickled.

    Attributes:
        logits: computes the independent log-odds of each object, (K, H, W), float32; objects may overlap.
        probabilities: computes the probabilities of background and objects, (K+1, H, W), float32; None uses
            the mask.
        rows: computes values for the objects at some places, (k, H, W), that are above 0 where the log-odds
            are; None computes the log-odds of all objects.
        ids: the objects, in the order of the maps; None becomes those of the first result with them.
        reach: computes boxes around all pixels with log-odds above 0, by id, also those behind other objects;
            objects without such pixels have none. None computes no boxes.
    """

    logits: Callable[[], npt.NDArray[np.float32]]
    probabilities: Callable[[], npt.NDArray[np.float32]] | None = None
    rows: Callable[[Sequence[int]], npt.NDArray[np.float32]] | None = None
    ids: tuple[int, ...] | None = None
    reach: Callable[[], Mapping[int, Box | None]] | None = None


def log_odds(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Convert probabilities to finite log-odds, log(p / (1 - p)).

    Args:
        probabilities: array of any shape, in [0, 1].

    Returns:
        Array of this shape, float32; values are those of probabilities clipped to
        [``MIN_PROBABILITY``, 1 - ``MIN_PROBABILITY``].
    """
    inside = np.clip(probabilities.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    return np.log(inside / (1 - inside)).astype(np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Segmentation:
    """The result for one frame, of every kind of session.

    Two results are equal if index, time, objects and masks are equal; probabilities are not compared. A
    result can be pickled and has no data on a GPU.

    Attributes:
        index: index of the frame.
        time: time stamp of the frame in seconds.
        mask: index mask, (H, W), uint8 or uint16; 0 is background.
        objects: all objects tracked on this frame, visible or not, in the order of the probability channels.
            Like ``mask``, their boxes and areas describe the visible part. An object also has its whole mask,
            if one was given or stored.
    """

    index: int
    time: float
    mask: IndexMask
    objects: tuple[ObjectInfo, ...] = ()
    _probabilities: Callable[[], npt.NDArray[np.float32]] | ObjectMaps | None = field(
        default=None, repr=False, compare=False
    )
    _class_numbers: MutableMapping[str, int] | None = field(default=None, repr=False, compare=False)
    _image: Callable[[int], Image] | None = field(default=None, repr=False, compare=False)
    _unsure: npt.NDArray[np.uint8] | None = field(default=None, repr=False, compare=False)
    """See :func:`segue.masks.unsure`."""

    __eq__ = same_values

    def __post_init__(self) -> None:
        maps = self._probabilities
        if isinstance(maps, ObjectMaps) and maps.ids is None:
            object.__setattr__(self, "_probabilities", replace(maps, ids=self.ids))

    def __repr__(self) -> str:
        height, width = self.mask.shape
        columns = [(item.id, item.label, f"{item.score:.2f}") for item in self.objects[:MANY]]
        objects = ", ".join(" ".join(str(part) for part in each if part is not None) for each in columns)
        more = f", ... {len(self.objects)} in all" if len(self.objects) > MANY else ""
        return (
            f"Segmentation(index={self.index}, time={self.time:.6g}, mask={width}x{height}, "
            f"objects=[{objects}{more}])"
        )

    @property
    def image(self) -> Image:
        """The image of the frame, RGB (H, W, 3), uint8.

        It is read again if the source is a file, a folder or arrays. For cameras and iterators, and to keep
        it after pickling, use ``keep_images=True``.

        Raises:
            SegueError: this result has no image.
        """
        if self._image is None:
            raise SegueError(
                f"the result of frame {self.index} has no image; give keep_images=True to the function that "
                "made it, or the image to plot"
            )
        return self._image(self.index)

    def plot(
        self, image: Any = None, *, boxes: bool = True, alpha: float = 0.5, line_width: int | None = None
    ) -> Image:
        """Draw masks, outlines, boxes, ids, names and scores of the objects on the image of the frame.

        Args:
            image: image (H, W, 3) to draw on, with the size of the mask; None is the image of the frame.
            boxes: draw a box around each object.
            alpha: weight of the colours of the masks in [0, 1]; 0 draws only outlines.
            line_width: width of outlines and boxes in pixels, at least 1; None depends on the image size.

        Returns:
            A new image, RGB (H, W, 3), uint8.

        Raises:
            SegueError: this result has no image, and ``image`` is None.
            ArgumentError: the image and the mask differ in size, or the line has no width.
        """
        from segue.masks.drawing import overlay

        width: Any = line_width  # callers may have numbers of numpy
        if width is not None and not (isinstance(width, Integral) and int(width) >= 1):
            raise ArgumentError(f"line_width: {line_width!r}; give pixels, 1 or more")

        under = self.image if image is None else np.asarray(arrays.as_array(image))
        if under.shape != (*self.mask.shape, 3) or under.dtype != np.uint8:
            raise ArgumentError(
                f"image: {under.dtype} {under.shape}; give RGB, uint8, of the size of the mask, "
                f"{(*self.mask.shape, 3)}"
            )
        captions = {
            item.id: " ".join([*filter(None, [item.label]), f"{item.score:.2f}"]) for item in self.objects
        }
        return overlay(under, self.mask, alpha=alpha, captions=captions, boxes=boxes, line_width=line_width)

    def _numbers(self) -> MutableMapping[str, int]:
        """Class numbers by name: those of the run, otherwise of this result."""
        return {} if self._class_numbers is None else self._class_numbers

    @property
    def names(self) -> dict[int, str]:
        """Class names by number, as in result files; an object without a label is an "object"."""
        from segue.masks.measure import names_of

        return names_of(self, self._numbers())

    @property
    def boxes(self) -> Boxes:
        """The visible objects as arrays: ``xyxy``, ``xywh``, ``ids``, ``scores``, ``classes``."""
        from segue.masks.measure import boxes_of

        return boxes_of(self, self._numbers())

    @property
    def polygons(self) -> list[list[npt.NDArray[np.float32]]]:
        """The outlines of the parts of each of ``masks``, each (N, 2) in pixels, x first."""
        from segue.masks.outlines import coco_polygons

        return [
            [np.array(part, np.float32).reshape(-1, 2) for part in coco_polygons(plane)]
            for plane in self.masks
        ]

    def save_txt(self, path: str | os.PathLike[str], *, scores: bool = False) -> None:
        """Write a line with class and outline of each visible object, in the format of ultralytics.

        Classes are counted from 0 in the order of ``names``. The format ``yolo`` writes a whole data set.

        Args:
            path: file to write; an existing file is replaced.
            scores: write the score at the end of each line.

        Raises:
            SinkError: the file cannot be written.
        """
        from segue.utils.files import write_complete, writing

        file = user_path(path)
        with writing(file):
            write_complete(file, _YOLO_TEXT(self, self.names, scores=scores).encode())

    def to_json(self) -> str:
        """JSON of the visible objects.

        Returns:
            ``index`` and ``objects``, each with ``id``, ``label``, ``class``, ``score``, ``box`` and
            ``polygons`` (COCO's, of the visible part).
        """
        from segue.masks.measure import json_text

        return json_text(self, self._numbers())

    def to_df(self) -> pandas.DataFrame:
        """The visible objects as a pandas table; see :meth:`segue.api.Results.to_df`.

        Returns:
            A ``pandas.DataFrame`` with a row for each object.

        Raises:
            SegueError: pandas is not installed.
        """
        return _TABLE_OF([self])

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """Class probabilities, (K+1, H, W), float32, background first, then ``objects`` in order.

        They are computed on access from a compact form, so results need little memory. A result that was read
        from a file has only a mask; its one-hot maps are then returned.
        """
        maps = self._probabilities
        compute = maps.probabilities if isinstance(maps, ObjectMaps) else maps
        if compute is not None and self._are_mapped:
            return compute()
        ids = np.array([0, *(item.id for item in self.objects)])
        one_hot = self.mask[None] == ids[:, None, None]
        return np.asarray(one_hot, np.float32)

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Independent log-odds of each object, (K, H, W), float32, in the order of ``objects``.

        Objects may overlap: log-odds can also be above 0 behind another object. Computed on access. If
        objects are not tracked separately, as in foreground, these are the log-odds of ``probabilities``.
        """
        maps = self._probabilities
        if not self._are_mapped:
            return self._logits_of(range(len(self.objects)))
        return maps.logits() if isinstance(maps, ObjectMaps) else log_odds(self.probabilities[1:])

    @property
    def masks(self) -> npt.NDArray[np.bool_]:
        """The whole mask of each object, (K, H, W), bool, in the order of ``objects``; they may overlap.

        A mask has the object's pixels in ``mask``, and pixels behind other objects with log-odds above 0.
        Computed on access. If objects are not tracked separately, it has only the pixels in ``mask``.
        """
        return self._masks_of(range(len(self.objects)))

    def _masks_of(self, places: Sequence[int]) -> npt.NDArray[np.bool_]:
        """Select rows of :attr:`masks`, (k, H, W)."""
        items = [self.objects[place] for place in places]
        visible = np.asarray(self.mask[None] == np.array([item.id for item in items])[:, None, None])
        maps = self._probabilities
        mapped = (maps.ids or ()) if isinstance(maps, ObjectMaps) else ()
        rows = [row for row, item in enumerate(items) if item.whole is None and item.id in mapped]
        if rows:
            visible[rows] |= self._logits_of([places[row] for row in rows]) > 0
        for plane, item in zip(visible, items, strict=True):
            if item.whole is not None:
                plane |= self._whole_mask(item)
        return visible

    @property
    def _are_mapped(self) -> bool:
        """Whether the maps, if there are any, hold for all objects."""
        maps = self._probabilities
        if isinstance(maps, ObjectMaps) and maps.ids != self.ids:
            return False
        return all(item.whole is None for item in self.objects)

    def _logits_of(self, places: Sequence[int]) -> npt.NDArray[np.float32]:
        """Log-odds of the objects at some places, (k, H, W), which have the signs of :attr:`logits`."""
        maps = self._probabilities
        if self._are_mapped:
            if isinstance(maps, ObjectMaps) and maps.rows is not None and len(places) < len(self.objects):
                return maps.rows(places)
            return self.logits[list(places)]
        items = [self.objects[place] for place in places]
        mapped = (maps.ids or ()) if isinstance(maps, ObjectMaps) else ()
        computed = [item.id for item in items if item.whole is None and item.id in mapped]
        rows: Iterable[npt.NDArray[np.float32]] = ()
        if computed:
            assert isinstance(maps, ObjectMaps)
            indices = [mapped.index(i) for i in computed]
            is_part = len(indices) < len(mapped)
            rows = maps.rows(indices) if maps.rows is not None and is_part else maps.logits()[indices]
        next_row = iter(rows)
        logits = np.empty((len(items), *self.mask.shape), np.float32)
        for logit, item in zip(logits, items, strict=True):
            is_computed = item.id in computed
            logit[:] = next(next_row) if is_computed else log_odds(self._whole_mask(item).astype(np.float32))
        return logits

    def _whole_mask(self, item: ObjectInfo) -> npt.NDArray[np.bool_]:
        """The mask (H, W) of an object as it was given or stored, otherwise its pixels in the index mask."""
        if item.whole is None:
            return np.asarray(self.mask == item.id)
        return np.asarray(_DECODE_RLE({"size": list(self.mask.shape), "counts": item.whole}))

    @property
    def ids(self) -> tuple[int, ...]:
        """Ids of ``objects``, in order."""
        return tuple(item.id for item in self.objects)

    @property
    def needs_attention(self) -> bool:
        """Whether a person should review this frame of a track; see :attr:`ObjectInfo.needs_attention`."""
        return any(item.needs_attention for item in self.objects)

    @property
    def prompts(self) -> list[MaskPrompt]:
        """The objects as prompts, to track them from this frame on; those in front are last.

        Masks are those in ``mask``. If a detector, a file or a person gave an object, its mask is whole.
        """
        items, extents = {item.id: item for item in self.objects}, _MEASURE(self.mask)
        whole = {item.id for item in self.objects if item.whole is not None}
        ids = sorted({*extents, *whole})
        check_count(len(ids))
        objects = [items.get(i) or ObjectInfo(i) for i in ids]
        prompts = [MaskPrompt(item.id, self._whole_mask(item), label=item.label) for item in objects]
        if not whole:
            return prompts
        areas = {item.id: np.count_nonzero(item.mask) for item in prompts}
        shares = {i: (extents[i].area if i in extents else 0) / area for i, area in areas.items() if area}
        return sorted((item for item in prompts if areas[item.id]), key=lambda item: shares[item.id])

    @classmethod
    def _of(cls, composed: Composed, index: int, time: float) -> Segmentation:
        mask, rows = composed
        return cls(index, time, mask, tuple(ObjectInfo(*row) for row in rows))

    @classmethod
    def from_coco(
        cls,
        records: Iterable[Mapping[str, Any]] | Mapping[str, Any],
        size: tuple[int, int] | None = None,
        *,
        names: Mapping[int, str] | None = None,
        index: int = 0,
        time: float = 0.0,
    ) -> Segmentation:
        """Convert results or annotations of one image in COCO format, such as the output of a detector.

        Args:
            records: each with ``segmentation`` (run lengths, polygons or an array) or ``bbox``, and
                optionally ``category_id``, ``score`` (or SAM's ``predicted_iou``) and ``track_id``; or the
                content of a COCO file of annotations, such as the format ``coco`` writes.
            size: height and width of the image; the content of a file has it.
            names: class names by number; classes without a name are called by their number. The content of a
                file has names.
            index: index of the frame in its source; of the content of a file, the image that is taken.
            time: its time stamp in seconds.

        Returns:
            Index mask (H, W) of ``size``, uint8 or uint16. Ids are the ``track_id``, else numbers from 1 on;
            where masks overlap, the better score is on top.

        Raises:
            DatasetError: a mask is damaged or of another size, or the file has no such image.
            PromptError: an id occurs twice.
            ArgumentError: ``size`` is missing.

        Example:
            >>> first = Segmentation.from_coco(results, (480, 854))
            >>> for result in segue.track("dog.mp4", {0: first.prompts}): ...
        """
        return cls._of(_FROM_COCO(records, size, names, index), index, time)

    @classmethod
    def from_supervision(
        cls, detections: Any, size: tuple[int, int] | None = None, *, index: int = 0, time: float = 0.0
    ) -> Segmentation:
        """Convert ``Detections`` of supervision, which supports most detectors.

        Args:
            detections: detections of one image; ``tracker_id`` gives the ids, ``class_name`` the labels.
            size: height and width, required for detections without masks.
            index: index of the frame in its source.
            time: its time stamp in seconds.

        Returns:
            Index mask (H, W) with one object for each detection.

        Raises:
            PromptError: an id occurs twice or is below 1, or ``size`` is missing.
        """
        return cls._of(_FROM_SUPERVISION(detections, size), index, time)

    @classmethod
    def from_fiftyone(
        cls, labels: Any, size: tuple[int, int], *, index: int = 0, time: float = 0.0
    ) -> Segmentation:
        """Convert labels of FiftyOne.

        Args:
            labels: its ``Detections`` of one image, with or without masks, or a ``Segmentation``. Ids are
                the ``index`` of the detections, or count from 1 where one has none.
            size: height and width of the image.
            index: index of the frame.
            time: time stamp of the frame, in seconds.

        Returns:
            The objects, with their labels and scores.

        Raises:
            PromptError: an id occurs twice or is below 1, or there is no box or mask.

        Example:
            >>> first = Segmentation.from_fiftyone(sample.frames[1].ground_truth, (480, 854))
            >>> for result in segue.track(sample.filepath, {0: first.prompts}): ...
        """
        return cls._of(_FROM_FIFTYONE(labels, size), index, time)

    def to_fiftyone(self) -> Any:
        """``fiftyone.Detections`` of the visible objects, with masks; ``index`` is the id of the object.

        Returns:
            Labels for a field of a sample or a frame.

        Raises:
            SegueError: FiftyOne is not installed.
        """
        return _TO_FIFTYONE(self)

    def to_supervision(
        self, classes: MutableMapping[str, int] | None = None, *, whole: bool = False
    ) -> Detections:
        """``supervision.Detections`` of the visible objects, for its annotators, zones and counters.

        Args:
            classes: numbers of the classes by name; a new class gets the next number. Pass the same
                dictionary for all results of a session. None uses the numbers of result files; results of
                :func:`segue.track` and similar functions share them for the whole run.
            whole: return the whole mask of each object, see :attr:`masks`, and its box.

        Returns:
            One detection for each visible object: ``xyxy`` (N, 4) in pixels, ``mask`` (N, H, W) bool,
            ``confidence`` (N,), ``tracker_id`` (N,), ``class_id`` (N,) and the labels as ``class_name``.

        Raises:
            SegueError: supervision is not installed.
        """
        return _TO_SUPERVISION(self, self._class_numbers if classes is None else classes, whole=whole)
