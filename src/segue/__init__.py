"""segue: video segmentation that carries context through time."""

from typing import TYPE_CHECKING

from segue.errors import SegueError as SegueError
from segue.utils.lazy import lazy_names
from segue.utils.version import __version__ as __version__

if TYPE_CHECKING:
    from segue import models as models
    from segue.api.foreground import foreground as foreground
    from segue.api.instances import instances as instances
    from segue.api.results import save as save
    from segue.api.track import track as track
    from segue.api.video import Video as Video
    from segue.dataset_runs.protocols import run as run
    from segue.formats.conversion import convert as convert
    from segue.formats.reading import read_labels as read_labels
    from segue.prompt_types import BoxPrompt as BoxPrompt
    from segue.prompt_types import MaskPrompt as MaskPrompt
    from segue.prompt_types import PointPrompt as PointPrompt
    from segue.prompt_types import Prompt as Prompt
    from segue.prompt_types import RemovePrompt as RemovePrompt
    from segue.prompt_types import ScribblePrompt as ScribblePrompt
    from segue.prompts import Prompter as Prompter
    from segue.registry import Entry as Entry
    from segue.registry import WeightFile as WeightFile
    from segue.registry import register as register
    from segue.registry import register_model as register_model
    from segue.sessions import ForegroundSession as ForegroundSession
    from segue.sessions import InstanceSession as InstanceSession
    from segue.sessions import Session as Session
    from segue.sessions import SessionState as SessionState
    from segue.sessions import TrackSession as TrackSession
    from segue.sessions.auto import Auto as Auto
    from segue.sessions.detecting import detector as detector
    from segue.types import Frame as Frame
    from segue.types import ObjectInfo as ObjectInfo
    from segue.types import Segmentation as Segmentation
    from segue.video import open_source as open_source
    from segue.weights import from_pretrained as from_pretrained
    from segue.weights import load as load
    from segue.weights import save_pretrained as save_pretrained

_MODULES = {
    "segue.api.foreground": "foreground",
    "segue.api.instances": "instances",
    "segue.api.results": "save",
    "segue.api.track": "track",
    "segue.api.video": "Video",
    "segue.dataset_runs.protocols": "run",
    "segue.formats.conversion": "convert",
    "segue.formats.reading": "read_labels",
    "segue.prompt_types": "BoxPrompt MaskPrompt PointPrompt Prompt RemovePrompt ScribblePrompt",
    "segue.prompts": "Prompter",
    "segue.registry": "Entry WeightFile register register_model",
    "segue.sessions": "ForegroundSession InstanceSession Session SessionState TrackSession",
    "segue.sessions.auto": "Auto",
    "segue.sessions.detecting": "detector",
    "segue.types": "Frame ObjectInfo Segmentation",
    "segue.video": "open_source",
    "segue.weights": "from_pretrained load save_pretrained",
}
"""Modules of the public names; see :func:`segue.utils.lazy.lazy_names`."""

__all__ = ["SegueError", "models", *" ".join(_MODULES.values()).split()]

__getattr__, __dir__ = lazy_names(__name__, _MODULES, ["models"])
