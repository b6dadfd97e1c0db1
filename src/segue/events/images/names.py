"""Names of images and clips of events."""

import re

NAME = r"\d{5,}-[a-z-]+-\d+\.(?:jpg|mp4)"

EVENT_FILE = re.compile(NAME)
