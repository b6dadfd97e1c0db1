"""Commands that carry out a job: what they read and write, and how they show what goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from annotated_types import Ge, Le
from rich.progress import TaskID

from segue.cli.options import ChosenOptions, Fields, Options, Values, command
from segue.errors import SegueError
from segue.inputs import printable
from segue.jobs.observer import Observer
from segue.jobs.parts import checked
from segue.jobs.plan import check_needs
from segue.jobs.values import Job, TrackJob, VideoJob, check_prompts
from segue.notices import notice
from segue.options import nested
from segue.registry import COMMANDS, DETECTORS, SINKS
from segue.reports.terminal import bars

if TYPE_CHECKING:
    from segue.types import Frame, Segmentation
    from segue.video import Source
    from segue.video.zones import Zone

# Base of what is wrong with a command line; versions of typer differ in where they keep it.
COMMAND_LINE_ERROR: Any = typer.BadParameter.__mro__[2]


def _display(
    quiet: bool = False, live: bool = False, port: Annotated[int, Ge(0), Le(65535)] = 0, browser: bool = True
) -> None:
    """Progress output of a command.

    Args:
        quiet: no progress.
        live: show image, masks, zones and events in the browser while the run goes on.
        port: port of the page of --live; 0 takes a free one.
        browser: open that page in the browser.
    """


def job_command(
    parse: Callable[..., None],
    kind: type[VideoJob],
    *groups: Options,
    without: Sequence[str] = (),
    **defaults: Any,
) -> Callable[..., None]:
    """A command that carries out a job; ``parse`` changes what is typed otherwise than the job has it.

    It is given the values of all options by their places in the job, those of each group, and ``quiet``.
    """
    formats, detectors = ", ".join(SINKS.names), ", ".join(DETECTORS.names)
    text = {
        "model": defaults.pop("model_help"),
        "format": f"Formats to write, separated by commas: {formats}.  [default: png,overlay]",
        "with": f"Detector that finds the objects: {detectors}.  [default: motion; with --text nanodet, or "
        "an open-vocabulary detector of the user's cache]",
    }
    own = Fields(kind, tuple(without), defaults, text)

    def parsed(*given: Any) -> VideoJob:
        *others, values, how = given
        chosen: ChosenOptions = {place: value for place, value in values.items() if value is not None}
        parse(chosen, *others, quiet=how["quiet"])
        return checked(kind, nested(chosen))

    def carry_out(*values: Values) -> None:
        show(cast(Job, parsed(*values)), values[-1])

    parsed.__doc__ = carry_out.__doc__ = parse.__doc__
    shown = Options(_display, "quiet:quiet,q live port browser", panel="Output")
    made = command(carry_out, *groups, own, shown)
    made.parse = command(parsed, *groups, own, shown)  # type: ignore[attr-defined]
    return made


def parse_job(name: str, words: Sequence[str]) -> Job:
    """The job that a command line means, without carrying it out."""
    if "--live" in words:
        raise SegueError("--live shows one run alone; leave it out")
    try:
        found: Any = _parser(name).main(list(words), prog_name=f"segue {name}", standalone_mode=False)
    except COMMAND_LINE_ERROR as error:
        raise SegueError(f"segue {name}: {error.format_message()}") from None
    if isinstance(found, (int, type(None))):
        raise SegueError(f"--help is no option here; see `segue {name} --help`")
    return found  # type: ignore[no-any-return]


@cache
def _parser(name: str) -> Any:
    """The command that only parses; made once, for a batch parses every video."""
    parse = getattr(COMMANDS.find(name).load(), "parse", None)
    if parse is None:
        raise SegueError(f"segue {name} is no job")
    app = typer.Typer(add_completion=False)
    app.command(name)(parse)
    return typer.main.get_command(app)


def show(job: Job, how: Values | None = None) -> None:
    """Carry out a job, and show how it goes on; ends the program with 130 where it is interrupted."""
    if isinstance(job, TrackJob):
        check_prompts(job)
    if isinstance(job, VideoJob):
        check_needs([job])
    from segue.jobs.running import run  # imports PyTorch

    how = how or {}
    with closing(Console(quiet=bool(how.get("quiet")))) as console:
        try:
            page = nullcontext(console)
            if how.get("live"):
                page = resolve_name("segue_web.running:live_page")(console, how["port"], how["browser"])
            with page as observer:
                run(job, observer)
        except KeyboardInterrupt as interrupted:
            console.close()
            typer.echo(str(interrupted) or "interrupted", err=True)
            raise typer.Exit(130) from None


class Console(Observer):
    """Shows on a terminal how a job goes on."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars = bars("note", quiet=quiet)
        self._task: TaskID | None = None
        self._begun = 0.0
        self._done = 0
        self._source: Source | None = None
        self._bars.start()

    def close(self) -> None:
        """Take the bars away."""
        self._bars.stop()

    def notice(self, text: str) -> None:
        if not self._quiet:
            notice(text)

    def ready(self, source: Source, zones: Sequence[Zone]) -> None:
        self._source = source

    def begin(self, what: str, total: int | None) -> None:
        self._begun, self._done = time.perf_counter(), 0
        self._task = self._bars.add_task(what, total=total, note="")

    def count(self, done: int) -> None:
        if self._task is not None:
            self._bars.update(self._task, completed=done)

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self._done += 1
        if self._task is not None:
            speed = self._done / (time.perf_counter() - self._begun)
            self._bars.update(
                self._task, completed=self._done, note=f"{speed:.1f} frames/s, {self._late(frame)}{note}"
            )

    def _late(self, frame: Frame) -> str:
        """Delay of a live source, in words."""
        delay = None if self._source is None else self._source.delay(frame)
        if self._source is None or delay is None:
            return ""
        dropped = f", {self._source.dropped} frames dropped" if self._source.dropped else ""
        return f"{delay:.1f} s late{dropped}, "

    def end(self, frames: int, seconds: float) -> None:
        self.close()
        if not self._quiet:
            dropped = self._source.dropped if self._source is not None else 0
            left_out = f", {dropped} frames dropped" if dropped else ""
            notice(f"{frames} frames in {seconds:.1f} s ({frames / seconds:.1f} frames/s){left_out}")

    def written(self, name: str, path: Path) -> None:
        self.close()
        typer.echo(printable(f"{name}: {path}"))
