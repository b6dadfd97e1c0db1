"""Objects cut out, as images and as videos with transparency, and the text files of the MOT Challenge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from PIL import Image

import segue
from segue.errors import SinkError
from segue.formats.cutouts import CutOutSink, CutOutVideoSink
from segue.formats.mot import MotSink, MotsSink
from segue.masks import decode_rle
from segue.masks.outlines import coco_polygons
from segue.masks.rle import fill_polygons
from segue.types import Frame, ObjectInfo, Segmentation
from tests.segue_web.limited_files import files_limited_to

SIZE = (48, 64)
SHOWN = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)


def given(index: int, **objects: Any) -> tuple[Frame, Segmentation]:
    """A frame with a square, id 3, that moves by two pixels a frame."""
    mask = np.zeros(SIZE, np.uint8)
    mask[10:30, 20 + 2 * index : 40 + 2 * index] = 3
    info = ObjectInfo(**{"id": 3, "label": "car", "score": 0.5, **objects})
    return Frame(index, index / 10, SHOWN), Segmentation(index, index / 10, mask, (info,))


def test_cut_out_images_have_the_pixels_of_the_objects_alone(tmp_path: Path) -> None:
    with CutOutSink(tmp_path / "cut") as sink:
        for index in range(2):
            sink.write(*given(index))
    cut = np.asarray(Image.open(tmp_path / "cut" / "00001.png"))
    inside = given(1)[1].mask > 0
    assert np.array_equal(cut[..., 3], inside * 255)
    assert np.array_equal(cut[inside][:, :3], SHOWN[inside])
    Image.fromarray(SHOWN).save(tmp_path / "cut" / "mine.png")
    with pytest.raises(SinkError):
        CutOutSink(tmp_path / "cut")


@pytest.mark.parametrize(("encoding", "ending"), [("prores", "mov"), ("webm", "webm")])
def test_a_cut_out_video_has_transparency(
    encoding: Literal["prores", "webm"], ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"cut.{ending}"
    with CutOutVideoSink(path, encoding, 10) as sink:
        for index in range(3):
            sink.write(*given(index))
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        decoder = av.CodecContext.create("libvpx-vp9", "r") if encoding == "webm" else stream.codec_context
        frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
    assert len(frames) == 3
    alpha = frames[2].to_ndarray(format="rgba")[..., 3]
    inside = given(2)[1].mask > 0
    assert alpha[inside].mean() > 250
    assert alpha[~inside].mean() < 5


def test_a_cut_out_video_that_is_given_up_leaves_nothing(tmp_path: Path) -> None:
    sink = CutOutVideoSink(tmp_path / "cut.mov", "prores", 10)
    sink.write(*given(0))
    sink.abort()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_names_the_cut_out_video(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    everything = Segmentation(0, 0.0, np.ones((240, 320), np.uint8), (ObjectInfo(1),))

    def run() -> None:
        with CutOutVideoSink(tmp_path / "cut.mov", "prores") as sink:
            for index in range(9):
                sink.write(Frame(index, index / 10, noise), everything)

    with files_limited_to(20_000), pytest.raises(SinkError, match=r"cut\.mov: cannot be written"):
        run()
    assert [*tmp_path.iterdir()] == []


def test_boxes_of_the_mot_challenge_count_from_one(tmp_path: Path) -> None:
    with MotSink(tmp_path / "mot.txt") as sink:
        for index in range(2):
            sink.write(*given(index))
    lines = (tmp_path / "mot.txt").read_text().splitlines()
    assert lines == ["1,3,21,11,20,20,0.5,-1,-1,-1", "2,3,23,11,20,20,0.5,-1,-1,-1"]


def test_run_lengths_of_mots_have_class_and_object_in_one_number(tmp_path: Path) -> None:
    with MotsSink(tmp_path / "mots.txt") as sink:
        sink.write(*given(0))
        sink.write(*given(1, label=None))
        sink.write(*given(2, label="lamp"))
    rows = [line.split() for line in (tmp_path / "mots.txt").read_text().splitlines()]
    assert [row[:5] for row in rows] == [
        ["1", "1003", "1", "48", "64"],
        ["2", "2003", "2", "48", "64"],
        ["3", "3003", "3", "48", "64"],
    ]
    for index, row in enumerate(rows):
        mask = decode_rle({"size": list(SIZE), "counts": row[5]})
        assert np.array_equal(mask, given(index)[1].mask > 0)


def test_polygons_of_coco_give_the_mask_back() -> None:
    rng = np.random.default_rng(3)
    for round_ in range(20):
        mask = np.zeros(SIZE, bool)
        for _ in range(3):
            y, x = rng.integers(0, 40, 2)
            mask[y : y + rng.integers(1, 12), x : x + rng.integers(1, 20)] = True
        if round_ % 2:
            mask[20:24, 20:26] = False  # perhaps a hole
        counts = fill_polygons(coco_polygons(mask), SIZE)
        assert np.array_equal(decode_rle({"size": list(SIZE), "counts": counts}), mask), round_


@pytest.mark.parametrize(
    ("name", "shows"),
    [("x.mp4", "overlay"), ("x.mov", "prores"), ("x.txt", "mot"), ("x.npz", "npz"), ("x.json", "coco")],
)
def test_the_ending_of_the_file_chooses_the_format(tmp_path: Path, name: str, shows: str) -> None:
    results = [given(index)[1] for index in range(2)]
    written = segue.save(results, tmp_path / name, source=[SHOWN] * 2)
    assert written == {shows: tmp_path / name}
    assert (tmp_path / name).stat().st_size > 0


def test_polygons_are_written_by_name(tmp_path: Path) -> None:
    segue.save([given(0)[1]], tmp_path / "out", formats="coco-polygons,mots", source=[SHOWN])
    (label,) = json.loads((tmp_path / "out" / "coco-polygons.json").read_text())["annotations"]
    assert isinstance(label["segmentation"][0], list)
    assert (tmp_path / "out" / "mots.txt").exists()


COLOURS = [(0, 200, 0), (255, 0, 0), (20, 40, 230), (128, 128, 128)]


def rgb_by_bt709(frame: VideoFrame) -> tuple[int, ...]:
    """The colour in the middle of a frame by the matrix of BT.709 (3.2 to 3.4), limited range."""
    bits = frame.format.components[0].bits
    planes = [np.frombuffer(plane, np.uint16 if bits > 8 else np.uint8) for plane in frame.planes[:3]]
    sides = [(plane.line_size // (2 if bits > 8 else 1), plane.height) for plane in frame.planes[:3]]
    values = [
        float(data.reshape(height, width)[height // 2, plane.width // 2])
        for data, (width, height), plane in zip(planes, sides, frame.planes[:3], strict=True)
    ]
    scale = 1 << (bits - 8)
    y, blue, red = (
        (values[0] / scale - 16) / 219,
        *((value / scale - 128) / 224 for value in values[1:]),
    )
    r, b = y + 1.5748 * red, y + 1.8556 * blue
    g = (y - 0.2126 * r - 0.0722 * b) / 0.7152
    return tuple(round(255 * min(max(value, 0.0), 1.0)) for value in (r, g, b))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize(("encoding", "name"), [("prores", "a.mov"), ("webm", "a.webm")])
def test_colours_are_those_of_bt709_as_editors_read_them(
    tmp_path: Path, encoding: Any, name: str, colour: tuple[int, int, int]
) -> None:
    image = np.full((64, 64, 3), colour, np.uint8)
    with CutOutVideoSink(tmp_path / name, encoding, 25) as sink:
        sink.write(Frame(0, 0.0, image), Segmentation(0, 0.0, np.ones((64, 64), np.uint8)))
    with av.open(tmp_path / name) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        frame = next(container.decode(stream))
        assert rgb_by_bt709(frame) == pytest.approx(colour, abs=3)
