"""One run of a command that takes a video through a session: what it reads, what it writes, its progress."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from segue.errors import SourceError
from segue.sessions import Session
from segue.sessions.resumable import PromptSource, forget_state, run
from segue.types import Frame, Segmentation
from segue.video import Format, Outputs, Source, open_sinks


class DamageName(str, Enum):
    """What an unreadable frame does."""

    stop = "stop"
    skip = "skip"
    hold = "hold"


@dataclass(frozen=True, slots=True)
class Job:
    """A run.

    Attributes:
        source: where the frames come from.
        session: what is done with them.
        output, formats, places: what is written where; see :func:`segue.video.open_sinks`.
        settings: all that the masks depend on, as JSON values; a resumed run must have the same.
        side_by_side: put the plain frame beside the overlay.
        overwrite, resume: what to do with the output of an earlier run.
        saves: whether the session can be saved; else a resumed run goes through all frames again.
        quiet: no progress.
        categories: number of each class name, for the formats that number classes.
    """

    source: Source
    session: Session
    output: Path
    formats: tuple[Any, ...]
    settings: dict[str, Any]
    side_by_side: bool
    overwrite: bool
    resume: bool
    quiet: bool
    saves: bool = True
    places: Mapping[Format, Path] = field(default_factory=dict)
    categories: Mapping[str, int] = field(default_factory=dict)

    def frames(self) -> tuple[Frame, Iterator[Frame]]:
        """The first frame, and all of them.

        Raises:
            SourceError: there is none.
        """
        frames = iter(self.source)
        first = next(frames, None)
        if first is None:
            raise SourceError(f"{self.source.name}: there are no frames in the part that was asked for")
        return first, itertools.chain([first], frames)

    def run(
        self,
        frames: Iterator[Frame],
        *,
        prompts: PromptSource = lambda _: None,
        note: Callable[[Segmentation], str],
        total: int | None = None,
    ) -> Outputs:
        """Take the frames through the session into the sinks, and say where the results are.

        Args:
            frames: those of the source.
            prompts: gives the prompts of a frame, or None.
            note: a few words about a result, shown beside the progress.
            total: expected number of frames; None takes that of the source.

        Raises:
            SegueError: something is wrong with source, prompts or output.
            typer.Exit: the run was interrupted.
        """
        outputs = self._open()
        try:
            self._follow(frames, prompts, note, total or self.source.frame_count, outputs)
        except KeyboardInterrupt:
            typer.echo(self._how_to_go_on(outputs), err=True)
            raise typer.Exit(130) from None
        for name, path in outputs.paths.items():
            typer.echo(f"{name}: {path}")
        return outputs

    def _follow(
        self,
        frames: Iterator[Frame],
        prompts: PromptSource,
        note: Callable[[Segmentation], str],
        total: int | None,
        outputs: Outputs,
    ) -> None:
        console = Console(stderr=True, quiet=self.quiet, highlight=False, soft_wrap=True)
        begun, count = time.perf_counter(), 0
        masks = outputs.paths.get("png") if self.saves else None
        with outputs.sink as sink, _progress(console) as progress:
            task = progress.add_task("frames", total=total, note="")

            def report(frame: Frame, result: Segmentation) -> None:
                nonlocal count
                count += 1
                speed = count / (time.perf_counter() - begun)
                progress.update(task, completed=count, note=f"{speed:.1f} frames/s, {note(result)}")

            run(self.session, frames, prompts, sink, folder=masks, resume=self.resume, report=report)
        if masks:
            forget_state(masks)
        seconds = time.perf_counter() - begun
        console.print(f"{count} frames in {seconds:.1f} s ({count / seconds:.1f} frames/s)")

    def _open(self) -> Outputs:
        return open_sinks(
            self.output,
            self.formats,
            self.source,
            overwrite=self.overwrite,
            resume=self.resume,
            settings=self.settings,
            side_by_side=self.side_by_side,
            places=self.places,
            categories=self.categories,
        )

    def _how_to_go_on(self, outputs: Outputs) -> str:
        if "png" not in outputs.paths:
            return "interrupted; without the format png there is nothing to resume from"
        if not self.saves:
            return "interrupted; give the same command with --resume to go through it again"
        return "interrupted; give the same command with --resume to go on"


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
