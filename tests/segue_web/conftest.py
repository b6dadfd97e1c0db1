"""Fixtures that the tests of pages share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.segue_web.chromium import launched

if TYPE_CHECKING:
    from tests.segue_web.desk import Desk


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with launched() as chromium:
        yield chromium


@pytest.fixture
def desk(browser: Any) -> Iterator[Desk]:
    """A page whose server is the test; a test that had an error in its scripts fails."""
    from tests.segue_web.desk import Desk  # imported late: it needs playwright

    desk = Desk(browser)
    yield desk
    assert desk.errors == []
    desk.page.close()
