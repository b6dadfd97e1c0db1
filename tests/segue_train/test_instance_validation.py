"""AP during training: by the published inference, with the numbers of the official evaluation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segue.datasets.ytvis import YTVISDataset, YTVISVideo
from segue.errors import DatasetError
from segue.masks import encode_rle
from segue.metrics.ytvis import evaluate_ytvis
from segue.models.seqformer import SeqFormer, Size
from segue.sessions import official
from segue_train.commands.instances import Tubes
from segue_train.validation import clip_ap
from tests.segue_train.instance_sets import BRIGHT, DARK, save_ytvis

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NAMES = {BRIGHT: "lamp", DARK: "coal"}

SMALL = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1, heads=4, queries=6, classes=3)


@pytest.fixture
def dataset(tmp_path: Path) -> YTVISDataset:
    return YTVISDataset.open(save_ytvis(tmp_path / "vis", NAMES, length=2), "train")


def tiny() -> SeqFormer:
    torch.manual_seed(0)
    return SeqFormer("r18", SMALL).eval()


def records(dataset: YTVISDataset, video: YTVISVideo, label: dict[int, int], seen: list[int]) -> list[Any]:
    """What a network says that finds the objects of the categories ``seen``, and calls them by ``label``."""
    return [
        {
            "category_id": label[item.category],
            "score": 0.9,
            "segmentations": [dict(encode_rle(item.masks.decode(t))) for t in range(len(video))],
        }
        for item in dataset.annotations(video)
        if item.category in seen
    ]


def test_a_network_is_scored_as_its_results_would_be(dataset: YTVISDataset, tmp_path: Path) -> None:
    network = tiny()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(official, "resized", lambda image, _: image)  # small images are quick
        results = tmp_path / "results.json"
        records = []
        for video in dataset:
            images = [dataset.read_image(video, t) for t in range(len(video))]
            found = official.whole_clip(network, images, video.size, device="cpu")
            records += [record | {"video_id": video.id} for record in found]
        results.write_text(json.dumps(records))
        value = clip_ap(network, dataset)
    assert value == evaluate_ytvis(results, dataset).overall["AP"]


def test_videos_without_objects_are_refused(tmp_path: Path) -> None:
    root = save_ytvis(tmp_path / "vis", NAMES, length=1)
    text = (root / "train.json").read_text()
    head, _, tail = text.partition('"annotations": ')
    (root / "train.json").write_text(head + '"annotations": [], ' + tail[tail.index('"categories"') :])
    with pytest.raises(DatasetError):
        Tubes(data=[], validation_data=root / "train.json").validation([], {}, 180)
