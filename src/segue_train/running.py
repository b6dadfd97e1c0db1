"""Carry out a training that a job describes, in this process."""

from __future__ import annotations

import sys

import typer

from segue.cli.running import COMMAND_LINE_ERROR
from segue.errors import TrainingError
from segue.jobs.processes import words_of
from segue.jobs.values import TrainJob


def run_job(job: TrainJob) -> None:
    """Train a network; ends the program where the training is interrupted or an option is wrong.

    Args:
        job: the training. Its settings are read as those of ``segue train`` are.
    """
    from segue_train.commands import app

    command = typer.main.get_command(app)
    try:
        code = command.main([job.network, *words_of(job)], prog_name="segue train", standalone_mode=False)
    except COMMAND_LINE_ERROR as error:
        raise TrainingError(f"segue train {job.network}: {error}") from None
    if code:
        sys.exit(code)
