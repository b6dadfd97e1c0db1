"""Results of ``segue.track``, ``segue.foreground`` and ``segue.instances``, and functions that save them."""

from __future__ import annotations

import inspect
import itertools
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, Generic, Literal, NoReturn, TypeVar, cast

import numpy as np

from segue.api.slides import MAX_SLIDES, WIDTH, Slides
from segue.api.tables import ResultTables
from segue.errors import ArgumentError, SegueError, SinkError, memory_errors
from segue.inference.cpu.forms import recorded
from segue.jobs.frame_loop import FrameLoop
from segue.jobs.observer import Observer
from segue.jobs.opened import Run
from segue.jobs.record import record_path
from segue.jobs.running import RunCancelledError, RunInterrupted, forms_to_resume, open_job, run_open
from segue.jobs.values import Model, Outputs, VideoJob, checked
from segue.options import RuntimeObject, by_arguments, with_argument_names
from segue.registry import FORMATS, Format
from segue.sessions.session import SecondThreadError, Session, one_thread_at_a_time
from segue.sinks import open_sinks
from segue.sinks.archive import ZIP, write_archive
from segue.sinks.outputs import MASKS, format_of
from segue.types import Frame, Image, Segmentation
from segue.utils.cancel import Cancelled, CancelToken
from segue.utils.inputs import kind_of, user_path
from segue.utils.keywords import suggests_names
from segue.video import Source, open_source
from segue.video.decoding.readers import Colour as Colour
from segue.video.sources.given import SourceLike

S = TypeVar("S", bound=Session, covariant=True)

Position = int | float | str
Layout = Literal["thwc", "tchw"]

Progress = Callable[[int, int | None], None]
"""Called after each result with the number of results so far, and the expected one, if known."""


@contextmanager
def errors_of_arguments(kind: type[VideoJob] = VideoJob) -> Iterator[None]:
    """Replace names of options by names of arguments in errors."""
    try:
        yield
    except (SegueError, RunInterrupted) as error:
        error.args = tuple(
            with_argument_names(text, kind) if isinstance(text, str) else text for text in error.args
        )
        raise


class ReadAgain:
    """Reads the image of a frame again; not pickled."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __call__(self, index: int) -> Image:
        return self._source.frame(index).image

    def __reduce__(self) -> tuple[Any, ...]:
        return NoneType, ()


def return_image(image: Image, index: int) -> Image:
    """Return the image that a result holds."""
    return image


class Results(ResultTables, Iterator[Segmentation], AbstractContextManager["Results[Any]"], Generic[S]):
    """An iterator over the results of a source, in order, each computed on demand.

    Consume it once, with ``for`` or :meth:`save`. The source is closed after the last
    result, at the end of a ``with`` block, and when the object is garbage-collected.

    Attributes:
        job: record of the run, see :mod:`segue.jobs`; :meth:`save` writes it next to the results.
        source: source of the frames.

    Example:
        >>> with segue.track("dog.mp4", first_mask) as results:
        ...     results.save("out", formats=["png", "overlay"])
    """

    SECOND_THREAD = (
        "results: another thread takes them; give each thread results of its own, or share a queue"
    )

    def __init__(self, opened: Run, *, progress: Progress | None = None, keep_images: bool = False) -> None:
        if progress is not None and not callable(progress):
            raise ArgumentError(f"progress: {kind_of(progress)}; give a function of two numbers")
        self.job = opened.job
        self.source = opened.source
        self._opened = opened
        self._progress = progress
        self._stop = CancelToken()
        self._cancelled = self._closed = False
        self._pairs = _pairs_of(opened, progress, self._stop)
        self._keep_images = keep_images
        self._reread_image = None if self.source.once else ReadAgain(self.source)
        self._class_numbers = {name: number for number, name in opened.names.items()}

    @property
    def session(self) -> S:
        """The session that computes the results."""
        return cast(S, self._opened.session)

    @property
    def frames(self) -> Iterable[Frame]:
        """Frames that the session receives: the source, or frames derived from it."""
        return self._opened.input_frames

    @property
    def names(self) -> Mapping[int, str]:
        """Class names by their number in result files."""
        return self._opened.names

    def __iter__(self) -> Results[S]:
        if inspect.getgeneratorstate(self._pairs) == inspect.GEN_CLOSED:
            raise SegueError(
                "these results are used up or closed; call the function again, or keep list(results)"
            )
        return self

    @one_thread_at_a_time
    def __next__(self) -> Segmentation:
        if self._stop.cancelled:
            self._pairs.close()
        try:
            with recorded(self._opened.forms):
                frame, result = next(self._pairs)
        except (StopIteration, Cancelled) as end:
            if self._cancelled:
                raise RunCancelledError("the program cancelled these results") from None
            if isinstance(end, Cancelled) and not self._closed:
                raise
            raise StopIteration from None
        image = partial(return_image, frame.image) if self._keep_images else self._reread_image
        return replace(result, _class_numbers=self._class_numbers, _image=image)

    def __repr__(self) -> str:
        total, job = self._opened.total, self.job
        frames = "an unknown number of frames" if total is None else f"{total} frames"
        return f"<Results of segue.{job.kind}: {frames} of {self.source.name} by {job.model.name}>"

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        # A copy would share the source with the original, and close it when it is dropped.
        raise SegueError("results that are still computed cannot be copied; copy list(results)")

    def __del__(self) -> None:
        if hasattr(self, "_pairs"):
            self.close()

    def __len__(self) -> int:
        """Number of results; TypeError if the source does not know its number of frames."""
        total = self._opened.total
        if total is None:
            raise TypeError("the number of these results is not known before the last one")
        return total

    def __bool__(self) -> bool:
        return True

    def __getitem__(self, index: object) -> NoReturn:
        """Raise an error that explains how to get a single result: results come in order and once."""
        raise TypeError(
            f"results[{index!r}]: results are computed one after the other; take them with "
            "`for result in results`, or keep all: results = list(results)"
        )

    def show(self, *, most: int = MAX_SLIDES, width: int = WIDTH) -> Slides:
        """Compute all results and show them in a notebook, with a slider over the frames.

        Args:
            most: maximum number of frames, evenly spaced.
            width: maximum width of the images, in pixels.

        Returns:
            An object that a notebook displays as the last value of a cell; :meth:`segue.api.Slides.save`
            writes it as a page.

        Raises:
            SegueError: the results have no images, such as a camera's without ``keep_images=True``.
        """
        return Slides.of(self, most=most, width=width)

    def close(self) -> None:
        """Close the source before the last result.

        If another thread iterates over the results, or a callback closes them, the loop ends after the
        current frame.
        """
        self._closed = True
        if inspect.getgeneratorstate(self._pairs) == inspect.GEN_RUNNING:  # in a callback of its own
            self._stop.cancel()
            return
        try:
            self._end()
        except SecondThreadError:
            self._stop.cancel()
        else:
            self.source.close()

    def cancel(self) -> None:
        """Stop, from any thread: the loop over the results, or :meth:`save`, raises RunCancelledError."""
        self._cancelled = True
        self._stop.cancel()

    @one_thread_at_a_time
    def _end(self) -> None:
        self._pairs.close()

    @suggests_names
    @one_thread_at_a_time
    def save(
        self,
        path: str | Path,
        *,
        formats: Sequence[str] | str | None = None,
        overwrite: bool = False,
        side_by_side: bool = False,
        whole: bool = False,
        sound: bool = True,
        resume: bool = False,
    ) -> dict[str, Path]:
        """Write the results while they are computed, and their job as ``job.json``.

        This works like the commands. :func:`segue.jobs.run` repeats the job.

        Args:
            path: as for :func:`segue.save`, like the other arguments.
            formats: names of output formats; None is the format of the extension of ``path``, for a folder
                png.
            overwrite: replace existing files.
            side_by_side: show the original frame next to the overlay.
            whole: write whole masks, including hidden parts, in formats whose objects may overlap.
            sound: copy the sound of a video file into overlays and cut-out videos.
            resume: continue the interrupted run of this folder.

        Returns:
            The file or folder of each format.

        Raises:
            RunInterrupted: Ctrl-C was pressed, and the current frame is finished and saved.
            RunCancelledError: :meth:`cancel` was called, and the current frame is finished and saved.
            SinkError: the output exists or cannot be written.
            SegueError: some results have been taken.
            ArgumentError: an argument has the wrong type.
        """
        self.__iter__()
        if is_archive(path) and inspect.getgeneratorstate(self._pairs) == inspect.GEN_CREATED:
            if resume:
                raise ArgumentError("resume: an archive holds a complete run; save into a folder")
            options: dict[str, Any] = {
                "formats": formats or MASKS,
                "side_by_side": side_by_side,
                "whole": whole,
                "sound": sound,
            }
            return write_archive(user_path(path), overwrite, lambda folder: self.save(folder, **options))
        choices = {"side_by_side": side_by_side, "whole": whole, "sound": sound}
        outputs = _outputs(path, formats=formats, overwrite=overwrite, resume=resume, **choices)
        if inspect.getgeneratorstate(self._pairs) != inspect.GEN_CREATED:
            raise SegueError("save before any result is taken, or give segue.save a list of results")
        self.job = self.job.model_copy(update={"outputs": outputs})
        self._opened.job = self.job
        with errors_of_arguments():
            forms = forms_to_resume(self.job, self.source) if resume else None
        if forms not in (None, self._opened.forms):  # the run was opened before its folder was known
            self._pairs.close()  # it holds the other run
            self._opened = open_job(self.job, self.source)
        try:
            with errors_of_arguments(type(self.job)):
                return run_open(self._opened, _Watch(self._opened, self._progress), self._stop)
        finally:
            self.close()


def results_of(
    kind: type[VideoJob],
    arguments: Mapping[str, Any],
    **fields: Any,
) -> Results[Any]:
    """Results of a job; ``fields`` are those without an argument."""
    options = dict(arguments)
    progress: Progress | None = options.pop("progress")
    keep_images = bool(options.pop("keep_images"))
    opened = opened_source(options.pop("source"), **reading_of(options))
    model, weights, device = (options.pop(name) for name in ("model", "weights", "device"))
    if weights is not None and not isinstance(model, str):
        raise ArgumentError(
            f"weights: {weights} goes with a network by name; this {type(model).__name__} has its weights "
            "already, as segue.load(NAME, FILE) gives it"
        )
    options |= {name: runtime_object(options[name]) for name in _OBJECTS if name in options}
    values = {
        **by_arguments(kind, options),
        "source": opened.request,
        "model": Model.of(model, weights),
        "device": None if device is None else str(device),
        **fields,
    }
    with errors_of_arguments(kind):
        run = open_job(checked(kind, values), opened)
    return Results(run, progress=progress, keep_images=keep_images)


_OBJECTS = ("detector", "names", "prompter", "roi", "scene")
"""Arguments that may be objects which JSON does not hold."""


def runtime_object(value: Any) -> Any:
    """Wrap an argument for a job; texts and paths stay as they are."""
    return value if isinstance(value, (str, os.PathLike, NoneType)) else RuntimeObject.of(value)


READING: dict[str, Any] = {
    "colour": "rgb",
    "layout": "thwc",
    "start": None,
    "end": None,
    "stride": 1,
    "max_size": None,
}
"""Arguments that say how a source is read, with their defaults."""


def reading_of(arguments: dict[str, Any]) -> dict[str, Any]:
    """Split off the arguments of a function that say how to read its source."""
    return {name: arguments.pop(name, default) for name, default in READING.items()}


def opened_source(source: Any, **reading: Any) -> Source:
    """Open the source of a caller; ``reading`` are arguments of :func:`segue.open_source`."""
    if not isinstance(source, Source):
        return open_source(source, **reading)
    for name, value in reading.items():
        if value != READING[name]:
            raise ArgumentError(f"{name}: the source is open already; give it to open_source")
    return source


class _Watch(Observer):
    """Calls the caller's function after each written result."""

    def __init__(self, opened: Run, progress: Progress | None) -> None:
        self._opened, self._progress, self._done = opened, progress, 0

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, self._opened.total)


def _pairs_of(
    opened: Run, progress: Progress | None, token: CancelToken
) -> Generator[tuple[Frame, Segmentation], None, None]:
    opened.frames.token = token
    advice = "give smaller frames: open_source(..., max_size=...)"
    naming = errors_of_arguments(type(opened.job))
    with naming, opened.source, opened.source.until(token), memory_errors(advice):
        opened.begin()
        loop = FrameLoop(opened.session, opened.step, required=opened.required)
        frames = itertools.chain(opened.frames, _end_unless_cancelled(token))
        for count, pair in enumerate(loop.over(frames), start=1):
            if progress is not None:
                progress(count, opened.total)
            yield pair
        opened.finish()


def _end_unless_cancelled(token: CancelToken) -> Iterator[Frame]:
    """Yield nothing, or raise if the run was cancelled."""
    if token.cancelled:
        raise Cancelled
    yield from ()


def is_archive(path: Any) -> bool:
    """Whether a path names an archive and not a folder."""
    has_archive_name = isinstance(path, (str, os.PathLike)) and Path(path).suffix.lower() == ZIP
    return has_archive_name and not user_path(path).is_dir()


def _outputs(path: Any, **options: Any) -> Outputs:
    """Convert a caller's output arguments."""
    if not isinstance(path, (str, os.PathLike)):
        raise ArgumentError(f"path: {kind_of(path)}; give the path of a folder or file")
    if options["formats"] is None:
        options["formats"] = (format_of(path) or MASKS,)
    return checked(Outputs, {"folder": path, **options})


@suggests_names
def save(
    results: Iterable[Segmentation],
    path: str | Path,
    *,
    formats: Sequence[str] | str | None = None,
    source: Source | SourceLike | None = None,
    overwrite: bool = False,
    side_by_side: bool = False,
    whole: bool = False,
    sound: bool = True,
) -> dict[str, Path]:
    """Write results to files, while they are computed.

    For results of :func:`track`, :func:`foreground` and :func:`instances` this is
    :meth:`segue.api.Results.save`, and ``source`` is not needed.

    Args:
        results: results of one video, in order of time; those of a list are sorted.
        path: folder for all formats, the file itself for a single one that is a file, or an archive,
            ``.zip``, of such a folder.
        formats: one or several of ``png`` (index masks), ``overlay`` (video), ``coco``, ``ytvis`` (run
            lengths), ``coco-polygons``, ``yolo`` (images, outlines), ``mot``, ``mots``, ``npz``, ``cdnet``,
            ``events``, ``cutouts`` (PNG), ``prores`` and ``webm`` (videos with transparency), or formats of
            plug-ins; None is the format of the extension of ``path``, such as ``overlay`` for ``.mp4``, and
            ``png`` for a folder or an archive.
        source: source of the frames; needed for ``overlay``, and for file names and time stamps.
        overwrite: replace existing files.
        side_by_side: show the original frame next to the overlay.
        whole: write the whole mask of each object, including hidden parts, in ``coco``, ``coco-polygons``,
            ``ytvis``, ``mot`` and ``yolo``; other formats contain only the visible part.
        sound: copy the sound of a video file into overlays and cut-out videos.

    Returns:
        The file or folder of each format.

    Raises:
        SinkError: the output exists, cannot be written, or needs a source.
        ArgumentError: an argument has the wrong type.
    """
    choices: dict[str, Any] = {"side_by_side": side_by_side, "whole": whole, "sound": sound}
    if isinstance(results, Results):
        return results.save(path, formats=formats, overwrite=overwrite, **choices)
    if is_archive(path):
        options = {"formats": formats or MASKS, "source": source, **choices}
        return write_archive(user_path(path), overwrite, lambda folder: save(results, folder, **options))
    choices["overwrite"] = overwrite
    outputs = _outputs(path, formats=formats, **choices)
    folder = user_path(path)
    given_formats = outputs.formats or ()
    for name in given_formats:
        if source is None and FORMATS.find(name).needs_frames:
            raise SinkError(f"the format {name} needs the frames: give source as well")
    if not isinstance(results, Iterable):
        raise ArgumentError(f"results: {kind_of(results)}; give the results of segue.track or a list of them")
    if isinstance(results, Sequence) and all(isinstance(each, Segmentation) for each in results):
        results = sorted(results, key=lambda result: result.index)
    remaining = iter(results)
    first = next(remaining, None)
    if first is None:
        raise SinkError(f"{path}: there are no results to write")
    if not isinstance(first, Segmentation):
        raise ArgumentError(f"results: the first one is a {kind_of(first)}; expected segue.Segmentation")
    blank = np.zeros((*first.mask.shape, 3), np.uint8)
    opened = source if isinstance(source, Source) else open_source([blank] if source is None else source)
    with opened:
        frames = iter(opened)
        with errors_of_arguments():
            sinks = open_sinks(folder, given_formats, opened, **choices)
        with sinks.sink as sink:
            for result in _in_order(itertools.chain([first], remaining), given_formats):
                frame: Frame | None = Frame(result.index, result.time, blank)
                if source is not None:
                    frame = next((each for each in frames if each.index == result.index), None)
                if frame is None:
                    raise SinkError(f"the source has no frame {result.index}; give that of the results")
                sink.write(frame, result)
    record_path(folder, sinks.paths).unlink(missing_ok=True)  # that of another job
    return sinks.paths


def _in_order(results: Iterable[Segmentation], formats: Iterable[str]) -> Iterator[Segmentation]:
    """Iterate over results; SinkError for a frame that comes twice, or too late for one of the formats."""
    entries = map(FORMATS.find, formats)
    is_any_order = all(isinstance(entry, Format) and entry.in_place for entry in entries)
    written: set[int] = set()
    last = -1
    for result in results:
        if result.index in written:
            raise SinkError(f"frame {result.index} comes twice; save the results of one video at a time")
        if result.index < last and not is_any_order:
            raise SinkError(
                f"frame {result.index} comes after frame {last}; give a list of the results, which is sorted"
            )
        written.add(result.index)
        last = result.index
        yield result
