"""A renderer for tests, where the machine has a usable OpenGL."""

from __future__ import annotations

import pytest

from segue_isd.render.gl import RendererError, check_opengl


@pytest.fixture(scope="session")
def opengl() -> None:
    """Skips where nothing can be rendered."""
    try:
        check_opengl()
    except RendererError as error:
        pytest.skip(str(error))
