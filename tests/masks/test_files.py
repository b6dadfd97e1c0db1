"""Index masks in files: palette, 16 bit, binary, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from PIL.TiffImagePlugin import TiffImageFile

from segue.errors import SinkError, SourceError
from segue.masks import DAVIS_PALETTE, read_index_mask, write_index_mask


def test_the_palette_is_that_of_pascal_voc_and_davis() -> None:
    """First entries and three others as published with the VOC development kit."""
    assert DAVIS_PALETTE[:9].tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
        [0, 128, 128],
        [128, 128, 128],
        [64, 0, 0],
    ]
    assert DAVIS_PALETTE[[20, 21, 255]].tolist() == [[0, 64, 128], [128, 64, 128], [224, 224, 192]]
    assert len({tuple(colour) for colour in DAVIS_PALETTE.tolist()}) == 256


@settings(deadline=None, max_examples=50)
@given(
    mask=arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.int64]),
        arrays.array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 255),
    ),
    large=st.sampled_from([0, 256, 65535]),
)
def test_a_mask_comes_back_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, mask: np.ndarray, large: int
) -> None:
    path = tmp_path_factory.mktemp("masks") / "a.png"
    if large and mask.dtype != np.uint8:
        mask = mask.copy()
        mask[0, 0] = large
    assume(set(np.unique(mask).tolist()) - {0} != {65535})  # which is a white object
    write_index_mask(path, mask)
    back = read_index_mask(path, void=None)  # 255 is an id here
    assert np.array_equal(back, mask)
    assert back.dtype == (np.uint8 if mask.max() <= 255 else np.uint16)


def test_a_written_mask_is_an_indexed_png_with_the_palette(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "a.png", np.array([[0, 7], [255, 1]]))
    with Image.open(tmp_path / "a.png") as image:
        assert (image.format, image.mode) == ("PNG", "P")
        assert np.array_equal(np.array(image.getpalette()).reshape(-1, 3), DAVIS_PALETTE)


def test_ids_beyond_255_are_written_as_16_bit_grey(tmp_path: Path) -> None:
    write_index_mask(tmp_path / "a.png", np.array([[0, 256]]))
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode.startswith("I")


@pytest.mark.parametrize("number", [-1, 65536])
def test_an_id_that_does_not_fit_is_refused_and_nothing_is_written(tmp_path: Path, number: int) -> None:
    with pytest.raises(SinkError):
        write_index_mask(tmp_path / "a.png", np.array([[number]]))
    assert not list(tmp_path.iterdir())


def test_a_mask_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(SinkError):
        write_index_mask(tmp_path / "nowhere" / "a.png", np.zeros((2, 2), np.uint8))


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[0, 255]], np.uint8)), [[0, 1]]),
        (Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"), [[0, 1]]),
        (Image.fromarray(np.array([[0, 255]], np.uint8)).convert("RGB"), [[0, 1]]),
        (Image.fromarray(np.array([[0, 255]], np.uint8)).convert("LA"), [[0, 1]]),
        (Image.fromarray(np.array([[0, 2, 255]], np.uint8)), [[0, 2, 255]]),
        (Image.fromarray(np.array([[0, 3, 4]], np.uint8)), [[0, 3, 4]]),
        (Image.fromarray(np.array([[0, 0]], np.uint8)), [[0, 0]]),
        (Image.fromarray(np.array([[0, 300]], np.uint16)), [[0, 300]]),
    ],
)
def test_grey_and_binary_images_are_masks_too(
    tmp_path: Path, image: Image.Image, expected: list[list[int]]
) -> None:
    image.save(tmp_path / "a.png")
    assert read_index_mask(tmp_path / "a.png").tolist() == expected


def test_images_that_are_no_masks_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.arange(12, dtype=np.uint8).reshape(2, 2, 3)).save(tmp_path / "colour.png")
    with pytest.raises(SourceError):
        read_index_mask(tmp_path / "colour.png")
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "lossy.jpg")
    with pytest.raises(SourceError):
        read_index_mask(tmp_path / "lossy.jpg")


def test_masks_of_floats_are_read_where_they_are_whole_numbers(tmp_path: Path) -> None:
    mask = np.arange(12, dtype=np.float32).reshape(3, 4)
    Image.fromarray(mask).save(tmp_path / "a.tif")  # as Fiji saves 32 bits
    np.testing.assert_array_equal(read_index_mask(tmp_path / "a.tif"), mask.astype(np.uint16))
    for wrong in (mask / 3, np.full_like(mask, np.nan)):
        Image.fromarray(wrong).save(tmp_path / "b.tif")
        with pytest.raises(SourceError, match="values that are no whole numbers"):
            read_index_mask(tmp_path / "b.tif")


def test_files_of_other_kinds_are_called_what_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4), np.uint8))
    with pytest.raises(SourceError, match=r"a\.npy: a NumPy array; load it in Python"):
        read_index_mask(tmp_path / "a.npy")
    Image.fromarray(np.ones((3, 4), np.uint8)).save(tmp_path / "a.gif")
    with pytest.raises(SourceError, match=r"a\.gif: a GIF; save it as PNG"):
        read_index_mask(tmp_path / "a.gif")


def test_palettes_read_by_pillow_are_ids_and_by_opencv_colours(tmp_path: Path) -> None:
    """As docs/formats.md says."""
    mask = np.arange(4, dtype=np.uint8)[None].repeat(2, 0)
    write_index_mask(tmp_path / "a.png", mask)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), mask)
    assert cv2.imread(str(tmp_path / "a.png"), 0)[0].tolist() == [0, 38, 75, 113]


def test_missing_and_damaged_masks_are_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        read_index_mask(tmp_path / "nowhere.png")
    write_index_mask(tmp_path / "a.png", np.random.default_rng(0).integers(0, 9, (50, 50)))
    data = (tmp_path / "a.png").read_bytes()
    for length in (0, 20, len(data) // 2):
        (tmp_path / "a.png").write_bytes(data[:length])
        with pytest.raises(SourceError, match=r"a\.png: ") as error:
            read_index_mask(tmp_path / "a.png")
        assert "\n" not in str(error.value)


def stack_of(path: Path, *masks: np.ndarray, **about: Any) -> Path:
    first, *others = map(Image.fromarray, masks)
    first.save(path, save_all=True, append_images=others, **about)
    return path


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int32])
def test_a_page_of_a_stack_is_asked_for_by_its_number(tmp_path: Path, kind: type) -> None:
    """Layers of labels, as napari and ImageJ save them, have a page a frame."""
    masks = [np.full((4, 6), number, kind) for number in (3, 0, 300 if kind != np.uint8 else 7)]
    path = stack_of(tmp_path / "a.tif", *masks)
    for number, mask in enumerate(masks):
        assert np.array_equal(read_index_mask(path, page=number), mask)
    with pytest.raises(SourceError, match="3 pages"):
        read_index_mask(path)
    with pytest.raises(SourceError, match="page 3"):
        read_index_mask(path, page=3)


def test_a_smaller_copy_in_a_file_is_no_page(tmp_path: Path) -> None:
    """Programs add previews; tag 254 says so."""
    first, preview = (Image.fromarray(np.full(size, 5, np.uint8)) for size in ((8, 8), (2, 2)))
    preview.encoderinfo = {"tiffinfo": {254: 1}}
    first.save(tmp_path / "a.tif", save_all=True, append_images=[preview])
    assert read_index_mask(tmp_path / "a.tif").shape == (8, 8)


@pytest.mark.parametrize(
    "text", ["ImageJ=1.54\nimages=6\nslices=2\nframes=3\n", '<OME><Pixels SizeZ="2" SizeT="3"/></OME>']
)
def test_slices_and_times_of_a_stack_are_told(tmp_path: Path, text: str) -> None:
    path = stack_of(tmp_path / "a.tif", *(np.ones((4, 6), np.uint8) for _ in range(6)), description=text)
    with pytest.raises(SourceError, match=r"6 pages.*2 slices.*3 times"):
        read_index_mask(path)


def white_is_zero(path: Path, values: npt.NDArray[np.uint8]) -> Path:
    """A grey TIFF whose values are shown inverted, as Fiji saves binary images by default."""
    Image.fromarray(np.invert(values)).save(path, tiffinfo={262: 0})  # Pillow stores the inverse
    with Image.open(path) as image:
        assert isinstance(image, TiffImageFile)
        assert image.tag_v2[262] == 0
    return path


@pytest.mark.parametrize("inside", [255, 7])
def test_an_inverting_table_leaves_the_stored_values(tmp_path: Path, inside: int) -> None:
    values = np.zeros((8, 10), np.uint8)
    values[2:4, 3:6] = inside
    mask = read_index_mask(white_is_zero(tmp_path / "a.tif", values))
    assert np.array_equal(mask > 0, values > 0)
    assert mask.max() == (1 if inside == 255 else inside)
