"""Events by MQTT, as JSON."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote

from segue.entries.events import EventSinkEntry
from segue.errors import SinkError
from segue.events.receivers.base import SENT, Delivery, EventReceiver, Message, ReceiverContext
from segue.events.receivers.http import parts_of
from segue.utils.extras import install_command
from segue.video.sources.live import Reconnect

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessageInfo

MAX_RECONNECT = 10.0
"""Maximum seconds between two tries to reach a broker."""

GOODBYE = 2.0
"""Seconds for telling a broker that the run has ended."""

_PORTS = {"mqtt": 1883, "mqtts": 8883}
"""Default ports of brokers."""

ONLINE, OFFLINE = b"online", b"offline"

ON, OFF = b"ON", b"OFF"


def check_broker(address: str) -> SplitResult:
    """Parse the address of a broker; SinkError without a topic or without the package."""
    parts = parts_of(address)
    if not _topic(parts):
        raise SinkError("notify: an address of MQTT has a topic: mqtt://HOST/TOPIC, without + and #")
    try:
        import paho.mqtt.client  # noqa: F401
        import paho.mqtt.enums  # noqa: F401  version 1 lacks it
    except ImportError:
        raise SinkError(f"notify: MQTT needs paho-mqtt: {install_command('mqtt')}") from None
    return parts


def topic_of(address: str) -> tuple[str, int, str] | None:
    """Host, port and topic of the address of a broker; None for other addresses."""
    if not address.startswith(tuple(f"{scheme}://" for scheme in _PORTS)):
        return None
    parts = check_broker(address)
    return str(parts.hostname), parts.port or _PORTS[parts.scheme], _topic(parts)


def _topic(parts: SplitResult) -> str:
    """Topic of an MQTT address; empty if it cannot be published to."""
    topic = unquote(parts.path.removeprefix("/"))
    return "" if re.search(r"[+#\0]", topic) else topic


class MqttReceiver(EventReceiver):
    """Publishes to an MQTT 3.1.1 broker with QoS 1, and keeps TOPIC/availability up to date.

    The broker itself writes ``offline`` there when the connection of this process breaks.
    """

    def __init__(self, context: ReceiverContext, patience: Reconnect | None = None) -> None:
        parts, patience = check_broker(context.address), patience or Reconnect()
        from paho.mqtt.client import Client, MQTTv311  # late: few runs need it
        from paho.mqtt.enums import CallbackAPIVersion

        secure = parts.scheme == "mqtts"
        self.topic = self._topic = topic = _topic(parts)
        self._availability = f"{topic}/availability"
        self._retained = {self._availability: ONLINE if context.online else OFFLINE}  # by topic
        self._filters: Sequence[str] = ()
        self._armed, self._arm = f"{topic}/armed", context.arm
        self._connected, self._refusal = threading.Event(), ""
        self._is_stale = False  # whether the broker may keep messages of before the connection
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
        client.on_connect, client.on_disconnect, client.on_message = self._hear, self._lose, self._take
        client.on_subscribe = self._renew
        client.connect_async(str(parts.hostname), parts.port or _PORTS[parts.scheme])
        client.loop_start()  # connects, also to a broker that is not there yet, and again when it was lost

    def send(self, message: Message, timeout: float) -> Delivery:
        body = message.body
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
        return SENT

    def announce(self, online: bool) -> None:
        self.keep(self._availability, ONLINE if online else OFFLINE)

    def show_armed(self, armed: bool) -> None:
        self.keep(self._armed, ON if armed else OFF)

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
            self._is_stale = True
            self._connected.set()
            self._ask()

    def _renew(self, *_: Any) -> None:
        """Publish retained messages, after older messages, which the client resends itself."""
        if self._is_stale:
            self._is_stale = False
            for topic, body in [*self._retained.items()]:
                self._client.publish(topic, body, qos=1, retain=True)

    def _ask(self) -> None:
        """Request retained messages; a broker that refuses keeps them all."""
        self._client.subscribe([(each, 1) for each in (*self._filters, f"{self._armed}/set")])

    def _take(self, _: Any, __: Any, message: Any) -> None:
        """Arm on request, or clear retained messages of another run."""
        if message.topic == f"{self._armed}/set":
            if self._arm is not None and not message.retain and message.payload in (ON, OFF):
                self._arm(message.payload == ON)
        elif message.retain and message.payload and message.topic not in self._retained:
            self._client.publish(message.topic, b"", qos=1, retain=True)

    def _lose(self, *_: Any) -> None:
        self._connected.clear()


ENTRIES = (EventSinkEntry("mqtt", MqttReceiver, schemes=("mqtt", "mqtts"), check=check_broker),)
