"""All files of a run together: where they go, what is refused, and going on after an interruption."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segue.errors import SinkError
from segue.masks import read_index_mask, resize_mask
from segue.types import Frame, ObjectInfo, Segmentation
from segue.video import Source, open_sinks, open_source, output_paths, replayed
from tests.video.making import picture

ALL = ("png", "overlay", "coco", "ytvis", "npz")


def film(**arguments: object) -> Source:
    return open_source([picture(i, (24, 32)) for i in range(10)], fps=10, **arguments)


def segment(frame: Frame) -> Segmentation:
    """Stands in for a session: the object moves down, its score depends on the frame."""
    mask = np.zeros(frame.size, np.uint8)
    mask[frame.index : frame.index + 4, 2:9] = 1
    return Segmentation(frame.index, frame.time, mask, (ObjectInfo(1, "cat", 1 / (frame.index + 3)),))


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".segue.jsonl")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_a_folder_takes_all_formats() -> None:
    paths = output_paths(Path("out"), ALL)
    assert {name: str(path) for name, path in paths.items()} == {
        "overlay": "out/overlay.mp4",
        "coco": "out/coco.json",
        "ytvis": "out/ytvis.json",
        "npz": "out/masks.npz",
        "png": "out/masks",
    }


def test_a_file_takes_the_format_of_its_ending() -> None:
    assert output_paths(Path("a.mp4"), ["overlay"]) == {"overlay": Path("a.mp4")}
    assert output_paths(Path("a.json"), ["ytvis"]) == {"ytvis": Path("a.json")}


@pytest.mark.parametrize(
    ("output", "formats", "message"),
    [
        ("a.mp4", ["png"], "ending in .mp4 cannot hold png"),
        ("a.json", ["coco", "ytvis"], "cannot hold coco"),
        ("out", ["gif"], "output format 'gif': choose from png, overlay"),
        ("out", [], "output format none"),
    ],
)
def test_formats_that_do_not_fit_are_refused(output: str, formats: list[str], message: str) -> None:
    with pytest.raises(SinkError, match=message):
        output_paths(Path(output), formats)


@pytest.mark.parametrize("background", [True, False])
def test_a_run_writes_everything(tmp_path: Path, background: bool) -> None:
    source = film()
    with open_sinks(tmp_path, ALL, source, background=background).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"masks", "overlay.mp4", "coco.json", "ytvis.json", "masks.npz"}
    assert len(list((tmp_path / "masks").glob("*.png"))) == 10
    assert len(list(open_source(tmp_path / "overlay.mp4"))) == 10


def test_masks_of_reduced_frames_are_written_at_the_size_of_the_source(tmp_path: Path) -> None:
    source = film(max_size=16)
    with open_sinks(tmp_path, ["png", "npz"], source).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    first = read_index_mask(tmp_path / "masks" / "00000.png")
    assert np.array_equal(first, resize_mask(segment(next(iter(source))).mask, (24, 32)))
    assert np.load(tmp_path / "masks.npz")["masks"].shape == (10, 24, 32)


def whole_run(folder: Path, **arguments: object) -> dict[str, bytes]:
    source = film(**arguments)
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

    source = film(**arguments)
    sink = open_sinks(folder, ALL, source, settings=settings).sink
    for frame in source:
        if frame.index >= 7:
            sink.abort()
            break
        sink.write(frame, segment(frame))
    assert {path.name for path in folder.iterdir()} == {"masks"}

    source, goes_on_at = film(**arguments), 5
    outputs = open_sinks(folder, ALL, source, settings=settings, resume=True)
    frames = iter(source)
    with outputs.sink as sink:
        for frame, earlier in replayed(outputs.paths["png"], frames, before=goes_on_at):
            sink.write(frame, earlier)
        for frame in frames:
            sink.write(frame, segment(frame))
    assert contents(folder) == expected


def test_resuming_with_another_source_is_refused(tmp_path: Path) -> None:
    whole_run(tmp_path)
    with pytest.raises(SinkError, match="goes on with frame 0 but the source is at frame 3"):
        list(replayed(tmp_path / "masks", iter(film(start=3))))
    with pytest.raises(SinkError, match="goes on with frame 4 but the source has ended"):
        list(replayed(tmp_path / "masks", iter(film(end=4))))


def test_existing_output_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    before = whole_run(tmp_path)
    for formats in (["png"], ["overlay"], ["npz", "coco"], ALL):
        with pytest.raises(SinkError, match="--overwrite or --resume"):
            open_sinks(tmp_path, formats, film())
    assert contents(tmp_path) == before


def test_existing_output_is_replaced_when_asked(tmp_path: Path) -> None:
    before = whole_run(tmp_path)
    source = film()
    with open_sinks(tmp_path, ALL, source, settings={"model": "x"}, overwrite=True).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    assert contents(tmp_path) == before


def test_a_refused_mask_folder_leaves_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "photo.png").write_bytes(b"precious")
    with pytest.raises(SinkError, match="did not write"):
        open_sinks(tmp_path, ALL, film(), overwrite=True)
    assert list(contents(tmp_path)) == ["masks/photo.png"]


def test_resuming_needs_masks_and_excludes_overwriting(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match="add the format png"):
        open_sinks(tmp_path, ["overlay"], film(), resume=True)
    with pytest.raises(SinkError, match="exclude each other"):
        open_sinks(tmp_path, ["png"], film(), resume=True, overwrite=True)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for name in ALL:
        with pytest.raises(SinkError, match="cannot be written"):
            open_sinks(tmp_path / "file" / "out", [name], film())


def test_masks_of_an_image_folder_have_the_names_of_the_images(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "in").mkdir()
    for name in ("left", "right"):
        Image.fromarray(picture(0, (24, 32))).save(tmp_path / "in" / f"{name}.png")
    source = open_source(tmp_path / "in")
    with open_sinks(tmp_path / "out", ["png"], source).sink as sink:
        for frame in source:
            sink.write(frame, segment(frame))
    assert {path.name for path in (tmp_path / "out" / "masks").glob("*.png")} == {"left.png", "right.png"}
