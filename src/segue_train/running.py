"""Carry out a training that a job describes, in this process."""

from __future__ import annotations

import sys

import typer

from segue.jobs.processes import words_of
from segue.jobs.values import TrainJob


def run_job(job: TrainJob) -> None:
    """Train a network; ends the program where the training is interrupted or an option is wrong.

    Args:
        job: the training. Its settings are read as those of ``segue train`` are.
    """
    from segue_train.commands import app

    command = typer.main.get_command(app)
    code = command.main([job.network, *words_of(job)], prog_name="segue train", standalone_mode=False)
    if code:
        sys.exit(code)
