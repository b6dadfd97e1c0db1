"""Calls as somebody writes them who knows PyTorch, SAM 2 and timm, and what wrong ones say."""

from __future__ import annotations

import asyncio
import copy
import itertools
import pickle
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import segue
from segue.api import Results
from segue.errors import ArgumentError, PromptError, SegueError, SourceError
from segue.masks import write_index_mask
from segue.masks.rle import encode_rle
from segue.models.stcn import STCNLite
from segue.prompt_inputs.values import PromptWarning
from segue.prompt_types import BoxPrompt, MaskPrompt
from segue.types import Segmentation
from segue.video.sources.images import write_image
from tests.clips import clip
from tests.lite import lively_lite

COUNT = 4
FRAMES, MASKS = clip(5, COUNT, 48, 64, 2)
IMAGES = list(FRAMES)
FIRST = MASKS[0]
SECOND = Image.fromarray(((FIRST == 2) * 255).astype(np.uint8))
BOX = (8, 8, 40, 40)


@pytest.fixture(scope="module")
def lite() -> STCNLite:
    return lively_lite()


@pytest.fixture(scope="module")
def expected(lite: STCNLite) -> list[Segmentation]:
    return list(segue.track(IMAGES, {0: FIRST}, model=lite, device="cpu"))


def tracked(lite: STCNLite, *given: Any, **marks: Any) -> list[Segmentation]:
    """What prompts of the first frame mean there."""
    return list(segue.track(IMAGES[:1], *given, model=lite, device="cpu", **marks))


def test_points_of_the_first_frame_are_a_prompt(lite: STCNLite) -> None:
    pointed = tracked(lite, {0: segue.PointPrompt(1, ((20, 20),), ((5, 40),))})
    boxed = tracked(lite, {0: [segue.BoxPrompt(1, BOX), segue.PointPrompt(1, ((20, 20),))]})
    for points in ((20, 20), [(20, 20)], np.array([[20, 20]]), torch.tensor([20, 20])):
        assert same(tracked(lite, points=points, negative=[(5, 40)]), pointed), type(points)
        assert same(tracked(lite, box=BOX, points=points), boxed), type(points)


SQUARE = [(8, 8), (40, 8), (40, 40), (8, 40)]
SQUARE_MASK = np.zeros(FIRST.shape, np.uint8)
SQUARE_MASK[8:40, 8:40] = 1


@pytest.mark.parametrize(
    "masks",
    [
        {1: FIRST == 1, 2: FIRST == 2},
        {1: FIRST == 1, 2: SECOND},
        {1: torch.from_numpy(FIRST == 1), 2: encode_rle(FIRST == 2)},
        np.stack([FIRST == 1, FIRST == 2])[:, None],
        torch.from_numpy(np.stack([FIRST == 1, FIRST == 2])),
        [FIRST == 1, FIRST == 2],
        FIRST,
    ],
)
def test_masks_of_objects_by_id(lite: STCNLite, masks: Any, expected: list[Segmentation]) -> None:
    assert same(tracked(lite, masks=masks), expected[:1])


@pytest.fixture(scope="module")
def squared(lite: STCNLite) -> list[Segmentation]:
    return tracked(lite, SQUARE_MASK)


@pytest.mark.parametrize(
    "polygon",
    [
        SQUARE,
        np.array(SQUARE, float),
        np.array(SQUARE),
        np.array(SQUARE, np.int32)[:, None],
        [[8, 8, 40, 8, 40, 40, 8, 40]],
    ],
)
def test_a_polygon_is_a_mask(lite: STCNLite, polygon: Any, squared: list[Segmentation]) -> None:
    assert same(tracked(lite, masks={1: polygon}), squared)


@pytest.fixture(scope="module")
def boxed(lite: STCNLite) -> list[Segmentation]:
    return tracked(lite, [segue.BoxPrompt(1, BOX), segue.BoxPrompt(2, (0, 0, 9, 9))])


@pytest.mark.parametrize(
    "boxes", [{1: BOX, 2: (0, 0, 9, 9)}, np.array([BOX, (0, 0, 9, 9)]), [BOX, (0, 0, 9, 9)]]
)
def test_boxes_of_objects_by_id(lite: STCNLite, boxes: Any, boxed: list[Segmentation]) -> None:
    assert same(tracked(lite, boxes=boxes), boxed)


def test_points_have_labels_as_in_sam_2(lite: STCNLite) -> None:
    points = np.array([[20, 20], [5, 40]], np.float32)
    wanted = tracked(lite, points=[(20, 20)], negative=[(5, 40)])
    assert same(tracked(lite, points=points, labels=np.array([1, 0], np.int32)), wanted)
    for labels in ([1], [0, 0], [1, 2]):
        with pytest.raises(PromptError):
            tracked(lite, points=points, labels=labels)
    with pytest.raises(PromptError):
        tracked(lite, points=points, labels=[1, 0], negative=(1, 1))


def test_an_earlier_result_is_a_prompt(lite: STCNLite) -> None:
    result = Segmentation(7, 0.3, FIRST, (segue.ObjectInfo(1, "dog", 1.0), segue.ObjectInfo(2, "ball", 1.0)))
    found, plain = (
        list(segue.track(IMAGES[:2], given, model=lite, device="cpu")) for given in (result, FIRST)
    )
    assert [item.label for item in found[0].objects] == ["dog", "ball"]
    assert np.array_equal(found[1].mask, plain[1].mask)


def test_detections_of_supervision_are_prompts(lite: STCNLite) -> None:
    detections = SimpleNamespace(
        xyxy=np.array([BOX], np.float32),
        mask=None,
        class_id=np.array([3]),
        tracker_id=np.array([5]),
        confidence=None,
        data={"class_name": np.array(["dog"])},
    )
    assert same(tracked(lite, detections), tracked(lite, segue.BoxPrompt(5, BOX, label="dog")))
    detections.mask = (FIRST == 1)[None]
    assert same(tracked(lite, detections), tracked(lite, MaskPrompt(5, FIRST == 1, label="dog")))


def test_masks_by_id_are_not_taken_for_masks_by_frame(lite: STCNLite) -> None:
    with pytest.raises(PromptError):
        segue.track(IMAGES, {1: FIRST == 1, 2: FIRST == 2}, model=lite)
    later = {1: [MaskPrompt(1, FIRST == 1)], 2: [MaskPrompt(2, FIRST == 2)]}
    found = list(segue.track(IMAGES[:3], later, model=lite, device="cpu"))
    assert [len(result.objects) for result in found] == [0, 1, 2]


def same(one: list[Segmentation], other: list[Segmentation]) -> bool:
    return len(one) == len(other) and all(a == b for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "mask",
    [
        FIRST,
        FIRST.astype(np.int64),
        torch.from_numpy(FIRST),
        Image.fromarray(FIRST),
        {0: torch.from_numpy(FIRST)},
        np.stack([FIRST == 1, FIRST == 2]),
        torch.from_numpy(np.stack([FIRST == 1, FIRST == 2])),
        {
            0: [
                MaskPrompt(1, FIRST == 1),
                MaskPrompt(2, SECOND),
            ]
        },
        {0: [MaskPrompt(1, FIRST == 1), MaskPrompt(2, FIRST == 2)]},
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_mask_of_the_first_frame_is_enough(
    mask: object, lite: STCNLite, expected: list[Segmentation]
) -> None:
    assert same(list(segue.track(IMAGES[:2], mask, model=lite, device="cpu")), expected[:2])


def test_one_pil_image_is_a_source(lite: STCNLite, expected: list[Segmentation]) -> None:
    (result,) = segue.track(Image.fromarray(IMAGES[0]), FIRST, model=lite, device="cpu")
    assert result == expected[0]


def test_several_boxes_are_several_objects(lite: STCNLite) -> None:
    boxes = [BoxPrompt(1, (2, 2, 30, 30)), BoxPrompt(2, np.array([32, 4, 60, 40]))]  # type: ignore[arg-type]
    (result,) = segue.track(IMAGES[:1], boxes, model=lite, device="cpu")
    assert result.ids == (1, 2)


def test_a_mask_of_0_and_255_is_one_object(lite: STCNLite) -> None:
    binary = np.asarray((FIRST == 1) * 255, np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error", PromptWarning)
        found = list(segue.track(IMAGES[:2], binary, model=lite, device="cpu"))
    assert same(found, list(segue.track(IMAGES[:2], FIRST == 1, model=lite, device="cpu")))


def test_a_warning_is_at_the_line_of_the_caller(lite: STCNLite) -> None:
    soft = cv2.GaussianBlur(np.asarray((FIRST == 1) * 255, np.uint8), (0, 0), 1)
    with pytest.warns(PromptWarning) as told:
        segue.track(IMAGES[:2], soft, model=lite, device="cpu").close()
    assert told[0].filename == __file__


def test_results_end_from_another_thread(lite: STCNLite) -> None:
    for end, raised in (("close", nullcontext()), ("cancel", pytest.raises(segue.jobs.RunCancelledError))):
        results = segue.track(itertools.cycle(IMAGES), FIRST, model=lite, device="cpu")
        taken = []
        with raised:
            for result in results:
                taken.append(result)
                if len(taken) == 3:
                    helper = threading.Thread(target=getattr(results, end))
                    helper.start()
                    helper.join()
        assert len(taken) == 3


def test_saving_is_cancelled_with_an_error_that_a_server_can_catch(lite: STCNLite, tmp_path: Path) -> None:
    def tell(done: int, total: int | None) -> None:
        if done == 3:
            results.cancel()

    results = segue.track(IMAGES, FIRST, model=lite, device="cpu", progress=tell)

    async def serve() -> str:
        try:
            await asyncio.to_thread(results.save, tmp_path / "out")
        except segue.jobs.RunCancelledError as error:
            return str(error)
        return ""

    assert asyncio.run(serve())
    assert len(list((tmp_path / "out").rglob("*.png"))) == 3


def test_an_object_may_have_the_id_255(lite: STCNLite) -> None:
    for said in ([MaskPrompt(255, FIRST == 1)], np.where(FIRST == 1, 255, FIRST)):
        with warnings.catch_warnings():
            warnings.simplefilter("error", PromptWarning)
            result = next(segue.track(IMAGES, {0: said}, model=lite, device="cpu"))
        assert 255 in result.ids


def test_a_session_takes_a_name_and_images() -> None:
    session = segue.TrackSession("stcn-lite", device="cpu")
    found = [session.step(FRAMES[0], FIRST), session.step(torch.from_numpy(FRAMES[1]))]
    found.append(session.step(Image.fromarray(FRAMES[2])))
    assert same(found, list(segue.track(IMAGES[:3], FIRST, device="cpu")))
    assert [(result.index, result.time) for result in found] == [(0, 0.0), (1, 0.04), (2, 0.08)]


@pytest.mark.parametrize("make", [segue.ForegroundSession, segue.InstanceSession])
def test_other_sessions_take_names_and_images_too(make: Any) -> None:
    name = "mustan-lite" if make is segue.ForegroundSession else "msstsvis-lite"
    session = make(name, device="cpu")
    given = [result for image in IMAGES if (result := session.step(image)) is not None]
    results = [*given, *session.finish()]
    assert [result.index for result in results] == list(range(COUNT))


def test_the_empty_scene_and_the_region_are_files_arrays_tensors_or_pil(tmp_path: Path) -> None:
    empty, region = IMAGES[0], np.asarray((FIRST > 0) * 255, np.uint8)
    write_image(tmp_path / "empty.png", empty)
    write_index_mask(tmp_path / "roi.png", region)
    options = {"model": "median", "short_side": 0, "without": ["align"]}
    scenes = [empty, torch.from_numpy(empty), Image.fromarray(empty), tmp_path / "empty.png"]
    regions = [region, torch.from_numpy(region), Image.fromarray(region), str(tmp_path / "roi.png")]
    runs = [
        list(segue.foreground(IMAGES, scene=scene, roi=roi, **options))
        for scene, roi in zip(scenes, regions, strict=True)
    ]
    assert all(same(run, runs[0]) for run in runs)
    assert any(result.mask.any() for result in runs[0])


def results_of_all(lite: STCNLite) -> Iterator[Results[Any]]:
    yield segue.track(IMAGES, FIRST, model=lite, device="cpu")
    yield segue.track(IMAGES, segue.Auto("motion"), model=lite, device="cpu")
    yield segue.foreground(IMAGES, model="median")
    yield segue.instances(IMAGES, model="msstsvis-lite", device="cpu")


def test_every_function_gives_the_same_kind_of_result(lite: STCNLite, tmp_path: Path) -> None:
    for number, results in enumerate(results_of_all(lite)):
        assert isinstance(results, Results)
        assert isinstance(results.session.lag, int)
        paths = results.save(tmp_path / str(number), formats=["png", "overlay"])
        assert len(list(paths["png"].glob("*.png"))) == COUNT
        assert len(list(segue.open_source(paths["overlay"]))) == COUNT


def test_results_can_be_gone_through_once(lite: STCNLite) -> None:
    for results in results_of_all(lite):
        assert len(list(results)) == COUNT
        with pytest.raises(SegueError):
            list(results)


def test_unfinished_results_cannot_be_copied_or_pickled_and_stay_usable(lite: STCNLite) -> None:
    results = segue.track(IMAGES, FIRST, model=lite, device="cpu")
    for duplicate in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(SegueError):
            duplicate(results)
    first = next(results)
    assert np.array_equal(pickle.loads(pickle.dumps(first)).mask, first.mask)
    assert len(list(results)) == COUNT - 1


def test_saving_what_is_used_up_is_an_error(lite: STCNLite, tmp_path: Path) -> None:
    results = segue.track(IMAGES, FIRST, model=lite, device="cpu")
    list(results)
    with pytest.raises(SegueError):
        results.save(tmp_path)
    with pytest.raises(SegueError):
        segue.save(results, tmp_path)


def test_a_block_and_dropping_close_the_source(lite: STCNLite) -> None:
    for end in ("with", "drop"):
        source = segue.open_source(IMAGES)
        under_way = iter(source)
        next(under_way)
        results = segue.track(source, FIRST, model=lite, device="cpu")
        if end == "with":
            with results:
                next(results)
            assert list(under_way) == [], "a source that is closed ends what is under way"
            with pytest.raises(SegueError):
                iter(results)
        else:
            next(results)
            del results  # no cycle keeps it: it is closed at once
            assert list(under_way) == []


def test_a_list_of_files_is_a_source(lite: STCNLite, expected: list[Segmentation], tmp_path: Path) -> None:
    for number, image in enumerate(IMAGES):
        write_image(tmp_path / f"{number}.png", image)
    files = [tmp_path / f"{number}.png" for number in range(COUNT)]
    for source in (files, tuple(map(str, files))):
        assert same(list(segue.track(source, FIRST, model=lite, device="cpu")), expected)


def test_a_prompter_takes_images_points_and_masks_in_any_form() -> None:
    prompter, inside = segue.Prompter(segue.Frame(0, 0.0, IMAGES[0]), device="cpu"), FIRST == 1
    wanted, better = prompter(points=[(20, 20)]).planes, prompter(mask=inside).planes
    for points in ((20, 20), np.array([[20, 20]]), torch.tensor([[20, 20]])):
        assert np.array_equal(prompter(points=points).planes, wanted)
    for mask in (inside * np.uint8(255), inside.astype(np.float32), torch.from_numpy(inside)):
        assert np.array_equal(prompter(mask=mask).planes, better)
    for image in (IMAGES[0], torch.from_numpy(IMAGES[0]), Image.fromarray(IMAGES[0])):
        assert np.array_equal(segue.Prompter(image, device="cpu")(points=[(20, 20)]).planes, wanted)


def prompter_of_the_first() -> segue.Prompter:
    return segue.Prompter(IMAGES[0], device="cpu")


FLOATS = FRAMES.astype(np.float32) / 255
CHANNELS_FIRST = torch.from_numpy(FRAMES).permute(0, 3, 1, 2)

WRONG: dict[str, tuple[Callable[[], Any], type[SegueError], str]] = {
    "nothing to follow": (lambda: segue.track(IMAGES), PromptError, "say what to follow"),
    "no source": (lambda: segue.track(None, FIRST), SourceError, "source"),
    "a number as text": (lambda: segue.Video(IMAGES).add(0, text=5), ArgumentError, "text: int"),  # type: ignore[arg-type]
    "a number as schedule": (
        lambda: segue.Video(IMAGES, schedule=5),  # type: ignore[arg-type]
        ArgumentError,
        r"schedule: int; give a segue\.models\.base\.Schedule",
    ),
    "true as a frame": (lambda: segue.Video(IMAGES).add(True, FIRST), SourceError, "frame: bool"),
    "floats": (lambda: segue.track(FLOATS, FIRST), SourceError, "frame 0"),
    "images of 16 bits": (
        lambda: segue.track(FRAMES.astype(np.uint16) * 257, FIRST),
        SourceError,
        r"frame 0: expected uint8, not uint16; scale to 0\.\.255",
    ),
    "channels first": (
        lambda: segue.track(CHANNELS_FIRST, FIRST),
        SourceError,
        r"\(3, 48, 64\)",
    ),
    "one image": (
        lambda: segue.track(IMAGES[0], FIRST),
        SourceError,
        r"uint8 array of shape \(48, 64, 3\)",
    ),
    "probabilities": (
        lambda: segue.track(IMAGES, FIRST / 2.0),
        PromptError,
        r"prompts",
    ),
    "colour mask": (
        lambda: segue.track(IMAGES, {0: IMAGES[0]}),
        PromptError,
        r"prompts\[0\]",
    ),
    "mask of another size": (
        lambda: list(segue.track(IMAGES, FIRST[:20])),
        PromptError,
        "the mask",
    ),
    "list of lists": (
        lambda: segue.track(IMAGES, FIRST.tolist()),
        PromptError,
        r"prompts: list of 48",
    ),
    "three numbers": (lambda: segue.track(IMAGES, {0: (1, 2, 3)}), PromptError, r"prompts\[0\]"),
    "box without an id": (lambda: segue.track(IMAGES, {0: BOX}), PromptError, r"prompts\[0\].*BoxPrompt"),
    "box of text": (lambda: segue.track(IMAGES, box="1,2,3,4"), PromptError, "box"),
    "box and mask": (
        lambda: segue.track(IMAGES, FIRST, box=BOX),
        PromptError,
        "give prompts, or box",
    ),
    "points and mask": (
        lambda: segue.track(IMAGES, FIRST, points=(9, 9)),
        PromptError,
        "give prompts, or box",
    ),
    "points of text": (lambda: segue.track(IMAGES, points="9,9"), PromptError, r"points"),
    "three coordinates": (
        lambda: segue.track(IMAGES, points=[(1, 2, 3)]),
        PromptError,
        "points",
    ),
    "no points": (lambda: segue.track(IMAGES, points=[]), PromptError, "points"),
    "points without a place": (
        lambda: list(segue.track(IMAGES, points=(float("nan"), 9))),
        PromptError,
        "must be a finite number",
    ),
    "negative points alone": (
        lambda: segue.track(IMAGES, negative=[(9, 9)]),
        PromptError,
        "negative",
    ),
    "points where objects are found": (
        lambda: segue.track(IMAGES, segue.Auto(), points=(9, 9)),
        ArgumentError,
        "points goes with prompts",
    ),
    "frame by name": (
        lambda: segue.track(IMAGES, {"first": FIRST}),
        PromptError,
        r"frame is 'first', but must be a valid integer",
    ),
    "objects by their names": (
        lambda: segue.track(IMAGES, {0: {"fish": FIRST == 1}}),
        PromptError,
        r"prompts\[0\]: the key 'fish' is no id",
    ),
    "model of another kind": (
        lambda: segue.track(IMAGES, FIRST, model=torch.nn.Linear(2, 2)),
        ArgumentError,
        "model",
    ),
    "number for a model": (
        lambda: segue.foreground(IMAGES, model=3),
        ArgumentError,
        "model",
    ),
    "class for a network": (
        lambda: segue.instances(IMAGES, model=STCNLite),
        ArgumentError,
        "model",
    ),
    "weights of a number": (
        lambda: segue.track(IMAGES, FIRST, mem_every="often"),
        ArgumentError,
        "mem_every",
    ),
    "device": (lambda: segue.track(IMAGES, FIRST, device="gpu"), ArgumentError, "device 'gpu'"),
    "device of a number": (
        lambda: segue.track(IMAGES, FIRST, device=1.5),
        ArgumentError,
        "device '1.5'",
    ),
    "required": (
        lambda: segue.track(IMAGES, FIRST, required=3),
        ArgumentError,
        "required",
    ),
    "prompter": (lambda: segue.track(IMAGES, FIRST, prompter=3), ArgumentError, "prompter"),
    "prompter of no such name": (
        lambda: segue.track(IMAGES, FIRST, prompter="x"),
        PromptError,
        "prompter 'x'",
    ),
    "progress": (
        lambda: segue.track(IMAGES, FIRST, progress=True),
        ArgumentError,
        "progress",
    ),
    "threshold": (lambda: segue.foreground(IMAGES, threshold="half"), ArgumentError, "threshold"),
    "region": (
        lambda: segue.foreground(IMAGES, roi=IMAGES[0]),
        ArgumentError,
        r"roi",
    ),
    "region in a list": (lambda: segue.foreground(IMAGES, roi=[1, 2]), ArgumentError, "roi"),
    "scene": (
        lambda: segue.foreground(IMAGES, scene=3),
        SourceError,
        "scene",
    ),
    "no scene": (lambda: segue.foreground(IMAGES, scene="no.png"), SourceError, "no.png"),
    "negative area": (
        lambda: segue.foreground(IMAGES, min_area=-1),
        ArgumentError,
        "min_area",
    ),
    "rate": (lambda: segue.foreground(IMAGES, fps="fast"), ArgumentError, "fps"),
    "depth": (lambda: segue.foreground(IMAGES, depth=3), ArgumentError, "depth"),
    "score": (
        lambda: segue.instances(IMAGES, model="msstsvis-lite", score=3.0),
        ArgumentError,
        "score",
    ),
    "classes": (
        lambda: segue.instances(IMAGES, classes=3),
        ArgumentError,
        "classes",
    ),
    "names": (lambda: segue.instances(IMAGES, names=3), ArgumentError, "names"),
    "results of nothing": (lambda: segue.save(None, "out"), ArgumentError, "results"),
    "results of arrays": (
        lambda: segue.save([FIRST], "out"),
        ArgumentError,
        "results",
    ),
    "format of a number": (
        lambda: segue.save([], "out", formats=3),
        ArgumentError,
        "formats",
    ),
    "session of a number": (lambda: segue.TrackSession(3), ArgumentError, "model"),
    "frame of text": (
        lambda: segue.TrackSession("stcn-lite").step("a.png"),
        SourceError,
        "frame",
    ),
    "detector": (lambda: segue.Auto(3), ArgumentError, "detector"),
    "every": (
        lambda: segue.Auto(every="often"),
        ArgumentError,
        "every",
    ),
    "max_size": (lambda: segue.open_source(IMAGES, max_size="small"), SourceError, "max_size"),
    "start": (lambda: segue.open_source(IMAGES, start=[1]), SourceError, "start"),
    "entry": (lambda: segue.register("blobs"), ArgumentError, "entry"),
    "mask in bfloat16": (
        lambda: segue.track(IMAGES, torch.from_numpy(FIRST).bfloat16()),
        PromptError,
        r"prompts",
    ),
    "probabilities of one object": (
        lambda: segue.track(IMAGES, MaskPrompt(1, FIRST / 2.0)),
        PromptError,
        r"prompts",
    ),
    "a mask and a number in a list": (
        lambda: segue.track(IMAGES, [FIRST == 1, 2]),
        PromptError,
        r"prompts: list of 2",
    ),
    "id and box exchanged": (
        lambda: segue.track(IMAGES, BoxPrompt(BOX, 1)),  # type: ignore[arg-type]
        PromptError,
        r"box",
    ),
    "point of three numbers": (
        lambda: segue.track(IMAGES, segue.PointPrompt(1, ((1, 2, 3),))),  # type: ignore[arg-type]
        PromptError,
        r"PointPrompt\(1, ...\)",
    ),
    "negative frame": (
        lambda: segue.track(IMAGES, {-1: FIRST}),
        PromptError,
        r"^prompts\[0\]: frame is -1, but must be at least 0$",
    ),
    "removal of nothing": (
        lambda: list(segue.track(IMAGES, {0: segue.RemovePrompt(1)}, device="cpu")),
        PromptError,
        "cannot remove object 1",
    ),
    "empty text": (lambda: segue.track("", FIRST), SourceError, "source"),
    "file that is missing": (
        lambda: list(segue.track(["a.png"], FIRST)),
        SourceError,
        "a.png",
    ),
    "weights of a network": (
        lambda: segue.track(IMAGES, FIRST, model=lively_lite(), weights="a.pth"),
        ArgumentError,
        "weights",
    ),
    "file for a name": (
        lambda: segue.load("best.pth"),
        SegueError,
        "no network",
    ),
    "settings without names": (
        lambda: segue.track(IMAGES, FIRST, settings=[1]),  # type: ignore[arg-type]
        ArgumentError,
        "settings",
    ),
    "positions of text": (
        lambda: segue.track(IMAGES, FIRST, top_k="all"),  # type: ignore[arg-type]
        ArgumentError,
        "top_k",
    ),
    "state of nothing": (
        lambda: segue.TrackSession("stcn-lite", device="cpu").restore({}),  # type: ignore[arg-type]
        ArgumentError,
        r"state",
    ),
    "state of another session": (
        lambda: segue.TrackSession("stcn-lite", device="cpu").restore(
            segue.ForegroundSession("median").state()
        ),
        SegueError,
        "of another kind of session",
    ),
    "prompter of a path": (lambda: segue.Prompter("a.png"), SourceError, "image"),
    "prompter of floats": (lambda: segue.Prompter(FLOATS[0]), SourceError, "image"),
    "stroke without points": (
        lambda: prompter_of_the_first()(scribble=[(5, 5), (9, 9)]),  # type: ignore[list-item]
        PromptError,
        "scribble",
    ),
    "mask of large numbers": (
        lambda: prompter_of_the_first()(mask=FIRST * 255.0),
        PromptError,
        r"mask",
    ),
    "load": (lambda: segue.load(3), SegueError, "network"),
}


@pytest.mark.parametrize("case", WRONG)
def test_an_error_names_the_argument_its_type_and_what_is_expected(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call, kind, message = WRONG[case]
    with pytest.raises(kind, match=message):
        call()


def test_a_second_thread_on_the_same_results_gets_a_sentence(lite: STCNLite) -> None:
    taken, finished = threading.Event(), threading.Event()

    def frames() -> Iterator[np.ndarray]:
        yield IMAGES[0]
        taken.set()
        finished.wait(10)
        yield IMAGES[1]

    results = segue.track(frames(), {0: FIRST}, model=lite, device="cpu")
    seen: list[Segmentation] = []
    first = threading.Thread(target=lambda: seen.extend(results))
    first.start()
    assert taken.wait(10)
    with pytest.raises(SegueError, match="another thread takes them"):
        next(results)
    finished.set()
    first.join()
    assert [result.index for result in seen] == [0, 1]


def test_results_have_a_length_where_the_frames_are_counted(lite: STCNLite) -> None:
    results = segue.track(IMAGES[:3], {0: FIRST}, model=lite, device="cpu")
    assert len(results) == 3
    assert len(list(results)) == 3
    assert len(segue.open_source(IMAGES)) == COUNT
    unknown = segue.track(iter(IMAGES[:2]), {0: FIRST}, model=lite, device="cpu")
    with pytest.raises(TypeError, match="not known"):
        len(unknown)
    assert unknown
    assert len(list(unknown)) == 2


def test_results_are_a_table_of_pandas(lite: STCNLite, monkeypatch: pytest.MonkeyPatch) -> None:
    class DataFrame:
        def __init__(self, rows: list[Any], columns: tuple[str, ...]) -> None:
            self.rows = [dict(zip(columns, row, strict=True)) for row in rows]

    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=DataFrame))
    table = segue.track(IMAGES[:2], {0: FIRST}, model=lite, device="cpu").to_pandas()
    first = table.rows[0]
    assert (first["frame"], first["id"], first["area"]) == (0, 1, int((FIRST == 1).sum()))
    assert first["x1"] > first["x0"]
    results = list(segue.track(IMAGES[:2], {0: FIRST}, model=lite, device="cpu"))
    assert results[0].to_df().rows == [row for row in table.rows if row["frame"] == 0]
    assert segue.track(IMAGES[:2], {0: FIRST}, model=lite, device="cpu").to_df().rows == table.rows
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(SegueError, match="pip install pandas"):
        segue.track(IMAGES[:2], {0: FIRST}, model=lite, device="cpu").to_pandas()
