"""Tell another program of events as they happen: JSON by HTTP POST or MQTT."""

from __future__ import annotations

import base64
import json
import queue
import re
import threading
import urllib.request
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPException
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from segue.errors import SinkError
from segue.extras import install_command
from segue.video.addresses import public_address

TIMEOUT = 5.0  # seconds for one message
WAITING = 1000  # messages that may wait; when there are more, new ones are dropped
LAST_SECONDS = 10.0  # that the end of a run waits for messages


class NotifyWarning(UserWarning):
    """An address that receives events cannot be reached; the events are in their file."""


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """A message goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: object) -> None:
        return None


Deliver = Callable[[bytes], None]
"""Delivers one message; raises OSError, ValueError or HTTPException where it cannot."""


class Notifier:
    """Sends values as JSON, in a thread and in order, so that nobody waits for the answer.

    The address is ``http(s)://``, ``mqtt://HOST/TOPIC`` or ``mqtts://``, with ``USER:PASSWORD@`` where
    needed.
    """

    def __init__(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            known = bool(parts.hostname) and parts.port != 0
        except ValueError:
            known = False
        if known and parts.scheme in ("http", "https"):
            self._deliver: Deliver = _post(parts)
        elif known and parts.scheme in ("mqtt", "mqtts") and _topic(parts):
            self._deliver = _publish(parts)
        else:
            raise SinkError(
                "notify: events are sent to an address http://HOST/..., https://HOST/..., mqtt://HOST/TOPIC "
                "or mqtts://HOST/TOPIC"
            )
        self._shown = public_address(address)
        self._messages: queue.Queue[bytes | None] = queue.Queue(WAITING)
        self._failed = False
        self._thread = threading.Thread(target=self._work, name="segue-notify", daemon=True)
        self._thread.start()

    def send(self, values: Mapping[str, Any]) -> None:
        """Send values, soon."""
        try:
            self._messages.put_nowait(json.dumps(values).encode())
        except queue.Full:
            self._warn("too many messages wait")

    def stop(self) -> None:
        """Send what waits, if there is time for it, and nothing after it."""
        with suppress(queue.Full):
            self._messages.put_nowait(None)

    def close(self) -> None:
        """Wait for what is to be sent, for some seconds at most."""
        try:
            self._messages.put(None, timeout=LAST_SECONDS)
        except queue.Full:
            self._warn("it is too slow; the last messages are lost")
            return
        self._thread.join(LAST_SECONDS)
        if self._thread.is_alive():
            self._warn("it is too slow; the last messages are lost")

    def _work(self) -> None:
        while (message := self._messages.get()) is not None:
            try:
                self._deliver(message)
                self._failed = False
            except (OSError, ValueError, HTTPException) as error:
                self._warn(str(getattr(error, "reason", None) or error or type(error).__name__))

    def _warn(self, reason: str) -> None:
        if not self._failed:
            self._failed = True
            warnings.warn(f"{self._shown}: not notified of an event ({reason})", NotifyWarning, stacklevel=3)


def _post(parts: SplitResult) -> Deliver:
    """Delivers by HTTP POST."""
    account, _, place = parts.netloc.rpartition("@")
    address = urlunsplit(parts._replace(netloc=place, fragment=""))
    headers = {"Content-Type": "application/json"}
    if account:
        code = base64.b64encode(unquote(account).encode()).decode("ascii")
        headers["Authorization"] = f"Basic {code}"
    opener = urllib.request.build_opener(NoRedirect)

    def deliver(message: bytes) -> None:
        request = urllib.request.Request(address, message, headers, method="POST")
        with opener.open(request, timeout=TIMEOUT):
            pass

    return deliver


def _topic(parts: SplitResult) -> str:
    """The topic of an address of MQTT; empty where it has none that can be published to."""
    topic = unquote(parts.path.removeprefix("/"))
    return "" if re.search(r"[+#\0]", topic) else topic


def _publish(parts: SplitResult) -> Deliver:
    """Delivers by MQTT 3.1.1, each message at least once (QoS 1)."""
    try:
        from paho.mqtt.client import Client, MQTTv311
        from paho.mqtt.enums import CallbackAPIVersion
    except ImportError:
        raise SinkError(f"notify: MQTT needs paho-mqtt: {install_command('mqtt')}") from None
    secure = parts.scheme == "mqtts"
    client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTv311)
    client.connect_timeout = TIMEOUT
    if parts.username:
        password = None if parts.password is None else unquote(parts.password)
        client.username_pw_set(unquote(parts.username), password)
    if secure:
        client.tls_set()  # the certificates that the system trusts
    host, port = str(parts.hostname), parts.port or (8883 if secure else 1883)
    running, refusal, answered = False, "", threading.Event()

    def hear(_: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        nonlocal refusal
        refusal = str(reason) if reason.is_failure else ""
        answered.set()

    client.on_connect = hear

    def deliver(message: bytes) -> None:
        nonlocal running
        if not running:
            client.connect(host, port)
            client.loop_start()  # reads answers, and connects again where the connection was lost
            running = True
        answered.wait(TIMEOUT)
        if refusal:
            raise OSError(f"the broker refused the login: {refusal}")
        sent = client.publish(_topic(parts), message, qos=1)
        try:
            sent.wait_for_publish(TIMEOUT)
        except RuntimeError as error:
            raise OSError(str(error)) from None
        if not sent.is_published():
            raise OSError("the broker does not answer")

    return deliver
