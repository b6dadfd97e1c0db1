"""Commands that run a job over a video: ``segue track``, ``demo``, ``foreground`` and ``instances``."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from contextvars import copy_context
from datetime import datetime
from functools import partial
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segue.cli.main import load_command
from segue.cli.options import Form, Options, Values
from segue.errors import PromptError, SegueError
from segue.jobs.ahead import Plan
from segue.jobs.observer import Observer
from segue.jobs.plan import check_needs
from segue.jobs.values import (
    ForegroundJob,
    InstancesJob,
    Job,
    Model,
    Outputs,
    TrackJob,
    VideoJob,
    VideoSource,
    checked,
)
from segue.options import OptionModel, option
from segue.prompt_inputs.texts import PROMPT_FORMS, typed_prompts
from segue.prompt_types import MaskPrompt
from segue.registry import DETECTORS, FORMATS, MODELS
from segue.reports.terminal import bars, interruptible
from segue.sinks.outputs import check_folder
from segue.types import Frame, Segmentation
from segue.utils.allocation import permanent_imports
from segue.utils.cache import ASSETS
from segue.utils.inputs import printable
from segue.utils.notices import be_quiet, notice
from segue.weights.default import DEFAULT_INSTANCES, default_model

if TYPE_CHECKING:
    from rich.progress import TaskID

    from segue.events.zones import Zone
    from segue.video import Source
    from segue.video.decoding.readers import ConnectionChange

# Base of what is wrong with a command line; versions of typer differ in where they keep it.
COMMAND_LINE_ERROR: Any = typer.BadParameter.__mro__[2]


Watched = Callable[["Console"], AbstractContextManager[Observer]]
"""Creates the observer of a run from the console that shows its progress."""

TRACKERS = ", ".join(entry.name for entry in MODELS if entry.task == "track")


class JobForm:
    """Options of a command that runs a job, and their conversion to the job.

    ``parse`` changes what is typed otherwise than the job has it. It is given the fields of the job that are
    typed, and those of each group.
    """

    def __init__(
        self,
        parse: Callable[..., None],
        kind: type[VideoJob],
        *groups: Options,
        model: str | None,
        model_help: str,
        without: Sequence[str] = (),
    ) -> None:
        formats, detectors = ", ".join(FORMATS.names), ", ".join(DETECTORS.names)
        text = {
            "model.name": model_help,
            "outputs.formats": f"Formats to write, separated by commas: {formats}.  [default: png,overlay; "
            "for a camera with --events only its table and images]",
            "finding.name": f"Detector that finds the objects: {detectors}.  [default: motion; with --text "
            "nanodet, or an open-vocabulary detector of the user's cache]",
        }
        job_options = Options(kind, without=without, defaults={"model.name": model}, help=text)
        self._parse, self._kind, self._form = parse, kind, Form(*groups, job_options)

    def parse(self, values: Mapping[str, Any]) -> Values:
        """Convert values by option names to parameter names."""
        if values.get("live"):
            raise SegueError(NOT_LIVE)
        of_job = {name: value for name, value in values.items() if name.removeprefix("no-") not in SHOWING}
        return self._form.parse(of_job)

    def job(self, values: Mapping[str, Any]) -> VideoJob:
        """Make the job from values by parameter names."""
        return self._job(*self._form.fields(values))

    def _job(self, *typed: Values) -> VideoJob:
        *more, fields = typed
        self._parse(fields, *more)
        return checked(self._kind, fields, self._form.names)

    def command(self) -> Callable[..., None]:
        """Command that runs the job."""

        def carry_out(
            *typed: Values,
            live: Annotated[
                bool,
                typer.Option(
                    "--live",
                    rich_help_panel="Output",
                    help="Show image, masks, zones and events in the browser during the run.",
                ),
            ] = False,
            port: Annotated[
                int,
                typer.Option(
                    min=0,
                    max=65535,
                    rich_help_panel="Output",
                    help="Port of the page of `--live`; 0 selects a free port.",
                ),
            ] = 0,
            browser: Annotated[
                bool, typer.Option(rich_help_panel="Output", help="Open the page of `--live` in the browser.")
            ] = True,
        ) -> None:
            job = self._job(*typed)
            page = resolve_name("segue_web.command:live_page") if live else None
            events = getattr(job, "events", None) is not None or "events" in (job.outputs.formats or ())
            show(
                job, nullcontext if page is None else partial(page, port=port, browser=browser, events=events)
            )

        carry_out.__doc__ = self._parse.__doc__
        return self._form.command(carry_out)


SHOWING = frozenset({"live", "port", "browser", "quiet"})
"""Options of a command that say how a run is shown, and are no part of its job."""

NOT_LIVE = "--live shows one run alone; leave it out"


def given_in_words(name: str, words: Sequence[str]) -> Values:
    """Parse the options of a command line by parameter names; nothing runs."""
    if "--live" in words:
        raise SegueError(NOT_LIVE)
    if "--help" in words:
        raise SegueError(f"--help is no option here; see `segue {name} --help`")
    context = _parsed(name, load_command(name).make_context, f"segue {name}", [*words])
    typed = {
        key: value
        for key, value in context.params.items()
        if context.get_parameter_source(key).name == "COMMANDLINE"
    }
    return {key: value for key, value in typed.items() if key not in SHOWING}


def given_in_file(name: str, values: Mapping[str, Any]) -> Values:
    """Parse the options of a file by parameter names."""
    try:
        return FORMS[name].parse(values)
    except SegueError as error:
        raise SegueError(f"segue {name}: {error}") from None


def job_of_values(name: str, values: Mapping[str, Any]) -> Job:
    """Make a job from options by parameter names, silently."""
    context = copy_context()
    context.run(be_quiet)
    return cast(Job, context.run(FORMS[name].job, values))


def parse_job(name: str, words: Sequence[str]) -> Job:
    """Parse a command line to its job, silently."""
    return job_of_values(name, given_in_words(name, words))


def check_training(words: Sequence[str]) -> None:
    """Raise an error for networks and options that ``segue train`` would refuse."""
    network, *options = words
    _parsed(f"train {network}", load_command("train").commands[network].make_context, network, options)


def _parsed(name: str, parse: Callable[..., Any], *arguments: Any, **how: Any) -> Any:
    """Parse a command line; only errors are printed."""
    context = copy_context()
    context.run(be_quiet)
    try:
        return context.run(parse, *arguments, **how)
    except COMMAND_LINE_ERROR as error:
        raise SegueError(f"segue {name}: {error.format_message()}") from None


def show(job: VideoJob, watched: Watched = nullcontext) -> None:
    """Run a job with progress; exits with 130 if it is interrupted."""
    check_needs([job])
    plan = Plan.of(job)
    with permanent_imports():
        from segue.jobs.running import run  # imports PyTorch

    with interruptible(), closing(Console()) as console, watched(console) as observer:
        run(job, observer, plan=plan)


class Console(Observer):
    """Shows the progress of a job on a terminal."""

    _source: Source
    _task: TaskID

    def __init__(self) -> None:
        self._bars = bars("note")
        self._context = copy_context()  # another thread has its own
        self._bars.start()

    def close(self) -> None:
        """Remove the progress bars."""
        self._bars.stop()

    def notice(self, text: str) -> None:
        notice(text)

    def ready(self, source: Source, zones: Sequence[Zone]) -> None:
        self._source = source

    def begin(self, what: str, total: int | None) -> None:
        self._start, self._done = time.perf_counter(), 0
        self._task = self._bars.add_task(what, total=total, note="")

    def count(self, done: int) -> None:
        self._bars.update(self._task, completed=done)

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self._done += 1
        speed, delay = self._done / (time.perf_counter() - self._start), self._source.delay(frame)
        late = "" if delay is None else f"{delay:.1f} s late{self._dropped}, "
        self._bars.update(self._task, completed=self._done, note=f"{speed:.1f} frames/s, {late}{note}")

    @property
    def _dropped(self) -> str:
        """Text about dropped frames of a live source."""
        return f", {self._source.dropped} frames dropped" if self._source.dropped else ""

    def connection(self, change: ConnectionChange) -> None:
        self._context.copy().run(notice, f"{datetime.now():%H:%M:%S} {change}")

    def end(self, frames: int, seconds: float) -> None:
        self.close()
        damaged = f", {self._source.damaged} damaged" if self._source.damaged else ""
        notice(
            f"{frames} frames in {seconds:.1f} s ({frames / seconds:.1f} frames/s){self._dropped}{damaged}"
        )

    def written(self, name: str, path: Path) -> None:
        self.close()
        typer.echo(printable(f"{name}: {path}"))


class TypedPrompts(OptionModel):
    """Prompts on the command line."""

    box: tuple[str, ...] = option((), "Objects and events")
    """Box in pixels. [FRAME@][ID:]x0,y0,x1,y1"""

    point: tuple[str, ...] = option((), "Objects and events")
    """Point on the object; with -, a point off the object. [FRAME@][ID:][-]x,y"""

    scribble: tuple[str, ...] = option((), "Objects and events")
    """Stroke on the object through several points. [FRAME@][ID:]x,y x,y ..."""

    mask: tuple[str, ...] = option((), "Objects and events")
    """Mask file: an indexed image, a binary image (one object per file), or the annotation of one image
    (.json, .xml). [FRAME@][ID=]PATH"""

    remove: tuple[str, ...] = option((), "Objects and events")
    """Stop tracking an object. FRAME@ID"""

    auto: bool = option(False, "Objects and events")
    """Find the objects automatically."""

    fill: bool = option(False, "Objects and events")
    """Use the filled box as the mask."""


def _track(fields: Values, what: Values) -> None:
    """Track objects through a video of any length.

    Mark the objects with a mask, a box, points or strokes on any frame, or let segue find them with --text or
    --auto. The result is an index mask for every frame and an overlay video.

    Examples:

        segue track dog.mp4 --box 120,80,310,260

        segue track dog.mp4 --mask first.png --format png --format overlay --side-by-side

        segue track frames/ --point 1:200,150 --point 1:-260,150 --point 2:400,90

        segue track dog.mp4 --point 200,150 --prompter sam2-tiny

        segue track dog.mp4 --scribble "150,120 190,140 230,150"

        segue track street.mp4 --text "person, red car"

        segue track long.mp4 --mask first.png --mask 900@again.png --remove 1500@2 --resume

        segue track street.mp4 --auto --with maskrcnn --classes person,car --auto-every 25

        segue track rtsp://camera/stream --box 100,100,200,200 --model stcn --weights stcn.safetensors
    """
    typed, finding = checked(TypedPrompts, what), fields.get("finding")
    if typed.auto:
        fields["finding"] = finding or {}
    elif finding and "text" not in finding:
        raise PromptError("options of the search for objects go with --text or --auto")
    fields["prompts"] = typed_prompts(typed.model_dump(include={*PROMPT_FORMS}), fill=typed.fill)


TRACK = JobForm(
    _track,
    TrackJob,
    Options(TypedPrompts),
    model="stcn-lite",
    model_help=f"{TRACKERS}.",
)
track = TRACK.command()


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Output folder.")] = Path("segue-out/demo"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing output.")] = False,
) -> None:
    """Track the objects in the bundled sample video, offline.

    The command also copies the sample video and its first mask into the output folder.

    Example:

        segue demo --output out/demo
    """
    check_folder(output)
    sample = ASSETS / "sample"
    job = TrackJob(
        source=VideoSource(place=str(sample / "video.mp4")),
        model=Model(name="stcn-lite"),
        prompts=(MaskPrompt(0, str(sample / "first.png")),),
        outputs=Outputs(folder=output, side_by_side=True, overwrite=overwrite),
    )
    show(job)
    for name in ("video.mp4", "first.png"):
        shutil.copyfile(sample / name, output / name)


def _foreground(fields: Values) -> None:
    """Find what moves or does not belong to the background.

    The result is a mask for every frame, with 1 for foreground, and an overlay video.

    Examples:

        segue foreground camera.mp4

        segue foreground rtsp://camera/stream --objects --events events.csv --fps 10

        segue foreground 0 --format overlay --roi street.png --min-area 80

        segue foreground frames/ --model knn --format cdnet --output results/baseline/highway

        segue foreground walk.mp4 --follow-camera always

        segue foreground tree.mp4 --explain why

        segue foreground long.mp4 --shadows --background empty.png --resume

        segue foreground crowded.mp4 --passes 1

        segue foreground 0 --events events.csv --zone "door=10,20 100,20 100,90" --zone "out=0,50 320,50"

        segue foreground 0 --events events.csv --name-events nanodet --snapshots seen --live
    """
    formats = fields.get("outputs", {}).get("formats", ())
    if "events" in fields or "events" in ",".join(formats).split(","):
        fields.setdefault("options", {})["objects"] = True


FOREGROUND = JobForm(
    _foreground,
    ForegroundJob,
    without=["source.stride"],
    model="mustan-lite",
    model_help="Network by name, or mog2, knn, median (running median), difference (of frames).",
)
foreground = FOREGROUND.command()


def _instances(fields: Values) -> None:
    """Find, classify and track every object in a video.

    The result is an index mask for every frame, with constant ids, and an overlay video with class names.

    Examples:

        segue instances street.mp4

        segue instances street.mp4 --classes person,dog --score 0.5 --format ytvis --output street.json

        segue instances street.mp4 --model seqformer-r50 --weights seqformer-r50.safetensors

        segue instances street.mp4 --model maskrcnn+stcn-lite --window 25

        segue instances street.mp4 --explain why

        segue instances street.mp4 --whole --model seqformer-r50

        segue instances long.mp4 --window 20 --overlap 5 --resume
    """
    model = fields.setdefault("model", {})
    if "name" not in model:
        weights = model.get("weights")
        model["name"] = default_model(weights, detectors=not fields.get("whole"))
        if weights is None or model["name"] != DEFAULT_INSTANCES:
            why = f"that of {weights}" if weights else "whose weights are available; --model chooses another"
            notice(f"model: {model['name']}, {why}")


INSTANCES = JobForm(
    _instances,
    InstancesJob,
    model=None,
    model_help="seqformer-r50, msstsvis-r101, msstsvis-lite ...; or a detector with a tracking network, such "
    "as nanodet+stcn-lite.  [default: the network of --weights, or the best available network]",
)
instances = INSTANCES.command()

FORMS = {"track": TRACK, "foreground": FOREGROUND, "instances": INSTANCES}
"""The options and jobs of the commands that carry out a job, by their names."""
