"""Masks of the first frame from one file or several, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segue.errors import PromptError, SourceError
from segue.jobs.ahead import plan_prompts
from segue.jobs.values import Model, TrackJob, VideoSource
from segue.masks import write_index_mask
from segue.prompt_inputs.arguments import as_prompts
from segue.prompt_inputs.texts import typed_prompts
from segue.prompt_types import MaskPrompt
from segue.prompts import resolve_prompts
from segue.types import Frame
from segue.video import open_source

SIZE = (12, 20)


def stripe(first: int, last: int) -> npt.NDArray[np.uint8]:
    mask = np.zeros(SIZE, np.uint8)
    mask[:, first:last] = 255
    return mask


def save(path: Path, mask: npt.NDArray[np.uint8]) -> str:
    Image.fromarray(mask).save(path)
    return str(path)


def index_mask(*typed: str, size: tuple[int, int] = SIZE, fit: bool = False) -> npt.NDArray[np.int32]:
    """The masks of files, as they are typed, as one index mask."""
    frame = Frame(0, 0.0, np.zeros((*size, 3), np.uint8))
    source, prompts = VideoSource(place="dog.mp4"), typed_prompts({"mask": typed})
    job = TrackJob(source=source, model=Model(name="stcn-lite"), prompts=prompts, fit=fit)
    return resolve_prompts(frame, plan_prompts(job, frame, size)[0]).mask.numpy()


def test_one_indexed_file_is_taken_as_it_is(tmp_path: Path) -> None:
    mask = np.arange(240).reshape(SIZE).astype(np.uint8)
    write_index_mask(tmp_path / "first.png", mask)
    np.testing.assert_array_equal(index_mask(str(tmp_path / "first.png")), mask)


def test_a_wrong_size_is_an_error_with_both_sizes_unless_it_shall_fit(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", stripe(0, 10))
    with pytest.raises(PromptError, match=r"a\.png"):
        index_mask(path, size=(24, 40))
    assert index_mask(path, size=(24, 40), fit=True).sum() == 24 * 20


def test_files_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    empty = save(tmp_path / "empty.png", stripe(0, 0))
    good = save(tmp_path / "good.png", stripe(0, 5))
    two = str(tmp_path / "two.png")
    write_index_mask(Path(two), np.repeat([[1], [2]], 6, axis=0).repeat(20, axis=1))
    missing = str(tmp_path / "none.png")
    for files, error in (((empty,), PromptError), ((good, two), PromptError), ((missing,), SourceError)):
        with pytest.raises(error, match=Path(files[-1]).name):
            index_mask(*files)
    with pytest.raises(PromptError):
        index_mask(f"2={good}", f"2={good}")
    with pytest.raises(PromptError):
        index_mask(f"0={good}")


def annotated(path: Path, *rectangles: tuple[str, int, int], images: int = 1) -> str:
    """A file in COCO's form whose first image has named stripes."""
    name, (height, width) = {each: i for i, (each, *_) in enumerate(rectangles, 1)}, SIZE
    shapes = [
        {
            "id": i,
            "image_id": 1,
            "category_id": name[each],
            "segmentation": [[x, 0, to, 0, to, height, x, height]],
        }
        for i, (each, x, to) in enumerate(rectangles, 1)
    ]
    files = [
        {"id": i, "file_name": f"dog_{i}.jpg", "height": height, "width": width} for i in range(1, images + 1)
    ]
    kinds = [{"id": number, "name": each} for each, number in name.items()]
    path.write_text(json.dumps({"images": files, "annotations": shapes, "categories": kinds}), "utf-8")
    return str(path)


def test_the_objects_of_an_annotated_image_are_followed_by_their_names(tmp_path: Path) -> None:
    path = annotated(tmp_path / "first.json", ("dog", 0, 5), ("man", 8, 14))
    expected = np.zeros(SIZE, np.uint8)
    expected[:, :5], expected[:, 8:14] = 1, 2
    np.testing.assert_array_equal(index_mask(path), expected)
    image = np.zeros((*SIZE, 3), np.uint8)
    prompts = resolve_prompts(Frame(3, 0.1, image), as_prompts(path))
    assert prompts.labels == {1: "dog", 2: "man"}
    one = annotated(tmp_path / "one.json", ("dog", 2, 6))
    assert {*np.unique(index_mask(f"7={one}"))} == {0, 7}
    with pytest.raises(PromptError, match=r"first\.json: .*2 objects"):
        index_mask(f"7={path}")
    with pytest.raises(PromptError, match=r"many\.json: .*3 images"):
        index_mask(annotated(tmp_path / "many.json", ("dog", 2, 6), images=3))


def test_a_frame_takes_its_page_of_a_stack(tmp_path: Path) -> None:
    """The stack has a page for each frame of the source."""
    masks = [np.roll(stripe(0, 3), 3 * number, axis=1) // 255 * 7 for number in range(5)]
    first, *others = map(Image.fromarray, masks)
    first.save(tmp_path / "labels.tif", save_all=True, append_images=others)
    frames = [np.zeros((*SIZE, 3), np.uint8)] * 5
    job = TrackJob(
        source=VideoSource(place="stack.tif"),
        model=Model(name="stcn-lite"),
        prompts=typed_prompts({"mask": [f"{number}@{tmp_path / 'labels.tif'}" for number in (0, 3)]}),
    )
    planned = plan_prompts(job, Frame(0, 0.0, frames[0]), SIZE, open_source(frames))
    assert {index: prompts[0].id for index, prompts in planned.items()} == {0: 7, 3: 7}
    for index, (prompt,) in planned.items():
        assert isinstance(prompt, MaskPrompt)
        assert np.array_equal(prompt.mask, masks[index] > 0)
    with pytest.raises(PromptError, match=r"labels\.tif: holds 5 pages, the source 4 frames"):
        plan_prompts(job, Frame(0, 0.0, frames[0]), SIZE, open_source(frames[:4]))
