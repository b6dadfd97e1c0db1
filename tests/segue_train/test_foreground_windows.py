"""Windows from films: which frames they show, and that what changes them leaves the labels true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from segue.datasets.cdnet import open_cdnet
from segue.datasets.foreground import ForegroundSequence
from segue.datasets.labels import MOTION, STATIC
from segue.errors import DatasetError
from segue_train import foreground_windows
from segue_train.foreground_material import gather_films
from segue_train.foreground_samples import Sample
from segue_train.foreground_windows import WindowBatches, WindowSampler, augment, cut
from tests.clips import Bytes
from tests.datasets.foreground_videos import save
from tests.segue_train.scenes import save_scene

SIZE = (32, 40)
OFFSETS = (-3, 0, 3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cdnet")
    save_scene(root, "baseline", "yard")
    save_scene(root, "baseline", "office")
    save_scene(root, "shadow", "cubicle")
    return root


@pytest.fixture(scope="module")
def films(root: Path) -> list[ForegroundSequence]:
    return list(open_cdnet(root))


def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave pictures as they are."""
    monkeypatch.setattr(foreground_windows, "augment", lambda rng, sample, now: sample)
    monkeypatch.setattr(foreground_windows, "cut", lambda rng, pictures, size: list(pictures))


def place(frame: Bytes) -> int:
    """Where the bright square begins."""
    return int(np.argmax((frame[20] > 180).all(-1)))


def test_films_that_were_rendered_bring_depth_and_others_none(
    films: list[ForegroundSequence], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(monkeypatch)
    folder = save_scene(tmp_path, "train", "scene")
    for number in range(1, 10):
        ramp = np.linspace(1000, 3000, 48 * 64).reshape(48, 64) + 10 * number
        save(folder / "depth" / f"d{number:06d}.png", ramp.astype(np.uint16))
    rendered = list(open_cdnet(tmp_path))
    both = [
        WindowSampler(group, OFFSETS, (48, 64), background=False, depth=True) for group in (films, rendered)
    ]
    batch = WindowBatches(1, 0, both, batch=2)[0]
    without, given = batch["depth"].numpy()
    assert not without.any()
    assert given[0, 0] < 3
    assert given[-1, -1] == 255
    assert (np.diff(given.astype(int).ravel()) >= 0).all()


def test_windows_run_evenly_through_a_film(
    films: list[ForegroundSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(monkeypatch)
    sampler = WindowSampler(films, OFFSETS, SIZE, background=True)
    steps = set()
    for seed in range(120):
        sample = sampler.sample(np.random.default_rng(seed))
        before, now, after = (place(frame) // 6 for frame in sample.window)
        assert (sample.labels[20] == MOTION).argmax() == 6 * now
        if min(before, after) > 0 and max(before, after) < 8:
            assert now - before == after - now
            steps.add(after - now)
    assert steps >= {-2, -1, 0, 1, 2}


def test_a_background_comes_from_the_past_of_the_window(
    films: list[ForegroundSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(monkeypatch)
    sampler = WindowSampler(films, (-3, 0), SIZE, background=True)
    seen = set()
    for seed in range(60):
        sample = sampler.sample(np.random.default_rng(seed))
        before, now = (place(frame) // 6 for frame in sample.window)
        if abs(now - before) >= 1 and now not in (0, 8):
            # The square covers a pixel in two frames, less than half of these.
            past = now if before < now else 8 - now
            if past >= 6:
                assert place(sample.background) == 0
                seen.add(np.sign(now - before))
    assert seen


def test_frozen_windows_show_nothing_that_moves_unless_there_is_a_background(
    films: list[ForegroundSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain(monkeypatch)
    monkeypatch.setattr(foreground_windows, "FROZEN", 1.0)
    for background in (False, True):
        sample = WindowSampler(films, OFFSETS, SIZE, background=background).sample(np.random.default_rng(0))
        assert (sample.window == sample.window[1]).all()
        assert (sample.labels == MOTION).any() == background


def test_only_frames_that_count_are_shown(root: Path) -> None:
    (root / "baseline" / "office" / "temporalROI.txt").write_text("4 6", encoding="utf-8")
    sampler = WindowSampler([open_cdnet(root)["office"]], OFFSETS, SIZE, background=False)
    assert [run.labelled for run in sampler.runs] == [[3, 4, 5]]
    (root / "baseline" / "office" / "temporalROI.txt").write_text("1 9", encoding="utf-8")


def test_a_batch_depends_on_seed_and_number_alone(films: list[ForegroundSequence]) -> None:
    samplers = [WindowSampler(films[:1], OFFSETS, SIZE, background=False) for _ in range(2)]
    batches, again = (WindowBatches(4, 5, samplers, batch=3) for _ in range(2))
    assert len(batches) == 4
    shapes = {name: tuple(value.shape) for name, value in batches[1].items()}
    assert shapes == {"window": (3, 3, 3, 32, 40), "background": (3, 3, 32, 40), "labels": (3, 32, 40)}
    for name, value in again[1].items():
        assert torch.equal(value, batches[1][name])
    assert not torch.equal(batches[0]["window"], batches[1]["window"])
    with pytest.raises(IndexError):
        batches[4]


def test_kinds_of_films_share_a_batch(films: list[ForegroundSequence]) -> None:
    drawn: list[str] = []

    class Named(WindowSampler):
        def sample(self, rng: np.random.Generator) -> Sample:
            drawn.append(self.runs[0].video.name)
            return super().sample(rng)

    samplers = [Named([film], OFFSETS, SIZE, background=False) for film in films[:2]]
    batches = WindowBatches(2, 0, samplers, batch=3)
    assert len(batches[0]["labels"]) == len(batches[1]["labels"]) == 3
    assert sorted(drawn) == sorted([films[0].name] * 3 + [films[1].name] * 3)


@given(seed=st.integers(0, 10_000))
def test_pictures_and_labels_are_cut_alike(seed: int) -> None:
    labels = np.zeros((50, 80), np.uint8)
    labels[10:40, 20:60] = MOTION
    picture = np.dstack([labels] * 3)
    cut_picture, cut_labels = cut(np.random.default_rng(seed), [picture, labels], SIZE)
    assert cut_picture.shape == (*SIZE, 3)
    assert cut_labels.shape == SIZE
    assert set(np.unique(cut_labels)) <= {STATIC, MOTION}
    assert ((cut_picture[..., 0] > 127) != (cut_labels > 0)).mean() < 0.06


@given(seed=st.integers(0, 10_000))
def test_augmentation_leaves_shapes_and_labels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    window = rng.integers(0, 256, (3, *SIZE, 3), dtype=np.uint8)
    labels = rng.choice(np.array([0, 50, 85, 170, 255], np.uint8), SIZE)
    sample = augment(rng, Sample(window, window[0], labels), 1)
    assert sample.window.shape == window.shape
    assert sample.window.dtype == sample.background.dtype == np.uint8
    assert sample.labels is labels


def test_films_are_divided_by_kind_and_some_left_out(root: Path) -> None:
    films = gather_films([f"cdnet={root}", f"isd={root / 'shadow'}"], exclude=["office"])
    assert sorted(film.name for film in films.real) == ["cubicle", "yard"]
    assert [film.name for film in films.rendered] == ["cubicle"]
    assert [film.name for film in films.left_out] == ["office"]
    assert len(films.sources) == 2
    by_category = gather_films([f"cdnet={root}"], exclude=["baseline"])
    assert sorted(film.name for film in by_category.left_out) == ["office", "yard"]


def test_of_rendered_films_those_for_training_are_taken(tmp_path: Path) -> None:
    save_scene(tmp_path, "train", "scene00000")
    save_scene(tmp_path, "test", "scene00009")
    (tmp_path / "index.csv").write_text("", encoding="utf-8")
    assert [film.name for film in gather_films([f"isd={tmp_path}"]).rendered] == ["scene00000"]


def test_a_fold_leaves_out_its_published_scenes(root: Path) -> None:
    folds = [gather_films([f"cdnet={root}"], fold=fold).left_out for fold in range(4)]
    assert sorted(film.name for fold in folds for film in fold) == ["cubicle", "office"]


@pytest.mark.parametrize(
    ("data", "exclude", "message"),
    [
        ("FOLDER", [], "give LAYOUT=FOLDER"),
        ("what=FOLDER", [], "one of cdnet, hofam, isd, lasiesta"),
        ("cdnet=FOLDER", ["kitchen"], "no scene or category kitchen"),
        ("cdnet=FOLDER", ["baseline", "shadow"], "no films to train on"),
    ],
)
def test_data_that_do_not_fit_are_refused(root: Path, data: str, exclude: list[str], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        gather_films([data.replace("FOLDER", str(root))], exclude=exclude)


def test_a_film_without_neighbouring_labels_is_refused(tmp_path: Path) -> None:
    save_scene(tmp_path, "baseline", "one", frames=1)
    with pytest.raises(DatasetError, match="follow one another"):
        WindowSampler(list(open_cdnet(tmp_path)), OFFSETS, SIZE, background=False)
