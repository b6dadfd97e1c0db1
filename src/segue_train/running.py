"""Carry out a training that a job describes, in this process."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer
from pydantic import Field, TypeAdapter, ValidationError

from segue.cli.running import COMMAND_LINE_ERROR
from segue.errors import ArgumentError, TrainingError
from segue.jobs.parts import error_text
from segue.jobs.processes import words_of
from segue.jobs.values import TrainJob, TrainSetting


def checked_settings(network: str, settings: Mapping[str, TrainSetting]) -> dict[str, TrainSetting]:
    """Settings of a training as its recipe declares them."""
    known = _recipes()
    if network not in known:
        raise ArgumentError(f"no recipe is called {network!r}; known are {', '.join(known)}")
    options = known[network]
    for name in settings:
        if name not in options:
            raise ArgumentError(f"segue train {network}: No such option: --{name}")
    return {name: _typed(name, value, options[name]) for name, value in settings.items()}


def _typed(name: str, value: TrainSetting, kind: Any) -> TrainSetting:
    """The value of an option as its type; texts are read."""
    if value is None:
        return None
    if get_origin(kind) is list:
        return tuple(map(str, value if isinstance(value, tuple) else (value,)))
    if isinstance(value, tuple):
        raise ArgumentError(f"--{name} may be given once")
    if (kind is bool) != isinstance(value, bool):
        raise ArgumentError(f"--{name} {'takes no value' if kind is bool else 'needs a value'}")
    if get_origin(kind) is Literal:
        choices: dict[str, TrainSetting] = {str(item): item for item in get_args(kind)}
        if str(value) not in choices:
            raise ArgumentError(f"--{name} is {value!r}; it must be one of {', '.join(choices)}")
        return choices[str(value)]
    try:
        found = TypeAdapter(kind).validate_python(value)
    except ValidationError as errors:
        raise ArgumentError(f"--{name}{error_text(errors)}") from None
    return str(found) if isinstance(found, Path) else found


@cache
def _recipes() -> dict[str, dict[str, Any]]:
    """Types of the options of every recipe, by their names without ``--``, with the bounds that they have."""
    from segue_train.commands import app

    known: dict[str, dict[str, Any]] = {}
    for registered in app.registered_commands:
        options = known.setdefault(str(registered.name), {})
        for parameter in inspect.signature(registered.callback or print).parameters.values():
            kind, info = get_args(parameter.annotation)[:2]
            if get_origin(kind) in (Union, UnionType):
                kind = next(part for part in get_args(kind) if part is not NoneType)
            if info.min is not None or info.max is not None:
                kind = Annotated[kind, Field(ge=info.min, le=info.max)]
            declared = (info.default, *(info.param_decls or ()))  # Typer's first parameter is either
            names = [part for text in declared if isinstance(text, str) for part in text.split("/")]
            for name in (*names, parameter.name):
                options[name.removeprefix("--")] = kind
    return known


def run_job(job: TrainJob) -> None:
    """Train a network; ends the program where the training is interrupted or an option is wrong."""
    from segue_train.commands import app

    try:
        code = typer.main.get_command(app).main(
            [job.network, *words_of(job)], prog_name="segue train", standalone_mode=False
        )
    except COMMAND_LINE_ERROR as error:
        raise TrainingError(f"segue train {job.network}: {error.format_message()}") from None
    if code:
        sys.exit(code)
