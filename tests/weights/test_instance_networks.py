"""Video instance networks in the catalogue: which file is whose, and the names of their classes."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest
import torch

from segue.errors import CheckpointError
from segue.models.detection.boxes import COCO_NAMES
from segue.models.instance_networks import instance_network
from segue.models.msstsvis import MSSTSVIS, Parts
from segue.models.msstsvis.lite import MSSTSVISLite
from segue.models.seqformer import SeqFormer
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021, names_text, parse_names
from segue.weights import convert, load, read_checkpoint, write_checkpoint
from segue.weights.catalogue import recognise
from tests.weights.test_convert import CONTRACTS, official


@pytest.mark.parametrize(
    ("contract", "name"),
    [
        ("seqformer_r50", "seqformer-r50"),
        ("seqformer_r101", "seqformer-r101"),
        ("seqformer_swin_l", "seqformer-swin-l"),
        ("msstsvis_r50", "msstsvis-released"),
    ],
)
def test_the_names_of_a_release_tell_its_network(contract: str, name: str) -> None:
    entry = recognise(json.loads((CONTRACTS / f"{contract}.json").read_text()))
    assert entry is not None
    assert entry.name == name


@pytest.mark.parametrize("backbone", ["r50", "r101", "swin-l"])
def test_a_network_with_the_split_attention_is_reported_from_seqformer(backbone: str) -> None:
    with torch.device("meta"):
        names = MSSTSVIS(backbone).state_dict()  # type: ignore[arg-type]
    entry = recognise(names)
    assert entry is not None
    assert entry.name == f"msstsvis-{backbone}"


def test_the_small_network_is_reported_from_the_published_ones() -> None:
    with torch.device("meta"):
        network = instance_network("msstsvis", "r18")
    entry = recognise(network.state_dict())
    assert entry is not None
    assert entry.name == "msstsvis-r18"
    assert (network.size.encoder_layers, network.size.width, network.backbone.channels) == (
        3, 128, (128, 256, 512),
    )  # fmt: skip


def test_a_network_without_some_part_is_built_as_its_file_says() -> None:
    off = Parts(intra_mode="none")
    with torch.device("meta"):
        network = instance_network("msstsvis", "r50", names_text({7: "otter"}), off.text())
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


def test_heads_that_are_there_twice_are_written_twice(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = MSSTSVISLite()
    write_checkpoint(tmp_path / "lite.safetensors", network.state_dict(), {})
    assert read_checkpoint(tmp_path / "lite.safetensors").tensors.keys() == network.state_dict().keys()
    loaded = load("msstsvis-lite", tmp_path / "lite.safetensors")
    assert isinstance(loaded, MSSTSVISLite)
    assert loaded.class_names == COCO_NAMES
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)


def test_networks_of_which_there_are_no_weights_say_where_they_come_from() -> None:
    with pytest.raises(
        CheckpointError, match=r"download https://.*SeqFormer_r50.*segue weights convert FILE"
    ):
        load("seqformer-r50")
    with pytest.raises(CheckpointError, match=r"train it with `segue train msstsvis --backbone r101`"):
        load("msstsvis-r101")


def test_both_editions_of_youtube_vis_have_forty_classes() -> None:
    for names in (YOUTUBE_VIS_2019, YOUTUBE_VIS_2021):
        assert list(names) == list(range(1, 41))
        assert len(set(names.values())) == 40
    assert (YOUTUBE_VIS_2019[1], YOUTUBE_VIS_2019[40]) == ("person", "tennis_racket")
    assert (YOUTUBE_VIS_2021[26], YOUTUBE_VIS_2021[31]) == ("person", "snowboard")


def test_class_names_come_from_the_file() -> None:
    with torch.device("meta"):
        network = instance_network("seqformer", "r50", names_text({7: "otter"}))
    assert network.class_names == {7: "otter"}
    assert network.options == {"classes": '{"7": "otter"}'}


@pytest.mark.parametrize("text", ["[]", '{"a": "x"}', '{"42": "x"}', '{"1": 2}', "{"])
def test_damaged_class_names_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_names(text, 42)
