"""Keep the packets of a camera's main stream while a smaller one is decoded."""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING

import av.error

from segue.errors import SourceError
from segue.utils.cancel import CancelToken
from segue.utils.threads import context_thread
from segue.video.decoding.decode import (
    Clock,
    describe,
    open_container,
    owned_container,
    packets,
    video_stream,
)
from segue.video.decoding.packets import PacketBuffer
from segue.video.sources.addresses import public_address

if TYPE_CHECKING:
    from segue.video.sources.live import NetworkReader, Reconnect


class MainStreamWarning(UserWarning):
    """The main stream of a camera was lost; clips use the smaller one meanwhile."""


class MainStream(PacketBuffer):
    """Packets of a main stream, in the clock of the reader of the smaller one.

    Args:
        address: address of the main stream.
        reader: reads the frames.
        patience: with a stream that fails.
    """

    def __init__(self, address: str, reader: NetworkReader, patience: Reconnect) -> None:
        super().__init__()
        self._address, self._reader, self._patience = address, reader, patience
        self._where = public_address(address)
        self._stopped = CancelToken()
        self._thread: threading.Thread | None = None

    @property
    def is_own(self) -> bool:
        """False: another thread than the decoding reader fills the buffer."""
        return False

    def enable(self) -> None:
        """Begin to keep packets, in a thread."""
        super().enable()
        if self._thread is None:
            self._thread = context_thread(self._read, "segue-main-stream")
            self._thread.start()

    def close(self) -> None:
        """End the thread."""
        self._stopped.cancel()
        if self._thread is not None:
            self._thread.join(self._patience.timeout)

    def _read(self) -> None:
        failures, reported = 0, ""
        while not self._stopped.cancelled:
            try:
                self._connection()
                failures, reported, reason = 0, "", "the stream ended"
            except (av.error.FFmpegError, OSError) as error:
                reason = describe(error)
            except SourceError as error:
                reason = str(error).removeprefix(f"{self._where}: ")
            failures += 1
            self.refuse()
            if reason != reported and not self._stopped.cancelled:
                reported = reason
                message = f"{self._where}: lost ({reason}); clips are of the smaller stream meanwhile"
                warnings.warn(message, MainStreamWarning, stacklevel=2)
            self._stopped.wait(self._patience.delay(failures))

    def _connection(self) -> None:
        """Keep the packets of one connection."""
        options = {"rtsp_transport": "tcp"} if self._address.lower().startswith("rtsp") else {}
        container = open_container(self._address, self._where, options, self._patience.timeout)
        with owned_container(container):
            stream, newest = video_stream(container), float("-inf")
            self.begin(stream)
            for packet, _ in packets(container, stream, Clock(), self.add_sound):
                if self._stopped.cancelled:
                    return
                if not packet.size or packet.pts is None:
                    continue
                self.add(packet)
                stamp, now = float(packet.pts * packet.time_base), self._reader.now
                if now > 0 and stamp > newest:  # frames that come later are shown before
                    newest = stamp
                    self.note(stamp, now)
