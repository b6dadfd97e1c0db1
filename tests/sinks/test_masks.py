"""Folders of masks: names, takeover, interruption and going on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segue.errors import ResumeError, SinkError
from segue.formats.mask_records import MARKER, MAX_RECORD_BYTES, RECORDS, Record
from segue.masks import read_index_mask
from segue.sinks import PngSink, read_marker, replay
from segue.types import Segmentation
from tests.video.making import fill_disk_at, needs_full_disk, result


def masks_in(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*.png"))}


def write(sink: PngSink, indices: range) -> None:
    for index in indices:
        sink.write(*result(index))


def test_every_frame_becomes_a_file_named_by_its_index(tmp_path: Path) -> None:
    with PngSink(tmp_path / "out") as sink:
        write(sink, range(0, 6, 2))
    assert list(masks_in(tmp_path / "out")) == ["00000.png", "00002.png", "00004.png"]
    assert np.array_equal(read_index_mask(tmp_path / "out" / "00004.png"), result(4)[1].mask)
    assert read_marker(tmp_path / "out") == {"complete": True, "settings": {}}


def test_results_come_back_from_the_folder(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        write(sink, range(4))
    for back, index in zip(replay(tmp_path), range(4), strict=True):
        given = result(index)[1]
        assert (back.index, back.time, back.ids) == (given.index, given.time, given.ids)
        assert np.array_equal(back.mask, given.mask)
        assert [(o.label, o.score) for o in back.objects] == [(o.label, o.score) for o in given.objects]
        assert back.objects[0] == given.objects[0]
        assert (back.objects[1].box is None) == (index % 2 == 1)
    assert [back.index for back in replay(tmp_path, stop=2)] == [0, 1]


def test_a_marker_that_is_far_too_large_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        write(sink, range(1))
    marker = tmp_path / MARKER
    marker.write_text(marker.read_text() + " " * MAX_RECORD_BYTES)
    with pytest.raises(SinkError):
        read_marker(tmp_path)


def test_a_record_torn_by_a_crash_is_dropped(tmp_path: Path) -> None:
    sink = PngSink(tmp_path)
    write(sink, range(3))
    sink.abort()
    with (tmp_path / RECORDS).open("a") as records:
        records.write('{"file": "00003.p')
    assert [back.index for back in replay(tmp_path)] == [0, 1, 2]
    with PngSink(tmp_path, resume=True) as sink:
        write(sink, range(3, 5))
    assert [back.index for back in replay(tmp_path)] == [0, 1, 2, 3, 4]


def test_a_resumed_run_that_ends_earlier_is_refused(tmp_path: Path) -> None:
    """Its other files would end before the masks do."""
    with PngSink(tmp_path) as sink:
        write(sink, range(3))
    sink = PngSink(tmp_path, resume=True)
    write(sink, range(1))
    with pytest.raises(ResumeError, match="masks up to frame 2, and this run ends with frame 0"):
        sink.close()
    assert sink.completed_frames() == [0, 1, 2]


OBJECT = {"id": 3, "label": "dog", "score": 0.5}
RECORD = {"file": "00001.png", "index": 1, "time": 0.5, "objects": [OBJECT]}


@pytest.mark.parametrize(
    "change",
    [
        *({"file": name} for name in ("../00001.png", "00001.txt", "a/b.png", "a\0.png", 1)),
        *({"index": index} for index in (-1, 2**63, 1.0, True, "1")),
        *({"time": time} for time in ("0", None, True)),
        *({"objects": [OBJECT | {"id": id}]} for id in (-1, 65536, 1.0, True)),
        *({"objects": [OBJECT | {"score": score}]} for score in ("1", None, False)),
        {"objects": [OBJECT | {"label": 7}]},
    ],
    ids=str,
)
def test_a_line_of_the_record_that_is_none_is_refused(change: dict[str, Any]) -> None:
    line = json.dumps(RECORD) + "\n"
    assert Record.read(line).line() == line
    with pytest.raises(ValueError, match=r"file|frame|number|label"):
        Record.read(json.dumps(RECORD | change))


def test_overwriting_removes_the_old_masks_and_nothing_else(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        write(sink, range(5))
    (tmp_path / "mine.png").write_bytes(b"not of segue")
    with PngSink(tmp_path, overwrite=True) as sink:
        write(sink, range(2))
    assert list(masks_in(tmp_path)) == ["00000.png", "00001.png", "mine.png"]


@pytest.mark.parametrize("arguments", [{}, {"overwrite": True}, {"resume": True}])
def test_a_folder_of_other_images_is_never_touched(tmp_path: Path, arguments: dict[str, bool]) -> None:
    (tmp_path / "photo.png").write_bytes(b"precious")
    with pytest.raises(SinkError):
        PngSink(tmp_path, **arguments)
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_resuming_with_other_settings_is_refused_by_name(tmp_path: Path) -> None:
    PngSink(tmp_path, settings={"model": "stcn", "top_k": 20}).flush()
    with pytest.raises(SinkError, match="top_k=20"):
        PngSink(tmp_path, settings={"model": "stcn", "top_k": 50}, resume=True)


def test_files_of_settings_count_by_their_content_wherever_they_lie(tmp_path: Path) -> None:
    def settings(place: str, digest: str) -> dict[str, Any]:
        return {
            "model": {"name": "stm", "weights": f"{place}/w", "digest": digest},
            "scene": f"{place}/empty.png sha256={digest}",
            "first": [{"kind": "mask", "path": f"{place}/m.png", "digest": digest}],
        }

    PngSink(tmp_path, settings=settings("here", "12")).flush()
    PngSink(tmp_path, settings=settings("there", "12"), resume=True)
    for name, value in settings("here", "34").items():
        with pytest.raises(ResumeError):
            PngSink(tmp_path, settings={**settings("here", "12"), name: value}, resume=True)


def test_a_damaged_marker_is_named(tmp_path: Path) -> None:
    PngSink(tmp_path).flush()
    (tmp_path / ".segue.json").write_text("{")
    with pytest.raises(SinkError):
        PngSink(tmp_path, resume=True)


@needs_full_disk
def test_a_full_disk_leaves_no_half_mask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = PngSink(tmp_path)
    write(sink, range(1))
    fill_disk_at(tmp_path / "00001.png", monkeypatch)
    with pytest.raises(SinkError):
        write(sink, range(1, 2))
    sink.abort()
    assert list(masks_in(tmp_path)) == ["00000.png"]
    assert PngSink(tmp_path, resume=True).completed_frames() == [0]


def test_ids_beyond_the_format_are_reported(tmp_path: Path) -> None:
    frame, segmentation = result(0)
    with pytest.raises(SinkError, match="frame 0: id 210000"), PngSink(tmp_path) as sink:
        sink.write(frame, Segmentation(0, 0.0, segmentation.mask.astype(np.int64) * 70000))
    assert masks_in(tmp_path) == {}


def test_all_masks_of_a_folder_have_the_same_depth(tmp_path: Path) -> None:
    with PngSink(tmp_path) as sink:
        for index, number in enumerate((1, 2, 255, 256, 3)):
            frame, given = result(index)
            sink.write(frame, Segmentation(index, given.time, np.full((4, 5), number, np.uint16)))
    for path, number in zip(sorted(tmp_path.glob("*.png")), (1, 2, 255, 256, 3), strict=True):
        mask = read_index_mask(path)
        assert mask.dtype == np.uint16
        assert (mask == number).all()
