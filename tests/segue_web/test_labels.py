"""What labels of other programs say, file by file, of a video of three frames that does not exist."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from segue.errors import SegueError
from segue.formats.png import PngSink
from segue.formats.reading import read_labels
from segue.masks import encode_rle
from segue.types import Frame, ObjectInfo, Segmentation
from segue_web.video import Video
from tests.formats.test_tools_of_images import via_3
from tests.video.making import drawn_image, write_video

SIZE = (6, 9)
VIDEO: Any = SimpleNamespace(size=SIZE, count=3, numbers=None, names=None)


def plane(*rows_columns: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, np.bool_)
    for place in rows_columns:
        mask[place] = True
    return mask


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_masks_written_by_segue_are_read_with_names_and_scores(tmp_path: Path) -> None:
    with PngSink(tmp_path / "masks", size=SIZE) as sink:
        for index in range(4):  # one more than the video has
            mask = plane((1, index)).astype(np.uint8) * 7
            info = ObjectInfo(7, "koi", (index + 1) / 8)
            sink.write(
                Frame(index, index / 10, np.zeros((*SIZE, 3), np.uint8)),
                Segmentation(index, 0.0, mask, (info,)),
            )
    labels = read_labels(tmp_path / "masks", VIDEO)
    assert labels.names == {7: "koi"}
    assert sorted(labels.masks) == [0, 1, 2]
    assert [labels.score(index, 7) for index in range(3)] == [0.125, 0.25, 0.375]
    assert labels.score(0, 8) == 1.0, "of which nothing was said"
    assert np.array_equal(labels.mask(2), plane((1, 2)) * 7)


def test_times_of_via_are_frames_of_a_file_whose_rate_varies(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.61, 1.5]
    images = [drawn_image(i) for i in range(len(times))]
    video = Video(write_video(tmp_path / "dog.mkv", images, times=times))
    for time, frame in ((0.0, 0), (0.12, 1), (0.5, 2), (0.605, 3), (0.9, 4), (1.5, 5)):
        square = {"z": [time], "xy": [7, 5, 5, 30, 5, 30, 30, 5, 30]}
        path = via_3(tmp_path / "via.json", square, files=(("dog.mkv", 4),))
        assert [*read_labels(path, video).masks] == [frame], time


def test_a_frame_without_a_mask_is_empty(tmp_path: Path) -> None:
    Image.fromarray(plane((1, 1)).astype(np.uint8)).save(tmp_path / "0.png")
    labels = read_labels(tmp_path / "0.png", VIDEO)
    assert labels.mask(0).sum() == 1
    assert labels.mask(1).shape == SIZE
    assert not labels.mask(1).any()


def test_results_of_youtube_vis_are_one_object_a_line(tmp_path: Path) -> None:
    shown = encode_rle(plane((1, 1)))
    results = [
        {"category_id": 4, "segmentations": [None, shown, shown], "score": 0.25},
        {"category_id": 6, "segmentations": [shown]},
    ]
    labels = read_labels(written(tmp_path / "a.json", results), VIDEO)
    assert labels.names == {1: "class 4", 2: "class 6"}
    assert sorted(labels.masks) == [0, 1, 2]
    assert [int(labels.mask(index)[1, 1]) for index in range(3)] == [2, 1, 1]
    assert [labels.score(index, 1) for index in (1, 2)] == [0.25, 0.25]
    results[0]["segmentations"] = [shown] * 4
    with pytest.raises(SegueError):
        read_labels(written(tmp_path / "b.json", results), VIDEO)


def cvat(path: Path, *shapes: str) -> Path:
    path.write_text(f"<annotations><track id='0' label='a'>{''.join(shapes)}</track></annotations>")
    return path


def test_a_mask_of_cvat_may_touch_every_side_of_the_video_and_no_more(tmp_path: Path) -> None:
    shape = "<mask frame='0' rle='{}' left='{}' top='{}' width='{}' height='{}'/>"
    whole = read_labels(cvat(tmp_path / "a.xml", shape.format("0, 54", 0, 0, 9, 6)), VIDEO)
    assert whole.mask(0).all()
    corner = read_labels(cvat(tmp_path / "b.xml", shape.format("1, 2, 1", 7, 4, 2, 2)), VIDEO)
    assert np.array_equal(corner.mask(0) > 0, plane((4, 8), (5, 7)))
    for left, top in ((8, 4), (7, 5), (-1, 0), (0, -1)):
        with pytest.raises(SegueError):
            read_labels(cvat(tmp_path / "c.xml", shape.format("1, 2, 1", left, top, 2, 2)), VIDEO)
    for runs in ("1, 2", "1, 2, 2", "5", "1, 2, 0, 0, 1, 0, 0"):
        with pytest.raises(SegueError):
            read_labels(cvat(tmp_path / "d.xml", shape.format(runs, 0, 0, 2, 2)), VIDEO)


def test_shapes_of_cvat_have_a_frame_of_the_video(tmp_path: Path) -> None:
    box = "<box frame='{}' xtl='1' ytl='2' xbr='4' ybr='3'/>"
    labels = read_labels(cvat(tmp_path / "a.xml", box.format(2)), VIDEO)
    assert list(labels.masks) == [2]
    assert np.array_equal(labels.mask(2) > 0, plane((2, 1), (2, 2), (2, 3)))
    for frame in (3, -1):
        with pytest.raises(SegueError, match=f"frame {frame}"):
            read_labels(cvat(tmp_path / "b.xml", box.format(frame)), VIDEO)


def test_shapes_of_images_of_cvat_are_objects_by_their_groups(tmp_path: Path) -> None:
    box = "<box label='{}' xtl='{}' ytl='1' xbr='{}' ybr='3' group_id='{}'>{}</box>"
    groups = [
        (
            0,
            box.format("a", 0, 1, 3, "<attribute name='pose'>sits</attribute>")
            + box.format("b", 2, 3, 3, ""),
        ),
        (2, box.format("a", 4, 5, 3, "") + box.format("b", 6, 7, 0, "") + box.format("b", 8, 9, 0, "")),
    ]
    images = "".join(f"<image id='{i}' name='{i}.png'>{shapes}</image>" for i, shapes in groups)
    (tmp_path / "a.xml").write_text(f"<annotations>{images}</annotations>")
    labels = read_labels(tmp_path / "a.xml", VIDEO)
    assert labels.names == {1: "a", 2: "b", 3: "b", 4: "b"}
    assert labels.attributes == {1: {"pose": "sits"}}
    assert labels.mask(0)[1].tolist() == [1, 0, 2, 0, 0, 0, 0, 0, 0]
    assert labels.mask(2)[1].tolist() == [0, 0, 0, 0, 1, 0, 3, 0, 4]
    for names, match in (
        (("3.png",), "3.png"),
        (("1.png", "1.png"), "b.xml"),
        (("a", "b", "c", "d"), "b.xml"),
    ):
        images = "".join(f"<image id='0' name='{name}'/>" for name in names)
        (tmp_path / "b.xml").write_text(f"<annotations>{images}</annotations>")
        with pytest.raises(SegueError, match=match):
            read_labels(tmp_path / "b.xml", VIDEO)


def test_coco_files_of_cvat_name_tracks_among_the_attributes(tmp_path: Path) -> None:
    about = {"occluded": False, "rotation": 0.0, "keyframe": True, "pose": "sits"}
    annotations = [
        {
            "id": n + 1,
            "image_id": n,
            "category_id": 1,
            "segmentation": encode_rle(plane((n, n))),
            "attributes": {**about, "track_id": track},
        }
        for n, track in enumerate((0, 0, 1))
    ]
    content = {"images": [{"id": n} for n in range(3)], "annotations": annotations}
    labels = read_labels(written(tmp_path / "a.json", content), VIDEO)
    assert set(labels.names) == {1, 2}
    assert labels.attributes == {1: {"pose": "sits"}, 2: {"pose": "sits"}}
    del annotations[1]["category_id"]
    with pytest.raises(SegueError, match="category_id"):
        read_labels(written(tmp_path / "b.json", content), VIDEO)
