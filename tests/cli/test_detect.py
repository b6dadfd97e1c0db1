"""``segue detect`` and ``segue track --auto`` from end to end."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file

import segue
from segue.masks import read_index_mask
from segue.models.deeplab import DeepLabV3
from tests.cli.running import FRAMES, Command
from tests.fill import fill_plainly


@pytest.fixture(autouse=True)
def _nothing_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEGUE_HOME", str(tmp_path / "home"))


@pytest.fixture
def bundled() -> None:
    if not (Path(segue.__file__).parent / "assets" / "stcn-lite.safetensors").exists():
        pytest.skip("no weights come with this version")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    Image.fromarray(FRAMES[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture(scope="session")
def deeplab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = fill_plainly(DeepLabV3())
    state = network.state_dict()
    # One class wins everywhere: a person as large as the picture.
    state["logits.weight"].zero_()
    state["logits.bias"].zero_()[15] = 3.0
    path = tmp_path_factory.mktemp("weights") / "deeplab.safetensors"
    save_file(state, path)
    return path


def test_a_picture_gives_a_table_a_mask_and_a_drawing(
    command: Command, picture: Path, deeplab: Path, tmp_path: Path
) -> None:
    arguments = ("--with", "deeplab", "--weights", deeplab, "--score", 0.3, "--device", "cpu")
    places = ("--output", tmp_path / "out", "--json", tmp_path / "objects.json")
    outcome = command("detect", picture, *arguments, *places, "--classes", "person, dog")
    assert outcome.code == 0, outcome.err
    score = 1 / (1 + 20 * np.exp(-3))
    assert outcome.out == f"id\tlabel\tscore\tbox\tarea\n1\tperson\t{score:.3f}\t0,0,64,48\t{64 * 48}\n"
    assert (read_index_mask(tmp_path / "out" / "mask.png") == 1).all()
    with Image.open(tmp_path / "out" / "overlay.png") as drawing:
        assert drawing.size == (64, 48)
    values = json.loads((tmp_path / "objects.json").read_text())
    assert values["objects"][0]["box"] == [0, 0, 64, 48]
    assert values["objects"][0]["score"] == pytest.approx(score, abs=1e-6)
    assert "exists already; give --overwrite" in command("detect", picture, *arguments, *places).complaint
    none = command("detect", picture, *arguments, *places, "--classes", "dog", "--overwrite")
    assert none.code == 0
    assert "no object was found" in none.err


def test_what_cannot_be_done_is_said_on_one_line(command: Command, picture: Path, tmp_path: Path) -> None:
    for arguments, words in (
        (("--with", "maskrcnn"), "`segue weights get maskrcnn` downloads https://download.pytorch.org/"),
        (("--with", "dinosaur"), "no detector is called 'dinosaur'; known are motion, maskrcnn"),
        (("--with", "lost", "--classes", "person"), "lost takes no classes; classes belong to maskrcnn"),
        (
            ("--with", "maskrcnn", "--refine", "grabcut"),
            "maskrcnn takes no refinements; refinements belong to nanodet, lost",
        ),
        (
            ("--features", "values"),
            "motion takes no features; features belong to lost, lost-b16",
        ),
        (
            ("--with", "lost"),
            "`segue weights get dino-s16` downloads https://dl.fbaipublicfiles.com/",
        ),
        (("--classes", ","), "classes is ','"),
    ):
        assert words in command("detect", picture, "--output", tmp_path / "out", *arguments).complaint


@pytest.mark.usefixtures("bundled")
def test_discovery_needs_no_download_and_draws_as_it_is_reported(
    command: Command, picture: Path, tmp_path: Path
) -> None:
    areas = []
    for refine in ("none", "grabcut", "crf"):
        arguments = (
            "--with",
            "lost-lite",
            "--refine",
            refine,
            "--output",
            tmp_path / refine,
            "--device",
            "cpu",
        )
        outcome = command("detect", picture, *arguments)
        assert outcome.code == 0, outcome.err
        areas.append(np.count_nonzero(read_index_mask(tmp_path / refine / "mask.png")))
    assert areas[0] % 64 == 0  # whole patches of 8 pixels
    assert len(set(areas)) == 3
    arguments = ("--with", "lost-lite", "--features", "queries", "--output", tmp_path / "q")
    assert "there are no queries among these features" in command("detect", picture, *arguments).complaint


@pytest.mark.usefixtures("bundled")
def test_a_still_picture_does_not_move(command: Command, picture: Path, tmp_path: Path) -> None:
    outcome = command("detect", picture, "--output", tmp_path / "out")
    assert outcome.code == 2
    assert "to find what moves takes a further frame" in outcome.err


@pytest.mark.usefixtures("bundled")
def test_a_video_is_followed_without_a_word(track: Command, tmp_path: Path) -> None:
    outcome = track("--auto", "--auto-every", 4, "--format", "png", mask=None)
    assert outcome.code == 0, outcome.err
    assert "looking for what moves" in outcome.err
    masks = [read_index_mask(path) for path in sorted((tmp_path / "out" / "masks").glob("*.png"))]
    assert len(masks) == 8
    assert masks[0].any()


def test_options_of_the_search_go_with_it(track: Command, inputs: Path) -> None:
    for arguments, mask in (
        (("--with", "motion"), inputs / "first.png"),
        (("--auto-every", 5), inputs / "first.png"),
        (("--tiles", 2), inputs / "first.png"),
    ):
        assert "go with --auto" in track(*arguments, mask=mask).complaint
    assert "--auto finds the objects" in track("--auto").complaint


def test_where_nothing_is_found_the_run_says_so(track: Command, deeplab: Path, tmp_path: Path) -> None:
    outcome = track(
        *("--auto", "--with", "deeplab", "--detector-weights", deeplab, "--classes", "dog"),
        *("--format", "png", "--end", 1),
        mask=None,
    )
    assert "no object was found in any frame" in outcome.err
    assert outcome.code == 2
