"""A package of somebody else adds a network of each kind, a detector, a sink, a data set and a command."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import replace
from importlib import invalidate_caches
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from safetensors.torch import save_file

import segue
from segue.dataset_runs.protocols import protocol_of
from segue.errors import CheckpointError, DatasetError, SegueError
from segue.prompt_types import BoxPrompt, MaskPrompt, PointPrompt, RemovePrompt
from segue.prompts import ImagePrompts, find_prompter
from segue.registry import (
    COMMANDS,
    DATASETS,
    DETECTORS,
    METRICS,
    MODELS,
    PROMPTERS,
    SINKS,
    STAGES,
    Entry,
    register,
)
from segue.sessions import SessionState, TrackSession
from segue.types import Frame, Segmentation
from tests.cli.forked import run_alone, run_forked
from tests.cli.running import Command, command_in
from tests.needs import needs
from tests.segue_train.instance_sets import save_ytvis

PACKAGE = Path(__file__).parent / "package"

SIZE = (48, 64)
RED, GREEN = (220, 30, 30), (30, 200, 30)

Bytes = npt.NDArray[np.uint8]


def place(t: int) -> tuple[slice, slice]:
    """Where the red square is on a frame; the green one stands still at the right."""
    return slice(10, 22), slice(4 + 3 * t, 16 + 3 * t)


def drawn_image(t: int) -> Bytes:
    shown = np.full((*SIZE, 3), 90, np.uint8)
    shown[place(t)] = RED
    shown[30:40, 48:60] = GREEN
    return shown


VIDEO = [drawn_image(t) for t in range(8)]
TRUE = np.zeros((8, *SIZE), np.uint8)
for number in range(8):
    TRUE[number][place(number)] = 1
    TRUE[number, 30:40, 48:60] = 2


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as pip leaves it behind: its modules, and what it says of itself beside them."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(PACKAGE / "segue_blobs", folder / "segue_blobs")
    about = folder / "segue_blobs-1.0.dist-info"
    about.mkdir()
    for name in ("METADATA", "entry_points.txt"):
        shutil.copy(PACKAGE / name, about)
    return folder


@pytest.fixture(autouse=True)
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put the package on the path for one test."""
    registries: tuple[Any, ...] = (MODELS, DETECTORS, PROMPTERS, SINKS, DATASETS, METRICS, STAGES, COMMANDS)
    for registry in registries:
        assert registry.names  # without the package; put back after the test
        monkeypatch.delitem(vars(registry), "_points")
        for name in ("_entries", "registered"):  # what a test adds ends with it
            monkeypatch.setitem(vars(registry), name, copy(vars(registry)[name]))
    monkeypatch.syspath_prepend(str(site))
    invalidate_caches()
    yield
    for name in [name for name in sys.modules if name.startswith("segue_blobs")]:
        del sys.modules[name]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    return command_in(capsys)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """A folder of images."""
    folder = tmp_path / "video"
    folder.mkdir()
    for t, shown in enumerate(VIDEO):
        Image.fromarray(shown).save(folder / f"{t:05d}.png")
    return folder


def masks_of(folder: Path) -> list[Bytes]:
    return [np.asarray(Image.open(path)) for path in sorted((folder / "masks").glob("*.png"))]


def test_names_are_known_before_anything_is_imported() -> None:
    assert "colour-memory" in MODELS
    assert "reddest" in DETECTORS.names
    assert "areas" in SINKS.names
    assert "squares" in DATASETS.names
    assert "blobs" in COMMANDS
    assert not any(name.startswith("segue_blobs") for name in sys.modules)


def test_a_recurrent_tracker_follows_as_the_command_line_asks(
    command: Command, video: Path, tmp_path: Path
) -> None:
    Image.fromarray(TRUE[0]).save(tmp_path / "first.png")
    outcome = command(
        "track", video, "--mask", tmp_path / "first.png", "--model", "colour-memory",
        "--format", "png", "--format", "areas", "--output", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert np.array_equal(masks_of(tmp_path / "out"), TRUE)
    lines = (tmp_path / "out" / "areas.csv").read_text().splitlines()
    assert lines == [f"{t},{i},{144 if i == 1 else 120}" for t in range(8) for i in (1, 2)]


def session(name: str = "clicked-colour") -> TrackSession:
    return TrackSession(segue.load(name), device="cpu")  # type: ignore[arg-type]


def steps(following: TrackSession, prompts: dict[int, Any], first: int = 0) -> list[Segmentation]:
    return [following.step(Frame(t, t / 10, VIDEO[t]), prompts.get(t)) for t in range(first, 8)]


@pytest.mark.parametrize("stop", [1, 4])
def test_a_tracker_goes_on_bit_by_bit_from_its_saved_state(tmp_path: Path, stop: int) -> None:
    prompts: dict[int, Any] = {
        0: [BoxPrompt(1, (3, 9, 17, 23), label="red")],
        2: [MaskPrompt(7, TRUE[2] == 2)],
        5: [RemovePrompt(1)],
    }
    whole = steps(session(), prompts)
    assert [result.ids for result in whole] == [(1,)] * 2 + [(1, 7)] * 3 + [(7,)] * 3
    first = session()
    for t in range(stop):
        first.step(Frame(t, t / 10, VIDEO[t]), prompts.get(t))
    first.state().save(tmp_path / "state")
    second = session()
    second.restore(SessionState.load(tmp_path / "state"))
    rest = steps(second, prompts, stop)
    assert rest == whole[stop:]
    for one, other in zip(rest, whole[stop:], strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)


def test_a_detector_finds_what_the_trackers_follow(command: Command, video: Path, tmp_path: Path) -> None:
    outcome = command("detect", video / "00000.png", "--with", "reddest", "--output", tmp_path / "one")
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines()[1].startswith("1\tred\t1.000\t4,10,16,22\t144")
    refused = command(
        "detect", video / "00000.png", "--with", "reddest", "--refine", "crf", "--output", tmp_path
    )
    assert "reddest takes no refinements" in refused.complaint
    outcome = command(
        "instances", video, "--model", "reddest+colour-memory", "--window", 4,
        "--format", "png", "--output", tmp_path / "all",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert np.array_equal(masks_of(tmp_path / "all"), TRUE == 1)


@pytest.mark.parametrize("stop", [2, 5])
def test_a_recurrent_memory_network_needs_two_steps_of_its_own(tmp_path: Path, stop: int) -> None:
    prompts: dict[int, Any] = {0: TRUE[0], 3: [RemovePrompt(1)], 4: [MaskPrompt(3, TRUE[4] == 1)]}
    whole = steps(session("fading-memory"), prompts)
    for t, result in enumerate(whole):
        missed = (result.mask == 2) != (TRUE[t] == 2)
        assert missed.mean() < 0.01, t
    first = session("fading-memory")
    for t in range(stop):
        first.peek(Frame(t, t / 10, VIDEO[t])) if t else None
        first.step(Frame(t, t / 10, VIDEO[t]), prompts.get(t))
    (memory,) = first.tracker.memories  # type: ignore[attr-defined]
    assert memory.states["seen"].keys() == set(first.ids)
    first.state().save(tmp_path / "state")
    second = session("fading-memory")
    second.restore(SessionState.load(tmp_path / "state"))
    for one, other in zip(steps(second, prompts, stop), whole[stop:], strict=True):
        assert np.array_equal(one.probabilities, other.probabilities)


def test_a_foreground_network_has_weights_and_a_threshold_of_its_own(
    command: Command, video: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError):
        segue.load("bright")
    save_file(MODELS.find("bright").build().state_dict(), tmp_path / "bright.safetensors")
    listed = command("weights", "list").out
    assert "bright\tnone published\tMIT" in listed
    assert "complete weights of bright" in command("weights", "verify", tmp_path / "bright.safetensors").out
    # Grey of 0.53 is foreground at 0.5, where 40 * 0.03 is 1.2 in log-odds, but not at 0.9, which is 2.2.
    grey = [np.full((32, 32, 3), level, np.uint8) for level in (135, 150)]
    for threshold, expected in ((None, [False, True]), (0.5, [True, True])):
        results = segue.foreground(
            grey, model="bright", weights=tmp_path / "bright.safetensors", threshold=threshold, device="cpu"
        )
        assert [bool(result.mask.any()) for result in results] == expected


def test_a_prompter_has_weights_of_its_own(command: Command, video: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError):
        segue.track(VIDEO, {0: [PointPrompt(1, ((8.0, 14.0),))]}, prompter="same-colour")
    file = tmp_path / "nearness.safetensors"
    save_file(MODELS.find("nearness").build().state_dict(), file)
    # Given by its file, which is recognised, on the command line and in Python.
    outcome = command(
        "track", video, "--point", "8,14", "--model", "colour-memory", "--prompter", file,
        "--format", "png", "--output", tmp_path / "out",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert np.array_equal(masks_of(tmp_path / "out"), TRUE == 1)
    make = find_prompter(str(file))
    assert np.array_equal(make(VIDEO[0]).answer(ImagePrompts(box=(4, 10, 16, 22))).mask, TRUE[0] == 1)
    refused = command("track", video, "--point", "8,14", "--prompter", "same")
    assert "'same': neither a file nor one of segue-prompt" in refused.complaint
    assert "same-colour" in refused.complaint


def test_a_data_set_is_checked_and_scored_and_trained_on(command: Command, tmp_path: Path) -> None:
    needs("tensorboard")
    root = tmp_path / "data"
    for name, values in (("input", np.stack(VIDEO)), ("groundtruth", (TRUE == 1).astype(np.uint8) * 255)):
        (root / "walk" / name).mkdir(parents=True)
        for t, shown in enumerate(values, start=1):
            start = "in" if name == "input" else "gt"
            Image.fromarray(shown).save(root / "walk" / name / f"{start}{t:06d}.png")
    (root / "SQUARES").touch()
    assert "squares\tSquares" in command("data", "list").out
    checked = command("data", "check", root)
    assert checked.code == 0, checked.err
    assert "walk\t8\t8" in checked.out
    results = tmp_path / "results" / "walk"
    results.mkdir(parents=True)
    for t in range(8):
        Image.fromarray((TRUE[t] == 1).astype(np.uint8) * 255).save(results / f"bin{t + 1:06d}.png")
    arguments = (tmp_path / "results", "--data", root)
    compared = command(
        "compare", tmp_path / "results", tmp_path / "results", "--data", root, "--dataset", "squares"
    )
    assert compared.code == 0, compared.err
    scored = run_forked("eval", "squares", *arguments)
    assert scored.returncode == 0, scored.stderr
    assert "F" in scored.stdout

    from segue_train.data.foreground.material import gather_videos

    videos = gather_videos([f"squares={root}"])
    assert [video.name for video in videos.real] == ["walk"]

    run = tmp_path / "run"
    words = ("train", "bright", "--data", f"squares={root}", "--smooth", 0.1, "--device", "cpu", "-o", run)
    trained = run_forked(*words, "--steps", 4)
    assert trained.returncode == 0, trained.stderr
    assert "broken-recipe (segue.recipes) cannot be imported" in trained.stderr
    assert "smooth = 0.1" in (run / "run.toml").read_text()
    limit = segue.load("bright", run / "bright.safetensors").limit
    assert limit != 0.5


def test_videos_with_masks_are_run_and_scored_and_trained_on(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "data"
    for name, values in (("images", np.stack(VIDEO)), ("masks", TRUE)):
        (root / "walk" / name).mkdir(parents=True)
        for t, shown in enumerate(values):
            Image.fromarray(shown).save(root / "walk" / name / f"{t:05d}.png")
    out = tmp_path / "out"
    ended = run_forked("run", "outlines", root, "--model", "colour-memory", "--workers", 1, "-q", "-o", out)
    assert ended.returncode == 0, ended.stderr
    assert np.array_equal(masks_of(out / "walk"), TRUE)
    files = ("--json", tmp_path / "scores.json")
    scored = run_forked("eval", "outlines", out, "--data", root, "--metric", "covered", *files)
    assert scored.returncode == 0, scored.stderr
    found = json.loads((tmp_path / "scores.json").read_text())["global"]
    assert (found["J&F-Mean"], found["covered"]) == (1.0, 1.0)

    from segue_train.data.footage import gather

    material = gather([f"outlines={root}"], report=lambda _: None)
    assert [(video.name, len(video)) for video in material.videos] == [("walk", 8)]


def outlines(root: Path, walk: str = "walk") -> Path:
    for name, values in (("images", np.stack(VIDEO)), ("masks", TRUE)):
        (root / walk / name).mkdir(parents=True)
        for t, shown in enumerate(values):
            Image.fromarray(shown).save(root / walk / name / f"{t:05d}.png")
    return root


def test_a_folder_is_checked_by_the_reader_of_its_data_set(command: Command, tmp_path: Path) -> None:
    checked = command("data", "check", outlines(tmp_path / "data"), "--kind", "outlines")
    assert checked.code == 0, checked.err
    assert "walk\t8\t8" in checked.out
    (tmp_path / "data" / "walk" / "masks" / "00003.png").write_bytes(b"damaged")
    damaged = command("data", "check", tmp_path / "data", "--kind", "outlines")
    assert damaged.code == 1
    assert "00003.png" in damaged.out
    vis = save_ytvis(tmp_path / "vis", {1: "dog", 2: "cat"}, length=2)
    assert command("data", "check", vis, "--kind", "clips").code == 0


def test_a_data_set_of_the_process_runs_on_the_frames_that_it_names(tmp_path: Path) -> None:
    entry = DATASETS.find("outlines")

    class Halves(type(entry.masks(outlines(tmp_path / "data")))):  # type: ignore[misc, operator]
        """Every second frame alone."""

        def __init__(self, root: Path) -> None:
            super().__init__(root)
            for name, video in self._videos.items():
                masks = dict(enumerate([*video.annotations.values()][::2]))
                self._videos[name] = replace(video, frames=video.frames[::2], annotations=masks)

    register(replace(entry, name="halves", masks=Halves))
    done = segue.run("halves", tmp_path / "data", output=tmp_path / "out", model="colour-memory", workers=1)
    assert [path.name for path in sorted((tmp_path / "out/walk/masks").glob("*.png"))] == [
        f"{t:05d}.png" for t in range(0, 8, 2)
    ]
    assert done.evaluation is not None
    assert done.evaluation.overall["J&F-Mean"] == 1.0


def test_a_reader_gives_its_videos_in_a_mapping(tmp_path: Path) -> None:
    entry = DATASETS.find("outlines")
    assert entry.masks is not None
    videos = {video.name: video for video in entry.masks(outlines(tmp_path / "data"))}
    register(replace(entry, name="mapped", masks=lambda root: videos))
    done = segue.run("mapped", tmp_path / "data", output=tmp_path / "out", model="colour-memory", workers=1)
    assert done.evaluation is not None
    assert done.evaluation.overall["J&F-Mean"] == 1.0


@pytest.mark.parametrize(
    ("gives", "sentence"),
    [
        (lambda root: {}["x"], "the reader of wrong fails with KeyError: 'x'"),
        (lambda root: [1, 2], "wrong: its reader gives list of 2; it must give a mapping from names to"),
        (lambda root: {"walk": 3}, "wrong: its reader gives int; it must give a mapping from names to"),
        (lambda root: {}, "no videos; the layout is <video>/images, <video>/masks"),
    ],
)
def test_errors_of_a_plug_in_reader_are_one_sentence(
    gives: Callable[[Path], Any], sentence: str, command: Command, tmp_path: Path
) -> None:
    register(replace(DATASETS.find("outlines"), name="wrong", masks=gives))
    with pytest.raises(DatasetError, match=sentence):
        segue.run("wrong", tmp_path, output=tmp_path / "out", workers=1)
    checked = command("data", "check", tmp_path, "--kind", "wrong")
    assert (checked.code, sentence in checked.err) == (1, True)


def test_a_data_set_without_videos_is_refused_before_anything_runs(tmp_path: Path) -> None:
    register(replace(DATASETS.find("outlines"), name="nothing", masks=None))
    with pytest.raises(DatasetError):
        segue.run("nothing", tmp_path, output=tmp_path / "out", workers=1)
    with pytest.raises(DatasetError):
        segue.run("coco", tmp_path, output=tmp_path / "out", workers=1)
    assert not (tmp_path / "out").exists()


def test_videos_with_instances_are_scored_as_youtube_vis(tmp_path: Path) -> None:
    root = save_ytvis(tmp_path / "vis", {1: "dog", 2: "cat"}, length=2)
    labels = json.loads((root / "train.json").read_text())["annotations"]
    names = ("video_id", "category_id", "segmentations")
    found = [{"score": 1.0} | {name: label[name] for name in names} for label in labels]
    (tmp_path / "results.json").write_text(json.dumps(found))
    scored = run_forked("eval", "clips", tmp_path / "results.json", "--data", root)
    assert scored.returncode == 0, scored.stderr
    assert "AP" in scored.stdout
    assert protocol_of("clips").command == "instances"


def test_a_decorator_adds_a_network_with_several_weight_files(tmp_path: Path) -> None:
    network = MODELS.find("bright").build()
    files = {}
    for tag, limit in (("day", 0.5), ("night", 0.2)):
        network.limit.data.fill_(limit)
        files[tag] = str(tmp_path / f"{tag}.safetensors")
        save_file(network.state_dict(), files[tag])
    tags = {"night": segue.WeightFile(bundled=files["night"], threshold=0.9, trained_on="nights")}

    @segue.register_model(
        "bright-too", "foreground", signature="limit", bundled=files["day"], licence="MIT", tags=tags
    )
    class Again(type(network)):  # type: ignore[misc]
        pass

    assert isinstance(segue.load("bright-too"), Again)
    assert float(segue.load("bright-too").limit) == 0.5  # type: ignore[arg-type]
    assert float(segue.load("bright-too.night").limit) == pytest.approx(0.2)  # type: ignore[arg-type]
    entry = MODELS.find("bright-too.night")
    assert (entry.name, entry.threshold, entry.licence) == ("bright-too.night", 0.9, "MIT")
    grey = [np.full((32, 32, 3), 100, np.uint8)]
    (day,) = segue.foreground(grey, model="bright-too", device="cpu")
    (night,) = segue.foreground(grey, model="bright-too.night", device="cpu")
    assert (bool(day.mask.any()), bool(night.mask.any())) == (False, True)
    with pytest.raises(CheckpointError, match=r"dusk.* night"):
        segue.load("bright-too.dusk")


def test_a_command_is_listed_and_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = run_alone("--help")
    assert "Blobs of one colour." in listed.stdout
    assert run_alone("blobs", "3").stdout == "ooo\n"


def test_a_broken_entry_is_reported_where_it_is_asked_for_and_warned_of_in_lists() -> None:
    with pytest.raises(CheckpointError):
        segue.load("broken")
    with pytest.warns(UserWarning, match="broken of segue-blobs"):
        names = [entry.name for entry in MODELS]
    assert "broken" not in names
    assert "colour-memory" in names


def test_names_that_are_taken_are_refused() -> None:
    build: Callable[..., Any] = MODELS.find("colour-memory").build
    with pytest.raises(SegueError, match="colour-memory"):
        register(Entry("colour-memory", "track", build))
    register(Entry("another", "track", build))
    assert isinstance(segue.load("another"), build)  # type: ignore[arg-type]
    MODELS.unregister("another")
    with pytest.raises(CheckpointError):
        segue.load("another")
