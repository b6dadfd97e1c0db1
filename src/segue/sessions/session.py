"""Interface of all sessions, and the base of sessions without prompts."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeVar, cast

from segue.errors import PromptError, SegueError, memory_errors
from segue.prompt_types import Prompt
from segue.state import Checkpointable, SessionState, checkpointed
from segue.types import Frame, Image, IndexMask, Segmentation
from segue.utils.forks import ForkSafeLock
from segue.utils.keywords import suggests_names
from segue.video.decoding.readers import Colour, FrameLike, as_frame

if TYPE_CHECKING:
    from typing import Self

    import torch

Step = TypeVar("Step", bound=Callable[..., Any])


class SecondThreadError(SegueError):
    """A second thread uses an object that allows one thread at a time."""


SECOND_THREAD = "session: another thread uses it; use one session per thread, or a lock"
"""Message of :class:`SecondThreadError`; a class may define its own under this name."""


def one_thread_at_a_time(step: Step) -> Step:
    """Decorate a method to raise SecondThreadError while another thread is in such a method."""

    @wraps(step)
    def guarded(self: Any, *arguments: Any, **kwargs: Any) -> Any:
        lock = vars(self).setdefault("_stepping", ForkSafeLock()).current()
        if not lock.acquire(blocking=False):
            raise SecondThreadError(getattr(self, "SECOND_THREAD", SECOND_THREAD))
        try:
            with memory_errors():
                return step(self, *arguments, **kwargs)
        finally:
            lock.release()

    return cast(Step, guarded)


class Session(Protocol):
    """Processes frames in order and returns segmentations; keeps the state over time in bounded memory.

    Only one thread may use a session at a time; a second thread gets an error.
    """

    lag: int = 0
    """Number of frames by which results lag behind; 0: ``step`` returns the frame's result."""

    precision: torch.dtype | None = None
    """Precision of the convolutions of its network: float32, bfloat16, float16 or int8; None without one."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.reset()  # what it carries takes memory

    def __reduce__(self) -> NoReturn:
        raise SegueError(
            f"{type(self).__name__}: a session cannot be pickled or copied; state() gives all that it knows, "
            "which SessionState.save writes and restore() takes"
        )

    def step(self, frame: Frame, prompts: Any = None) -> Segmentation | None:
        """Process the next frame, and return the next available result, if any.

        Args:
            frame: the next frame; all frames of a session have one size.
            prompts: prompts of the objects on this frame, if any: masks, boxes, points or removals, or an
                index mask (H, W) in which 0 is background. Sessions that detect objects do not accept
                prompts.

        Returns:
            The result of the frame ``lag`` frames earlier; None if there is no such frame.

        Raises:
            PromptError: the prompts do not match the frame or the session.
            SourceError: the frame differs in size from the earlier frames.

        After an error, the session is unchanged, and you can pass the frame again. If its state is lost, it
        raises SegueError until :meth:`reset` or :meth:`restore`.
        """

    def finish(self) -> Iterator[Segmentation]:
        """Return the remaining results after the last frame, if any.

        Returns:
            Results of the last ``lag`` frames in order; empty if ``lag`` is 0.
        """
        return iter(())

    def reset(self) -> None:
        """Reset everything except the settings."""

    def state(self, *, copy: bool = True) -> SessionState:
        """The complete state for :meth:`restore`.

        Args:
            copy: False lets tensors share the session's memory, to be used before its next step.

        Returns:
            Tensors and JSON values; :meth:`SessionState.save` writes them to a file.
        """

    def restore(self, state: SessionState) -> None:
        """Continue from a state of :meth:`state`.

        Args:
            state: a state from :meth:`state` or :meth:`SessionState.load`.

        Raises:
            CheckpointError: the state belongs to another model, other settings or another kind of session.
        """


class FindingSession(Checkpointable, Session):
    """Base of sessions without prompts; results come in order, possibly later.

    A class that derives from this one says what becomes of a frame, and puts each result that is made into
    ``_due``, with the image that explains it.
    """

    finds: ClassVar[str] = "objects are"  # for messages
    resizes: ClassVar[bool] = False  # whether frames of another size are taken
    _size: tuple[int, int] | None = checkpointed(None)
    _next_index: int = checkpointed(0)
    _due: deque[tuple[Segmentation, Image | None]] = checkpointed(deque)

    @one_thread_at_a_time
    def reset(self) -> None:
        """Reset everything except the settings."""
        self.restart()
        self._explanation: Image | None = None

    @suggests_names
    @one_thread_at_a_time
    def step(
        self,
        frame: FrameLike,
        prompts: IndexMask | Sequence[Prompt] | None = None,
        *,
        colour: Colour = "rgb",
    ) -> Segmentation | None:
        """Process the next frame, and return the result that is due, if any; see :meth:`Session.step`.

        Args:
            frame: the next frame, or its image.
            prompts: none.
            colour: order of the channels of an image; ``bgr`` is that of ``cv2.imread``.

        Returns:
            The result of the frame that came ``lag`` frames earlier, None while there is none.

        Raises:
            SourceError: the frame differs in size from the earlier frames.
            PromptError: there are prompts.
        """
        frame = as_frame(frame, self._next_index, None if self.resizes else self._size, colour=colour)
        if prompts is not None:
            raise PromptError(
                f"frame {frame.index}: {self.finds} found without prompts; "
                "use segue track for objects of your own"
            )
        self.check_intact()
        prepared = self._prepare(frame)
        with self.changing(f"frame {frame.index}"):
            self._take(frame, prepared)
            self._size, self._next_index = frame.size, frame.index + 1
            return self._next_pending()

    def finish(self) -> Iterator[Segmentation]:
        """Return the remaining results after the last frame."""
        self._complete()
        while (result := self._next_pending()) is not None:
            yield result

    @one_thread_at_a_time
    def state(self, *, copy: bool = True) -> SessionState:
        """The complete state for :meth:`restore`; see :meth:`Session.state`."""
        return super().state(copy=copy)

    @one_thread_at_a_time
    def restore(self, state: SessionState) -> None:
        """Continue from a state; see :meth:`Session.restore`."""
        super().restore(state)

    @one_thread_at_a_time
    def _complete(self) -> None:
        """Compute all pending results after the last frame."""
        with self.changing("the end"):
            self._end()

    @one_thread_at_a_time
    def _next_pending(self) -> Segmentation | None:
        """Next pending result, if it is computed."""
        if not self._due:
            return None
        result, self._explanation = self._due.popleft()
        return result

    def _reset_transient_state(self) -> None:
        self.reset()

    def _prepare(self, frame: Frame) -> Any:
        """Check the next frame and compute inputs of :meth:`_take`; the state does not change."""

    def _take(self, frame: Frame, prepared: Any) -> None:
        """Process the next frame."""
        raise NotImplementedError

    def _end(self) -> None:
        """Compute results that wait for further frames."""


class ExplainedSession(FindingSession):
    """A session that can show the intermediate values of its results."""

    _explains = False

    def explain(self) -> None:
        """From now on, keep an image of the intermediate values of each result, for :attr:`explanation`."""
        self._explains = True

    @property
    def explanation(self) -> Image | None:
        """Image of the last result, RGB (H, W, 3), uint8; None before it, or without :meth:`explain`."""
        return self._explanation


class Passes(Iterable[Frame]):
    """Frames of a video that is read twice; iterating runs the first pass.

    The first pass of one that is :class:`segue.state.Checkpointable`, too, is saved and resumed.
    """

    title: ClassVar[str] = "first pass"  # name of the pass before, for the progress
    total: int | None = None  # expected number of its frames; None takes the video's
    latest: Frame | None = None  # that the pass before has looked at

    @property
    def summary(self) -> str:
        """Message for the user about the first pass; empty if there is none."""
        return ""

    def __iter__(self) -> Iterator[Frame]:
        for _ in self.learning():
            pass
        return self.second()

    @abstractmethod
    def learning(self) -> Iterator[int]:
        """Run the first pass, or the rest of a restored one."""

    @abstractmethod
    def second(self) -> Iterator[Frame]:
        """Frames of the second pass."""
