"""One run of a command that takes a video through a session: what it reads, what it writes, its progress."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from segue.cancel import CancelToken
from segue.cli.options import Options
from segue.cli.tables import bars
from segue.errors import SourceError
from segue.inputs import exists, printable
from segue.registry import SINKS
from segue.sessions import Session
from segue.sessions.resumable import PromptSource, first_pass, forget_state, run
from segue.sessions.two_passes import TwoPasses
from segue.types import Frame, Segmentation
from segue.video import Sink, Source, open_sinks, open_source
from segue.video.identity import SourceIdentity
from segue.video.images import write_picture
from segue.video.rotation import RotatingSink, part_name, part_path
from segue.video.sinks import BackgroundSink
from segue.video.source import parse_duration
from segue.video.zones import Zone
from segue.weights.checkpoint import sha256

DEFAULT_FORMATS = ("png", "overlay")
FORMATS = f"What to write: {', '.join(SINKS.names)}.  [default: png and overlay]"

WATCH: ContextVar[Callable[[Frame, Segmentation], None] | None] = ContextVar("watch", default=None)
"""Told of every frame and its result, beside the sinks; a batch counts and draws with it."""

CANCEL: ContextVar[CancelToken | None] = ContextVar("cancel", default=None)
"""Lets the caller of a command interrupt it, as Ctrl-C does; so does a batch."""

NON_RESULT_OPTIONS = frozenset(
    [
        "output",
        "format",
        "side_by_side",
        "rotate",
        "events",
        "zone",
        "notify",
        "background",
        "device",
        "on_damage",
        "overwrite",
        "resume",
        "quiet",
    ]
)
"""Options on which masks that are there do not depend. A run that stopped at damage may go on past it."""


def run_settings(options: Mapping[str, Any], **resolved: Any) -> dict[str, Any]:
    """All that the masks of a run depend on, as JSON values: every option that is not known to mean nothing.

    A file counts by its content, the source by its identity. What is ``resolved`` stands for options, or
    besides them.
    """
    values = {
        name: value for name, value in {**options, **resolved}.items() if name not in NON_RESULT_OPTIONS
    }
    source = SourceIdentity.of(values.pop("source")).to_json()
    return {"source": source, **{name: _stored(value) for name, value in values.items()}}


def _stored(value: Any) -> Any:
    """A value for JSON; the checksum of a file that it names comes with it."""
    if isinstance(value, (list, tuple)):
        return [_stored(item) for item in value]
    if isinstance(value, dict):
        return {name: _stored(item) for name, item in value.items()}
    if not isinstance(value, (str, Path)):
        return value
    text = str(value)
    # A mask may come as FRAME@ID=FILE.
    for place in (text, text.rpartition("@")[2], text.rpartition("=")[2]):
        if place and exists(Path(place)) and Path(place).is_file():
            return f"{text} sha256={sha256(place)}"
    return text


SOURCE = Options(
    open_source,
    "source!",
    types={"source": str},
    help={"source": "Video, image folder, glob, camera number or address."},
)
PART = Options(
    open_source,
    "start end stride duration max_size on_damage",
    types={"start": str | None, "end": str | None, "duration": str | None},
    help={"start": "First frame: 250, 12.5s or 1:30.", "end": "First frame not wanted any more."},
)
"""What is read; for :func:`segue.open_source`."""


@dataclass(frozen=True, slots=True)
class How:
    """How a run is done, and what it writes.

    Attributes:
        output: output folder.  [default: segue-out/NAME]
        format: what to write.  [default: png and overlay]
        side_by_side: put the plain frame beside the overlay.
        rotate: begin new outputs every 90s, 10min, 2h ... of a source without an end.
        device: where networks run: cpu, cuda, cuda:1 ...
        fast: use bfloat16 where the hardware has it.
        overwrite: replace existing output.
        resume: go on with an interrupted run.
        quiet: no progress.
    """

    output: Path | None = None
    format: list[str] | None = None
    side_by_side: bool = False
    rotate: str | None = None
    device: str | None = None
    fast: bool = False
    overwrite: bool = False
    resume: bool = False
    quiet: bool = False


HOW = Options(
    How,
    "output:output,o format side_by_side rotate device fast overwrite resume quiet:quiet,q",
    help={"format": FORMATS},
)


def first_frame(name: str, frames: Iterable[Frame]) -> tuple[Frame, Iterator[Frame]]:
    """The first frame of a source, and all of them."""
    others = iter(frames)
    first = next(others, None)
    if first is None:
        raise SourceError(f"{name}: there are no frames in the part that was asked for")
    return first, itertools.chain([first], others)


def run_job(
    session: Session,
    source: Source,
    frames: Iterable[Frame],
    how: How,
    settings: dict[str, Any],
    note: Callable[[Segmentation], str],
    *,
    prompts: PromptSource = lambda _: None,
    total: int | None = None,
    saves: bool = True,
    places: Mapping[str, Path] | None = None,
    categories: Mapping[str, int] | None = None,
    explain: Path | None = None,
    passes: TwoPasses | None = None,
    zones: Sequence[Zone] = (),
    notify: str | None = None,
) -> None:
    """Take frames of a source through a session into the sinks, and say where the results are.

    A resumed run must have the same settings, see :func:`run_settings`; one whose session cannot be saved
    goes through all frames again. The ``note`` gives a few words about a result, for the progress; ``total``
    is the expected number of frames, where it is not that of the source, ``places`` are files of formats
    outside the output folder, ``categories`` the numbers of class names, ``explain`` is a folder for a strip
    of pictures of each frame, of a session that can explain, ``passes`` are two that take the place of the
    frames, ``zones`` are watched for events, and ``notify`` is an
    address that is told of these.
    """
    seconds_of_part = None if how.rotate is None else parse_duration(how.rotate, "--rotate")
    if passes is None:
        _, frames = first_frame(source.name, frames)
    else:
        frames = passes.second()
    if seconds_of_part is not None and not source.endless:
        raise SourceError(f"{source.name}: has an end; --rotate is for cameras and live streams")
    if how.resume and source.endless:
        raise SourceError(f"{source.name}: what a live source gave is gone; leave out --resume")
    explaining: Any = session
    if explain is not None:
        explaining.explain()

    written: dict[str, Path] = {}

    def open_outputs(begin: float, part: str | None = None) -> Sink:
        output, others = how.output or Path("segue-out") / source.name, dict(places or {})
        if part is not None:
            output = part_path(output, part)
            others = {name: part_path(path, part) for name, path in others.items()}
        outputs = open_sinks(
            output,
            tuple(how.format or DEFAULT_FORMATS),
            source,
            overwrite=how.overwrite,
            resume=how.resume,
            settings=settings,
            side_by_side=how.side_by_side,
            background=part is None,
            places=others,
            categories=categories,
            begin=begin,
            zones=zones,
            notify=notify,
        )
        written.update(outputs.paths)
        return outputs.sink

    if seconds_of_part is None:
        results = open_outputs(0.0)
    else:
        results = BackgroundSink(
            RotatingSink(lambda begin: open_outputs(begin, part_name()), seconds_of_part)
        )
    masks = written.get("png")
    states = masks if saves and not source.endless else None
    begun, count, watch = time.perf_counter(), 0, WATCH.get()
    token, lost = CANCEL.get() or CancelToken(), None
    token.on_cancel(source.stop)
    try:
        with results as sink, bars("note", quiet=how.quiet) as progress:
            if passes is not None:
                first = progress.add_task("first pass", total=total or source.frame_count, note="")

                def learnt(number: int) -> None:
                    progress.update(first, completed=number)

                sink.flush()  # the folder says from now on which run it belongs to
                first_pass(passes, folder=states, resume=how.resume, report=learnt, cancel=token)
                begun = time.perf_counter()
            task = progress.add_task("frames", total=total or source.frame_count, note="")

            def report(frame: Frame, result: Segmentation) -> None:
                nonlocal count
                count += 1
                if watch is not None:
                    watch(frame, result)
                # A run that is gone on with goes through its first results again, without a strip.
                if explain is not None and explaining.explanation is not None:
                    write_picture(explain / f"{result.index:06d}.png", explaining.explanation)
                speed = count / (time.perf_counter() - begun)
                progress.update(task, completed=count, note=f"{speed:.1f} frames/s, {note(result)}")

            try:
                run(
                    session,
                    frames,
                    prompts,
                    sink,
                    folder=states,
                    resume=how.resume,
                    report=report,
                    cancel=token,
                    endless=source.endless,
                )
            except SourceError as error:
                if not source.endless:
                    raise
                lost = error  # what was recorded until then is completed
        if states:
            forget_state(states)
    except KeyboardInterrupt:
        if source.endless:
            hint = "interrupted again; what was not complete is gone"
        elif masks is None:
            hint = "interrupted; without the format png there is nothing to resume from"
        else:
            way = "on" if saves else "through it again"
            hint = f"interrupted; give the same command with --resume to go {way}"
        typer.echo(hint, err=True)
        raise typer.Exit(130) from None
    seconds = time.perf_counter() - begun
    if not how.quiet:
        typer.echo(f"{count} frames in {seconds:.1f} s ({count / seconds:.1f} frames/s)", err=True)
    for name, path in written.items():
        typer.echo(printable(f"{name}: {path}"))
    if lost is not None:
        raise lost
