"""Pools of samples: drawn once, completed when interrupted, seen equally often."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from segue.errors import DatasetError
from segue_train import foreground_pool
from segue_train.foreground_pool import Pool, PoolBatches, fill, jitter
from segue_train.foreground_samples import Sample
from segue_train.warp import Rng

SHAPE = (12, 16)


class Numbers:
    """Samples whose pixels all have one random level; counts how many it drew."""

    drawn = 0

    def samples(self, rng: Rng) -> list[Sample]:
        self.drawn += 1
        level = rng.integers(0, 256, dtype=np.uint8)
        window, scene = np.full((3, *SHAPE, 3), level, np.uint8), np.full((*SHAPE, 21), level // 2, np.uint8)
        return [Sample(window, scene, np.full(SHAPE, level, np.uint8))]


@pytest.fixture(autouse=True)
def _small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(foreground_pool, "SHARD", 4)


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


def test_only_what_is_missing_is_drawn_and_comes_out_the_same(tmp_path: Path) -> None:
    first = filled(tmp_path / "pool", Numbers())
    levels = [int(first[i].labels[0, 0]) for i in range(12)]
    (tmp_path / "pool" / "frames-00001.npy").unlink()
    maker = Numbers()
    again = filled(tmp_path / "pool", maker)
    assert maker.drawn == 4
    assert [int(again[i].labels[0, 0]) for i in range(12)] == levels
    assert len(set(levels)) > 6


def test_a_pool_of_other_settings_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "pool", Numbers())
    with pytest.raises(DatasetError, match="other data or settings"):
        filled(tmp_path / "pool", Numbers(), seed=2)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:200]),
        lambda path: path.write_bytes(b"no array"),
        lambda path: np.save(path, np.zeros((4, 4, *SHAPE, 3))),
        lambda path: np.save(path, np.zeros((4, *SHAPE), np.uint8)),
        lambda path: np.save(path, np.array([{}], dtype=object), allow_pickle=True),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    filled(tmp_path / "pool", Numbers())
    damage(tmp_path / "pool" / "frames-00001.npy")
    with pytest.raises(DatasetError, match=r"frames-00001\.npy.*build the pool anew"):
        Pool(tmp_path / "pool")


def test_an_empty_folder_is_no_pool(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no samples"):
        Pool(tmp_path)


def test_each_pass_shows_every_sample_once_in_its_own_order(tmp_path: Path) -> None:
    batches = PoolBatches(6, 0, filled(tmp_path / "pool", Numbers()), 4, SHAPE)
    assert len(batches) == 6
    passes = [
        [batches[step]["labels"][:, 0, 0].tolist() for step in steps] for steps in (range(3), range(3, 6))
    ]
    flat = [[level for batch in each for level in batch] for each in passes]
    assert sorted(flat[0]) == sorted(flat[1])
    assert flat[0] != flat[1]
    with pytest.raises(IndexError):
        batches[6]


def test_a_batch_depends_on_seed_and_number_alone(tmp_path: Path) -> None:
    pool = filled(tmp_path / "pool", Numbers())
    first, again = (PoolBatches(9, 3, pool, 2, (8, 8)) for _ in range(2))
    again[0]
    for name, value in first[5].items():
        np.testing.assert_array_equal(value, again[5][name])
    assert first[5]["window"].shape == (2, 3, 3, 8, 8)
    assert first[5]["background"].shape == (2, 21, 8, 8)
    assert first[5]["labels"].shape == (2, 8, 8)


def test_frames_and_labels_are_moved_together() -> None:
    labels = np.zeros((20, 30), np.uint8)
    labels[5:15, 8:12] = 255
    window = np.repeat(labels[None, ..., None] // 2 + 60, 3, -1).repeat(3, 0)
    scene = np.repeat(labels[..., None] // 2 + 60, 21, -1)
    for seed in range(20):
        shown = jitter(np.random.default_rng(seed), Sample(window, scene, labels), (16, 24))
        inside = shown.labels == 255
        assert inside.any()
        for frame in (*shown.window, shown.background[..., 3:6], shown.background[..., 15:18]):
            assert frame[inside].min() > frame[~inside].max()


def test_quantiles_stay_quantiles_in_other_light() -> None:
    scene = np.sort(np.random.default_rng(0).integers(0, 256, (2, 3, 20, 30, 3), dtype=np.uint8), axis=1)
    planes = np.concatenate([*(scene[0]), *(scene[1]), np.zeros((20, 30, 3), np.uint8)], -1)
    for seed in range(20):
        sample = Sample(np.zeros((3, 20, 30, 3), np.uint8), planes, np.zeros((20, 30), np.uint8))
        low, middle, high = (
            jitter(np.random.default_rng(seed), sample, (20, 30)).background[..., i : i + 3]
            for i in (0, 3, 6)
        )
        assert (low <= middle).all()
        assert (middle <= high).all()
