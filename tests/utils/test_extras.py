"""Messages about a missing extra name a command that works from where segue was installed."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest

from segue.errors import MissingExtraError
from segue.utils import extras


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
    record: dict[str, object] | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "segue-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: segue\nVersion: 0.1.0\n")
    if record is not None:
        (installed / "direct_url.json").write_text(json.dumps(record))
    monkeypatch.syspath_prepend(tmp_path)
    assert extras.install_command("web") == expected


def test_an_import_that_lacks_an_extra_says_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(extras.EXTRAS, "train", ("no-such-package",))
    with (
        pytest.raises(MissingExtraError, match=r"needs no-such-package: pip install .*\[train\]") as raised,
        extras.requires_extra("train"),
    ):
        import no_such_package  # type: ignore[import-not-found]  # noqa: F401
    assert isinstance(raised.value, ImportError)


def test_training_needs_its_extra_when_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in [name for name in sys.modules if name.startswith("segue_train")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setitem(extras.EXTRAS, "train", ("no-such-package",))
    with pytest.raises(MissingExtraError):
        importlib.import_module("segue_train.loop")
    for module in [name for name in sys.modules if name.startswith("segue_train")]:
        del sys.modules[module]  # the half that was imported is not for other tests
