"""All files of a run together: where they go, what is refused, and going on after an interruption."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError, SourceError
from segue.events import Zone
from segue.registry import EventSettings, SinkOptions
from segue.sinks import open_sinks, output_paths, replayed
from segue.sinks.outputs import default_folder
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils import files
from segue.video import Source, open_source
from tests.video.making import drawn_image, write_video

ALL = ("png", "overlay", "coco", "ytvis", "npz")


def video(**arguments: object) -> Source:
    return open_source([drawn_image(i, (24, 32)) for i in range(10)], fps=10, **arguments)


def segment(frame: Frame) -> Segmentation:
    """Stands in for a session: the object moves down, its score depends on the frame."""
    mask = np.zeros(frame.size, np.uint8)
    mask[frame.index : frame.index + 4, 2:9] = 1
    return Segmentation(frame.index, frame.time, mask, (ObjectInfo(1, "cat", 1 / (frame.index + 3)),))


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("output", "formats", "message"),
    [
        ("a.mp4", ["png"], "ending in .mp4 cannot hold png"),
        ("a.json", ["coco", "ytvis"], "cannot hold coco"),
        ("a.avi", ["overlay"], r"no format ends in \.avi; give a folder, or a file of \.csv.*\.mp4"),
        ("a.png", ["png"], r"no format ends in \.png"),
        ("out", ["gif"], "no format is called 'gif'; known are png, overlay"),
        ("out", ["png,coco"], "each format by itself, as in --format png --format coco"),
        ("out", [], "there is no output format"),
    ],
)
def test_formats_that_do_not_fit_are_refused(output: str, formats: list[str], message: str) -> None:
    with pytest.raises(SinkError, match=message):
        output_paths(Path(output), formats)


def test_a_folder_may_have_the_ending_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    assert output_paths(tmp_path / "a.mp4", ["overlay"]) == {"overlay": tmp_path / "a.mp4" / "overlay.mp4"}


@pytest.mark.parametrize("name", ["clip.mp4", "clip.JSON", "clip.avi", "00001.png"])
def test_the_results_of_a_video_get_a_folder_whatever_its_name(name: str) -> None:
    folder = default_folder(name)
    assert folder.parent == Path("segue-out")
    paths = output_paths(folder, ["png", "overlay"])
    assert paths == {"png": folder / "masks", "overlay": folder / "overlay.mp4"}
    assert default_folder("cam.1") == Path("segue-out/cam.1")


@pytest.mark.parametrize("background", [True, False])
def test_a_run_writes_everything(tmp_path: Path, background: bool) -> None:
    source = video()
    with open_sinks(tmp_path, ALL, source, background=background).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"masks", "overlay.mp4", "coco.json", "ytvis.json", "masks.npz"}
    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
    assert len(list(open_source(tmp_path / "overlay.mp4"))) == 10


def whole_run(folder: Path, **arguments: object) -> dict[str, bytes]:
    source = video(**arguments)
    with open_sinks(folder, ALL, source, settings={"model": "x"}).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    return contents(folder)


@pytest.mark.parametrize("arguments", [{}, {"max_size": 16}, {"start": 1, "stride": 2}])
def test_an_interrupted_run_goes_on_to_the_same_files_as_a_whole_one(
    tmp_path: Path, arguments: dict[str, int]
) -> None:
    expected = whole_run(tmp_path / "whole", **arguments)
    folder, settings = tmp_path / "parts", {"model": "x"}

    source = video(**arguments)
    sink = open_sinks(folder, ALL, source, settings=settings).sink
    for frame in source:
        if frame.index >= 7:
            sink.abort()
            break
        sink.write(frame, segment(frame))
    assert {path.name for path in folder.iterdir()} == {"masks"}

    source, goes_on_at = video(**arguments), 5
    outputs = open_sinks(folder, ALL, source, settings=settings, resume=True)
    frames = iter(source)
    with outputs.sink as sink:
        for frame, earlier in replayed(outputs.paths["png"], frames, stop=goes_on_at):
            sink.write(frame, earlier)
        for frame in frames:
            sink.write(frame, segment(frame))
    assert contents(folder) == expected


def test_resuming_with_another_source_is_refused(tmp_path: Path) -> None:
    whole_run(tmp_path)
    for other, named in ((video(start=3), "frame 0 .* frame 3"), (video(end=4), "frame 4")):
        with pytest.raises(SinkError, match=named):
            list(replayed(tmp_path / "masks", iter(other)))


def test_existing_output_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    before = whole_run(tmp_path)
    for formats in (["png"], ["overlay"], ["npz", "coco"], ALL):
        with pytest.raises(SinkError):
            open_sinks(tmp_path, formats, video())
    assert contents(tmp_path) == before


@pytest.mark.parametrize("name", ["cdnet", "png"])
def test_a_run_that_is_refused_leaves_all_that_was_there(tmp_path: Path, name: str) -> None:
    """Here the events cannot be written, which is seen after the sink before them was opened."""
    with open_sinks(tmp_path, [name], video(), overwrite=True).sink as sink:
        for frame in video():
            sink.write(frame, segment(frame))
    before = contents(tmp_path)
    with pytest.raises(SinkError):
        open_sinks(tmp_path, [name, "events"], video(), overwrite=True, places={"events": tmp_path / "a.txt"})
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "name",
    ["../thesis.txt", "../thesis.png", "/thesis.png", "a/../../thesis.png", "..", "", "a\0.png"],
)
def test_overwriting_follows_no_record_out_of_its_folder(tmp_path: Path, name: str) -> None:
    whole_run(tmp_path)
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / "thesis.png").write_text("years of work")
    records = tmp_path / "masks" / ".segue.jsonl"
    records.write_text(json.dumps({"file": name, "index": 0, "time": 0.0, "objects": []}) + "\n")
    with pytest.raises(SourceError):
        open_sinks(tmp_path, ALL, video(), overwrite=True)
    assert (tmp_path / "thesis.txt").exists()
    assert (tmp_path / "thesis.png").exists()
    assert {path.name for path in tmp_path.iterdir()} == {
        "masks", "overlay.mp4", "coco.json", "ytvis.json", "masks.npz", "thesis.txt", "thesis.png"
    }  # fmt: skip


def test_a_mask_that_segue_did_not_write_is_not_replaced(tmp_path: Path) -> None:
    whole_run(tmp_path)
    (tmp_path / "masks" / "00011.png").write_bytes(b"mine")
    frame = next(iter(video()))
    sink = open_sinks(tmp_path, ["png"], video(), overwrite=True).sink
    with pytest.raises(SinkError), sink:
        sink.write(frame, replace(segment(frame), index=11))
    assert (tmp_path / "masks" / "00011.png").read_bytes() == b"mine"


def test_two_runs_cannot_write_to_one_place_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ENDING", 0.05)
    first = open_sinks(tmp_path, ["overlay", "png"], video())
    for formats in (["png"], ["overlay"]):
        with pytest.raises(SinkError):
            open_sinks(tmp_path, formats, video(), overwrite=True)
    open_sinks(tmp_path, ["npz"], video()).sink.abort()
    with first.sink as sink:
        for frame in video():
            sink.write(frame, segment(frame))
    assert {path.name for path in tmp_path.iterdir()} == {"masks", "overlay.mp4"}
    open_sinks(tmp_path, ["overlay", "png"], video(), overwrite=True).sink.abort()


def test_the_working_directory_is_locked_under_both_of_its_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    monkeypatch.chdir(folder)
    with files.locked([Path()]), pytest.raises(SinkError, match="another"):
        files.refuse_if_locked(folder)
    with files.locked([folder]), pytest.raises(SinkError, match="another"):
        files.refuse_if_locked(Path())


def test_the_lock_of_a_killed_run_is_gone_with_it_and_so_is_its_half_written_file(tmp_path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from tests.sinks.test_outputs import *\n"
        "outputs = open_sinks(Path(sys.argv[1]), ['overlay', 'png'], video(), background=False)\n"
        "for frame in video(): outputs.sink.write(frame, segment(frame))\n"
        "os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run([sys.executable, "-c", program, str(tmp_path)], env=environment, check=False)
    assert ended.returncode == -9
    assert list(tmp_path.glob(".overlay.mp4.*.partial"))
    with open_sinks(tmp_path, ["overlay", "png"], video(), resume=True).sink as sink:
        for frame in video():
            sink.write(frame, segment(frame))
    assert {path.name for path in tmp_path.iterdir()} == {"masks", "overlay.mp4"}


def test_an_output_that_is_the_source_is_refused(tmp_path: Path) -> None:
    video_file = write_video(tmp_path / "v.mp4", [drawn_image(i) for i in range(3)])
    (tmp_path / "link.mp4").symlink_to(video_file)
    before = video_file.read_bytes()
    for output in (video_file, tmp_path / "link.mp4"):
        with pytest.raises(SinkError):
            open_sinks(output, ["overlay"], open_source(video_file), overwrite=True)
    assert video_file.read_bytes() == before
    with open_sinks(tmp_path, ["cdnet"], video()).sink as sink:
        for frame in video():
            sink.write(frame, segment(frame))
    with pytest.raises(SinkError):
        open_sinks(tmp_path, ["cdnet"], open_source(tmp_path / "cdnet"), overwrite=True)


def test_two_formats_with_one_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        open_sinks(tmp_path, ["coco", "events"], video(), places={"events": tmp_path / "x/../coco.json"})
    assert list(tmp_path.iterdir()) == []


def test_resuming_needs_masks_and_excludes_overwriting(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        open_sinks(tmp_path, ["overlay"], video(), resume=True)
    with pytest.raises(SinkError):
        open_sinks(tmp_path, ["png"], video(), resume=True, overwrite=True)


def test_settings_of_events_go_in_one_value(tmp_path: Path) -> None:
    """Names of earlier clones for each of them are gone."""
    events = EventSettings(zones=(Zone.parse("door=0,0 9,9"),))
    with pytest.raises(AttributeError):
        SinkOptions(events=events).zones  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(TypeError, match="zones"):
        open_sinks(tmp_path / "no", ["events"], video(), zones=events.zones)
    with open_sinks(tmp_path, ["events"], video(), events=events).sink as sink:
        for frame in video():
            sink.write(frame, segment(frame))
    assert (tmp_path / "events.counts.csv").exists()


@pytest.mark.parametrize("options", [{}, {"overwrite": True}, {"resume": True}])
@pytest.mark.parametrize("formats", [["png"], ["png", "coco"]])
def test_a_run_beside_one_that_writes_there_is_told_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, formats: list[str], options: dict[str, bool]
) -> None:
    """Neither going on with it nor replacing it is an answer."""
    monkeypatch.setattr(files, "ENDING", 0.05)
    source = video()
    first = open_sinks(tmp_path / "out", formats, source, background=False).sink
    with first:
        frame = next(iter(source))
        first.write(frame, segment(frame))
        with pytest.raises(SinkError, match="another run is writing there"):
            open_sinks(tmp_path / "out", formats, video(), background=False, **options)
    assert (tmp_path / "out/masks/.segue.json").exists()


def test_a_folder_whose_lock_nobody_holds_is_of_an_interrupted_run(tmp_path: Path) -> None:
    source = video()
    with open_sinks(tmp_path, ["png"], source, background=False).sink as sink:
        frame = next(iter(source))
        sink.write(frame, segment(frame))
    (tmp_path / ".masks.lock").touch()  # as a run leaves it that was killed
    with pytest.raises(SinkError, match="give --overwrite or --resume"):
        open_sinks(tmp_path, ["png"], video())
