"""Masks of one call that overlap stay whole in results and memory; their order decides what is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import segue
from segue.masks import encode_rle
from segue.masks.measure import iou
from segue.models.edgetam import EdgeTAM
from segue.models.sam2 import SAM2Schedule
from segue.prompt_types import MaskPrompt
from segue.prompts import resolve_prompts
from segue.sessions import TrackSession
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray
from tests.cli.running import command_in
from tests.clips import clip
from tests.lite import lively_lite

FRAMES, _ = clip(5, 4, 96, 128, 2)
SIZE = FRAMES.shape[1:3]
SIDE = 64


def square(x0: int, y0: int, x1: int, y1: int) -> BoolArray:
    mask = np.zeros(SIZE, np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


BIG, EDGE, INNER = square(20, 20, 80, 70), square(60, 10, 110, 60), square(30, 30, 50, 50)
WHOLE = {1: BIG, 2: EDGE, 3: INNER}
ORDERS = ((2, 3, 1), (1, 2, 3))
"""In the first one object 3 is not visible."""

MEMORY_NETWORKS = ("lite", "stcn", "stm", "xmem", "cutie")


@pytest.fixture(scope="module")
def network(request: pytest.FixtureRequest) -> Callable[[str], Any]:
    def make(name: str) -> Any:
        return {"lite": lively_lite, "edgetam": EdgeTAM}.get(
            name, lambda: request.getfixturevalue(f"{name}_network")
        )()

    return make


def follow(network: Any, order: tuple[int, ...], **options: Any) -> list[Segmentation]:
    schedule = SAM2Schedule(short_side=SIDE) if options.pop("square", False) else None
    session = TrackSession(network, schedule, device="cpu", **options)
    first = session.step(FRAMES[0], masks={i: WHOLE[i] for i in order})
    return [first, *(session.step(image) for image in FRAMES[1:])]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("lite", "stcn", "sam2") else [pytest.mark.slow])
        for name in (*MEMORY_NETWORKS, "sam2", "edgetam")
    ],
)
def test_the_order_of_masks_decides_only_what_is_shown(name: str, network: Callable[[str], Any]) -> None:
    made = network(name)
    runs = [follow(made, order, square=name in ("sam2", "edgetam")) for order in ORDERS]
    for first, *_ in runs:
        assert first.ids == (1, 2, 3)
        for plane, expected in zip(first.masks, WHOLE.values(), strict=True):
            # SAM 2 shows its own small mask of an object that nothing hides.
            assert iou(plane, expected) > (0.9999 if name in MEMORY_NETWORKS else 0.7)
    if name in MEMORY_NETWORKS:
        shown = [run[0].mask for run in runs]
        assert not (shown[0] == 3).any()
        assert np.array_equal(shown[0] == 1, BIG)
        assert np.array_equal(shown[1] == 3, INNER)
    for one, other in zip(runs[0][1:], runs[1][1:], strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert np.array_equal(one.logits, other.logits)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("lite", "cutie") else [pytest.mark.slow])
        for name in MEMORY_NETWORKS
    ],
)
def test_the_memory_takes_whole_masks_as_if_each_were_in_front(
    name: str, network: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = network(name)
    taken: list[tuple[Any, Any]] = []
    encode = type(made).encode_memory

    def spy(self: Any, query: Any, masks: Any, total: Any, *arguments: Any, **options: Any) -> Any:
        taken.append((masks.clone(), total.clone()))
        return encode(self, query, masks, total, *arguments, **options)

    monkeypatch.setattr(type(made), "encode_memory", spy)
    session = TrackSession(made, device="cpu")
    session.step(FRAMES[0], masks={i: WHOLE[i] for i in ORDERS[0]})
    [(masks, total)] = taken
    expected = [*WHOLE.values()]
    assert np.array_equal(masks > 0.5, expected)
    others = [np.any([plane for plane in expected if plane is not own], 0) & ~own for own in expected]
    assert np.array_equal(total - masks > 0.5, others)


def test_whole_masks_are_mirrored_with_the_image(network: Callable[[str], Any]) -> None:
    made = network("stcn")
    schedule = replace(made.schedule, flip_tta=True)
    runs = []
    for order in ORDERS:
        session = TrackSession(made, schedule, device="cpu")
        session.step(FRAMES[0], masks={i: WHOLE[i] for i in order})
        runs.append(session.step(FRAMES[1]))
    assert np.array_equal(runs[0].logits, runs[1].logits)


@pytest.mark.filterwarnings("ignore::segue.flow.crowd.CrowdWarning")
def test_small_objects_of_a_crowd_may_lie_behind_others(network: Callable[[str], Any]) -> None:
    places = [square(x, y, x + 5, y + 5) for y in range(0, 90, 8) for x in range(0, 120, 10)]
    behind = places[1].copy()
    behind[0] = False
    session = TrackSession(network("lite"), device="cpu")
    first = session.step(FRAMES[0], masks={200: behind, **dict(enumerate(places, 1))})
    assert np.array_equal(first.masks[-1], behind)
    assert not (first.mask == 200).any()
    assert 200 in session.step(FRAMES[1]).ids


def test_a_reduced_image_keeps_whole_masks(network: Callable[[str], Any]) -> None:
    made = network("lite")
    session = TrackSession(made, replace(made.schedule, short_side=48), device="cpu")
    tiny = square(33, 33, 34, 34)
    first = session.step(FRAMES[0], masks={3: tiny, 1: BIG})
    assert np.array_equal(first.masks, [BIG, tiny])
    assert session.step(FRAMES[1]).ids == (1, 3)


def test_two_networks_of_corrections_see_whole_masks(network: Callable[[str], Any]) -> None:
    """A video takes the masks of one call as those of two calls."""
    made = network("lite")
    calls: tuple[list[dict[int, BoolArray]], ...] = (
        [{2: EDGE, 1: BIG}],
        [{1: BIG}, {2: EDGE}],
        [{2: EDGE}, {1: BIG}],
    )
    runs = []
    for masks in calls:
        video = segue.Video(FRAMES, model=made, device="cpu")
        for each in masks:
            added = video.add(0, masks=each)
        assert np.array_equal(added.masks, [BIG, EDGE])
        runs.append([video[0], *video.propagate()])
    for results in runs[1:]:
        for one, other in zip(results, runs[0], strict=True):
            assert one == other
            assert np.array_equal(one.masks, other.masks)


def test_a_small_overlap_is_not_cut_when_objects_share_a_session(network: Callable[[str], Any]) -> None:
    """Below five per cent, one session tracks both objects of a video."""
    made, near = network("lite"), square(79, 20, 110, 70)
    assert 0 < (BIG & near).sum() < 0.05 * near.sum()
    taken = []
    for pair in ({1: BIG, 2: near}, {1: near, 2: BIG}):
        video = segue.Video(FRAMES, model=made, device="cpu")
        added = video.add(0, masks=pair)
        assert np.array_equal(added.masks, [*pair.values()])
        taken.append([*video.propagate()])
    for one, other in zip(*taken, strict=True):
        assert np.array_equal(one.masks, other.masks[::-1])


@settings(max_examples=20, deadline=None)
@given(order=st.permutations([1, 2, 3]), removed=st.sets(st.sampled_from([1, 2, 3]), max_size=2))
def test_prompts_hold_whole_masks_and_what_is_shown(order: list[int], removed: set[int]) -> None:
    frame = Frame(0, 0.0, FRAMES[0])
    prompts = resolve_prompts(frame, [MaskPrompt(i, WHOLE[i]) for i in order]).without(removed)
    shown = np.zeros(SIZE, np.int32)
    for i in order:
        if i not in removed:
            shown[WHOLE[i]] = i
            assert np.array_equal(prompts.plane(i), WHOLE[i])
    assert np.array_equal(prompts.mask, shown)


def coco(folder: Path) -> Path:
    """A file of COCO with the overlapping objects of one image."""
    annotations = [
        {
            "id": i,
            "image_id": 1,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": dict(encode_rle(WHOLE[i])),
        }
        for i in ORDERS[0]
    ]
    (folder / "first.json").write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "0.png", "height": SIZE[0], "width": SIZE[1]}],
                "categories": [{"id": 1, "name": "thing"}],
                "annotations": annotations,
            }
        )
    )
    return folder / "first.json"


def test_a_coco_file_and_masks_of_the_command_stay_whole(tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "images").mkdir()
    for number, image in enumerate(FRAMES):
        Image.fromarray(image).save(tmp_path / f"images/{number}.png")
    for i, plane in WHOLE.items():
        Image.fromarray(plane.astype(np.uint8) * 255).save(tmp_path / f"{i}.png")
    command = command_in(capsys)
    files = {"coco": [coco(tmp_path)], "masks": [f"{i}={tmp_path / f'{i}.png'}" for i in ORDERS[0]]}
    for name, texts in files.items():
        masks = [word for text in texts for word in ("--mask", text)]
        done = command(
            *("track", tmp_path / "images", *masks, "--format", "coco", "--whole-masks", "--end", 1),
            *("-o", tmp_path / name, "--device", "cpu"),
        )
        assert done.code == 0, done
        [path] = (tmp_path / name).rglob("coco.json")
        written = [row["area"] for row in json.loads(path.read_text())["annotations"]]
        assert sorted(written) == sorted(int(plane.sum()) for plane in WHOLE.values())


def detected() -> Segmentation:
    records: list[Mapping[str, Any]] = [
        {"segmentation": encode_rle(plane), "track_id": i, "score": score}
        for (i, plane), score in zip(WHOLE.items(), (0.9, 0.8, 0.5), strict=True)
    ]
    return Segmentation.from_coco(records, SIZE)


def test_a_result_with_overlapping_objects_is_a_prompt_of_whole_masks(network: Callable[[str], Any]) -> None:
    found = detected()
    assert np.array_equal(found.masks, [*WHOLE.values()])
    assert np.array_equal(found.mask == 1, BIG)
    made = network("lite")
    for value in (found, found.prompts):
        first = next(iter(segue.track(FRAMES, value, model=made, device="cpu")))
        assert np.array_equal(first.masks, found.masks)
        assert np.array_equal(first.mask, found.mask)


def test_results_keep_whole_masks_and_maps_by_id_when_objects_change(network: Callable[[str], Any]) -> None:
    """What handles results may rename, drop and add objects, as events do."""
    first, second, *_ = follow(network("lite"), ORDERS[1])
    for result in (first, second):
        one, two, three = result.objects
        changed = replace(result, objects=(three, one, ObjectInfo(9)))
        assert np.array_equal(changed.masks[:2], result.masks[[2, 0]])
        assert np.allclose(changed.logits[:2], result.logits[[2, 0]], atol=1e-5)
        assert not changed.masks[2].any()
        assert changed.probabilities.shape[0] == 4
        assert np.allclose(replace(result, objects=(two,)).logits, result.logits[1:2], atol=1e-5)
