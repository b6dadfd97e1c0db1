"""What a worker does with one video: fetch it, run the command over it, put the results in their place."""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import typer
from annotated_types import Ge
from PIL import Image as PillowImage

from segue.batch.names import check_name, key_of
from segue.batch.places import fetch, is_remote
from segue.batch.plan import Task
from segue.batch.publish import publish
from segue.cancel import CancelToken
from segue.errors import ResumeError, SegueError
from segue.masks import overlay
from segue.types import Frame, Segmentation
from segue.video.mask_folder import MARKER
from segue.weights import keep_networks

PICTURE_WIDTH = 320
"""Width of the picture of a video in the report, in pixels."""

SINGLE_FILES = ("events", "background", "explain")
"""Options that name a file or folder, which all videos would write."""

WORKERS_OWN = ("--output", "-o", "--overwrite", "--resume", "--quiet", "-q")
"""Options of the command that each worker sets itself."""

COMMAND_LINE_ERROR: type[Exception] = typer.BadParameter.__mro__[2]
"""Base of what is wrong with a command line; versions of typer differ in where they keep it."""


@dataclass(frozen=True, slots=True)
class JobConfig:
    """What is done with every video of a batch, and how.

    Attributes:
        command: what is done with each video: track, foreground or instances.
        options: options of that command, for every video.
        output: folder or address of the results.
        workers: number of workers.  [default: one a core, or a share of a GPU]
        threads: threads of each worker.  [default: the cores, shared; 1 on a cluster]
        gpus: share of a GPU for each worker, such as 0.5.
        address: Ray cluster: auto, ray://HOST:10001, HOST:6379, or local.
        tries: a video that so many workers died of has failed.
        scratch: folder on each machine for what is under way.  [default: in the output]
        resume: go on with the batch of this output.
        retry_failed: go on, and try again what has failed.
        json_lines: progress as one JSON object a line on standard output.
        quiet: no progress.
        batch: identity of the batch, by which it knows its own results.
        folder: folder in which relative paths begin.
    """

    command: str = "track"
    options: tuple[str, ...] = ()
    output: str = "segue-out"
    workers: Annotated[int | None, Ge(1)] = None
    threads: Annotated[int | None, Ge(1)] = None
    gpus: Annotated[float, Ge(0)] = 0.0
    address: str | None = None
    tries: Annotated[int, Ge(1)] = 3
    scratch: Path | None = None
    resume: bool = False
    retry_failed: bool = False
    json_lines: bool = False
    quiet: bool = False
    batch: str = ""
    folder: str = "."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a video: frames, seconds with fetching and uploading, digest of the results, a JPEG."""

    frames: int
    seconds: float
    digest: str
    picture: bytes


class ProgressRecorder:
    """Counts frames, and keeps one from the middle with something on it for the report."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        self.frames = 0
        self._kept: tuple[Frame, Segmentation] | None = None
        self._next = 1

    def __call__(self, frame: Frame, result: Segmentation) -> None:
        self.frames += 1
        # Frames 1, 2, 4, 8 ... replace one another: the last one lies somewhere in the second half.
        if self.frames >= self._next and (self._kept is None or result.mask.any()):
            self._kept, self._next = (frame, result), 2 * self.frames

    def picture(self) -> bytes:
        """JPEG of the kept frame with its objects; empty if there was no frame."""
        if self._kept is None:
            return b""
        frame, result = self._kept
        drawn = PillowImage.fromarray(np.ascontiguousarray(overlay(frame.image, result.mask)))
        drawn.thumbnail((PICTURE_WIDTH, PICTURE_WIDTH))
        buffer = io.BytesIO()
        drawn.save(buffer, "JPEG", quality=80)
        return buffer.getvalue()


def execute(task: Task, order: JobConfig, watch: ProgressRecorder, cancel: CancelToken) -> Outcome:
    """Do one video, going on with what an earlier worker left of it.

    Raises:
        KeyboardInterrupt: it was cancelled, and is saved.
        SegueError: it cannot be done.
    """
    begun = time.perf_counter()
    check_name(task.name)
    scratch = cast(Path, order.scratch)  # do_tasks fills it in
    fetched = scratch / "fetched" / key_of(task.name)
    work = scratch / "work" / key_of(task.name)  # a name may end as a file does: film.mp4
    stopped = False
    try:
        source = fetch(task.source, fetched) if is_remote(task.source) else Path(task.source)
        words = [str(source), *order.options, *_fetched(task.arguments, fetched), "--quiet"]
        words += ["--output", str(work)]
        try:
            _run(order.command, [*words, "--resume" if _can_resume(work) else "--overwrite"], watch, cancel)
        except ResumeError:  # its source or weights have changed since, or what was saved is damaged
            watch.restart()
            shutil.rmtree(work)
            _run(order.command, [*words, "--overwrite"], watch, cancel)
        picture = watch.picture()
        digest = publish(work, order.output, task.name, order.batch)
    except KeyboardInterrupt:
        stopped = True
        raise
    finally:
        if not stopped:
            shutil.rmtree(fetched, ignore_errors=True)
    return Outcome(watch.frames, time.perf_counter() - begun, digest, picture)


def _can_resume(work: Path) -> bool:
    return (work / "masks" / MARKER).exists()


def check(order: JobConfig, tasks: Sequence[Task]) -> dict[str, Any]:
    """See that the command takes the options, before anything is begun.

    Args:
        order: how the videos are done.
        tasks: the videos; the options of the first are parsed, those of all are looked at.

    Returns:
        Values of all options of the command by name, for the first video.

    Raises:
        SegueError: an option is wrong, or names one place for all videos.
    """
    from segue.cli.main import load_command

    for words in {task.arguments for task in tasks} | {order.options}:
        given = {word.partition("=")[0] for word in words}
        for name in SINGLE_FILES:
            if f"--{name}" in given:
                raise SegueError(f"--{name} names one place for all videos; leave it out, or give --format")
        if own := sorted(given.intersection(WORKERS_OWN)):
            raise SegueError(f"{own[0]} is set for each video by the batch; leave it out of its options")
    if not tasks:
        return {}
    try:
        words = (tasks[0].source, *order.options, *tasks[0].arguments)
        command = load_command(order.command)
        parsed = command.make_context(f"segue {order.command}", list(words))
    except typer.Exit:
        raise SegueError(f"--help is no option of a batch; see `segue {order.command} --help`") from None
    except COMMAND_LINE_ERROR as error:
        raise SegueError(f"segue {order.command}: {error}") from None
    return dict(parsed.params)


_NETWORKS: dict[tuple[str, str | None], Any] = {}
"""Networks that this worker has read."""


def _run(command: str, words: list[str], watch: ProgressRecorder, cancel: CancelToken) -> None:
    from segue.cli.job import CANCEL, WATCH
    from segue.cli.main import load_command

    seen, token = WATCH.set(watch), CANCEL.set(cancel)
    try:
        with contextlib.redirect_stdout(io.StringIO()), keep_networks(_NETWORKS):
            code = load_command(command).main(words, prog_name=f"segue {command}", standalone_mode=False)
    except COMMAND_LINE_ERROR as error:
        raise SegueError(str(error)) from None
    finally:
        WATCH.reset(seen)
        CANCEL.reset(token)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise SegueError(f"the command ended with {code}")


def _fetched(arguments: tuple[str, ...], folder: Path) -> list[str]:
    """The arguments with remote masks and regions brought here."""
    found = list(arguments)
    for place, value in enumerate(found):
        head, mark, path = value.rpartition("=")
        if place and found[place - 1] in ("--mask", "--roi") and is_remote(path):
            found[place] = f"{head}{mark}{fetch(path, folder)}"
    return found
