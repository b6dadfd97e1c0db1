"""Frames in order and frames by index are the same, in number, order and time, whatever the file is like."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from segue.errors import SourceError
from segue.sinks import open_sinks
from segue.types import Segmentation
from segue.video import open_source
from segue.video.decoding.decode import EntryPoint
from segue.video.decoding.frame_index import FrameIndex
from segue.video.sources.opening import open_reader
from segue_web.video import Video
from tests.video.making import busy_images, drawn_image, write_video

GROUP = {"g": "10", "keyint_min": "10", "sc_threshold": "0", "crf": "20"}
SIZE = (48, 64)


def busy(count: int, seed: int = 0) -> list[np.ndarray]:
    return [np.roll(image, 7 * seed, 0) for image in busy_images(count, SIZE)]


def copied(source: Path, target: Path, shift: int, keep: Callable[[int], bool] = lambda _: True) -> Path:
    """The packets of a video in another file, their stamps moved by a number of frames, not encoded again."""
    options = {"avoid_negative_ts": "disabled"}
    with av.open(str(source)) as old, av.open(str(target), "w", container_options=options) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        ticks = round(1 / (stream.average_rate * stream.time_base))
        for number, packet in enumerate(old.demux(stream)):
            if packet.size and keep(number):
                packet.pts, packet.dts = packet.pts + shift * ticks, packet.dts + shift * ticks
                packet.stream = copy
                new.mux(packet)
    return target


def trimmed(folder: Path) -> Path:
    """Cut to the last 32 of 40 frames without encoding: the first 8 stay in the file and are not shown."""
    return copied(write(folder / "whole.mp4", 40, bf="2"), folder / "trimmed.mp4", -8)


def write(path: Path, count: int, seed: int = 0, **options: str) -> Path:
    return write_video(path, busy(count, seed), fps=25, options={**GROUP, **options})


def late(folder: Path) -> Path:
    return copied(write(folder / "whole.mp4", 40, bf="2"), folder / "late.mkv", 60)


def between_keys(folder: Path) -> Path:
    """From 4 frames before a key frame on, as a recorder cuts."""
    return copied(write(folder / "whole.ts", 40, bf="0"), folder / "cut.ts", 0, lambda number: number >= 6)


def two_recordings(folder: Path) -> Path:
    parts = [write(folder / f"{seed}.ts", 20, seed, bf="0").read_bytes() for seed in (0, 1)]
    path = folder / "joined.ts"
    path.write_bytes(b"".join(parts))
    return path


def raw(folder: Path) -> Path:
    return write_video(folder / "raw.h264", busy(40), fps=25, options={**GROUP, "bf": "2"}, format="h264")


def reordered_avi(folder: Path) -> Path:
    """AVI has stamps of decoding only, which are not in the order of the frames."""
    return write(folder / "b.avi", 40, bf="2")


def fragmented(folder: Path) -> Path:
    flags = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    return write_video(
        folder / "f.mp4", busy(40), fps=25, options={**GROUP, "bf": "2"}, container_options=flags
    )


def joined_cuts(folder: Path) -> Path:
    """Two cuts, the first of which lacks its last B-frames: two frames have one stamp."""
    whole = write(folder / "whole.mp4", 40, bf="2")
    path = folder / "cuts.mp4"
    with av.open(str(path), "w", container_options={"avoid_negative_ts": "disabled"}) as new:
        for part in range(2):
            with av.open(str(whole)) as old:
                stream = old.streams.video[0]
                copy = new.add_stream_from_template(stream) if part == 0 else new.streams.video[0]
                ticks = round(1 / (stream.average_rate * stream.time_base))
                for number, packet in enumerate(old.demux(stream)):
                    if packet.size and number < 22:
                        packet.pts, packet.dts = (at + 22 * part * ticks for at in (packet.pts, packet.dts))
                        packet.stream = copy
                        new.mux(packet)
    return path


def varying(folder: Path) -> Path:
    times = np.cumsum([0.04, 0.12, 0.08, 0.04] * 10).tolist()
    return write_video(folder / "v.mp4", busy(40), times=times, fps=25, options={**GROUP, "bf": "2"})


def animation(folder: Path, name: str) -> Path:
    first, *rest = [Image.fromarray(image) for image in busy(12)]
    options: dict[str, Any] = {"lossless": True} if name.endswith("webp") else {}
    first.save(folder / name, save_all=True, append_images=rest, duration=[40, 80] * 6, **options)
    return folder / name


def stack(folder: Path) -> Path:
    first, *rest = [Image.fromarray(image[..., 0].astype(np.uint16) * 16) for image in busy(6)]
    first.save(folder / "stack.tif", save_all=True, append_images=rest)
    return folder / "stack.tif"


def gif(folder: Path) -> Path:
    first, *rest = [Image.fromarray(image).quantize(64) for image in busy(12)]
    first.save(folder / "a.gif", save_all=True, append_images=rest, duration=80, loop=0)
    return folder / "a.gif"


KINDS: dict[str, tuple[Callable[[Path], Path], int]] = {
    "edit list": (trimmed, 32),
    "late start": (late, 40),
    "begins between key frames": (between_keys, 30),
    "two recordings": (two_recordings, 40),
    "raw H.264": (raw, 40),
    "AVI with B-frames": (reordered_avi, 40),
    "fragments": (fragmented, 40),
    "variable rate": (varying, 40),
    "joined cuts": (joined_cuts, 44),
    "WebP": (lambda folder: animation(folder, "a.webp"), 12),
    "APNG": (lambda folder: animation(folder, "a.png"), 12),
    "GIF": (gif, 12),
    "TIFF": (stack, 6),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int]:
    make, count = KINDS[request.param]
    return make(tmp_path), count


def test_frames_by_index_are_those_in_order(kind: tuple[Path, int]) -> None:
    path, count = kind
    expected = list(open_source(path))
    reader, video = open_reader(path), Video(path)

    assert len(expected) == reader.count == video.count == count
    times = [frame.time for frame in expected]
    assert reader.times() == pytest.approx(times, abs=1e-9)
    assert times[0] == 0
    assert times == sorted(set(times))
    order = random.Random(0).sample(range(count), min(count, 25))
    for index in [*order, count - 1, 0]:
        assert np.array_equal(reader.load(index).load(), expected[index].image), index
        assert video.time(index) == pytest.approx(times[index], abs=1e-9)


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="needs ffprobe")
def test_ffprobe_counts_the_same_frames(kind: tuple[Path, int]) -> None:
    path, count = kind
    if path.suffix in (".webp", ".tif"):
        pytest.skip("FFmpeg reads the first image only")
    words = "-v quiet -count_frames -select_streams v:0 -show_entries stream=nb_read_frames -of csv=p=0"
    found = subprocess.run(["ffprobe", *words.split(), path], capture_output=True, text=True, check=True)
    assert int(found.stdout.split()[0].strip(",")) == count


def test_a_stamp_of_two_frames_tells_neither() -> None:
    """As behind cuts that were joined without encoding: such frames are found by counting."""
    index = FrameIndex(np.array([0, 1, 3, 2, 3, 4]), np.arange(6) / 25, (EntryPoint(0),), is_complete=False)
    assert index.places == {0: 0, 1: 1, 2: 3, 4: 5}


def test_a_second_recording_goes_on_after_the_first(tmp_path: Path) -> None:
    frames = list(open_source(two_recordings(tmp_path)))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(40)], abs=1e-3)
    second = list(open_source(tmp_path / "1.ts"))
    assert np.array_equal(frames[25].image, second[5].image)


def test_a_start_in_the_second_recording_is_found(tmp_path: Path) -> None:
    path = two_recordings(tmp_path)
    expected = list(open_source(path))
    found = list(open_source(path, start=33))
    assert [frame.index for frame in found] == list(range(33, 40))
    assert np.array_equal(found[0].image, expected[33].image)


def test_times_of_a_varying_rate_are_those_of_the_file(tmp_path: Path) -> None:
    video = Video(varying(tmp_path))
    times = np.cumsum([0.04, 0.12, 0.08, 0.04] * 10)
    assert video.display()["times"] == pytest.approx((times - times[0]).tolist(), abs=1e-3)
    assert Video(trimmed(tmp_path)).display()["times"] is None


def test_a_cut_off_video_can_be_shown_up_to_its_end(tmp_path: Path) -> None:
    whole = fragmented(tmp_path)
    data = whole.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) * 6 // 10])
    expected = list(open_source(cut, on_damage="skip", warn=lambda _: None))
    reader = open_reader(cut)
    last = expected[-1].index
    assert 10 < last < 30
    assert np.array_equal(reader.load(last).load(), expected[-1].image)
    assert reader.count <= last + 2  # at most one that is lost


def test_a_late_start_is_no_damage(tmp_path: Path) -> None:
    """Matroska counts its duration from time 0, not from its first frame."""
    assert len(list(open_source(late(tmp_path)))) == 40


@pytest.mark.parametrize("suffix", ["mp3", "m4a"])
def test_sound_with_a_cover_is_no_video(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"song.{suffix}"
    cover = tmp_path / "cover.png"
    Image.fromarray(drawn_image(1)).save(cover)
    codec, form = ("libmp3lame", "mp3") if suffix == "mp3" else ("aac", "mp4")
    with av.open(str(cover)) as images, av.open(str(path), "w", format=form) as container:
        sound = container.add_stream(codec, rate=44100)
        picture = container.add_stream_from_template(images.streams.video[0])
        try:
            picture.disposition = 0x400
        except AttributeError:
            pytest.skip("this PyAV cannot attach covers")
        container.start_encoding()
        packet = next(images.demux(video=0))
        packet.stream, packet.pts, packet.dts = picture, 0, 0
        container.mux(packet)
        for index in range(20):
            wave = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            wave.sample_rate, wave.pts, wave.time_base = 44100, 1024 * index, Fraction(1, 44100)
            container.mux(sound.encode(wave))
        container.mux(sound.encode(None))
    with pytest.raises(SourceError, match=rf"song\.{suffix}: has no video"):
        open_source(path)


def test_the_overlay_keeps_the_shape_of_wide_pixels(tmp_path: Path) -> None:
    wide = tmp_path / "wide.mp4"
    with av.open(str(wide), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(64, 45)
        for image in busy(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    source = open_source(wide)
    assert source.pixel_aspect == Fraction(64, 45)
    assert source.size == SIZE

    outputs = open_sinks(tmp_path / "out", ["overlay", "png"], source)
    with outputs.sink as sink:
        for frame in source:
            sink.write(frame, Segmentation(frame.index, frame.time, np.zeros(frame.size, np.uint8), ()))
    with av.open(str(outputs.paths["overlay"])) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(64, 45)
    with Image.open(outputs.paths["png"] / "00000.png") as mask:
        assert mask.size == SIZE[::-1]
    assert Video(wide).display()["pixel_aspect"] == pytest.approx(64 / 45)
