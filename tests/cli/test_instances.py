"""``segue instances`` from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.api.instances import instances
from segue.errors import PromptError
from segue.formats.mask_records import read_records
from segue.jobs import instances as jobs
from segue.masks import read_index_mask
from segue.models.detection.classes import COCO_NAMES
from segue.sessions import official
from segue.sessions.instances import InstanceSession
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import open_source
from segue.weights import write_checkpoint
from tests.cli.conftest import AtFrame
from tests.cli.running import Command, Outcome, contents
from tests.lite import lively_instances, lively_lite

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SETTINGS = ("--window", 4, "--overlap", 2, "--score", 0.0, "--top", 3, "--short-side", 48)

ALL = tuple(word for name in ("png", "overlay", "coco", "ytvis", "npz") for word in ("--format", name))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "msstsvis-lite.safetensors"
    write_checkpoint(path, lively_instances().state_dict(), {})
    return path


@pytest.fixture
def find(command: Command, inputs: Path, weights: Path, tmp_path: Path) -> Command:
    """Runs ``segue instances`` on the clip with these weights, into ``tmp_path / "out"``."""

    def run(*arguments: object) -> Outcome:
        output = () if "--output" in arguments else ("--output", tmp_path / "out")
        common = ("--weights", weights, *output, *SETTINGS, "--device", "cpu")
        return command("instances", inputs / "clip.mp4", *common, *arguments)

    return run


def test_the_command_writes_what_the_function_gives(
    find: Command, inputs: Path, weights: Path, tmp_path: Path
) -> None:
    outcome = find(*ALL)
    assert outcome.code == 0, outcome.err
    folder = tmp_path / "out"
    results = list(
        instances(
            inputs / "clip.mp4", weights=weights, window=4, overlap=2, score=0.0, top=3, short_side=48,
            device="cpu",
        )
    )  # fmt: skip
    assert [result.index for result in results] == list(range(8))
    assert any(result.mask.any() for result in results)
    records = read_records(folder / "masks")
    for result in results:
        assert np.array_equal(read_index_mask(folder / "masks" / f"{result.index:05d}.png"), result.mask)
        assert [item.label for item in records[result.index].objects] == [
            item.label for item in result.objects
        ]
    tracks = json.loads((folder / "ytvis.json").read_text())
    channels = {name: channel for channel, name in COCO_NAMES.items()}
    labels = {item.id: item.label for result in results for item in result.objects}
    assert [track["category_id"] for track in tracks] == [channels[str(labels[i])] for i in sorted(labels)]
    assert all(len(track["segmentations"]) == 8 for track in tracks)
    coco = json.loads((folder / "coco.json").read_text())
    assert {(item["id"], item["name"]) for item in coco["categories"]} == set(COCO_NAMES.items())


def test_attention_strips_are_written_and_resumed(
    interrupt_at: AtFrame, find: Command, tmp_path: Path
) -> None:
    assert find("--explain", tmp_path / "why", "--format", "png").code == 0
    strips = contents(tmp_path / "why")
    assert sorted(strips) == [f"{index:06d}.png" for index in range(8)]
    objects = [len(record.objects) for record in read_records(tmp_path / "out" / "masks").values()]
    for index, count in enumerate(objects):
        height, width, _ = np.asarray(Image.open(tmp_path / f"why/{index:06d}.png")).shape
        assert (height, width) == (48, 64 * (1 + count))
    assert max(objects) > 0
    again = ("--explain", tmp_path / "again", "--format", "png", "--output", tmp_path / "parts")
    with interrupt_at(InstanceSession, 4):
        assert find(*again).code == 130
    assert find(*again, "--resume").code == 0
    assert contents(tmp_path / "again") == strips


@pytest.mark.parametrize("index", [1, 6])
def test_an_interrupted_run_goes_on_to_the_same_files(
    interrupt_at: AtFrame, find: Command, tmp_path: Path, index: int
) -> None:
    assert find(*ALL, "--output", tmp_path / "whole").code == 0
    with interrupt_at(InstanceSession, index):
        assert find(*ALL).code == 130
    outcome = find(*ALL, "--resume")
    assert outcome.code == 0, outcome.err
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_only_the_classes_that_are_wanted_are_found(find: Command, tmp_path: Path) -> None:
    assert find("--classes", "dog, 2", "--format", "png").code == 0
    records = read_records(tmp_path / "out" / "masks").values()
    labels = {item.label for record in records for item in record.objects}
    assert labels <= {"dog", "bicycle"}
    assert labels


def test_wrong_wishes_are_told_in_one_line(
    find: Command, command: Command, inputs: Path, tmp_path: Path
) -> None:
    assert "no class 'unicorn'; there are airplane, apple" in find("--classes", "unicorn").complaint
    assert "window is 2 and overlap 2" in find("--window", 2).complaint
    (tmp_path / "names.json").write_text("{}")
    assert "has no categories" in find("--names", tmp_path / "names.json").complaint
    clip = inputs / "clip.mp4"
    complaint = command("instances", clip, "--model", "stcn-lite").complaint
    assert "stcn-lite is made to follow objects, not to find and follow instances" in complaint
    complaint = command("instances", clip, "--model", "seqformer-r50").complaint
    assert "segue weights get seqformer-r50" in complaint


def test_objects_are_followed_through_windows_of_one_source(inputs: Path) -> None:
    source = open_source(inputs / "clip.mp4")
    results = list(
        instances(
            source,
            model=lively_instances(),
            window=3,
            overlap=1,
            score=0.0,
            top=2,
            short_side=48,
            device="cpu",
        )
    )
    assert len(results) == 8
    assert all(len(result.objects) <= 2 for result in results)


def test_the_published_inference_takes_a_video_as_one_clip(
    command: Command, inputs: Path, weights: Path, tmp_path: Path
) -> None:
    ordered = ("instances", inputs / "clip.mp4", "--whole", "--weights", weights, "--short-side", 48)
    outcome = command(*ordered, "--device", "cpu", "--output", tmp_path / "out")
    assert (outcome.code, outcome.out) == (0, f"ytvis: {tmp_path / 'out' / 'ytvis.json'}\n"), outcome.err
    found = json.loads((tmp_path / "out" / "ytvis.json").read_text())
    assert 0 < len(found) <= 10
    assert all(len(record["segmentations"]) == 8 for record in found)
    images = [frame.image for frame in open_source(inputs / "clip.mp4")]
    expected = official.whole_clip(lively_instances(), images, (48, 64), short_side=48, device="cpu")
    assert found == json.loads(json.dumps(expected))
    assert "exists already" in command(*ordered, "--output", tmp_path / "out").complaint
    for option in (("--score", 0.5), ("--window", 3)):
        assert f"{option[0]} has no effect with --whole" in command(*ordered, *option).complaint


class LeftHalf:
    """A detector to which the left half of each image is a dog."""

    lookahead = 0

    def __init__(self, name: str, **options: Any) -> None:
        self.name, self.options = name, options

    def __call__(self, frame: Frame, *_: Frame) -> Segmentation:
        mask = np.zeros(frame.size, np.uint8)
        mask[:, : frame.size[1] // 2] = 1
        box = (0.0, 0.0, frame.size[1] // 2, frame.size[0])
        return Segmentation(frame.index, frame.time, mask, (ObjectInfo(1, "dog", 0.9, box, int(mask.sum())),))


def test_a_detector_finds_what_a_network_for_tracking_follows(
    inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "detector", LeftHalf)
    monkeypatch.setattr("segue.weights.prepared.read_network", lambda name, weights: lively_lite())
    results = list(
        instances(inputs / "clip.mp4", model="maskrcnn+stcn-lite", classes=["dog"], window=4, device="cpu")
    )
    assert [result.index for result in results] == list(range(8))
    assert {item.label for result in results for item in result.objects} == {"dog"}
    assert (results[0].mask[:, : results[0].mask.shape[1] // 2] == 1).all()
    with pytest.raises(PromptError, match="the detector is one of maskrcnn"):
        instances(inputs / "clip.mp4", model="stcn+stcn-lite")
    with pytest.raises(PromptError):
        instances(inputs / "clip.mp4", model="maskrcnn+stcn-lite", names={1: "dog"})
