"""A pool of samples on disk for foreground networks, and batches from it.

Drawing a clip costs more than a few looks at it, so that samples are drawn once and then seen several times,
each time as another part of the picture, mirrored or not, with other colours.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from segue.errors import DatasetError
from segue.training.foreground_clips import Sample
from segue.training.warp import Rng, apply_colour, colour_jitter

Picture = npt.NDArray[np.uint8]

SHARD = 128
"""Samples of one pair of files."""

DESCRIPTION = "pool.json"


class Maker(Protocol):
    """What draws samples, all of one size."""

    def sample(self, rng: Rng) -> Sample: ...


class Pool:
    """Samples in the files of a folder, read when they are used.

    Raises:
        DatasetError: the folder holds no samples, or a file is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.frames, self.labels = [], []
        for path in sorted(folder.glob("frames-*.npy")):
            frames, labels = _map(path), _map(path.with_name(path.name.replace("frames", "labels")))
            if frames.ndim != 5 or labels.shape != (frames.shape[0], *frames.shape[2:4]):
                raise DatasetError(f"{path}: not a file of samples; remove it and build the pool anew")
            self.frames.append(frames)
            self.labels.append(labels)
        if not self.frames:
            raise DatasetError(f"{folder}: holds no samples")

    def __len__(self) -> int:
        return sum(len(shard) for shard in self.frames)

    def __getitem__(self, index: int) -> Sample:
        for frames, labels in zip(self.frames, self.labels, strict=True):
            if index < len(frames):
                return Sample(frames[index, :-1], frames[index, -1], labels[index])
            index -= len(frames)
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
        makers: with the number of samples that each draws, rounded up to whole files.
        workers: processes that draw; 0 draws in this one.
        settings: what the samples depend on; a pool with others is refused.

    Raises:
        DatasetError: the folder holds a pool with other settings, or cannot be written.
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
        samples = [maker.sample(np.random.default_rng([self.seed, number, i])) for i in range(SHARD)]
        frames = np.stack([np.concatenate([item.window, item.background[None]]) for item in samples])
        # The frames come last: they tell that both files are there.
        self._write("labels", number, np.stack([item.labels for item in samples]))
        self._write("frames", number, frames)
        return number

    def _write(self, kind: str, number: int, values: Picture) -> None:
        path = self._path(kind, number)
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            np.save(file, values, allow_pickle=False)
        part.replace(path)

    def _path(self, kind: str, number: int) -> Path:
        return self.folder / f"{kind}-{number:05d}.npy"


class PoolBatches(Dataset[dict[str, Tensor]]):
    """Batch number ``i`` of a run of ``steps`` batches, from a generator of (seed, i).

    Items hold ``window`` (B, T, 3, h, w), ``background`` (B, 3, h, w) and ``labels`` (B, h, w), all uint8.

    Args:
        size: (h, w) of the random part that is shown of a sample.
    """

    def __init__(self, pool: Pool, batch: int, size: tuple[int, int], steps: int, seed: int) -> None:
        self.pool, self.batch, self.size = pool, batch, size
        self.steps, self.seed = steps, seed

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        if step >= self.steps:
            raise IndexError(step)
        # Each pass through the pool has its own order, so that all samples are seen equally often.
        places = np.arange(step * self.batch, (step + 1) * self.batch)
        samples = [self.pool[self._order(int(p) // len(self.pool))[p % len(self.pool)]] for p in places]
        rng = np.random.default_rng([self.seed, step])
        return collate([jitter(rng, sample, self.size) for sample in samples])

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        return np.random.default_rng([self.seed, epoch, 1]).permutation(len(self.pool))


def jitter(rng: Rng, sample: Sample, size: tuple[int, int]) -> Sample:
    """Show a sample anew: a part of it, maybe mirrored, in other colours, each frame with some of its own."""
    height, width = sample.labels.shape
    top, left = int(rng.integers(height - size[0] + 1)), int(rng.integers(width - size[1] + 1))
    turn = -1 if rng.random() < 0.5 else 1
    rows, columns = slice(top, top + size[0]), slice(left, left + size[1])
    frames = np.concatenate([sample.window, sample.background[None]])[:, rows, columns][:, :, ::turn]
    labels = sample.labels[rows, columns][:, ::turn]
    colours = colour_jitter(rng, 0.25)
    gains = np.exp(rng.normal(0, 0.015, len(frames)))
    shown = [
        apply_colour(np.ascontiguousarray(frame), colours * gain)
        for frame, gain in zip(frames, gains, strict=True)
    ]
    return Sample(np.stack(shown[:-1]), shown[-1], np.ascontiguousarray(labels))


def collate(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Samples of one size as a batch, see :class:`PoolBatches`."""
    window = torch.from_numpy(np.stack([item.window for item in samples]))
    background = torch.from_numpy(np.stack([item.background for item in samples]))
    labels = torch.from_numpy(np.stack([item.labels for item in samples]))
    return {
        "window": window.permute(0, 1, 4, 2, 3),
        "background": background.permute(0, 3, 1, 2),
        "labels": labels,
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
