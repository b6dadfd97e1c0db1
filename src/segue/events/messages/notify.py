"""Tell another program of events as they happen: JSON by HTTP POST or MQTT, again until it has arrived."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
import time
import urllib.request
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from segue.errors import SinkError
from segue.events.messages.outbox import RETRY_SECONDS, Message, Outbox
from segue.events.messages.receiver import Receiver, RefusedError
from segue.events.messages.services import ServiceReceiver
from segue.utils.extras import install_command
from segue.utils.threads import context_thread
from segue.video.sources.addresses import APPRISE, public_address
from segue.video.sources.live import Reconnect

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

MAX_RETRY_SECONDS = 60.0
"""Seconds after which a receiver is asked again; it begins with those of :class:`Reconnect`, and doubles."""

LAST_SECONDS = 2.0
"""Seconds that the end of a run of a camera waits for messages; the next run sends those that are left.
With :data:`GOODBYE` it ends within five, and `docker stop` does not kill it."""

FILE_SECONDS = 60.0
"""Seconds that the end of a run over a file waits for messages."""

QUIET = 60.0
"""Seconds in which the same thing is not warned of again, though it was well in between."""

MAX_RECONNECT = 10.0
"""Seconds after which a broker that is away is tried again at most."""

GOODBYE = 2.0
"""Seconds for telling a broker that the run has ended."""

_BUSY = (408, 425, 429)
"""Answers of HTTP below 500 that say nothing of the message."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
"""Usual ports of brokers."""

ONLINE, OFFLINE = b"online", b"offline"


class NotifyWarning(UserWarning):
    """An address that receives events cannot be reached, or did not get all; the events are in their file."""


class Notifier:
    """Sends values as JSON, in a thread and in order, each until it has arrived; nobody waits for that.

    The address is ``http(s)://``, ``mqtt://HOST/TOPIC`` or ``mqtts://``, with ``USER:PASSWORD@`` where
    needed, or ``apprise+`` and an address of Apprise, whose services get a text and the image. Each message
    has an ``id``, the same when it is sent again: receivers know duplicates by it.

    Args:
        address: the receiver.
        queue: file in which messages wait, also those that an earlier run has left there; None keeps them in
            memory.
        patience: waits between tries.
        images: folder of the images of events, for services that show them.

    Raises:
        SinkError: it is no such address, its package is missing, or the file cannot be used.
    """

    def __init__(
        self,
        address: str,
        queue: Path | None = None,
        patience: Reconnect | None = None,
        images: Path | None = None,
    ) -> None:
        self._patience = patience or Reconnect()
        self._receiver = _receiver(address, self._patience, images)
        self._public_address = public_address(address)
        try:
            self._outbox = Outbox.open(queue)
        except SinkError:
            self._receiver.close()
            raise
        self._delivered = 0
        self._failures = self._refusals = 0  # in a row
        self._refused_until = 0.0  # refused messages are not tried before
        self._warned: dict[str, float] = {}  # of what, and when
        self._well: set[str] = set()  # what was well again since
        self._num_lost = self._outbox.lost  # of which was warned
        self._keep = True
        self._ends: float | None = None  # when the run ends without what has not arrived
        self._changed = threading.Condition()
        self._thread = context_thread(self._work, "segue-notify")
        self._thread.start()

    @property
    def total(self) -> int:
        """Messages so far, with those of an earlier run."""
        return self._delivered + self.undelivered

    @property
    def undelivered(self) -> int:
        """Messages that have not arrived yet, or are lost."""
        return len(self._outbox) + self._outbox.lost

    @property
    def num_unsaved(self) -> int:
        """Messages that wait in memory alone, as their file takes none."""
        return self._outbox.num_unsaved

    @property
    def problem(self) -> str:
        """Why messages cannot wait in their file; empty where they can."""
        return self._outbox.problem

    def send(self, values: Mapping[str, Any]) -> None:
        """Send values, soon.

        Args:
            values: the message, as JSON values.
        """
        id = hashlib.sha256(json.dumps(values).encode()).hexdigest()[:32]
        self._outbox.put(id, json.dumps({"id": id, **values}).encode())
        with self._changed:
            self._changed.notify_all()

    def announce(self, online: bool) -> None:
        """Say whether the camera gives frames: with MQTT in TOPIC/availability, which the broker keeps.

        Args:
            online: whether it does.
        """
        self._receiver.announce(online)

    @property
    def topic(self) -> str | None:
        """The topic of MQTT; None where the receiver is no broker."""
        return self._receiver.topic

    def keep(self, topic: str, body: bytes) -> None:
        """Publish a retained message by MQTT; other receivers do nothing.

        Args:
            topic: the topic.
            body: the message.
        """
        self._receiver.keep(topic, body)

    def keep_no_other(self, filters: Sequence[str]) -> None:
        """Clear retained messages of earlier runs.

        Args:
            filters: topics that this run has not given to :meth:`keep`; ``+`` is any part.
        """
        self._receiver.keep_no_other(filters)

    def stop(self) -> None:
        """Send nothing more; what waits in a file stays there for the next run."""
        self.end_by(time.monotonic())

    def close(
        self,
        limit: float = LAST_SECONDS,
        report: Callable[[int], None] = lambda _: None,
        *,
        keep: bool = True,
    ) -> int:
        """Wait until all has arrived, for some seconds at most.

        Args:
            limit: the seconds.
            report: called now and then with the number of messages that have arrived.
            keep: leave what has not arrived in its file for the next run.

        Returns:
            The number of messages that have not arrived.
        """
        self.end_by(time.monotonic() + limit, keep=keep)
        while self._thread.is_alive() and (self._ends or 0.0) + GOODBYE > time.monotonic():
            report(self._delivered)
            self._thread.join(0.1)
        return self.undelivered

    def end_by(self, moment: float, *, keep: bool = True) -> None:
        """End at a moment, or as soon as all has arrived, without waiting for it; see :meth:`close`.

        Args:
            moment: seconds of ``time.monotonic()``.
            keep: leave what has not arrived in its file for the next run.
        """
        self._keep = keep
        with self._changed:
            self._ends, self._failures, self._refused_until = moment, 0, 0.0
            self._changed.notify_all()

    @property
    def _left(self) -> float:
        """Seconds until the end."""
        return float("inf") if self._ends is None else self._ends - time.monotonic()

    def _work(self) -> None:
        try:
            while self._left > 0 and (message := self._next()) is not None:
                self._try(message)
        finally:
            self._receiver.close()
            self._outbox.close(keep=self._keep)

    def _next(self) -> Message | None:
        """The message whose turn it is, as soon as there is one; None at the end."""
        with self._changed:
            while True:
                message, retry_time = self._first()
                if message is not None or (
                    self._ends is not None and (retry_time is None or self._left <= 0)
                ):
                    return message
                seconds = min(
                    self._left, float("inf") if retry_time is None else retry_time - time.monotonic()
                )
                self._changed.wait(None if seconds == float("inf") else max(0.0, seconds))

    def _first(self) -> tuple[Message | None, float | None]:
        """The message whose turn it is, or None and the time to look again, or None and None."""
        message = self._outbox.first()
        self._warn_of_outbox()
        if message is None and self._outbox.problem and (self._outbox or self._ends is None):
            return None, time.monotonic() + RETRY_SECONDS
        if message is not None and message.refused and time.monotonic() < self._refused_until:
            return None, self._refused_until
        return message, None

    def _warn_of_outbox(self) -> None:
        """Say that messages have no room on the disk, or are lost."""
        if self._outbox.problem:
            self._warn_repeated("file", f"{self._outbox.problem}; they are sent from memory")
        else:
            self._well.add("file")
        if self._outbox.lost > self._num_lost:
            self._num_lost = self._outbox.lost
            self._warn_repeated("lost", "too many messages wait; the oldest ones are lost")

    def _try(self, message: Message) -> None:
        timeout = min(MAX_RETRY_SECONDS, self._patience.timeout * 2.0 ** min(self._failures, 10))
        try:
            self._receiver.deliver(message.body, max(0.1, min(timeout, self._left)))
        except RefusedError as error:  # the others do not wait for this one
            self._refusals += 1
            self._refused_until = time.monotonic() + self._patience.delay(self._refusals)
            self._warn_repeated("refused", f"not notified of an event ({error}); it is tried again")
            self._outbox.postpone(message)
        except (OSError, ValueError, HTTPException) as error:
            self._failures += 1
            reason = str(getattr(error, "reason", None) or error or type(error).__name__)
            self._warn_repeated("receiver", f"not notified of an event ({reason}); it is tried again")
            self._pause(self._patience.delay(self._failures))
        else:
            self._outbox.remove(message)
            self._delivered += 1
            self._failures = 0
            self._well.add("receiver")
            if message.refused:
                self._refusals, self._refused_until = 0, 0.0
                self._well.add("refused")

    def _pause(self, seconds: float) -> None:
        """Wait, unless the end of the run changes."""
        ends = self._ends
        with self._changed:
            self._changed.wait_for(lambda: self._ends != ends, max(0.0, min(seconds, self._left)))

    def _warn_repeated(self, what: str, text: str) -> None:
        last_time = self._warned.get(what)
        if last_time is None or (what in self._well and time.monotonic() - last_time > QUIET):
            self._warned[what] = time.monotonic()
            self._warn(text)
        self._well.discard(what)

    def _warn(self, text: str) -> None:
        warnings.warn(f"{self._public_address}: {text}", NotifyWarning, stacklevel=4)


def check_receiver(address: str) -> SplitResult:
    """The parts of an address that messages can be sent to; raises SinkError for any other."""
    if address.startswith(APPRISE):
        ServiceReceiver(address)
        return SplitResult(address.partition(":")[0], "", "", "", "")  # the rest means something to it alone
    try:
        parts = urlsplit(address)
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid = False
    by_mqtt = is_valid and parts.scheme in _PORTS and bool(_topic(parts))
    if not by_mqtt and not (is_valid and parts.scheme in ("http", "https")):
        raise SinkError(
            "notify: events are sent to an address http://HOST/..., https://HOST/..., mqtt://HOST/TOPIC, "
            "mqtts://HOST/TOPIC, or apprise+ and an address of Apprise"
        )
    if by_mqtt:
        try:
            import paho.mqtt.client  # noqa: F401
            import paho.mqtt.enums  # noqa: F401  version 1 lacks it
        except ImportError:
            raise SinkError(f"notify: MQTT needs paho-mqtt: {install_command('mqtt')}") from None
    return parts


def topic_of(address: str) -> tuple[str, int, str] | None:
    """Host, port and topic of an address of a broker; None for another address."""
    parts = check_receiver(address)
    if parts.scheme not in _PORTS:
        return None
    return str(parts.hostname), parts.port or _PORTS[parts.scheme], _topic(parts)


def _receiver(address: str, patience: Reconnect, images: Path | None) -> Receiver:
    if address.startswith(APPRISE):
        return ServiceReceiver(address, images)
    parts = check_receiver(address)
    return HttpReceiver(parts) if parts.scheme in ("http", "https") else MqttReceiver(parts, patience)


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


class HttpReceiver(Receiver):
    """Takes messages by HTTP POST; an answer 2xx says that one has arrived."""

    def __init__(self, parts: SplitResult) -> None:
        account, _, place = parts.netloc.rpartition("@")
        self._address = urlunsplit(parts._replace(netloc=place, fragment=""))
        self._headers = {"Content-Type": "application/json"}
        if account:
            code = base64.b64encode(unquote(account).encode()).decode("ascii")
            self._headers["Authorization"] = f"Basic {code}"
        self._opener = urllib.request.build_opener(NoRedirect)

    def deliver(self, body: bytes, timeout: float) -> None:
        request = urllib.request.Request(self._address, body, self._headers, method="POST")
        try:
            with self._opener.open(request, timeout=timeout):
                pass
        except HTTPError as error:
            with error:
                if 400 <= error.code < 500 and error.code not in _BUSY:
                    raise RefusedError(f"{error.code} {error.reason}") from None
                raise OSError(f"{error.code} {error.reason}") from None


def _topic(parts: SplitResult) -> str:
    """The topic of an address of MQTT; empty where it has none that can be published to."""
    topic = unquote(parts.path.removeprefix("/"))
    return "" if re.search(r"[+#\0]", topic) else topic


class MqttReceiver(Receiver):
    """A broker of MQTT 3.1.1: it confirms each message (QoS 1), and keeps in TOPIC/availability who is there.

    The broker itself writes ``offline`` there when the connection of this process breaks.
    """

    def __init__(self, parts: SplitResult, patience: Reconnect) -> None:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion

        secure = parts.scheme == "mqtts"
        self.topic = self._topic = topic = _topic(parts)
        self._availability = f"{topic}/availability"
        self._retained = {self._availability: ONLINE}  # by topic
        self._filters: Sequence[str] = ()
        self._connected, self._refusal = threading.Event(), ""
        self._sent: tuple[bytes, MQTTMessageInfo] | None = None  # the client sends it until it is confirmed
        self._client = client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
        if parts.username:
            password = None if parts.password is None else unquote(parts.password)
            client.username_pw_set(unquote(parts.username), password)
        if secure:
            client.tls_set()  # the certificates that the system trusts
        client.will_set(self._availability, OFFLINE, qos=1, retain=True)
        # A broker that is back is to hear of it before the end of the run; any number of seconds will do.
        longest = min(MAX_RECONNECT, patience.max_delay)
        client.reconnect_delay_set(patience.first_delay, longest)  # type: ignore[arg-type]
        client.on_connect, client.on_disconnect, client.on_message = self._hear, self._lose, self._forget
        client.connect_async(str(parts.hostname), parts.port or _PORTS[parts.scheme])
        client.loop_start()  # connects, also to a broker that is not there yet, and again when it was lost

    def deliver(self, body: bytes, timeout: float) -> None:
        if not self._connected.wait(timeout):
            raise OSError(self._refusal or "there is no broker")
        if self._sent is None or self._sent[0] != body:
            self._sent = body, self._client.publish(self._topic, body, qos=1)
        try:
            self._sent[1].wait_for_publish(timeout)
        except RuntimeError as error:
            self._sent = None
            raise OSError(str(error)) from None
        if not self._sent[1].is_published():
            raise OSError("the broker does not answer")
        self._sent = None

    def announce(self, online: bool) -> None:
        self.keep(self._availability, ONLINE if online else OFFLINE)

    def keep(self, topic: str, body: bytes) -> None:
        self._retained[topic] = body
        if self._connected.is_set():
            self._client.publish(topic, body, qos=1, retain=True)

    def keep_no_other(self, filters: Sequence[str]) -> None:
        self._filters = filters
        if self._connected.is_set():
            self._ask()

    def close(self) -> None:
        if self._connected.is_set():
            receipt = self._client.publish(self._availability, OFFLINE, qos=1, retain=True)
            with suppress(RuntimeError):  # the connection broke: the broker says it
                receipt.wait_for_publish(GOODBYE)
        self._client.disconnect()
        self._client.loop_stop()

    def _hear(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self._refusal = f"the broker refused the login: {reason}" if reason.is_failure else ""
        if not self._refusal:
            self._connected.set()
            for topic, body in [*self._retained.items()]:
                self._client.publish(topic, body, qos=1, retain=True)
            self._ask()

    def _ask(self) -> None:
        """Ask for what the broker keeps; a broker that does not allow it keeps all."""
        if self._filters:
            self._client.subscribe([(each, 1) for each in self._filters])

    def _forget(self, _: Any, __: Any, message: Any) -> None:
        if message.retain and message.payload and message.topic not in self._retained:
            self._client.publish(message.topic, b"", qos=1, retain=True)

    def _lose(self, *_: Any) -> None:
        self._connected.clear()
