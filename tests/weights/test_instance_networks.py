"""Video instance networks in the catalogue: which file is whose, and the names of their classes."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from segue.models.instance_networks import instance_network
from segue.models.msstsvis import MSSTSVIS, Parts
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, parse_names
from segue.weights import convert, load
from tests.weights.test_convert import official


def test_a_network_without_some_part_is_built_as_its_file_says() -> None:
    off = Parts(intra_mode="none")
    with torch.device("meta"):
        network = instance_network("msstsvis", "r50", json.dumps({7: "otter"}), off.text())
        again = instance_network("msstsvis", "r50", **network.options)
    assert isinstance(again, MSSTSVIS)
    assert (again.parts, again.class_names) == (off, {7: "otter"})
    with pytest.raises(ValueError, match="seqformer has no parts"):
        instance_network("seqformer", "r50", parts=off.text())


def test_a_released_training_checkpoint_is_converted_strictly(tmp_path: Path) -> None:
    state = official("msstsvis_r50")
    schedule = torch.optim.lr_scheduler.MultiStepLR(torch.optim.SGD([torch.zeros(1)]), [4, 10])
    checkpoint = {
        "model": state,
        "lr_scheduler": schedule.state_dict(),
        "epoch": 11,
        "args": Namespace(lr=2e-4, lr_drop=[4, 10], masks=True, device="cuda"),
    }
    torch.save(checkpoint, tmp_path / "checkpoint.pth")
    assert convert(tmp_path / "checkpoint.pth", tmp_path / "a.safetensors").name == "msstsvis-released"
    network = load("msstsvis-released", tmp_path / "a.safetensors")
    assert isinstance(network, SeqFormer)
    assert network.class_names == YOUTUBE_VIS_2019
    loaded = network.state_dict()
    assert all(
        torch.equal(loaded[name], value)
        for name, value in state.items()
        if "decoder.bbox_embed" not in name  # the heads are in the file twice, and the later ones count
    )
    (tmp_path / "a.safetensors").unlink()


def test_both_editions_of_youtube_vis_have_forty_classes() -> None:
    for names in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021):
        assert list(names) == list(range(1, 41))
        assert len(set(names.values())) == 40
    assert (YOUTUBE_VIS_2019[1], YOUTUBE_VIS_2019[40]) == ("person", "tennis_racket")
    assert (YOUTUBE_VIS_2021[26], YOUTUBE_VIS_2021[31]) == ("person", "snowboard")


@pytest.mark.parametrize("text", ["[]", '{"a": "x"}', '{"42": "x"}', '{"1": 2}', "{"])
def test_damaged_class_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_names(text, 42)
