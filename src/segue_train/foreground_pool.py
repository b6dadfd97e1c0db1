"""A pool of samples on disk for foreground networks, and batches from it.

Drawing a clip costs more than a few looks at it, so that samples are drawn once and then seen several times,
each time as another part of the picture, mirrored or not, with other colours.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from segue.errors import DatasetError
from segue.layers.colours import PICTURE
from segue_train.foreground_clips import Sample
from segue_train.losses import (
    foreground_target,
    priced,
    shadow_known,
    shadow_target,
    tversky_loss,
    weighted_cross_entropy,
)
from segue_train.recipe import Batch, Batches, Loss, order_of_pass, stacked
from segue_train.warp import Matrix, Picture, Rng, random_part

SHARD = 128
"""Samples of one pair of files."""

DESCRIPTION = "pool.json"

KINDS = {"frames": "window", "scenes": "background", "labels": "labels"}
"""Files of a shard, and which part of its samples each has, in the order of :class:`Sample`."""


class Maker(Protocol):
    """What draws samples, all of one size."""

    def samples(self, rng: Rng) -> Sequence[Sample]: ...


class Pool:
    """Samples in the files of a folder, read when they are used."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.shards = folder, list[list[Picture]]()
        for path in sorted(folder.glob("frames-*.npy")):
            shard = [_map(path.with_name(path.name.replace("frames", kind))) for kind in KINDS]
            frames, scenes, labels = shard
            size = (len(frames), *labels.shape[1:])
            if frames.ndim != 5 or scenes.shape[:3] != size or (len(frames), *frames.shape[2:4]) != size:
                raise DatasetError(f"{path}: not a file of samples; remove it and build the pool anew")
            self.shards.append(shard)
        if not self.shards:
            raise DatasetError(f"{folder}: holds no samples")

    def check(self, offsets: Sequence[int], size: tuple[int, int]) -> None:
        """See that a network can learn from it that looks at these times, and is shown this size (h, w).

        Raises:
            DatasetError: it cannot.
        """
        try:
            found = json.loads((self.folder / DESCRIPTION).read_text())["offsets"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{self.folder}: {DESCRIPTION} does not tell what the samples are") from error
        if found != list(offsets):
            raise DatasetError(
                f"{self.folder}: windows of frames {found}; this network takes {list(offsets)}"
            )
        height, width = self.shards[0][-1].shape[1:]
        if height < size[0] or width < size[1]:
            raise DatasetError(
                f"{self.folder}: samples of {height}x{width} pixels; {size[0]}x{size[1]} is too large"
            )

    def __len__(self) -> int:
        return sum(len(frames) for frames, _, _ in self.shards)

    def __getitem__(self, index: int) -> Sample:
        for shard in self.shards:
            if index < len(shard[0]):
                return Sample(*(plane[index] for plane in shard))
            index -= len(shard[0])
        raise IndexError(index)


def fill(
    folder: Path,
    makers: Sequence[tuple[Maker, int]],
    seed: int,
    workers: int,
    settings: dict[str, object],
    report: Callable[[str], None],
) -> Pool:
    """Complete a pool: what is there stays, what is missing is drawn.

    Args:
        folder: of the pool.
        makers: with the number of samples that each draws, rounded up to whole files.
        seed: of everything random.
        workers: processes that draw; 0 draws in this one.
        settings: what the samples depend on; a pool with others is refused.
        report: told in a line at a time what is there.
    """
    try:
        _claim(folder, {"seed": seed, **settings})
        shards = _Shards(folder, makers, seed)
        if len(shards):
            report(f"{folder}: drawing {len(shards) * SHARD} samples")
        loader: DataLoader[int] = DataLoader(
            shards, batch_size=None, num_workers=workers, worker_init_fn=_one_thread
        )
        for done, _ in enumerate(loader, start=1):
            if done % 10 == 0:
                report(f"{done * SHARD} of {len(shards) * SHARD} samples")
    except OSError as error:
        raise DatasetError(f"{folder}: cannot write the pool: {error.strerror}") from error
    return Pool(folder)


class _Shards(Dataset[int]):
    """The files that are missing; reading one of them draws and writes it."""

    def __init__(self, folder: Path, makers: Sequence[tuple[Maker, int]], seed: int) -> None:
        self.folder, self.seed = folder, seed
        planned = [maker for maker, samples in makers for _ in range(-(-samples // SHARD))]
        self.missing = [
            (number, maker)
            for number, maker in enumerate(planned)
            if not self._path("frames", number).exists()
        ]

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, index: int) -> int:
        if index >= len(self.missing):
            raise IndexError(index)
        number, maker = self.missing[index]
        samples: list[Sample] = []
        draws = itertools.count()
        while len(samples) < SHARD:
            samples += maker.samples(np.random.default_rng([self.seed, number, next(draws)]))
        del samples[SHARD:]
        for kind, name in reversed(KINDS.items()):  # the frames come last: they tell that all files are there
            path = self._path(kind, number)
            part = path.with_suffix(".part")
            with part.open("wb") as file:
                np.save(file, np.stack([getattr(item, name) for item in samples]), allow_pickle=False)
            part.replace(path)
        return number

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:05d}.npy"


@dataclass(frozen=True)
class PoolBatches(Batches):
    """Batches from passes through a pool, each in its own order, so that all samples are seen equally often.

    Items hold ``window`` (B, T, 3, h, w), ``background`` (B, 21, h, w) and ``labels`` (B, h, w), all uint8.

    Attributes:
        size: (h, w) of the random part that is shown of a sample.
    """

    pool: Pool
    batch: int
    size: tuple[int, int]
    count: int
    seed: int

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        shown = []
        for place in range(number * self.batch, (number + 1) * self.batch):
            epoch, rank = divmod(place, len(self.pool))
            sample = self.pool[order_of_pass(len(self.pool), self.seed, epoch, 1)[rank]]
            shown.append(jitter(rng, sample, self.size))
        return collate(shown)


def jitter(rng: Rng, sample: Sample, size: tuple[int, int]) -> Sample:
    """Show a sample anew: a part of it, maybe mirrored, in other light, each frame with some of its own.

    Colours are changed one by one, so that quantiles stay quantiles. One kind of them at times takes the
    place of the other: a network must not rely on either alone.
    """
    height, width = sample.labels.shape
    rows, columns = random_part(rng, (height, width), size)
    turn = -1 if rng.random() < 0.5 else 1
    window = sample.window[:, rows, columns][:, :, ::turn]
    scene = sample.background[rows, columns][:, ::turn].copy()
    kind = rng.random()
    if kind < 0.08:
        scene[..., 9:18] = scene[..., :9]
    elif kind < 0.2:
        scene[..., :9] = scene[..., 9:18]
        scene[..., 18:20] = 0
    order = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    contrast = 1 + rng.uniform(-0.25, 0.25)
    gain = contrast * (1 + rng.uniform(-0.08, 0.08, 3))
    offset = 30 * rng.uniform(-1, 1) + 128 * (1 - contrast)
    shown = [
        _coloured(frame[..., order], gain * own, offset)
        for frame, own in zip(window, np.exp(rng.normal(0, 0.015, len(window))), strict=True)
    ]
    for first in range(0, 18, 3):
        scene[..., first : first + 3] = _coloured(scene[..., order + first], gain, offset)
    return Sample(np.stack(shown), scene, np.ascontiguousarray(sample.labels[rows, columns][:, ::turn]))


def _coloured(picture: Picture, gain: Matrix, offset: float) -> Picture:
    """Each of three colours (H, W, 3) times a gain plus an offset, clipped."""
    matrix = np.column_stack([np.diag(gain), np.full(3, offset)])
    return np.asarray(cv2.transform(np.ascontiguousarray(picture), matrix), np.uint8)


def collate(samples: Sequence[Sample]) -> Batch:
    """Samples of one size as a batch, see :class:`PoolBatches`."""
    return {
        "window": stacked(item.window for item in samples).movedim(-1, 2),
        "background": stacked(item.background for item in samples).movedim(-1, 1),
        "labels": stacked(item.labels for item in samples),
    }


def _claim(folder: Path, settings: dict[str, object]) -> None:
    """Mark a folder as the pool of these settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path, text = folder / DESCRIPTION, json.dumps(settings, sort_keys=True)
    if not path.exists():
        path.write_text(text)
    elif path.read_text() != text:
        raise DatasetError(
            f"{folder}: holds a pool of other data or settings; choose another folder or remove it"
        )


def _map(path: Path) -> Picture:
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: damaged; remove it and build the pool anew") from error
    if values.dtype != np.uint8:
        raise DatasetError(f"{path}: not a file of samples; remove it and build the pool anew")
    return np.asarray(values)


def _one_thread(_: int) -> None:
    cv2.setNumThreads(1)


SHADOW_WEIGHT = 0.3
"""Of the loss of shadow, against 1 for that of foreground."""

TEACHER_WEIGHT = 0.5
"""Of the cross-entropy against what a teacher says, against 1 for that against the labels."""


class ForegroundObjective(nn.Module):
    """``forward(batch, progress, step)`` → loss and its parts.

    Args:
        network: takes ``(window, background)``, or the window alone, in [0, 1], and depth where it is known.
        tversky: prices of false alarms and misses.
        shadow: weight of pixels in shadow in the loss of foreground.
        pooled: the Tversky index is that of a batch, not the mean of those of its pictures.
        background: the network takes a picture of the empty scene.
        teacher: a trained network with the same inputs, whose soft masks are learned too; it learns nothing.
    """

    def __init__(
        self,
        network: nn.Module,
        tversky: tuple[float, float] = (0.5, 0.5),
        *,
        shadow: float = 1.0,
        pooled: bool = False,
        background: bool = True,
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.background, self.shadow = background, shadow
        self.overlap = partial(tversky_loss, alpha=tversky[0], beta=tversky[1], pooled=pooled)
        # In a list it is no part of the module: neither its weights nor its mode follow those of the student.
        self.teacher: Sequence[nn.Module] = [] if teacher is None else [teacher.eval().requires_grad_(False)]

    def forward(self, batch: Batch, progress: float, step: int) -> Loss:
        logits, labels = self._run(self.network, batch), batch["labels"]
        weight, target = priced(labels, self.shadow), foreground_target(labels)
        parts = {
            "entropy": weighted_cross_entropy(logits[:, 0], target, weight),
            "tversky": self.overlap(logits[:, 0], target, weight),
        }
        loss = parts["entropy"] + parts["tversky"]
        if logits.shape[1] > 1:
            weight, target = shadow_known(labels), shadow_target(labels)
            parts["shadow"] = weighted_cross_entropy(logits[:, 1], target, weight)
            parts["shadow"] = parts["shadow"] + self.overlap(logits[:, 1], target, weight)
            loss = loss + SHADOW_WEIGHT * parts["shadow"]
        for teacher in self.teacher:
            with torch.no_grad():
                soft = torch.sigmoid(self._run(teacher, batch)[:, : logits.shape[1]].float())
            parts["teacher"] = weighted_cross_entropy(logits, soft, torch.ones_like(soft))
            loss = loss + TEACHER_WEIGHT * parts["teacher"]
        return loss, parts

    def _run(self, network: nn.Module, batch: Batch) -> Tensor:
        """Logits of a network that takes all that is known of the scene, its picture, or nothing of it."""
        inputs = [batch["window"].float() / 255]
        if self.background:
            known = batch["background"].float() / 255
            whole = getattr(network, "sees_past", False) or known.shape[1] == 3
            inputs.append(known if whole else known[:, PICTURE])
        depth = {"depth": batch["depth"][:, None].float() / 255} if "depth" in batch else {}
        logits: Tensor = network(*inputs, **depth)
        return logits
