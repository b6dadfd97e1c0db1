"""Errors of many libraries that mean one thing: memory ran out."""

from __future__ import annotations

import errno
import pickle

import av
import cv2
import numpy as np
import pytest
import torch

from segue.errors import OutOfMemoryError, SinkError, SourceError, TrainingError, memory_error, memory_errors

HUGE = 1 << 50


def numpy_array() -> None:
    np.empty(HUGE, np.uint8)


def tensor() -> None:
    torch.empty(HUGE, dtype=torch.uint8)


def opencv() -> None:
    raise cv2.error(
        "OpenCV(4.11.0) alloc.cpp:73: error: (-4:Insufficient memory) Failed to allocate 8000000 bytes"
    )


def gpu() -> None:
    raise torch.OutOfMemoryError(
        "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has a total capacity of"
    )


def ffmpeg() -> None:
    raise av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory")


def system() -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


def thread() -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize(
    ("fails", "needed"),
    [
        (numpy_array, "1125899907 MB"),
        (tensor, "1125899907 MB"),
        (opencv, "8 MB"),
        (gpu, "21475 MB"),
        (ffmpeg, None),
        (system, None),
        (thread, None),
    ],
)
def test_every_library_that_runs_out_of_memory_is_understood(fails: object, needed: str | None) -> None:
    assert callable(fails)
    with (
        pytest.raises(OutOfMemoryError, match=r"^out of memory.*; take less$") as found,
        memory_errors("take less"),
    ):
        fails()
    assert ("needed about" in str(found.value)) == (needed is not None)
    assert needed is None or needed in str(found.value)


def blamed_on_a_file(*, hide: bool) -> None:
    try:
        np.empty(HUGE, np.uint8)
    except MemoryError as error:
        raise SinkError("overlay.mp4: cannot be written") from (None if hide else error)


@pytest.mark.parametrize("hide", [True, False])
def test_an_error_that_hides_one_of_memory_is_understood(hide: bool) -> None:
    with pytest.raises(SinkError) as found:
        blamed_on_a_file(hide=hide)
    assert memory_error(found.value) is not None


def test_errors_other_than_memory_are_unchanged() -> None:
    for error in (
        SourceError("dog.mp4: cannot allocate memory"),
        TrainingError("a process was killed, probably out of memory"),
        RuntimeError("shapes differ"),
        OSError(errno.ENOSPC, "no space"),
        ValueError("out of memory"),
    ):
        assert memory_error(error) is None
        with pytest.raises(type(error)) as found, memory_errors():
            raise error
        assert found.value is error


def test_the_advice_of_who_knows_most_is_kept_and_errors_pass_between_processes() -> None:
    raised = pytest.raises(OutOfMemoryError)
    with raised as found, memory_errors("outside"), memory_errors("resume"), memory_errors():
        tensor()
    again = pickle.loads(pickle.dumps(found.value))
    assert str(again) == str(found.value) == "out of memory (needed about 1125899907 MB more); resume"
