"""The interactor of CVAT: a mask of clicks and a box."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

from segue_web.services.assistant import Assistant
from segue_web.services.cvat import interact, respond


def init_context(context: Any) -> None:
    """Load the network once for each worker."""
    context.user_data.act = partial(interact, Assistant(prompter=os.environ.get("PROMPTER", "segue-prompt")))


def handler(context: Any, event: Any) -> Any:
    """Answer a request of CVAT."""
    return respond(context, event, context.user_data.act)
