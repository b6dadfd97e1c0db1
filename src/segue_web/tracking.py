"""Follow objects through a part of a film, from corrected frames, in either direction or between two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from segue.errors import PromptError
from segue.metrics.measures import region_similarity
from segue.models.base import MemoryNetwork
from segue.sessions import TrackSession
from segue.types import Frame, IndexMask, Segmentation
from segue_web.film import Film, Plane
from segue_web.worker import Tools

MOST_BETWEEN = 1000
"""Frames between two corrected ones that are joined in one go; what one direction says waits in memory."""

_NO_MASK: IndexMask = np.zeros((0, 0), np.uint8)


@dataclass(frozen=True, slots=True)
class Corrected:
    """A frame on which a person looked at the objects: those without a pixel are known to be out of sight."""

    mask: IndexMask
    known: frozenset[int]


@dataclass(frozen=True, slots=True)
class Tracked:
    """One object on one frame.

    Attributes:
        score: what the tracker says of it (expected IoU); 0 where it is not visible.
        weight: share of the later corrected frame, in 0..1; None where one direction alone speaks.
        agreement: IoU of both directions; None likewise.
    """

    plane: Plane
    score: float
    weight: float | None = None
    agreement: float | None = None


Steps = Iterator[tuple[int, dict[int, Tracked]]]
"""Frame index, and the objects there."""


def track_job(
    tools: Tools, corrected: Mapping[int, Corrected], start: int, stop: int, objects: list[int], join: bool
) -> Steps:
    """Job of :meth:`segue_web.worker.Worker.begin`."""
    network, film, device = tools.network, tools.film, tools.device
    if join:
        yield from between(network, film, corrected, start, stop, objects, device=device)
    else:
        yield from one_way(follow(network, film, corrected, start, stop, device=device), objects)


def follow(
    network: MemoryNetwork,
    film: Film,
    corrected: Mapping[int, Corrected],
    start: int,
    stop: int,
    *,
    device: str | None = None,
) -> Iterator[Segmentation]:
    """Results from the corrected frame ``start`` to ``stop``, in either direction, without ``start`` itself.

    Every other corrected frame is memory from the beginning, on whichever side of the way it lies; those with
    fewer objects are shown to the session first, so that an object that came later is new there and not
    hidden. Given masks are the last to make room in the memory.

    Raises:
        PromptError: ``start`` is not corrected, or no object is visible on any corrected frame.
    """
    if start not in corrected:
        raise PromptError(f"frame {start} has no corrected object to start from; click one there first")
    session = TrackSession(network, device=device)
    others = sorted((i for i in corrected if i != start), key=lambda i: (len(corrected[i].known), i))
    for index in others:
        if corrected[index].mask.any():
            _show(session, film.frame(index), corrected[index])
    for frame in film.walk(start, stop):
        given = corrected.get(frame.index)
        if given is not None and given.mask.any():
            result = _show(session, frame, given)
        elif not session.ids:
            raise PromptError(f"frame {start} shows no pixel of the objects; start where one is visible")
        else:
            result = session.step(frame)
        if frame.index != start:
            yield result


def _show(session: TrackSession, frame: Frame, given: Corrected) -> Segmentation:
    return session.step(frame, given.mask, predict=bool(set(session.ids) - given.known))


def one_way(results: Iterable[Segmentation], objects: Sequence[int]) -> Steps:
    """The chosen objects of results of one direction."""
    for result in results:
        scores = {item.id: item.score for item in result.objects if item.id in objects}
        yield result.index, {i: Tracked(np.asarray(result.mask == i), score) for i, score in scores.items()}


def between(
    network: MemoryNetwork,
    film: Film,
    corrected: Mapping[int, Corrected],
    first: int,
    last: int,
    objects: Sequence[int],
    *,
    device: str | None = None,
) -> Steps:
    """Follow from two corrected frames towards each other, and join both by their distance.

    First come the results of the forward direction, then, from the end to the beginning, the joined ones: on
    a frame the probabilities ``(1 - w) forward + w backward``, with ``w`` running from 0 at ``first`` to 1 at
    ``last``, so that the nearer correction weighs more.
    """
    if last - first > MOST_BETWEEN:
        raise PromptError(
            f"{last - first} frames are more than {MOST_BETWEEN} to join; correct one in between"
        )
    ahead: dict[int, Segmentation] = {}
    for result in follow(network, film, corrected, first, last - 1, device=device):
        ahead[result.index] = replace(result, mask=_NO_MASK)  # its probabilities are kept in a compact form
        yield from one_way([result], objects)
    for back in follow(network, film, corrected, last, first + 1, device=device):
        yield back.index, _joined(ahead.pop(back.index), back, (back.index - first) / (last - first), objects)


def _joined(
    ahead: Segmentation, back: Segmentation, weight: float, objects: Sequence[int]
) -> dict[int, Tracked]:
    ids = sorted({*ahead.ids, *back.ids})
    before, after = _channels(ahead, ids), _channels(back, ids)
    mixed = (1 - weight) * before + weight * after
    forward, backward = before.argmax(0), after.argmax(0)
    winner, best = mixed.argmax(0), mixed.max(0)
    found = {}
    for channel, i in enumerate(ids, 1):
        if i in objects:
            plane = winner == channel
            score = float(best[plane].mean()) if plane.any() else 0.0
            agreement = region_similarity(forward == channel, backward == channel)
            found[i] = Tracked(plane, score, weight, agreement)
    return found


def _channels(result: Segmentation, ids: Sequence[int]) -> npt.NDArray[np.float32]:
    """Probabilities, (1 + len(ids), H, W), background first; 0 for an object that is not followed."""
    own = result.probabilities
    channels = np.zeros((1 + len(ids), *own.shape[1:]), np.float32)
    channels[[0, *(1 + ids.index(i) for i in result.ids)]] = own
    return channels
