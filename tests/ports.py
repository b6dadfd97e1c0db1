"""Ports of this machine that stay free until a test listens there."""

from __future__ import annotations

import random
import socket

BELOW = 32768
"""Systems give ports from here on to whoever asks for any port: another server of the tests, or a client."""


def free_port() -> int:
    """A port that nobody listens at, and that no system gives to others meanwhile."""
    while True:
        port = random.SystemRandom().randrange(10_000, BELOW)
        try:
            socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return port
