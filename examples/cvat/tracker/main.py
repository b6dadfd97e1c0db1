"""The tracker of CVAT: shapes of one frame followed on the next ones."""

from __future__ import annotations

import os
from typing import Any

from segue_web.services.assistant import Assistant
from segue_web.services.cvat import Trackings, respond


def init_context(context: Any) -> None:
    """Load the network; there must be one worker, which remembers what it follows."""
    context.user_data.act = Trackings(Assistant(model=os.environ.get("MODEL", "stcn-lite"))).answer


def handler(context: Any, event: Any) -> Any:
    """Answer a request of CVAT."""
    return respond(context, event, context.user_data.act)
