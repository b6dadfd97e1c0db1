"""Content of generated scenes: rooms, furniture, people, lights and the camera."""

from segue.utils.lazy import lazy_names

_MODULES = {
    "segue_isd.scene.scene": "Moment Scene SceneOptions Stage build_scene scene_seed",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
