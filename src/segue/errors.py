"""Errors that speak to the person who runs segue.

Every error that a user can cause or repair derives from :class:`SegueError`; the command line prints its
message on one line and exits with code 2. Anything else is a defect of segue and keeps its traceback.
"""

from __future__ import annotations

import errno
import mmap
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class SegueError(Exception):
    """Base of all errors with a message for the user: the problem, its place, and the solution.

    Attributes:
        exit_status: exit code of a command that ends with it.
    """

    exit_status = 2


class SeveralProblemsError(SegueError):
    """Several mistakes, as of a file of settings; the command line prints each on a line.

    Args:
        problems: one text each.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


class ArgumentError(SegueError, ValueError):
    """An argument of a function that has the wrong type, layout or range; the message names the argument."""


class SourceError(SegueError):
    """A video, image folder, camera or array that cannot be read."""


class LoginRefusedError(SourceError):
    """A camera or server that refuses user and password; more tries may lock the account."""


class UnusableImageError(SourceError):
    """An image that is not damaged and yet cannot be taken: it is too large, not there, or elsewhere."""


class SourceDamageError(SourceError):
    """A frame cannot be read and the run stops at damage; earlier frames are good."""


class SinkError(SegueError):
    """A result that cannot be written: no permission, full disk, existing output."""


class UndeliveredError(SegueError):
    """Some events did not reach their receiver; all results are written."""

    exit_status = 3


class PromptError(SegueError):
    """A mask, box or point that does not fit the frame or the model."""


class CheckpointError(SegueError):
    """A weight file that is missing, unsafe, damaged or of another network."""


class ResumeError(SinkError, CheckpointError):
    """An interrupted run that cannot be resumed: another source, other weights or settings, damage."""


class DatasetError(SegueError):
    """A data set whose files are missing or do not belong together."""


class TrainingError(SegueError):
    """A training cannot start or continue: missing package, invalid settings, or infinite loss."""


class MissingExtraError(SegueError, ImportError):
    """A module whose packages an optional part of segue installs; the message has the command."""


class FlowError(SegueError):
    """Optical flow that cannot be computed: a provider that is unknown, or that lacks a package or a file."""


class DownloadError(SegueError):
    """A file cannot be downloaded, or differs from the published one."""


class OutOfMemoryError(SegueError, MemoryError):
    """Memory of the processor or a GPU ran out; earlier saves are good.

    Args:
        needed: missing amount, in words; empty if unknown.
        advice: advice for the user.
    """

    def __init__(self, needed: str = "", advice: str = "") -> None:
        super().__init__(needed, advice)
        self.needed, self.advice = needed, advice

    def __str__(self) -> str:
        needed, advice = self.needed and f" ({self.needed})", self.advice and f"; {self.advice}"
        return f"out of memory{needed}{advice}"


_OUT_OF_MEMORY = re.compile(
    r"out of memory|can(?:no|')t allocate|unable to allocate|failed to allocate|not enough memory|bad_alloc"
    r"|ALLOC_FAILED|can't start new thread|failed to map segment|could not (?:create|execute) a primitive",
    re.IGNORECASE,
)
_AMOUNT = re.compile(r"allocate (\d+(?:\.\d+)?) ?(bytes|[KMGTP])")
_BYTES = {"bytes": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_LIBRARIES = ("cv2", "av.error")

ROOM = 256 << 20
"""If so many bytes can be allocated, an error has another cause than memory."""


def memory_is_short(room: int = ROOM) -> bool:
    """Whether the process cannot allocate ``room`` more bytes.

    FFmpeg gives no reason for what it cannot do then, and Python itself may fail in odd ways.

    Args:
        room: bytes to try; they are freed at once.

    Returns:
        True if the allocation fails.
    """
    try:
        mmap.mmap(-1, room).close()
    except OSError:
        return True
    return False


def memory_error(error: BaseException, advice: str = "") -> OutOfMemoryError | None:
    """Return OutOfMemoryError if an error or one of its causes means that memory ran out.

    NumPy, PyTorch, OpenCV, PyAV and the system each have errors of their own for it.

    Args:
        error: any error.
        advice: advice, if the error has none.

    Returns:
        The error in our words; None if it means something else.
    """
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OutOfMemoryError):
            return OutOfMemoryError(cause.needed, cause.advice or advice)
        if _means_memory(cause):
            amount = _AMOUNT.search(str(cause))
            megabytes = 0.0 if amount is None else float(amount[1]) * _BYTES[amount[2]] / 1e6
            return OutOfMemoryError(f"needed about {megabytes:.0f} MB more" if megabytes >= 1 else "", advice)
        cause = cause.__cause__ or cause.__context__
    return None


def _means_memory(error: BaseException) -> bool:
    """Whether an error itself says that memory ran out."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    if isinstance(error, SegueError):  # it may speak of memory in another way
        return False
    is_indirect = type(error).__module__ == "av.error" or isinstance(error, (SystemError, ImportError))
    if is_indirect and memory_is_short():
        return True
    is_candidate = (
        isinstance(error, (RuntimeError, OSError, ImportError)) or type(error).__module__ in _LIBRARIES
    )
    return is_candidate and _OUT_OF_MEMORY.search(str(error)) is not None


@contextmanager
def memory_errors(advice: str = "") -> Iterator[None]:
    """Convert errors in the block that mean that memory ran out to :class:`OutOfMemoryError`.

    Args:
        advice: text to add to the message.

    Raises:
        OutOfMemoryError: memory ran out; other errors pass through.
    """
    try:
        yield
    except Exception as error:
        exhausted = memory_error(error, advice)
        if exhausted is None:
            raise
        raise exhausted from error
