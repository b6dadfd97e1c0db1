"""What a job of foreground is made of, and jobs without a frame loop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import segue
from segue.errors import ArgumentError, SegueError, SinkError, SourceError
from segue.jobs.foreground import (
    _background,
    _check_background,
    _check_composites,
    _chosen_frames,
    _region,
    at_rate,
    open_foreground,
)
from segue.jobs.parts import Model, Outputs, VideoSource
from segue.jobs.values import ForegroundJob
from segue.masks import read_index_mask
from segue.sessions.background import MaskedMedian
from segue.sessions.backgrounds import FixedBackground
from segue.sessions.foreground import ForegroundWarning
from segue.sessions.subtractors import SubtractorBackground
from segue.types import Frame
from segue.video import open_source
from segue.video.images import write_picture

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.mark.parametrize("name", ["mog2", "knn"])
def test_a_subtractor_is_known_by_its_name(name: str) -> None:
    made = _background(name)
    assert isinstance(made, SubtractorBackground)
    for _ in range(3):
        made.update(PICTURE)
    assert made.scene is not None


def test_the_empty_scene_is_a_name_a_picture_or_its_file(tmp_path: Path) -> None:
    assert isinstance(_background("median"), MaskedMedian)
    Image.fromarray(PICTURE).save(tmp_path / "empty.png")
    for scene in (PICTURE, torch.from_numpy(PICTURE), tmp_path / "empty.png", str(tmp_path / "empty.png")):
        made = _background(scene)
        assert isinstance(made, FixedBackground)
    with pytest.raises(SourceError, match=r"none\.png: no such image; the scene is median"):
        _background(tmp_path / "none.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(SourceError, match=r"text\.png"):
        _background(tmp_path / "text.png")


def at(*times: float) -> list[Frame]:
    return [Frame(index, time, PICTURE) for index, time in enumerate(times)]


@pytest.mark.parametrize(
    ("times", "fps", "kept"),
    [
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 5, [0, 2, 4]),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 10, [0, 1, 2, 3, 4, 5]),
        ([0, 0.1, 0.2, 0.3, 0.4, 0.5], 100, [0, 1, 2, 3, 4, 5]),
        ([7, 7.1, 7.2, 7.3], 5, [0, 2]),
        ([0, 0.2, 3.0, 3.1, 3.2], 5, [0, 1, 2, 4]),  # a gap is not made up for
        ([9, 9.2, 0, 0.1, 0.2], 5, [0, 1, 2, 4]),  # the clock was set back
        ([0, 0.1999999, 0.4], 5, [0, 1, 2]),  # time stamps are rounded
        ([t / 10 for t in range(11)], 4, [0, 3, 5, 8, 10]),  # what comes late puts nothing off
    ],
)
def test_frames_are_chosen_by_their_time_stamps(times: list[float], fps: float, kept: list[int]) -> None:
    assert [frame.index for frame in at_rate(at(*times), fps)] == kept


def test_frames_get_their_depth_maps_in_natural_order_and_their_flow(tmp_path: Path) -> None:
    for number in (2, 10, 1):
        Image.fromarray(np.full((6, 8), 10 * number, np.uint8)).save(tmp_path / f"d{number}.PNG")
    (tmp_path / "notes.txt").touch()
    flow: Any = lambda index: np.full((6, 8, 1), index, np.uint8)  # noqa: E731
    found = list(_chosen_frames(at(0, 0.1, 0.2), None, tmp_path, flow))
    assert [int(np.unique(frame.depth)[0]) for frame in found if frame.depth is not None] == [10, 20, 100]
    assert [int(frame.flow.max()) for frame in found if frame.flow is not None] == [0, 1, 2]
    (later,) = list(_chosen_frames(at(0, 0.1, 0.2), 1, tmp_path, None))[:1]
    assert later.flow is None
    with pytest.raises(SourceError, match="3 depth maps, none for frame 3"):
        list(_chosen_frames(at(0, 0.1, 0.2, 0.3), None, tmp_path, None))
    (tmp_path / "d1.PNG").write_bytes(b"no picture")
    with pytest.raises(SourceError, match=r"d1\.PNG"):
        list(_chosen_frames(at(0), None, tmp_path, None))
    with pytest.raises(SourceError, match="no such folder of depth maps"):
        list(_chosen_frames(at(0), None, tmp_path / "none", None))
    assert all(frame.depth is None for frame in _chosen_frames(at(0, 1), None, None, None))


def test_composites_of_hofam_are_no_frames(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    picture = rng.integers(0, 256, (256, 768, 3)).astype(np.uint8)
    write_picture(tmp_path / "film" / "0.png", picture)
    _check_composites(open_source(tmp_path / "film"))
    label = np.where(rng.random((256, 256)) < 0.5, 0, 255)
    label[:20] = 128  # a border that is not looked at
    picture[:, 512:] = label[..., None]
    write_picture(tmp_path / "composites" / "0.png", picture)
    with pytest.raises(SourceError, match=r"0\.png: a composite of HOFAM"):
        _check_composites(open_source(tmp_path / "composites"))
    write_picture(tmp_path / "wide" / "0.png", picture[:240])
    _check_composites(open_source(tmp_path / "wide"))
    label[:40] = 128
    picture[:, 512:] = label[..., None]
    write_picture(tmp_path / "grey" / "0.png", picture)
    _check_composites(open_source(tmp_path / "grey"))
    write_picture(tmp_path / "small" / "0.png", picture[:255])
    _check_composites(open_source(tmp_path / "small"))


def test_the_picture_of_the_empty_scene_goes_where_it_can_be(tmp_path: Path) -> None:
    for name in ("a.png", "a.PNG", "a.safetensors"):
        _check_background(tmp_path / name, False)
    with pytest.raises(SinkError, match=r"a\.jpg: the background is written as \.png or \.safetensors"):
        _check_background(tmp_path / "a.jpg", False)
    (tmp_path / "a.png").touch()
    with pytest.raises(SinkError, match=r"a\.png: exists already"):
        _check_background(tmp_path / "a.png", False)
    _check_background(tmp_path / "a.png", True)
    _check_background(None, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"zones": ("a=0,0 4,4", "a=1,1 4,4"), "events": Path("e.csv")}, "two zones have one name"),
        ({"zones": ("a=0,0 4,4",)}, "need events; add --events FILE"),
        ({"notify": "http://127.0.0.1:9/"}, "need events; add --events FILE"),
        ({"snapshots": Path("snaps")}, "need events; add --events FILE"),
    ],
)
def test_what_watches_needs_events_and_names_of_its_own(changes: dict[str, Any], message: str) -> None:
    source = VideoSource(place="none.mp4")
    with pytest.raises(SegueError, match=message):
        open_foreground(ForegroundJob(source=source, model=Model(name="mog2"), **changes), {})
    fine = {"zones": ("a=0,0 4,4", "b=1,1 4,4"), "outputs": Outputs(formats=("png", "events"))}
    with pytest.raises(SourceError, match="no such file"):  # comes next
        open_foreground(ForegroundJob(source=source, model=Model(name="mog2"), **fine), {})


def test_a_prepared_job_knows_its_zones_its_length_and_writes_the_empty_scene(tmp_path: Path) -> None:
    for t in range(6):
        write_picture(tmp_path / "film" / f"{t}.png", PICTURE.repeat(4, 0).repeat(4, 1))
    job = ForegroundJob(
        source=VideoSource(place=str(tmp_path / "film"), fps=10),
        model=Model(name="median"),
        zones=("door=0,0 4,4", "way=0,0 9,0 9,9"),
        events=tmp_path / "events.csv",
        background=tmp_path / "empty.png",
    )
    job = job.model_copy(update={"options": job.options.model_copy(update={"fps": 5.0})})
    prepared = open_foreground(job, {})
    assert [zone.name for zone in prepared.zones] == ["door", "way"]
    assert prepared.total == 3
    with prepared.source:
        frames = list(prepared.frames)
        assert [frame.index for frame in frames] == [0, 2, 4]
        with pytest.raises(SinkError, match="median makes no image of the empty scene"):
            prepared.finish()
        for frame in frames:
            prepared.session.step(frame)
    assert prepared.finish() == {"background": tmp_path / "empty.png"}
    assert np.array_equal(np.asarray(Image.open(tmp_path / "empty.png")), frames[0].image)


def test_a_source_may_change_its_frame_size_in_one_pass(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for number, (height, width) in enumerate([(48, 64)] * 4 + [(24, 32)] * 3):
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
        write_picture(tmp_path / "film" / f"{number}.png", picture)
    with pytest.warns(ForegroundWarning, match="frame 4 is 32x24"):
        paths = segue.foreground(tmp_path / "film", model="mog2").save(tmp_path, formats=["png", "overlay"])
    sizes = [read_index_mask(path).shape for path in sorted(paths["png"].glob("*.png"))]
    assert sizes == [(48, 64)] * 7
    with segue.open_source(paths["overlay"]) as drawn:
        assert [frame.size for frame in drawn] == sizes
    with pytest.raises(SourceError, match="frame 4 is 32x24"):
        list(segue.foreground(tmp_path / "film", model="mustan-lite", passes=2))
    with pytest.raises(SourceError, match="frame 4 is 32x24"):
        list(segue.track(tmp_path / "film", box=(1, 1, 20, 20)))


def test_a_region_is_a_tensor_or_a_pil_picture_too_and_nothing_else() -> None:
    mask = np.array([[0, 85], [255, 1]], np.uint8)
    for roi in (torch.from_numpy(mask), Image.fromarray(mask), Image.fromarray(mask).convert("RGB")):
        found = _region(roi)
        assert found is not None
        assert np.array_equal(found, mask)
    for wrong in (mask[None], [[0, 1]]):
        with pytest.raises(ArgumentError, match=r"roi: .*give an array or tensor"):
            _region(wrong)
