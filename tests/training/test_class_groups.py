"""The classes of data sets as those of ``msstsvis-lite``."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from segue.models.detection.boxes import COCO_NAMES
from segue.models.msstsvis.lite import LITE_NAMES
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.training.instance_clips import group_channels

THINGS = {"hand", "skateboard", "surfboard", "snowboard", "tennis_racket", "flying_disc"}


def grouped(categories: Mapping[int, str], group: str) -> set[str]:
    return {
        categories[number]
        for number, channel in group_channels(categories).items()
        if LITE_NAMES[channel] == group
    }


@pytest.mark.parametrize("names", [YOUTUBE_VIS_2019, YOUTUBE_VIS_2021])
def test_youtube_vis_has_few_things_beside_beings_and_vehicles(names: Mapping[int, str]) -> None:
    assert grouped(names, "object") == THINGS & set(names.values())
    assert grouped(names, "person") == {"person"}
    assert grouped(names, "vehicle") <= {"airplane", "boat", "car", "motorbike", "sedan", "train", "truck"}


def test_coco_is_grouped_as_its_supercategories() -> None:
    assert grouped(COCO_NAMES, "person") == {"person"}
    vehicles = {"bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat"}
    assert grouped(COCO_NAMES, "vehicle") == vehicles
    animals = {"bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe"}
    assert grouped(COCO_NAMES, "animal") == animals
