"""A process that forks after it has read a video: neither of the two waits for ever.

FFmpeg decodes in threads, which a fork does not have; closing a decoder waits for them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader, Dataset

import segue
from segue.utils.cache import ASSETS
from tests.cli.forked import start_forked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes fork on Linux and macOS alone")

VIDEO = ASSETS / "sample" / "video.mp4"

LEFT_OPEN = """
import gc, os, sys
import segue
from segue.errors import SourceError

gc.disable()  # what is in a reference cycle stays
source = segue.open_source(sys.argv[1], prefetch=int(sys.argv[2]))
expected = [int(frame.image.sum()) for frame in source]
seventh, sources = int(source.frame(7).image.sum()), []
iterated = iter(source)
next(iterated)
other = segue.open_source(sys.argv[1])
other.frame(9)
assert seventh == expected[7]

child = os.fork()
if not child:
    try:
        next(iterated)
    except SourceError as error:
        assert "begin one of its own" in str(error), error
    else:
        raise AssertionError("an iteration of the parent went on")
    del iterated, other  # what the parent has opened
    gc.collect()
    assert int(source.frame(7).image.sum()) == seventh
    assert [int(frame.image.sum()) for frame in source] == expected
    source.close()
    gc.collect()
    sys.exit(0)  # the interpreter ends, and with it what it has inherited
status = os.waitpid(child, 0)[1]
assert [int(frame.image.sum()) for frame in iterated] == expected[1:], "the parent goes on"
assert int(source.frame(7).image.sum()) == seventh
sys.exit(os.waitstatus_to_exitcode(status))
"""


class Frames(Dataset[int]):
    """The sum of each frame of a video."""

    def __init__(self) -> None:
        self.source = segue.open_source(VIDEO)

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> int:
        return int(self.source.frame(index).image.sum())


def read_in_workers() -> None:
    """Read a video, then read it in processes that are forked from this one."""
    frames = Frames()
    expected = [frames[index] for index in range(len(frames))]
    loader = DataLoader(frames, batch_size=4, num_workers=2, multiprocessing_context="fork")
    assert [number for batch in loader for number in batch.tolist()] == expected


CLOSED = """
import gc, os, sys
import segue

gc.disable()
segue.open_source(sys.argv[1])
before = len(os.listdir("/proc/self/task"))
for _ in range(3):
    source = segue.open_source(sys.argv[1])
    source.frame(7)
    assert len(os.listdir("/proc/self/task")) > before, "it decodes in threads"
    del source
    assert len(os.listdir("/proc/self/task")) == before
"""


def ran(program: str, *words: object) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-c", program, *map(str, words)]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("prefetch", [0, 4])
def test_a_fork_leaves_what_its_parent_has_opened_alone(prefetch: int) -> None:
    ran(LEFT_OPEN, VIDEO, prefetch)


def test_workers_read_frames_after_their_parent_has() -> None:
    done = start_forked(read_in_workers)()
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted on Linux")
@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one core decodes in one thread")
def test_a_source_that_nobody_has_any_more_is_closed() -> None:
    ran(CLOSED, VIDEO)


STACK = """
import os, sys
import segue

source = segue.open_source(sys.argv[1])
expected = [source.frame(index).image[0, 0].tolist() for index in range(60)]
source.frame(30)
file = source._reader._open._fp.fileno()
position = os.lseek(file, 0, os.SEEK_CUR)
child = os.fork()
if not child:
    os._exit([source.frame(index).image[0, 0].tolist() for index in range(40, 50)] != expected[40:50])
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert os.lseek(file, 0, os.SEEK_CUR) == position, "the child reads a file of its own"
"""

HELD = """
import os, threading
import numpy as np
import segue
from tests.nearest_mask import NearestMask, images, mask_of

video = segue.Video(images(4), model=NearestMask(), device="cpu")
video.add(0, masks={1: mask_of([0], 0)})
reading, going_on = threading.Event(), threading.Event()
walk = video.source.walk

def waiting(start, stop):
    reading.set()
    assert going_on.wait(60)
    return walk(start, stop)

video.source.walk = waiting
thread = threading.Thread(target=lambda: list(video.propagate()))
thread.start()
assert reading.wait(60)
child = os.fork()  # while another thread tracks
if not child:
    video.source.walk = walk
    os._exit(0 if [result.index for result in video.propagate()] == [0, 1, 2, 3] else 1)
code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
going_on.set()
thread.join()
assert code == 0, code
"""


def test_forks_read_the_pages_of_a_stack_apart(tmp_path: Path) -> None:
    pages = [Image.fromarray(np.full((64, 64), number * 4, np.uint8)) for number in range(60)]
    pages[0].save(tmp_path / "stack.tif", save_all=True, append_images=pages[1:])
    ran(STACK, tmp_path / "stack.tif")


def test_a_fork_may_use_what_another_thread_of_its_parent_uses() -> None:
    ran(HELD)
