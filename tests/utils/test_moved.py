"""Names of version 0.1.0 that have moved still work."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

from segue.utils.moved import NEW_NAMES


@pytest.mark.parametrize("old", [old for old, new in NEW_NAMES.items() if new])
def test_a_module_is_found_by_its_earlier_name(old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, old, raising=False)
    with pytest.warns(DeprecationWarning, match=NEW_NAMES[old]):
        module = import_module(old)
    assert module is import_module(NEW_NAMES[old])
    assert module.__spec__.name == module.__name__ == NEW_NAMES[old]


@pytest.mark.parametrize(
    ("package", "names"),
    [
        (
            "segue.video",
            "BackgroundSink CdnetSink CocoSink EventSink MultiSink NpzSink OpenSinks PngSink Sink",
        ),
        ("segue.video", "OverlayVideoSink open_sinks output_paths read_marker replay replayed"),
        ("segue.datasets.foreground", "ForegroundFolder ForegroundSequence VideoLayout open_plain"),
        ("segue.sessions.foreground", "ForegroundSession ForegroundWarning"),
        ("segue_train.losses", "foreground_weight tversky_loss hofam_loss"),
        ("segue_isd.scene", "Scene SceneOptions build_scene scene_seed"),
    ],
)
def test_a_module_that_is_a_package_now_has_its_names(package: str, names: str) -> None:
    module = import_module(package)
    for name in names.split():
        assert callable(getattr(module, name))
        assert name in dir(module)
