"""Messages about a missing extra name a command that works from where segue was installed."""

from __future__ import annotations

import json

import pytest

from segue import extras


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (None, "pip install 'segue[web]'"),
        ({"url": "file:///home/me/my%20segue", "dir_info": {}}, "pip install '/home/me/my segue[web]'"),
        (
            {"url": "file:///home/me/segue", "dir_info": {"editable": True}},
            "pip install --editable '/home/me/segue[web]'",
        ),
        (
            {"url": "https://example.org/segue", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'segue[web] @ git+https://example.org/segue@abc'",
        ),
        (
            {"url": "file:///tmp/segue-0.1.0-py3-none-any.whl", "archive_info": {}},
            "pip install 'segue[web] @ file:///tmp/segue-0.1.0-py3-none-any.whl'",
        ),
    ],
)
def test_the_command_installs_from_where_segue_came(
    record: dict[str, object] | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras, "_direct_url", lambda: None if record is None else json.dumps(record))
    assert extras.install_command("web") == expected
