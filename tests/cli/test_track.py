"""``segue track`` from end to end."""

from __future__ import annotations

import json
import os
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import segue
from segue.cli import running
from segue.formats.mask_records import read_records
from segue.masks import read_index_mask
from tests.cli.running import FRAMES, MASKS, Command, contents
from tests.lite import lively_lite
from tests.segue_web.videos import cut_of_sample


def test_a_video_becomes_masks_and_an_overlay(track: Command, inputs: Path, tmp_path: Path) -> None:
    outcome = track()
    assert outcome.code == 0
    assert outcome.out == f"overlay: {tmp_path / 'out' / 'overlay.mp4'}\npng: {tmp_path / 'out' / 'masks'}\n"
    names = {path.name for path in (tmp_path / "out").rglob("*")}
    masks = {f"{t:05d}.png" for t in range(8)}
    assert names == {"job.json", "masks", "overlay.mp4", ".segue.json", ".segue.jsonl"} | masks
    assert np.array_equal(read_index_mask(tmp_path / "out" / "masks" / "00000.png"), MASKS[0])
    overlay = segue.open_source(tmp_path / "out" / "overlay.mp4")
    assert [frame.size for frame in overlay] == [(48, 64)] * 8


def test_settings_of_the_network_are_given_by_name(
    track: Command, inputs: Path, command: Command, tmp_path: Path
) -> None:
    settings = {"penalty": -50.0, "last_window": None}
    track("--format", "png", "--setting", "penalty=-50", "--setting", "last_window=none")
    asked = segue.track(inputs / "clip.mp4", {0: MASKS[0]}, model=lively_lite(), settings=settings)
    plain = segue.track(inputs / "clip.mp4", {0: MASKS[0]}, model=lively_lite())
    found = [read_index_mask(tmp_path / "out" / "masks" / f"{t:05d}.png") for t in range(8)]
    assert all(np.array_equal(mask, result.mask) for mask, result in zip(found, asked, strict=True))
    assert not all(np.array_equal(mask, result.mask) for mask, result in zip(found, plain, strict=True))
    job = json.loads((tmp_path / "out" / "job.json").read_text())
    assert job["options"]["settings"] == {"penalty": -50, "last_window": None}
    known = "; it has last_window, "
    assert known in track("--setting", "long_term=true", "--overwrite").complaint


def test_the_command_writes_what_the_function_gives(track: Command, inputs: Path, tmp_path: Path) -> None:
    track("--format", "png", "--mem-every", 2, "--top-k", 0, "--no-include-last", "--memory-frames", 3)
    expected = segue.track(
        inputs / "clip.mp4",
        {0: MASKS[0]},
        model=lively_lite(),
        mem_every=2,
        top_k=None,
        include_last=False,
        memory_frames=3,
        device="cpu",
    )
    for result in expected:
        found = read_index_mask(tmp_path / "out" / "masks" / f"{result.index:05d}.png")
        assert np.array_equal(found, result.mask)


def test_several_formats_are_written_in_one_run(track: Command, tmp_path: Path) -> None:
    formats = ("png", "overlay", "coco", "ytvis", "npz")
    assert track(*(word for name in formats for word in ("--format", name))).code == 0
    folder = tmp_path / "out"
    coco = json.loads((folder / "coco.json").read_text())
    assert len(coco["images"]) == 8
    assert {item["track_id"] for item in coco["annotations"]} == {1, 2}
    assert (folder / "ytvis.json").exists()
    with np.load(folder / "masks.npz") as archive:
        for t in range(8):
            assert np.array_equal(archive["masks"][t], read_index_mask(folder / "masks" / f"{t:05d}.png"))
    assert not list(folder.rglob("*.partial"))


@pytest.mark.skipif(os.name != "posix", reason="has no such modes")
@pytest.mark.parametrize(("umask", "file", "folder"), [(0o022, 0o644, 0o755), (0o027, 0o640, 0o750)])
def test_results_may_be_read_by_whom_the_umask_lets(
    track: Command, tmp_path: Path, umask: int, file: int, folder: int
) -> None:
    before = os.umask(umask)
    try:
        ended = track("--format", "png,npz,overlay,coco,mot,yolo")
    finally:
        os.umask(before)
    assert ended.code == 0, ended.err
    written = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").rglob("*")}
    record = tmp_path / "out" / "job.json"  # it may hold addresses of cameras
    assert written.pop(record) == 0o600
    assert {mode for path, mode in written.items() if path.is_file()} == {file}, written
    assert {mode for path, mode in written.items() if path.is_dir()} == {folder}, written


def test_masks_boxes_and_points_on_several_frames(track: Command, inputs: Path, tmp_path: Path) -> None:
    outcome = track(
        *("--mask", f"5@4={inputs / 'fifth.png'}", "--box", "2@7:8,8,40,40", "--box", "3@9:1,1,9,9"),
        *("--remove", "6@7", "--point", "4@300:30,20", "--point", "4@300:-2,2", "--fill", "--format", "png"),
    )
    assert outcome.code == 0, outcome.err
    records = read_records(tmp_path / "out" / "masks")
    ids = {index: [item.id for item in record.objects] for index, record in records.items()}
    assert ids[0] == ids[1] == [1, 2]
    assert ids[2] == [1, 2, 7]
    assert ids[3] == [1, 2, 7, 9]
    assert ids[4] == [1, 2, 7, 9, 300]
    assert ids[5] == [1, 2, 4, 7, 9, 300]
    assert ids[6] == ids[7] == [1, 2, 4, 9, 300]
    fifth = read_index_mask(tmp_path / "out" / "masks" / "00005.png")
    assert np.array_equal(fifth == 4, MASKS[5] == 2)
    corner = read_index_mask(tmp_path / "out" / "masks" / "00003.png")[1:9, 1:9]
    assert (corner == 9).all()


def test_masks_of_a_folder_have_the_names_of_its_images(track: Command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for t in range(3):
        Image.fromarray(FRAMES[t]).save(tmp_path / "in" / f"shot{t + 9}.png")
    assert track("--format", "png", source=tmp_path / "in").code == 0
    masks = (tmp_path / "out" / "masks").glob("*.png")
    assert sorted(path.name for path in masks) == ["shot10.png", "shot11.png", "shot9.png"]


def test_a_mask_of_another_size_is_fitted_when_asked(track: Command, inputs: Path, tmp_path: Path) -> None:
    Image.fromarray(MASKS[0][::2, ::2]).save(tmp_path / "small.png")
    assert track("--fit", "--format", "png", mask=tmp_path / "small.png").code == 0
    first = read_index_mask(tmp_path / "out" / "masks" / "00000.png")
    assert np.array_equal(first[::2, ::2], MASKS[0][::2, ::2])


def test_existing_output_is_replaced_when_asked(track: Command, tmp_path: Path) -> None:
    track()
    before = contents(tmp_path / "out")
    assert track("--overwrite").code == 0
    assert contents(tmp_path / "out") == before


def test_the_bundled_sample_is_followed(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first frames; `make demo` follows it to the end."""
    assets = Path(segue.__file__).parent / "assets"
    if not (assets / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")
    short = tmp_path / "short/sample"
    short.mkdir(parents=True)
    cut_of_sample(short / "video.mp4", 5)
    shutil.copyfile(assets / "sample/first.png", short / "first.png")
    monkeypatch.setattr(running, "ASSETS", tmp_path / "short")
    outcome = command("demo", "--output", tmp_path / "demo")
    assert outcome.code == 0, outcome.err
    assert len(list((tmp_path / "demo" / "masks").glob("*.png"))) == 5
    assert len(list(segue.open_source(tmp_path / "demo" / "overlay.mp4"))) == 5
    assert (tmp_path / "demo" / "first.png").read_bytes() == (short / "first.png").read_bytes()
