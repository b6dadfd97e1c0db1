"""Videos that segue writes have the sound of their source, at the moments that they show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest

import segue
from segue.types import ObjectInfo, Segmentation
from tests.cli.running import Command

FPS, RATE, SECONDS = 10, 48_000, 7
SIZE = (48, 64)

SOURCES = {
    "phone.mp4": ("aac", "mono"),
    "music.mp4": ("mp3", "stereo"),
    "camera.mov": ("pcm_s16le", "mono"),
    "old.avi": ("pcm_mulaw", "mono"),
    "dvr.ts": ("mp2", "stereo"),
    "screen.webm": ("libopus", "stereo"),
}
"""Videos as devices write them: codec and layout of the sound."""


def pitch(second: int) -> int:
    return 400 * (1 + second)


def film(path: Path, codec: str = "aac", layout: str = "mono", begin: float = 0.0) -> Path:
    """A video of seven seconds; each second has a tone of its own. Its stamps start at ``begin``."""
    seconds = np.arange(SECONDS * RATE) / RATE
    tone = 0.3 * np.sin(2 * np.pi * np.array([pitch(int(second)) for second in seconds]) * seconds)
    pixels = {".webm": "libvpx"}.get(path.suffix, "libx264")
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(pixels, rate=FPS)
        video.height, video.width = SIZE
        video.pix_fmt = "yuv420p"
        sound: Any = container.add_stream(codec, rate=RATE)
        sound.layout = layout
        resampler = av.AudioResampler(sound.format, layout, RATE, sound.frame_size or 1024)
        raw = av.AudioFrame.from_ndarray(tone.astype(np.float32)[None], "fltp", "mono")
        raw.sample_rate, raw.pts = RATE, round(begin * RATE)
        packets = []
        for index in range(SECONDS * FPS):
            image = np.full((*SIZE, 3), 3 * index, np.uint8)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = index + round(begin * FPS)
            packets += video.encode(frame)
        packets += video.encode(None)
        for part in [*resampler.resample(raw), *resampler.resample(None)]:
            packets += sound.encode(part)
        packets += sound.encode(None)
        for packet in sorted(packets, key=lambda each: each.dts * each.time_base):
            container.mux(packet)
    return path


def heard(path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]:
    """Times and samples of the sound of a video, as a decoder gives them."""
    with av.open(str(path)) as container:
        times, samples = [], []
        for frame in container.decode(audio=0):
            values = frame.to_ndarray()
            channels = 1 if frame.format.is_planar else len(frame.layout.channels)
            values = (values if frame.format.is_planar else values.reshape(-1, channels).T)[0]
            values = values / np.iinfo(values.dtype).max if values.dtype.kind == "i" else values
            times.append(frame.time + np.arange(len(values)) / frame.sample_rate)
            samples.append(values.astype(np.float32))
        return np.concatenate(times), np.concatenate(samples)


def pitch_at(path: Path, second: float) -> float:
    """The strongest frequency of half a second of the sound."""
    times, samples = heard(path)
    part = samples[(times >= second) & (times < second + 0.5)]
    assert len(part) > 10_000, f"no sound at {second} s"
    strengths = np.abs(np.fft.rfft(part * np.hanning(len(part))))
    return float(strengths.argmax() / (len(part) / RATE))


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return container.streams.audio[0].codec_context.codec.canonical_name


def results(first: int = 0, last: int = SECONDS * FPS) -> Iterator[Segmentation]:
    mask = np.zeros(SIZE, np.uint8)
    mask[10:20, 10:30] = 1
    for index in range(first, last):
        yield Segmentation(index, index / FPS, mask, (ObjectInfo(1),))


@pytest.mark.parametrize("name", SOURCES)
def test_a_written_video_has_the_sound_of_its_source(tmp_path: Path, name: str) -> None:
    source = film(tmp_path / name, *SOURCES[name])
    formats = ["overlay", "prores", "webm"]
    paths = segue.save(results(), tmp_path / "out", formats=formats, source=str(source))
    for path in paths.values():
        for second in (0, 3, SECONDS - 1):
            assert pitch_at(path, second + 0.25) == pytest.approx(pitch(second), abs=5), path
        assert heard(path)[0][-1] == pytest.approx(SECONDS, abs=0.1)
    kept = codec_of(source)
    copied = {"overlay": {"aac", "mp3", "opus"}, "prores": {"aac", "mp3", "pcm_s16le"}, "webm": {"opus"}}
    for form, codecs in copied.items():
        assert (codec_of(paths[form]) == kept) == (kept in codecs), "copied where players know it"


@pytest.mark.parametrize("begin", [0.0, 5.0])
@pytest.mark.parametrize("first", [11, 50])
def test_a_part_of_a_video_has_the_sound_of_that_part(tmp_path: Path, first: int, begin: float) -> None:
    source = segue.open_source(str(film(tmp_path / "a.mp4", begin=begin)), start=first, end=first + 10)
    paths = segue.save(
        results(first, first + 10), tmp_path / "out", formats=["overlay", "prores"], source=source
    )
    for path in paths.values():
        with av.open(str(path)) as container:
            shown = float(next(container.decode(video=0)).time)
        times, _ = heard(path)
        assert times[0] == pytest.approx(shown, abs=0.1)
        assert times[-1] == pytest.approx(shown + 1, abs=0.1)
        for moment in (0.1, 0.4):
            second = (first / FPS) + moment
            wanted = {pitch(int(second)), pitch(int(second + 0.5))}
            assert round(pitch_at(path, shown + moment) / 100) * 100 in wanted


def test_frames_that_are_left_out_leave_the_sound_at_its_moment(tmp_path: Path) -> None:
    source = segue.open_source(str(film(tmp_path / "a.mp4")), stride=5)
    every = [each for each in results() if each.index % 5 == 0]
    path = segue.save(every, tmp_path / "o.mp4", source=source)["overlay"]
    for second in (0, 3, SECONDS - 1):
        assert pitch_at(path, second + 0.25) == pytest.approx(pitch(second), abs=5)
    assert heard(path)[0][-1] == pytest.approx(SECONDS, abs=0.1)


def test_sound_is_left_out_on_request(tmp_path: Path, command: Command) -> None:
    source = film(tmp_path / "a.mp4")
    segue.save(results(), tmp_path / "o.mp4", source=str(source), sound=False)
    words = ("--model", "median", "--format", "overlay", "-q", "--end", "9")
    assert command("foreground", source, *words, "--no-sound", "-o", "quiet").code == 0
    assert command("foreground", source, *words, "-o", "loud").code == 0
    counts = []
    for path in (tmp_path / "o.mp4", Path("quiet/overlay.mp4"), Path("loud/overlay.mp4")):
        with av.open(str(path)) as container:
            counts.append(len(container.streams.audio))
    assert counts == [0, 0, 1]


def test_sound_that_is_cut_off_ends_earlier(tmp_path: Path) -> None:
    """Half of a transport stream is left: the video goes on as far as it can be read."""
    source = film(tmp_path / "a.ts", "mp2", "stereo")
    data = bytearray(source.read_bytes())
    data[len(data) // 2 :] = b""
    source.write_bytes(data)
    with segue.open_source(str(source), on_damage="skip") as video:
        count = sum(1 for _ in video)
    path = segue.save(results(0, count), tmp_path / "o.mp4", source=str(source))["overlay"]
    assert 2 < heard(path)[0][-1] <= count / FPS + 0.2


def test_conversions_have_sound_as_well(tmp_path: Path, command: Command) -> None:
    source = film(tmp_path / "a.mp4")
    masks = segue.save(results(), tmp_path / "masks", source=str(source))["png"]
    run = command("data", "convert", masks, tmp_path / "o.mov", "--format", "prores", "--video", source)
    assert run.code == 0, run.err
    assert pitch_at(tmp_path / "o.mov", 3.25) == pytest.approx(pitch(3), abs=5)
