"""An image of a source that cannot be read."""


class DamageError(Exception):
    """An image cannot be read, while its neighbours perhaps can; the message is one line."""

    is_intact = False  # it is not damaged, and still cannot be taken
