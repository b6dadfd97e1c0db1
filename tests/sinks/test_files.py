"""Overlay video, run lengths in JSON and numpy archives."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from segue.errors import SinkError
from segue.masks import decode_rle, overlay
from segue.sinks import CocoSink, NpzSink, OverlayVideoSink, Sink
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import open_source
from tests.clips import clip
from tests.video.making import corners, fill_disk_at, needs_full_disk, result

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

MAKERS: list[Callable[[Path], Sink]] = [OverlayVideoSink, CocoSink, NpzSink]


def scene(size: tuple[int, int], time: float = 0.0, index: int = 0) -> tuple[Frame, Segmentation]:
    """Four coloured quarters with an object in the middle."""
    mask = np.zeros(size, np.uint8)
    mask[size[0] // 3 : 2 * size[0] // 3, size[1] // 3 : 2 * size[1] // 3] = 1
    return Frame(index, time, corners(size)), Segmentation(index, time, mask, (ObjectInfo(1),))


def write(sink: Sink, count: int) -> None:
    for index in range(count):
        sink.write(*result(index))


@pytest.mark.parametrize("size", [(48, 64), (47, 63), (48, 63), (47, 64)])
def test_the_overlay_video_shows_the_drawn_frames_at_even_size(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "overlay.mp4"
    with OverlayVideoSink(path, 10, ids=False) as sink:
        for index in range(3):
            sink.write(*scene(size, index / 10, index))
    source = open_source(path)
    assert source.size == (48, 64)
    frame, segmentation = scene(size)
    expected = overlay(frame.image, segmentation.mask, ids=False)
    for shown in source:
        difference = np.abs(shown.image[: size[0], : size[1]].astype(int) - expected)
        assert np.median(difference) <= 4  # 4:2:0 colour blurs edges only
        assert difference.mean() < 12


def test_the_overlay_video_is_h264_in_mp4_with_named_colours(tmp_path: Path) -> None:
    with OverlayVideoSink(tmp_path / "a.mp4", 10) as sink:
        write(sink, 3)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert "mp4" in container.format.name
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.codec_context.colorspace == 1  # BT.709


def test_the_overlay_video_keeps_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.52, 2.0]
    with OverlayVideoSink(tmp_path / "a.mp4", 25) as sink:
        for index, time in enumerate(times):
            sink.write(*scene((48, 64), time, index))
    assert [frame.time for frame in open_source(tmp_path / "a.mp4")] == pytest.approx(times, abs=1e-4)


def test_an_overlay_of_the_same_images_has_the_same_bytes(tmp_path: Path) -> None:
    images, masks = clip(5, 8, 240, 320, 2)
    written = set()
    for _ in range(12):
        with OverlayVideoSink(tmp_path / "a.mp4", 10) as sink:
            for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
                sink.write(
                    Frame(index, index / 10, image), Segmentation(index, index / 10, mask.astype(np.uint8))
                )
        written.add((tmp_path / "a.mp4").read_bytes())
    assert len(written) == 1


def test_coco_holds_images_annotations_and_categories(tmp_path: Path) -> None:
    with CocoSink(tmp_path / "a.json", names=("x.jpg",)) as sink:
        write(sink, 3)
    data = json.loads((tmp_path / "a.json").read_text())
    assert [(image["id"], image.get("file_name"), image["frame_index"]) for image in data["images"]] == [
        (1, "x.jpg", 0),
        (2, "00001.jpg", 1),
        (3, "00002.jpg", 2),
    ]
    assert {(image["height"], image["width"]) for image in data["images"]} == {(12, 16)}
    assert data["categories"] == [{"id": 1, "name": "dog"}, {"id": 2, "name": "object"}]
    assert [(a["image_id"], a["track_id"], a["category_id"]) for a in data["annotations"]] == [
        (1, 1, 1),
        (1, 3, 2),
        (2, 1, 1),
        (3, 1, 1),
        (3, 3, 2),
    ]
    first = data["annotations"][0]
    assert (first["bbox"], first["area"], first["score"], first["iscrowd"]) == ([0, 2, 4, 4], 16, 0.9, 0)
    assert np.array_equal(decode_rle(first["segmentation"]), result(0)[1].mask == 1)
    assert len({a["id"] for a in data["annotations"]}) == 5


def test_ytvis_holds_a_track_an_object_with_null_where_it_is_not_seen(tmp_path: Path) -> None:
    with CocoSink(tmp_path / "a.json", flavour="ytvis", video_id=7, categories={"dog": 40}) as sink:
        write(sink, 4)
    dog, other = json.loads((tmp_path / "a.json").read_text())
    assert (dog["video_id"], dog["category_id"], dog["score"]) == (7, 40, pytest.approx(0.9))
    assert (other["category_id"], other["score"]) == (41, pytest.approx(0.5))
    assert [rle is None for rle in dog["segmentations"]] == [False] * 4
    assert [rle is None for rle in other["segmentations"]] == [False, True, False, True]
    for index in range(4):
        assert np.array_equal(decode_rle(dog["segmentations"][index]), result(index)[1].mask == 1)


def test_an_unknown_flavour_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        CocoSink(tmp_path / "a.json", flavour="voc")


def test_an_archive_is_read_by_numpy_without_pickle(tmp_path: Path) -> None:
    with NpzSink(tmp_path / "a.npz") as sink:
        write(sink, 4)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as archive:
        assert archive["masks"].dtype == np.uint8
        assert np.array_equal(archive["masks"], np.stack([result(i)[1].mask for i in range(4)]))
        assert archive["frames"].tolist() == [0, 1, 2, 3]
        assert archive["times"] == pytest.approx([0.0, 0.1, 0.2, 0.3])
        assert archive["ids"].tolist() == [1, 3]


@pytest.mark.parametrize("number", [256, 900])
def test_an_archive_grows_to_16_bits_when_a_late_id_needs_it(tmp_path: Path, number: int) -> None:
    frame, segmentation = result(0)
    wide = np.where(segmentation.mask > 0, number, 0).astype(np.int32)
    with NpzSink(tmp_path / "a.npz") as sink:
        sink.write(frame, segmentation)
        sink.write(frame, Segmentation(1, 0.1, wide))
    masks = np.load(tmp_path / "a.npz")["masks"]
    assert masks.dtype == np.uint16
    assert np.array_equal(masks, [segmentation.mask, wide])


@pytest.mark.parametrize("make", MAKERS)
def test_a_file_appears_only_when_it_is_complete(tmp_path: Path, make: Callable[[Path], Sink]) -> None:
    path = tmp_path / "deep" / "out.bin"
    sink = make(path)
    write(sink, 3)
    assert not path.exists()
    sink.close()
    assert [entry.name for entry in path.parent.iterdir()] == ["out.bin"]


@pytest.mark.parametrize("make", MAKERS)
def test_an_aborted_file_leaves_nothing(tmp_path: Path, make: Callable[[Path], Sink]) -> None:
    def run() -> None:
        with make(tmp_path / "out.bin") as sink:
            write(sink, 3)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("make", MAKERS)
@needs_full_disk
def test_a_full_disk_is_reported_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], Sink]
) -> None:
    path = tmp_path / "out.bin"
    fill_disk_at(path, monkeypatch)
    sink = make(path)

    def run() -> None:
        with sink:
            write(sink, 3)

    with pytest.raises(SinkError) as error:
        run()
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_video_without_frames_makes_no_overlay(tmp_path: Path) -> None:
    OverlayVideoSink(tmp_path / "a.mp4").close()
    assert list(tmp_path.iterdir()) == []
