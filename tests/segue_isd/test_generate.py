"""Generated data sets: complete, readable by every reader, the same for a seed, and resumable."""

from __future__ import annotations

import multiprocessing
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.datasets.davis import DavisFolder
from segue.datasets.foreground.isd import MOVING_BACKGROUND, IsdClip, export_davis, open_isd
from segue.datasets.ytvis import YTVISDataset
from segue.errors import DatasetError, SinkError
from segue.utils.files import locked
from segue_isd.command import isd
from segue_isd.presets import PRESETS
from segue_isd.render.gl import RendererError, check_opengl
from segue_isd.runner import CLASSES, generate

ORDER = replace(PRESETS["tiny"], length=3, size=(48, 64))
FRAMES = 16
"""Five clips of three frames and one of a single frame."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, opengl: None) -> Path:
    del opengl
    folder = tmp_path_factory.mktemp("isd") / "set"
    generate(folder, ORDER, frames=FRAMES, seed=5)
    return folder


def _files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()
    }


def test_a_set_resumed_by_other_workers_has_the_bytes_of_one_made_at_once(root: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    shutil.copytree(root / "train" / "scene00000", again / "train" / "scene00000")
    shutil.copytree(root / "train" / "scene00001", again / "train" / "scene00001")
    shutil.copy(root / "order.json", again)
    (again / "train" / "scene00000" / "meta.json").write_bytes(b"")  # as a power failure may leave it
    (again / "train" / "scene00001" / "meta.json").unlink()
    (again / "train" / "scene00001" / "input" / "in000002.jpg").write_bytes(b"half")
    generate(again, ORDER, frames=9, seed=5, workers=2, resume=True)
    first, second = _files(root), _files(again)
    clips = [name for name in second if name.startswith("train/scene")]
    assert {name.split("/")[1] for name in clips} == {"scene00000", "scene00001", "scene00002"}
    for name in clips:
        assert first[name] == second[name], name


def test_clips_of_a_worker_that_was_killed_are_rendered_once_more(root: Path, tmp_path: Path) -> None:
    killed_at: list[int] = []

    def kill(done: int) -> None:
        workers = multiprocessing.active_children()
        if done > max(killed_at, default=0) and workers:
            killed_at.append(done)
            for worker in workers:
                worker.kill()

    with pytest.raises(RendererError):
        generate(tmp_path / "set", ORDER, frames=FRAMES, seed=5, report=kill)
    first, second = killed_at  # it went on after the first
    assert first < second < FRAMES
    generate(tmp_path / "set", ORDER, frames=FRAMES, seed=5, resume=True)
    assert _files(tmp_path / "set") == _files(root)


def test_files_of_somebody_else_are_neither_removed_nor_replaced(tmp_path: Path) -> None:
    (tmp_path / "index.csv").write_text("mine")
    with pytest.raises(SinkError):
        generate(tmp_path, ORDER, frames=3, seed=5, resume=True)
    assert (tmp_path / "index.csv").read_text() == "mine"


def test_a_folder_with_other_clips_is_refused(root: Path) -> None:
    for seed, resume, named in ((5, False, "--resume"), (6, True, "seed")):
        with pytest.raises(SinkError, match=named):
            generate(root, ORDER, frames=FRAMES, seed=seed, resume=resume)


def test_a_set_is_made_by_one_run_at_a_time(root: Path) -> None:
    with locked([root]), pytest.raises(SinkError):
        generate(root, ORDER, frames=FRAMES, seed=5, resume=True)


def test_a_longer_set_keeps_the_clips_and_renders_the_short_one_anew(root: Path, tmp_path: Path) -> None:
    longer = shutil.copytree(root, tmp_path / "longer")
    clips = {clip.name: clip for clip in longer.glob("*/scene*")}
    (short,) = (name for name, clip in clips.items() if IsdClip(clip).read_meta().frames == 1)
    before = {name: (clip / "meta.json").stat().st_mtime_ns for name, clip in clips.items()}
    generate(longer, ORDER, frames=FRAMES + 2, seed=5, resume=True)
    after = {name: (clip / "meta.json").stat().st_mtime_ns for name, clip in clips.items()}
    assert {name for name in clips if before[name] != after[name]} == {short}
    assert IsdClip(clips[short]).read_meta().frames == 3


def test_a_shorter_set_is_refused_because_readers_would_find_the_other_frames(
    root: Path, tmp_path: Path
) -> None:
    longer = shutil.copytree(root, tmp_path / "longer")
    with pytest.raises(SinkError, match="--frames"):
        generate(longer, ORDER, frames=FRAMES - 1, seed=5, resume=True)  # lacks the last clip
    assert _files(longer) == _files(root)
    (last,) = longer.glob("*/scene00005")
    shutil.rmtree(last)
    with pytest.raises(SinkError, match="--frames"):
        generate(longer, ORDER, frames=FRAMES - 2, seed=5, resume=True)  # has a shorter last clip


def test_clips_are_read_as_videos_of_cdnet(root: Path) -> None:
    clips = open_isd(root)
    assert len(clips) == 6
    assert len(open_isd(root / "train")) == 5
    for sequence in clips:
        assert sequence.temporal_roi == (1, len(sequence))
        assert sequence.read_roi().all()
        for i in range(len(sequence)):
            assert sequence.read_image(i).shape == (48, 64, 3)
            assert set(np.unique(sequence.read_labels(i))) <= {0, 50, 170, 255}


def test_maps_belong_together(root: Path) -> None:
    fullest = 0
    for sequence in open_isd(root):
        clip = IsdClip.of(sequence)
        meta = clip.read_meta()
        assert meta.frames == len(sequence)
        assert clip.read_background().shape == (48, 64, 3)
        for i in range(len(sequence)):
            labels, ids = sequence.read_labels(i), clip.read_instances(i)
            foreground = (ids > 0) & (ids < MOVING_BACKGROUND)
            assert foreground[labels == 255].all()
            assert not foreground[labels <= 50].any()
            fullest = max(fullest, int((labels == 255).sum()))
            depth = clip.read_depth(i)
            assert (depth > 0).mean() > 0.999
            normals = clip.read_normals(i)
            np.testing.assert_allclose(np.linalg.norm(normals, axis=2), 1, atol=1e-5)
            flow = clip.read_flow(i)
            assert flow.shape == (2, 48, 64)
            if meta.camera == "static":
                assert not flow[:, ids == 0].any()
    assert fullest > 50


def test_youtube_vis_annotations_are_the_instances(root: Path) -> None:
    dataset = YTVISDataset.open(root, "train")
    assert list(dataset.categories.values()) == list(CLASSES)
    clips = {sequence.name: sequence for sequence in open_isd(root / "train")}
    seen = 0
    for video in dataset:
        clip = IsdClip.of(clips[video.name if video.name in clips else video.file_names[0].split("/")[0]])
        np.testing.assert_array_equal(dataset.read_image(video, 0).shape, (48, 64, 3))
        stored = sum(
            int(((ids := clip.read_instances(i)) > 0)[ids < MOVING_BACKGROUND].sum())
            for i in range(len(video))
        )
        decoded = dataset.instances(video, range(len(video))).masks
        assert int(decoded.sum()) == stored
        seen += stored
    assert seen > 0


def test_damaged_maps_are_named(root: Path, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    (clip / "flow").mkdir(parents=True)
    (clip / "flow" / "f000001.npz").write_bytes(b"PK nonsense")
    (clip / "meta.json").write_text('{"name": "x"}')
    reads: dict[str, Callable[[], object]] = {
        r"f000001\.npz": lambda: IsdClip(clip).read_flow(0),
        r"meta\.json.*template": IsdClip(clip).read_meta,
    }
    for named, read in reads.items():
        with pytest.raises(DatasetError, match=named):
            read()


@pytest.mark.usefixtures("opengl")
def test_the_command_writes_a_data_set_and_a_preview(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sheet = tmp_path / "sheet.png"
    isd(tmp_path / "out", frames=4, clip=2, size="64x48", preset="tiny", preview=sheet, seed=2)
    assert len(open_isd(tmp_path / "out")) == 2
    assert sheet.read_bytes().startswith(b"\x89PNG")
    assert "preview" in capsys.readouterr().out


def test_clips_can_be_exported_for_networks_that_follow_objects(root: Path, tmp_path: Path) -> None:
    export_davis(open_isd(root / "train"), tmp_path)
    davis = DavisFolder(tmp_path)
    assert len(davis) == 5
    sequence = davis["scene00000"]
    ids = IsdClip(root / "train" / "scene00000").read_instances(0)
    np.testing.assert_array_equal(sequence.read_mask(0), np.where(ids < MOVING_BACKGROUND, ids, 0))


def test_without_opengl_the_error_names_the_system_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    moderngl = pytest.importorskip("moderngl")

    def refuse(**_: object) -> None:
        raise Exception("libEGL.so: cannot open shared object file\nand more")

    monkeypatch.setattr(moderngl, "create_context", refuse)
    with pytest.raises(RendererError, match=r"libegl1.*libgl1-mesa-dri"):
        check_opengl()
