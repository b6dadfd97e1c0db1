"""A pool of samples on disk for foreground networks, and batches from it.

Drawing a clip costs more than training on it a few times. Samples are therefore drawn once and used several
times, each time with another crop, mirroring and colours.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt
from torch.utils.data import DataLoader, Dataset

from segue.errors import DatasetError
from segue.flow.providers import FlowImages, flow_provider
from segue.layers.colours import RECURRENCE_PLANES, SCENE_PLANES
from segue.types import Image
from segue.utils.files import reason_of
from segue.utils.system import replace_file, set_opencv_threads
from segue_train.data.foreground.samples import Sample, collate
from segue_train.data.warp import Matrix, Rng, random_part
from segue_train.recipe import Batch, Batches, in_passes

SHARD = 128  # samples of one file
UNSEEN = 0.9  # from this share of looks at samples on, recurrence is unknown
DESCRIPTION = "pool.json"
FIELDS = ("window", "background", "labels")  # of a sample in a file, in the order of :class:`Sample`


class Maker(Protocol):
    """A function that draws samples, all of one size."""

    def samples(self, rng: Rng) -> Sequence[Sample]:
        """Draw samples of one size, with augmentation.

        Args:
            rng: random generator.

        Returns:
            The samples.
        """


class Pool:
    """Samples in the files of a folder, read on use."""

    def __init__(self, folder: Path) -> None:
        self.shards = [_map(path) for path in sorted(folder.glob("samples-*.npy"))]
        if not self.shards:
            raise DatasetError(f"{folder}: holds no samples")

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    def __getitem__(self, index: int) -> Sample:
        shard, row = divmod(index, SHARD)
        return Sample(*self.shards[shard][row])


def fill(
    folder: Path,
    makers: Sequence[tuple[Maker, int]],
    seed: int,
    workers: int,
    settings: dict[str, object],
    report: Callable[[str], None],
) -> Pool:
    """Draw the missing samples of a pool with ``workers`` processes, or in this one."""
    try:
        _claim(folder, {"seed": seed, "planes": SCENE_PLANES + RECURRENCE_PLANES, **settings})
        shards = _Shards(folder, makers, seed)
        if len(shards):
            report(f"{folder}: drawing {len(shards) * SHARD} samples")
        loader: DataLoader[int] = DataLoader(
            shards, None, num_workers=workers, worker_init_fn=_use_one_thread
        )
        for done, _ in enumerate(loader, start=1):
            if done % 10 == 0:
                report(f"{done * SHARD} of {len(shards) * SHARD} samples")
    except OSError as error:
        raise DatasetError(f"{folder}: cannot write the pool ({reason_of(error)})") from error
    return Pool(folder)


class _Shards(Dataset[int]):
    """Missing files; reading an item draws and writes it."""

    def __init__(self, folder: Path, makers: Sequence[tuple[Maker, int]], seed: int) -> None:
        self.folder, self.seed = folder, seed
        planned = (maker for maker, samples in makers for _ in range(-(-samples // SHARD)))
        self.missing = [item for item in enumerate(planned) if not self._path(item[0]).exists()]

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, index: int) -> int:
        if index >= len(self.missing):
            raise IndexError(index)
        number, maker = self.missing[index]
        draws = (maker.samples(np.random.default_rng([self.seed, number, i])) for i in itertools.count())
        samples = itertools.chain.from_iterable(draws)
        row_of = attrgetter(*FIELDS)
        first = row_of(next(samples))
        kind = np.dtype([(name, np.uint8, part.shape) for name, part in zip(FIELDS, first, strict=True)])
        rest = map(row_of, itertools.islice(samples, SHARD - 1))
        rows = np.fromiter(itertools.chain([first], rest), kind, SHARD)
        path = self._path(number)
        partial = path.with_suffix(".part")
        with partial.open("wb") as file:
            np.save(file, rows, allow_pickle=False)
        replace_file(partial, path)
        return number

    def _path(self, number: int) -> Path:
        return self.folder / f"samples-{number:05d}.npy"


@dataclass(frozen=True)
class PoolBatches(Batches):
    """Batches from shuffled passes through a pool, so that samples are used equally often.

    Items hold ``window`` (B, T, 3, h, w), ``background`` (B, 27, h, w) and ``labels`` (B, h, w), all uint8;
    with a provider also ``flow`` (B, T - 1, h, w) from the last frame of a window to the others, the first
    first.
    """

    pool: Pool
    batch: int
    size: tuple[int, int]  # (h, w) of the random part that is shown of a sample
    provider: tuple[str, Path | None] | None = None  # what :data:`cached_provider` takes

    def batch_of(self, number: int) -> Batch:
        rng = np.random.default_rng([self.seed, number])
        indices = in_passes(len(self.pool), number, self.batch, self.seed, 1)
        return collate([self._with_flow(jitter(rng, self.pool[i], self.size)) for i in indices])

    def _with_flow(self, sample: Sample) -> Sample:
        if self.provider is None:
            return sample
        *earlier, current = sample.window
        gaps = tuple(range(1, len(earlier) + 1))
        images = FlowImages(cached_provider(*self.provider), gaps)
        return replace(sample, flow=images(current, earlier[::-1]))


cached_provider = lru_cache(maxsize=1)(flow_provider)
"""A flow method, which is made once in each process."""


def jitter(rng: Rng, sample: Sample, size: tuple[int, int]) -> Sample:
    """Augment a sample: crop, mirror and relight it, each frame slightly differently.

    Statistics of the background and of all frames at times take the place of one another, and recurrence is
    at times unknown: a network must not rely on one of them alone.
    """
    rows, columns = random_part(rng, sample.labels.shape, size)
    turn = -1 if rng.random() < 0.5 else 1
    window = sample.window[:, rows, columns][:, :, ::turn]
    scene = sample.background[rows, columns][:, ::turn].copy()
    kind = rng.random()
    if kind < 0.08:
        scene[..., 9:18] = scene[..., :9]
    elif kind < 0.2:
        scene[..., :9] = scene[..., 9:18]
        scene[..., 18:20] = 0
    elif kind > UNSEEN:
        scene[..., SCENE_PLANES:] = 0
    order = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    contrast = 1 + rng.uniform(-0.25, 0.25)
    gain = contrast * (1 + rng.uniform(-0.08, 0.08, 3))
    offset = 30 * rng.uniform(-1, 1) + 128 * (1 - contrast)
    recoloured = [
        _coloured(frame[..., order], gain * frame_gain, offset)
        for frame, frame_gain in zip(window, np.exp(rng.normal(0, 0.015, len(window))), strict=True)
    ]
    for first in range(0, 18, 3):
        scene[..., first : first + 3] = _coloured(scene[..., order + first], gain, offset)
    return Sample(np.stack(recoloured), scene, np.ascontiguousarray(sample.labels[rows, columns][:, ::turn]))


def _coloured(image: Image, gain: Matrix, offset: float) -> Image:
    """Apply gain and offset per channel to an image (H, W, 3), clipped."""
    matrix = np.column_stack([np.diag(gain), np.full(3, offset)])
    return np.asarray(cv2.transform(np.ascontiguousarray(image), matrix), np.uint8)


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


def _map(path: Path) -> npt.NDArray[np.void]:
    """Memory-map the samples of a file, records of :data:`FIELDS`."""
    try:
        values = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path}: damaged; remove it and build the pool anew") from error
    if values.dtype.names != FIELDS:
        raise DatasetError(f"{path}: not a file of samples; remove it and build the pool anew")
    return np.asarray(values)


def _use_one_thread(_: int) -> None:
    set_opencv_threads(1)
