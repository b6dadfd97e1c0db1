"""The published inference over a data set: one file of results, that grows video by video."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from segue.datasets.ytvis import Video, YTVISDataset
from segue.errors import SinkError
from segue.models.seqformer import SeqFormer, Size
from segue.sessions.official import write_official
from tests.training.instance_sets import save_ytvis

NAMES = {1: "lamp", 2: "coal"}

# pycocotools 2.0 speaks to numpy 2 in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Interruption(BaseException):
    """What ends a run in the middle."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> YTVISDataset:
    return YTVISDataset.open(save_ytvis(tmp_path_factory.mktemp("vis"), NAMES, length=2), "train")


@pytest.fixture(scope="module")
def network() -> SeqFormer:
    torch.manual_seed(0)
    size = Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1, heads=4, queries=6, classes=3)
    return SeqFormer("mobilenet-v2", size).eval()


def write(network: SeqFormer, dataset: YTVISDataset, path: Path, **options: Any) -> None:
    write_official(network, dataset, path, **{"settings": {"model": "tiny"}, "device": "cpu"} | options)


def stop_after_the_first(count: int, total: int, name: str) -> None:
    assert (count, total, name) == (1, 2, "v1")
    raise Interruption


def test_every_video_has_at_most_ten_entries_of_its_length(
    network: SeqFormer, dataset: YTVISDataset, tmp_path: Path
) -> None:
    write(network, dataset, tmp_path / "results.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert {entry["video_id"] for entry in results} == {1, 2}
    assert 0 < len(results) <= 20  # queries without a pixel have none
    assert all(len(entry["segmentations"]) == 2 for entry in results)
    assert all(mask["size"] == [72, 96] for entry in results for mask in entry["segmentations"])
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_an_interrupted_run_goes_on_with_the_next_video(
    network: SeqFormer, dataset: YTVISDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(network, dataset, tmp_path / "whole.json")
    path = tmp_path / "results.json"
    with pytest.raises(Interruption):
        write(network, dataset, path, report=stop_after_the_first)
    with (tmp_path / "results.json.part").open("ab") as part:
        part.write(b'{"video": 2, "rec')  # the machine went down while this was written
    read: list[int] = []
    read_image = YTVISDataset.read_image

    def reading(self: YTVISDataset, video: Video, frame: int) -> Any:
        read.append(video.id)
        return read_image(self, video, frame)

    monkeypatch.setattr(YTVISDataset, "read_image", reading)
    write(network, dataset, path, resume=True)
    assert set(read) == {2}
    assert path.read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_what_is_there_is_not_touched_unasked(
    network: SeqFormer, dataset: YTVISDataset, tmp_path: Path
) -> None:
    path = tmp_path / "results.json"
    with pytest.raises(Interruption):
        write(network, dataset, path, report=stop_after_the_first)
    with pytest.raises(SinkError, match=r"results\.json\.part: exists already"):
        write(network, dataset, path)
    with pytest.raises(SinkError, match="other settings"):
        write(network, dataset, path, resume=True, settings={"model": "another"})
    lines = (tmp_path / "results.json.part").read_text().splitlines()
    (tmp_path / "results.json.part").write_text(f"{lines[0]}\n[]\n")
    with pytest.raises(SinkError, match="damaged"):
        write(network, dataset, path, resume=True)
    write(network, dataset, path, overwrite=True)
    with pytest.raises(SinkError, match="is complete already"):
        write(network, dataset, path, resume=True)
    with pytest.raises(SinkError, match="exclude each other"):
        write(network, dataset, path, resume=True, overwrite=True)


def test_a_run_whose_first_line_was_cut_off_begins_anew(
    network: SeqFormer, dataset: YTVISDataset, tmp_path: Path
) -> None:
    (tmp_path / "results.json.part").write_bytes(b'{"sett')
    write(network, dataset, tmp_path / "results.json", resume=True)
    assert {entry["video_id"] for entry in json.loads((tmp_path / "results.json").read_text())} == {1, 2}
