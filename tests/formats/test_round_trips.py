"""What is written in a format and read again is what the format holds: for every format, by one test."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from segue.entries.formats import Format, Holds, SinkOptions
from segue.formats.labels import Labels
from segue.formats.reading import read_labels
from segue.formats.schema import CHECKED, LabelSchema, schema_of
from segue.masks import encode_rle, measure
from segue.masks.splines import KeyedShape, ShapeKey, shape_runs
from segue.registry import FORMATS
from segue.types import Frame, ObjectInfo, Segmentation
from segue.utils.arrays import BoolArray

SIZE = (24, 32)

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

BOTH_WAYS = [entry for entry in FORMATS if isinstance(entry, Format) and entry.holds is not None]

WORDS = (
    *(
        "cat",
        "Cat",
        "cat_1",
        "<b>",
        '"quoted"',
        "it's",
        "&amp;",
        "🐈‍⬛",
        "é",
        "true",
        "None",
        "null",
        "no",
        "1",
    ),
    *(
        "1e3",
        "a/b",
        "a\\b",
        "class 1",
        "Object 1",
        "object",
        "object_1",
        "person",
        "{}",
        "[x]",
        "x: y",
        "#12",
    ),
)
"""Names that files could take for something else."""

FIELDS = (
    "rotation",
    "keyframe",
    "track_id",
    "score",
    "id",
    "label",
    "name",
    "bbox",
    "z_order",
    "group",
    "rle",
)
"""Attributes that are called like fields of files."""

SCHEMA = schema_of(
    {
        "classes": [
            {"name": "unused", "colour": "#123456", "attributes": [{"name": "school", "type": "check"}]},
        ],
        "attributes": [
            {"name": "door", "type": "choice", "of": "frame", "values": ["open", "shut & <locked>"]},
            {"name": "lit", "type": "check", "of": "frame"},
            {"name": "paint", "type": "choice", "values": ["red", "deep blue"]},
        ],
    }
)

texts = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)
names = st.sampled_from(WORDS) | texts
values = st.sampled_from(("true", "false", "None", "1", "0", "<x>", "red")) | texts


@dataclass(frozen=True)
class Case:
    """A video of objects, and the frames that are written."""

    labels: Labels
    frames: tuple[int, ...]
    video: Any


@st.composite
def planes(draw: st.DrawFn) -> BoolArray:
    """A mask of rectangles, with a hole, of one pixel, or of the whole frame."""
    mask = np.zeros(SIZE, np.bool_)
    kind = draw(st.sampled_from(("box", "two", "ring", "pixel", "full", "noise")))
    if kind == "full":
        mask[:] = True
    elif kind == "pixel":
        mask[draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))] = True
    elif kind == "noise":
        mask = np.random.default_rng(draw(st.integers(0, 9))).random(SIZE) > 0.6
    else:
        for _ in range(2 if kind == "two" else 1):
            y, x = draw(st.integers(0, SIZE[0] - 3)), draw(st.integers(0, SIZE[1] - 3))
            height, width = draw(st.integers(3, SIZE[0])), draw(st.integers(3, SIZE[1]))
            mask[y : y + height, x : x + width] = True
            if kind == "ring":
                mask[y + 1 : y + height - 1, x + 1 : x + width - 1] = False
                mask[y, x] = True
    return mask


@st.composite
def cases(draw: st.DrawFn, holds: Holds, *, known: bool = True) -> Case:
    """A video that a format may hold: other things than it holds are there, too."""
    count = draw(st.integers(1, 6))
    start = draw(st.integers(0, count - 1))
    frames = tuple(range(start, count, draw(st.integers(1, 3))))
    largest = min(holds.max_id or 65535, 65535)
    numbers = st.integers(1, largest).filter(lambda i: i not in holds.void_ids)
    small = st.integers(1, 4)
    layers = draw(st.lists(small | numbers, min_size=1, max_size=4, unique=True))
    classes = {i: draw(names) for i in layers}
    labels = Labels(SIZE, classes)
    labels.schema = SCHEMA if known else LabelSchema()
    for index in frames:
        shown = [i for i in layers if draw(st.booleans())]
        masks = {i: encode_rle(draw(planes()))["counts"] for i in shown}
        if masks or holds.empty:
            labels.masks[index] = masks
    if not any(labels.masks.values()):
        labels.masks[frames[0]] = {layers[0]: encode_rle(draw(planes()))["counts"]}
    if known:
        for index, masks in labels.masks.items():
            labels.scores |= {(index, i): draw(st.sampled_from((0.0, 0.125, 0.5, 1.0))) for i in masks}
        for i in layers:
            labels.attributes[i] = draw(st.dictionaries(st.sampled_from(FIELDS) | names, values, max_size=3))
            if draw(st.booleans()):
                labels.attributes[i]["paint"] = "deep blue"
            if holds.frame_attributes and draw(st.booleans()):
                first = frames[0]
                doors = {first: "open"} | ({frames[-1]: "shut & <locked>"} if len(frames) > 1 else {})
                labels.frame_attributes[i] = {"door": doors, "lit": {frames[-1]: CHECKED}}
        palette = {name: f"#{place:02x}00ff" for place, name in enumerate(sorted({*classes.values()}), 1)}
        labels.colours = {"unused": "#123456"} | palette
        own = draw(st.lists(names, min_size=len(layers), max_size=len(layers)))
        labels.objects = [
            {"id": i, "name": name, "category": classes[i], "colour": palette[classes[i]]}
            for i, name in zip(layers, own, strict=True)
        ]
    named = draw(st.booleans())
    image_names = tuple(f"img_{index:03d}" for index in range(count)) if named else None
    video = SimpleNamespace(
        size=SIZE, count=count, names=image_names, name="film", fps=10.0, time=lambda index: index / 10
    )
    return Case(labels, tuple(sorted(labels.masks)) if not holds.empty else frames, video)


def options(case: Case, *, known: bool) -> SinkOptions:
    names = case.video.names
    return SinkOptions(
        size=SIZE,
        source_size=lambda: SIZE,
        names=names,
        images=None if names is None else tuple(f"{name}.png" for name in names),
        fps=10.0,
        source="film",
        labels=case.labels if known else None,
        span=range(case.frames[0], case.frames[-1] + 1) if known else None,
        count=case.video.count if known else None,
    )


def frame(index: int) -> Frame:
    return Frame(index, index / 10, np.full((*SIZE, 3), 90, np.uint8))


def written(entry: Format, case: Case, folder: Path) -> Path:
    """The file or folder of a video whose objects are known beforehand."""
    target = folder / f"film{entry.suffix}"
    assert entry.open is not None
    with entry.open(target, options(case, known=True)) as writer:
        for index in case.frames:
            writer.add(case.labels.at(index, index / 10, partial(frame, index)))
    return target


def run(entry: Format, case: Case, folder: Path) -> Path:
    """The same of the results of a run, which knows no object beforehand."""
    target = folder / f"film{entry.suffix}"
    assert entry.open is not None
    with entry.open(target, options(case, known=False)) as sink:
        for index in case.frames:
            mask = case.labels.mask(index)
            extents = measure(mask)
            objects = tuple(
                ObjectInfo(i, case.labels.names[i], 0.5, extents[i].box, extents[i].area)
                if i in extents
                else ObjectInfo(i, case.labels.names[i], 0.0)
                for i in sorted(case.labels.names)
            )
            sink.write(frame(index), Segmentation(index, index / 10, mask, objects))
    return target


def as_held(case: Case, holds: Holds, *, known: bool) -> dict[int, dict[int, BoolArray]]:
    """The masks of each frame as a format holds them; objects without a pixel are none."""
    held: dict[int, dict[int, BoolArray]] = {}
    for index in case.frames:
        masks = case.labels.planes(index)
        if holds.masks in ("visible", "boxes") or not known:
            top = case.labels.mask(index)
            masks = {i: np.asarray(top == i) for i in masks}
        if holds.masks == "boxes":
            masks = {i: boxed(mask) for i, mask in masks.items()}
        held[index] = {i: mask for i, mask in masks.items() if mask.any()}
    return held


def boxed(mask: BoolArray) -> BoolArray:
    box = np.zeros_like(mask)
    if mask.any():
        x0, y0, x1, y1 = (int(side) for side in measure(mask.astype(np.uint8))[1].box)
        box[y0:y1, x0:x1] = True
    return box


def own_ids(found: Labels, holds: Holds) -> dict[int, int]:
    """The id that each object had when it was written, by its number."""
    ids = {number: found.ids.get(number, number) for number in found.names}
    assert len({*ids.values()}) == len(ids), "no two objects have one id"
    return ids


def said(values: dict[str, str]) -> dict[str, str]:
    """Attributes that say something: neither empty nor a box that is not ticked."""
    return {name: value for name, value in values.items() if value and (name, value) != ("lit", "false")}


def check(entry: Format, case: Case, path: Path, *, known: bool) -> None:
    holds = entry.holds
    assert holds is not None
    labels, held = case.labels, as_held(case, holds, known=known)
    found = read_labels(path, case.video)
    shown = {index for index, masks in held.items() if masks}
    assert {index for index, masks in found.masks.items() if masks} == shown
    if holds.empty:
        assert {*found.masks} == {*case.frames}
    if not holds.tracks:
        check_classes_of_frames(found, case, held)
        return
    ids = own_ids(found, holds)
    seen = {i for masks in held.values() for i in masks}
    assert seen <= {*ids.values()}
    assert {*ids.values()} - seen <= ({*labels.names} if holds.names else set()), "no other object"
    for index, masks in held.items():
        read = {ids[number]: plane for number, plane in found.planes(index).items()}
        assert read.keys() == masks.keys()
        for i, mask in masks.items():
            assert np.array_equal(read[i], mask), (index, i)
        if holds.layers and known:
            assert np.array_equal(top_of(found, index, ids), labels.mask(index)), "who lies on top"
    for number, i in ids.items():
        check_object(found, number, labels, i, holds, known=known)
        for index in shown if known else ():
            if i in held[index]:
                expected = labels.score(index, i) if holds.scores else 1.0
                assert found.score(index, number) == expected
                if holds.frame_attributes:
                    assert said(found.attributes_at(index, number)) == said(labels.attributes_at(index, i))
    if holds.schema and known:
        check_schema(found.schema, labels)


def check_schema(found: LabelSchema, labels: Labels) -> None:
    """Compare classes and attributes; files that define every attribute have those of objects, too."""
    assert "unused" in found.names
    defined = {one.name: (one.type, one.of, one.values) for _, one in found.all_attributes()}
    expected = {one.name: (one.type, one.of, one.values) for _, one in SCHEMA.all_attributes()}
    free = {name for values in labels.attributes.values() for name in values}
    assert defined == expected | dict.fromkeys(defined.keys() & free - {*expected}, ("text", "object", ()))


def top_of(found: Labels, index: int, ids: dict[int, int]) -> np.ndarray:
    mask = np.zeros(SIZE, np.uint16)
    for number, plane in found.planes(index).items():
        mask[plane] = ids[number]
    return mask


def check_object(found: Labels, number: int, labels: Labels, i: int, holds: Holds, *, known: bool) -> None:
    """Compare what is known of an object."""
    name = labels.names[i]
    if known and holds.names and labels.objects and holds.classes:
        name = next(row["name"] for row in labels.objects if row["id"] == i)
    if holds.names or holds.classes:
        assert found.names[number] == name
    if holds.classes:
        assert found.class_of[number] == labels.names[i]
    if not known:
        return
    if holds.colours:
        assert found.colour_of[number] == labels.colours[labels.names[i]]
    attributes = said(found.attributes.get(number, {}))
    assert attributes == (said(labels.attributes[i]) if holds.attributes else {})
    if not holds.frame_attributes:
        assert not any(found.frame_attributes.get(number, {}).values())
    if not holds.keys:
        assert number not in found.shapes


def check_classes_of_frames(found: Labels, case: Case, held: dict[int, dict[int, BoolArray]]) -> None:
    """Compare formats whose objects have no identity: outlines by the class of each on each frame."""
    for index, masks in held.items():
        expected = sorted((case.labels.names[i], int(mask.sum())) for i, mask in masks.items())
        read = [(found.names[number], plane) for number, plane in found.planes(index).items()]
        assert sorted(name for name, _ in read) == [name for name, _ in expected]
        for i, mask in masks.items():
            same = [plane for name, plane in read if name == case.labels.names[i]]
            assert any(plane[mask].all() for plane in same), "an outline has all pixels of its mask"


def folders() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


RELAXED = settings(
    max_examples=25,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
"""Few examples here; the slow test has many."""


def round_trip(entry: Format, case: Case, *, known: bool) -> None:
    for folder in folders():
        path = (written if known else run)(entry, case, folder)
        check(entry, case, path, known=known)


@pytest.mark.parametrize("entry", BOTH_WAYS, ids=lambda entry: entry.name)
def test_written_files_are_read_back_as_the_format_declares(entry: Format) -> None:
    assert entry.holds is not None

    @RELAXED
    @given(cases(entry.holds))
    def holds(case: Case) -> None:
        round_trip(entry, case, known=True)

    holds()


@pytest.mark.parametrize(
    "entry", [entry for entry in BOTH_WAYS if entry.name != "ytvis"], ids=lambda entry: entry.name
)
def test_results_of_a_run_come_back_as_the_format_holds_them(entry: Format) -> None:
    """But those of YouTube-VIS, whose results have neither ids nor names of classes."""
    assert entry.holds is not None

    @RELAXED
    @given(cases(entry.holds, known=False))
    def holds(case: Case) -> None:
        round_trip(entry, case, known=False)

    holds()


@st.composite
def shapes(draw: st.DrawFn) -> tuple[KeyedShape, range, int]:
    """A shape with keys, the frames that are written, and the length of the video."""
    count = draw(st.integers(2, 9))
    frames = draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=3, unique=True))
    keys = {}
    for index in sorted(frames):
        x, y = draw(st.integers(1, 12)), draw(st.integers(1, 8))
        corners = ((x, y), (x + 9, y), (x + 9, y + 7), (x, y + 7))
        keys[index] = ShapeKey(tuple((float(a), float(b), 0.0, 0.0, 0.0, 0.0) for a, b in corners))
    first = draw(st.integers(0, count - 1))
    return KeyedShape(keys), range(first, draw(st.integers(first, count - 1)) + 1), count


@pytest.mark.parametrize(
    "entry", [entry for entry in BOTH_WAYS if entry.holds and entry.holds.keys], ids=lambda entry: entry.name
)
def test_shapes_with_keys_come_back_on_the_frames_that_were_written(entry: Format) -> None:
    @RELAXED
    @given(shapes())
    def holds(drawn: tuple[KeyedShape, range, int]) -> None:
        shape, span, count = drawn
        labels = Labels(SIZE, {3: "cat"}, shapes={3: [shape]}, colours={"cat": "#00ff00"})
        shown = [index for index in shape.span if index in span and shape.is_on(index)]
        assume(shown)
        for index in shown:
            labels.masks[index] = {3: shape_runs([shape], index, SIZE)}
        video = SimpleNamespace(size=SIZE, count=count, names=None, name="film", fps=10.0, time=float)
        case = Case(labels, tuple(span), video)
        for folder in folders():
            target = written(entry, case, folder)
            found = read_labels(target, video)
            assert sorted(index for index, masks in found.masks.items() if masks) == shown
            for number, index in ((number, index) for number in found.names for index in shown):
                assert np.array_equal(found.planes(index)[number], labels.planes(index)[3]), index
                corners = found.shapes[number][0].corners_at(index)
                expected = shape.corners_at(index)
                assert corners is not None
                assert expected is not None
                assert np.allclose(corners[:, :2], expected[:, :2], atol=0.01)

    holds()


@pytest.mark.slow
@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("entry", BOTH_WAYS, ids=lambda entry: entry.name)
def test_many_videos_come_back(entry: Format, known: bool) -> None:
    if entry.name == "ytvis" and not known:
        pytest.skip("its results have neither ids nor names of classes")
    assert entry.holds is not None

    @settings(RELAXED, max_examples=400)
    @given(cases(entry.holds, known=known))
    def holds(case: Case) -> None:
        round_trip(entry, case, known=known)

    holds()


@RELAXED
@given(cases(next(entry.holds for entry in BOTH_WAYS if entry.name == "coco" and entry.holds)))
def test_pycocotools_reads_the_same_masks_areas_and_boxes(case: Case) -> None:
    entry = next(entry for entry in BOTH_WAYS if entry.name == "coco")
    for folder in folders():
        coco = COCO(str(written(entry, case, folder)))
        held = as_held(case, Holds(), known=True)
        for index in case.frames:
            found = coco.loadAnns(coco.getAnnIds([index + 1]))
            assert [item["track_id"] for item in found] == [*held[index]], "from below"
            for item in found:
                mask = held[index][item["track_id"]]
                assert np.array_equal(coco.annToMask(item) > 0, mask)
                assert item["area"] == mask.sum()
                x0, y0, x1, y1 = measure(mask.astype(np.uint8))[1].box
                assert item["bbox"] == [x0, y0, x1 - x0, y1 - y0]
                assert coco.loadCats(item["category_id"])[0]["name"] == case.labels.names[item["track_id"]]


@pytest.mark.parametrize("entry", BOTH_WAYS, ids=lambda entry: entry.name)
def test_labels_of_results_may_have_characters_that_files_cannot_hold(entry: Format, tmp_path: Path) -> None:
    labels = Labels(SIZE)
    labels.names[1] = "a\x00b\ud800"
    mask = np.zeros(SIZE, np.bool_)
    mask[4:12, 5:20] = True
    labels.add_mask(0, 1, encode_rle(mask)["counts"].encode())
    names = ("film_00000.jpg",)
    video = SimpleNamespace(size=SIZE, count=1, names=names, fps=10.0, time=lambda index: index / 10)
    found = read_labels(run(entry, Case(labels, (0,), video), tmp_path), video)
    assert [found.area(0, number) for number in found.names] == [mask.sum()]
    assert not {"a\x00b\ud800"} & {*found.names.values()}
