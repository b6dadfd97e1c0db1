"""Jobs without a frame loop of their own: trainings, which get a process each, graphs, and the page."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from segue import weights
from segue.cancel import LOOK_SECONDS, CancelToken, cancel_on_signals
from segue.errors import SinkError, TrainingError
from segue.extras import missing_packages
from segue.jobs.files import write_job
from segue.jobs.observer import Observer
from segue.jobs.values import ExportJob, TrainJob, TrainSetting
from segue.system import end_group, interrupt_group, killed_by, own_group, was_interrupted
from segue.video.partial import locked, remove_partial

LISTEN_SECONDS = 5.0
"""Seconds to wait for the last lines of an ended program; its child processes may hold its output."""


def train(job: TrainJob, observer: Observer, cancel: CancelToken | None = None) -> Path:
    """Train a network in a process of its own; gives its weights.

    A training on several devices starts its program once for each of them. In a process of its own that
    program is the training alone, not whatever asked for it. What it says goes to the standard error.
    """
    if missing := missing_packages("train"):
        raise TrainingError(f"training needs {missing}")
    observer.notice(f"training {job.network} in {job.folder}")
    with TemporaryDirectory(prefix="segue-job-") as folder:
        file = Path(folder) / "job.json"
        write_job(job, file)
        code, message = _finished([sys.executable, "-m", "segue.jobs", str(file)], cancel)
    if was_interrupted(code):
        raise KeyboardInterrupt("interrupted; give the same command with --resume to go on")
    if code:
        ended = killed_by(code) or f"ended with {code}; its messages say why"
        raise TrainingError(message or f"the training of {job.network} {ended}")
    return job.folder / f"{job.network}.safetensors"


def _finished(command: Sequence[str], cancel: CancelToken | None) -> tuple[int, str]:
    """Run a program in a process group of its own; gives its exit code and the last error that it told."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **own_group(),
        text=True,
        encoding="utf-8",
        errors="backslashreplace",
    )
    errors: list[str] = []
    listener = threading.Thread(target=_pass_on, args=(process.stdout, errors), daemon=True)
    listener.start()
    interrupted = False
    try:
        with cancel_on_signals(cancel) as token:
            while process.poll() is None:
                if token.cancelled and not interrupted:
                    interrupt_group(process)
                    interrupted = True
                with suppress(subprocess.TimeoutExpired):
                    process.wait(LOOK_SECONDS)
    finally:
        if process.poll() is None:  # interrupted twice
            end_group(process)
            process.wait()
        listener.join(LISTEN_SECONDS)
    return process.returncode, errors[-1] if errors else ""


def _pass_on(stream: IO[str], errors: list[str]) -> None:
    """Write the lines of a program to the standard error, and keep its errors."""
    for line in stream:
        sys.stderr.write(line)
        sys.stderr.flush()
        if line.startswith("error: "):
            errors.append(line.removeprefix("error: ").strip())


def value_of(words: Sequence[str], name: str) -> str | None:
    """The value that an option has among the words of a command line; None where it is not there."""
    for place, word in enumerate(words):
        if word == name and place + 1 < len(words):
            return words[place + 1]
        if word.startswith(f"{name}="):
            return word.partition("=")[2]
    return None


def settings_of(words: Sequence[str]) -> dict[str, TrainSetting]:
    """Options as they are typed, by their names: ``--name value``, ``--name=value``, or ``--flag``."""
    found: dict[str, TrainSetting] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise TrainingError(f"{word!r}: expected an option of the training, such as --steps")
        name, given, value = word.removeprefix("--").partition("=")
        if not given and rest and not rest[0].startswith("--"):
            value, given = rest.pop(0), "="
        known = found.get(name)
        if not given:
            found[name] = True
        elif known is None:
            found[name] = value
        else:
            found[name] = (*(known if isinstance(known, tuple) else (str(known),)), value)
    return found


def words_of(job: TrainJob) -> list[str]:
    """The options of a training as they are typed, with where its weights go."""
    words: list[str] = []
    for name, value in job.settings.items():
        if value is True:
            words.append(f"--{name}")
        elif value is not None and value is not False:
            values = value if isinstance(value, tuple) else (value,)
            words += (f"--{name}={item}" for item in values)
    words += [f"--out={job.folder}", *(["--overwrite"] if job.overwrite else [])]
    return [*words, *(["--resume"] if job.resume else [])]


def export(job: ExportJob) -> list[Path]:
    """Write a network as graphs."""
    from segue.export.onnx import export_onnx

    folder = job.folder
    with locked([folder]):
        if folder.is_dir():
            remove_partial(folder)  # of an export that was killed
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())) and not job.overwrite:
            raise SinkError(f"{folder}: exists and is not empty; give --overwrite or another name")
        return list(export_onnx(weights.load(job.model.name, job.model.weights), folder))
