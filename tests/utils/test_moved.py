"""Packages have the names of the modules that they were."""

from __future__ import annotations

from importlib import import_module

import pytest


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
