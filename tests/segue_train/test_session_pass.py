"""The training pass that reads as a session does, against the session."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from segue.sessions import TrackSession
from segue.types import Frame
from segue_train.clip_pass import clip_logits, object_masks
from tests.clips import clip
from tests.lite import lively_lite


def test_a_clip_is_read_as_in_a_session() -> None:
    network = lively_lite()
    frames, masks = clip(21, 4, 96, 112, 2)
    schedule = replace(
        network.schedule, max_jump=None, mem_every=1, last_window=None, penalty=1.0, last_penalty=1.0
    )
    session = TrackSession(network, schedule, device="cpu")
    followed = [
        session.step(Frame(i, i / 24, frames[i]), masks[0] if i == 0 else None).mask for i in range(4)
    ]
    images = torch.cat([network.prepare(torch.from_numpy(frame)) for frame in frames])[None]
    first = object_masks(torch.from_numpy(masks[:1]).long(), 2)
    with torch.no_grad():
        logits = clip_logits(network, images, first, torch.ones(1, 2), schedule)
    assert len(np.unique(followed[3])) == 3
    assert np.mean(logits[0, 2].argmax(0).numpy() == followed[3]) > 0.999


def test_a_corrected_frame_is_memory_from_the_beginning_as_in_a_session() -> None:
    network = lively_lite()
    frames, masks = clip(21, 4, 96, 112, 2)
    schedule = replace(
        network.schedule, max_jump=None, mem_every=1, last_window=None, penalty=1.0, last_penalty=1.0
    )
    session = TrackSession(network, schedule, device="cpu")
    for i in (0, 3):
        session.step(Frame(i, i / 24, frames[i]), masks[i], predict=False)
    followed = [session.step(Frame(i, i / 24, frames[i])).mask for i in (1, 2)]
    images = torch.cat([network.prepare(torch.from_numpy(frame)) for frame in frames])[None]
    first, last = (object_masks(torch.from_numpy(masks[i : i + 1]).long(), 2) for i in (0, 3))
    exists = torch.ones(1, 2)
    with torch.no_grad():
        plain = clip_logits(network, images, first, exists, schedule)[0].argmax(1).numpy()
        logits = clip_logits(network, images, first, exists, schedule, {3: last})[0].argmax(1).numpy()
    assert not np.array_equal(plain[:2], logits[:2])
    for mask, other in zip(logits, followed, strict=False):
        assert np.mean(mask == other) > 0.999
