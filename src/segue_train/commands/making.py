"""``segue train``: create training commands from recipes.

Each function of this package prepares the recipe of one network. Its options are those of the data, of the
recipe and of the run, which :mod:`segue.cli.options` makes from their fields.
"""

from __future__ import annotations

import os
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, ClassVar, NamedTuple

import tomlkit
import torch
import typer
from typer.core import TyperCommand

from segue.cli.options import Form, Options, Values
from segue.errors import DatasetError, SegueError, TrainingError
from segue.jobs.values import checked
from segue.options import OptionModel, option
from segue.registry import MODELS
from segue.utils.extras import missing_packages
from segue.utils.files import write_complete
from segue.utils.naming import first_few
from segue.utils.notices import be_quiet, notice
from segue_train.origin import origin_of
from segue_train.recipe import CommonRecipe, Recipe, RunSettings, check_accelerator
from segue_train.trunks import SHIPPED

app = typer.Typer(
    help="Train a network; needs the extra `train`.", no_args_is_help=True, rich_markup_mode="markdown"
)

SAME_ERROR = 60.0
"""Seconds within which errors of the processes of a training count as one."""

RecipeSetup = tuple[Recipe, Values]
"""A recipe, and settings of its run that depend on the data."""

# Defaults of the runs of published networks, and of the small ones that come with segue.
PAPER: Values = {"seed": 1, "workers": 4, "log_every": 50}
LITE: Values = {"seed": 1, "precision": "bf16-mixed", "save_every": 250}


class Beginning(NamedTuple):
    """Initial weights of a training, unless it is resumed."""

    text: str  # which weights, for people
    ways: tuple[tuple[str, ...], ...] = (("start",), ("init",))  # options that must be given together


MOBILENET = Beginning("--init with a MobileNetV2, or --start")
RESNET = Beginning("--init with a ResNet-50, or --start with weights")
CLASSIFIER = Beginning("--init with a classifier of the trunk, or --start with weights")
TWO_TRUNKS = Beginning(
    "--start with weights of the stage before, or --init with a ResNet-50 and --init-value with a ResNet-18",
    (("start",), ("init", "init_value")),
)
"""Initial weights of STCN, XMem and Cutie; Cutie small takes two ResNet-18."""


_EMPTY: tuple[Any, ...] = (None, [], ())

OPTIONS_FILE = "run.toml"
"""File in the folder of a run with its options."""

_OF_ONE_START = ("resume", "overwrite", "until")
"""Options of starting or resuming a run, which do not define it."""

_ELSEWHERE = {
    **dict.fromkeys(("lr", "learning-rate", "base-lr"), ("rate",)),
    **dict.fromkeys(("batch-size", "batch", "bs"), ("batch", "clips", "accumulate")),
    **dict.fromkeys(("epochs", "max-epochs", "iterations", "iters", "max-steps"), ("epochs", "steps")),
    **dict.fromkeys(("weights", "checkpoint", "pretrained"), ("start", "init")),
    **dict.fromkeys(("gpus", "num-gpus"), ("devices",)),
    "num-workers": ("workers",),
    "output": ("out",),
    "size": ("side", "size"),
}
"""Options of other programs by name, and the equivalents here."""


class TrainCommand(TyperCommand):
    """Command that reports everything missing in one message: options, weights, packages."""

    begins: ClassVar[Beginning | None] = None
    form: ClassVar[Form]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not is_first_process():
            be_quiet()
        needed = [item for item in self.params if item.required]
        for item in needed:
            item.required = False
        try:
            rest: list[str] = super().parse_args(ctx, args)
        except Exception as error:
            if hasattr(error, "possibilities"):  # an option that is none
                self._explain(str(ctx.info_name), str(getattr(error, "option_name", "")))
            raise
        finally:
            for item in needed:
                item.required = True
        lacks = [max(item.opts, key=len) for item in needed if ctx.params.get(item.name) in _EMPTY]
        begins = None if ctx.params.get("resume") else self.begins
        if begins and not any(all(map(ctx.params.get, way)) for way in begins.ways):
            lacks.append(f"weights to begin from ({begins.text})")
        if missing := missing_packages("train"):
            lacks.append(missing)
        if lacks:
            raise TrainingError(f"segue train {ctx.info_name} needs {'; '.join(lacks)}")
        return rest

    def _explain(self, name: str, flag: str) -> None:
        """Name the equivalent of another program's option."""
        ours = _ELSEWHERE.get(flag.lstrip("-").replace("_", "-"))
        if ours is None:
            return
        flags = {name for parameter in self.params for name in parameter.opts}
        available = [f"--{option}" for option in ours if f"--{option}" in flags]
        what = f"use {' or '.join(available)}" if available else "its recipe has the published value"
        raise TrainingError(
            f"segue train {name} has no {flag}: {what}; `segue train {name} --help` lists all options"
        )


def _take_config(context: typer.Context, path: Path | None) -> Path | None:
    """Use options of a file as defaults of this call."""
    if path is not None:
        assert isinstance(context.command, TrainCommand)
        context.default_map = context.command.form.parse(read_config(path))
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        callback=_take_config,
        is_eager=True,
        help="TOML file of options by name, such as the run.toml of a run; the command line wins.",
    ),
]


def training(
    name: str,
    data: Options,
    *options: Options,
    begins: Beginning | None = None,
    help: dict[str, str] | None = None,
    **run: Any,
) -> Callable[[Callable[..., RecipeSetup]], Callable[..., RecipeSetup]]:
    """Create a command from a function that prepares a recipe; its docstring is the help.

    The function receives the model of ``data``, then the values of ``options``, then those of the run, whose
    defaults are ``run``. Without ``steps`` there is no such option; if it or ``accumulate`` is None, the
    function sets it unless the user does.
    """
    offers = [{place[-1]: item.default for place, item in g.parameters()} for g in (data, *options)]
    defaults = origin_of(*offers)
    validated = "validate" in (item.name for _, item in data.parameters())
    offered = {"steps": "steps" in run, "validate_every": validated}
    without = [name for name, is_offered in offered.items() if not is_offered]
    settings = Options(RunSettings, without=without, defaults=run, help=help or {})

    form = Form(data, *options, settings)

    def register(prepare: Callable[..., RecipeSetup]) -> Callable[..., RecipeSetup]:
        @report_from_first_process()
        def start(*typed: Values, config: Config = None) -> None:
            source, *values = typed
            for options in values:
                check_start(name, options.get("start"))
            check_accelerator(values[-1]["accelerator"], values[-1]["devices"])  # before data are read
            recipe, more = prepare(checked(data.of, source), *values)
            of_result = zip(offers, typed[:-1], strict=True)  # all groups but that of the run
            origin = origin_of(
                *(
                    {name: recorded_options.get(name) for name in group}
                    for group, recorded_options in of_result
                )
            )
            recorded_options = form.by_option(typed)
            train(recipe, recorded_options, origin=origin, defaults=defaults, **values[-1] | more)

        start.__doc__ = prepare.__doc__
        kind = type("TrainCommand", (TrainCommand,), {"begins": begins, "form": form})
        app.command(name, cls=kind)(form.command(start))
        return prepare

    return register


def check_start(command: str, start: Path | None) -> None:
    """Raise an error for ``--start shipped`` unless the network's weights come with segue."""
    if start != SHIPPED:
        return
    shipped = [entry for entry in MODELS if entry.bundled and entry.task != "detect"]
    if command not in {entry.trained_by or entry.name for entry in shipped}:
        raise TrainingError(
            f"--start shipped: no weights of {command} come with segue; give a file. There are some of "
            f"{', '.join(entry.name for entry in shipped)}"
        )


def is_first_process() -> bool:
    """Whether this is the first process of a training, which prints messages."""
    return not any(int(os.environ.get(name, 0)) for name in ("RANK", "LOCAL_RANK"))


@contextmanager
def report_from_first_process() -> Iterator[None]:
    """Report an error in all processes of a training only once per machine."""
    try:
        yield
    except SegueError as error:
        if is_first_to_report():
            raise
        raise typer.Exit(error.exit_status) from None


def is_first_to_report() -> bool:
    """Whether this process of the training is the first here on this machine."""
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        return True
    is_launcher = "TORCHELASTIC_RUN_ID" not in os.environ and int(os.environ.get("LOCAL_RANK", 0)) == 0
    run = f"{os.getpid() if is_launcher else os.getppid()}-{os.environ.get('MASTER_PORT', '')}"
    path = Path(tempfile.gettempdir()) / f"segue-error-{run}"
    with suppress(OSError):  # of an earlier run whose processes had these numbers
        if time.time() - path.lstat().st_mtime > SAME_ERROR:
            path.unlink()
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def train(recipe: Recipe, options: Values, **settings: Any) -> None:
    """Run a recipe and print where the weights are; exits with 130 if interrupted.

    ``options`` are the options by their names, which are written beside the run.
    """
    from segue_train import loop

    if isinstance(recipe, CommonRecipe) and is_first_process():
        place = settings["accelerator"]
        on_processor = place == "cpu" or (place == "auto" and not torch.cuda.is_available())
        if text := recipe.step_cost(settings["accumulate"], on_processor=on_processor):
            notice(text)
    options_file = OptionsFile({name: value for name, value in options.items() if name not in _OF_ONE_START})
    try:
        weights = loop.train(recipe, RunSettings(report=notice, callbacks=[options_file], **settings))
    except KeyboardInterrupt:
        notice("interrupted; give the same command with --resume to go on")
        raise typer.Exit(130) from None
    if is_first_process():
        typer.echo(f"weights: {weights}")


class OptionsFile:
    """Writes the options of a run into its folder, for ``--config``."""

    def __init__(self, options: Values) -> None:
        self.options = options

    def on_train_start(self, run: Any) -> None:
        """Write the options once the folder exists."""
        if run.fabric.is_global_zero:
            text = tomlkit.dumps({name: _plain(value) for name, value in self.options.items()})
            write_complete(run.settings.out / OPTIONS_FILE, text.encode())


def _plain(value: Any) -> Any:
    """Convert a value to TOML."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value if isinstance(value, (bool, int, float, str)) else str(value)


def read_config(path: Path) -> Values:
    """Read options from a TOML file.

    Raises:
        TrainingError: it cannot be read, or is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainingError(f"--config {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrainingError(f"--config {path}: no TOML: {error}") from error


class Data(OptionModel):
    """Training data."""

    data: list[str] = option()
    """Training data. Repeatable."""

    exclude: str = option("")
    """Sequences to leave out, separated by commas."""

    include_val: bool = option(False)
    """Also train on sequences of DAVIS val; scores on them are then meaningless."""

    @property
    def choice(self) -> Values:
        """Excluded names, for functions that list folders."""
        return {"exclude": names_in(self.exclude), "include_val": self.include_val, "report": notice}


def names_in(text: str) -> list[str]:
    """Parse names separated by commas, without blanks and empty names."""
    return [name.strip() for name in text.split(",") if name.strip()]


def refuse_trained(trained: Iterable[str], held_out: Iterable[str]) -> None:
    """Raise an error if a video is in both training and validation."""
    both = sorted(set(trained).intersection(held_out))
    if both:
        raise DatasetError(f"{first_few(both)}: both trained on and validated on; --exclude them")
