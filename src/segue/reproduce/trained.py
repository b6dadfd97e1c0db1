"""Rows that train their network: with what, and where its weights are."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from segue.batch.plan import Task
from segue.datasets.cdnet import unseen_folds
from segue.errors import DatasetError
from segue.extras import missing_packages
from segue.reproduce.asked import How
from segue.reproduce.needs import absent
from segue.reproduce.protocols import with_job
from segue.reproduce.tables import TableRow, Training
from segue.weights import read_checkpoint


@dataclass(frozen=True, slots=True)
class Trainer:
    """The training of a row."""

    row: TableRow  # the row, which has one
    model: str  # the network that runs what is trained
    how: How  # what the user asked for
    train: Callable[[Sequence[str]], object]  # runs `segue train` with words
    notice: Callable[[str], None]  # called with a line of text

    def videos(self, videos: Iterator[Task]) -> Iterator[Task]:
        """The videos of CDnet2014, each with the weights of a training that left out its fold."""
        folds = unseen_folds()
        for video in videos:
            if video.name not in folds:
                raise DatasetError(f"{video.name} is no video of CDnet2014, whose folds are known")
            weights = self.weights(folds[video.name]).absolute()
            assert video.job is not None
            yield with_job(video, model=video.job.model.model_copy(update={"weights": weights}))

    def weights(self, fold: int | None = None) -> Path:
        """The weights of a training that has come to its end, and left out a fold."""
        training, how = training_of(self.row), self.how
        words = training_words(training, how, self.row.key)
        words += [] if fold is None else ["--fold", str(fold)]
        start = training.start
        if start is not None and not names_its_start(training, how, self.row.key):
            made = how.weights.get(start.name)
            if made is None:
                made = str(self._trained(start.training, training_words(start.training, how), start.file))
            words += ["--start", made]
        return self._trained(training, words, f"{self.model}.safetensors")

    def _trained(self, training: Training, words: list[str], file: str) -> Path:
        folder = training_folder(training, words, self.how.output)
        weights = folder / file
        notes = read_checkpoint(weights).metadata if weights.exists() else None
        if notes is not None and notes["step"] == notes["steps"]:
            return weights
        typed = [*words, "--out", str(folder)]
        self.notice("segue train " + shlex.join(typed))
        if self.how.resume:
            typed.append("--overwrite" if notes is None else "--resume")
        self.train(typed)
        return weights


def training_of(row: TableRow) -> Training:
    """The training of a row that has one."""
    assert row.training is not None
    return row.training


def training_words(training: Training, how: How, *row: str) -> list[str]:
    """A training as it would be typed after ``segue train``, without its fold, its start and its output."""
    words = [training.network, *training.options, *how.train.of(training.network, *row)]
    return [*words, *(f"--data={name}={how.data[name]}" for name in training.data)]


def training_folder(training: Training, words: list[str], output: Path) -> Path:
    """Folder of a training, which differs from others by all that it depends on."""
    name = f"{training.name}-{hashlib.sha256(shlex.join(words).encode()).hexdigest()[:8]}"
    return output / "weights" / name


def training_lacks(row: TableRow, how: How) -> Iterator[str]:
    """Missing requirements of the training of a row, with the command that provides each."""
    training = training_of(row)
    if missing := missing_packages("train"):
        yield f"training needs {missing}"
    start, needed = training.start, list(training.data)
    if start is not None and start.name not in how.weights and not names_its_start(training, how, row.key):
        own = start.training.network
        if names_its_start(start.training, how):
            needed += start.training.data
        else:
            yield (
                f"the training begins from {start.name}, {start.source}; give --weights {start.name}=FILE, "
                f'or --train {own}="--init FILE" to train it here'
            )
    yield from (absent(name) for name in dict.fromkeys(needed) if name not in how.data)


def random_start(row: TableRow, how: How) -> str | None:
    """Initial weights in the paper if this training starts from random weights."""
    training = row.training
    if training is None or training.pretrained is None or row.key in how.weights:
        return None
    return None if names_its_start(training, how, row.key) else training.pretrained


def names_its_start(training: Training, how: How, *row: str) -> bool:
    """Whether the options name initial weights."""
    words = (*training.options, *how.train.of(training.network, *row))
    return not {"--start", "--init"}.isdisjoint(word.partition("=")[0] for word in words)
