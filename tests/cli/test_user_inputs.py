"""Inputs of users from end to end: numbered files, turned photographs, numbers of any length."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from segue.masks import read_index_mask, write_index_mask
from tests.cli.running import FRAMES, MASKS, Command
from tests.clips import clip

ORIENTATION = 0x0112
QUARTER_TURN = 6  # shown after a turn by 90 degrees clockwise


@pytest.fixture
def beside_clip(inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing but a film."""
    shutil.copy(inputs / "clip.mp4", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_frame_whose_file_has_another_number_is_named(track: Command, inputs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "gaps"
    folder.mkdir()
    for number, image in enumerate(FRAMES[:4]):
        Image.fromarray(image).save(folder / f"{5 * number:05d}.png")
    given = f"2@{inputs / 'fifth.png'}"
    outcome = track("--mask", given, "--format", "png", source=folder, mask=None)
    assert outcome.code == 0
    assert "frame 2 is 00010.png" in outcome.err
    found = {path.name for path in (tmp_path / "out" / "masks").glob("*.png")}
    assert found == {"00000.png", "00005.png", "00010.png", "00015.png"}
    assert np.array_equal(
        read_index_mask(tmp_path / "out" / "masks" / "00010.png"), read_index_mask(inputs / "fifth.png")
    )


def test_fit_turns_a_mask_of_a_photograph_as_it_is_stored(track: Command, tmp_path: Path) -> None:
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number, image in enumerate(FRAMES[:2]):
        exif = Image.Exif()
        exif[ORIENTATION] = QUARTER_TURN
        Image.fromarray(image).save(folder / f"{number}.jpg", exif=exif, quality=95)
    write_index_mask(tmp_path / "stored.png", MASKS[0])
    refused = track("--format", "png", source=folder, mask=tmp_path / "stored.png")
    assert refused.code == 2
    assert "--fit" in refused.complaint
    assert track("--format", "png", "--fit", source=folder, mask=tmp_path / "stored.png").code == 0
    first = read_index_mask(min((tmp_path / "out" / "masks").glob("*.png")))
    assert np.array_equal(first, np.rot90(MASKS[0], -1))


@pytest.mark.parametrize("box", ["8.33333333333333333,8.1e0,4E1,40.000000000000007", "8,8,40,40"])
def test_a_box_takes_any_number_that_python_prints(track: Command, box: str, tmp_path: Path) -> None:
    assert track("--box", box, "--format", "png", "--end", 2, mask=None).code == 0
    assert read_index_mask(tmp_path / "out" / "masks" / "00000.png").any()


def test_a_box_in_shares_of_the_image_is_refused(track: Command) -> None:
    assert "pixels" in track("--box", "0.1,0.1,0.5,0.6", "--format", "png", mask=None).complaint


def test_names_that_the_shell_makes_of_a_pattern_lead_to_the_folder(command: Command, tmp_path: Path) -> None:
    """The first name is the source; of the others few are shown, however many there are."""
    frames = [tmp_path / f"{number:05d}.png" for number in range(8)]
    for path in frames:
        Image.new("RGB", (4, 4)).save(path)
    run = command("track", *frames, "--mask", "first.png")
    assert run.code == 2
    assert str(frames[-1]) not in run.err
    assert f"give the folder, {tmp_path}, or the pattern in quotes, '{tmp_path}/*.png'" in run.err


@pytest.mark.parametrize("words", ["frames --box 60 40 110 90", "--box=60, 40, 110, 90"])
@pytest.mark.parametrize("name", ["track", "batch"])
def test_numbers_of_a_box_with_blanks_lead_to_commas(command: Command, name: str, words: str) -> None:
    run = command(name, *words.split())
    assert run.code == 2
    assert run.complaint.strip().endswith("--box 60,40,110,90")


@pytest.mark.parametrize(
    "words",
    [
        ("track", "clip.mp4", "--box", "1,1,9,9", "--output", ""),
        ("foreground", "clip.mp4", "-o", "out", "--explain="),
        ("detect", "clip.mp4", "-o", ""),
        ("batch", "clip.mp4", "--do", "foreground", "-o", ""),
        ("eval", "davis", "results", "--data", "DAVIS", "--json", ""),
    ],
)
def test_an_empty_path_is_not_the_working_directory(
    command: Command, beside_clip: Path, words: tuple[str, ...]
) -> None:
    """It is the value of a variable of the shell that is not set."""
    outcome = command(*words)
    assert outcome.code == 2
    assert "path is empty" in outcome.complaint
    assert [path.name for path in beside_clip.iterdir()] == ["clip.mp4"]


@pytest.mark.parametrize(
    "words",
    [
        ("detect", "clip.mp4", "-o", "objects.png"),
        ("export", "stcn-lite", "stcn.onnx"),
        ("demo", "-o", "demo.mp4"),
        ("batch", "clip.mp4", "--do", "foreground", "-o", "results.mp4"),
    ],
)
def test_the_name_of_a_file_is_no_folder_for_several(
    command: Command, beside_clip: Path, words: tuple[str, ...]
) -> None:
    outcome = command(*words)
    assert outcome.code == 2
    assert f"{words[-1]}: is the name of a file" in outcome.complaint
    assert [path.name for path in beside_clip.iterdir()] == ["clip.mp4"]


def test_superfluous_arguments_are_named(command: Command, tmp_path: Path) -> None:
    videos = [tmp_path / f"{name}.mp4" for name in "ab"]
    for video in videos:
        video.touch()
    assert "`segue batch` takes several" in command("foreground", *videos).err
    for words in (("track", "a", "b"), ("train", "stcn", "b")):
        run = command(*words)
        assert run.code == 2
        assert "(b)" in run.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--box 1003@2,2,9,9", "plate has 4 frames, which count from 0; shot.1003.png is frame 2"),
        ("--box 4@2,2,9,9", "plate has 4 frames"),
        ("--box 2@2,2,9,9 --end 2", "the frames end before 2"),
        ("--text person --text-at 7", "plate has 4 frames"),
    ],
)
def test_a_number_that_no_frame_has_is_refused_before_any_is_read(
    track: Command, tmp_path: Path, words: str, said: str
) -> None:
    """Plates are numbered from 1001."""
    folder = tmp_path / "plate"
    folder.mkdir()
    for number, image in enumerate(FRAMES[:4], 1001):
        Image.fromarray(image).save(folder / f"shot.{number}.png")
    outcome = track(*words.split(), "--format", "png", source=folder, mask=None)
    assert said in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_the_frames_of_a_video_are_counted_exactly(track: Command, inputs: Path, tmp_path: Path) -> None:
    given = ("--format", "png", "--fit")
    assert "clip has 8 frames" in track("--box", "8@2,2,9,9", *given, mask=None).complaint
    assert track("--box", "7@2,2,9,9", *given, mask=None).code == 0


def test_an_object_that_is_lost_is_named(track: Command, tmp_path: Path) -> None:
    """Object 2 is one pixel, which no network follows for long."""
    frames, masks = clip(5, 5, 144, 192, 1)
    speck = masks[0].copy()
    speck[10, 180] = 2
    write_index_mask(tmp_path / "first.png", speck)
    (tmp_path / "film").mkdir()
    for number, image in enumerate(frames):
        Image.fromarray(image).save(tmp_path / "film" / f"{number}.png")
    outcome = track("--format", "png", source=tmp_path / "film", mask=tmp_path / "first.png")
    assert outcome.code == 0
    assert re.search(
        r"^not visible: object 2 from frame \d on \(it has 1 pixel: enlarge that part of the video\)$",
        outcome.err,
        re.MULTILINE,
    )
