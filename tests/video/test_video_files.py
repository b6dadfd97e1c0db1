"""Video files: true times, upright images, every pixel format, and what happens when they are damaged."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from segue.errors import SourceError
from segue.video import DamageWarning, Source, open_source
from segue.video.decoding.decode import turn_upright
from segue.video.sources.opening import open_reader
from tests.video.making import busy_images, corners, drawn_image, level, write_video


def levels(source: Source) -> list[int]:
    return [round(float(frame.image.mean())) for frame in source]


def test_a_video_gives_its_frames_times_and_facts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "walk.mp4", [drawn_image(i) for i in range(12)])
    with open_source(path) as source:
        frames = list(source)
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 10)
    assert [round(float(f.image.mean())) for f in frames] == pytest.approx(
        [level(i) for i in range(12)], abs=3
    )
    assert (source.name, source.frame_count, source.size) == ("walk", 12, (48, 64))
    assert source.fps == pytest.approx(10)


def test_leaving_a_video_early_stops_its_thread(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [drawn_image(i) for i in range(30)])
    with open_source(path) as source:
        frames = iter(source)
        next(frames)
        assert "segue-prefetch" in {thread.name for thread in threading.enumerate()}
    assert "segue-prefetch" not in {thread.name for thread in threading.enumerate()}
    assert list(frames) == []
    assert len(list(source)) == 30


def test_variable_frame_rate_keeps_true_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.6, 0.61, 1.5]
    path = write_video(tmp_path / "vfr.mkv", [drawn_image(i) for i in range(6)], times=times)
    assert [frame.time for frame in open_source(path)] == pytest.approx(times, abs=1e-3)
    assert [frame.index for frame in open_source(path, start="0.12s", end=0.61)] == [2, 3]


def test_the_clock_of_a_dv_tape_is_not_its_frame_rate(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "tape.dv"), "w") as container:
        stream = container.add_stream("dvvideo", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        for _ in range(3):
            image = av.VideoFrame.from_ndarray(np.zeros((576, 720, 3), np.uint8))
            container.mux(stream.encode(image.reformat(format="yuv420p")))
        container.mux(stream.encode())
    source = open_source(tmp_path / "tape.dv")
    assert [frame.time for frame in source] == pytest.approx([0, 0.04, 0.08])
    assert source.fps == pytest.approx(25)


def test_start_end_stride_and_max_size_apply_to_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", [drawn_image(i) for i in range(20)])
    source = open_source(path, start=3, end="1.5s", stride=4, max_size=32)
    frames = list(source)
    assert [frame.index for frame in frames] == [3, 7, 11]
    assert [round(float(f.image.mean())) for f in frames] == pytest.approx(
        [level(i) for i in (3, 7, 11)], abs=3
    )
    assert {frame.size for frame in frames} == {(24, 32)} == {source.size}
    assert source.original_size == (48, 64)
    assert source.frame_count == 3


@pytest.mark.skipif(
    not hasattr(av.video.stream.VideoStream, "set_display_rotation"),
    reason="this PyAV cannot write rotations",
)
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotation_metadata_turn_the_image_counterclockwise(tmp_path: Path, turns: int) -> None:
    path = write_video(tmp_path / "r.mp4", [corners()] * 2, rotation=90 * turns)
    source = open_source(path)
    image = next(iter(source)).image
    expected = np.rot90(corners(), turns)
    assert source.size == image.shape[:2] == expected.shape[:2]
    inner = (slice(4, 20), slice(4, 20))
    assert np.abs(image[inner].astype(int) - expected[inner]).max() < 12


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[1, 0], [0, 1]], lambda image: image),
        ([[0, 1], [-1, 0]], lambda image: np.rot90(image, -1)),
        ([[-1, 0], [0, -1]], lambda image: np.rot90(image, 2)),
        ([[0, -1], [1, 0]], lambda image: np.rot90(image, 1)),
        ([[-1, 0], [0, 1]], np.fliplr),
        ([[1, 0], [0, -1]], np.flipud),
        ([[0, 1], [1, 0]], lambda image: image.transpose(1, 0, 2)),
        ([[0, -1], [-1, 0]], lambda image: np.rot90(image, 2).transpose(1, 0, 2)),
    ],
)
def test_a_display_matrix_turns_and_mirrors(matrix: list[list[int]], expected: object) -> None:
    image = corners((6, 8))
    fixed = np.zeros((3, 3), np.int32)
    fixed[:2, :2] = np.array(matrix) * 65536
    assert np.array_equal(turn_upright(image, fixed), expected(image))


@pytest.mark.parametrize(
    ("codec", "pixels", "suffix"),
    [
        ("libx264", "yuv420p10le", "mkv"),
        ("libx264", "yuv444p", "mp4"),
        ("ffv1", "gray", "mkv"),
        ("ffv1", "gray16le", "mkv"),
        ("ffv1", "bgr0", "mkv"),
        ("mjpeg", "yuvj420p", "avi"),
    ],
)
def test_every_pixel_format_gives_the_same_colours(
    tmp_path: Path, codec: str, pixels: str, suffix: str
) -> None:
    options = {"qp": "8"} if codec == "libx264" else {}
    path = tmp_path / f"a.{suffix}"
    indices = range(0, 12, 3)
    write_video(path, [drawn_image(i) for i in indices], codec=codec, pixels=pixels, options=options)
    assert levels(open_source(path)) == pytest.approx([level(i) for i in indices], abs=3)


def write_deep_video(path: Path, images: list[np.ndarray], pixels: str) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=10)
        (stream.height, stream.width), stream.pix_fmt = images[0].shape[:2], pixels
        for index, image in enumerate(images):
            form = "gray16le" if image.ndim == 2 else "rgb48le"
            frame = av.VideoFrame.from_ndarray(image.astype(np.uint16), form)
            frame.pts = index
            container.mux(stream.encode(frame.reformat(format=pixels)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("pixels", ["gray16le", "gray12le", "gbrp16le"])
def test_a_film_of_more_bits_has_the_range_of_its_values_as_a_folder(
    tmp_path: Path, pixels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thermal camera uses one percent of 16 bits; frames of a greater range are spread over the film."""
    rng = np.random.default_rng(0)
    images = [30000 + rng.integers(0, 256, (48, 64)) * (2 + index // 10) for index in range(40)]
    (tmp_path / "folder").mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image.astype(np.uint16)).save(tmp_path / "folder" / f"{index:02}.png")
    if pixels == "gbrp16le":
        images = [np.repeat(image[..., None], 3, 2) for image in images]
    source = open_source(write_deep_video(tmp_path / "a.mkv", images, pixels))
    assert "are shown as black to white, in all images" in capsys.readouterr().err
    folder = open_source(tmp_path / "folder")
    exact = 5 if pixels == "gray12le" else 0  # 12 bits have steps of three levels
    for frame, image in zip(source, folder, strict=True):
        assert np.abs(frame.image.astype(int) - image.image).max() <= exact
    assert np.array_equal(open_reader(tmp_path / "a.mkv").load(7).load(), list(source)[7].image)


@pytest.mark.parametrize("pixels", ["gray16le", "gray10le", "gbrp10le"])
def test_a_film_that_uses_its_range_is_shown_as_it_is(
    tmp_path: Path, pixels: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ramp = np.tile(np.linspace(0, 65535, 64), (48, 1))
    images = [ramp if pixels.startswith("gray") else np.repeat(ramp[..., None], 3, 2)] * 3
    source = open_source(write_deep_video(tmp_path / "a.mkv", images, pixels))
    assert np.abs(next(iter(source)).image[..., 0] - ramp / 257).max() <= 2
    assert not capsys.readouterr().err


def test_colours_follow_the_matrix_that_the_file_names(tmp_path: Path) -> None:
    """A pure red in BT.709 read as BT.601 would gain about 20 levels of green (ITU-R BT.709 and BT.601)."""
    path = tmp_path / "red.mkv"
    red = np.zeros((48, 64, 3), np.uint8)
    red[..., 0] = 200
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv444p"
        stream.codec_context.colorspace = 1
        frame = av.VideoFrame.from_ndarray(red, format="rgb24")
        container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace="ITU709")))
        container.mux(stream.encode(None))
    image = next(iter(open_source(path))).image
    assert np.abs(image.astype(int) - red).max() <= 6


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError):
        open_source(tmp_path / "nowhere.mp4")


@pytest.mark.parametrize("name", ["notes.txt", "movie.nfo", "log.ans"])
def test_a_text_is_no_film_though_ffmpeg_draws_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("hello\n" * 200)
    with pytest.raises(SourceError, match="is a text, not a video"):
        open_source(tmp_path / name)


@pytest.mark.parametrize("content", [b"", b"hello world\n" * 100, bytes(5000)])
def test_files_that_are_no_videos_are_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"notes\.mp4: ") as error:
        open_source(path)
    assert "\n" not in str(error.value)


def test_a_video_without_images_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(SourceError):
        open_source(path)


def test_a_video_of_zero_frames_is_refused(tmp_path: Path) -> None:
    path = write_video(tmp_path / "zero.mkv", [])
    with pytest.raises(SourceError):
        open_source(path)


def cut(path: Path, share: float) -> Path:
    data = path.read_bytes()
    short = path.with_name(f"cut_{path.name}")
    short.write_bytes(data[: int(len(data) * share)])
    return short


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_a_truncated_video_gives_the_frames_before_the_damage_then_says_where(
    tmp_path: Path, suffix: str
) -> None:
    container_options = {"movflags": "+faststart"} if suffix == "mp4" else {}
    codec = "mpeg4" if suffix == "avi" else "libx264"
    whole = write_video(
        tmp_path / f"a.{suffix}",
        busy_images(40),
        codec=codec,
        options={},
        container_options=container_options,
    )
    expected = [frame.image for frame in open_source(whole)]
    seen = []
    with pytest.raises(SourceError, match=rf"cut_a\.{suffix}: .*frame \d+.*frames read before it: \d+"):
        seen.extend(open_source(cut(whole, 0.6)))
    assert 5 <= len(seen) < 40
    for frame, image in zip(seen, expected, strict=False):
        assert np.array_equal(frame.image, image)
    held = list(open_source(whole.with_name(f"cut_a.{suffix}"), on_damage="hold", warn=lambda _: None))
    assert [frame.index for frame in held[: len(seen) + 1]] == list(range(len(seen) + 1))


@pytest.fixture
def scratched(tmp_path: Path) -> Path:
    """A video of images that stand alone, of which frame 6 is destroyed."""
    path = write_video(tmp_path / "a.avi", busy_images(12), codec="mpeg4", options={"g": "1"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    position, size = packets[6]
    data[position + 8 : position + size] = b"\xff" * (size - 8)  # all but the start
    path.write_bytes(data)
    return path


def test_damage_in_the_middle_can_be_skipped(scratched: Path) -> None:
    with pytest.warns(DamageWarning, match="frame 6 is damaged; skipped"):
        indices = [frame.index for frame in open_source(scratched, on_damage="skip")]
    assert indices == [0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11]


def test_damage_in_the_middle_can_be_held(scratched: Path) -> None:
    messages: list[str] = []
    frames = list(open_source(scratched, on_damage="hold", warn=messages.append))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time for frame in frames] == pytest.approx(np.arange(12) / 10)
    assert np.array_equal(frames[6].image, frames[5].image)
    assert messages == [f"{scratched}: frame 6 is damaged; the frame before it is repeated"]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_memory_does_not_grow_with_the_frames_read(tmp_path: Path) -> None:
    """Frames must be freed when they are passed, without help of the garbage collector."""
    path = write_video(
        tmp_path / "a.mkv", [drawn_image(0, (720, 1280))] * 80, options={"preset": "ultrafast"}
    )
    gc.collect()
    gc.disable()
    try:
        sizes = [resident_megabytes() for _ in open_source(path, prefetch=0)]
        for _ in range(20):
            next(iter(open_source(path, prefetch=0)))
        sizes.append(resident_megabytes())
    finally:
        gc.enable()
    assert sizes[79] - sizes[20] < 15  # a leak would keep 60 frames of 1.4 MB at least
    assert sizes[80] - sizes[20] < 30  # and 40 more by opening


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_a_title_that_is_not_utf_8_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Gruesse"
        stream = container.add_stream("libx264", rate=10)
        stream.height, stream.width = 48, 64
        for index in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(drawn_image(index), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"Gruesse" in content
    path.write_bytes(content.replace(b"Gruesse", b"Gr\xfc\xdfe !"))
    assert len(list(open_source(path))) == 3
