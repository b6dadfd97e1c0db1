"""A video that is looked at as one clip: what reaches the inference, and what is written."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from segue.errors import SegueError, SinkError
from segue.jobs import RunCancelledError, read_job, run
from segue.jobs.observer import Observer
from segue.jobs.values import InstanceOptions, InstancesJob, Model, Outputs, VideoSource
from segue.masks.rle import encode_rle
from segue.models.seqformer import SeqFormer, Size
from segue.types import Frame, Segmentation
from segue.utils.cancel import CancelToken
from segue.video.sources.images import write_image

NETWORK = SimpleNamespace(short_side=12, score=0.3)
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

    def frame(self, frame: Frame, result: Segmentation, note: str) -> None:
        self.told.append((frame.index, result.index, note))
        self.masks.append(result.mask)

    def written(self, name: str, path: Path) -> None:
        self.told.append((name, path.name))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The arguments of the inference, which finds one object on the first frame."""
    found: list[dict[str, Any]] = []

    def whole_clip(network: Any, images: Iterable[Any], size: tuple[int, int], **options: Any) -> Any:
        found.append({"network": network, "images": list(images), "size": size, **options})
        masks = [encode_rle(MASK), None, None]
        return [{"video_id": 1, "score": 0.9, "category_id": 1, "segmentations": masks}]

    monkeypatch.setattr("segue.jobs.instances.whole_clip", whole_clip)
    prepared = SimpleNamespace(network=NETWORK)
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
        ("frames", 3),
        *(1, 2, 3),
        *((t, t, "") for t in range(3)),
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

    large = SimpleNamespace(network=SimpleNamespace(**vars(NETWORK), memory_bytes=memory_bytes))
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
    asked = job.model_copy(update={"options": options, "outputs": Outputs(folder=tmp_path / "a.json")})
    written = run(asked)
    assert calls[0]["short_side"] == 8
    assert written == {"ytvis": tmp_path / "a.json"}
    assert (tmp_path / "a.json.job.json").exists()
    with pytest.raises(SinkError):
        run(asked)
    run(asked.model_copy(update={"outputs": Outputs(folder=tmp_path / "a.json", overwrite=True)}))
    assert len(calls) == 2


def test_a_cancelled_clip_begins_anew_and_leaves_nothing(
    calls: list[dict[str, Any]], job: InstancesJob, tmp_path: Path
) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(RunCancelledError):
        run(job, None, token)
    assert not (tmp_path / "segue-out").exists()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"options": InstanceOptions(window=4)}, "window"),
        ({"options": InstanceOptions(score=0.5)}, "score"),
        ({"options": InstanceOptions(overlap=2)}, "overlap"),
        ({"options": InstanceOptions(top=3)}, "top"),
        ({"classes": ("person",)}, "classes"),
        ({"names": "ytvis2019"}, "names"),
        ({"outputs": Outputs(formats=("png",))}, "format"),
        ({"explain": Path("strips")}, "explain"),
        ({"outputs": Outputs(side_by_side=True)}, "side-by-side"),
        ({"outputs": Outputs(resume=True)}, "resume"),
    ],
)
def test_options_that_mean_nothing_for_one_clip_are_refused(
    changes: dict[str, Any], name: str, job: InstancesJob
) -> None:
    with pytest.raises(SegueError, match=f"--{name}"):
        run(job.model_copy(update=changes))
