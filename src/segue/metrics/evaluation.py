"""Shared parts of evaluations: results, missing frames, parallel sequences."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from multiprocessing import active_children, get_context
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from segue.datasets.results import Results
from segue.errors import DatasetError, SegueError
from segue.masks.files import OtherSizeError
from segue.masks.values import is_white
from segue.metrics.report import Scores
from segue.types import Image, IndexMask
from segue.utils.allocation import prepare_process
from segue.utils.inputs import check_choice
from segue.utils.naming import first_few, last_number
from segue.utils.system import (
    check_may_start_processes,
    let_signals_through,
    set_opencv_threads,
    signals_blocked,
)

Measures = Mapping[str, float]
"""Values by the official name of their column, such as ``J-Mean`` or ``AP50``."""


@dataclass(frozen=True, slots=True)
class Series:
    """A measure over time.

    Attributes:
        frames: names of the scored frames, in order.
        values: one value a frame, (frames,), float64; NaN is a frame without a value.
    """

    frames: tuple[str, ...]
    values: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrameView:
    """A scored frame for display.

    Attributes:
        truth: ground truth, index mask (H, W).
        result: scored index mask (H, W).
        ignored: pixels that count for nothing, (H, W), bool.
        image: the image itself, RGB, if the data set holds it.
    """

    truth: IndexMask
    result: IndexMask
    ignored: npt.NDArray[np.bool_]
    image: Image | None = None


@dataclass(frozen=True)
class Evaluation:
    """Scores of a set of results under one protocol.

    Attributes:
        protocol: its full name, such as ``DAVIS 2017 semi-supervised, val``; numbers of different protocols
            must not be compared.
        headline: measure for ranking; ``overall`` and ``sequences`` hold it.
        overall: measures of the whole set, in the order of the official table.
        sequences: measures of each sequence, in the order of the data set.
        objects: measures of each object or class, where the protocol has them.
        categories: measures of each group of sequences or classes, where the protocol has them.
        groups: measures of the objects of a kind, such as fast ones, or of the videos of a condition, such as
            a light, where the protocol has them.
        series: for each sequence measures over time, such as ``J``.
        remarks: notes for the reader, such as missing frames or objects, and their replacement.
        files: text of the official result files by name.
        view: gives a frame of a series to look at, by sequence and frame name; None where nothing can be
            shown.
    """

    protocol: str
    headline: str
    overall: Measures
    sequences: Mapping[str, Measures]
    objects: Mapping[str, Measures] = field(default_factory=dict)
    categories: Mapping[str, Measures] = field(default_factory=dict)
    groups: Mapping[str, Measures] = field(default_factory=dict)
    series: Mapping[str, Mapping[str, Series]] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    view: Callable[[str, str], FrameView] | None = field(default=None, compare=False, repr=False)

    def values_of(self, measure: str) -> npt.NDArray[np.float64]:
        """Values of a measure for every object and scored frame, (N,), float64.

        Args:
            measure: name of a series, such as ``J``.

        Returns:
            The values one sequence after the other; NaN is a frame without a value.
        """
        values = []
        for series in self.series.values():
            objects = [key for key in series if key.startswith(f"{measure}_")]
            values += [series[key].values for key in objects or [measure]]
        return np.concatenate(values)


Missing = Literal["error", "empty"]
"""Handling of frames without a result: an error, or an empty mask."""


@dataclass(frozen=True, slots=True)
class SequenceResults:
    """Masks of one sequence on its scored ``frames``; those ``missing`` are empty."""

    sequence: str
    results: Results | None
    frames: tuple[str, ...]
    missing: tuple[str, ...]
    called: Mapping[str, str] = field(default_factory=dict)  # names of results that differ from the frames'

    def read(self, frame: str, truth: IndexMask, only: int | None = None) -> IndexMask:
        """Read the mask (H, W) of an annotated frame; ``only`` is the id of a single object."""
        if self.results is None or frame in self.missing:
            return np.zeros_like(truth)
        height, width = truth.shape
        try:
            mask = self.results.read(self.sequence, self.called.get(frame, frame), (height, width))
        except OtherSizeError as error:
            raise DatasetError(
                f"sequence {self.sequence}, frame {frame}: the result is {error.size}, the truth "
                f"{truth.shape}; give masks of one size"
            ) from None
        return mask if only is None or not is_white(mask) else np.where(mask > 0, only, 0)

    def extra_results(self, frames: Collection[str]) -> list[str]:
        """Return the names of results whose frame is not in the data set."""
        if self.results is None or self.called:
            return []
        return [name for name in self.results.names(self.sequence) if name not in frames]


def find_results(
    results: Results, scored: Mapping[str, tuple[str, ...]], missing: Missing
) -> tuple[dict[str, SequenceResults], tuple[str, ...]]:
    """Find the masks of every sequence, before any work."""
    check_choice("missing", missing, Missing, DatasetError)
    by_sequence, remarks = {}, list[str]()
    for name, frames in scored.items():
        sequence_results = results.only(name) if name in results else None
        if (
            sequence_results is None
            and len(scored) == 1
            and (sequence_results := results.alone_as(name)) is not None
        ):
            remarks.append(f"{results.path}: its only masks were scored as those of {name}")
        names = sequence_results.names(name) if sequence_results is not None else ()
        called = {} if set(frames) & set(names) else _by_number(names, frames)
        absent = tuple(frame for frame in frames if frame not in names and frame not in called)
        by_sequence[name] = SequenceResults(name, sequence_results, frames, absent, called)
    lacking = {name: item.missing for name, item in by_sequence.items() if item.missing}
    if not lacking:
        return by_sequence, tuple(remarks)
    all_missing = [name for name, frames in lacking.items() if len(frames) == len(scored[name])]
    single = [
        f"{name} {frame}" for name, frames in lacking.items() if name not in all_missing for frame in frames
    ]
    parts = [f"all frames of {first_few(all_missing)}"] if all_missing else []
    if single:
        parts.append(f"{len(single)} frame{'s' if len(single) > 1 else ''}: {first_few(single)}")
    lacks = f"{results.path} lacks {' and '.join(parts)}"
    if all(len(item.missing) == len(item.frames) for item in by_sequence.values()):
        raise DatasetError(f"{lacks}; there are {first_few(results.sequences)}")
    if missing == "error":
        raise DatasetError(f'{lacks}; add them, or score them as empty masks (missing="empty")')
    return by_sequence, (*remarks, f"{lacks}; they were scored as empty masks")


def check_shift(by_sequence: Mapping[str, SequenceResults], frames: Mapping[str, Sequence[str]]) -> None:
    """Refuse results whose numbers match all frames of a sequence, but shifted.

    Args:
        by_sequence: results of each sequence.
        frames: names of all frames of each sequence.

    Raises:
        DatasetError: such results would be scored on the wrong frames.
    """
    for name, item in by_sequence.items():
        if item.results is None:
            continue
        numbers, expected = (
            sorted({number for text in texts if (number := last_number(text)) is not None})
            for texts in (item.results.names(item.sequence), frames[name])
        )
        shift = numbers[0] - expected[0] if numbers and expected else 0
        if shift and numbers == [number + shift for number in expected]:
            raise DatasetError(
                f"{name}: results are numbered {numbers[0]} to {numbers[-1]}, its frames {expected[0]} to "
                f"{expected[-1]}; each would be scored on the wrong frame. Rename the results"
            )


def _by_number(names: Iterable[str], frames: Iterable[str]) -> dict[str, str]:
    """Name of the result of each frame by its last number; empty unless numbers are distinct."""
    ways = [[(last_number(name), name) for name in labels] for labels in (names, frames)]
    results, frame_of = map(dict, ways)
    if None in results or None in frame_of or len(results) < len(ways[0]) or len(frame_of) < len(ways[1]):
        return {}
    return {frame: results[number] for number, frame in frame_of.items() if number in results}


def object_series(
    region: Scores, contour: Scores, frames: tuple[str, ...], ids: list[int]
) -> dict[str, Series]:
    """J and F (objects, frames) over time, averaged, and per object if there are several."""
    series = {}
    for measure, table in (("J", region), ("F", contour)):
        series[measure] = Series(frames, np.nanmean(table, axis=0))
        if len(table) > 1:
            series |= {f"{measure}_{k}": Series(frames, row) for k, row in zip(ids, table, strict=True)}
    return series


Progress = Callable[[int, int, str], None]
"""Called after each sequence with the number done, the number of all and the name of this one."""

_Task = TypeVar("_Task")
_Score = TypeVar("_Score")


def map_sequences(
    score: Callable[[_Task], _Score],
    tasks: Mapping[str, _Task],
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[_Score]:
    """Apply the importable function ``score`` to each task in parallel, in order."""
    if min(workers, len(tasks)) > 1:
        return _map_in_processes(score, tasks, workers, progress)
    scores = []
    for name, task in tasks.items():
        scores.append(score(task))
        if progress is not None:
            progress(len(scores), len(tasks), name)
    return scores


def _map_in_processes(
    score: Callable[[_Task], _Score],
    tasks: Mapping[str, _Task],
    workers: int,
    progress: Progress | None,
) -> list[_Score]:
    check_may_start_processes(f"workers={workers}")
    earlier = set(active_children())
    pool = ProcessPoolExecutor(min(workers, len(tasks)), get_context("spawn"), _begin_worker)
    try:
        with signals_blocked({signal.SIGINT}):  # until they take them, in _begin_worker
            futures = {pool.submit(score, task): name for name, task in tasks.items()}
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            if progress is not None:
                progress(done, len(tasks), futures[future])
        return [future.result() for future in futures]
    except BaseException as error:
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(active_children()) - earlier:
            process.terminate()  # a long sequence would keep the program from ending
        if isinstance(error, BrokenProcessPool):
            raise SegueError(
                "a process that scored sequences died, perhaps for lack of memory; use fewer workers"
            ) from error
        raise
    finally:
        pool.shutdown()


def _begin_worker() -> None:
    """Set up a worker: Ctrl-C ends it silently, and it uses one core."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    let_signals_through({signal.SIGINT})
    prepare_process()
    set_opencv_threads(1)
