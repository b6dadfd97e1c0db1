"""YouTube-VOS as published: all frames are seen, those that are asked for have results, which are packed."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.dataset_runs.submission import write_submission
from segue.errors import DatasetError
from segue.formats.mask_records import RECORDS
from segue.masks import encode_rle, read_index_mask, write_index_mask
from segue.metrics.data_sets import Request, open_ytvos
from tests.cli.running import Command
from tests.clips import clip

FRAMES, MASKS = clip(5, 11, 48, 64, 2)
NAMES = ("00000", "00005", "00010")


@pytest.fixture
def ytvos(tmp_path: Path) -> Path:
    """A video of eleven frames of which every fifth is labelled; its second object appears in frame 5."""
    root = tmp_path / "ytvos"
    for folder in ("valid/JPEGImages/v", "valid/Annotations/v", "valid_all_frames/JPEGImages/v"):
        (root / folder).mkdir(parents=True)
    for index, image in enumerate(FRAMES):
        Image.fromarray(image).save(root / f"valid_all_frames/JPEGImages/v/{index:05d}.jpg")
    for name in NAMES:
        shutil.copy(root / f"valid_all_frames/JPEGImages/v/{name}.jpg", root / "valid/JPEGImages/v")
    write_index_mask(root / "valid/Annotations/v/00000.png", (MASKS[0] == 1).astype(np.uint8))
    write_index_mask(root / "valid/Annotations/v/00005.png", np.where(MASKS[5] == 2, 2, 0).astype(np.uint8))
    objects = {
        "1": {"category": "cat", "frames": list(NAMES)},
        "2": {"category": "dog", "frames": list(NAMES[1:])},
    }
    (root / "valid/meta.json").write_text(json.dumps({"videos": {"v": {"objects": objects}}}))
    return root


@pytest.mark.usefixtures("workers_here")
def test_frames_between_count_for_the_memory_and_have_no_results(
    command: Command, ytvos: Path, tmp_path: Path
) -> None:
    order = ("run", "ytvos", ytvos, "--set", "valid", "--workers", 1, "-q", "--device", "cpu")
    assert open_ytvos(Request(data=ytvos, dataset="ytvos", subset="valid"))["v"].required == NAMES
    ended = command(*order, "-o", "out", "--submission", "for-server.zip")

    assert ended.code == 0, ended.err
    masks = sorted((tmp_path / "out/v/masks").glob("*.png"))
    assert [path.stem for path in masks] == list(NAMES)
    with zipfile.ZipFile(tmp_path / "for-server.zip") as archive:
        assert archive.namelist() == [f"Annotations/v/{name}.png" for name in NAMES]
        assert archive.read("Annotations/v/00010.png") == masks[2].read_bytes()
    # Without the frames between, the memory is another one.
    (ytvos / "valid_all_frames").rename(ytvos / "elsewhere")
    assert command(*order, "-o", "few").code == 0
    few = [read_index_mask(path) for path in sorted((tmp_path / "few/v/masks").glob("*.png"))]
    assert (few[0] == read_index_mask(masks[0])).all()
    assert any((one != read_index_mask(other)).any() for one, other in zip(few, masks, strict=True))


def drop_frame(results: Path) -> None:
    (results / "v/masks/00005.png").unlink()


def drop_object(results: Path) -> None:
    for path in (results / "v/masks").glob("*.png"):
        write_index_mask(path, np.minimum(read_index_mask(path), 1))


def add_unknown_id(results: Path) -> None:
    write_index_mask(results / "v/masks/00010.png", np.full((48, 64), 7, np.uint8))


def shrink(results: Path) -> None:
    write_index_mask(results / "v/masks/00010.png", np.ones((24, 32), np.uint8))


def drop_video(results: Path) -> None:
    (results / "v").rename(results / "w")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (drop_frame, "1 frames .*: v/00005"),
        (drop_object, "v .*object 2"),
        (add_unknown_id, r"v shows 7, .*meta\.json"),
        (shrink, "v/00010 is 32x24, not 64x48"),
        (drop_video, "1 of 1 videos: v"),
    ],
)
def test_incomplete_submissions_are_refused_and_not_written(
    ytvos: Path, tmp_path: Path, spoil: Callable[[Path], None], complaint: str
) -> None:
    folder = tmp_path / "results" / "v" / "masks"
    folder.mkdir(parents=True)
    (folder / RECORDS).touch()
    for name, mask in zip(NAMES, MASKS[::5], strict=True):
        write_index_mask(folder / f"{name}.png", mask.astype(np.uint8))
    request, path = Request(data=ytvos, dataset="ytvos", subset="valid"), tmp_path / "out.zip"
    write_submission(path, request, tmp_path / "results")
    first = path.read_bytes()
    path.unlink()
    write_submission(path, request, tmp_path / "results")
    assert path.read_bytes() == first
    path.unlink()
    spoil(tmp_path / "results")
    with pytest.raises(DatasetError, match=complaint):
        write_submission(path, request, tmp_path / "results")
    assert not path.exists()


def test_tracks_are_packed_when_all_videos_have_results(tmp_path: Path) -> None:
    videos = [
        {"id": i, "width": 8, "height": 6, "length": 2, "file_names": [f"{name}/{t}.jpg" for t in range(2)]}
        for i, name in enumerate(("a", "b"), start=1)
    ]
    described = {"videos": videos, "categories": [{"id": 3, "name": "cat"}], "annotations": None}
    (tmp_path / "valid.json").write_text(json.dumps(described))
    request = Request(data=tmp_path, dataset="ytvis")
    for name, category in (("a", 3), ("b", 4)):
        (tmp_path / "out" / name).mkdir(parents=True)
        runs = [encode_rle(np.eye(6, 8, dtype=bool))] * 2
        track = {"video_id": 1, "category_id": category, "score": 0.5, "segmentations": runs}
        (tmp_path / "out" / name / "ytvis.json").write_text(json.dumps([track]))

    with pytest.raises(DatasetError, match=r"b: class 4 .*valid\.json"):
        write_submission(tmp_path / "out.zip", request, tmp_path / "out")
    (tmp_path / "out/b/ytvis.json").unlink()
    with pytest.raises(DatasetError):
        write_submission(tmp_path / "out.zip", request, tmp_path / "out")
    (tmp_path / "out/b/ytvis.json").write_text("[]")
    write_submission(tmp_path / "out.zip", request, tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.namelist() == ["results.json"]
        assert [item["video_id"] for item in json.loads(archive.read("results.json"))] == [1]


@pytest.mark.slow
def test_the_table_of_stm_ends_with_a_zip_or_says_what_lacks(
    command: Command, ytvos: Path, tmp_path: Path
) -> None:
    order = ("reproduce", "stm", "youtube-vos", "--data", f"ytvos={ytvos}", "--model", "stcn-lite")
    order += ("--row", "STM", "--workers", 1, "-q", "--run", "--device cpu", "-o", "out")
    ended = command(*order)
    assert ended.code == 0, ended.err
    assert "scores out/youtube-vos/stm.zip" in ended.err
    assert "_all_frames is not there" not in ended.err
    assert (tmp_path / "out/youtube-vos/stm.zip").exists()
    shutil.rmtree(ytvos / "valid_all_frames")
    meta = json.loads((ytvos / "valid/meta.json").read_text())
    (ytvos / "valid/meta.json").write_text(
        json.dumps({"videos": {**meta["videos"], "w": meta["videos"]["v"]}})
    )
    ended = command(*order[:-1], "few")
    assert "note: valid_all_frames is not there: the memory interval counts frames of valid" in ended.err
    assert "no zip for the server: few/youtube-vos/stm: no results of 1 of 2 videos: w" in ended.err


@pytest.mark.slow
def test_an_id_that_the_results_lack_is_one_line_and_other_rows_go_on(
    command: Command, ytvos: Path, tmp_path: Path
) -> None:
    meta = json.loads((ytvos / "valid/meta.json").read_text())
    meta["videos"]["v"]["objects"]["7"] = {"category": "cow", "frames": list(NAMES)}
    (ytvos / "valid/meta.json").write_text(json.dumps(meta))
    for part in ("JPEGImages", "Annotations"):
        (tmp_path / "davis" / part / "one").mkdir(parents=True)
    for index in range(3):
        Image.fromarray(FRAMES[index]).save(tmp_path / f"davis/JPEGImages/one/{index:05d}.png")
        write_index_mask(tmp_path / f"davis/Annotations/one/{index:05d}.png", MASKS[index])
    order = (
        "reproduce",
        "stm",
        "youtube-vos",
        "davis-2017",
        "--data",
        f"ytvos={ytvos}",
        "--data",
        "davis=davis",
    )
    order += (
        "--model",
        "stcn-lite",
        "--row",
        "STM",
        "--workers",
        1,
        "-q",
        "--run",
        "--device cpu",
        "-o",
        "out",
    )
    ended = command(*order)
    notes = [line for line in ended.err.splitlines() if "object 7" in line]
    assert notes == ["note: no zip for the server: out/youtube-vos/stm: v never shows object 7"]
    assert not (tmp_path / "out/youtube-vos/stm.zip").exists()
    assert read_index_mask(tmp_path / "out/youtube-vos/stm/v/masks/00010.png").any()
    *_, last = ended.out.splitlines()
    name, j, *_ = last.split("\t")
    assert name == "STM"
    assert float(j) > 50


def test_impossible_submissions_are_refused_before_the_run(command: Command, ytvos: Path) -> None:
    order = ("-o", "out", "--submission", "out.zip")
    assert (
        "--submission is for ytvos, ovis, ytvis, not for davis"
        in command("run", "davis", ytvos, *order).complaint
    )
    some = command("run", "ytvos", ytvos, "--set", "valid", "--sequence", "v", *order)
    assert "--submission needs all videos" in some.complaint
