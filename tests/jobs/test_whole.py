"""A video that is looked at as one clip: what reaches the inference, and what is written."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import segue
from segue.errors import SegueError, SinkError
from segue.jobs import RunCancelledError, read_job, run
from segue.jobs.observer import Observer
from segue.jobs.values import InstanceOptions, InstancesJob, Model, Outputs, VideoSource
from segue.masks import read_stored_mask
from segue.masks.rle import encode_rle
from segue.models.seqformer import SeqFormer, Size
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.video import open_source
from segue.video.sources.images import write_image

NETWORK = SimpleNamespace(short_side=12, score=0.3, classes=2, class_names={1: "dog"})
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 12, 16, 3)).astype(np.uint8)
MASK = np.zeros((24, 32), bool)
MASK[2:10, 3:20] = True


class Seen(Observer):
    def __init__(self) -> None:
        self.told: list[Any] = []
        self.masks: list[Any] = []

    def notice(self, text: str) -> None:
        self.told.append(text)

    def begin(self, what: str, total: int | None) -> None:
        self.told.append((what, total))

    def count(self, done: int) -> None:
        self.told.append(done)

    def looked_at(self, frame: Frame) -> None:
        self.told.append(("looked at", frame.index))

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.told.append((frame.index, result.index, note))
        self.masks.append(result.mask)

    def written(self, name: str, path: Path) -> None:
        self.told.append((name, path.name))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the inference, which finds one object on the first frame."""
    found: list[dict[str, Any]] = []

    class Clip:
        def __init__(self, network: Any, short_side: int) -> None:
            self.call: dict[str, Any] = {"network": network, "images": [], "short_side": short_side}
            found.append(self.call)

        def add(self, image: Any) -> None:
            self.call["images"].append(image)

        def records(self, size: tuple[int, int]) -> Any:
            self.call["size"] = size
            masks = [encode_rle(MASK), None, None]
            return [{"video_id": 1, "score": 0.9, "category_id": 1, "segmentations": masks}]

    monkeypatch.setattr("segue.sessions.official.Clip", Clip)
    prepared = SimpleNamespace(network=NETWORK, precision=torch.float32)
    monkeypatch.setattr("segue.jobs.instances.instance_network", lambda *names, **how: prepared)
    return found


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> InstancesJob:
    monkeypatch.chdir(tmp_path)
    for t, image in enumerate(IMAGES):
        write_image(tmp_path / "video" / f"{t}.png", image.repeat(2, 0).repeat(2, 1))
    return InstancesJob(
        source=VideoSource(place=str(tmp_path / "video"), max_size=16),
        model=Model(name="msstsvis-lite"),
        whole=True,
        device="cpu",
    )


def test_the_clip_is_looked_at_reduced_and_masks_have_the_size_of_the_video(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path
) -> None:
    observer = Seen()
    written = run(job, observer)
    (call,) = calls
    assert call["network"].network is NETWORK
    assert [image.shape for image in call["images"]] == [(12, 16, 3)] * 3
    assert (call["size"], call["short_side"]) == ((24, 32), 12)
    (entry,) = json.loads(written["ytvis"].read_text())
    assert entry["segmentations"] == [encode_rle(MASK), None, None]
    assert observer.told == [
        ("first pass", 3),
        *(each for t in range(3) for each in (("looked at", t), t + 1)),
        ("frames", 3),
        *((t, t, f"{int(t == 0)} objects") for t in range(3)),
        ("ytvis", written["ytvis"].name),
    ]
    assert np.array_equal(observer.masks[0], MASK[1::2, 1::2]), "in the size of the frames"
    assert not np.any(observer.masks[1:])
    record = read_job(written["ytvis"].parent / "job.json")
    assert isinstance(record, InstancesJob)
    assert record.whole


def test_a_large_network_says_its_memory_before_it_starts(
    calls: list[dict[str, Any]], job: InstancesJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def memory_bytes(frames: int, size: tuple[int, int]) -> int:
        asked.append((frames, size))
        return 2_040_000_000

    network = SimpleNamespace(**vars(NETWORK), memory_bytes=memory_bytes)
    large = SimpleNamespace(network=network, precision=torch.float32)
    monkeypatch.setattr("segue.jobs.instances.instance_network", lambda *names, **how: large)
    observer = Seen()
    run(job, observer)
    assert observer.told[0] == "about 2.0 GB of memory for 3 frames of 16x12 at a time"
    assert asked == [(3, (12, 16))]


def test_seqformer_knows_about_how_much_memory_it_needs() -> None:
    network = SeqFormer("r18", Size(width=64, hidden=32, encoder_layers=1, decoder_layers=1))
    one, ten = (network.memory_bytes(count, (360, 640)) for count in (1, 10))
    assert ten - one == pytest.approx(9 * 30e6, rel=0.02)  # measured with r50: 30 MB a frame


def test_the_short_side_and_the_place_are_those_that_are_asked_for(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path
) -> None:
    options = InstanceOptions(short_side=8)
    asked = InstancesJob(
        source=job.source,
        model=job.model,
        whole=True,
        device="cpu",
        options=options,
        outputs=Outputs(folder=tmp_path / "a.json"),
    )
    written = run(asked)
    assert calls[0]["short_side"] == 8
    assert written == {"ytvis": tmp_path / "a.json"}
    assert (tmp_path / "a.json.job.json").exists()
    with pytest.raises(SinkError):
        run(asked)
    again = asked.outputs.model_copy(update={"overwrite": True})
    run(asked.model_copy(update={"outputs": again}))
    assert len(calls) == 2


@pytest.mark.parametrize("once", [False, True], ids=["files", "frames that come once"])
def test_answers_are_drawn_and_written_in_any_format(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path, once: bool
) -> None:
    outputs = Outputs(formats=("ytvis", "png", "coco", "overlay"), folder=tmp_path / "out")
    place = VideoSource(place=None if once else job.source.place)
    asked, source = job.model_copy(update={"outputs": outputs, "source": place}), None
    if once:
        source = open_source(iter([image.repeat(2, 0).repeat(2, 1) for image in IMAGES]))
    written = run(asked, source=source)
    (call,) = calls
    assert len(call["images"]) == 3
    first, *others = (read_stored_mask(path, path.name) for path in sorted(written["png"].glob("*.png")))
    assert np.array_equal(first == 1, MASK)
    assert not np.any(others)
    found = json.loads(written["coco"].read_text())
    assert [item["name"] for item in found["categories"]] == ["dog"]
    assert [(item["image_id"], item["score"]) for item in found["annotations"]] == [(1, 0.9)]
    shown = [frame.image for frame in open_source(written["overlay"])]
    assert len(shown) == 3
    assert all(image.std() > 10 for image in shown), "over the images of the video"
    (entry,) = json.loads(written["ytvis"].read_text())
    assert entry["segmentations"] == [encode_rle(MASK), None, None]


@pytest.mark.parametrize("once", [False, True], ids=["files", "frames that come once"])
def test_a_program_has_the_answers_frame_by_frame_with_images(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path, once: bool
) -> None:
    images = [image.repeat(2, 0).repeat(2, 1) for image in IMAGES]
    source: Any = iter(images) if once else job.source.place
    results = [*segue.instances(source, model="msstsvis-lite", whole=True, keep_images=True, device="cpu")]
    assert [[(item.label, item.area > 0) for item in result.objects] for result in results] == [
        [("dog", True)],
        [("dog", False)],
        [("dog", False)],
    ]
    assert all(np.array_equal(result.image, image) for result, image in zip(results, images, strict=True))
    source = iter(images) if once else job.source.place
    written = segue.instances(source, model="msstsvis-lite", whole=True, device="cpu").save(
        tmp_path / "saved", formats=["ytvis", "overlay"]
    )
    assert len(json.loads(written["ytvis"].read_text())) == 1
    assert all(frame.image.std() > 10 for frame in open_source(written["overlay"]))


def test_a_cancelled_clip_begins_anew_and_leaves_nothing(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path
) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(RunCancelledError):
        run(job, None, token)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "video"]


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"options": InstanceOptions(window=4)}, "window"),
        ({"options": InstanceOptions(score=0.5)}, "score"),
        ({"options": InstanceOptions(overlap=2)}, "overlap"),
        ({"options": InstanceOptions(top=3)}, "top"),
        ({"classes": ("person",)}, "classes"),
        ({"explain": Path("strips")}, "explain"),
    ],
)
def test_options_that_mean_nothing_for_one_clip_are_refused(
    changes: dict[str, Any], name: str, job: InstancesJob
) -> None:
    with pytest.raises(SegueError, match=f"--{name}"):
        run(job.model_copy(update=changes))
