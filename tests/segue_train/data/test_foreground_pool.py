"""Pools of samples: drawn once, completed when interrupted, seen equally often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segue.errors import DatasetError
from segue_train.data.foreground.pool import Pool, PoolBatches, fill
from segue_train.data.foreground.samples import Sample
from segue_train.data.warp import Rng

SHAPE = (12, 16)


class Numbers:
    """Samples whose pixels all have one random level; counts how many it drew."""

    drawn = 0

    def samples(self, rng: Rng) -> list[Sample]:
        self.drawn += 1
        level = rng.integers(0, 256, dtype=np.uint8)
        window, scene = np.full((3, *SHAPE, 3), level, np.uint8), np.full((*SHAPE, 21), level // 2, np.uint8)
        return [Sample(window, scene, np.full(SHAPE, level, np.uint8))]


pytestmark = pytest.mark.usefixtures("small_shards")


def filled(folder: Path, maker: Numbers, samples: int = 10, seed: int = 1) -> Pool:
    return fill(folder, [(maker, samples)], seed, 0, {"data": "numbers"}, print)


def test_whole_files_are_drawn(tmp_path: Path) -> None:
    pool = filled(tmp_path / "pool", Numbers())
    assert len(pool) == 12
    sample = pool[11]
    assert sample.window.shape == (3, *SHAPE, 3)
    assert (sample.background == sample.window[0, 0, 0, 0] // 2).all()
    assert (sample.labels == sample.window[0, 0, 0, 0]).all()
    with pytest.raises(IndexError):
        pool[12]


def test_a_pool_of_other_settings_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "pool", Numbers())
    with pytest.raises(DatasetError):
        filled(tmp_path / "pool", Numbers(), seed=2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"no array"),
        lambda path: np.save(path, np.zeros((4, *SHAPE), np.uint8)),
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    filled(tmp_path / "pool", Numbers())
    damage(tmp_path / "pool" / "samples-00001.npy")
    with pytest.raises(DatasetError, match=r"samples-00001\.npy.*build the pool anew"):
        Pool(tmp_path / "pool")


def test_an_empty_folder_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(DatasetError):
        Pool(tmp_path)


def test_a_batch_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    pool = filled(tmp_path / "pool", Numbers())
    first, again = (PoolBatches(9, 3, pool, 2, (8, 8)) for _ in range(2))
    again[0]
    for name, value in first[5].items():
        np.testing.assert_array_equal(value, again[5][name])
    assert first[5]["window"].shape == (2, 3, 3, 8, 8)
    assert first[5]["background"].shape == (2, 21, 8, 8)
    assert first[5]["labels"].shape == (2, 8, 8)
