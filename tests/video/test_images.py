"""Folders, patterns and single files of still images as a source."""

from __future__ import annotations

import io
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from segue.errors import SourceDamageError, SourceError
from segue.types import DamagePolicy
from segue.utils import allocation
from segue.video import DamageWarning, open_source
from segue.video.decoding.levels import Range
from segue.video.sources.images import decode_image, list_images, read_image
from segue.video.sources.opening import open_reader
from tests.video.making import corners, drawn_image, level


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images 1, 2, 10 and 11, so that order by letters and by number differ."""
    folder = tmp_path / "walk"
    folder.mkdir()
    for number in (10, 2, 11, 1):
        Image.fromarray(drawn_image(number)).save(folder / f"f{number}.png")
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_text("no image either")
    return folder


def levels(source: object) -> list[int]:
    return [int(frame.image[0, 0, 0]) for frame in source]


def test_a_folder_is_read_in_natural_order(folder: Path) -> None:
    source = open_source(folder)
    assert levels(source) == [level(n) for n in (1, 2, 10, 11)]
    assert source.names == ("f1", "f2", "f10", "f11")
    assert (source.name, source.frame_count, source.size, source.fps) == ("walk", 4, (48, 64), 25.0)


@pytest.mark.parametrize("kind", [str, Path])
def test_a_pattern_selects_images(folder: Path, kind: type[str | Path]) -> None:
    source = open_source(kind(f"{folder}/f1*.png"))
    assert source.names == ("f1", "f10", "f11")
    assert source.name == "walk"


@pytest.mark.parametrize("name", ["take [1]", "a*b", "what?"])
def test_the_folder_of_a_pattern_may_have_any_name(folder: Path, name: str) -> None:
    other = folder.rename(folder.with_name(name))
    source = open_source(f"{other}/f1*.png")
    assert source.names == ("f1", "f10", "f11")
    assert source.name == name


def test_a_pattern_of_folders_is_called_by_the_folder_above_them(folder: Path) -> None:
    source = open_source(f"{folder.parent}/wa*/**/*.png")
    assert (source.name, source.frame_count) == (folder.parent.name, 4)


def test_a_pattern_takes_the_images_that_the_folder_has(folder: Path) -> None:
    (folder / "notes.txt").write_text("Nothing.")
    for name in ("f1", "f2", "f10", "f11"):
        Image.fromarray(np.zeros((48, 64), np.uint8)).save(folder / f"{name}.bmp")
    assert open_source(f"{folder}/*").files == open_source(folder).files


@pytest.mark.parametrize("place", ["", "/*.mp4", "/*"])
def test_videos_in_place_of_images_are_named(tmp_path: Path, place: str) -> None:
    for name in ("b.mp4", "a.mp4"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match=r"a\.mp4, b\.mp4.*segue batch"):
        open_source(f"{tmp_path}{place}")


def test_a_name_with_a_place_for_a_number_leads_to_a_pattern(folder: Path) -> None:
    with pytest.raises(SourceError, match=r"walk/f\*\.png"):
        open_source(f"{folder}/f%04d.png")
    with pytest.raises(SourceError):
        open_source(f"file://{folder}/f1.png")


def test_every_kind_of_image_becomes_rgb(tmp_path: Path) -> None:
    grey = np.full((4, 6), 0x8040, np.uint16)
    Image.fromarray(grey).save(tmp_path / "0.png")
    Image.fromarray(np.full((4, 6), 128, np.uint8)).save(tmp_path / "1.png")
    Image.fromarray(np.full((4, 6, 4), 128, np.uint8)).save(tmp_path / "2.png")
    Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).quantize().save(tmp_path / "3.png")
    for number, suffix in enumerate(("jpg", "jpeg", "webp", "bmp"), start=4):
        Image.fromarray(np.full((4, 6, 3), 128, np.uint8)).save(tmp_path / f"{number}.{suffix}")
    assert open_source(tmp_path).frame_count == 8
    for frame in open_source(tmp_path):
        assert (frame.image == 128).all(), frame.index
        assert frame.image.shape == (4, 6, 3)


def test_a_photo_is_turned_upright_as_its_camera_says(tmp_path: Path) -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    Image.fromarray(image).save(tmp_path / "a.png", exif=exif)
    frame = next(iter(open_source(tmp_path)))
    assert np.array_equal(frame.image, np.rot90(image, -1))


def test_an_empty_folder_and_a_pattern_without_match_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        open_source(tmp_path)
    with pytest.raises(SourceError):
        open_source(f"{tmp_path}/*.png")


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def test_an_unreadable_image_can_be_held(folder: Path) -> None:
    damage(folder / "f10.png")
    messages: list[str] = []
    frames = list(open_source(folder, on_damage="hold", warn=messages.append))
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert frames[2].time == pytest.approx(2 / 25)
    assert np.array_equal(frames[2].image, frames[1].image)
    assert len(messages) == 1


def test_images_of_two_sizes_are_an_error_that_tells_both(folder: Path) -> None:
    Image.fromarray(drawn_image(0, (20, 30))).save(folder / "f3.png")
    with pytest.raises(SourceError, match=r"f3.png.*30x20.*64x48"):
        list(open_source(folder))


def test_a_header_that_claims_an_absurd_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)  # restored afterwards
    monkeypatch.setattr(allocation, "_is_prepared", True)
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 70000 70000 255\n" + bytes(100))
    with pytest.raises(SourceError, match=f"{2**28} pixels") as caught:
        list(open_source(tmp_path))
    assert "--on-damage" not in str(caught.value), "nothing is damaged"


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.bmp", "a.webp"])
def test_commands_open_larger_images_than_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Orthophotos and slides have more pixels than Pillow allows, 178,956,970."""
    Image.fromarray(corners()).save(tmp_path / name)
    expected = read_image(tmp_path / name)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    monkeypatch.setattr(allocation, "_is_prepared", False)
    with pytest.raises(SourceError, match=r"MAX_IMAGE_PIXELS") as caught:
        [*open_source(tmp_path / name)]
    assert "--on-damage" not in str(caught.value)
    assert Image.MAX_IMAGE_PIXELS == 10, "the program is that of somebody else"
    monkeypatch.setattr(allocation, "_is_prepared", True)
    (frame,) = open_source(tmp_path / name)
    assert np.array_equal(frame.image, expected)
    assert np.array_equal(decode_image((tmp_path / name).read_bytes(), name), expected)


@pytest.mark.parametrize("name", ["a.webp", "a.png", "a.tiff"])
def test_an_animation_is_a_video(tmp_path: Path, name: str) -> None:
    frames = [Image.fromarray(drawn_image(i)) for i in range(4)]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=200, lossless=True)
    source = open_source(tmp_path / name, fps=5)
    assert (source.frame_count, source.size, source.name) == (4, (48, 64), "a")
    assert levels(source) == [level(i) for i in range(4)]
    assert [frame.time for frame in source] == pytest.approx([0, 0.2, 0.4, 0.6])


def test_an_animation_among_images_is_reported(folder: Path) -> None:
    frames = [Image.fromarray(drawn_image(i)) for i in range(2)]
    frames[0].save(folder / "f3.webp", save_all=True, append_images=frames[1:], lossless=True)
    with pytest.raises(SourceError, match=r"f3\.webp: "):
        levels(open_source(folder))


def test_a_format_that_nobody_asked_for_is_not_opened(tmp_path: Path) -> None:
    """Pillow would hand it to Ghostscript."""
    Image.fromarray(drawn_image(0)).save(tmp_path / "a.eps")
    (tmp_path / "a.eps").replace(tmp_path / "a.png")
    with pytest.raises(SourceError):
        levels(open_source(tmp_path / "a.png"))


def ramp(top: int, size: tuple[int, int] = (32, 64)) -> np.ndarray:
    return np.linspace(0, top, size[0] * size[1]).reshape(size)


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_a_folder_of_deep_images_has_one_range(
    tmp_path: Path, bits: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second image is darker, and stays so."""
    top = 2**bits - 1
    for number, share in enumerate((1.0, 0.5)):
        values = (ramp(top) * share).astype(np.uint16)
        Image.fromarray(values).save(tmp_path / f"{number}.png")
    first, second = (frame.image for frame in open_source(tmp_path))
    expected = ramp(255)[..., None]
    assert np.abs(first - expected).max() <= 1
    assert np.abs(second - expected / 2).max() <= 1
    assert ("are shown as black to white" in capsys.readouterr().err) == (bits < 16)


def test_a_narrow_band_of_values_is_stretched(tmp_path: Path) -> None:
    """As of thermal cameras: 14 bits, of which a scene fills a few hundred values."""
    for number in range(2):
        Image.fromarray((7000 + ramp(600)).astype(np.uint16)).save(tmp_path / f"{number}.png")
    image = next(iter(open_source(tmp_path))).image
    assert np.abs(image - ramp(255)[..., None]).max() <= 1


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-2.0, 5.0), (0.0, 1000.0)])
def test_floats_are_mapped_by_their_range(tmp_path: Path, low: float, high: float) -> None:
    values = (low + ramp(1) * (high - low)).astype(np.float32)
    values[0, 1] = np.nan
    Image.fromarray(values).save(tmp_path / "a.tif")
    image = next(iter(open_source(tmp_path / "a.tif"))).image
    assert np.abs(image[1:] - 255 * ramp(1)[1:, :, None]).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_colour_of_12_bits_in_16_is_as_bright_as_it_was(tmp_path: Path, name: str) -> None:
    image = corners()
    cv2.imwrite(str(tmp_path / name), image[..., ::-1].astype(np.uint16) * 16)
    assert np.abs(read_image(tmp_path / name).astype(int) - image).max() <= 1


def test_pages_of_a_deep_stack_have_one_range(tmp_path: Path) -> None:
    pages = [Image.fromarray((ramp(4095) * share).astype(np.uint16)) for share in (1.0, 0.25)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    first, second = (frame.image for frame in open_source(tmp_path / "a.tif"))
    assert np.abs(first / 4.0 - second).max() <= 1
    assert first.max() == 255


def test_a_flat_deep_image_is_no_division_by_nothing() -> None:
    assert (
        Range.of([np.full((4, 4), 0, np.uint16)]).to_levels(np.zeros((4, 4), np.uint16), np.uint8).max() == 0
    )
    assert Range.of([np.full((4, 4), np.nan, np.float32)]).to_levels(np.zeros((1, 1)), np.uint8).max() == 0


def test_dead_and_hot_pixels_of_a_thermal_camera_do_not_widen_its_range() -> None:
    values = np.random.default_rng(0).integers(30000, 30600, (200, 200)).astype(np.uint16)
    values[:2, 0], values[:2, 1] = 0, 65535
    scale = Range.of([values])
    assert 30000 <= scale.black <= scale.white <= 30600
    values[:] = 500
    values[:2] = 65535
    assert Range.of([values]) == Range(0, 65535), "dark images with highlights stay as they are"


@pytest.mark.parametrize("mode", ["CMYK", "LA", "1", "YCbCr", "P"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    grey = Image.fromarray(np.full((8, 8, 3), 255, np.uint8)).convert(
        "L" if mode in ("PA", "LA", "1") else "RGB"
    )
    form = {"CMYK": "TIFF", "YCbCr": "JPEG", "HSV": None, "PA": None}.get(mode, "PNG")
    if form is None:
        pytest.skip("no file has it")
    data = io.BytesIO()
    grey.convert(mode).save(data, form)
    assert decode_image(data.getvalue(), "image").min() >= 253


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_images_are_turned_as_others(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = corners()[..., 0].astype(np.uint16) * 257
    Image.fromarray(values).save(tmp_path / "deep.tif", exif=exif)
    Image.fromarray((values >> 8).astype(np.uint8)).save(tmp_path / "plain.tif", exif=exif)
    scale = Range(0, 65535)
    assert np.array_equal(read_image(tmp_path / "deep.tif", scale), read_image(tmp_path / "plain.tif"))


def test_masks_beside_their_images_are_no_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(4):
        Image.fromarray(drawn_image(number)).save(tmp_path / f"{number}.jpg")
        if number < 3:
            Image.fromarray(np.zeros((48, 64), np.uint8)).save(tmp_path / f"{number}.png")
    source = open_source(tmp_path)
    assert [file.name for file in source.files] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert "3 files of the same names" in capsys.readouterr().err
    assert open_reader(tmp_path).count == 4


def test_images_and_others_of_the_same_names_are_refused(tmp_path: Path) -> None:
    for name in ("0.jpg", "0.png", "1.jpg", "2.png"):
        Image.fromarray(drawn_image(0)).save(tmp_path / name)
    with pytest.raises(SourceError):
        open_source(tmp_path)


def test_files_that_systems_leave_are_no_images(folder: Path) -> None:
    (folder / "._f1.png").write_bytes(bytes.fromhex("00051607"))
    assert open_source(folder).frame_count == 4
    assert open_source(f"{folder}/*.png").frame_count == 4


def test_a_frame_is_called_by_its_file_where_the_numbers_differ(tmp_path: Path) -> None:
    for number in (0, 5, 10):
        Image.fromarray(drawn_image(number)).save(tmp_path / f"{number:05d}.png")
    assert open_source(tmp_path).frame_label(1) == "00005.png (frame 1)"
    for number in (5, 10):
        (tmp_path / f"{number:05d}.png").rename(tmp_path / f"{number // 5:05d}.png")
    assert open_source(tmp_path).frame_label(1) == "1"


def test_a_folder_of_folders_names_them(tmp_path: Path) -> None:
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(drawn_image(0)).save(tmp_path / name / "0.png")
    with pytest.raises(SourceError, match=r"folders of them, cat, dog; .*segue batch"):
        open_source(tmp_path)


@pytest.mark.parametrize(("policy", "indices"), [("skip", [0, 1, 3]), ("hold", [0, 1, 2, 3])])
def test_one_image_on_its_side_is_passed_over_as_a_damaged_one(
    tmp_path: Path, policy: DamagePolicy, indices: list[int]
) -> None:
    for number in range(4):
        size = (64, 48) if number == 2 else (48, 64)
        Image.fromarray(drawn_image(number, size)).save(tmp_path / f"{number}.png")
    with pytest.raises(SourceDamageError, match=r"frame 2 \(2.png\) is 48x64.*on_damage=\"skip\""):
        list(open_source(tmp_path))
    source = open_source(tmp_path, on_damage=policy)
    with pytest.warns(DamageWarning, match="frame 2"):
        frames = list(source)
    assert [frame.index for frame in frames] == indices
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    assert source.damaged == 1


def numbered_images(folder: Path, names: list[str], *, exif: bool) -> None:
    """Images of rising levels that a camera took ten seconds apart."""
    folder.mkdir()
    for number, name in enumerate(names):
        image = Image.new("L", (16, 8), 10 * number)
        data = image.getexif()
        if exif:
            data.get_ifd(0x8769)[0x9003] = f"2026:05:01 10:00:{10 * number:02d}"
        image.save(folder / name, exif=data)
        time = 1e9 + 10 * number * (not exif)
        os.utime(folder / name, (time, time))


def values_of(source: Path | str) -> list[int]:
    return levels(open_source(source))


COUNTED = ["DSC_9998.jpg", "DSC_9999.jpg", "DSC_0001.jpg", "DSC_0002.jpg"]


@pytest.mark.parametrize("exif", [True, False])
def test_a_counter_that_ran_over_follows_the_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], exif: bool
) -> None:
    numbered_images(tmp_path / "card", COUNTED, exif=exif)
    for source in (tmp_path / "card", str(tmp_path / "card" / "*.jpg")):
        assert values_of(source) == pytest.approx([0, 10, 20, 30], abs=2)
        assert "from DSC_9999.jpg on to DSC_0001.jpg, as their times say" in capsys.readouterr().err
    assert [path.name for path in list_images(tmp_path / "card")] == COUNTED
    assert not capsys.readouterr().err


def test_a_counter_that_ran_over_without_times_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbered_images(tmp_path / "card", COUNTED, exif=False)
    for name in COUNTED:
        os.utime(tmp_path / "card" / name, (1e9, 1e9))
    assert values_of(tmp_path / "card") == pytest.approx([20, 30, 0, 10], abs=2)
    assert "no times say so; DSC_0001.jpg is the first frame" in capsys.readouterr().err


def test_a_whole_run_of_numbers_did_not_run_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbered_images(tmp_path / "card", [f"a{n}.jpg" for n in range(10)], exif=False)
    numbered_images(tmp_path / "steps", ["a000.jpg", "a333.jpg", "a666.jpg"], exif=False)
    assert values_of(tmp_path / "card") == pytest.approx([10 * n for n in range(10)], abs=2)
    assert values_of(tmp_path / "steps") == pytest.approx([0, 10, 20], abs=2)
    assert not capsys.readouterr().err


@pytest.mark.parametrize("copy", ["a {} (1).png", "a {}-1.png", "a {}_1.png", "a {} copy.png"])
def test_the_second_image_of_a_second_follows_the_first(tmp_path: Path, copy: str) -> None:
    names = [name for n in range(3) for name in (f"a {n}.png", copy.format(n))]
    numbered_images(tmp_path / "card", names, exif=False)
    assert values_of(tmp_path / "card") == [10 * n for n in range(6)]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("{}.tif", "{}_cp_masks.png"),
        ("{}.png", "{}_mask.png"),
        ("{}.jpg", "{}-gt.jpg"),
        ("{}.bmp", "{} alpha.tif"),
    ],
)
def test_masks_with_a_suffix_are_no_frames(
    tmp_path: Path, image: str, mask: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [form.format(f"a{n}") for n in range(3) for form in (image, mask)]
    numbered_images(tmp_path / "both", names, exif=False)
    assert values_of(tmp_path / "both") == pytest.approx([0, 20, 40], abs=2)
    assert "3 files of the same names are left out" in capsys.readouterr().err


def test_images_that_are_called_masks_alone_are_frames(tmp_path: Path) -> None:
    numbered_images(tmp_path / "masks", ["a0_mask.png", "a1_mask.png"], exif=False)
    assert values_of(tmp_path / "masks") == [0, 10]


def stack(path: Path, values: list[int], description: str) -> Path:
    pages = [Image.new("L", (16, 8), value) for value in values]
    pages[0].save(path, save_all=True, append_images=pages[1:], tiffinfo={270: description})
    return path


@pytest.mark.parametrize(
    ("values", "description", "expected", "text"),
    [
        ([1, 90, 2, 91, 3, 92], "ImageJ=1\nchannels=2\nframes=3\n", [1, 2, 3], "of the first channel"),
        ([1, 9, 5, 2, 9, 6], "ImageJ=1\nslices=3\nframes=2\n", [9, 9], "the brightest of 3 slices"),
        ([1, 3, 2, 4], '<OME DimensionOrder="XYTCZ" SizeC="2" SizeT="2" SizeZ="1">', [1, 3], "first channel"),
        ([1, 2, 3], "ImageJ=1\nslices=3\n", [1, 2, 3], ""),
        ([1, 2, 3], "ImageJ=1\nchannels=2\nframes=7\n", [1, 2, 3], ""),
    ],
)
def test_channels_and_slices_of_a_stack_are_no_frames(
    tmp_path: Path,
    values: list[int],
    description: str,
    expected: list[int],
    text: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert values_of(stack(tmp_path / "a.tif", values, description)) == expected
    said = capsys.readouterr().err
    assert text in said
    assert bool(text) == bool(said)
