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
from segue.models.dino import DINO
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
def image(tmp_path: Path) -> Path:
    Image.fromarray(FRAMES[0]).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


def test_a_file_of_the_source_is_not_replaced(command: Command, image: Path, tmp_path: Path) -> None:
    before = image.read_bytes()
    named = image.rename(tmp_path / "mask.png")
    outcome = command("detect", named, "--with", "nanodet", "-o", tmp_path, "--overwrite")
    assert "the frames come from there" in outcome.complaint
    table = ("--json", named, "--overwrite")
    outcome = command("detect", named, "--with", "nanodet", "-o", tmp_path / "out", *table)
    assert "the frames come from there" in outcome.complaint
    assert named.read_bytes() == before


@pytest.mark.parametrize("option", ["--explain", "--snapshots"])
def test_images_of_a_run_are_not_put_among_its_frames(
    option: str, command: Command, image: Path, tmp_path: Path
) -> None:
    events = ("--events", tmp_path / "out" / "events.csv") if option == "--snapshots" else ()
    outcome = command("foreground", tmp_path, option, tmp_path, "-o", tmp_path / "out", *events)
    assert "the frames come from there" in outcome.complaint
    assert [path.name for path in tmp_path.iterdir()] == [image.name]


@pytest.mark.parametrize("place", ["out/masks", "out/masks/why"])
def test_images_of_a_run_are_not_put_among_its_masks(
    place: str, command: Command, image: Path, tmp_path: Path
) -> None:
    outcome = command("foreground", image, "--explain", tmp_path / place, "-o", tmp_path / "out")
    assert outcome.code == 2
    assert place in outcome.complaint
    assert not (tmp_path / "out").exists()


def test_a_background_and_events_replace_no_image_of_the_source_and_no_record(
    command: Command, image: Path, tmp_path: Path
) -> None:
    before = image.read_bytes()
    outcome = command("foreground", image, "--background", image, "-o", tmp_path / "out", "--overwrite")
    assert "the frames come from there" in outcome.complaint
    assert image.read_bytes() == before
    events = ("--objects", "--events", tmp_path / "out" / "job.json")
    assert "the record" in command("foreground", image, *events, "-o", tmp_path / "out").complaint


def test_explanations_do_not_replace_images(command: Command, image: Path, tmp_path: Path) -> None:
    (tmp_path / "why").mkdir()
    other = image.rename(tmp_path / "why" / "000000.png")
    Image.fromarray(FRAMES[0]).save(tmp_path / "frame.png")
    places = ("-o", tmp_path / "out", "--explain", other.parent)
    assert "has images already" in command("foreground", tmp_path / "frame.png", *places).complaint


@pytest.fixture(scope="session")
def deeplab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    network = fill_plainly(DeepLabV3)
    state = network.state_dict()
    # One class wins everywhere: a person as large as the image.
    state["logits.weight"].zero_()
    state["logits.bias"].zero_()[15] = 3.0
    path = tmp_path_factory.mktemp("weights") / "deeplab.safetensors"
    save_file(state, path)
    return path


def test_a_image_gives_a_table_a_mask_and_a_drawing(
    command: Command, image: Path, deeplab: Path, tmp_path: Path
) -> None:
    arguments = ("--with", "deeplab", "--weights", deeplab, "--score", 0.3, "--device", "cpu")
    places = ("--output", tmp_path / "out", "--json", tmp_path / "objects.json")
    outcome = command("detect", image, *arguments, *places, "--classes", "person, dog")
    assert outcome.code == 0, outcome.err
    score = 1 / (1 + 20 * np.exp(-3))
    assert outcome.out == f"id\tlabel\tscore\tbox\tarea\n1\tperson\t{score:.3f}\t0,0,64,48\t{64 * 48}\n"
    assert (read_index_mask(tmp_path / "out" / "mask.png") == 1).all()
    with Image.open(tmp_path / "out" / "overlay.png") as drawing:
        assert drawing.size == (64, 48)
    values = json.loads((tmp_path / "objects.json").read_text())
    assert values["objects"][0]["box"] == [0, 0, 64, 48]
    assert values["objects"][0]["score"] == pytest.approx(score, abs=1e-6)
    assert "exists already; give --overwrite" in command("detect", image, *arguments, *places).complaint
    none = command("detect", image, *arguments, *places, "--classes", "dog", "--overwrite")
    assert none.code == 0
    assert "no object was found" in none.err
    assert "further frame" in command("detect", image, "--with", "motion", "-o", tmp_path / "moves").complaint


def test_discovery_draws_patches_or_edges(
    command: Command, image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = fill_plainly(lambda: DINO(64, depth=1))
    monkeypatch.setattr("segue.sessions.detecting.load", lambda name, weights=None: network)
    (tmp_path / "dino").write_bytes(b"")
    areas = []
    for refine in ("none", "crf"):
        arguments = (
            "--with",
            "lost",
            "--weights",
            tmp_path / "dino",
            "--refine",
            refine,
            "--output",
            tmp_path / refine,
            "--device",
            "cpu",
        )
        outcome = command("detect", image, *arguments)
        assert outcome.code == 0, outcome.err
        areas.append(np.count_nonzero(read_index_mask(tmp_path / refine / "mask.png")))
    assert areas[0] % 256 == 0  # whole patches of 16 pixels
    assert areas[0] != areas[1]


@pytest.mark.usefixtures("bundled")
def test_a_video_is_followed_without_a_word(track: Command, tmp_path: Path) -> None:
    outcome = track("--auto", "--auto-every", 4, "--format", "png", mask=None)
    assert outcome.code == 0, outcome.err
    assert "looking for what moves" in outcome.err
    masks = [read_index_mask(path) for path in sorted((tmp_path / "out" / "masks").glob("*.png"))]
    assert len(masks) == 8
    assert masks[0].any()
