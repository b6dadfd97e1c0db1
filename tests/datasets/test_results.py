"""Results of any program, in folders and archives."""

from __future__ import annotations

import io
import pickle
import struct
import unicodedata
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from segue.datasets import results as module
from segue.datasets.results import Results, open_results
from segue.errors import DatasetError
from segue.masks import write_index_mask

SQUARE = np.zeros((8, 10), np.uint8)
SQUARE[2:6, 3:7] = 255


def png(values: npt.NDArray[np.integer] = SQUARE, *, palette: bool = False) -> bytes:
    """PNG file; a palette holds colours that say nothing about the values."""
    image = Image.fromarray(values)
    if palette:
        image.putpalette(list(range(255, -1, -1)) * 3)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def write(root: Path, files: Mapping[str, bytes], kind: str) -> Path:
    """The files as a folder or as an archive."""
    root.mkdir(exist_ok=True)
    if kind == "zip":
        with zipfile.ZipFile(root / "made.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        return root / "made.zip"
    for name, data in files.items():
        path = root / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return root / "made"


@pytest.fixture(params=["folder", "zip"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("above", ["", "480p/", "team/", "team/480p/"])
def test_sequences_are_found_below_any_level_that_they_share(tmp_path: Path, kind: str, above: str) -> None:
    files = {f"{above}{name}/{i}.png": png() for name in ("goat", "bear") for i in (9, 10)}
    results = open_results(write(tmp_path, files, kind))
    assert results.sequences == ("bear", "goat")
    assert results.names("bear") == ("9", "10")
    assert "goat" in results
    assert "camel" not in results
    np.testing.assert_array_equal(results.read("goat", "10"), SQUARE)


def test_values_are_the_stored_ones_whatever_the_palette_says(tmp_path: Path, kind: str) -> None:
    ids = np.arange(80, dtype=np.uint8).reshape(8, 10)
    wide = ids.astype(np.uint16) * 300
    files = {"a/palette.png": png(ids, palette=True), "a/grey.png": png(ids), "a/wide.png": png(wide)}
    files["a/rgb.png"] = png(np.repeat(ids[..., None], 3, axis=2))
    files["a/bit.png"] = png((ids > 40).view(np.bool_))
    results = open_results(write(tmp_path, files, kind))
    for name, expected in (("palette", ids), ("grey", ids), ("rgb", ids), ("wide", wide), ("bit", ids > 40)):
        np.testing.assert_array_equal(results.read("a", name), expected)
    assert results.read("a", "palette").dtype == np.uint8
    assert results.read("a", "wide").dtype == np.uint16


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (png()[:-30], r"1\.png: not a readable mask"),
        (b"no image", r"1\.png: not a readable mask"),
        (
            png(np.random.default_rng(0).integers(0, 256, (8, 10, 3), np.uint8)),
            r"1\.png: a colour image .* save it as indexed or grey PNG",
        ),
    ],
)
def test_masks_that_cannot_be_read_are_named(tmp_path: Path, kind: str, data: bytes, message: str) -> None:
    results = open_results(write(tmp_path, {"a/1.png": data}, kind))
    with pytest.raises(DatasetError, match=message):
        results.read("a", "1")


@pytest.mark.parametrize(
    ("sequence", "mask", "named"),
    [
        ("camel", None, "camel"),
        ("bear", None, "made/x/bear, made/y/bear"),
        ("x/bear", "2", r"x/bear .* 2"),
        ("goat", None, r"y/goat/1\.bmp and y/goat/1\.png"),
    ],
    ids=["no sequence", "two sequences", "no mask", "two masks"],
)
def test_missing_and_duplicate_results_are_named(
    tmp_path: Path, kind: str, sequence: str, mask: str | None, named: str
) -> None:
    files = {"x/bear/1.png": png(), "y/bear/1.png": png(), "y/goat/1.png": png(), "y/goat/1.bmp": png()}
    results = open_results(write(tmp_path, files, kind), suffixes={".png", ".bmp"})
    np.testing.assert_array_equal(results.read("x/bear", "1"), SQUARE)
    with pytest.raises(DatasetError, match=named):
        results.names(sequence) if mask is None else results.read(sequence, mask)


def test_one_sequence_of_the_results_travels_to_another_process(tmp_path: Path, kind: str) -> None:
    results = open_results(write(tmp_path, {"a/1.png": png(), "b/1.png": png()}, kind))
    results.read("a", "1")
    part: Results = pickle.loads(pickle.dumps(results.only("a")))
    np.testing.assert_array_equal(part.read("a", "1"), SQUARE)
    assert "b" not in part


def test_places_without_masks_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.tar").write_bytes(b"no archive")
    for name in ("nowhere", "empty", "a.tar"):
        with pytest.raises(DatasetError, match=name):
            open_results(tmp_path / name)


def test_folders_that_are_linked_in_a_circle_are_searched_to_a_depth(tmp_path: Path) -> None:
    made = write(tmp_path, {"bear/1.png": png()}, "folder")
    (made / "bear" / "again").symlink_to(made)
    assert open_results(made).sequences == ("bear", "bear/again/bear")


@pytest.mark.parametrize("name", ["../a/1.png", "/a/1.png", "a//1.png", "a/../../1.png"])
def test_members_that_leave_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, {name: png()}, "zip")
    with pytest.raises(DatasetError, match="is no safe path"):
        open_results(path)


def test_members_that_unpack_to_too_much_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBER_BYTES", 1000)
    results = open_results(write(tmp_path, {"a/1.png": bytes(10**6), "a/2.png": png()}, "zip"))
    with pytest.raises(DatasetError):
        results.read("a", "1")
    np.testing.assert_array_equal(results.read("a", "2"), SQUARE)


def test_a_member_that_is_larger_than_it_says_is_damaged(tmp_path: Path) -> None:
    path = write(tmp_path, {"a/1.png": bytes(10**6)}, "zip")
    data = path.read_bytes()
    path.write_bytes(data.replace(struct.pack("<I", 10**6), struct.pack("<I", 100)))
    with pytest.raises(DatasetError, match=r"a/1\.png is damaged"):
        open_results(path).read("a", "1")


def test_members_with_a_password_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"a/1.png": png()}, "zip")
    np.testing.assert_array_equal(open_results(path).read("a", "1"), SQUARE)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x03\x04") + 6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DatasetError):
        open_results(path).read("a", "1")


def test_masks_may_lie_one_folder_deeper_than_their_sequence(tmp_path: Path, kind: str) -> None:
    files = {"run/bear/pred/0.png": png(), "run/swan/0.png": png(), "run/swan/old/0.png": png()}
    results = open_results(write(tmp_path, files, kind))
    assert results.names("bear") == results.names("swan") == ("0",)
    np.testing.assert_array_equal(results.only("bear").read("bear", "0"), SQUARE)
    twice = open_results(write(tmp_path / "b", files | {"run/bear/other/0.png": png()}, kind))
    with pytest.raises(DatasetError, match="more than once"):
        twice.names("bear")


def test_the_only_folder_of_masks_can_be_that_of_any_sequence(tmp_path: Path) -> None:
    alone = open_results(write(tmp_path, {"masks/0.png": png()}, "folder")).alone_as("baseline/highway")
    assert alone is not None
    assert alone.names("baseline/highway") == ("0",)
    several = open_results(write(tmp_path / "b", {"a/0.png": png(), "b/0.png": png()}, "folder"))
    assert several.alone_as("bear") is None


def test_accents_of_a_mac_name_the_same_sequence(tmp_path: Path) -> None:
    """A Mac writes a letter and its accent apart, in folders and in archives."""
    apart = unicodedata.normalize("NFD", "Müller/café.png")
    together = unicodedata.normalize("NFC", apart)
    path = tmp_path / "results" / apart
    path.parent.mkdir(parents=True)
    write_index_mask(path, np.ones((4, 5), np.uint8))
    results = open_results(tmp_path / "results")
    for sequence, name in (apart[:-4].split("/"), together[:-4].split("/")):
        assert sequence in results
        assert results.read(sequence, name).any()
        assert results.besides([sequence]) == ()
