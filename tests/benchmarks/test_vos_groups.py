"""Scores by difficulty, and the films that are kept for one look."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # scripts find their siblings so

import vos_clips
from segue.errors import DatasetError
from vos_groups import GROUPS, group_means, group_table


def test_a_group_is_the_mean_of_its_clips_of_all_sets() -> None:
    scores = {"dev240": {"bmx-trees": 0.7, "goat": 0.9}, "dev480": {"bmx-trees": 0.5}}
    means = group_means(scores)
    assert means["thin parts"] == pytest.approx(0.6)
    assert "calm" not in means, "no clip of it was scored"


def test_the_table_shows_the_worst_group_and_the_mean() -> None:
    good = {"dev240": {"bmx-trees": 0.8, "breakdance": 0.9, "goat": 1.0}}
    bad = {"dev240": {"bmx-trees": 0.8, "breakdance": 0.3, "goat": 1.0}}
    rows = {row.split("|")[1].strip(): row for row in group_table({"a": good, "b": bad}).splitlines()}
    assert rows["**worst group**"].split("|")[2:4] == [" 0.800 ", " 0.300 "]
    assert rows["**mean of clips**"].split("|")[2:4] == [" 0.900 ", " 0.700 "]


@pytest.mark.shared
def test_every_name_of_a_group_is_a_development_clip(shared: Path) -> None:
    sets = ("dev240", "composites", "calm")
    names = {clip.name for name in sets for clip in vos_clips.open_set(name, shared / "data" / "vos").clips}
    assert {name for group in GROUPS.values() for name in group} <= names


@pytest.mark.shared
def test_no_kept_film_is_a_development_clip(shared: Path) -> None:
    root = shared / "data" / "vos"
    kept = vos_clips.open_set("kept", root).clips
    assert not {clip.name for clip in kept} & {name for group in GROUPS.values() for name in group}
    for clip in kept:
        assert all(clip.mask(i).any() for i in (0, len(clip) - 1)), clip.name


def test_a_motion_film_is_what_moves_in_pictures_that_have_a_mask(tmp_path: Path) -> None:
    for folder in ("input", "groundtruth"):
        (tmp_path / folder).mkdir()
    for number in (3, 4, 5):
        picture = np.full((20, 30, 3), number, np.uint8)
        cv2.imwrite(str(tmp_path / "input" / f"in{number:06}.png"), picture)
    mask = np.zeros((20, 30), np.uint8)
    mask[:5], mask[10:] = 255, 170
    for number in (4, 5):
        cv2.imwrite(str(tmp_path / "groundtruth" / f"gt{number:06}.png"), mask)
    film = vos_clips.MotionFilm(tmp_path)
    assert [int(frame.image[0, 0, 0]) for frame in film.frames()] == [4, 5]
    assert film.mask(0).sum() == 5 * 30, "unknown pixels are not the object"
    with pytest.raises(DatasetError, match="give the folder of one film"):
        len(vos_clips.MotionFilm(tmp_path / "input"))
