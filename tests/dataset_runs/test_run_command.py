"""``segue run``: a data set by its protocol, from its folder to its score."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import segue
from segue.dataset_runs.protocols import check_classes, protocol_of, scored_here, template_for
from segue.datasets.foreground.sets import open_hofam, read_flow
from segue.datasets.ytvis import YTVISDataset, read_results
from segue.errors import ArgumentError, CheckpointError, DatasetError
from segue.jobs.values import Model
from segue.masks import read_stored_mask, write_index_mask
from segue.metrics.data_sets import Request
from segue.models.detection.classes import COCO_NAMES
from segue.models.hofam import HOFAM, LEVELS
from segue.models.seqformer.network import YOUTUBE_VIS_2019, YOUTUBE_VIS_2021
from segue.prompt_types import MaskPrompt
from segue.sessions.official import whole_clip
from segue.weights import loading, write_checkpoint
from tests.cli.running import FRAMES, MASKS, Command
from tests.lite import lively_instances
from tests.segue_train.instance_sets import save_ytvis
from tests.segue_train.scenes import save_composites

# pycocotools 2.0 calls numpy in ways that numpy 2 deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture
def davis(tmp_path: Path) -> Path:
    """One sequence in the layout of DAVIS, with a border of void in its first mask."""
    root = tmp_path / "DAVIS"
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "480p" / "clip").mkdir(parents=True)
    for index, (image, mask) in enumerate(zip(FRAMES, MASKS, strict=True)):
        Image.fromarray(image).save(root / f"JPEGImages/480p/clip/{index:05d}.jpg", quality=98)
        labels = mask.astype(np.uint8)
        if index == 0:
            labels[0] = 255
        write_index_mask(root / f"Annotations/480p/clip/{index:05d}.png", labels)
    return root


def index_mask(values: Iterable[MaskPrompt]) -> npt.NDArray[np.uint8]:
    """The objects of prompts as one index mask."""
    values = list(values)
    mask = np.zeros(values[0].mask.shape, np.uint8)
    for value in values:
        mask[value.mask] = value.id
    return mask


def jobs_of(request: Request, folder: Path) -> dict[str, Any]:
    """The jobs of the videos of a data set by their names."""
    template = template_for(request, None, None, {})
    videos = protocol_of(request.dataset).videos(request, folder / "given", template)
    return {task.name: task.job for task in videos}


def test_davis_gives_the_objects_of_the_first_mask_without_void(davis: Path, tmp_path: Path) -> None:
    job = jobs_of(Request(data=davis), tmp_path)["clip"]

    assert {value.frame for value in job.prompts} == {0}
    expected = MASKS[0].copy()
    expected[0] = 0
    np.testing.assert_array_equal(index_mask(job.prompts), expected)


def test_davis_2016_takes_all_objects_as_one(davis: Path, tmp_path: Path) -> None:
    job = jobs_of(Request(data=davis, year="2016"), tmp_path)["clip"]

    assert set(np.unique(index_mask(job.prompts))) == {0, 1}


def test_youtube_vos_gives_each_object_in_the_frame_where_it_appears(tmp_path: Path) -> None:
    root = tmp_path / "train"
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "v").mkdir(parents=True)
    for index in range(4):
        Image.fromarray(FRAMES[index]).save(root / f"JPEGImages/v/{5 * index:05d}.jpg")
        write_index_mask(root / f"Annotations/v/{5 * index:05d}.png", MASKS[index].astype(np.uint8))
    objects = {
        "1": {"category": "cat", "frames": ["00000", "00005"]},
        "2": {"category": "dog", "frames": ["00010", "00015"]},
    }
    (root / "meta.json").write_text(json.dumps({"videos": {"v": {"objects": objects}}}))

    job = jobs_of(Request(data=root, dataset="ytvos"), tmp_path)["v"]

    given = {value.frame: [value] for value in job.prompts}
    assert list(given) == [0, 2]  # positions of the images, not their names
    np.testing.assert_array_equal(index_mask(given[0]), np.where(MASKS[0] == 1, 1, 0))
    np.testing.assert_array_equal(index_mask(given[2]), np.where(MASKS[2] == 2, 2, 0))


@pytest.mark.usefixtures("workers_here")
def test_a_data_set_is_run_and_scored_by_one_command_or_call(
    davis: Path, command: Command, tmp_path: Path
) -> None:
    ended = command("run", "davis", davis, "-o", "line", "--workers", 1, "--json", "line.json", "-q")
    assert ended.code == 0, ended.err
    scores = json.loads((tmp_path / "line.json").read_text())["global"]
    again = command("eval", "davis", "line", "--data", davis, "--json", "again.json")
    assert again.code == 0, again.err
    assert scores == json.loads((tmp_path / "again.json").read_text())["global"]
    done = segue.run("davis", davis, output=tmp_path / "out", workers=1)
    assert (done.failed, done.results) == (0, tmp_path / "out")
    assert done.evaluation is not None
    assert dict(done.evaluation.overall) == pytest.approx(scores)
    for name in ("masks/00002.png", "job.json"):
        assert (tmp_path / "out/clip" / name).read_bytes() == (tmp_path / "line/clip" / name).read_bytes()
    assert command("run", "davis", davis, "-o", "line", "--workers", 1, "--resume", "-q").code == 0


def test_wrong_calls_of_run_say_what_is_wrong(davis: Path, tmp_path: Path) -> None:
    for wrong, kind, message in (
        ({"model": torch.nn.Linear(1, 1)}, ArgumentError, "model: Linear"),
        ({"model": "mog2"}, CheckpointError, "mog2"),
        ({"options": {"mem_every": "often"}}, ArgumentError, "mem_every is 'often'"),
        ({"options": {"memory": 3}}, ArgumentError, "memory: "),
        ({"weights": "none.safetensors"}, CheckpointError, "none.safetensors"),
        ({"dataset": "imagenet"}, DatasetError, "imagenet"),
    ):
        call = {"dataset": "davis", "data": davis, "output": tmp_path / "out"} | wrong
        with pytest.raises(kind, match=message):
            segue.run(**call)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("workers_here")
def test_composites_of_hofam_are_run_with_their_own_flow(command: Command, tmp_path: Path) -> None:
    root = save_composites(tmp_path / "demo")
    torch.manual_seed(0)
    network = HOFAM(1)
    video = next(iter(open_hofam(root)))
    given = [
        tuple(torch.from_numpy(x).movedim(-1, 0)[None] / 255 for x in (video.read_image(i), read_flow(path)))
        for i, path in enumerate(video.frames)
    ]
    with torch.no_grad():  # so that the threshold lies in the middle of what it says
        logits = torch.cat([network.eval()(*images) for images in given])
        bias = network.get_parameter(f"dec.{LEVELS}.deconv.bias")
        bias += math.log(15 / 240) - logits.median()
    options = {"options": json.dumps(network.options)}
    write_checkpoint(tmp_path / "hofam.safetensors", network.state_dict(), options)
    ordered = ("run", "hofam", root, "--weights", tmp_path / "hofam.safetensors", "-o", "out")

    ended = command(*ordered, "--workers", 1, "--json", "scores.json", "-q", "--device", "cpu")

    assert ended.code == 0, ended.err
    found = [read_stored_mask(path, path.name) for path in sorted((tmp_path / "out/demo").rglob("bin*.png"))]
    wanted = [(network.probability(*images)[0, 0] >= 15 / 255).numpy() for images in given]
    assert ((np.stack(found) > 0) != np.stack(wanted)).mean() < 1e-4  # rounding at the threshold
    assert 0 < np.stack(wanted).mean() < 1
    assert json.loads((tmp_path / "scores.json").read_text())["global"]["Mean Dice"] > 0
    assert "Mean Dice" in command("eval", "hofam", "out", "--data", root).out


@pytest.mark.parametrize(("names", "fits"), [(YOUTUBE_VIS_2019, True), (YOUTUBE_VIS_2021, False)])
def test_class_numbers_must_mean_the_same(
    names: dict[int, str], fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = Request(data=save_ytvis(tmp_path / "vis", names, length=1), dataset="ytvis", subset="train")
    network = lively_instances()
    network.class_names = {1: "person", 2: "Giant-Panda"}
    monkeypatch.setattr(loading, "load_for", lambda *_: network)
    if fits:
        check_classes(request, Model(name="seqformer-r50"))
        return
    with pytest.raises(
        DatasetError, match=r"seqformer-r50 has other classes than .*: 1 is person, not airplane"
    ):
        check_classes(request, Model(name="seqformer-r50"))


@pytest.mark.usefixtures("workers_here")
def test_youtube_vis_is_run_by_its_published_inference(command: Command, tmp_path: Path) -> None:
    root = save_ytvis(tmp_path / "vis", COCO_NAMES, length=2)
    network = lively_instances()
    write_checkpoint(tmp_path / "lite.safetensors", network.state_dict(), {})
    ordered = (
        "run",
        "ytvis",
        root,
        "--set",
        "train",
        "--weights",
        tmp_path / "lite.safetensors",
        "-o",
        "out",
    )
    quickly = ("--short-side", 48, "--device", "cpu")

    ended = command(*ordered, *quickly, "--workers", 1, "--json", "scores.json")

    assert ended.code == 0, ended.err
    assert "results: out/results.json" in ended.err
    dataset = YTVISDataset.open(root, "train")
    results = read_results(tmp_path / "out" / "results.json", dataset)
    assert set(results) == {video.id for video in dataset}
    video = dataset.videos[1]
    images = [dataset.read_image(video, t) for t in range(len(video))]
    expected = whole_clip(network, images, video.size, short_side=48, device="cpu")
    assert sorted(found.score for found in results[video.id]) == pytest.approx(
        sorted(record["score"] for record in expected), abs=1e-4
    )
    scores = json.loads((tmp_path / "scores.json").read_text())["global"]
    again = command("eval", "ytvis", "out/results.json", "--data", root, "--set", "train", "--json", "b.json")
    assert again.code == 0, again.err
    assert scores == json.loads((tmp_path / "b.json").read_text())["global"]
    text = (root / "train.json").read_text()
    (root / "train.json").write_text(text.replace('"annotations"', '"something"'))
    unlabelled = command(*ordered, *quickly, "--workers", 1, "--resume")
    assert unlabelled.code == 0, unlabelled.err
    assert "the official server scores them" in unlabelled.err


def test_results_are_called_after_the_frame_numbers_of_the_data_set(tmp_path: Path) -> None:
    for kind in ("input", "groundtruth"):
        (tmp_path / "set" / "v" / kind).mkdir(parents=True)
    for number in (7, 9):
        Image.fromarray(FRAMES[0]).save(tmp_path / f"set/v/input/frame{number:04d}.jpg")
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / f"set/v/groundtruth/gt{number}.png")
    request = Request(data=tmp_path / "set", dataset="foreground")

    source = Path(jobs_of(request, tmp_path)["v"].source.place)

    assert [path.name for path in sorted(source.iterdir())] == ["in000007.jpg", "in000009.jpg"]
    assert Path(source, "in000009.jpg").resolve() == (tmp_path / "set/v/input/frame0009.jpg").resolve()


def test_unknown_data_sets_are_refused_and_images_stay_where_they_are(
    command: Command, davis: Path, tmp_path: Path
) -> None:
    assert "no protocol of 'imagenet'" in command("run", "imagenet", davis, "-o", "out").complaint
    for kind in ("input", "groundtruth"):
        (tmp_path / "set" / "v" / kind).mkdir(parents=True)
    Image.fromarray(FRAMES[0]).save(tmp_path / "set/v/input/000001.jpg")
    Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / "set/v/groundtruth/000001.png")

    job = jobs_of(Request(data=tmp_path / "set", dataset="foreground"), tmp_path)["v"]

    assert job.source.place == str(tmp_path / "set/v/input")
    assert (job.roi, job.flow) == (None, None)


@pytest.mark.slow
def test_sets_with_private_annotations_are_run_but_not_scored(command: Command, tmp_path: Path) -> None:
    root = tmp_path / "valid"
    for kind in ("JPEGImages", "Annotations"):
        (root / kind / "v").mkdir(parents=True)
    for index in range(3):
        Image.fromarray(FRAMES[index]).save(root / f"JPEGImages/v/{5 * index:05d}.jpg")
    for index, number in ((0, 1), (1, 2)):  # a mask for each object where it appears
        given = np.where(MASKS[index] == number, number, 0).astype(np.uint8)
        write_index_mask(root / f"Annotations/v/{5 * index:05d}.png", given)
    names = ["00000", "00005", "00010"]
    objects = {str(i): {"category": "cat", "frames": names[i - 1 :]} for i in (1, 2)}
    (root / "meta.json").write_text(json.dumps({"videos": {"v": {"objects": objects}}}))

    ended = command("run", "ytvos", tmp_path, "--set", "valid", "-o", "out", "--workers", 1, "-q")

    assert ended.code == 0, ended.err
    assert "results: out; the official server scores them" in ended.err
    assert len(list((tmp_path / "out/v/masks").glob("*.png"))) == 3
    write_index_mask(root / "Annotations/v/00010.png", MASKS[2].astype(np.uint8))
    assert scored_here(Request(data=root, dataset="ytvos"))
