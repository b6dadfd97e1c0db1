"""What several tests of cameras need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.events.test_notify import Listener


@pytest.fixture
def listener() -> Iterator[Listener]:
    """A server that notes the messages that it gets."""
    server = Listener()
    yield server
    server.end()
