"""What a mask says, whatever program saved it: a file and an array of the same values say the same."""

from __future__ import annotations

import warnings
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segue.errors import PromptError, SourceError
from segue.masks import DAVIS_PALETTE, read_index_mask, read_stored_mask
from segue.masks.values import VoidWarning
from segue.prompt_inputs.values import PromptWarning, as_masks

DISC = cv2.circle(np.zeros((96, 128), np.uint8), (60, 45), 25, 255, -1)
TWO = cv2.circle(cv2.circle(np.zeros((96, 128), np.uint8), (30, 30), 15, 2, -1), (90, 45), 20, 5, -1)
OTHER_PALETTE = np.random.default_rng(0).integers(1, 255, (256, 3), np.uint8)
OWN_COLOURS = np.zeros((256, 3), np.uint8)
OWN_COLOURS[[2, 5]] = (250, 30, 20), (10, 40, 240)


def soft(sigma: float) -> np.ndarray:
    return np.asarray(cv2.GaussianBlur(DISC, (0, 0), sigma), np.uint8)


def saved(path: Path, image: Image.Image | np.ndarray, **options: object) -> Path:
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(path, **options)
    return path


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return float(((one > 0) & (other > 0)).sum() / ((one > 0) | (other > 0)).sum())


WHITE = {
    "0 and 255": DISC,
    "0 and 65535": DISC.astype(np.uint16) * 257,
    "a soft brush": soft(1),
    "a wide brush": soft(5),
    "a soft brush of 16 bits": soft(2).astype(np.uint16) * 257,
    "lines with antialiasing": cv2.circle(np.zeros_like(DISC), (60, 45), 25, 255, -1, cv2.LINE_AA),
}


@pytest.mark.parametrize("name", WHITE)
def test_one_white_object_has_the_id_1_in_a_file_and_in_an_array(tmp_path: Path, name: str) -> None:
    values = WHITE[name]
    found = read_index_mask(saved(tmp_path / "a.png", values))
    assert np.unique(found).tolist() == [0, 1]
    assert iou(found, values > values.max() // 2) == 1
    soft_edges = len(np.unique(values)) > 2
    with pytest.warns(PromptWarning) if soft_edges else nullcontext():
        assert np.array_equal(as_masks(values, "mask"), found)


@pytest.mark.parametrize("values", [DISC, soft(1)])
def test_a_jpeg_of_one_white_object_is_that_object(tmp_path: Path, values: np.ndarray) -> None:
    found = read_index_mask(saved(tmp_path / "a.jpg", values, quality=80))
    assert np.unique(found).tolist() == [0, 1]
    assert iou(found, DISC) > 0.97


def test_a_jpeg_of_ids_is_refused(tmp_path: Path) -> None:
    for values in (TWO, TWO * 25):
        with pytest.raises(SourceError):
            read_index_mask(saved(tmp_path / "a.jpg", values))


def test_ids_stay_ids(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    cells = np.kron(rng.integers(1, 256, (24, 32)), np.ones((4, 4), np.int64)).astype(np.uint8)
    void = TWO.copy()
    void[cv2.dilate(TWO, np.ones((3, 3))) != TWO] = 255
    labels = np.where(cv2.dilate(DISC, np.ones((3, 3))) > DISC, 170, DISC).astype(np.uint8)
    for values in (TWO, cells, void, labels, cells.astype(np.uint16) * 200):
        assert np.array_equal(read_index_mask(saved(tmp_path / "a.png", values)), values)
        assert np.array_equal(as_masks(values, "mask"), values)


def test_a_mask_with_two_readings_is_refused_with_both(tmp_path: Path) -> None:
    mixed = soft(5)
    mixed[80:92, 30:110] = 120
    with pytest.raises(SourceError, match=r"a\.png: .*one object.*soft edges.*objects"):
        read_index_mask(saved(tmp_path / "a.png", mixed))
    with pytest.raises(PromptError):
        as_masks(mixed, "mask")


@pytest.mark.parametrize("colours", [8, 256])
def test_colours_of_davis_are_their_ids_whatever_palette_a_program_made(tmp_path: Path, colours: int) -> None:
    image = Image.fromarray(DAVIS_PALETTE[TWO])
    indexed = Image.fromarray(TWO)
    indexed.putpalette(DAVIS_PALETTE.tobytes())
    adaptive = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)
    for number, one in enumerate((image, adaptive, image.quantize(colours), indexed)):
        path = saved(tmp_path / f"{number}.png", one, optimize=True)
        assert np.array_equal(read_index_mask(path), TWO)
        assert np.array_equal(read_stored_mask(path, "a"), TWO)
    assert np.array_equal(as_masks(np.asarray(image), "mask"), TWO)


def test_other_colours_are_numbered_and_keep_their_number_through_a_video(tmp_path: Path) -> None:
    ids: dict[int, int] = {}
    both = saved(tmp_path / "a.png", OWN_COLOURS[TWO])
    one = saved(tmp_path / "b.png", Image.fromarray(OWN_COLOURS[np.where(TWO == 2, 2, 0)]).quantize(2))
    first = read_index_mask(both, ids=ids)
    assert np.unique(first).tolist() == [0, 1, 2]
    assert np.array_equal(first > 0, TWO > 0)
    assert np.array_equal(read_index_mask(one, ids=ids) > 0, TWO == 2)
    assert read_index_mask(one, ids=ids).max() == first[TWO == 2].max()
    with pytest.raises(SourceError):
        read_stored_mask(both, "a")


def test_background_that_is_not_index_0_is_background(tmp_path: Path) -> None:
    image = Image.fromarray(np.select([TWO == 2, TWO == 5], [0, 1], 2).astype(np.uint8))
    image.putpalette([250, 30, 20, 10, 40, 240, 0, 0, 0])
    assert np.array_equal(read_index_mask(saved(tmp_path / "a.png", image)) > 0, TWO > 0)
    clear = Image.fromarray(np.where(TWO == 0, 3, TWO).astype(np.uint8))
    clear.putpalette([9, 9, 9, 8, 9, 9, 7, 9, 9, 200, 200, 0, 1, 2, 3, 5, 6, 7])
    assert np.array_equal(read_index_mask(saved(tmp_path / "b.png", clear, transparency=3)), TWO)


def test_transparency_is_the_mask_of_a_cut_out_and_background_of_others(tmp_path: Path) -> None:
    photo = np.random.default_rng(0).integers(0, 256, (*DISC.shape, 3), np.uint8)
    white = np.full_like(photo, 255)
    for colours in (photo, white, white // 255 * 0):
        found = read_index_mask(saved(tmp_path / "a.png", np.dstack([colours, soft(1)])))
        assert np.array_equal(found, soft(1) > 127)
    grey = np.dstack([np.full_like(DISC, 255), DISC])
    assert np.array_equal(
        read_index_mask(saved(tmp_path / "b.png", Image.fromarray(grey, "LA"))) > 0, DISC > 0
    )
    clear = np.dstack([DAVIS_PALETTE[TWO], np.where(TWO, 255, 0)]).astype(np.uint8)
    assert np.array_equal(read_index_mask(saved(tmp_path / "c.png", clear)), TWO)
    other = np.dstack([DAVIS_PALETTE[TWO], DISC])
    with pytest.raises(SourceError):
        read_index_mask(saved(tmp_path / "d.png", other))


def test_colours_that_are_no_objects_are_refused_with_both_readings(tmp_path: Path) -> None:
    for values, words in (
        (np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8), "colours"),
        (cv2.GaussianBlur(OWN_COLOURS[TWO], (0, 0), 2), "2 objects with soft edges"),
        (np.where(TWO[..., None] > 0, OWN_COLOURS[TWO], 255).astype(np.uint8), r"\(255, 255, 255\)"),
    ):
        path, array = saved(tmp_path / "a.png", values), np.asarray(values)
        for error, read in (
            (SourceError, lambda path=path: read_index_mask(path)),
            (PromptError, lambda array=array: as_masks(array, "mask")),
        ):
            with pytest.raises(error, match=words):
                read()


def test_masks_of_several_objects_may_have_soft_edges() -> None:
    found = as_masks(np.stack([soft(2), np.roll(soft(2), 20, 1)]), "masks")
    assert np.array_equal(found[0], soft(2) > 127)


def indexed(values: list[int], palette: np.ndarray = DAVIS_PALETTE) -> Image.Image:
    """An image of one row with a palette."""
    image = Image.fromarray(np.array([values], np.uint8))
    image.putpalette(palette.tobytes())
    return image


@pytest.mark.parametrize("kind", ["palette", "other palette", "grey"])
def test_255_beside_the_first_ids_is_void_as_data_sets_have_it(tmp_path: Path, kind: str) -> None:
    image = indexed([0, 1, 2, 255], OTHER_PALETTE if kind == "other palette" else DAVIS_PALETTE)
    values = np.array([[0, 1, 2, 255]], np.uint8)
    path = saved(tmp_path / "first.png", values if kind == "grey" else image)
    with pytest.warns(VoidWarning, match=r"first\.png: .*255.* 1, 2 "):
        assert read_index_mask(path).tolist() == [[0, 1, 2, 0]]
    with pytest.warns(VoidWarning):
        assert as_masks(values if kind == "grey" else image, "mask").tolist() == [[0, 1, 2, 0]]
    assert read_stored_mask(path, "truth").tolist() == values.tolist(), "the measures know void"
    assert read_index_mask(path, void=None).tolist() == values.tolist()


def test_255_is_void_beside_any_ids_in_the_palette_of_the_data_sets() -> None:
    with pytest.warns(VoidWarning):
        assert as_masks(indexed([0, 2, 15, 255]), "mask").tolist() == [[0, 2, 15, 0]]


@pytest.mark.parametrize(
    ("values", "palette"),
    [
        ([0, 10, 128, 255], OTHER_PALETTE),
        ([0, 1, 3, 255], OTHER_PALETTE),
        ([*range(256)], OTHER_PALETTE),
        ([0, 254, 255], DAVIS_PALETTE),
        ([0, 255], DAVIS_PALETTE),
    ],
)
def test_255_beside_other_values_is_an_object(values: list[int], palette: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert as_masks(indexed(values, palette), "mask").tolist() == [values]
