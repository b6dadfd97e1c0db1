"""An image and a short clip of each event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from segue.entries.events import EventSinkEntry
from segue.events.receivers.base import ReceiverContext

if TYPE_CHECKING:
    from segue.events.images.snapshots import Snapshots


def open_images(context: ReceiverContext) -> Snapshots | None:
    """Open the images and clips of a part of a run; None if it has none."""
    from segue.events.images.snapshots import Snapshots  # late: it needs codecs

    if context.store is None:
        return None
    images = Snapshots.of(
        context.options,
        on_clip=context.count_clips,
        on_disk=context.report,
        stop_time=context.stop_time,
    )
    if images is not None:
        images.attach(context.store, context.part, context.options.source_size, context.images)
        images.on_better = context.show_better
    return images


ENTRIES = (EventSinkEntry("images", open_images, part=True, rank=10),)
